/*
 * tls.c - one TLS connection: handshake, bytes, the end.
 *
 * OpenSSL reads and writes the socket itself.  What it cannot send stays with
 * conn.c as plain bytes, but for one record that is encrypted already, which
 * is why a piece once refused is offered again.
 *
 * LONG: all of it knows one connection's SSL
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/conn_layer.h"
#include "net/tls_cert.h"
#include "net/tls_ctx.h"

#define KEY_BYTES_MAX	(16 * 1024)

struct tls {
	struct tls_ctx	*ctx;
	SSL		*ssl;		/* NULL: it could not be made */
	enum tls_level	 level;
	bool		 is_done;	/* the handshake */
	bool		 has_heard;	/* something since */
	bool		 is_offered;	/* a session of the cache */
	char		*key;		/* of the cache */
	char		*host;		/* NULL: none */
	char		**names;	/* NULL: the options' */
	struct tls_dane	*dane;		/* NULL: none */
	struct tls_cert	*cert;
	struct tls_facts facts;

	enum tls_fault	 fault;
	char		*why;
	int		 error;		/* errno of the end; no call after it */
	uint64_t	 nwritten;	/* by the socket, at the last look */
};

static const struct conn_layer_ops tls_layer;

static struct tls *
tls_of(const struct conn *c)
{
	return conn_layer(c, &tls_layer);
}

/* ---- how it ends ---- */

static int
fail(struct tls *t, enum tls_fault fault, const char *why, int error)
{
	if (t->fault == TLS_FAULT_NONE) {
		t->fault = fault;
		free(t->why);
		t->why = xstrdup(why);
	}
	t->error = error;
	errno = error;
	return -1;
}

/* An end that came without the peer's close_notify (RFC 8446 §6.1). */
static ssize_t
truncated(struct tls *t)
{
	fail(t, t->is_done ? TLS_FAULT_TRUNCATED : TLS_FAULT_HANDSHAKE,
	    t->is_done ? "connection closed without close_notify" :
	    "connection closed by the server", EPROTO);
	if (t->is_done &&
	    t->ctx->conf->suppress_ragged_eofs != TLS_SAID_NO)
		return 0;
	return -1;
}

static bool
is_eof(int error)
{
	unsigned long code = ERR_peek_error();

	return (error == 0 && code == 0) ||
	    (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
}

static ssize_t
broken(struct tls *t)
{
	char why[256];

	if (t->fault == TLS_FAULT_CERT) {	/* our own refusal */
		ERR_clear_error();
		t->error = errno = EPROTO;
		return -1;
	}
	tls_reason(why, sizeof(why));
	return fail(t, t->is_done ? TLS_FAULT_BROKEN : TLS_FAULT_HANDSHAKE,
	    why, EPROTO);
}

/*
 * What a call of OpenSSL that did not succeed means: 0 for a clean end, else
 * -1 with errno.  *want_r is set where it waits for what it would not seem to:
 * to write while reading, or the other way.
 */
static ssize_t
judge(struct tls *t, int rc, int unlikely, bool *want_r)
{
	int error = errno, why = SSL_get_error(t->ssl, rc);

	switch (why) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		*want_r = why == unlikely;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		if (is_eof(error))
			return truncated(t);
		ERR_clear_error();
		if (!t->is_done)
			return fail(t, TLS_FAULT_HANDSHAKE, strerror(error),
			    EPROTO);
		errno = error;		/* the socket's, not ours */
		return -1;
	default:
		if (is_eof(1)) {
			ERR_clear_error();
			return truncated(t);
		}
		return broken(t);
	}
}

/* ---- certificates and sessions ---- */

static int
on_verify(X509_STORE_CTX *sc, void *arg)
{
	struct tls *t = SSL_get_app_data(X509_STORE_CTX_get_ex_data(sc,
	    SSL_get_ex_data_X509_STORE_CTX_idx()));
	struct tls_wanted wanted = { .conf = t->ctx->conf, .host = t->host,
	    .names = (const char *const *)t->names, .dane = t->dane };

	(void)arg;
	wanted.is_looked_at = t->level == TLS_VERIFY ||
	    t->ctx->conf->cert_reqs != TLS_REQS_NONE;
	tls_cert_unref(t->cert);
	t->cert = tls_cert_check(sc, &wanted);
	if (t->level != TLS_VERIFY || (t->cert != NULL && t->cert->is_verified))
		return 1;
	fail(t, TLS_FAULT_CERT, t->cert == NULL ? "no certificate" :
	    t->cert->why_not, 0);
	return 0;
}

static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);

	if (t->key != NULL)
		tls_cache_put(t->ctx->cache, t->key, session, t->cert);
	return 0;		/* the cache has its own reference */
}

const struct tls_ctx_ops tls_ctx_ops = { on_verify, on_new_session };

/* All that must be the same for a session to be worth as much. */
static char *
make_key(const struct tls_peer *peer)
{
	char text[ADDR_TEXT_MAX], *key = NULL;
	struct buf b;
	size_t i;
	bool is_cut;

	buf_init(&b, KEY_BYTES_MAX);
	is_cut = buf_printf(&b, "%s %u %d %s %s", addr_format(peer->addr, text,
	    sizeof(text)), addr_port(peer->addr), (int)peer->level,
	    peer->host != NULL ? peer->host : "",
	    peer->dane != NULL ? tls_dane_digest(peer->dane) : "") == -1;
	for (i = 0; peer->names != NULL && peer->names[i] != NULL; i++)
		if (buf_printf(&b, " %s", peer->names[i]) == -1)
			is_cut = true;
	if (peer->names != NULL && buf_puts(&b, " .") == -1)
		is_cut = true;
	if (!is_cut)
		key = xasprintf("%.*s", (int)buf_len(&b), buf_data(&b));
	buf_clear(&b);
	return key;
}

static void
offer_session(struct tls *t)
{
	SSL_SESSION *session;

	if (t->key == NULL)
		return;
	session = tls_cache_take(t->ctx->cache, t->key, &t->cert);
	if (session == NULL)
		return;
	t->is_offered = SSL_set_session(t->ssl, session) == 1;
	SSL_SESSION_free(session);
}

/* ---- the handshake ---- */

static char **
copy_names(const char *const *names)
{
	size_t n = 0, i;
	char **copy;

	if (names == NULL)
		return NULL;
	while (names[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (i = 0; i < n; i++)
		copy[i] = xstrdup(names[i]);
	return copy;
}

static void
free_names(struct tls *t)
{
	size_t i;

	for (i = 0; t->names != NULL && t->names[i] != NULL; i++)
		free(t->names[i]);
	free(t->names);
	t->names = NULL;
	free(t->host);
	t->host = NULL;
	tls_dane_unref(t->dane);
	t->dane = NULL;
}

/* Never for an address (RFC 6066 §3), nor with the dot at the end. */
static int
set_server_name(SSL *ssl, const char *host)
{
	char name[256];
	struct addr a;
	size_t n;

	if (host == NULL || addr_parse(&a, host, 0) == 0)
		return 0;
	n = strlcpy(name, host, sizeof(name));
	if (n == 0 || n >= sizeof(name))
		return 0;
	if (name[n - 1] == '.')
		name[n - 1] = '\0';
	return SSL_set_tlsext_host_name(ssl, name) == 1 ? 0 : -1;
}

/* The TLSA base domain is the name told to the server (RFC 7672 §8.1). */
static int
set_dane(SSL *ssl, const struct tls_dane *dane)
{
	const struct tls_tlsa *r;
	size_t i, n = 0;

	if (SSL_dane_enable(ssl, dane->names[0]) <= 0)
		return -1;
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (i = 1; dane->names[i] != NULL; i++)
		if (SSL_add1_host(ssl, dane->names[i]) != 1)
			return -1;
	for (i = 0; i < dane->n; i++) {
		r = &dane->records[i];
		if (SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching,
		    r->data, r->len) == 1)
			n++;
	}
	/* Without any, OpenSSL would look for trusted certificates instead. */
	return n > 0 ? 0 : -1;
}

static int
make_ssl(struct tls *t, const struct tls_conf *conf, int fd)
{
	if ((t->ssl = SSL_new(t->ctx->ssl_ctx)) == NULL ||
	    SSL_set_fd(t->ssl, fd) != 1)
		return -1;
	if (t->dane != NULL ? set_dane(t->ssl, t->dane) == -1 :
	    set_server_name(t->ssl, t->host) == -1)
		return -1;
	if (t->level >= TLS_REQUIRE && conf->ssl_version == TLS_VERSION_UNSET &&
	    SSL_set_min_proto_version(t->ssl, TLS1_2_VERSION) != 1)
		return -1;
	SSL_set_app_data(t->ssl, t);
	SSL_set_connect_state(t->ssl);
	offer_session(t);
	return 0;
}

static void
learn_facts(struct tls *t)
{
	t->facts.version = SSL_get_version(t->ssl);
	t->facts.cipher = SSL_get_cipher_name(t->ssl);
	t->facts.bits = SSL_get_cipher_bits(t->ssl, NULL);
	t->facts.is_resumed = SSL_session_reused(t->ssl) == 1;
	t->facts.cert = t->cert;
}

static int
layer_handshake(void *layer, bool *want_write_r)
{
	struct tls *t = layer;
	int rc;

	if (t->error != 0) {
		errno = t->error;
		return -1;
	}
	if (t->is_done)
		return 0;
	ERR_clear_error();
	errno = 0;
	if ((rc = SSL_do_handshake(t->ssl)) != 1) {
		if (judge(t, rc, SSL_ERROR_WANT_WRITE, want_write_r) == 0)
			fail(t, TLS_FAULT_HANDSHAKE,
			    "connection closed by the server", EPROTO);
		if (errno != EAGAIN && t->is_offered)
			tls_cache_forget(t->ctx->cache, t->key);
		errno = t->error != 0 ? t->error : EAGAIN;
		return -1;
	}
	/* A server may have shown nothing at all. */
	if (t->level == TLS_VERIFY && (t->cert == NULL ||
	    !t->cert->is_verified))
		return fail(t, TLS_FAULT_CERT, "no certificate", EPROTO);
	t->is_done = true;
	learn_facts(t);
	free_names(t);
	return 0;
}

/* ---- bytes ---- */

/*
 * Session tickets of TLS 1.3 come by themselves.  A server that waits for
 * their ACK with what it has to say next (Nagle's algorithm) would wait as
 * long as ours is put off: 40 ms for each connection.
 */
static void
acknowledge(struct tls *t)
{
	int on = 1;

	/* A UNIX socket knows nothing of it, nor needs it. */
	setsockopt(SSL_get_fd(t->ssl), IPPROTO_TCP, TCP_QUICKACK, &on,
	    sizeof(on));
	errno = EAGAIN;
}

static ssize_t
layer_read(void *layer, char *to, size_t size, bool *want_write_r)
{
	struct tls *t = layer;
	ssize_t end;
	int rc;

	if (t->error != 0) {
		errno = t->error;
		return -1;
	}
	ERR_clear_error();
	errno = 0;
	rc = SSL_read(t->ssl, to, size > INT_MAX ? INT_MAX : (int)size);
	/* Tickets and new keys leave a buffer behind that nobody wants. */
	if (SSL_has_pending(t->ssl) == 0)
		SSL_free_buffers(t->ssl);
	if (rc > 0) {
		t->has_heard = true;
		return rc;
	}
	end = judge(t, rc, SSL_ERROR_WANT_WRITE, want_write_r);
	if (end == -1 && errno == EAGAIN && !t->has_heard)
		acknowledge(t);
	return end;
}

static bool
has_moved(struct tls *t)
{
	uint64_t n = BIO_number_written(SSL_get_wbio(t->ssl));
	bool is_more = n > t->nwritten;

	t->nwritten = n;
	return is_more;
}

static ssize_t
layer_write(void *layer, const char *p, size_t n, bool *want_read_r)
{
	struct tls *t = layer;
	size_t did = 0;
	ssize_t rc = 1;

	if (t->error != 0) {
		errno = EPIPE;		/* the reading side tells */
		return -1;
	}
	ERR_clear_error();
	while (did < n && rc > 0) {
		errno = 0;
		rc = SSL_write(t->ssl, p + did,
		    n - did > INT_MAX ? INT_MAX : (int)(n - did));
		if (rc > 0)
			did += (size_t)rc;
	}
	if (did == n) {
		t->nwritten = BIO_number_written(SSL_get_wbio(t->ssl));
		return (ssize_t)did;
	}
	rc = judge(t, (int)rc, SSL_ERROR_WANT_READ, want_read_r);
	if (rc == -1 && errno == EAGAIN) {
		if (has_moved(t) || did > 0)
			return (ssize_t)did;
		errno = EAGAIN;
		return -1;
	}
	if (rc == 0)
		errno = EPIPE;
	return -1;
}

static int64_t
layer_sendfile(void *layer, int fd, uint64_t offset, size_t n)
{
	struct tls *t = layer;
	ossl_ssize_t did;

	if (!t->is_done || t->error != 0 ||
	    BIO_get_ktls_send(SSL_get_wbio(t->ssl)) != 1) {
		errno = EOPNOTSUPP;
		return -1;
	}
	ERR_clear_error();
	did = SSL_sendfile(t->ssl, fd, (off_t)offset, n, 0);
	if (did >= 0)
		return did;
	if (errno == EBUSY)
		errno = EAGAIN;
	ERR_clear_error();
	return -1;
}

static bool
layer_has_input(const void *layer)
{
	const struct tls *t = layer;

	return t->ssl != NULL && t->error == 0 &&
	    SSL_has_pending(t->ssl) == 1;
}

/* ---- the end ---- */

static void
layer_close(void *layer, bool is_clean)
{
	struct tls *t = layer;

	if (t->ssl == NULL)
		return;
	/* An end in the middle must not look like the end of the message. */
	if (is_clean && t->is_done && t->error == 0) {
		ERR_clear_error();
		SSL_shutdown(t->ssl);
		ERR_clear_error();
	}
	/* Without this the session would be thought spoiled. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

static void
layer_free(void *layer)
{
	struct tls *t = layer;

	SSL_free(t->ssl);
	free_names(t);
	tls_cert_unref(t->cert);
	tls_ctx_free(t->ctx);
	free(t->key);
	free(t->why);
	free(t);
}

static const struct conn_layer_ops tls_layer = {
	.handshake = layer_handshake,
	.read = layer_read,
	.write = layer_write,
	.sendfile = layer_sendfile,
	.has_input = layer_has_input,
	.close = layer_close,
	.free = layer_free,
};

void
conn_start_tls(struct conn *c, struct tls_ctx *ctx,
    const struct tls_peer *peer)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	char why[512];

	tls_ctx_ref(ctx);
	t->ctx = ctx;
	t->level = peer->dane != NULL ? TLS_VERIFY : peer->level;
	t->dane = tls_dane_ref(peer->dane);
	t->host = peer->host == NULL ? NULL : xstrdup(peer->host);
	t->names = copy_names(peer->names);
	t->key = ctx->conf->session_cache > 0 ? make_key(peer) : NULL;
	if (t->dane != NULL && (t->dane->n == 0 || t->dane->names[0] == NULL))
		fail(t, TLS_FAULT_CERT, "no TLSA record can be used", EPROTO);
	else if (tls_ctx_load(ctx, why, sizeof(why)) == -1)
		fail(t, TLS_FAULT_HANDSHAKE, why, EPROTO);
	else if (make_ssl(t, ctx->conf, conn_fd(c)) == -1) {
		tls_reason(why, sizeof(why));
		fail(t, TLS_FAULT_HANDSHAKE, why, EPROTO);
	}
	conn_set_layer(c, &tls_layer, t);
}

/* ---- what others may know ---- */

const struct tls_facts *
conn_tls(const struct conn *c)
{
	const struct tls *t = tls_of(c);

	return t != NULL && t->is_done ? &t->facts : NULL;
}

bool
tls_is_verified(const struct tls_facts *f)
{
	return f->cert != NULL && f->cert->is_verified;
}

const char *
tls_facts_text(const struct tls_facts *f, char *to, size_t size)
{
	snprintf(to, size, "%s %s verified=%s%s", f->version, f->cipher,
	    tls_is_verified(f) ? f->cert->verified_as : "no",
	    f->is_resumed ? " resumed" : "");
	return to;
}

enum tls_fault
conn_tls_fault(const struct conn *c, const char **text_r)
{
	const struct tls *t = tls_of(c);

	if (text_r != NULL)
		*text_r = t != NULL && t->why != NULL ? t->why : "";
	return t != NULL ? t->fault : TLS_FAULT_NONE;
}

enum tls_cert_fault
conn_tls_cert_fault(const struct conn *c)
{
	const struct tls *t = tls_of(c);

	if (t == NULL || t->fault != TLS_FAULT_CERT)
		return TLS_CERT_GOOD;
	return t->cert == NULL || t->cert->fault == TLS_CERT_GOOD ?
	    TLS_CERT_BAD : t->cert->fault;
}

/* RFC 5929 §4.1: the hash of the signature, but at least SHA-256. */
static int
bind_end_point(SSL *ssl, uint8_t bytes[TLS_BINDING_MAX])
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	const EVP_MD *md;
	unsigned n = 0;
	int nid;

	if (x == NULL || !X509_get_signature_info(x, &nid, NULL, NULL, NULL) ||
	    nid == NID_undef)
		return -1;
	if (nid == NID_md5 || nid == NID_sha1)
		nid = NID_sha256;
	if ((md = EVP_get_digestbynid(nid)) == NULL ||
	    EVP_MD_get_size(md) > TLS_BINDING_MAX ||
	    X509_digest(x, md, bytes, &n) != 1)
		return -1;
	return (int)n;
}

int
conn_tls_binding(const struct conn *c, uint8_t bytes[TLS_BINDING_MAX],
    const char **name_r)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	struct tls *t = tls_of(c);
	int n;

	if (t == NULL || !t->is_done)
		return -1;
	ERR_clear_error();
	if (SSL_version(t->ssl) >= TLS1_3_VERSION) {
		*name_r = "tls-exporter";
		n = SSL_export_keying_material(t->ssl, bytes, 32, label,
		    sizeof(label) - 1, (const unsigned char *)"", 0, 1) == 1 ?
		    32 : -1;
	} else {
		*name_r = "tls-server-end-point";
		n = bind_end_point(t->ssl, bytes);
	}
	ERR_clear_error();
	return n;
}
