/*
 * test_dane.c - RFC 7672 row by row, against a resolver that is a table: the
 * functions of dns.h that dane.c calls are the ones below.
 */
#include "route/dane.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net_test.h"

#define WORD_MAX	300
#define LINE_SIZE	1000

/*
 * One line a question, "mx.example A secure":
 *	NAME TYPE secure|insecure|failed|nodata|nxdomain [=END] [U S M LEN]...
 * U S M LEN are a TLSA record with that many bytes.
 */
struct script {
	const char	*lines[8];
};

struct dns_query {
	struct later	 later;
	dns_cb		*cb;
	void		*arg;
	char		 name[300];
	enum dns_type	 type;
};

static struct loop *loop;
static const struct script *script;
static bool is_cached, is_trusted = true;
static unsigned nasked, npeeked, ncancelled, nunknown;

static const char *const type_names[] = { "A", "AAAA", "MX", "TXT", "TLSA",
    "CNAME" };

/* ---- the resolver ---- */

static struct dns_answer answer;
static char asked_name[300], end_name[300];
static struct dns_tlsa tlsa[80];
static struct addr addrs[1];

static size_t
split(char *line, char *words[WORD_MAX])
{
	size_t n = 0;
	char *save, *w;

	for (w = strtok_r(line, " ", &save); w != NULL && n < WORD_MAX;
	    w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	return n;
}

static void
fill_records(char *words[], size_t n)
{
	static uint8_t data[80][100];
	size_t i;

	for (i = 0; i + 3 < n && answer.n < 80; i += 4) {
		data[answer.n][0] = (uint8_t)answer.n;
		tlsa[answer.n] = (struct dns_tlsa){
			.usage = (uint8_t)atoi(words[i]),
			.selector = (uint8_t)atoi(words[i + 1]),
			.matching = (uint8_t)atoi(words[i + 2]),
			.data = data[answer.n],
			.len = (size_t)atoi(words[i + 3]) };
		answer.n++;
	}
	answer.tlsa = tlsa;
}

static void
fill(const char *name, enum dns_type type, char *words[], size_t n)
{
	size_t i = 3;

	memset(&answer, 0, sizeof(answer));
	snprintf(asked_name, sizeof(asked_name), "%s", name);
	snprintf(end_name, sizeof(end_name), "%s", name);
	answer.type = type;
	answer.asked = asked_name;
	answer.name = end_name;
	answer.error = answer.server = "";
	answer.is_secure = strcmp(words[2], "insecure") != 0;
	if (strcmp(words[2], "failed") == 0) {
		answer.status = DNS_FAILED;
		answer.is_secure = false;
		answer.error = "server failure";
	} else if (strcmp(words[2], "nodata") == 0)
		answer.status = DNS_NO_DATA;
	else if (strcmp(words[2], "nxdomain") == 0)
		answer.status = DNS_NO_NAME;
	if (i < n && words[i][0] == '=') {
		snprintf(end_name, sizeof(end_name), "%s", words[i++] + 1);
		answer.is_alias = true;
	}
	if (type == DNS_TLSA)
		fill_records(words + i, n - i);
	else if (answer.status == DNS_OK) {
		answer.n = 1;
		answer.addrs = addrs;
	}
}

static const struct dns_answer *
look_up(const char *name, enum dns_type type)
{
	static char line[LINE_SIZE];
	char *words[WORD_MAX];
	size_t i, n;

	for (i = 0; i < 8 && script->lines[i] != NULL; i++) {
		snprintf(line, sizeof(line), "%s", script->lines[i]);
		n = split(line, words);
		if (n < 3 || strcmp(words[0], name) != 0 ||
		    strcmp(words[1], type_names[type]) != 0)
			continue;
		fill(name, type, words, n);
		return &answer;
	}
	diag("nobody should ask for %s %s", name, type_names[type]);
	nunknown++;
	return NULL;
}

bool
dns_can_be_secure(const struct dns *dns)
{
	(void)dns;
	return is_trusted;
}

const struct dns_answer *
dns_peek(struct dns *dns, const char *name, enum dns_type type)
{
	(void)dns;
	if (!is_cached)
		return NULL;
	npeeked++;
	return look_up(name, type);
}

static void
on_turn(void *arg)
{
	struct dns_query *q = arg;
	const struct dns_answer *a = look_up(q->name, q->type);

	if (a == NULL) {
		char none[] = "x", failed[] = "failed", *words[] = { none,
		    none, failed };

		fill(q->name, q->type, words, 3);
		a = &answer;
	}
	q->cb(q->arg, a);
	free(q);
}

struct dns_query *
dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_cb *cb,
    void *arg)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));

	(void)dns;
	nasked++;
	q->cb = cb;
	q->arg = arg;
	q->type = type;
	snprintf(q->name, sizeof(q->name), "%s", name);
	later_init(&q->later, on_turn, q);
	loop_later(loop, &q->later);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	ncancelled++;
	loop_forget(loop, &q->later);
	free(q);
}

/* ---- rows ---- */

struct row {
	const char	*name;
	struct script	 script;
	enum dane_result result;
	const char	*base;		/* NULL: mx.example */
	const char	*why;
	int		 is_mx_insecure, wants_insecure_mx;	/* bools */
};

#define SIGNED_A	"mx.example A secure", "mx.example AAAA nodata"
#define TLSA		"_25._tcp.mx.example TLSA "
#define ALIAS		"mx.example A secure =end.example", \
			"mx.example AAAA nodata"
#define LOST_ALIAS	"mx.example A insecure =end.example", \
			"mx.example AAAA nodata"

static const struct row rows[] = {
	/* 2.1, 2.2.1: the MX records */
	{ "2.2.1: an insecure MX answer: nothing is asked",
	    { { NULL } }, DANE_NONE, "",
	    "the MX records that name mx.example are not signed", true, 0 },
	{ "2.2.1: an insecure MX answer, records wanted all the same",
	    { { SIGNED_A, TLSA "secure 3 1 1 32" } }, DANE_USABLE, NULL,
	    "1 TLSA record at _25._tcp.mx.example", true, true },

	/* 2.2: records */
	{ "2.2: usable records", { { SIGNED_A, TLSA "secure 3 1 1 32" } },
	    DANE_USABLE, NULL, "1 TLSA record at _25._tcp.mx.example", 0, 0 },
	{ "2.2: several", { { SIGNED_A, TLSA "secure 3 1 1 32 2 0 1 32" } },
	    DANE_USABLE, NULL, "2 TLSA records at _25._tcp.mx.example", 0, 0 },
	{ "2.2: no records (NODATA)", { { SIGNED_A, TLSA "nodata" } },
	    DANE_NONE, "", "no TLSA records at _25._tcp.mx.example", 0, 0 },
	{ "2.2: no records (NXDOMAIN)", { { SIGNED_A, TLSA "nxdomain" } },
	    DANE_NONE, "", "no TLSA records at _25._tcp.mx.example", 0, 0 },
	{ "2.1.3: insecure records are none",
	    { { SIGNED_A, TLSA "insecure 3 1 1 32" } }, DANE_NONE, "",
	    "TLSA records at _25._tcp.mx.example are not signed", 0, 0 },
	{ "2.1.1: bogus or SERVFAIL at TLSA: the host is not used",
	    { { SIGNED_A, TLSA "failed" } }, DANE_FAILED, "",
	    "TLSA look-up of _25._tcp.mx.example failed: server failure",
	    0, 0 },
	{ "2.2: records without a usable one",
	    { { SIGNED_A, TLSA "secure 1 1 1 32" } }, DANE_UNUSABLE, NULL,
	    "the TLSA record at _25._tcp.mx.example cannot be used: usage 0 "
	    "or 1, which is not for SMTP", 0, 0 },

	/* 2.2.2: addresses */
	{ "2.1.2: insecure addresses: TLSA is not asked for",
	    { { "mx.example A insecure", "mx.example AAAA nodata" } },
	    DANE_NONE, "", "addresses of mx.example are not signed", 0, 0 },
	{ "AAAA alone is enough to be secure",
	    { { "mx.example A nodata", "mx.example AAAA secure",
	    TLSA "secure 3 1 1 32" } }, DANE_USABLE, NULL, "1 TLSA", 0, 0 },
	{ "2.1.1: both families fail: the host is not used",
	    { { "mx.example A failed", "mx.example AAAA failed" } },
	    DANE_FAILED, "", "address look-up of mx.example failed: server "
	    "failure", 0, 0 },
	{ "2.1.1: one family fails, the other has nothing: not used",
	    { { "mx.example A nodata", "mx.example AAAA failed" } },
	    DANE_FAILED, "", "address look-up of mx.example failed: server "
	    "failure", 0, 0 },
	{ "one family fails, the other is secure: by that",
	    { { "mx.example A failed", "mx.example AAAA secure",
	    TLSA "secure 3 1 1 32" } }, DANE_USABLE, NULL, "1 TLSA", 0, 0 },
	{ "one family fails, the other is not secure: by that",
	    { { "mx.example A insecure", "mx.example AAAA failed" } },
	    DANE_NONE, "", "addresses of mx.example are not signed", 0, 0 },
	{ "no addresses", { { "mx.example A nodata", "mx.example AAAA nodata"
	    } }, DANE_NONE, "", "mx.example has no addresses", 0, 0 },
	{ "no such host", { { "mx.example A nxdomain",
	    "mx.example AAAA nxdomain" } }, DANE_NONE, "",
	    "mx.example has no addresses", 0, 0 },

	/* 2.2.2: aliases */
	{ "2.2.2: a secure alias: records at its end",
	    { { ALIAS, "_25._tcp.end.example TLSA secure 3 1 1 32" } },
	    DANE_USABLE, "end.example",
	    "1 TLSA record at _25._tcp.end.example", 0, 0 },
	{ "2.2.2: ... no records at its end: those of the name",
	    { { ALIAS, "_25._tcp.end.example TLSA nxdomain",
	    TLSA "secure 3 1 1 32" } }, DANE_USABLE, NULL,
	    "1 TLSA record at _25._tcp.mx.example", 0, 0 },
	{ "2.2.2: ... insecure records at its end: those of the name",
	    { { ALIAS, "_25._tcp.end.example TLSA insecure 3 1 1 32",
	    TLSA "secure 3 1 1 32" } }, DANE_USABLE, NULL,
	    "1 TLSA record at _25._tcp.mx.example", 0, 0 },
	{ "2.2.2: ... unusable records at its end: those count",
	    { { ALIAS, "_25._tcp.end.example TLSA secure 3 9 1 32" } },
	    DANE_UNUSABLE, "end.example", "unknown selector", 0, 0 },
	{ "2.1.1: ... a failure at its end: the name is not tried",
	    { { ALIAS, "_25._tcp.end.example TLSA failed" } }, DANE_FAILED,
	    "", "TLSA look-up of _25._tcp.end.example failed", 0, 0 },
	{ "2.1.1: ... none at its end, a failure at the name",
	    { { ALIAS, "_25._tcp.end.example TLSA nodata", TLSA "failed" } },
	    DANE_FAILED, "", "TLSA look-up of _25._tcp.mx.example", 0, 0 },
	{ "2.2.2: ... none at either", { { ALIAS,
	    "_25._tcp.end.example TLSA nodata", TLSA "nodata" } }, DANE_NONE,
	    "", "no TLSA records at _25._tcp.mx.example", 0, 0 },
	{ "2.2.2: a secure alias to an unsigned end: records at the name",
	    { { LOST_ALIAS, "mx.example CNAME secure",
	    TLSA "secure 3 1 1 32" } }, DANE_USABLE, NULL,
	    "1 TLSA record at _25._tcp.mx.example", 0, 0 },
	{ "2.2.2: an insecure alias", { { LOST_ALIAS,
	    "mx.example CNAME insecure" } }, DANE_NONE, "",
	    "addresses of mx.example are not signed", 0, 0 },
	{ "2.2.2: an alias that is gone", { { LOST_ALIAS,
	    "mx.example CNAME nodata" } }, DANE_NONE, "",
	    "addresses of mx.example are not signed", 0, 0 },
	{ "2.1.1: an alias that cannot be checked: not used", { { LOST_ALIAS,
	    "mx.example CNAME failed" } }, DANE_FAILED, "",
	    "CNAME look-up of mx.example failed: server failure", 0, 0 },

	/* 3.1.3, RFC 6698 2.1, RFC 7671 10.1.2: what cannot be used */
	{ "3.1.3: usages 0 and 1", { { SIGNED_A,
	    TLSA "secure 0 0 1 32 1 1 1 32" } }, DANE_UNUSABLE, NULL,
	    "none of the 2 TLSA records", 0, 0 },
	{ "3.1.3: usage 1 beside 3", { { SIGNED_A,
	    TLSA "secure 1 1 1 32 3 1 1 32" } }, DANE_USABLE, NULL,
	    "2 TLSA records at _25._tcp.mx.example, 1 of them cannot be used: "
	    "usage 0 or 1", 0, 0 },
	{ "an unknown usage", { { SIGNED_A, TLSA "secure 4 1 1 32" } },
	    DANE_UNUSABLE, NULL, "unknown usage", 0, 0 },
	{ "an unknown selector", { { SIGNED_A, TLSA "secure 3 2 1 32" } },
	    DANE_UNUSABLE, NULL, "unknown selector", 0, 0 },
	{ "an unknown matching type", { { SIGNED_A,
	    TLSA "secure 3 1 3 48" } }, DANE_UNUSABLE, NULL,
	    "unknown matching type", 0, 0 },
	{ "a digest of the wrong length", { { SIGNED_A,
	    TLSA "secure 3 1 1 31" } }, DANE_UNUSABLE, NULL, "not of 32", 0,
	    0 },
	{ "an empty digest", { { SIGNED_A, TLSA "secure 3 1 1 0" } },
	    DANE_UNUSABLE, NULL, "no data", 0, 0 },
	{ "a certificate that is none", { { SIGNED_A,
	    TLSA "secure 3 0 0 99" } }, DANE_UNUSABLE, NULL,
	    "not a certificate", 0, 0 },
};

struct outcome {
	bool		 is_there;
	enum dane_result result;
	char		 base[300], why[1100], names[600];
	size_t		 n, nunusable;
	struct tls_dane	*records;
};

static void
on_plan(void *arg, const struct dane_plan *plan)
{
	struct outcome *o = arg;
	size_t i;

	o->is_there = true;
	o->result = plan->result;
	o->n = plan->n;
	o->nunusable = plan->nunusable;
	o->records = tls_dane_ref(plan->records);
	snprintf(o->base, sizeof(o->base), "%s", plan->base);
	snprintf(o->why, sizeof(o->why), "%s", plan->why);
	for (i = 0; plan->records != NULL && plan->records->names[i] != NULL;
	    i++) {
		strlcat(o->names, " ", sizeof(o->names));
		strlcat(o->names, plan->records->names[i], sizeof(o->names));
	}
}

static void
plan_for(struct outcome *o, const struct dane_question *q)
{
	memset(o, 0, sizeof(*o));
	nunknown = 0;
	dane_ask(NULL, loop, q, on_plan, o);
	if (o->is_there)
		diag("told inside the call");
	turn_until(loop, &o->is_there);
}

static void
try_row(const struct row *row)
{
	struct dane_question q = { .host = "mx.example", .port = 25,
	    .domain = "example", .is_mx_secure = !row->is_mx_insecure,
	    .wants_insecure_mx = row->wants_insecure_mx };
	const char *base = row->base != NULL ? row->base : "mx.example";
	struct outcome o;

	script = &row->script;
	plan_for(&o, &q);
	ok(o.result == row->result && strcmp(o.base, base) == 0 &&
	    strstr(o.why, row->why) != NULL && nunknown == 0 &&
	    (o.records != NULL) == (o.result == DANE_USABLE),
	    "%s%s", row->name, is_cached ? " (known)" : "");
	diag("%s: %s", dane_result_name(o.result), o.why);
	if (strcmp(o.base, base) != 0)
		diag("base %s", o.base);
	tls_dane_unref(o.records);
}

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		try_row(&rows[i]);
	is_cached = true;
	nasked = 0;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		try_row(&rows[i]);
	ok(nasked == 0 && npeeked > 0, "what is known is not asked for");
	is_cached = false;
}

static void
test_no_trust(void)
{
	static const struct row row = { "2.1.1: no validating resolver",
	    { { NULL } }, DANE_NONE, "", "no DNS server is trusted", 0, 0 };

	is_trusted = false;
	nasked = 0;
	try_row(&row);
	is_int(nasked, 0, "... nothing is asked");
	is_trusted = true;
}

static void
expect_names(const char *name, const struct script *s,
    const struct dane_question *q, const char *names)
{
	struct outcome o;

	script = s;
	plan_for(&o, q);
	is_str(o.names, names, "%s", name);
	tls_dane_unref(o.records);
}

/* Whom a certificate may be for, with usage 2. */
static void
test_names(void)
{
	static const struct script plain = { { SIGNED_A,
	    TLSA "secure 2 0 1 32" } }, alias = { { ALIAS,
	    "_25._tcp.end.example TLSA secure 2 0 1 32" } },
	    host = { { "example A secure", "example AAAA nodata",
	    "_25._tcp.example TLSA secure 2 0 1 32" } };
	struct dane_question q = { .host = "mx.example", .port = 25,
	    .domain = "example", .is_mx_secure = true };

	expect_names("3.2.2: a secure MX: base and next-hop domain", &plain,
	    &q, " mx.example example");
	expect_names("3.2.2: an MX that is an alias", &alias, &q,
	    " end.example mx.example example");
	q.expanded = "real.example";
	expect_names("3.2.2: a domain that is an alias", &plain, &q,
	    " mx.example example real.example");
	q.is_mx_secure = false;
	q.wants_insecure_mx = true;
	expect_names("3.2.2: an insecure MX: not the next-hop domain",
	    &plain, &q, " mx.example");
	q = (struct dane_question){ .host = "example", .port = 25,
	    .domain = "example", .is_mx_secure = true };
	expect_names("3.2.2: no MX: the domain is the host", &host, &q,
	    " example");
}

static void
test_port(void)
{
	static const struct script s = { { SIGNED_A,
	    "_2525._tcp.mx.example TLSA secure 3 1 1 32" } };
	struct dane_question q = { .host = "mx.example", .port = 2525,
	    .domain = "example", .is_mx_secure = true };
	struct outcome o;

	script = &s;
	plan_for(&o, &q);
	is_str(o.why, "1 TLSA record at _2525._tcp.mx.example",
	    "RFC 6698 3: the port is that of the connection");
	tls_dane_unref(o.records);
}

static void
test_cancel(void)
{
	static const struct script s = { { SIGNED_A,
	    TLSA "secure 3 1 1 32" } };
	struct dane_question q = { .host = "mx.example", .port = 25,
	    .domain = "example", .is_mx_secure = true };
	struct outcome o = { .is_there = false };

	script = &s;
	ncancelled = 0;
	dane_cancel(dane_ask(NULL, loop, &q, on_plan, &o));
	is_int(ncancelled, 2, "both questions are taken back");
	is_cached = true;
	dane_cancel(dane_ask(NULL, loop, &q, on_plan, &o));
	is_cached = false;
	turn_some(loop);
	ok(!o.is_there, "a plan that was made already does not come");
	dane_cancel(NULL);
}

/* More records than any server needs: the rest cannot be used. */
static void
test_many(void)
{
	static char line[LINE_SIZE] = TLSA "secure";
	static const struct script s = { { SIGNED_A, line } };
	struct dane_question q = { .host = "mx.example", .port = 25,
	    .domain = "example", .is_mx_secure = true };
	struct outcome o;
	int i;

	for (i = 0; i < TLS_DANE_RECORDS_MAX + 2; i++)
		strlcat(line, " 3 1 1 32", sizeof(line));
	script = &s;
	plan_for(&o, &q);
	is_int((int)o.n, TLS_DANE_RECORDS_MAX + 2, "more records than fit");
	is_int((int)o.records->n, TLS_DANE_RECORDS_MAX, "... are cut");
	is_int((int)o.nunusable, 2, "... and the rest is counted");
	tls_dane_unref(o.records);
}

int
main(void)
{
	loop = loop_new();
	test_rows();
	test_no_trust();
	test_names();
	test_port();
	test_cancel();
	test_many();
	turn_some(loop);
	loop_free(loop);
	return done_testing();
}
