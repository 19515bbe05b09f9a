/* test_dns.c - questions to servers that answer, fail or are silent. */
#include "dns_test.h"

#define A	LDNS_RR_TYPE_A
#define AAAA	LDNS_RR_TYPE_AAAA
#define MX	LDNS_RR_TYPE_MX
#define TXT	LDNS_RR_TYPE_TXT
#define TLSA	LDNS_RR_TYPE_TLSA

/* ---- plain answers ---- */

static const struct dns_server_row plain[] = {
	{ "mx.test.", MX, 0, { "mx.test. 300 IN MX 10 MXA.Test.",
	    "mx.test. 200 IN MX 20 mxb.test." }, { NULL }, NULL },
	{ "null.test.", MX, 0, { "null.test. 60 IN MX 0 ." }, { NULL },
	    NULL },
	{ "a.test.", A, 0, { "a.test. 60 IN A 192.0.2.1",
	    "a.test. 60 IN A 192.0.2.2" }, { NULL }, NULL },
	{ "a.test.", AAAA, 0, { "a.test. 60 IN AAAA 2001:db8::1" }, { NULL },
	    NULL },
	{ "txt.test.", TXT, 0, { "txt.test. 60 IN TXT \"v=STS\" \"v1;\"" },
	    { NULL }, NULL },
	{ "_25._tcp.a.test.", TLSA, 0,
	    { "_25._tcp.a.test. 60 IN TLSA 3 1 1 00ff10" }, { NULL }, NULL },
	{ "c.test.", LDNS_RR_TYPE_CNAME, 0,
	    { "c.test. 60 IN CNAME mx.test." }, { NULL }, NULL },
	{ "c.test.", MX, 0, { "c.test. 100 IN CNAME d.test.",
	    "d.test. 50 IN CNAME mx.test.", "mx.test. 300 IN MX 1 x.test." },
	    { NULL }, NULL },
	{ "zero.test.", 0, 0, { "zero.test. 0 IN A 192.0.2.1" }, { NULL },
	    NULL },
	{ "none.test.", 0, 0, { NULL }, { SOA }, NULL },
	{ "nosoa.test.", 0, 0, { NULL }, { NULL }, NULL },
	{ "nx.test.", 0, LDNS_RCODE_NXDOMAIN, { NULL }, { SOA }, NULL },
	{ "cnx.test.", 0, LDNS_RCODE_NXDOMAIN,
	    { "cnx.test. 60 IN CNAME nx.test." }, { SOA }, NULL },
	{ .name = NULL }
};

static void
test_records(void)
{
	struct question q;

	start(plain);
	ask_wait(&q, "MX.test.", DNS_MX);
	is_int(q.status, DNS_OK, "MX: found");
	is_int(q.n, 2, "MX: both");
	is_str(q.first, "10 mxa.test", "MX: in the server's order, lower case");
	is_str(q.asked, "mx.test", "what was asked: lower case, no last dot");
	is_str(q.name, "mx.test", "whose records");
	is_int(q.ttl_s, 200, "the smallest TTL");
	is_str(q.server, servers[0], "who said it");
	ok(!q.is_alias && !q.is_secure, "no alias, not secure");
	ask_wait(&q, "null.test", DNS_MX);
	is_str(q.first, "0 ", "the root as a host (RFC 7505)");
	ask_wait(&q, "a.test", DNS_A);
	is_str(q.first, "192.0.2.1", "A");
	ask_wait(&q, "a.test", DNS_AAAA);
	is_str(q.first, "2001:db8::1", "AAAA of the same name");
	ask_wait(&q, "txt.test", DNS_TXT);
	is_str(q.first, "8 v=STSv1;", "TXT: strings joined");
	ask_wait(&q, "_25._tcp.a.test", DNS_TLSA);
	is_str(q.first, "3 1 1 00ff10", "TLSA");
	ask_wait(&q, "c.test", DNS_CNAME);
	is_str(q.first, "mx.test", "CNAME asked for: not followed");
	ok(!q.is_alias, "CNAME asked for: no alias");
	ask_wait(&q, "c.test", DNS_MX);
	ok(q.is_alias && q.status == DNS_OK, "an alias");
	is_str(q.asked, "c.test", "alias: what was asked");
	is_str(q.name, "mx.test", "alias: where it leads");
	is_int(q.ttl_s, 50, "alias: the smallest TTL of all");
	stop();
}

static void
test_negative(void)
{
	struct question q;

	start(plain);
	ask_wait(&q, "none.test", DNS_MX);
	is_int(q.status, DNS_NO_DATA, "no such record");
	is_int(q.ttl_s, 60, "no such record: the SOA's minimum");
	ask_wait(&q, "none.test", DNS_MX);
	is_int(one.nudp, 1, "no such record: kept");
	ask_wait(&q, "nx.test", DNS_MX);
	is_int(q.status, DNS_NO_NAME, "no such name");
	ask_wait(&q, "nosoa.test", DNS_A);
	is_int(q.status, DNS_NO_DATA, "no record, no SOA");
	ask_wait(&q, "nosoa.test", DNS_A);
	is_int(one.nudp, 4, "no SOA: not kept (RFC 2308 section 5)");
	ask_wait(&q, "cnx.test", DNS_A);
	is_int(q.status, DNS_NO_NAME, "an alias of no name (RFC 6604)");
	is_str(q.name, "nx.test", "an alias of no name: which");
	stop();
}

static void
test_bad_names(void)
{
	char label[80], name[300];
	struct question q;
	const struct dns_answer *a;

	start(plain);
	ask(&q, "a..test", DNS_A);
	turn_some(loop);
	is_int(q.nanswers, 1, "a bad name is answered");
	is_int(q.status, DNS_BAD_NAME, "an empty label");
	is_str(q.error, "a label is empty", "an empty label: so it says");
	is_str(q.server, "", "nobody said it");
	a = dns_peek(dns, "", DNS_A);
	ok(a != NULL && a->status == DNS_BAD_NAME, "the empty name");
	a = dns_peek(dns, ".", DNS_A);
	ok(a != NULL && a->status == DNS_BAD_NAME, "the root");
	a = dns_peek(dns, "b\303\274cher.test", DNS_A);
	ok(a != NULL && a->status == DNS_BAD_NAME, "a U-label");
	memset(label, 'x', 64);
	memcpy(label + 64, ".test", 6);
	a = dns_peek(dns, label, DNS_A);
	ok(a != NULL && a->status == DNS_BAD_NAME, "a label of 64");
	ok(dns_peek(dns, label + 1, DNS_A) == NULL, "a label of 63: may be");
	memset(name, 'x', sizeof(name));
	name[50] = name[100] = name[150] = name[200] = '.';
	name[253] = '\0';
	ok(dns_peek(dns, name, DNS_A) == NULL, "253 bytes of text: may be");
	name[253] = 'x';
	name[254] = '\0';
	a = dns_peek(dns, name, DNS_A);
	ok(a != NULL && a->status == DNS_BAD_NAME, "254 bytes: not");
	is_int(one.nudp, 0, "nobody was asked");
	stop();
}

/* ---- cache, equal questions, taking back ---- */

static void
test_cache(void)
{
	struct question q, again, third;
	struct dns_stats stats;
	const struct dns_answer *a;

	start(plain);
	ok(dns_peek(dns, "a.test", DNS_A) == NULL, "nothing known");
	ask(&q, "a.test", DNS_A);
	ask(&again, "A.TEST.", DNS_A);
	ask(&third, "a.test", DNS_AAAA);
	ok(turn_until(loop, &q.is_answered) &&
	    turn_until(loop, &again.is_answered) &&
	    turn_until(loop, &third.is_answered), "all answered");
	is_int(one.nudp, 2, "equal questions are asked once");
	is_int(again.n, 2, "the same answer for both");
	a = dns_peek(dns, "A.test", DNS_A);
	ok(a != NULL && a->n == 2 && a->ttl_s <= 60, "known from then on");
	ask(&q, "a.test", DNS_A);
	is_int(q.nanswers, 0, "known: not inside the call");
	loop_turn(loop, 0);
	is_int(q.nanswers, 1, "known: in this turn");
	is_int(one.nudp, 2, "known: nobody is asked");
	ask_wait(&q, "zero.test", DNS_A);
	ask_wait(&q, "zero.test", DNS_A);
	is_int(one.nudp, 4, "R-MX-03: a TTL of 0 is not kept");
	dns_stats(dns, &stats);
	is_int(stats.asked, 7, "counted: asked");
	is_int(stats.cached, 2, "counted: known");
	is_int(stats.sent, 4, "counted: sent");
	is_int(stats.entries, 2, "counted: kept");
	stop();
}

static void
test_cancel(void)
{
	struct question a, b, c;

	start(plain);
	ask(&a, "a.test", DNS_A);
	dns_cancel(a.q);
	dns_cancel(NULL);
	ask(&b, "a.test", DNS_A);
	ask(&c, "a.test", DNS_A);
	b.cancel = &c;
	b.then = &a;
	b.ask = "none.test";
	ok(turn_until(loop, &b.is_answered), "another asks the same");
	turn_some(loop);
	is_int(c.nanswers, 0, "taken back by an answer: none");
	is_int(one.nudp, 2, "what was taken back at once was never asked");
	ask(&c, "a.test", DNS_A);
	dns_cancel(c.q);
	turn_some(loop);
	is_int(c.nanswers, 0, "taken back in the turn it would come: none");
	ask(&c, "nx.test", DNS_A);
	loop_turn(loop, 0);
	dns_cancel(c.q);
	turn_some(loop);
	is_int(c.nanswers, 0, "taken back under way: none");
	ask(&c, "nx.test", DNS_A);	/* freed with one open */
	stop();
	is_int(c.nanswers, 0, "resolver freed: none");
}

/* ---- one server, then another ---- */

static void
say_nothing(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)s;
	(void)row;
}

static const struct dns_server_row servfail[] = {
	{ "*", 0, LDNS_RCODE_SERVFAIL, { NULL }, { NULL }, NULL },
	{ .name = NULL }
};
static const struct dns_server_row refused[] = {
	{ "*", 0, LDNS_RCODE_REFUSED, { NULL }, { NULL }, NULL },
	{ .name = NULL }
};
static const struct dns_server_row silent[] = {
	{ "*", 0, 0, { NULL }, { NULL }, say_nothing },
	{ .name = NULL }
};

static void
test_next_server(void)
{
	struct question q;
	unsigned i;
	int64_t begin;

	start_two(servfail, plain);
	ask_wait(&q, "a.test", DNS_A);
	is_int(q.status, DNS_OK, "SERVFAIL: the next server is asked");
	is_str(q.server, servers[1], "SERVFAIL: its answer");
	stop();

	start_two(refused, refused);
	ask_wait(&q, "a.test", DNS_A);
	is_int(q.status, DNS_FAILED, "REFUSED by all");
	is_str(q.error, "refused", "REFUSED by all: so it says");
	is_int(one.nudp + two.nudp, 2, "REFUSED: each is asked once");
	ask_wait(&q, "a.test", DNS_A);
	is_int(one.nudp + two.nudp, 4, "a failure is not kept");
	stop();

	start_two(silent, plain);
	for (i = 0; i < 3; i++) {
		begin = clock_mono_ms();
		ask_wait(&q, i == 0 ? "a.test" : i == 1 ? "mx.test" :
		    "txt.test", i == 0 ? DNS_A : i == 1 ? DNS_MX : DNS_TXT);
		is_int(q.status, DNS_OK, "silence: the next server is asked");
		ok(clock_mono_ms() - begin >= 900, "silence: after a wait");
	}
	ask_wait(&q, "nx.test", DNS_A);
	is_int(one.nudp, 3, "silent three times: asked last from then on");
	is_str(q.server, servers[1], "silent three times: the other answers");
	stop();

	start_two(plain, plain);	/* nobody listens on the first port */
	dns_server_stop(&one);
	ask_wait(&q, "a.test", DNS_A);
	is_int(q.status, DNS_OK, "nobody there: the next server is asked");
	is_int(two.nudp, 1, "nobody there: once");
	dns_free(dns);
	turn_some(loop);
	dns_server_stop(&two);
}

static void
test_time(void)
{
	struct question q;
	struct dns_stats stats;
	int64_t begin;

	start(silent);
	conf.dns_timeout_ms = 400;
	begin = clock_mono_ms();
	ask_wait(&q, "a.test", DNS_A);
	is_int(q.status, DNS_FAILED, "nobody answers: failed");
	is_str(q.error, "timed out", "nobody answers: so it says");
	ok(clock_mono_ms() - begin >= 390, "nobody answers: after the time");
	is_int(one.nudp, 2, "nobody answers: asked twice");
	dns_stats(dns, &stats);
	is_int(stats.timed_out, 1, "counted: timed out");
	is_int(stats.failed, 1, "counted: failed");
	stop();

	start(plain);
	dns_server_stop(&one);
	begin = clock_mono_ms();
	ask_wait(&q, "a.test", DNS_A);
	is_str(q.error, "Connection refused", "nobody is there: so it says");
	ok(clock_mono_ms() - begin < 3000, "nobody is there: before the time");
	dns_free(dns);
	turn_some(loop);
}

/* ---- security ---- */

static void
test_secure(void)
{
	struct question q;

	start(plain);
	one.is_ad = true;
	ok(dns_can_be_secure(dns), "a server on a loopback address is trusted");
	ask_wait(&q, "a.test", DNS_A);
	ok(q.is_secure, "its AD bit: secure");
	is_int(one.nsecure, 1, "asked with DO and AD");
	ask_wait(&q, "c.test", DNS_MX);
	ok(q.is_secure && q.is_alias, "an alias may be secure");
	ask_wait(&q, "none.test", DNS_TLSA);
	ok(q.is_secure && q.status == DNS_NO_DATA, "no data may be secure");
	ask_wait(&q, "nx.test", DNS_TLSA);
	ok(q.is_secure && q.status == DNS_NO_NAME, "no name may be secure");
	one.is_ad = false;
	ask_wait(&q, "mx.test", DNS_MX);
	ok(!q.is_secure, "no AD bit: not secure");
	stop();
}

/* Ids and ports nobody can guess: 64 questions, hardly an equal or next one. */
static void
test_random(void)
{
	static const struct dns_server_row any[] = {
		{ "*", 0, LDNS_RCODE_NXDOMAIN, { NULL }, { SOA }, NULL },
		{ .name = NULL }
	};
	struct question q[64];
	unsigned i, nids = 0, nports = 0;
	char name[32];

	start(any);
	for (i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(&q[i], name, DNS_A);
	}
	for (i = 0; i < 64; i++)
		turn_until(loop, &q[i].is_answered);
	is_int(one.nudp, 64, "64 questions");
	for (i = 1; i < 64; i++) {
		nids += abs(one.ids[i] - one.ids[i - 1]) > 1;
		nports += abs(one.ports[i] - one.ports[i - 1]) > 2;
	}
	ok(nids > 55, "ids at random: %u jumps", nids);
	ok(nports > 40, "ports at random: %u jumps", nports);
	stop();
}

int
main(void)
{
	loop = loop_new();
	test_records();
	test_negative();
	test_bad_names();
	test_cache();
	test_cancel();
	test_next_server();
	test_time();
	test_secure();
	test_random();
	loop_free(loop);
	return done_testing();
}
