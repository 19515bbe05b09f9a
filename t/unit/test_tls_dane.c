/*
 * test_tls_dane.c - which certificates TLSA records let in, against servers of
 * OpenSSL in child processes; and the set of records itself.
 */
#include "net/tls_dane.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"
#include "net/tls.h"
#include "net_test.h"
#include "tls_test.h"

#define DAY	86400

static struct loop *loop;
static struct tls_conf conf;
static struct tls_ctx *ctx;

/* ---- certificates ---- */

/* Of mail.example.net: signed by the CA; the other names speak for
 * themselves. */
static struct pair ca, middle, leaf, below, old, wrong, alone, twin;

static void
make_certs(void)
{
	static const char san[] = "DNS:mail.example.net";

	ca = make_cert("Test CA", NULL, NULL, -DAY, DAY);
	middle = make_cert("Middle CA", NULL, &ca, -DAY, DAY);
	leaf = make_cert("leaf", san, &ca, -DAY, DAY);
	below = make_cert("below", san, &middle, -DAY, DAY);
	old = make_cert("old", san, &ca, -2 * DAY, -DAY);
	wrong = make_cert("wrong", "DNS:other.example,DNS:*.test.example", &ca,
	    -DAY, DAY);
	alone = make_cert("alone", "DNS:nobody.example", NULL, -2 * DAY, -DAY);
	twin = make_cert("twin", san, NULL, -DAY, DAY);
}

static void
free_certs(void)
{
	struct pair *all[] = { &ca, &middle, &leaf, &below, &old, &wrong,
	    &alone, &twin };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free_pair(all[i]);
}

/* ---- records ---- */

struct record {
	unsigned	 usage, selector, matching;
	const struct pair *of;
};

#define RECORD_MAX	4096

/* What RFC 6698 §2.1.4 wants of this certificate. */
static size_t
record_data(const struct record *r, uint8_t data[RECORD_MAX])
{
	unsigned char *der = NULL;
	unsigned got = 0;
	int n = r->selector == 1 ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(
	    r->of->cert), &der) : i2d_X509(r->of->cert, &der);

	if (r->matching == 0) {
		memcpy(data, der, (size_t)n);
		got = (unsigned)n;
	} else
		EVP_Digest(der, (size_t)n, data, &got, r->matching == 2 ?
		    EVP_sha512() : EVP_sha256(), NULL);
	OPENSSL_free(der);
	return got;
}

static bool
add(struct tls_dane *d, const struct record *r)
{
	uint8_t data[RECORD_MAX];
	const char *why;
	size_t n = record_data(r, data);

	return tls_dane_add(d, (uint8_t)r->usage, (uint8_t)r->selector,
	    (uint8_t)r->matching, data, n, &why);
}

/* ---- the server ---- */

struct server {
	const struct pair *shown;
	const struct pair *above[3];	/* further certificates it sends */
	struct addr	 addr;
	pid_t		 pid;
};

/* Tells the name it was asked for. */
static void
serve(const struct server *s, int fd)
{
	SSL_CTX *sc = SSL_CTX_new(TLS_server_method());
	const char *name;
	size_t i;
	SSL *ssl;
	char c;
	int at;

	SSL_CTX_use_certificate(sc, s->shown->cert);
	SSL_CTX_use_PrivateKey(sc, s->shown->key);
	SSL_CTX_set_mode(sc, SSL_MODE_AUTO_RETRY);
	for (i = 0; i < 3 && s->above[i] != NULL; i++)
		SSL_CTX_add1_chain_cert(sc, s->above[i]->cert);
	/* Nothing but what was said: not what it finds for itself. */
	SSL_CTX_set_mode(sc, SSL_MODE_NO_AUTO_CHAIN);
	for (;;) {
		at = accept(fd, NULL, NULL);
		ssl = SSL_new(sc);
		SSL_set_fd(ssl, at);
		if (SSL_accept(ssl) == 1) {
			name = SSL_get_servername(ssl,
			    TLSEXT_NAMETYPE_host_name);
			if (name == NULL)
				name = "(none)";
			SSL_write(ssl, name, (int)strlen(name));
			while (SSL_read(ssl, &c, 1) > 0)
				;
		}
		SSL_free(ssl);
		close(at);
	}
}

static void
start(struct server *s)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr_parse(&s->addr, "127.0.0.1", 0);
	if (bind(fd, &s->addr.u.sa, s->addr.len) == -1 ||
	    listen(fd, 16) == -1 ||
	    getsockname(fd, &s->addr.u.sa, &s->addr.len) == -1) {
		diag("server: %s", strerror(errno));
		exit(1);
	}
	if ((s->pid = fork()) == 0)
		serve(s, fd);
	close(fd);
}

static void
stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

/* ---- the client ---- */

struct client {
	struct conn	*c;
	struct tls_peer	 peer;
	bool		 is_secured, is_over, has_name;
	enum tls_fault	 fault;
	enum tls_cert_fault cert_fault;
	char		 why[1024];
	char		 name[256];	/* the server was asked for */
	char		 as[300];
	bool		 is_resumed;
};

static void
on_opened(void *arg)
{
	struct client *x = arg;

	conn_start_tls(x->c, ctx, &x->peer);
}

static void
on_secured(void *arg)
{
	struct client *x = arg;

	x->is_secured = true;
	x->is_resumed = conn_tls(x->c)->is_resumed;
	if (conn_tls(x->c)->cert != NULL)
		snprintf(x->as, sizeof(x->as), "%s",
		    conn_tls(x->c)->cert->verified_as);
}

static void
on_data(void *arg, const char *p, size_t n)
{
	struct client *x = arg;

	snprintf(x->name, sizeof(x->name), "%.*s", (int)n, p);
	x->is_over = true;
}

static void
on_closed(void *arg, int error)
{
	struct client *x = arg;
	const char *why;

	(void)error;
	x->is_over = true;
	x->fault = conn_tls_fault(x->c, &why);
	x->cert_fault = conn_tls_cert_fault(x->c);
	snprintf(x->why, sizeof(x->why), "%s", why);
}

static const struct conn_ops ops = {
	.opened = on_opened,
	.data = on_data,
	.closed = on_closed,
	.secured = on_secured,
};

/* One connection, from its begin to its end. */
static void
dial(struct client *x, const struct server *s, struct tls_dane *dane,
    enum tls_level level)
{
	memset(x, 0, sizeof(*x));
	x->peer = (struct tls_peer){ .host = "host.example", .addr = &s->addr,
	    .level = level, .dane = dane };
	x->c = conn_open(loop, &s->addr, NULL, &ops, x);
	turn_until(loop, &x->is_over);
	conn_free(x->c);
	x->c = NULL;
	turn_some(loop);
}

/* ---- who is let in ---- */

struct row {
	const char	*name;
	const struct server *at;
	struct record	 records[3];
	const char	*names[4];
	const char	*as;		/* NULL: refused */
	enum tls_cert_fault fault;
	const char	*why;		/* a part of the text */
};

#define MAIL	{ "mail.example.net" }

/* With the chain; without it; and so on. */
static struct server full = { .shown = &leaf, .above = { &ca } },
    bare = { .shown = &leaf },
    longer = { .shown = &below, .above = { &middle, &ca } },
    expired = { .shown = &old, .above = { &ca } },
    renamed = { .shown = &wrong, .above = { &ca } },
    private = { .shown = &alone };

static const struct row rows[] = {
	{ "3 1 1, the key", &full, { { 3, 1, 1, &leaf } }, MAIL, "dane",
	    0, NULL },
	{ "3 0 1, the certificate", &full, { { 3, 0, 1, &leaf } }, MAIL,
	    "dane", 0, NULL },
	{ "3 1 2, by SHA-512", &full, { { 3, 1, 2, &leaf } }, MAIL, "dane",
	    0, NULL },
	{ "3 0 0, all of the certificate", &full, { { 3, 0, 0, &leaf } },
	    MAIL, "dane", 0, NULL },
	{ "3 1 0, all of the key", &full, { { 3, 1, 0, &leaf } }, MAIL,
	    "dane", 0, NULL },
	{ "3 1 1 of another key", &full, { { 3, 1, 1, &twin } }, MAIL, NULL,
	    TLS_CERT_DANE, "the TLSA record of mail.example.net does not match" },
	{ "3 0 1 of another certificate", &full, { { 3, 0, 1, &twin } },
	    MAIL, NULL, TLS_CERT_DANE, "does not match" },
	{ "3 1 1 of the CA is not that of the server", &full,
	    { { 3, 1, 1, &ca } }, MAIL, NULL, TLS_CERT_DANE, "does not match" },
	{ "3 1 1: expired, another name, signed by itself (RFC 7672 3.1.1)",
	    &private, { { 3, 1, 1, &alone } }, MAIL, "dane", 0, NULL },
	{ "3 0 1: expired", &expired, { { 3, 0, 1, &old } }, MAIL, "dane",
	    0, NULL },
	{ "3 1 1: another name", &renamed, { { 3, 1, 1, &wrong } }, MAIL,
	    "dane", 0, NULL },
	{ "a key to come beside the present one", &full,
	    { { 3, 1, 1, &twin }, { 3, 1, 1, &leaf } }, MAIL, "dane",
	    0, NULL },
	{ "2 0 1, the CA", &full, { { 2, 0, 1, &ca } }, MAIL,
	    "dane-ta:mail.example.net", 0, NULL },
	{ "2 1 1, the CA's key", &full, { { 2, 1, 1, &ca } }, MAIL,
	    "dane-ta:mail.example.net", 0, NULL },
	{ "2 0 2, by SHA-512", &full, { { 2, 0, 2, &ca } }, MAIL,
	    "dane-ta:mail.example.net", 0, NULL },
	{ "2 1 1 in the middle of the chain", &longer,
	    { { 2, 1, 1, &middle } }, MAIL, "dane-ta:mail.example.net",
	    0, NULL },
	{ "2 0 1 at the end of a longer chain", &longer,
	    { { 2, 0, 1, &ca } }, MAIL, "dane-ta:mail.example.net", 0, NULL },
	{ "2 0 1 of a CA that the server does not send (RFC 7672 3.1.2)",
	    &bare, { { 2, 0, 1, &ca } }, MAIL, NULL, TLS_CERT_DANE,
	    "does not match" },
	{ "2 0 0 has the CA in it: nothing need be sent", &bare,
	    { { 2, 0, 0, &ca } }, MAIL, "dane-ta:mail.example.net", 0, NULL },
	{ "2 1 0, the CA's key in it", &bare, { { 2, 1, 0, &ca } }, MAIL,
	    "dane-ta:mail.example.net", 0, NULL },
	{ "2 0 1 of another CA", &full, { { 2, 0, 1, &middle } }, MAIL, NULL,
	    TLS_CERT_DANE, "does not match" },
	{ "2 0 1: another name", &renamed, { { 2, 0, 1, &ca } }, MAIL, NULL,
	    TLS_CERT_NAME, "certificate is for other.example, *.test.example, not "
	    "for mail.example.net" },
	{ "2 0 1: the next-hop domain's name (RFC 7672 3.2.2)", &renamed,
	    { { 2, 0, 1, &ca } }, { "mx.example.net", "other.example" },
	    "dane-ta:other.example", 0, NULL },
	{ "2 0 1: the third name", &full, { { 2, 0, 1, &ca } },
	    { "mx.example.net", "a.example", "mail.example.net" },
	    "dane-ta:mail.example.net", 0, NULL },
	{ "2 0 1: a wildcard", &renamed, { { 2, 0, 1, &ca } },
	    { "q.test.example" }, "dane-ta:q.test.example", 0, NULL },
	{ "2 0 1: a wildcard is of one label", &renamed,
	    { { 2, 0, 1, &ca } }, { "a.q.test.example" }, NULL, TLS_CERT_NAME,
	    "not for a.q.test.example" },
	{ "2 0 1: expired", &expired, { { 2, 0, 1, &ca } }, MAIL, NULL,
	    TLS_CERT_EXPIRED, "expired" },
	{ "2 0 1: expired, but 3 1 1 matches", &expired,
	    { { 2, 0, 1, &ca }, { 3, 1, 1, &old } }, MAIL, "dane", 0, NULL },
	{ "usage 1 beside one of 3 is left out", &full,
	    { { 1, 1, 1, &leaf }, { 3, 1, 1, &leaf } }, MAIL, "dane",
	    0, NULL },
	{ "usage 0 and 1 that match beside one of 3 that does not", &full,
	    { { 0, 0, 1, &ca }, { 1, 1, 1, &leaf }, { 3, 1, 1, &twin } },
	    MAIL, NULL, TLS_CERT_DANE, "the TLSA record of mail.example.net" },
	{ "the strongest digest decides (RFC 7671 9)", &full,
	    { { 3, 1, 1, &leaf }, { 3, 1, 2, &twin } }, MAIL, NULL,
	    TLS_CERT_DANE, "none of the 2" },
	{ "each usage and selector has its strongest", &full,
	    { { 3, 1, 1, &leaf }, { 3, 0, 2, &twin } }, MAIL, "dane",
	    0, NULL },
};

static void
try_row(const struct row *row)
{
	struct tls_dane *d = tls_dane_new(row->names);
	struct client x;
	size_t i;

	for (i = 0; i < 3 && row->records[i].of != NULL; i++)
		if (add(d, &row->records[i]) != (row->records[i].usage >= 2))
			diag("record %zu", i);
	/* The level is the least that there is: records make it more. */
	dial(&x, row->at, d, TLS_MAY);
	if (row->as != NULL) {
		is_str(x.as, row->as, "%s", row->name);
		is_str(x.name, row->names[0], "... asked for by its base");
		if (!x.is_secured)
			diag("%s", x.why);
	} else {
		ok(!x.is_secured && x.fault == TLS_FAULT_CERT &&
		    x.cert_fault == row->fault &&
		    strstr(x.why, row->why) != NULL, "%s: refused: %s",
		    row->name, x.why);
		if (x.cert_fault != row->fault)
			diag("fault %d", x.cert_fault);
	}
	tls_dane_unref(d);
}

static void
test_rows(void)
{
	struct server *all[] = { &full, &bare, &longer, &expired, &renamed,
	    &private };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		start(all[i]);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		try_row(&rows[i]);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		stop(all[i]);
}

/* Trusted certificates and fingerprints are no way around the records. */
static void
test_nothing_else(void)
{
	static const char *const names[] = { "mail.example.net", NULL };
	struct tls_dane *none = tls_dane_new(names), *other;
	char path[] = "/tmp/test_tls_dane.XXXXXX";
	struct tls_ctx *plain = ctx;
	struct client x;
	char error[512];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	PEM_write_X509(f, ca.cert);
	fclose(f);
	conf.ca_certs = path;
	ctx = tls_ctx_new(&conf, error, sizeof(error));
	start(&full);

	dial(&x, &full, none, TLS_MAY);
	ok(!x.is_secured && x.fault == TLS_FAULT_CERT, "a set of no records "
	    "lets nobody in: %s", x.why);
	is_int(x.cert_fault, TLS_CERT_BAD, "... a fault of no certificate");

	other = tls_dane_new(names);
	add(other, &(struct record){ 3, 1, 1, &twin });
	x.peer.names = names;
	dial(&x, &full, other, TLS_VERIFY);
	ok(!x.is_secured && x.cert_fault == TLS_CERT_DANE,
	    "nor does a trusted certificate of that name");
	tls_dane_unref(other);

	stop(&full);
	tls_ctx_free(ctx);
	ctx = plain;
	conf.ca_certs = NULL;
	unlink(path);
	tls_dane_unref(none);
}

/* A session made under other records, or under none, is worth nothing. */
static void
test_sessions(void)
{
	static const char *const names[] = { "mail.example.net", NULL };
	static const char *const others[] = { "mail.example.net",
	    "example.net", NULL };
	struct tls_dane *d = tls_dane_new(names), *same = tls_dane_new(names),
	    *more = tls_dane_new(names), *wider = tls_dane_new(others);
	struct client x;

	add(d, &(struct record){ 3, 1, 1, &leaf });
	add(same, &(struct record){ 3, 1, 1, &leaf });
	add(more, &(struct record){ 3, 1, 1, &leaf });
	add(more, &(struct record){ 3, 1, 1, &twin });
	add(wider, &(struct record){ 3, 1, 1, &leaf });
	start(&full);
	dial(&x, &full, NULL, TLS_REQUIRE);
	ok(x.is_secured && !x.is_resumed, "a session without records");
	dial(&x, &full, d, TLS_REQUIRE);
	ok(x.is_secured && !x.is_resumed, "is not taken up with some");
	dial(&x, &full, same, TLS_REQUIRE);
	ok(x.is_secured && x.is_resumed, "the same records: taken up");
	is_str(x.as, "dane", "... and as well verified");
	dial(&x, &full, more, TLS_REQUIRE);
	ok(x.is_secured && !x.is_resumed, "other records: not");
	dial(&x, &full, wider, TLS_REQUIRE);
	ok(x.is_secured && !x.is_resumed, "other names: not");
	dial(&x, &full, NULL, TLS_REQUIRE);
	ok(x.is_secured && x.is_resumed, "none again: the first one");
	stop(&full);
	tls_dane_unref(d);
	tls_dane_unref(same);
	tls_dane_unref(more);
	tls_dane_unref(wider);
}

/* ---- the set ---- */

static void
test_unusable(void)
{
	static const char *const names[] = { "a.example", NULL };
	static const uint8_t zeros[70000];
	static const struct {
		const char *name;
		unsigned usage, selector, matching;
		size_t len;
	} cases[] = {
		{ "usage 0", 0, 0, 1, 32 }, { "usage 1", 1, 1, 1, 32 },
		{ "usage 4", 4, 1, 1, 32 }, { "usage 255", 255, 1, 1, 32 },
		{ "selector 2", 3, 2, 1, 32 }, { "matching 3", 3, 1, 3, 32 },
		{ "no data", 3, 1, 1, 0 }, { "no data in full", 3, 0, 0, 0 },
		{ "SHA-256 of 31 bytes", 3, 1, 1, 31 },
		{ "SHA-256 of 33 bytes", 3, 1, 1, 33 },
		{ "SHA-512 of 32 bytes", 3, 1, 2, 32 },
		{ "no certificate", 3, 0, 0, 32 },
		{ "no key", 2, 1, 0, 32 },
		{ "a record of 69,000 bytes", 3, 0, 0, 69000 },
	};
	struct tls_dane *d = tls_dane_new(names);
	uint8_t data[RECORD_MAX];
	const char *why;
	bool is_taken;
	size_t i, n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		is_taken = tls_dane_add(d, (uint8_t)cases[i].usage,
		    (uint8_t)cases[i].selector, (uint8_t)cases[i].matching,
		    zeros, cases[i].len, &why);
		ok(!is_taken && why != NULL, "%s: %s", cases[i].name,
		    why != NULL ? why : "?");
	}
	n = record_data(&(struct record){ 3, 0, 0, &leaf }, data);
	ok(!tls_dane_add(d, 3, 0, 0, data, n + 1, &why),
	    "a certificate and a byte");
	ok(!tls_dane_add(d, 3, 0, 0, data, n - 1, &why),
	    "a certificate but for a byte");
	ok(!tls_dane_add(d, 3, 1, 0, data, n, &why),
	    "a certificate in place of a key");
	is_int((int)d->n, 0, "none is in the set");
	tls_dane_unref(d);
}

static void
test_set(void)
{
	static const char *const names[] = { "a.example", "b.example", NULL };
	static const char *const swapped[] = { "b.example", "a.example",
	    NULL };
	static const char *const many[] = { "1", "2", "3", "4", "5", "6", "7",
	    "8", "9", NULL };
	const struct record one = { 3, 1, 1, &leaf }, two = { 2, 0, 1, &ca };
	struct tls_dane *d = tls_dane_new(names), *e = tls_dane_new(names),
	    *f = tls_dane_new(swapped), *g = tls_dane_new(many);
	char text[128], first[65];
	uint8_t hash[32] = { 0 };
	const char *why = NULL;
	bool is_taken = true;
	size_t i;

	add(d, &one);
	snprintf(first, sizeof(first), "%s", tls_dane_digest(d));
	is_int((int)strlen(first), 64, "a digest of 64 digits");
	add(d, &two);
	ok(strcmp(first, tls_dane_digest(d)) != 0, "another with a record");
	add(e, &two);
	add(e, &one);
	ok(add(e, &two), "a record that is there already");
	is_int((int)e->n, 2, "... is there once");
	is_str(tls_dane_digest(d), tls_dane_digest(e),
	    "the order of records does not matter");
	add(f, &one);
	add(f, &two);
	ok(strcmp(tls_dane_digest(e), tls_dane_digest(f)) != 0,
	    "the order of names does: the first is the base");

	for (i = 0; i < TLS_DANE_RECORDS_MAX; i++) {
		hash[0] = (uint8_t)(i * 37);
		if (!tls_dane_add(g, 3, 1, 1, hash, 32, &why))
			is_taken = false;
	}
	ok(is_taken, "%d records", TLS_DANE_RECORDS_MAX);
	hash[1] = 1;
	is_taken = tls_dane_add(g, 3, 1, 1, hash, 32, &why);
	ok(!is_taken, "not one more: %s", why);
	is_str(g->names[7], "8", "eight names");
	is_str(g->names[8], NULL, "... and no more");
	is_str(tls_tlsa_text(&g->records[0], text, sizeof(text)),
	    "3 1 1 0000000000000000000000000000000000000000...", "a text");

	ok(tls_dane_ref(d) == d && tls_dane_ref(NULL) == NULL, "references");
	tls_dane_unref(d);
	tls_dane_unref(d);
	tls_dane_unref(e);
	tls_dane_unref(f);
	tls_dane_unref(g);
	tls_dane_unref(NULL);
}

int
main(void)
{
	char error[512];

	signal(SIGPIPE, SIG_IGN);
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	setenv("SSL_CERT_DIR", "/nonexistent", 1);
	make_certs();
	loop = loop_new();
	conf.session_cache = TLS_SESSION_CACHE;
	ctx = tls_ctx_new(&conf, error, sizeof(error));
	test_rows();
	test_nothing_else();
	test_sessions();
	test_unusable();
	test_set();
	turn_some(loop);
	tls_ctx_free(ctx);
	loop_free(loop);
	free_certs();
	return done_testing();
}
