/*
 * test_tls.c - TLS below a connection: who is let in, what passes, how it
 * ends.  The server is a child process; certificates are made here.
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/conn_layer.h"
#include "net_test.h"
#include "tls_test.h"

#define DAY		86400
#define BIG		(3 * 1024 * 1024)
#define DIGEST		"00112233445566778899aabbccddeeff" \
			"00112233445566778899aabbccddeeff"

static struct loop *loop;
static char folder[] = "/tmp/test_tls.XXXXXX";

/* A file in the folder; the texts take turns. */
static const char *
at(const char *name)
{
	static char text[8][96];
	static unsigned turn;
	char *to = text[turn++ % 8];

	snprintf(to, sizeof(text[0]), "%s/%s", folder, name);
	return to;
}

/* ---- certificates ---- */

static void
save(const char *name, const struct pair *p, bool with_key)
{
	FILE *f = fopen(at(name), "w");

	PEM_write_X509(f, p->cert);
	if (with_key)
		PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

static void
save_encrypted(const char *name, const struct pair *p)
{
	FILE *f = fopen(at(name), "w");

	PEM_write_X509(f, p->cert);
	PEM_write_PKCS8PrivateKey(f, p->key, EVP_aes_128_cbc(), "secret", 6,
	    NULL, NULL);
	fclose(f);
}

static char good_print[65], good_key_print[2 * 32 + 32];

static void
learn_prints(X509 *x)
{
	unsigned char hash[32], *der = NULL;
	int i, n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	X509_digest(x, EVP_sha256(), hash, NULL);
	for (i = 0; i < 32; i++)
		snprintf(good_print + 2 * i, 3, "%02x", hash[i]);
	EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(), NULL);
	for (i = 0; i < 32; i++)
		snprintf(good_key_print + 3 * i, 4, "%02X%s", hash[i],
		    i < 31 ? ":" : "");
	OPENSSL_free(der);
}

/* One that this CA signs, with its key, into a file. */
static void
make_signed(const char *file, const char *cn, const char *san,
    const struct pair *ca, long from_s, long to_s)
{
	struct pair p = make_cert(cn, san, ca, from_s, to_s);

	save(file, &p, true);
	if (strcmp(file, "good.pem") == 0)
		learn_prints(p.cert);
	if (strcmp(file, "client.pem") == 0)
		save_encrypted("locked.pem", &p);
	free_pair(&p);
}

static void
make_certs(void)
{
	static const char mail[] = "mail.example.net";
	static const char san[] = "DNS:mail.example.net";
	struct pair ca = make_cert("Test CA", NULL, NULL, -DAY, DAY);
	struct pair other_ca = make_cert("Other CA", NULL, NULL, -DAY, DAY);

	save("ca.pem", &ca, false);
	save("other-ca.pem", &other_ca, false);
	make_signed("good.pem", mail, "DNS:mail.example.net,IP:127.0.0.1",
	    &ca, -DAY, DAY);
	make_signed("old.pem", mail, san, &ca, -2 * DAY, -DAY);
	make_signed("self.pem", mail, san, NULL, -DAY, DAY);
	make_signed("wild.pem", "x", "DNS:*.example.net", &ca, -DAY, DAY);
	make_signed("evil.pem", "\033[2Jevil\n",
	    "DNS:a.example,DNS:b.example,DNS:c.example,DNS:d.example,"
	    "DNS:e.example,IP:192.0.2.1,DNS:g.example", &ca, -DAY, DAY);
	make_signed("client.pem", "client.example.org",
	    "DNS:client.example.org", &ca, -DAY, DAY);
	chmod(at("client.pem"), 0600);
	free_pair(&ca);
	free_pair(&other_ca);
}

/* ---- the server ---- */

enum act {
	ECHO,			/* until the client ends */
	COUNT,			/* reads BIG bytes, slowly, says how it went */
	POUR,			/* sends BIG bytes, ends cleanly */
	UPDATE,			/* asks for new keys now and then, echoes */
	RAGGED,			/* echoes once, closes without a word */
	TELL,			/* says what it knows of the client */
	GARBAGE,		/* no TLS at all */
	HANG_UP,		/* after the ClientHello */
	STALL,			/* reads, and says nothing */
	KEEP,			/* shakes hands, keeps the connection */
	BABBLE			/* a bad record behind the handshake */
};

struct server {
	const char	*cert;		/* file */
	enum act	 act;
	int		 version;	/* 0: any */
	bool		 is_unix;
	bool		 asks_cert;
	bool		 no_tickets;
	bool		 greets;	/* in clear, before TLS */
	const char	*ca;		/* for client certificates */

	pid_t		 pid;
	struct addr	 addr;
	int		 report;	/* what the server saw at the end */
};

static char
pattern(size_t i)
{
	return (char)(i % 251);
}

static void
serve_count(SSL *ssl)
{
	static char bytes[4096];
	size_t done = 0, i;
	bool is_good = true;
	char text[32];
	int n;

	/* The client's answer has to wait for what it has begun to say. */
	if (SSL_version(ssl) == TLS1_3_VERSION) {
		SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
		SSL_do_handshake(ssl);
	}
	usleep(100000);
	while (done < BIG && (n = SSL_read(ssl, bytes, sizeof(bytes))) > 0)
		for (i = 0; i < (size_t)n; i++, done++)
			if (bytes[i] != pattern(done))
				is_good = false;
	snprintf(text, sizeof(text), "%zu %s", done, is_good ? "ok" : "bad");
	SSL_write(ssl, text, (int)strlen(text));
}

static void
serve_pour(SSL *ssl)
{
	static char bytes[10000];
	size_t done, i, n;

	for (done = 0; done < BIG; done += n) {
		n = BIG - done < sizeof(bytes) ? BIG - done : sizeof(bytes);
		for (i = 0; i < n; i++)
			bytes[i] = pattern(done + i);
		if (SSL_write(ssl, bytes, (int)n) <= 0)
			return;
	}
	SSL_shutdown(ssl);
}

static void
serve_tell(SSL *ssl)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char text[512], cn[128] = "none";

	if (x != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		    NID_commonName, cn, sizeof(cn));
	snprintf(text, sizeof(text), "sni=%s client=%s", sni == NULL ? "none" :
	    sni, cn);
	SSL_write(ssl, text, (int)strlen(text));
}

static void
serve_echo(SSL *ssl, enum act act)
{
	static char bytes[16384];
	int n, i = 0;

	while ((n = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
		if (act == UPDATE && i++ % 3 == 0)
			SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
		if (SSL_write(ssl, bytes, n) <= 0)
			return;
		if (act == RAGGED)
			return;
	}
}

static void
serve_tls(const struct server *s, SSL_CTX *ctx, int fd, int report)
{
	SSL *ssl = SSL_new(ctx);
	char byte;
	bool is_clean;

	SSL_set_fd(ssl, fd);
	if (s->greets)
		(void)!write(fd, "220 go\r\n", 8);
	if (SSL_accept(ssl) == 1) {
		if (s->act == COUNT)
			serve_count(ssl);
		else if (s->act == POUR)
			serve_pour(ssl);
		else if (s->act == TELL)
			serve_tell(ssl);
		else if (s->act == KEEP) {
			SSL_write(ssl, "hello", 5);
			return;		/* and it stays open */
		} else if (s->act == BABBLE) {
			SSL_write(ssl, "hello", 5);
			usleep(20000);
			(void)!write(fd, "\x17\x03\x03\x00\x20"
			    "nonsense nonsense nonsense nonsense", 37);
			usleep(20000);
		} else
			serve_echo(ssl, s->act);
		if (s->act == RAGGED) {
			close(fd);
			return;
		}
		is_clean = SSL_read(ssl, &byte, 1) <= 0 &&
		    (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN);
		(void)!write(report, is_clean ? "C" : "T", 1);
	}
	SSL_free(ssl);
	close(fd);
}

static void
serve_plain(const struct server *s, int fd)
{
	char bytes[4096];

	if (read(fd, bytes, sizeof(bytes)) > 0 && s->act == GARBAGE)
		(void)!write(fd, "500 5.5.1 what is this?\r\n", 25);
	while (s->act == STALL && read(fd, bytes, sizeof(bytes)) > 0)
		;
	usleep(10000);
	close(fd);
}

static int
yes(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

static void
serve(const struct server *s, int listener, int report)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int fd;

	if (s->cert != NULL) {
		SSL_CTX_use_certificate_chain_file(ctx, at(s->cert));
		SSL_CTX_use_PrivateKey_file(ctx, at(s->cert),
		    SSL_FILETYPE_PEM);
	}
	if (s->version != 0) {
		SSL_CTX_set_min_proto_version(ctx, s->version);
		SSL_CTX_set_max_proto_version(ctx, s->version);
	}
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1);
	if (s->asks_cert)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, yes);
	if (s->no_tickets) {
		SSL_CTX_set_num_tickets(ctx, 0);
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	}
	for (;;) {
		if ((fd = accept(listener, NULL, NULL)) == -1)
			_exit(1);
		if (s->act == GARBAGE || s->act == HANG_UP || s->act == STALL)
			serve_plain(s, fd);
		else
			serve_tls(s, ctx, fd, report);
	}
}

static void
start(struct server *s)
{
	int fd, ends[2];

	if (s->is_unix) {
		addr_unix(&s->addr, at("socket"));
		unlink(at("socket"));
	} else
		addr_parse(&s->addr, "127.0.0.1", 0);
	fd = socket(addr_family(&s->addr), SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, &s->addr.u.sa, s->addr.len) == -1 ||
	    listen(fd, 512) == -1 || (!s->is_unix &&
	    getsockname(fd, &s->addr.u.sa, &s->addr.len) == -1) ||
	    pipe(ends) == -1) {
		diag("server: %s", strerror(errno));
		exit(1);
	}
	if ((s->pid = fork()) == 0) {
		close(ends[0]);
		signal(SIGPIPE, SIG_IGN);
		serve(s, fd, ends[1]);
	}
	close(fd);
	close(ends[1]);
	s->report = ends[0];
}

static void
stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	close(s->report);
}

/* 'C': the client ended TLS before the connection; 'T': it did not. */
static char
report_of(const struct server *s)
{
	struct pollfd p = { .fd = s->report, .events = POLLIN };
	char c = '?';

	if (poll(&p, 1, 5000) == 1 && read(s->report, &c, 1) != 1)
		c = '?';
	return c;
}

/* ---- the client ---- */

struct client {
	struct conn	*c;
	struct tls_ctx	*ctx;
	struct tls_peer	 peer;
	bool		 is_secured, is_closed, is_over, has_data, is_good;
	bool		 frees_inside, starts_later, starts_twice;
	unsigned	 nsecured, nclosed, ndrained, nprogress;
	int		 error;
	enum tls_fault	 fault;
	char		 why[512];
	size_t		 nbytes;
	char		 bytes[256];
};

static void
on_opened(void *arg)
{
	struct client *x = arg;

	if (x->starts_later)
		return;
	conn_start_tls(x->c, x->ctx, &x->peer);
	if (x->starts_twice)
		conn_start_tls(x->c, x->ctx, &x->peer);
	if (conn_has_room(x->c))
		diag("room before the handshake");
}

static void
on_secured(void *arg)
{
	struct client *x = arg;

	x->is_secured = x->is_over = true;
	x->nsecured++;
	if (x->frees_inside) {
		conn_free(x->c);
		x->c = NULL;
	}
}

static void
on_data(void *arg, const char *p, size_t n)
{
	struct client *x = arg;
	size_t i;

	x->has_data = true;
	if (x->starts_later && !x->is_secured)
		conn_start_tls(x->c, x->ctx, &x->peer);
	for (i = 0; i < n; i++, x->nbytes++) {
		if (x->nbytes < sizeof(x->bytes) - 1)
			x->bytes[x->nbytes] = p[i];
		if (p[i] != pattern(x->nbytes))
			x->is_good = false;
	}
	if (x->frees_inside) {
		conn_free(x->c);
		x->c = NULL;
	}
}

static void
on_drained(void *arg)
{
	((struct client *)arg)->ndrained++;
}

static void
on_progress(void *arg)
{
	((struct client *)arg)->nprogress++;
}

static void
on_closed(void *arg, int error)
{
	struct client *x = arg;
	const char *why;

	x->is_closed = x->is_over = true;
	x->nclosed++;
	x->error = error;
	x->fault = conn_tls_fault(x->c, &why);
	snprintf(x->why, sizeof(x->why), "%s", why);
}

static const struct conn_ops ops = {
	.opened = on_opened,
	.data = on_data,
	.drained = on_drained,
	.progress = on_progress,
	.closed = on_closed,
	.secured = on_secured,
};

static struct tls_conf conf;
static struct tls_ctx *ctx;

static struct tls_ctx *
new_ctx(void)
{
	char error[512] = "";
	struct tls_ctx *made = tls_ctx_new(&conf, error, sizeof(error));

	if (made == NULL)
		diag("%s", error);
	return made;
}

/* Options as they are when none is given, but for the CA. */
static void
begin(const char *ca)
{
	memset(&conf, 0, sizeof(conf));
	conf.session_cache = TLS_SESSION_CACHE;
	if (ca != NULL)
		conf.ca_certs = xstrdup(at(ca));
	ctx = new_ctx();
}

static void
finish(void)
{
	turn_some(loop);
	tls_ctx_free(ctx);
	ctx = NULL;
	free(conf.ca_certs);
	opt_list_clear(&conf.match);
	opt_list_clear(&conf.fingerprints);
}

static void
set_list(struct opt_list *list, const char *words)
{
	opt_list_clear(list);
	opt_split_words(words, list);
}

/* Opens; the handshake is done or has failed when it returns. */
static void
dial(struct client *x, const struct server *s, const char *host,
    enum tls_level level)
{
	memset(x, 0, sizeof(*x));
	x->is_good = true;
	x->ctx = ctx;
	x->peer = (struct tls_peer){ .host = host, .addr = &s->addr,
	    .level = level };
	x->c = conn_open(loop, &s->addr, NULL, &ops, x);
	turn_until(loop, &x->is_over);
}

static void
hang_up(struct client *x)
{
	conn_free(x->c);
	x->c = NULL;
	turn_some(loop);
}

static void
say(struct client *x, const char *text)
{
	x->has_data = false;
	x->nbytes = 0;
	memset(x->bytes, 0, sizeof(x->bytes));
	conn_write(x->c, text, strlen(text));
	turn_until(loop, &x->has_data);
}

static bool
is_verified(const struct client *x)
{
	return x->is_secured && tls_is_verified(conn_tls(x->c));
}

/* ---- who is let in ---- */

static void
test_hello(int version, const char *name)
{
	struct server s = { .cert = "good.pem", .version = version };
	uint8_t binding[TLS_BINDING_MAX];
	char text[256], want[64];
	const char *type = NULL;
	struct client x;
	int before;

	start(&s);
	begin("ca.pem");
	before = count_fds();
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	ok(x.is_secured, "%s: secured", name);
	if (!x.is_secured)
		diag("%s", x.why);
	is_str(conn_tls(x.c)->version, name, "%s: version", name);
	is_str(conn_tls(x.c)->cert->verified_as, "mail.example.net",
	    "%s: verified", name);
	is_str(conn_tls(x.c)->cert->subject, "mail.example.net", "subject");
	is_str(conn_tls(x.c)->cert->issuer, "Test CA", "issuer");
	ok(conn_tls(x.c)->bits >= 128 && !conn_tls(x.c)->is_resumed, "bits");
	snprintf(want, sizeof(want), "%s ", name);
	tls_facts_text(conn_tls(x.c), text, sizeof(text));
	ok(strncmp(text, want, strlen(want)) == 0 &&
	    strstr(text, " verified=mail.example.net") != NULL, "%s", text);
	say(&x, "EHLO me\r\n");
	is_str(x.bytes, "EHLO me\r\n", "%s: bytes come back", name);
	is_int(conn_tls_binding(x.c, binding, &type), 32, "%s: binding", name);
	is_str(type, version == TLS1_3_VERSION ? "tls-exporter" :
	    "tls-server-end-point", "%s: its type", name);
	is_int(conn_sendfile(x.c, 0, 0, 10), -1, "%s: no sendfile", name);
	is_int(errno, EOPNOTSUPP, "%s: as it says", name);
	hang_up(&x);
	is_int(report_of(&s), 'C', "%s: ended with close_notify", name);
	is_int(count_fds(), before, "%s: nothing stays open", name);
	finish();
	stop(&s);
}

struct verify_case {
	const char	*cert, *ca, *host;
	const char	*why;		/* NULL: verified */
};

static void
test_verify(void)
{
	static const struct verify_case cases[] = {
		{ "good.pem", "ca.pem", "mail.example.net", NULL },
		{ "good.pem", "ca.pem", "MAIL.example.NET.", NULL },
		{ "good.pem", "ca.pem", "127.0.0.1", NULL },
		{ "good.pem", "ca.pem", "127.0.0.2", "certificate is for "
		    "mail.example.net, 127.0.0.1, not for 127.0.0.2" },
		{ "good.pem", "ca.pem", "other.example.net", "certificate is "
		    "for mail.example.net, 127.0.0.1, not for "
		    "other.example.net" },
		{ "wild.pem", "ca.pem", "a.example.net", NULL },
		{ "wild.pem", "ca.pem", "a.b.example.net", "certificate is "
		    "for *.example.net, not for a.b.example.net" },
		{ "evil.pem", "ca.pem", "x", "certificate is for a.example, "
		    "b.example, c.example, d.example, e.example and 2 more, "
		    "not for x" },
		{ "old.pem", "ca.pem", "mail.example.net",
		    "certificate has expired" },
		{ "self.pem", "ca.pem", "mail.example.net",
		    "self-signed certificate" },
		{ "self.pem", "self.pem", "mail.example.net", NULL },
		{ "good.pem", "other-ca.pem", "mail.example.net",
		    "unable to get local issuer certificate" },
		{ "good.pem", NULL, "mail.example.net",
		    "unable to get local issuer certificate" },
	};
	struct client x;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct verify_case *v = &cases[i];
		struct server s = { .cert = v->cert };

		start(&s);
		begin(v->ca);
		dial(&x, &s, v->host, TLS_VERIFY);
		if (v->why == NULL)
			ok(is_verified(&x), "%s as %s: verified", v->cert,
			    v->host);
		else {
			ok(x.nsecured == 0 && x.error == EPROTO &&
			    x.fault == TLS_FAULT_CERT, "%s as %s: refused",
			    v->cert, v->host);
			is_str(x.why, v->why, "why");
		}
		hang_up(&x);
		dial(&x, &s, v->host, TLS_REQUIRE);
		ok(x.is_secured, "required only: it is let in");
		is_int(is_verified(&x), v->why == NULL, "but told");
		is_str(conn_tls(x.c)->cert->why_not, v->why == NULL ? "" :
		    v->why, "and why");
		hang_up(&x);
		finish();
		stop(&s);
	}
}

static void
test_names(void)
{
	static const char *const names[] = { "a.test", ".example.net", NULL };
	static const char *const wrong[] = { "a.test", NULL };
	struct server s = { .cert = "good.pem" };
	struct client x;

	start(&s);
	begin("ca.pem");
	set_list(&conf.match, "a.example mail.example.net");
	dial(&x, &s, "10.0.0.1", TLS_VERIFY);
	ok(is_verified(&x), "a name of the list");
	hang_up(&x);
	set_list(&conf.match, "a.example");
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	is_str(x.why, "certificate is for mail.example.net, 127.0.0.1, not "
	    "for a.example", "the list replaces the host");
	hang_up(&x);

	memset(&x, 0, sizeof(x));
	x.ctx = ctx;
	x.peer = (struct tls_peer){ .host = "q", .addr = &s.addr,
	    .level = TLS_VERIFY, .names = names };
	x.c = conn_open(loop, &s.addr, NULL, &ops, &x);
	turn_until(loop, &x.is_over);
	is_str(x.is_secured ? conn_tls(x.c)->cert->verified_as : x.why,
	    ".example.net", "names of the peer go first; a domain");
	say(&x, "hi");
	hang_up(&x);

	/* A session of other names is worth nothing. */
	memset(&x, 0, sizeof(x));
	x.ctx = ctx;
	x.peer = (struct tls_peer){ .host = "q", .addr = &s.addr,
	    .level = TLS_VERIFY, .names = wrong };
	x.c = conn_open(loop, &s.addr, NULL, &ops, &x);
	turn_until(loop, &x.is_over);
	is_int(x.fault, TLS_FAULT_CERT, "no session of other names");
	hang_up(&x);
	finish();
	stop(&s);
}

static void
test_fingerprints(void)
{
	struct server s = { .cert = "good.pem" };
	struct client x;
	char other[65];

	start(&s);
	begin("other-ca.pem");
	set_list(&conf.fingerprints, good_print);
	dial(&x, &s, "any.host", TLS_VERIFY);
	ok(is_verified(&x), "its fingerprint");
	is_str(x.is_secured ? conn_tls(x.c)->cert->verified_as : x.why,
	    "fingerprint", "verified by it");
	hang_up(&x);
	set_list(&conf.fingerprints, good_key_print);
	dial(&x, &s, "any.host", TLS_VERIFY);
	ok(is_verified(&x), "the one of its key, with colons");
	hang_up(&x);
	memset(other, 'a', 64);
	other[64] = '\0';
	set_list(&conf.fingerprints, other);
	dial(&x, &s, "any.host2", TLS_VERIFY);
	is_str(x.why, "its fingerprint is none of tls.fingerprints",
	    "another one");
	hang_up(&x);
	finish();
	stop(&s);
}

static void
test_not_looked_at(void)
{
	struct server s = { .cert = "self.pem" };
	struct client x;

	start(&s);
	begin(NULL);
	conf.cert_reqs = TLS_REQS_NONE;
	dial(&x, &s, "mail.example.net", TLS_MAY);
	is_str(x.is_secured ? conn_tls(x.c)->cert->why_not : x.why,
	    "not asked for", "CERT_NONE: not looked at");
	hang_up(&x);
	finish();
	stop(&s);
}

static void
test_client_cert(void)
{
	struct server s = { .cert = "good.pem", .act = TELL,
	    .asks_cert = true };
	struct client x;

	start(&s);
	begin("ca.pem");
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	turn_until(loop, &x.has_data);
	is_str(x.bytes, "sni=mail.example.net client=none", "no certificate");
	hang_up(&x);
	dial(&x, &s, "127.0.0.1", TLS_VERIFY);
	turn_until(loop, &x.has_data);
	is_str(x.bytes, "sni=none client=none", "no SNI for an address");
	hang_up(&x);
	tls_ctx_free(ctx);
	conf.certfile = xstrdup(at("client.pem"));
	ctx = new_ctx();
	dial(&x, &s, "mail.example.net.", TLS_VERIFY);
	turn_until(loop, &x.has_data);
	is_str(x.bytes, "sni=mail.example.net client=client.example.org",
	    "our certificate; no dot in SNI");
	hang_up(&x);
	finish();
	free(conf.certfile);
	stop(&s);
}

/* ---- resumption ---- */

static unsigned
count_resumed(const struct server *s, unsigned n, enum tls_level level)
{
	unsigned resumed = 0, i;
	struct client x;

	for (i = 0; i < n; i++) {
		dial(&x, s, "mail.example.net", level);
		if (!x.is_secured) {
			hang_up(&x);	/* as expected, or seen in the count */
			break;
		}
		say(&x, "hello");
		resumed += conn_tls(x.c)->is_resumed;
		if (conn_tls(x.c)->is_resumed && level == TLS_VERIFY &&
		    !is_verified(&x))
			diag("resumed, but not verified");
		hang_up(&x);
	}
	return resumed;
}

static void
test_resume(void)
{
	struct server s = { .cert = "good.pem", .version = TLS1_3_VERSION };
	struct server s2 = { .cert = "good.pem", .version = TLS1_2_VERSION };
	struct server s3 = { .cert = "good.pem", .no_tickets = true };
	struct server s4 = { .cert = "self.pem" };

	start(&s);
	begin("ca.pem");
	is_int(count_resumed(&s, 100, TLS_VERIFY), 99, "TLS 1.3: resumed");
	is_int(count_resumed(&s, 1, TLS_MAY), 0, "not for another level");
	is_int(count_resumed(&s, 3, TLS_VERIFY), 3, "still there");
	finish();
	stop(&s);
	start(&s2);
	begin("ca.pem");
	is_int(count_resumed(&s2, 50, TLS_VERIFY), 49, "TLS 1.2: resumed");
	finish();
	stop(&s2);
	start(&s3);
	begin("ca.pem");
	is_int(count_resumed(&s3, 5, TLS_VERIFY), 0, "a server without");
	finish();
	stop(&s3);
	start(&s4);
	begin("ca.pem");
	is_int(count_resumed(&s4, 5, TLS_MAY), 4, "unverified, for may");
	is_int(count_resumed(&s4, 2, TLS_VERIFY), 0, "but never for verify");
	finish();
	stop(&s4);
	start(&s);
	begin("ca.pem");
	conf.session_cache = 0;
	tls_ctx_free(ctx);
	ctx = new_ctx();
	is_int(count_resumed(&s, 3, TLS_VERIFY), 0, "switched off");
	finish();
	stop(&s);
}

/* ---- bytes ---- */

static void
write_big(struct conn *c)
{
	static char bytes[40000];
	size_t done, n, i;

	for (done = 0; done < BIG; done += n) {
		n = BIG - done < sizeof(bytes) ? BIG - done : sizeof(bytes);
		for (i = 0; i < n; i++)
			bytes[i] = pattern(done + i);
		conn_write(c, bytes, n);
	}
}

static void
test_big(int version)
{
	struct server s = { .cert = "good.pem", .act = COUNT, .is_unix = true,
	    .version = version };
	struct server s2 = { .cert = "good.pem", .act = POUR, .is_unix = true,
	    .version = version };
	struct client x;
	char want[32];

	start(&s);
	begin("ca.pem");
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	write_big(x.c);
	ok(conn_pending(x.c) > 0 && !conn_has_room(x.c), "much is kept");
	turn_until(loop, &x.has_data);
	snprintf(want, sizeof(want), "%d ok", BIG);
	is_str(x.bytes, want, "a slow reader gets all");
	is_int(x.ndrained, 1, "drained once");
	ok(x.nprogress > 0, "progress is told");
	hang_up(&x);
	is_int(report_of(&s), 'C', "ended with close_notify");
	stop(&s);

	start(&s2);
	dial(&x, &s2, "mail.example.net", TLS_VERIFY);
	turn_until(loop, &x.is_closed);
	is_int((intmax_t)x.nbytes, BIG, "a long answer comes whole");
	ok(x.is_good, "and right");
	is_int(x.error, 0, "then the end");
	is_int(x.fault, TLS_FAULT_NONE, "a clean one");
	hang_up(&x);

	/* Cut off in the middle: no close_notify, whatever call ends it. */
	stop(&s2);
	start(&s);
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	write_big(x.c);
	hang_up(&x);
	is_int(report_of(&s), 'T', "freed with output kept: no close_notify");
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	conn_abort(x.c);
	turn_some(loop);
	is_int(report_of(&s), 'T', "aborted: no close_notify");
	finish();
	stop(&s);
}

/* What is written before the handshake is over leaves after it. */
static void
test_early(void)
{
	struct server s = { .cert = "good.pem" };
	struct client x;

	start(&s);
	begin("ca.pem");
	memset(&x, 0, sizeof(x));
	x.ctx = ctx;
	x.peer = (struct tls_peer){ .host = "mail.example.net",
	    .addr = &s.addr, .level = TLS_VERIFY };
	x.c = conn_open(loop, &s.addr, NULL, &ops, &x);
	while (x.c != NULL && conn_layer(x.c, NULL) == NULL && !x.is_over &&
	    conn_tls_fault(x.c, NULL) == TLS_FAULT_NONE &&
	    conn_has_room(x.c) == false && x.nprogress++ < 3)
		loop_turn(loop, 10);
	conn_write(x.c, "early", 5);
	conn_want_room(x.c);
	turn_until(loop, &x.has_data);
	is_str(x.bytes, "early", "written during the handshake");
	hang_up(&x);
	finish();
	stop(&s);
}

/* As after STARTTLS: from within data(). */
static void
test_later(void)
{
	struct server s = { .cert = "good.pem", .greets = true };
	struct client x;

	start(&s);
	begin("ca.pem");
	memset(&x, 0, sizeof(x));
	x.ctx = ctx;
	x.starts_later = true;
	x.peer = (struct tls_peer){ .host = "mail.example.net",
	    .addr = &s.addr, .level = TLS_VERIFY };
	x.c = conn_open(loop, &s.addr, NULL, &ops, &x);
	turn_until(loop, &x.is_over);
	is_str(x.bytes, "220 go\r\n", "first in clear");
	ok(is_verified(&x), "then secured");
	say(&x, "EHLO");
	is_str(x.bytes, "EHLO", "bytes come back");
	hang_up(&x);

	memset(&x, 0, sizeof(x));
	x.ctx = ctx;
	x.starts_twice = true;
	x.peer = (struct tls_peer){ .host = "mail.example.net",
	    .addr = &s.addr, .level = TLS_VERIFY };
	x.c = conn_open(loop, &s.addr, NULL, &ops, &x);
	turn_until(loop, &x.is_over);
	is_int(x.error, EPROTO, "started twice: refused");
	is_int(x.nsecured, 0, "and not secured");
	hang_up(&x);
	finish();
	stop(&s);
}

static void
test_update(void)
{
	struct server s = { .cert = "good.pem", .act = UPDATE,
	    .version = TLS1_3_VERSION };
	struct client x;
	char text[32];
	int i, good = 0;

	start(&s);
	begin("ca.pem");
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	for (i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "line %d", i);
		say(&x, text);
		good += strcmp(x.bytes, text) == 0;
	}
	is_int(good, 20, "through key updates");
	hang_up(&x);
	finish();
	stop(&s);
}

/* ---- ends ---- */

static void
test_ragged(void)
{
	struct server s = { .cert = "good.pem", .act = RAGGED };
	struct client x;

	start(&s);
	begin("ca.pem");
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	say(&x, "bye");
	turn_until(loop, &x.is_closed);
	is_int(x.error, 0, "no close_notify: an end like another");
	is_int(x.fault, TLS_FAULT_TRUNCATED, "but told");
	hang_up(&x);
	conf.suppress_ragged_eofs = TLS_SAID_NO;
	dial(&x, &s, "mail.example.net", TLS_VERIFY);
	say(&x, "bye");
	turn_until(loop, &x.is_closed);
	is_int(x.error, EPROTO, "suppress_ragged_eofs = no: an error");
	is_str(x.why, "connection closed without close_notify", "why");
	is_str(x.bytes, "bye", "what came before is there");
	turn_some(loop);
	is_int(x.nclosed, 1, "told once");
	hang_up(&x);
	finish();
	stop(&s);
}

static void
test_failures(void)
{
	struct server s = { .cert = "good.pem", .act = GARBAGE };
	struct server s2 = { .cert = "good.pem", .act = HANG_UP };
	struct server s3 = { .cert = "good.pem", .version = TLS1_2_VERSION };
	struct server s4 = { .cert = NULL };
	struct server s5 = { .cert = "good.pem", .act = BABBLE };
	struct client x;

	start(&s);
	begin("ca.pem");
	dial(&x, &s, "mail.example.net", TLS_MAY);
	is_int(x.error, EPROTO, "garbage: closed");
	is_int(x.fault, TLS_FAULT_HANDSHAKE, "garbage: in the handshake");
	is_str(x.why, "the answer is not TLS (wrong version number)",
	    "garbage: why");
	hang_up(&x);
	stop(&s);
	start(&s2);
	dial(&x, &s2, "mail.example.net", TLS_MAY);
	is_int(x.error, EPROTO, "hung up: closed");
	is_str(x.why, "connection closed by the server", "hung up: why");
	hang_up(&x);
	stop(&s2);
	start(&s3);
	conf.ssl_version = TLS_VERSION_1_3;
	tls_ctx_free(ctx);
	ctx = new_ctx();
	dial(&x, &s3, "mail.example.net", TLS_MAY);
	is_str(x.why, "the server says: protocol version",
	    "no common version: why");
	hang_up(&x);
	stop(&s3);
	conf.ssl_version = TLS_VERSION_UNSET;
	tls_ctx_free(ctx);
	ctx = new_ctx();
	start(&s4);
	dial(&x, &s4, "mail.example.net", TLS_MAY);
	is_str(x.why, "the server says: handshake failure",
	    "a server without a certificate: why");
	hang_up(&x);
	stop(&s4);
	start(&s5);
	dial(&x, &s5, "mail.example.net", TLS_MAY);
	turn_until(loop, &x.is_closed);
	is_str(x.bytes, "hello", "a bad record: what came before is there");
	is_int(x.error, EPROTO, "a bad record: closed");
	is_int(x.fault, TLS_FAULT_BROKEN, "a bad record: told");
	diag("%s", x.why);
	hang_up(&x);
	finish();
	stop(&s5);
}

static void
test_stall(void)
{
	struct server s = { .cert = "good.pem", .act = STALL };
	struct client x;
	int before;

	start(&s);
	begin("ca.pem");
	before = count_fds();
	memset(&x, 0, sizeof(x));
	x.ctx = ctx;
	x.peer = (struct tls_peer){ .host = "a", .addr = &s.addr,
	    .level = TLS_MAY };
	x.c = conn_open(loop, &s.addr, NULL, &ops, &x);
	turn_for(loop, 100);
	ok(!x.is_over && conn_tls(x.c) == NULL, "a stalled handshake waits");
	hang_up(&x);
	is_int(count_fds(), before, "freed in the middle: closed");
	is_int((intmax_t)x.nclosed, 0, "freed in the middle: not told");
	finish();
	stop(&s);
}

static void
test_free_inside(void)
{
	struct server s = { .cert = "good.pem", .act = TELL };
	struct client x;

	start(&s);
	begin("ca.pem");
	memset(&x, 0, sizeof(x));
	x.ctx = ctx;
	x.frees_inside = true;
	x.peer = (struct tls_peer){ .host = "mail.example.net",
	    .addr = &s.addr, .level = TLS_MAY };
	x.c = conn_open(loop, &s.addr, NULL, &ops, &x);
	turn_until(loop, &x.is_over);
	ok(x.c == NULL, "freed by secured()");
	turn_some(loop);
	is_int(x.nbytes, 0, "no data after it");
	dial(&x, &s, "mail.example.net", TLS_MAY);
	x.frees_inside = true;
	turn_until(loop, &x.has_data);
	ok(x.c == NULL, "freed by data()");
	finish();
	stop(&s);
}

/* The peer goes while we write: what it said is read, then the end comes. */
static void
test_cut(void)
{
	struct server s = { .cert = "good.pem", .act = KEEP };
	struct client x;

	start(&s);
	begin("ca.pem");
	dial(&x, &s, "mail.example.net", TLS_MAY);
	ok(x.is_secured, "secured");
	usleep(50000);		/* it says hello meanwhile */
	stop(&s);
	usleep(20000);
	conn_write(x.c, "DATA", 4);
	usleep(20000);
	conn_write(x.c, "DATA", 4);
	conn_write(x.c, "DATA", 4);
	is_int(x.nclosed, 0, "cut: not inside the call");
	ok(turn_until(loop, &x.is_closed), "cut: closed");
	is_str(x.bytes, "hello", "cut: what it said came first");
	turn_some(loop);
	is_int(x.nclosed, 1, "cut: told once");
	hang_up(&x);
	finish();
}

/* ---- cost ---- */

static void
test_memory(const char *how, int64_t cache)
{
	enum { N = 100 };
	static struct client x[N];
	struct server s = { .cert = "good.pem", .act = KEEP };
	size_t before, each;
	int i, good = 0;

	start(&s);
	begin("ca.pem");
	conf.session_cache = cache;
	dial(&x[0], &s, "mail.example.net", TLS_VERIFY);
	turn_until(loop, &x[0].has_data);
	before = mallinfo2().uordblks;
	for (i = 1; i < N; i++) {
		dial(&x[i], &s, "mail.example.net", TLS_VERIFY);
		turn_until(loop, &x[i].has_data);
		good += is_verified(&x[i]);
	}
	each = (mallinfo2().uordblks - before) / (N - 1);
	is_int(good, N - 1, "%s: many idle connections", how);
	ok(each <= (size_t)24 * 1024, "%s: an idle connection takes at most "
	    "24 KiB", how);
	diag("%zu bytes each", each);
	for (i = 0; i < N; i++)
		conn_free(x[i].c);
	finish();
	stop(&s);
}

/* ---- options ---- */

static const struct opt_group groups[] = {
	{ tls_conf_rows, 0 },
	{ NULL, 0 }
};

static const struct opt_table table = {
	"test", groups, sizeof(struct tls_conf), NULL
};

static char said[1024];

static void
on_fault(void *arg, const char *name, const char *text)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s: %s", name, text);
}

/* "name=value name=value" as the options would be given; NULL: accepted. */
static struct opts *
given(const char *words, enum tls_agent agent)
{
	struct opts *o = opts_new(&table);
	struct opt_list list = { NULL, 0 };
	char *eq;
	size_t i;

	said[0] = '\0';
	opt_split_words(words, &list);
	for (i = 0; i < list.n && said[0] == '\0'; i++) {
		eq = strchr(list.v[i], '=');
		*eq = '\0';
		opts_set(o, list.v[i], eq + 1, OPTS_LAST, said, sizeof(said));
	}
	opt_list_clear(&list);
	if (said[0] == '\0' && opts_finish(o, on_fault, NULL) == 0)
		tls_conf_check(opts_values(o), agent, on_fault, NULL);
	return o;
}

static const char *
policy(const char *words, enum tls_agent agent, const char *address)
{
	struct opts *o = given(words, agent);
	struct tls_policy p;
	struct addr a;

	if (*address == '/')
		addr_unix(&a, address);
	else
		addr_parse(&a, address, 25);
	p = tls_policy_of(opts_values(o), agent, &a);
	opts_free(o);
	return said[0] != '\0' ? said : tls_policy_text(&p);
}

/* What the recipient's domain asks for, and a message that waives it. */
static void
test_waiver(void)
{
	static const struct {
		const char *words;
		enum tls_level asked;
		const char *joined, *waived;
	} rows[] = {
		{ "", TLS_NONE, "may", "may" },
		{ "", TLS_REQUIRE, "require", "may" },
		{ "", TLS_VERIFY, "verify", "may" },
		{ "tls_mode=none", TLS_VERIFY, "none", "none" },
		{ "tls_mode=require", TLS_NONE, "require", "require" },
		{ "tls_mode=require", TLS_VERIFY, "verify", "require" },
		{ "tls_mode=verify", TLS_MAY, "verify", "verify" },
		{ "tls_mode=require tls_required_header=honour", TLS_VERIFY,
		    "verify", "may" },
		{ "tls_mode=verify tls_required_header=honor", TLS_NONE,
		    "verify", "may" },
		{ "tls_mode=none tls_required_header=honour", TLS_VERIFY,
		    "none", "none" },
		{ "tls_required_header=ignore", TLS_VERIFY, "verify",
		    "verify" },
		{ "tls_mode=verify tls_required_header=ignore", TLS_NONE,
		    "verify", "verify" },
		{ "tls_mode=wrapper tls.cert_reqs=2 "
		    "tls_required_header=honour", TLS_NONE, "verify wrapper",
		    "require wrapper" },
	};
	struct tls_policy joined, waived;
	struct opts *o;
	struct addr a;
	size_t i;

	addr_parse(&a, "192.0.2.1", 25);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		o = given(rows[i].words, TLS_FOR_HOST);
		joined = waived = tls_policy_of(opts_values(o), TLS_FOR_MX,
		    &a);
		ok(tls_policy_hears_waiver(&joined, rows[i].asked,
		    opts_values(o)) ||
		    strcmp(rows[i].joined, rows[i].waived) == 0,
		    "a waiver is looked for where it matters");
		tls_policy_join(&joined, rows[i].asked, opts_values(o), false);
		tls_policy_join(&waived, rows[i].asked, opts_values(o), true);
		is_str(tls_policy_text(&joined), rows[i].joined,
		    "\"%s\", the domain asks for %d", rows[i].words,
		    rows[i].asked);
		is_str(tls_policy_text(&waived), rows[i].waived,
		    "\"%s\", %d, and the message waives it", rows[i].words,
		    rows[i].asked);
		opts_free(o);
	}
}

static void
test_policy(void)
{
	static const struct {
		const char *words, *host, *mx;
	} rows[] = {
		{ "", "may", "may" },
		{ "tls_mode=none", "none", "none" },
		{ "tls_mode=none tls=yes", "none", "none" },
		{ "tls=no", "none", "none" },
		{ "tls={}", "verify", "may" },
		{ "tls.suppress_ragged_eofs=true", "verify", "may" },
		{ "tls.server_side=false", "verify", "may" },
		{ "tls.cert_reqs=CERT_NONE", "may", "may" },
		{ "tls.cert_reqs=1", "may", "may" },
		{ "tls.cert_reqs=cert_required", "verify", "verify" },
		{ "tls_mode=encrypt", "require", "require" },
		{ "tls_mode=secure", "verify", "verify" },
		{ "tls_mode=wrapper", "require wrapper", "require wrapper" },
		{ "tls_mode=wrapper tls.cert_reqs=2", "verify wrapper",
		    "verify wrapper" },
		{ "tls_mode=wrapper tls.match=a.example", "verify wrapper",
		    "verify wrapper" },
		{ "tls.ssl_version=PROTOCOL_TLSv1_2", "verify", "may" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_str(policy(rows[i].words, TLS_FOR_HOST, "192.0.2.1"),
		    rows[i].host, "named host: \"%s\"", rows[i].words);
		is_str(policy(rows[i].words, TLS_FOR_MX, "2001:db8::1"),
		    rows[i].mx, "MX: \"%s\"", rows[i].words);
	}
	is_str(policy("tls=yes", TLS_FOR_HOST, "/run/lmtp"), "none",
	    "a UNIX socket");
}

static void
test_policy_dane(void)
{
	struct tls_conf asked = { .mode = TLS_MODE_DANE };
	struct tls_policy p;
	struct addr a;

	is_str(policy("tls_mode=dane", TLS_FOR_MX, "192.0.2.1"), "dane",
	    "MX: dane");
	is_str(policy("tls_mode=dane-only", TLS_FOR_MX, "192.0.2.1"),
	    "dane-only", "MX: dane-only");
	ok(strstr(policy("tls_mode=dane", TLS_FOR_HOST, "192.0.2.1"),
	    "need smtp-mx") != NULL, "%s", said);
	ok(strstr(policy("tls_mode=dane-only", TLS_FOR_HOST, "192.0.2.1"),
	    "need smtp-mx") != NULL, "%s", said);
	policy("tls_mode=dane tls.cert_reqs=CERT_REQUIRED", TLS_FOR_MX,
	    "192.0.2.1");
	ok(said[0] != '\0', "two answers to one question: %s", said);
	policy("tls_mode=dane tls.fingerprints=" DIGEST, TLS_FOR_MX,
	    "192.0.2.1");
	ok(said[0] != '\0', "or fingerprints: %s", said);

	addr_parse(&a, "192.0.2.1", 25);
	p = tls_policy_of(&asked, TLS_FOR_MX, &a);
	ok(p.level == TLS_MAY && p.dane == TLS_DANE_MAY,
	    "dane: may, where there are no records");
	asked.mode = TLS_MODE_DANE_ONLY;
	p = tls_policy_of(&asked, TLS_FOR_MX, &a);
	ok(p.level == TLS_VERIFY && p.dane == TLS_DANE_MUST,
	    "dane-only: nobody gets in by mistake");
	addr_unix(&a, "/run/lmtp");
	p = tls_policy_of(&asked, TLS_FOR_MX, &a);
	ok(p.level == TLS_NONE && p.dane == TLS_DANE_OFF, "a UNIX socket");
}

static void
test_options(void)
{
	static const char *const bad[] = {
		"tls.cafile=x", "tls.certfile=/nonexistent",
		"tls.ssl_version=PROTOCOL_SSLv3",
		"tls.ssl_version=PROTOCOL_TLSv1_1", "tls.server_side=true",
		"tls.cert_reqs=3", "tls.fingerprints=abcd",
		"tls.match=*.example", "tls_mode=dane", "tls_mode=fingerprint",
		"tls_mode=verify tls.cert_reqs=CERT_NONE",
		"tls_mode=may tls.cert_reqs=CERT_REQUIRED",
		"tls.ciphers=NOSUCH", "tls.ciphersuites=NOSUCH",
	};
	char words[512];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts_free(given(bad[i], TLS_FOR_HOST));
		ok(said[0] != '\0', "refused: %s", bad[i]);
		diag("%s", said);
	}
	snprintf(words, sizeof(words), "tls.certfile=%s tls.keyfile=%s",
	    at("good.pem"), at("client.pem"));
	opts_free(given(words, TLS_FOR_HOST));
	ok(strstr(said, "key values mismatch") != NULL, "%s", said);
	snprintf(words, sizeof(words), "tls.certfile=%s", at("ca.pem"));
	opts_free(given(words, TLS_FOR_HOST));
	ok(said[0] != '\0', "no key: %s", said);
	snprintf(words, sizeof(words), "tls.certfile=%s", at("locked.pem"));
	opts_free(given(words, TLS_FOR_HOST));
	ok(said[0] != '\0', "an encrypted key: %s", said);
	snprintf(words, sizeof(words), "tls.keyfile=%s", at("client.pem"));
	opts_free(given(words, TLS_FOR_HOST));
	ok(said[0] != '\0', "a key alone: %s", said);
	snprintf(words, sizeof(words), "tls.certfile=%s tls.ca_certs=%s "
	    "tls.ciphers=ECDHE-ECDSA-AES128-GCM-SHA256 "
	    "tls.ciphersuites=TLS_AES_128_GCM_SHA256 tls.ktls=yes "
	    "tls.do_handshake_on_connect=1 tls.fingerprints=%s",
	    at("client.pem"), at("ca.pem"), good_key_print);
	opts_free(given(words, TLS_FOR_HOST));
	is_str(said, "", "all of them");
}

static void
clear_folder(void)
{
	static const char *const names[] = { "ca.pem", "other-ca.pem",
	    "good.pem", "old.pem", "self.pem", "wild.pem", "evil.pem",
	    "client.pem", "locked.pem", "socket" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(at(names[i]));
	rmdir(folder);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	if (mkdtemp(folder) == NULL)
		diag("%s: %s", folder, strerror(errno));
	make_certs();
	loop = loop_new();
	test_hello(TLS1_2_VERSION, "TLSv1.2");
	test_hello(TLS1_3_VERSION, "TLSv1.3");
	test_verify();
	test_names();
	test_fingerprints();
	test_not_looked_at();
	test_client_cert();
	test_resume();
	test_big(TLS1_2_VERSION);
	test_big(TLS1_3_VERSION);
	test_early();
	test_later();
	test_update();
	test_ragged();
	test_failures();
	test_stall();
	test_free_inside();
	test_cut();
	test_memory("sessions resumed", TLS_SESSION_CACHE);
	test_memory("sessions not resumed", 0);
	test_policy();
	test_policy_dane();
	test_waiver();
	test_options();
	turn_some(loop);
	loop_free(loop);
	clear_folder();
	return done_testing();
}
