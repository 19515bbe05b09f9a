/*
 * dns_packet.c - questions built, answers read.
 *
 * ldns makes the question and the records.  The walk through an answer is our
 * own: records that nobody asked for (signatures, name servers) cost nothing,
 * and names are checked before ldns follows their pointers, of which it would
 * take very many.
 *
 * LONG: one format, questions beside their answers
 */
#include "route/dns_packet.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define HEADER		12
#define FLAG_QR		0x8000
#define FLAG_OPCODE	0x7800
#define FLAG_AA		0x0400
#define FLAG_TC		0x0200
#define FLAG_RA		0x0080
#define FLAG_AD		0x0020

static const uint16_t wire_types[] = {
	[DNS_A] = LDNS_RR_TYPE_A,
	[DNS_AAAA] = LDNS_RR_TYPE_AAAA,
	[DNS_MX] = LDNS_RR_TYPE_MX,
	[DNS_TXT] = LDNS_RR_TYPE_TXT,
	[DNS_TLSA] = LDNS_RR_TYPE_TLSA,
	[DNS_CNAME] = LDNS_RR_TYPE_CNAME,
};

static const char *const type_names[] = {
	[DNS_A] = "A",
	[DNS_AAAA] = "AAAA",
	[DNS_MX] = "MX",
	[DNS_TXT] = "TXT",
	[DNS_TLSA] = "TLSA",
	[DNS_CNAME] = "CNAME",
};

const char *
dns_type_name(enum dns_type type)
{
	return type_names[type];
}

const char *
dns_rcode_text(unsigned rcode)
{
	switch (rcode) {
	case LDNS_RCODE_FORMERR:
		return "format error";
	case LDNS_RCODE_SERVFAIL:
		return "server failure";
	case LDNS_RCODE_NOTIMPL:
		return "not implemented";
	case LDNS_RCODE_REFUSED:
		return "refused";
	default:
		return "unexpected answer code";
	}
}

size_t
dns_packet_build(uint8_t to[DNS_QUESTION_MAX], uint16_t id,
    const struct dns_name *name, enum dns_type type, unsigned flags)
{
	ldns_rdf *owner = ldns_dname_new_frm_data(name->len, name->wire);
	ldns_pkt *pkt;
	uint8_t *wire = NULL;
	size_t n = 0;

	if (owner == NULL)
		return 0;
	if ((pkt = ldns_pkt_query_new(owner, wire_types[type],
	    LDNS_RR_CLASS_IN, LDNS_RD)) == NULL) {
		ldns_rdf_deep_free(owner);
		return 0;
	}
	ldns_pkt_set_id(pkt, id);
	if (flags & DNS_EDNS) {
		ldns_pkt_set_edns_udp_size(pkt, DNS_UDP_PAYLOAD);
		ldns_pkt_set_edns_do(pkt, (flags & DNS_SECURE) != 0);
	}
	ldns_pkt_set_ad(pkt, (flags & DNS_SECURE) != 0);
	if (ldns_pkt2wire(&wire, pkt, &n) != LDNS_STATUS_OK ||
	    n > DNS_QUESTION_MAX)
		n = 0;
	if (n > 0)
		memcpy(to, wire, n);
	free(wire);
	ldns_pkt_free(pkt);
	return n;
}

/* ---- the walk ---- */

struct packet {
	const uint8_t	*data;
	size_t		 size;
	uint16_t	 flags;
	uint16_t	 counts[4];	/* question, answer, authority, more */
	size_t		 answer, authority;	/* where they begin */
	unsigned	 nanswer, nauthority;	/* looked at */
};

struct record {
	struct dns_name	 owner;
	size_t		 start, rdata;	/* offsets */
	uint16_t	 type, class, rdlength;
	uint32_t	 ttl_s;
};

/* The record at *pos, which moves behind it. */
static int
next_record(const struct packet *p, size_t *pos, struct record *r)
{
	const uint8_t *fixed;

	r->start = *pos;
	if (dns_name_read(&r->owner, p->data, p->size, pos) == -1 ||
	    p->size - *pos < 10)
		return -1;
	fixed = p->data + *pos;
	r->type = get_be16(fixed);
	r->class = get_be16(fixed + 2);
	r->ttl_s = get_be32(fixed + 4);
	if (r->ttl_s > INT32_MAX)
		r->ttl_s = 0;			/* RFC 2181 §8 */
	r->rdlength = get_be16(fixed + 8);
	r->rdata = *pos + 10;
	if (p->size - r->rdata < r->rdlength)
		return -1;
	*pos = r->rdata + r->rdlength;
	return 0;
}

/* Past a section; how many of its records there are to look at later. */
static int
skip_section(const struct packet *p, size_t *pos, unsigned count,
    unsigned *rcode)
{
	struct record r;
	unsigned i;

	for (i = 0; i < count && i < DNS_WALK_MAX; i++) {
		if (next_record(p, pos, &r) == -1)
			return -1;
		if (r.type == LDNS_RR_TYPE_OPT && rcode != NULL)
			*rcode |= p->data[r.rdata - 6] << 4; /* RFC 6891 §6.1.3 */
	}
	return (int)i;
}

/* The names in the data of a record, before ldns reads them. */
static bool
names_are_sound(const struct packet *p, const struct record *r)
{
	size_t pos = r->rdata, end = r->rdata + r->rdlength;
	struct dns_name name;
	unsigned n = 1;

	if (r->type == LDNS_RR_TYPE_MX)
		pos += 2;
	else if (r->type == LDNS_RR_TYPE_SOA)
		n = 2;
	else if (r->type != LDNS_RR_TYPE_CNAME)
		return true;
	for (; n > 0; n--)
		if (pos > end || dns_name_read(&name, p->data, end, &pos) == -1)
			return false;
	return true;
}

/* NULL where the data is broken. */
static ldns_rr *
read_record(const struct packet *p, const struct record *r, size_t nfields)
{
	size_t pos = r->start;
	ldns_rr *rr;

	if (!names_are_sound(p, r) || ldns_wire2rr(&rr, p->data, p->size, &pos,
	    LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
		return NULL;
	if (ldns_rr_rd_count(rr) >= nfields &&
	    pos == r->rdata + r->rdlength)
		return rr;
	ldns_rr_free(rr);
	return NULL;
}

/* A name in a record, by ldns without compression. */
static void
field_name(const ldns_rr *rr, size_t i, struct dns_name *name)
{
	const ldns_rdf *f = ldns_rr_rdf(rr, i);
	size_t pos = 0;

	if (dns_name_read(name, ldns_rdf_data(f), ldns_rdf_size(f),
	    &pos) == -1) {
		name->len = 1;		/* cannot be */
		name->wire[0] = 0;
	}
}

static const char *
field_text(const ldns_rr *rr, size_t i, struct arena *arena)
{
	struct dns_name name;
	char text[DNS_TEXT_MAX];

	field_name(rr, i, &name);
	return arena_strndup(arena, text, dns_name_format(&name, text));
}

/* ---- records ---- */

/* -1: the data is broken. */
typedef int read_fn(const ldns_rr *, void *to, struct arena *);

static int
read_addr(const ldns_rr *rr, void *to, struct arena *arena)
{
	const ldns_rdf *f = ldns_rr_rdf(rr, 0);
	struct addr *a = to;

	(void)arena;
	memset(a, 0, sizeof(*a));
	if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_A) {
		if (ldns_rdf_size(f) != sizeof(a->u.in.sin_addr))
			return -1;
		a->u.in.sin_family = AF_INET;
		a->len = sizeof(a->u.in);
		memcpy(&a->u.in.sin_addr, ldns_rdf_data(f), ldns_rdf_size(f));
	} else {
		if (ldns_rdf_size(f) != sizeof(a->u.in6.sin6_addr))
			return -1;
		a->u.in6.sin6_family = AF_INET6;
		a->len = sizeof(a->u.in6);
		memcpy(&a->u.in6.sin6_addr, ldns_rdf_data(f),
		    ldns_rdf_size(f));
	}
	return 0;
}

static int
read_mx(const ldns_rr *rr, void *to, struct arena *arena)
{
	struct dns_mx *mx = to;

	mx->preference = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
	mx->host = field_text(rr, 1, arena);
	return 0;
}

static int
read_txt(const ldns_rr *rr, void *to, struct arena *arena)
{
	struct dns_txt *txt = to;
	size_t len = 0, i, n = ldns_rr_rd_count(rr), part;
	const ldns_rdf *f;
	char *at;

	for (i = 0; i < n; i++)
		len += ldns_rdf_size(ldns_rr_rdf(rr, i));
	txt->text = at = arena_alloc(arena, len + 1);
	for (i = 0; i < n; i++) {
		f = ldns_rr_rdf(rr, i);
		if (ldns_rdf_size(f) == 0 ||
		    (part = ldns_rdf_data(f)[0]) + 1 > ldns_rdf_size(f))
			return -1;
		memcpy(at, ldns_rdf_data(f) + 1, part);
		at += part;
	}
	*at = '\0';
	txt->len = (size_t)(at - txt->text);
	return 0;
}

static int
read_tlsa(const ldns_rr *rr, void *to, struct arena *arena)
{
	struct dns_tlsa *tlsa = to;
	const ldns_rdf *data = ldns_rr_rdf(rr, 3);
	uint8_t *copy = arena_alloc(arena, ldns_rdf_size(data));

	tlsa->usage = ldns_rdf2native_int8(ldns_rr_rdf(rr, 0));
	tlsa->selector = ldns_rdf2native_int8(ldns_rr_rdf(rr, 1));
	tlsa->matching = ldns_rdf2native_int8(ldns_rr_rdf(rr, 2));
	tlsa->len = ldns_rdf_size(data);
	if (tlsa->len > 0)
		memcpy(copy, ldns_rdf_data(data), tlsa->len);
	tlsa->data = copy;
	return 0;
}

static int
read_cname(const ldns_rr *rr, void *to, struct arena *arena)
{
	const char **cname = to;

	*cname = field_text(rr, 0, arena);
	return 0;
}

static const struct kind {
	size_t	 nfields, size;
	read_fn	*read;
} kinds[] = {
	[DNS_A] = { 1, sizeof(struct addr), read_addr },
	[DNS_AAAA] = { 1, sizeof(struct addr), read_addr },
	[DNS_MX] = { 2, sizeof(struct dns_mx), read_mx },
	[DNS_TXT] = { 1, sizeof(struct dns_txt), read_txt },
	[DNS_TLSA] = { 4, sizeof(struct dns_tlsa), read_tlsa },
	[DNS_CNAME] = { 1, sizeof(const char *), read_cname },
};

static void
lower_ttl(struct dns_reply *reply, uint32_t ttl_s)
{
	if (!reply->has_ttl || ttl_s < reply->a.ttl_s)
		reply->a.ttl_s = ttl_s;
	reply->has_ttl = true;
}

static int
add_record(struct dns_reply *reply, const struct packet *p,
    const struct record *r, struct arena *arena)
{
	const struct kind *k = &kinds[reply->a.type];
	ldns_rr *rr;
	int status;

	if (reply->a.n == DNS_RECORDS_MAX)
		return 0;
	if ((rr = read_record(p, r, k->nfields)) == NULL)
		return -1;
	if (reply->a.n == 0)
		reply->a.mx = arena_alloc(arena, k->size * (p->nanswer <
		    DNS_RECORDS_MAX ? p->nanswer : DNS_RECORDS_MAX));
	status = k->read(rr, (char *)(uintptr_t)reply->a.mx +
	    reply->a.n * k->size, arena);
	ldns_rr_free(rr);
	if (status == -1)
		return -1;
	reply->a.n++;
	lower_ttl(reply, r->ttl_s);
	return 0;
}

/* ---- what an answer means ---- */

/*
 * The records of reply->name, or where its CNAME leads: 1 if there is one. -1:
 * broken.
 */
static int
look_for_name(struct dns_reply *reply, const struct packet *p,
    struct dns_name *target, struct arena *arena)
{
	struct record r;
	size_t pos = p->answer;
	uint32_t ttl_s = 0;
	bool has_cname = false;
	ldns_rr *rr;
	unsigned i;

	for (i = 0; i < p->nanswer; i++) {
		if (next_record(p, &pos, &r) == -1)
			return -1;
		if (r.class != LDNS_RR_CLASS_IN ||
		    !dns_name_equal(&r.owner, &reply->name))
			continue;
		if (r.type == wire_types[reply->a.type]) {
			if (add_record(reply, p, &r, arena) == -1)
				return -1;
		} else if (r.type == LDNS_RR_TYPE_CNAME && !has_cname) {
			if ((rr = read_record(p, &r, 1)) == NULL)
				return -1;
			field_name(rr, 0, target);
			ldns_rr_free(rr);
			has_cname = true;
			ttl_s = r.ttl_s;
		}
	}
	if (reply->a.n > 0 || !has_cname)
		return 0;
	lower_ttl(reply, ttl_s);
	return 1;
}

/* The SOA of a negative answer (RFC 2308 §3, §5), or a referral's NS. */
static void
look_for_soa(const struct packet *p, bool *has_soa, bool *has_ns,
    uint32_t *ttl_s)
{
	struct record r;
	size_t pos = p->authority;
	uint32_t minimum;
	ldns_rr *rr;
	unsigned i;

	*has_soa = *has_ns = false;
	for (i = 0; i < p->nauthority; i++) {
		if (next_record(p, &pos, &r) == -1)
			return;			/* cannot be: walked before */
		*has_ns |= r.type == LDNS_RR_TYPE_NS;
		if (r.type != LDNS_RR_TYPE_SOA || *has_soa ||
		    (rr = read_record(p, &r, 7)) == NULL)
			continue;
		minimum = ldns_rdf2native_int32(ldns_rr_rdf(rr, 6));
		ldns_rr_free(rr);
		*has_soa = true;
		*ttl_s = minimum < r.ttl_s ? minimum : r.ttl_s;
	}
}

static void
read_negative(struct dns_reply *reply, const struct packet *p)
{
	uint32_t ttl_s = 0;
	bool has_soa, has_ns;

	look_for_soa(p, &has_soa, &has_ns, &ttl_s);
	reply->kind = DNS_REPLY_ANSWER;
	if (reply->rcode == LDNS_RCODE_NXDOMAIN)
		reply->a.status = DNS_NO_NAME;	/* the last name's: RFC 6604 */
	else if (!has_soa && reply->ncnames > 0) {
		reply->kind = DNS_REPLY_FOLLOW;
		return;
	} else if (!has_soa && has_ns && !(p->flags & (FLAG_AA | FLAG_RA))) {
		reply->kind = DNS_REPLY_LAME;
		return;
	} else
		reply->a.status = DNS_NO_DATA;
	if (has_soa)
		lower_ttl(reply, ttl_s);
	else
		reply->has_ttl = false;
}

static void
read_sections(struct dns_reply *reply, const struct packet *p,
    unsigned cnames_max, struct arena *arena)
{
	struct dns_name target;
	int more;

	while ((more = look_for_name(reply, p, &target, arena)) == 1) {
		if (reply->ncnames == cnames_max) {
			reply->kind = DNS_REPLY_CHAIN;
			return;
		}
		reply->ncnames++;
		reply->name = target;
	}
	if (more == -1)
		reply->kind = DNS_REPLY_GARBAGE;
	else if (reply->a.n > 0) {
		reply->kind = DNS_REPLY_ANSWER;
		reply->a.status = DNS_OK;
	} else
		read_negative(reply, p);
}

/* Is it ours at all? RFC 5452 §9.1; the source is the transport's matter. */
static bool
is_to(const struct packet *p, const struct dns_name *asked, enum dns_type type,
    unsigned rcode, size_t *pos)
{
	struct dns_name name;

	if (!(p->flags & FLAG_QR) || (p->flags & FLAG_OPCODE))
		return false;
	/* One who does not understand EDNS may not repeat the question. */
	if (p->counts[0] == 0)
		return rcode == LDNS_RCODE_FORMERR ||
		    rcode == LDNS_RCODE_NOTIMPL;
	if (p->counts[0] != 1 ||
	    dns_name_read(&name, p->data, p->size, pos) == -1 ||
	    p->size - *pos < 4 || !dns_name_equal(&name, asked) ||
	    get_be16(p->data + *pos) != wire_types[type] ||
	    get_be16(p->data + *pos + 2) != LDNS_RR_CLASS_IN)
		return false;
	*pos += 4;
	return true;
}

/* -1: broken. */
static int
walk(struct packet *p, size_t pos, unsigned *rcode)
{
	int n;

	p->answer = pos;
	if ((n = skip_section(p, &pos, p->counts[1], NULL)) == -1)
		return -1;
	p->nanswer = (unsigned)n;
	p->authority = pos;
	if (n < p->counts[1])
		return 0;
	if ((n = skip_section(p, &pos, p->counts[2], NULL)) == -1)
		return -1;
	p->nauthority = (unsigned)n;
	if (n < p->counts[2])
		return 0;
	return skip_section(p, &pos, p->counts[3], rcode) == -1 ? -1 : 0;
}

void
dns_packet_read(struct dns_reply *reply, const uint8_t *data, size_t size,
    uint16_t id, const struct dns_name *asked, enum dns_type type,
    unsigned cnames_max, struct arena *arena)
{
	struct packet p = { .data = data, .size = size };
	size_t pos = HEADER, i;

	memset(reply, 0, sizeof(*reply));
	reply->a.type = type;
	reply->name = *asked;
	if (size < HEADER || get_be16(data) != id)
		return;
	p.flags = get_be16(data + 2);
	reply->rcode = p.flags & 0xf;
	for (i = 0; i < 4; i++)
		p.counts[i] = get_be16(data + 4 + 2 * i);
	if (!is_to(&p, asked, type, reply->rcode, &pos))
		return;
	reply->is_ad = (p.flags & FLAG_AD) != 0;
	/* What is cut off need not be sound. */
	if (p.flags & FLAG_TC)
		reply->kind = DNS_REPLY_TRUNCATED;
	else if (walk(&p, pos, &reply->rcode) == -1)
		reply->kind = DNS_REPLY_GARBAGE;
	else if (reply->rcode != LDNS_RCODE_NOERROR &&
	    reply->rcode != LDNS_RCODE_NXDOMAIN)
		reply->kind = DNS_REPLY_ERROR;
	else
		read_sections(reply, &p, cnames_max, arena);
}
