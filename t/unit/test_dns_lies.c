/*
 * test_dns_lies.c - servers that lie, loop, cut and stall; answers from others;
 * TCP.
 */
#include <fcntl.h>

#include "dns_test.h"

#define A	LDNS_RR_TYPE_A

static const struct dns_server_row honest = { "x.test.", A, 0,
    { "x.test. 60 IN A 192.0.2.1" }, { NULL }, NULL };
static const struct dns_server_row forged = { "x.test.", A, 0,
    { "x.test. 60 IN A 192.0.2.66" }, { NULL }, NULL };

/* An answer with one byte changed, before the true one if there is any. */
static void
say_changed(struct dns_server_ask *s, size_t at, uint8_t bits)
{
	size_t n;
	uint8_t *wire = dns_server_packet(s, &forged, &n);

	wire[at] ^= bits;
	dns_server_send(s, wire, n);
	free(wire);
}

static void
wrong_id(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)row;
	say_changed(s, 0, 0x80);
	say_changed(s, 1, 1);
	dns_server_say(s, &honest);
}

static void
wrong_question(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)row;
	say_changed(s, 13, 1);		/* the name: y.test */
	say_changed(s, 12 + 8 + 1, 1);	/* the type */
	say_changed(s, 12 + 8 + 3, 2);	/* the class */
	say_changed(s, 5, 1);		/* no question */
	say_changed(s, 2, 0x80);	/* a question itself */
	say_changed(s, 2, 0x10);	/* another operation */
	dns_server_say(s, &honest);
}

/* From another port, and from another address with the right one. */
static void
wrong_source(struct dns_server_ask *s, const struct dns_server_row *row)
{
	int own = s->server->udp, other = socket(AF_INET, SOCK_DGRAM, 0);
	int second = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(0x7f000002),
	    .sin_port = htons(s->server->port) };

	(void)row;
	s->server->udp = other;
	dns_server_say(s, &forged);
	if (bind(second, (struct sockaddr *)&a, sizeof(a)) == -1)
		err(1, "127.0.0.2");
	s->server->udp = second;
	dns_server_say(s, &forged);
	close(other);
	close(second);
	s->server->udp = own;
	dns_server_say(s, &honest);
}

static void
short_packets(struct dns_server_ask *s, const struct dns_server_row *row)
{
	size_t n, i;
	uint8_t *wire = dns_server_packet(s, &forged, &n);

	(void)row;
	for (i = 0; i < 24; i++)	/* up to the end of the question */
		dns_server_send(s, wire, i);
	free(wire);
	dns_server_say(s, &honest);
}

static void
test_foreign(void)
{
	static const struct {
		const char	*what;
		dns_server_fn	*fn;
	} lies[] = {
		{ "wrong id", wrong_id },
		{ "wrong question", wrong_question },
		{ "wrong source", wrong_source },
		{ "cut before the answers", short_packets },
	};
	struct dns_server_row rows[2] = { { .name = "*" } };
	struct question q;
	size_t i;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		rows[0].fn = lies[i].fn;
		start(rows);
		ask_wait(&q, "x.test", DNS_A);
		is_str(q.first, "192.0.2.1", "%s: the true answer counts",
		    lies[i].what);
		is_int(one.nudp + one.ntcp, 1, "%s: asked once", lies[i].what);
		stop();
	}
}

/* Somebody guesses ids: the question goes where none can be guessed. */
static void
flood(struct dns_server_ask *s, const struct dns_server_row *row)
{
	size_t n;
	uint8_t *wire;
	unsigned i;

	(void)row;
	if (s->conn != NULL) {
		dns_server_say(s, &honest);
		return;
	}
	wire = dns_server_packet(s, &forged, &n);
	for (i = 1; i <= 100; i++) {
		put_be16(wire, (uint16_t)(ldns_pkt_id(s->pkt) + i));
		dns_server_send(s, wire, n);
	}
	put_be16(wire, ldns_pkt_id(s->pkt));
	dns_server_send(s, wire, n);
	free(wire);
}

static void
test_flood(void)
{
	static const struct dns_server_row rows[] = {
		{ .name = "*", .fn = flood }, { .name = NULL }
	};
	struct question q;

	start(rows);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.first, "192.0.2.1", "guessed ids: the answer by TCP counts");
	is_int(one.ntcp, 1, "guessed ids: asked by TCP");
	stop();
}

/* ---- broken answers ---- */

static void
cut_records(struct dns_server_ask *s, const struct dns_server_row *row)
{
	size_t n;
	uint8_t *wire = dns_server_packet(s, &forged, &n);

	(void)row;
	dns_server_send(s, wire, n - 1);
	free(wire);
}

/* The header and the question, then these bytes as one answer. */
static void
say_with(struct dns_server_ask *s, const uint8_t *more, size_t size)
{
	static const struct dns_server_row empty = { .name = "" };
	uint8_t *wire, packet[70000];
	size_t n;

	wire = dns_server_packet(s, &empty, &n);
	memcpy(packet, wire, n);
	memcpy(packet + n, more, size);
	put_be16(packet + 6, 1);
	dns_server_send(s, packet, n + size);
	free(wire);
}

/* Owner: a pointer to itself, at 12 + "x.test" + 4 = 24. */
static void
own_pointer(struct dns_server_ask *s, const struct dns_server_row *row)
{
	static const uint8_t rr[] = { 0xc0, 24, 0, 1, 0, 1, 0, 0, 0, 60,
	    0, 4, 192, 0, 2, 66 };

	(void)row;
	say_with(s, rr, sizeof(rr));
}

/* A CNAME whose target points at its own beginning. */
static void
pointer_circle(struct dns_server_ask *s, const struct dns_server_row *row)
{
	static const uint8_t rr[] = { 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60,
	    0, 4, 1, 'a', 0xc0, 36 };

	(void)row;
	say_with(s, rr, sizeof(rr));
}

/* An address of three bytes. */
static void
short_address(struct dns_server_ask *s, const struct dns_server_row *row)
{
	static const uint8_t rr[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60,
	    0, 3, 192, 0, 2 };

	(void)row;
	say_with(s, rr, sizeof(rr));
}

static void
test_broken(void)
{
	static const struct {
		const char	*what;
		dns_server_fn	*fn;
	} lies[] = {
		{ "cut inside a record", cut_records },
		{ "a pointer to itself", own_pointer },
		{ "a circle of pointers", pointer_circle },
		{ "a short address", short_address },
	};
	static const struct dns_server_row good[] = {
		{ "x.test.", A, 0, { "x.test. 60 IN A 192.0.2.1" }, { NULL },
		    NULL },
		{ .name = NULL }
	};
	struct dns_server_row rows[2] = { { .name = "*" } };
	struct question q;
	size_t i;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		rows[0].fn = lies[i].fn;
		start(rows);
		ask_wait(&q, "x.test", DNS_A);
		is_int(q.status, DNS_FAILED, "%s: failed", lies[i].what);
		is_str(q.error, "broken answer", "%s: so it says",
		    lies[i].what);
		stop();
		start_two(rows, good);
		ask_wait(&q, "x.test", DNS_A);
		is_str(q.first, "192.0.2.1", "%s: the next server is asked",
		    lies[i].what);
		stop();
	}
}


static void
referral(struct dns_server_ask *s, const struct dns_server_row *row)
{
	static const struct dns_server_row ns = { "*", 0, 0, { NULL },
	    { "test. 60 IN NS ns.test." }, NULL };
	size_t n;
	uint8_t *wire = dns_server_packet(s, &ns, &n);

	(void)row;
	wire[3] &= 0x7f;		/* RA */
	dns_server_send(s, wire, n);
	free(wire);
}

static void
test_lame(void)
{
	static const struct dns_server_row rows[] = {
		{ .name = "*", .fn = referral }, { .name = NULL }
	};
	struct question q;


	start(rows);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.error, "server does not recurse", "a referral is no answer");
	stop();
}

/* ---- CNAMEs ---- */

static const struct dns_server_row aliases[] = {
	{ "a.test.", A, 0, { "a.test. 60 IN CNAME b.test." }, { NULL }, NULL },
	{ "b.test.", A, 0, { "b.test. 30 IN CNAME c.test." }, { NULL }, NULL },
	{ "c.test.", A, 0, { "c.test. 90 IN A 192.0.2.3" }, { NULL }, NULL },
	{ "l.test.", A, 0, { "l.test. 60 IN CNAME m.test." }, { NULL }, NULL },
	{ "m.test.", A, 0, { "m.test. 60 IN CNAME l.test." }, { NULL }, NULL },
	{ "s.test.", A, 0, { "s.test. 60 IN CNAME s.test." }, { NULL }, NULL },
	{ "r.test.", A, 0, { "r.test. 60 IN CNAME t.test.",
	    "t.test. 60 IN CNAME r.test." }, { NULL }, NULL },
	{ "n8.test.", A, 0, { "n8.test. 60 IN CNAME n7.test.",
	    "n7.test. 60 IN CNAME n6.test.", "n6.test. 60 IN CNAME n5.test.",
	    "n5.test. 60 IN CNAME n4.test.", "n4.test. 60 IN CNAME n3.test.",
	    "n3.test. 60 IN CNAME n2.test.", "n2.test. 60 IN CNAME n1.test.",
	    "n1.test. 60 IN CNAME n0.test.", "n0.test. 60 IN A 192.0.2.8" },
	    { NULL }, NULL },
	{ "n9.test.", A, 0, { "n9.test. 60 IN CNAME n8.test." }, { NULL },
	    NULL },
	{ "up.test.", A, 0, { "mixed.test. 60 IN A 192.0.2.9",
	    "up.test. 60 IN CNAME MIXED.test." }, { NULL }, NULL },
	{ "stray.test.", A, 0, { "other.test. 60 IN A 192.0.2.66" },
	    { SOA }, NULL },
	{ .name = NULL }
};

static void
test_aliases(void)
{
	struct question q;

	start(aliases);
	one.is_ad = true;
	ask_wait(&q, "a.test", DNS_A);
	is_str(q.first, "192.0.2.3", "targets that are missing are asked for");
	is_str(q.name, "c.test", "where it leads");
	is_int(q.ttl_s, 30, "the smallest TTL of all");
	ok(q.is_secure, "all of it secure: secure");
	is_int(one.nudp, 3, "three questions");
	ask_wait(&q, "a.test", DNS_A);
	is_int(one.nudp, 3, "kept as a whole");
	ask_wait(&q, "c.test", DNS_A);
	one.is_ad = false;
	ask_wait(&q, "b.test", DNS_A);
	is_str(q.first, "192.0.2.3", "a target that is known");
	ok(!q.is_secure, "the alias not secure: not secure");
	is_int(one.nudp, 5, "is not asked for");
	ask_wait(&q, "l.test", DNS_A);
	is_str(q.error, "too many CNAMEs", "a circle over packets ends");
	is_int(q.status, DNS_FAILED, "a circle: failed");
	is_int(one.nudp, 5 + 9, "a circle: after eight");
	ask_wait(&q, "s.test", DNS_A);
	is_str(q.error, "too many CNAMEs", "an alias of itself");
	ask_wait(&q, "r.test", DNS_A);
	is_str(q.error, "too many CNAMEs", "a circle in one packet");
	ask_wait(&q, "n8.test", DNS_A);
	is_str(q.first, "192.0.2.8", "eight are followed");
	ask_wait(&q, "n9.test", DNS_A);
	is_str(q.name, "n0.test", "a known one's are not counted again");
	ask_wait(&q, "up.test", DNS_A);
	is_str(q.first, "192.0.2.9", "in any order and case");
	ask_wait(&q, "stray.test", DNS_A);
	is_int(q.status, DNS_NO_DATA, "records of another name are none");
	stop();
}

/* ---- EDNS ---- */

static void
no_edns(struct dns_server_ask *s, const struct dns_server_row *row)
{
	static const struct dns_server_row bad = { "*", 0, LDNS_RCODE_FORMERR,
	    { NULL }, { NULL }, NULL };
	size_t n;
	uint8_t *wire;

	(void)row;
	if (ldns_pkt_edns_udp_size(s->pkt) == 0) {
		dns_server_say(s, &honest);
		return;
	}
	wire = dns_server_packet(s, &bad, &n);
	wire[5] = 0;			/* some give the header alone */
	dns_server_send(s, wire, 12);
	free(wire);
}

static void
test_no_edns(void)
{
	static const struct dns_server_row rows[] = {
		{ .name = "*", .fn = no_edns }, { .name = NULL }
	};
	static const struct dns_server_row formerr[] = {
		{ "*", 0, LDNS_RCODE_FORMERR, { NULL }, { NULL }, NULL },
		{ .name = NULL }
	};
	struct question q;

	start(rows);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.first, "192.0.2.1", "FORMERR: asked again without EDNS");
	is_int(one.nudp, 2, "FORMERR: once");
	ask_wait(&q, "x.test", DNS_AAAA);
	is_int(one.nudp, 3, "it is remembered of the server");
	is_int(one.nedns, 1, "EDNS was tried once");
	stop();
	start(formerr);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.error, "format error", "FORMERR always: failed");
	is_int(one.nudp, 2, "FORMERR always: asked twice");
	stop();
}

/* ---- TCP ---- */

/* Cut over UDP; over TCP by the row's function. */
static void
say_cut(struct dns_server_ask *s)
{
	static const struct dns_server_row empty = { .name = "" };
	size_t n;
	uint8_t *wire = dns_server_packet(s, &empty, &n);

	wire[2] |= 2;
	dns_server_send(s, wire, n);
	free(wire);
}

/* Any name: its own address record. */
static void
say_own(struct dns_server_ask *s)
{
	char *name = ldns_rdf2str(ldns_rr_owner(ldns_rr_list_rr(
	    ldns_pkt_question(s->pkt), 0)));
	struct dns_server_row row = { .name = name };
	char rr[300];

	snprintf(rr, sizeof(rr), "%s 60 IN A 192.0.2.5", name);
	row.answer[0] = rr;
	dns_server_say(s, &row);
	free(name);
}

static void
cut_udp(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)row;
	if (s->conn == NULL)
		say_cut(s);
	else
		say_own(s);
}

static void
cut_always(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)row;
	say_cut(s);
}

/* Closes after each answer. */
static void
one_each(struct dns_server_ask *s, const struct dns_server_row *row)
{
	cut_udp(s, row);
	if (s->conn != NULL)
		dns_server_close(s->conn);
}

static void
close_early(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)row;
	if (s->conn == NULL)
		say_cut(s);
	else
		dns_server_close(s->conn);
}

static void
stall(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)row;
	if (s->conn == NULL)
		say_cut(s);
	else if (send(s->conn->fd, "\0\100half", 6, MSG_NOSIGNAL) == -1)
		warn("send");
}

/* Messages for nobody, as many as the connection takes. */
static void
endless(struct dns_server_ask *s, const struct dns_server_row *row)
{
	static uint8_t junk[60000];
	unsigned i;

	(void)row;
	if (s->conn == NULL) {
		say_cut(s);
		return;
	}
	fcntl(s->conn->fd, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 100; i++)
		if (send(s->conn->fd, junk, sizeof(junk), MSG_NOSIGNAL) == -1)
			break;
}

static void
start_fn(dns_server_fn *fn)
{
	static struct dns_server_row rows[2];

	rows[0].name = "*";
	rows[0].fn = fn;
	start(rows);
}

static void
test_tcp(void)
{
	struct question many[50], q;
	unsigned i, right = 0;
	char name[32];

	start_fn(cut_udp);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.first, "192.0.2.5", "a cut answer is asked for by TCP");
	is_int(one.ntcp, 1, "once");
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(&many[i], name, DNS_A);
	}
	for (i = 0; i < 50; i++)
		right += turn_until(loop, &many[i].is_answered) &&
		    many[i].n == 1;
	is_int(right, 50, "fifty at once: all answered");
	is_int(one.nconns, 1, "fifty at once: over one connection");
	for (i = 0; i < 100 && one.conns[0].fd != 0; i++)
		turn_for(loop, 200);
	ok(one.conns[0].fd == 0, "idle, it is closed");
	ask_wait(&q, "y.test", DNS_A);
	is_int(one.nconns, 2, "then there is another");
	stop();

	start_fn(one_each);
	for (i = right = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(&many[i], name, DNS_A);
	}
	for (i = 0; i < 20; i++)
		right += turn_until(loop, &many[i].is_answered) &&
		    many[i].n == 1;
	is_int(right, 20, "a server that closes after each answer");
	stop();

	start_fn(cut_always);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.error, "truncated answer over TCP", "cut over TCP, too");
	stop();

	start_fn(endless);
	ask_wait(&q, "x.test", DNS_A);
	is_int(q.status, DNS_FAILED, "endless junk over TCP: failed");
	stop();

	start_fn(close_early);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.error, "Connection reset by peer", "closed without an answer");
	stop();
}

static void
test_slow_tcp(void)
{
	static const struct dns_server_row rows[] = {
		{ .name = "*", .fn = cut_udp }, { .name = NULL }
	};
	struct question q;

	start_fn(stall);
	conf.dns_timeout_ms = 500;
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.error, "timed out", "half an answer by TCP: timed out");
	one.rows = rows;
	ask_wait(&q, "y.test", DNS_A);
	is_int(q.n, 1, "the connection that hung is not used again");
	stop();

	/* TCP is closed: a firewall. */
	start_fn(cut_udp);
	event_del(&one.ev_tcp);
	close(one.tcp);
	ask_wait(&q, "x.test", DNS_A);
	is_str(q.error, "Connection refused", "no TCP: failed");
	one.tcp = open("/dev/null", O_RDONLY);
	stop();
}

/* ---- many ---- */

static void
say_any(struct dns_server_ask *s, const struct dns_server_row *row)
{
	(void)row;
	say_own(s);
}

static void
test_many(void)
{
	enum { MANY = DNS_ASKED_MAX + DNS_LINE_MAX + 100 };
	struct question *many = calloc(MANY, sizeof(*many));
	unsigned i, tries, answered = 0, right = 0, refused = 0, late = 0;
	int before = count_fds(), most = 0;
	char name[32];

	start_fn(say_any);
	conf.dns_timeout_ms = 30000;
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(&many[i], name, DNS_A);
		if (i == DNS_ASKED_MAX)
			loop_turn(loop, 0);
	}
	for (i = 0; i < MANY; i++) {
		/* A datagram that was lost costs dns_timeout. */
		for (tries = 0; !many[i].is_answered && tries < 5; tries++) {
			turn_until(loop, &many[i].is_answered);
			if (count_fds() > most)
				most = count_fds();
		}
		answered += many[i].is_answered;
		right += many[i].n == 1;
		late += strcmp(many[i].error, "timed out") == 0;
		refused += strcmp(many[i].error, "too many questions") == 0;
	}
	ok(right >= DNS_LINE_MAX, "many: %u answered", right);
	ok(refused > 0 && refused <= DNS_ASKED_MAX + 100,
	    "beyond the line: %u failed at once",
	    refused);
	is_int(answered, MANY, "each has its answer");
	is_int(right + refused + late, MANY, "and no other: %u timed out",
	    late);
	ok(most <= before + 2 * DNS_ASKED_MAX, "sockets are bounded: %d", most);
	free(many);
	stop();
}

int
main(void)
{
	loop = loop_new();
	test_foreign();
	test_flood();
	test_broken();
	test_lame();
	test_aliases();
	test_no_edns();
	test_tcp();
	test_slow_tcp();
	test_many();
	loop_free(loop);
	return done_testing();
}
