/* test_dns_packet.c - names, questions and answers as bytes. */
#include "route/dns_packet.h"

#include <ldns/ldns.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "route/dns_kept.h"
#include "test.h"

/* ---- names ---- */

static void
is_name(const char *text, const char *want)
{
	struct dns_name name;
	char back[DNS_TEXT_MAX];
	const char *error;

	if (!ok(dns_name_parse(&name, text, &error) == 0, "a name: %s", text))
		return;
	is_int(dns_name_format(&name, back), (intmax_t)strlen(want),
	    "its length");
	is_str(back, want, "as text");
}

static void
is_no_name(const char *text, const char *want)
{
	struct dns_name name;
	const char *error = NULL;

	is_int(dns_name_parse(&name, text, &error), -1, "no name: %s", text);
	is_str(error, want, "why");
}

static void
test_names(void)
{
	struct dns_name name;
	char text[600], back[DNS_TEXT_MAX];
	const char *error;
	size_t i, at;

	is_name("a", "a");
	is_name("Mail.Example.", "mail.example");
	is_name("_25._tcp.mx-1.example", "_25._tcp.mx-1.example");
	is_name("a\\.b.example", "a\\046b.example");
	is_name("a\\032\\\\.x", "a\\032\\092.x");
	is_name("a*@b.x", "a\\042\\064b.x");
	is_no_name("", "the name is empty");
	is_no_name(".", "the name is empty");
	is_no_name(".a", "a label is empty");
	is_no_name("a..b", "a label is empty");
	is_no_name("a..", "a label is empty");
	is_no_name("a b", "a byte that no name has");
	is_no_name("a\tb", "a byte that no name has");
	is_no_name("b\303\274", "a byte that no name has");
	is_no_name("a\\", "a byte that no name has");
	is_no_name("a\\1", "a byte that no name has");
	is_no_name("a\\256", "a byte that no name has");
	/* 62 escaped bytes a label, the longest text there is */
	for (i = at = 0; i < 124; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s",
		    i % 62 == 61 ? "\\255." : "\\001");
	ok(dns_name_parse(&name, text, &error) == 0, "escapes throughout");
	is_int(dns_name_format(&name, back), 124 * 4 + 1, "take four bytes");
}

/* The longest text a name from a packet can have. */
static void
test_longest(void)
{
	uint8_t wire[DNS_WIRE_MAX + 1];
	char text[DNS_TEXT_MAX];
	struct dns_name name;
	size_t pos = 0;

	memset(wire, 0xff, sizeof(wire));
	wire[0] = wire[64] = wire[128] = 63;
	wire[192] = 61;
	wire[254] = 0;
	is_int(dns_name_read(&name, wire, sizeof(wire), &pos), 0, "255 bytes");
	is_int(pos, 255, "read to their end");
	is_int(dns_name_format(&name, text), 250 * 4 + 3, "as text");
	wire[192] = 62;
	wire[255] = 0;
	pos = 0;
	is_int(dns_name_read(&name, wire, sizeof(wire), &pos), -1,
	    "256 bytes: no name");
}

static void
test_pointers(void)
{
	uint8_t wire[4096];
	struct dns_name name;
	char text[DNS_TEXT_MAX];
	size_t pos, i;

	memcpy(wire, "\1A\0\1b\300\0\300\3", 9);
	pos = 7;
	is_int(dns_name_read(&name, wire, 9, &pos), 0, "pointers back");
	dns_name_format(&name, text);
	is_str(text, "b.a", "are followed");
	is_int(pos, 9, "and passed");
	pos = 7;
	is_int(dns_name_read(&name, wire, 8, &pos), -1, "half a pointer");
	memcpy(wire, "\300\2\1a\300\0", 6);
	pos = 0;
	is_int(dns_name_read(&name, wire, 6, &pos), -1, "a pointer ahead");
	memcpy(wire, "\1a\300\0", 4);
	pos = 0;
	is_int(dns_name_read(&name, wire, 4, &pos), -1, "a circle");
	memcpy(wire, "\100a\0", 3);
	pos = 0;
	is_int(dns_name_read(&name, wire, 3, &pos), -1, "an unknown label");
	memset(wire, 0, 2);
	for (i = 2; i < sizeof(wire); i += 2)
		put_be16(wire + i, (uint16_t)(0xc000 | (i - 2)));
	pos = (size_t)DNS_HOPS_MAX * 2;
	is_int(dns_name_read(&name, wire, sizeof(wire), &pos), 0,
	    "as many pointers as are followed");
	pos = (size_t)(DNS_HOPS_MAX + 1) * 2;
	is_int(dns_name_read(&name, wire, sizeof(wire), &pos), -1,
	    "one more");
}

/* ---- questions ---- */

static void
test_build(void)
{
	uint8_t q[DNS_QUESTION_MAX];
	struct dns_name name;
	const char *error;
	char longest[256];
	size_t n;

	dns_name_parse(&name, "a.test", &error);
	n = dns_packet_build(q, 0x1234, &name, DNS_MX, DNS_EDNS | DNS_SECURE);
	is_mem(q, n, "\x12\x34\x01\x20\0\1\0\0\0\0\0\1\1a\4test\0\0\x0f\0\1"
	    "\0\0\x29\x04\xd0\0\0\x80\0\0\0", 35,
	    "RD, AD; OPT with 1232 and DO");
	n = dns_packet_build(q, 0x1234, &name, DNS_TLSA, DNS_EDNS);
	is_mem(q, n, "\x12\x34\x01\0\0\1\0\0\0\0\0\1\1a\4test\0\0\x34\0\1"
	    "\0\0\x29\x04\xd0\0\0\0\0\0\0", 35, "OPT alone");
	n = dns_packet_build(q, 0x1234, &name, DNS_AAAA, 0);
	is_mem(q, n, "\x12\x34\x01\0\0\1\0\0\0\0\0\0\1a\4test\0\0\x1c\0\1",
	    24, "plain");
	memset(longest, 'x', 253);
	longest[63] = longest[127] = longest[191] = '.';
	longest[253] = '\0';
	is_int(dns_name_parse(&name, longest, &error), 0, "the longest name");
	n = dns_packet_build(q, 1, &name, DNS_A, DNS_EDNS | DNS_SECURE);
	is_int(n, 12 + 255 + 4 + 11, "its question fits");
}

/* ---- answers ---- */

struct rrs {
	const char	*answer[8], *authority[4];
};

/* A reply to a.test MX, id 7, from malloc(). */
static uint8_t *
reply_of(const struct rrs *rrs, ldns_pkt_rcode rcode, size_t *size)
{
	ldns_pkt *pkt = ldns_pkt_new();
	uint8_t *wire = NULL;
	ldns_rr *rr;
	size_t i;

	ldns_pkt_set_id(pkt, 7);
	ldns_pkt_set_qr(pkt, true);
	ldns_pkt_set_ra(pkt, true);
	ldns_pkt_set_rcode(pkt, rcode);
	ldns_rr_new_question_frm_str(&rr, "a.test. IN MX", NULL, NULL);
	ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, rr);
	for (i = 0; rrs->answer[i] != NULL; i++)
		if (ldns_rr_new_frm_str(&rr, rrs->answer[i], 0, NULL,
		    NULL) == LDNS_STATUS_OK)
			ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr);
	for (i = 0; rrs->authority[i] != NULL; i++)
		if (ldns_rr_new_frm_str(&rr, rrs->authority[i], 0, NULL,
		    NULL) == LDNS_STATUS_OK)
			ldns_pkt_push_rr(pkt, LDNS_SECTION_AUTHORITY, rr);
	ldns_pkt2wire(&wire, pkt, size);
	ldns_pkt_free(pkt);
	return wire;
}

static struct arena *arena;

static void
read_it(struct dns_reply *r, const uint8_t *wire, size_t n)
{
	struct dns_name name;
	const char *error;

	dns_name_parse(&name, "a.test", &error);
	dns_packet_read(r, wire, n, 7, &name, DNS_MX, DNS_CNAMES_MAX, arena);
}

static void
test_ttl(void)
{
	static const struct rrs signed_ones = { { "a.test. 500 IN MX 1 b.test.",
	    "a.test. 100 IN RRSIG MX 8 2 500 20300101000000 20200101000000 1 "
	    "test. AAAA", "a.test. 400 IN MX 2 c.test." },
	    { "test. 5 IN NS ns.test." } };
	static const struct rrs huge = { { "a.test. 4294967295 IN MX 1 b." },
	    { NULL } };
	static const struct rrs soa = { { NULL },
	    { "test. 50 IN SOA a. b. 1 2 3 4 900" } };
	struct dns_reply r;
	size_t n;
	uint8_t *wire = reply_of(&signed_ones, 0, &n);

	read_it(&r, wire, n);
	is_int(r.kind, DNS_REPLY_ANSWER, "signatures are passed over");
	is_int(r.a.n, 2, "the records");
	is_int(r.a.ttl_s, 400, "the TTL is the records'");
	free(wire);
	wire = reply_of(&huge, 0, &n);
	read_it(&r, wire, n);
	ok(r.kind == DNS_REPLY_ANSWER && r.has_ttl && r.a.ttl_s == 0,
	    "a TTL beyond 2^31 is 0 (RFC 2181 section 8)");
	free(wire);
	wire = reply_of(&soa, 0, &n);
	read_it(&r, wire, n);
	ok(r.a.status == DNS_NO_DATA && r.a.ttl_s == 50,
	    "the SOA's own TTL, if that is less");
	free(wire);
}

/* Every prefix, and every byte changed, of a sound answer. */
static void
test_damaged(void)
{
	static const struct rrs rrs = { { "a.test. 60 IN CNAME b.test.",
	    "b.test. 60 IN MX 1 c.test.", "b.test. 60 IN MX 2 ." },
	    { "test. 60 IN SOA a. b. 1 2 3 4 60" } };
	struct dns_reply r;
	size_t n, i, nanswers = 0;
	uint8_t *wire = reply_of(&rrs, 0, &n), *copy;
	unsigned bit;

	read_it(&r, wire, n);
	ok(r.kind == DNS_REPLY_ANSWER && r.a.n == 2 && r.ncnames == 1,
	    "sound: an answer");
	is_str(r.a.mx[1].host, "", "sound: the root");
	for (i = 0; i < n; i++) {
		copy = malloc(i + 1);	/* its end is the sanitizer's to see */
		memcpy(copy, wire, i);
		read_it(&r, copy, i);
		nanswers += r.kind == DNS_REPLY_ANSWER;
		free(copy);
	}
	is_int(nanswers, 0, "cut anywhere: no answer");
	for (i = 0; i < n; i++)
		for (bit = 0; bit < 8; bit++) {
			wire[i] ^= (uint8_t)(1U << bit);
			read_it(&r, wire, n);
			if (r.kind == DNS_REPLY_ANSWER && r.a.n > 2)
				nanswers++;
			wire[i] ^= (uint8_t)(1U << bit);
		}
	is_int(nanswers, 0, "any bit changed: no record more");
	free(wire);
}

/* A packet as large as TCP takes, of as many records as fit. */
static void
test_large(void)
{
	static const struct rrs none = { { NULL }, { NULL } };
	uint8_t *packet = malloc(65535), *wire;
	struct dns_reply r;
	struct dns_kept *k;
	size_t n, at, count = 0;

	wire = reply_of(&none, 0, &n);
	memcpy(packet, wire, n);
	for (at = n; at + 17 <= 65535; at += 17, count++)
		memcpy(packet + at, "\300\14\0\17\0\1\0\0\0\74\0\5\0\1\1x\0",
		    17);
	put_be16(packet + 6, (uint16_t)count);
	read_it(&r, packet, at);
	is_int(r.kind, DNS_REPLY_ANSWER, "%zu records: an answer", count);
	is_int(r.a.n, DNS_RECORDS_MAX, "as many as are kept");
	r.a.asked = r.a.name = "a.test";
	k = dns_kept_new(&r.a, NULL);
	is_str(k->a.mx[DNS_RECORDS_MAX - 1].host, "x", "the last, kept");
	ok(k->a.mx != r.a.mx, "in a memory of its own");
	dns_kept_unref(k);
	free(packet);
	free(wire);
}

int
main(void)
{
	arena = arena_new(4096);
	test_names();
	test_longest();
	test_pointers();
	test_build();
	test_ttl();
	test_damaged();
	test_large();
	arena_free(arena);
	return done_testing();
}
