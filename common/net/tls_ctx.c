/* tls_ctx.c - trust, client certificate and ciphers, made from the options. */
#include "net/tls_ctx.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static bool
has(const char *s)
{
	return s != NULL && *s != '\0';
}

void
tls_reason(char *to, size_t size)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code), *alert = "unknown";
	int n = ERR_GET_REASON(code);

	if (code != 0 && ERR_SYSTEM_ERROR(code))
		reason = strerror(n);
	/* What the peer said comes as its number behind 1000. */
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && n > SSL_AD_REASON_OFFSET)
		alert = SSL_alert_desc_string_long(n - SSL_AD_REASON_OFFSET);
	if (strcmp(alert, "unknown") != 0)
		snprintf(to, size, "the server says: %s", alert);
	else if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    n == SSL_R_WRONG_VERSION_NUMBER)
		strlcpy(to, "the answer is not TLS (wrong version number)",
		    size);
	else
		strlcpy(to, reason != NULL ? reason : "unknown reason", size);
	ERR_clear_error();
}

static int
refuse(char *error, size_t size, const char *option, const char *value)
{
	char shown[256], why[256];

	str_escape(shown, sizeof(shown), value, strlen(value));
	tls_reason(why, sizeof(why));
	snprintf(error, size, "%s: %s: %s", option, shown, why);
	return -1;
}

/* Holds certificates under the names that OpenSSL looks for. */
static bool
is_hashed(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e = NULL;

	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (strspn(e->d_name, "0123456789abcdef") == 8 &&
		    strcmp(e->d_name + 8, ".0") == 0)
			break;
	if (dir != NULL)
		closedir(dir);
	return e != NULL;
}

const char *
tls_system_ca_path(void)
{
	const char *folder = getenv(X509_get_default_cert_dir_env());

	if (folder == NULL)
		folder = X509_get_default_cert_dir();
	if (getenv(X509_get_default_cert_file_env()) == NULL &&
	    is_hashed(folder))
		return folder;
	return NULL;
}

static int
load_system(SSL_CTX *ctx)
{
	if (tls_system_ca_path() != NULL)
		return SSL_CTX_set_default_verify_dir(ctx);
	return SSL_CTX_set_default_verify_paths(ctx);
}

static int
load_trust(SSL_CTX *ctx, const struct tls_conf *conf, char *error,
    size_t size)
{
	bool has_own = has(conf->ca_certs) || has(conf->ca_path);

	if (has(conf->ca_certs) &&
	    SSL_CTX_load_verify_file(ctx, conf->ca_certs) != 1)
		return refuse(error, size, "tls.ca_certs", conf->ca_certs);
	if (has(conf->ca_path) &&
	    SSL_CTX_load_verify_dir(ctx, conf->ca_path) != 1)
		return refuse(error, size, "tls.ca_path", conf->ca_path);
	if (has_own)
		/* Whatever is named there is trusted, root or not. */
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx),
		    X509_V_FLAG_PARTIAL_CHAIN);
	else if (load_system(ctx) != 1)
		return refuse(error, size, "tls.ca_certs", "of the system");
	return 0;
}

/* Never asks at a terminal. */
static int
no_password(char *to, int size, int is_writing, void *arg)
{
	(void)to;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static int
load_own(SSL_CTX *ctx, const struct tls_conf *conf, char *error, size_t size)
{
	bool is_apart = has(conf->keyfile);
	const char *key = is_apart ? conf->keyfile : conf->certfile;
	const char *option = is_apart ? "tls.keyfile" : "tls.certfile";

	if (!has(conf->certfile) && !is_apart)
		return 0;
	if (!has(conf->certfile)) {
		snprintf(error, size, "tls.keyfile needs tls.certfile");
		return -1;
	}
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	if (SSL_CTX_use_certificate_chain_file(ctx, conf->certfile) != 1)
		return refuse(error, size, "tls.certfile", conf->certfile);
	/* This says so too where the key does not fit the certificate. */
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return refuse(error, size, option, key);
	return 0;
}

static int
set_ciphers(SSL_CTX *ctx, const struct tls_conf *conf, char *error,
    size_t size)
{
	if (has(conf->ciphers) &&
	    SSL_CTX_set_cipher_list(ctx, conf->ciphers) != 1)
		return refuse(error, size, "tls.ciphers", conf->ciphers);
	if (has(conf->ciphersuites) &&
	    SSL_CTX_set_ciphersuites(ctx, conf->ciphersuites) != 1)
		return refuse(error, size, "tls.ciphersuites",
		    conf->ciphersuites);
	return 0;
}

static int
set_versions(SSL_CTX *ctx, const struct tls_conf *conf)
{
	int min = 0, max = 0;

	switch (conf->ssl_version) {
	case TLS_VERSION_UNSET:
		break;
	case TLS_VERSION_1_3:
		min = TLS1_3_VERSION;
		break;
	case TLS_VERSION_1_2_ONLY:
		max = TLS1_2_VERSION;
		/* FALLTHROUGH */
	default:
		min = TLS1_2_VERSION;
		break;
	}
	if (min != 0 && SSL_CTX_set_min_proto_version(ctx, min) != 1)
		return -1;
	return max != 0 && SSL_CTX_set_max_proto_version(ctx, max) != 1 ? -1 :
	    0;
}

static void
set_behaviour(SSL_CTX *ctx, struct tls_ctx *t)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_SSLv3);
	if (t->conf->ktls == TLS_SAID_YES)
		SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
	/* One read for what has come, no buffers for who is silent. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	/* tls.c decides what a refused certificate means. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, tls_ctx_ops.verify, NULL);
	SSL_CTX_set_session_cache_mode(ctx, t->conf->session_cache == 0 ?
	    SSL_SESS_CACHE_OFF : SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	/* Costs two digests; which connections need it is not known yet. */
	SSL_CTX_dane_enable(ctx);
	SSL_CTX_sess_set_new_cb(ctx, tls_ctx_ops.new_session);
	if (t->conf->session_cache == 0)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

int
tls_ctx_load(struct tls_ctx *t, char *error, size_t size)
{
	SSL_CTX *ctx;

	if (t->ssl_ctx != NULL)
		return 0;
	ERR_clear_error();
	if ((ctx = SSL_CTX_new(TLS_client_method())) == NULL)
		return refuse(error, size, "tls", "SSL_CTX_new");
	set_behaviour(ctx, t);
	if (set_versions(ctx, t->conf) == -1) {
		SSL_CTX_free(ctx);
		return refuse(error, size, "tls.ssl_version", "not allowed");
	}
	if (load_trust(ctx, t->conf, error, size) == -1 ||
	    load_own(ctx, t->conf, error, size) == -1 ||
	    set_ciphers(ctx, t->conf, error, size) == -1) {
		SSL_CTX_free(ctx);
		return -1;
	}
	t->ssl_ctx = ctx;
	t->cache = tls_cache_new((size_t)t->conf->session_cache);
	return 0;
}

/* The certificate, its chain and key, read once. */
static int
share_own(SSL_CTX *to, SSL_CTX *from)
{
	STACK_OF(X509) *chain = NULL;

	if (SSL_CTX_get0_certificate(from) == NULL)
		return 0;
	SSL_CTX_get0_chain_certs(from, &chain);
	return SSL_CTX_use_certificate(to, SSL_CTX_get0_certificate(from)) ==
	    1 && SSL_CTX_use_PrivateKey(to, SSL_CTX_get0_privatekey(from)) ==
	    1 && SSL_CTX_set1_chain(to, chain) == 1 ? 0 : -1;
}

int
tls_ctx_dress(struct tls_ctx *t, SSL_CTX *to, char *error, size_t size)
{
	if (tls_ctx_load(t, error, size) == -1)
		return -1;
	ERR_clear_error();
	SSL_CTX_set_options(to, SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set1_cert_store(to, SSL_CTX_get_cert_store(t->ssl_ctx));
	if (SSL_CTX_set1_param(to, SSL_CTX_get0_param(t->ssl_ctx)) != 1 ||
	    SSL_CTX_set_min_proto_version(to, TLS1_2_VERSION) != 1 ||
	    set_versions(to, t->conf) == -1 ||
	    share_own(to, t->ssl_ctx) == -1)
		return refuse(error, size, "tls", "cannot be set up");
	return set_ciphers(to, t->conf, error, size);
}

/* Is there anything in the options that OpenSSL may refuse? */
static bool
needs_look(const struct tls_conf *conf)
{
	return has(conf->ca_certs) || has(conf->ca_path) ||
	    has(conf->certfile) || has(conf->keyfile) ||
	    has(conf->ciphers) || has(conf->ciphersuites) ||
	    conf->ssl_version != TLS_VERSION_UNSET;
}

struct tls_ctx *
tls_ctx_new(const struct tls_conf *conf, char *error, size_t size)
{
	struct tls_ctx *t = xcalloc(1, sizeof(*t));

	t->refs = 1;
	t->conf = conf;
	if (needs_look(conf) && tls_ctx_load(t, error, size) == -1) {
		free(t);
		return NULL;
	}
	return t;
}

void
tls_ctx_ref(struct tls_ctx *t)
{
	t->refs++;
}

void
tls_ctx_free(struct tls_ctx *t)
{
	if (t == NULL || --t->refs > 0)
		return;
	tls_cache_free(t->cache);
	SSL_CTX_free(t->ssl_ctx);
	free(t);
}
