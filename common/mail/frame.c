/*
 * frame.c - frames as bytes; see frame.h.  Encode and decode of each frame
 * stand next to each other.
 *
 * LONG: one pair of functions for each frame there is
 */
#include "mail/frame.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

static const char *const type_names[] = {
	[FRAME_HELO] = "HELO",		[FRAME_CONFIG] = "CONFIG",
	[FRAME_READY] = "READY",	[FRAME_DELIVER] = "DELIVER",
	[FRAME_STAGE] = "STAGE",	[FRAME_RESULT] = "RESULT",
	[FRAME_DONE] = "DONE",		[FRAME_FORWARD] = "FORWARD",
	[FRAME_CANCEL] = "CANCEL",	[FRAME_STATS] = "STATS",
	[FRAME_DRAIN] = "DRAIN",	[FRAME_COMMAND] = "COMMAND",
	[FRAME_OUTPUT] = "OUTPUT",	[FRAME_EXIT] = "EXIT",
	[FRAME_LISTEN] = "LISTEN",	[FRAME_LOG] = "LOG",
};
#define NTYPES	(sizeof(type_names) / sizeof(type_names[0]))

const char *
frame_type_name(unsigned type)
{
	return type < NTYPES && type_names[type] != NULL ?
	    type_names[type] : "?";
}

/* ---- header and attributes ---- */

int
frame_parse(const void *bytes, size_t n, struct frame *f, const char **error_r)
{
	const uint8_t *p = bytes;

	f->len = 0;
	if (n < 4)
		return 0;
	f->len = get_be32(p);
	if (f->len < FRAME_HEADER_BYTES || f->len > FRAME_BYTES_MAX) {
		*error_r = "frame length out of range";
		return -1;
	}
	if (n < FRAME_HEADER_BYTES)
		return 0;
	if (p[4] != FRAME_VERSION) {
		*error_r = "unknown frame version";
		return -1;
	}
	f->type = p[5];
	if (f->type == 0 || f->type >= NTYPES) {
		*error_r = "unknown frame type";
		return -1;
	}
	f->flags = get_be16(p + 6);
	if ((f->flags & ~FRAME_HAS_FD) != 0) {
		*error_r = "unknown frame flag";
		return -1;
	}
	f->id = get_be64(p + 8);
	f->attrs = p + FRAME_HEADER_BYTES;
	f->attrs_len = f->len - FRAME_HEADER_BYTES;
	return n >= f->len;
}

int
frame_next(const struct frame *f, size_t *at, struct attr *a)
{
	const uint8_t *p = f->attrs + *at;
	size_t left = f->attrs_len - *at;

	if (left == 0)
		return 0;
	if (left < FRAME_ATTR_BYTES)
		return -1;
	a->tag = get_be16(p);
	a->len = get_be32(p + 2);
	a->data = p + FRAME_ATTR_BYTES;
	if (a->len > left - FRAME_ATTR_BYTES)
		return -1;
	*at += FRAME_ATTR_BYTES + a->len;
	return 1;
}

int
attr_u8(const struct attr *a, uint8_t *v)
{
	if (a->len != 1)
		return -1;
	*v = a->data[0];
	return 0;
}

int
attr_u16(const struct attr *a, uint16_t *v)
{
	if (a->len != 2)
		return -1;
	*v = get_be16(a->data);
	return 0;
}

int
attr_u32(const struct attr *a, uint32_t *v)
{
	if (a->len != 4)
		return -1;
	*v = get_be32(a->data);
	return 0;
}

int
attr_u64(const struct attr *a, uint64_t *v)
{
	if (a->len != 8)
		return -1;
	*v = get_be64(a->data);
	return 0;
}

static bool
attr_is_text(const struct attr *a)
{
	return a->len <= FRAME_TEXT_MAX &&
	    memchr(a->data, '\0', a->len) == NULL;
}

const char *
attr_text(const struct attr *a, struct arena *arena)
{
	if (!attr_is_text(a))
		return NULL;
	return arena_strndup(arena, (const char *)a->data, a->len);
}

void
frame_begin(struct frame_out *o, struct buf *b, enum frame_type type,
    uint64_t id, uint16_t flags)
{
	uint8_t *p = (uint8_t *)buf_reserve(b, FRAME_HEADER_BYTES);

	o->buf = b;
	o->at = buf_len(b);
	o->failed = p == NULL;
	if (o->failed)
		return;
	p[4] = FRAME_VERSION;
	p[5] = (uint8_t)type;
	put_be16(p + 6, flags);
	put_be64(p + 8, id);
	buf_commit(b, FRAME_HEADER_BYTES);
}

/* Room for an attribute's data; the header is written. */
static uint8_t *
put_attr(struct frame_out *o, enum frame_attr tag, size_t n)
{
	uint8_t *p;

	if (o->failed || n > FRAME_BYTES_MAX)
		p = NULL;
	else
		p = (uint8_t *)buf_reserve(o->buf, FRAME_ATTR_BYTES + n);
	if (p == NULL) {
		o->failed = true;
		return NULL;
	}
	put_be16(p, (uint16_t)tag);
	put_be32(p + 2, (uint32_t)n);
	buf_commit(o->buf, FRAME_ATTR_BYTES + n);
	return p + FRAME_ATTR_BYTES;
}

void
frame_put(struct frame_out *o, enum frame_attr tag, const void *data, size_t n)
{
	uint8_t *p = put_attr(o, tag, n);

	if (p != NULL && n > 0)
		memcpy(p, data, n);
}

void
frame_put_text(struct frame_out *o, enum frame_attr tag, const char *s)
{
	size_t n = strlen(s);

	if (n > FRAME_TEXT_MAX)
		o->failed = true;
	else
		frame_put(o, tag, s, n);
}

/* A text that may be missing. */
static void
put_optional(struct frame_out *o, enum frame_attr tag, const char *s)
{
	if (s != NULL)
		frame_put_text(o, tag, s);
}

void
frame_put_u8(struct frame_out *o, enum frame_attr tag, uint8_t v)
{
	frame_put(o, tag, &v, 1);
}

void
frame_put_u16(struct frame_out *o, enum frame_attr tag, uint16_t v)
{
	uint8_t *p = put_attr(o, tag, 2);

	if (p != NULL)
		put_be16(p, v);
}

void
frame_put_u32(struct frame_out *o, enum frame_attr tag, uint32_t v)
{
	uint8_t *p = put_attr(o, tag, 4);

	if (p != NULL)
		put_be32(p, v);
}

void
frame_put_u64(struct frame_out *o, enum frame_attr tag, uint64_t v)
{
	uint8_t *p = put_attr(o, tag, 8);

	if (p != NULL)
		put_be64(p, v);
}

void
frame_put_stat(void *frame_out, const char *name, uint64_t value)
{
	frame_put_text(frame_out, ATTR_STAT_NAME, name);
	frame_put_u64(frame_out, ATTR_STAT_VALUE, value);
}

int
frame_end(struct frame_out *o)
{
	size_t n = buf_len(o->buf) - o->at;

	if (n > FRAME_BYTES_MAX)
		o->failed = true;
	if (o->failed) {
		o->buf->end -= n;
		return -1;
	}
	put_be32(buf_data(o->buf) + o->at, (uint32_t)n);
	return 0;
}

int
frame_put_bare(struct buf *b, enum frame_type type, uint64_t id)
{
	struct frame_out o;

	frame_begin(&o, b, type, id, 0);
	return frame_end(&o);
}

void
frame_set_id(void *frame, uint64_t id)
{
	put_be64((uint8_t *)frame + 8, id);
}

/* ---- DELIVER ---- */

int
frame_put_deliver(struct buf *b, uint64_t id, const struct envelope *e)
{
	struct frame_out o;
	uint32_t i;

	frame_begin(&o, b, FRAME_DELIVER, id,
	    e->body.mem == NULL ? FRAME_HAS_FD : 0);
	if (*e->relay != '\0')
		frame_put_text(&o, ATTR_RELAY, e->relay);
	if (*e->id != '\0')
		frame_put_text(&o, ATTR_ENV_ID, e->id);
	frame_put_text(&o, ATTR_SENDER, e->sender);
	for (i = 0; i < e->nrcpt; i++) {
		frame_put_text(&o, ATTR_RCPT, e->rcpts[i].addr);
		put_optional(&o, ATTR_ORCPT, e->rcpts[i].orcpt);
		if (e->rcpts[i].notify != 0)
			frame_put_u8(&o, ATTR_NOTIFY, e->rcpts[i].notify);
	}
	put_optional(&o, ATTR_NEXTHOP, e->nexthop);
	put_optional(&o, ATTR_SOURCE, e->source);
	put_optional(&o, ATTR_EHLO, e->ehlo);
	put_optional(&o, ATTR_ENVID, e->envid);
	if (e->ret != RET_NONE)
		frame_put_u8(&o, ATTR_RET, e->ret);
	if (e->body_type != BODY_UNKNOWN)
		frame_put_u8(&o, ATTR_BODY_TYPE, e->body_type);
	if (e->flags != 0)
		frame_put_u32(&o, ATTR_ENV_FLAGS, e->flags);
	put_optional(&o, ATTR_CLIENT_IP, e->client_ip);
	put_optional(&o, ATTR_CLIENT_HOST, e->client_host);
	put_optional(&o, ATTR_CLIENT_HELO, e->client_helo);
	put_optional(&o, ATTR_CLIENT_PROTO, e->client_proto);
	put_optional(&o, ATTR_CLIENT_AUTH, e->client_auth);
	if (e->arrival_ms != 0)
		frame_put_u64(&o, ATTR_ARRIVAL, (uint64_t)e->arrival_ms);
	if (e->attempts != 0)
		frame_put_u32(&o, ATTR_ATTEMPTS, e->attempts);
	if (e->deadline_s != 0)
		frame_put_u32(&o, ATTR_DEADLINE, e->deadline_s);
	if (e->hops != 0)
		frame_put_u8(&o, ATTR_HOPS, e->hops);
	if (e->no_wait)
		frame_put(&o, ATTR_NO_WAIT, "", 0);
	if (e->body.mem != NULL) {
		if (e->body.len > FRAME_INLINE_BODY_MAX)
			o.failed = true;
		frame_put(&o, ATTR_BODY, e->body.mem, (size_t)e->body.len);
	} else {
		uint8_t *p = put_attr(&o, ATTR_BODY_RANGE, 16);

		if (p != NULL) {
			put_be64(p, e->body.offset);
			put_be64(p + 8, e->body.len);
		}
	}
	return frame_end(&o);
}

/*
 * What stands in a DELIVER, checked before anything is copied: how often each
 * attribute occurs and how long it is.  Used by router and agent alike.
 */
struct deliver_scan {
	struct deliver_facts facts;
	uint64_t	 seen;		/* a bit per tag < 64 */
};

static bool
deliver_attr_fits(const struct attr *a)
{
	switch (a->tag) {
	case ATTR_NO_WAIT:
		return a->len == 0;
	case ATTR_NOTIFY:
	case ATTR_RET:
	case ATTR_BODY_TYPE:
	case ATTR_HOPS:
		return a->len == 1;
	case ATTR_ENV_FLAGS:
	case ATTR_ATTEMPTS:
	case ATTR_DEADLINE:
		return a->len == 4;
	case ATTR_ARRIVAL:
		return a->len == 8;
	case ATTR_BODY_RANGE:
		return a->len == 16;
	case ATTR_BODY:
		return a->len <= FRAME_INLINE_BODY_MAX;
	default:
		return a->len <= FRAME_TEXT_MAX;
	}
}

/*
 * The router refuses here what the agent would refuse later: else one
 * submitter's frame ended an agent at work for all.
 */
static bool
deliver_value_fits(const struct attr *a)
{
	uint64_t offset, len;

	switch (a->tag) {
	case ATTR_RET:
		return a->data[0] <= RET_HDRS;
	case ATTR_BODY_TYPE:
		return a->data[0] <= BODY_BINARYMIME;
	case ATTR_NOTIFY:	/* RFC 3461 §4.1: NEVER stands alone */
		return a->data[0] == NOTIFY_NEVER || (a->data[0] &
		    ~(NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY)) == 0;
	case ATTR_BODY_RANGE:
		offset = get_be64(a->data);
		len = get_be64(a->data + 8);
		return offset <= INT64_MAX && len <= INT64_MAX &&
		    offset + len <= INT64_MAX;
	case ATTR_HOPS:
	case ATTR_ENV_FLAGS:
	case ATTR_ATTEMPTS:
	case ATTR_DEADLINE:
	case ATTR_ARRIVAL:
	case ATTR_BODY:
		return true;
	default:		/* a text of an envelope */
		return memchr(a->data, '\0', a->len) == NULL &&
		    memchr(a->data, '\r', a->len) == NULL &&
		    memchr(a->data, '\n', a->len) == NULL;
	}
}

static void
deliver_fact(struct deliver_facts *facts, const struct attr *a)
{
	switch (a->tag) {
	case ATTR_RELAY:
		facts->relay = (const char *)a->data;
		facts->relay_len = a->len;
		break;
	case ATTR_ENV_ID:
		facts->id = (const char *)a->data;
		facts->id_len = a->len;
		break;
	case ATTR_SENDER:
		facts->sender = (const char *)a->data;
		facts->sender_len = a->len;
		break;
	case ATTR_RCPT:
		facts->nrcpt++;
		facts->names_len += a->len + 1;
		break;
	case ATTR_BODY:
		facts->body_len = a->len;
		break;
	case ATTR_BODY_RANGE:
		facts->body_len = get_be64(a->data + 8);
		break;
	case ATTR_DEADLINE:
		facts->deadline_s = get_be32(a->data);
		break;
	case ATTR_HOPS:
		facts->hops = a->data[0];
		break;
	case ATTR_NO_WAIT:
		facts->no_wait = true;
		break;
	default:
		break;
	}
}

/* 1 taken, 0 not a tag of DELIVER, -1 wrong. */
static int
deliver_scan_attr(struct deliver_scan *s, const struct attr *a,
    const char **error_r)
{
	uint64_t bit;

	if (a->tag != ATTR_RELAY &&
	    (a->tag < ATTR_ENV_ID || a->tag > ATTR_NO_WAIT))
		return 0;
	if (!deliver_attr_fits(a)) {
		*error_r = "attribute of wrong length";
		return -1;
	}
	if (!deliver_value_fits(a)) {
		*error_r = a->tag == ATTR_RET || a->tag == ATTR_BODY_TYPE ||
		    a->tag == ATTR_BODY_RANGE || a->tag == ATTR_NOTIFY ?
		    "attribute value out of range" : "control byte in a text";
		return -1;
	}
	bit = 1ULL << a->tag;
	if ((a->tag == ATTR_ORCPT || a->tag == ATTR_NOTIFY) &&
	    s->facts.nrcpt == 0) {
		*error_r = "recipient attribute before a recipient";
		return -1;
	}
	if (a->tag == ATTR_RCPT)	/* the next may have its own */
		s->seen &= ~(1ULL << ATTR_ORCPT | 1ULL << ATTR_NOTIFY);
	else if ((s->seen & bit) != 0) {
		*error_r = "attribute given twice";
		return -1;
	}
	s->seen |= bit;
	deliver_fact(&s->facts, a);
	if (s->facts.nrcpt > ENVELOPE_RCPT_MAX) {
		*error_r = "too many recipients";
		return -1;
	}
	return 1;
}

static int
deliver_scan(const struct frame *f, struct deliver_scan *s,
    const char **error_r)
{
	struct attr a;
	size_t at = 0;
	bool has_fd = (f->flags & FRAME_HAS_FD) != 0;
	int n;

	memset(s, 0, sizeof(*s));
	*error_r = "attribute runs over the end of the frame";
	while ((n = frame_next(f, &at, &a)) == 1) {
		if ((n = deliver_scan_attr(s, &a, error_r)) == -1)
			return -1;
		if (n == 0 && (a.tag & ATTR_SKIPPABLE) == 0) {
			*error_r = "unknown attribute";
			return -1;
		}
	}
	if (n == -1)
		return -1;
	*error_r = NULL;
	if (f->id == 0)
		*error_r = "delivery id is 0";
	else if (s->facts.nrcpt == 0)
		*error_r = "no recipient";
	else if ((s->seen & 1ULL << ATTR_SENDER) == 0)
		*error_r = "no sender";
	else if (((s->seen >> ATTR_BODY) & 1) +
	    ((s->seen >> ATTR_BODY_RANGE) & 1) != 1)
		*error_r = "not exactly one body";
	else if (has_fd != ((s->seen >> ATTR_BODY_RANGE & 1) != 0))
		*error_r = "descriptor and body range do not agree";
	return *error_r == NULL ? 0 : -1;
}

int
frame_deliver_facts(const struct frame *f, struct deliver_facts *facts,
    const char **error_r)
{
	struct deliver_scan s;

	if (deliver_scan(f, &s, error_r) == -1)
		return -1;
	*facts = s.facts;
	facts->names_len += (uint32_t)(facts->id_len + facts->sender_len + 2);
	return 0;
}

static char *
put_name(char *to, const void *name, size_t len)
{
	if (len > 0)
		memcpy(to, name, len);
	to[len] = '\0';
	return to + len + 1;
}

void
frame_deliver_names(const struct frame *f, const struct deliver_facts *facts,
    char *to)
{
	uint32_t left = facts->nrcpt;
	struct attr a;
	size_t at = 0;

	to = put_name(to, facts->id, facts->id_len);
	to = put_name(to, facts->sender, facts->sender_len);
	while (left > 0 && frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_RCPT) {
			to = put_name(to, a.data, a.len);
			left--;
		}
}

/* The text attributes and where they go. */
static const char **
envelope_text_field(struct envelope *e, uint16_t tag)
{
	switch (tag) {
	case ATTR_RELAY:	return &e->relay;
	case ATTR_ENV_ID:	return &e->id;
	case ATTR_SENDER:	return &e->sender;
	case ATTR_RCPT:		return &e->rcpts[e->nrcpt].addr;
	case ATTR_ORCPT:	return &e->rcpts[e->nrcpt - 1].orcpt;
	case ATTR_NEXTHOP:	return &e->nexthop;
	case ATTR_SOURCE:	return &e->source;
	case ATTR_EHLO:		return &e->ehlo;
	case ATTR_ENVID:	return &e->envid;
	case ATTR_CLIENT_IP:	return &e->client_ip;
	case ATTR_CLIENT_HOST:	return &e->client_host;
	case ATTR_CLIENT_HELO:	return &e->client_helo;
	case ATTR_CLIENT_PROTO:	return &e->client_proto;
	case ATTR_CLIENT_AUTH:	return &e->client_auth;
	default:		return NULL;
	}
}

static void
envelope_number(struct envelope *e, const struct attr *a)
{
	switch (a->tag) {
	case ATTR_NOTIFY:
		e->rcpts[e->nrcpt - 1].notify = a->data[0];
		break;
	case ATTR_RET:
		e->ret = a->data[0];
		break;
	case ATTR_BODY_TYPE:
		e->body_type = a->data[0];
		break;
	case ATTR_ENV_FLAGS:
		e->flags = get_be32(a->data) & ~(uint32_t)ENV_PROBE;
		break;
	case ATTR_ARRIVAL:
		e->arrival_ms = (int64_t)get_be64(a->data);
		break;
	case ATTR_ATTEMPTS:
		e->attempts = get_be32(a->data);
		break;
	case ATTR_DEADLINE:
		e->deadline_s = get_be32(a->data);
		break;
	case ATTR_HOPS:
		e->hops = a->data[0];
		break;
	case ATTR_NO_WAIT:
		e->no_wait = true;
		break;
	case ATTR_BODY_RANGE:
		e->body.offset = get_be64(a->data);
		e->body.len = get_be64(a->data + 8);
		break;
	default:
		break;
	}
}

/* deliver_scan() has found nothing wrong with it. */
static void
envelope_attr(struct envelope *e, const struct attr *a, struct arena *arena)
{
	const char **field = envelope_text_field(e, a->tag);

	if (field != NULL) {
		*field = attr_text(a, arena);
		if (a->tag == ATTR_RCPT)
			e->nrcpt++;
	} else if (a->tag == ATTR_BODY) {
		e->body.mem = arena_strndup(arena, (const char *)a->data,
		    a->len);
		e->body.len = a->len;
	} else
		envelope_number(e, a);
}

int
frame_get_deliver(const struct frame *f, int fd, struct arena *arena,
    struct envelope *e, const char **error_r)
{
	struct deliver_scan s;
	struct attr a;
	size_t at = 0;

	memset(e, 0, sizeof(*e));
	e->body.fd = fd;
	e->id = e->relay = e->sender = "";
	if (deliver_scan(f, &s, error_r) == -1)
		return -1;
	e->rcpts = arena_calloc(arena, s.facts.nrcpt, sizeof(*e->rcpts));
	while (frame_next(f, &at, &a) == 1)
		envelope_attr(e, &a, arena);
	return 0;
}

/* ---- RESULT ---- */

int
frame_put_result(struct buf *b, uint64_t id, uint32_t index,
    const struct answer *a)
{
	const struct reply *r = &a->reply;
	struct frame_out o;
	uint8_t *p;

	frame_begin(&o, b, FRAME_RESULT, id, 0);
	frame_put_u32(&o, ATTR_INDEX, index);
	if ((p = put_attr(&o, ATTR_REPLY, 8)) != NULL) {
		p[0] = r->cls;
		p[1] = r->by;
		put_be16(p + 2, r->code);
		memcpy(p + 4, r->dsn, 3);
		p[7] = r->stage;
	}
	frame_put_text(&o, ATTR_TEXT, r->text);
	if (a->host != NULL && *a->host != '\0')
		frame_put_text(&o, ATTR_HOST, a->host);
	if (a->address != NULL && *a->address != '\0')
		frame_put_text(&o, ATTR_ADDRESS, a->address);
	if (a->port != 0)
		frame_put_u16(&o, ATTR_PORT, a->port);
	put_optional(&o, ATTR_TLS, a->tls);
	if (a->total_ms != 0 && (p = put_attr(&o, ATTR_TIMES, 16)) != NULL) {
		put_be32(p, a->wait_ms);
		put_be32(p + 4, a->connect_ms);
		put_be32(p + 8, a->transaction_ms);
		put_be32(p + 12, a->total_ms);
	}
	if (r->retry_after_s != 0)
		frame_put_u32(&o, ATTR_RETRY_AFTER, r->retry_after_s);
	return frame_end(&o);
}

static int
result_attr(const struct attr *a, struct arena *arena, uint32_t *index_r,
    struct answer *ans)
{
	const char **text = a->tag == ATTR_TEXT ? &ans->reply.text :
	    a->tag == ATTR_HOST ? &ans->host :
	    a->tag == ATTR_ADDRESS ? &ans->address :
	    a->tag == ATTR_TLS ? &ans->tls : NULL;

	if (text != NULL) {
		*text = arena != NULL ? attr_text(a, arena) :
		    attr_is_text(a) ? "" : NULL;
		return *text == NULL ? -1 : 0;
	}
	switch (a->tag) {
	case ATTR_INDEX:
		return attr_u32(a, index_r);
	case ATTR_REPLY:
		if (a->len != 8)
			return -1;
		ans->reply.cls = a->data[0];
		ans->reply.by = a->data[1];
		ans->reply.code = get_be16(a->data + 2);
		memcpy(ans->reply.dsn, a->data + 4, 3);
		ans->reply.stage = a->data[7];
		return 0;
	case ATTR_PORT:
		return attr_u16(a, &ans->port);
	case ATTR_TIMES:
		if (a->len != 16)
			return -1;
		ans->wait_ms = get_be32(a->data);
		ans->connect_ms = get_be32(a->data + 4);
		ans->transaction_ms = get_be32(a->data + 8);
		ans->total_ms = get_be32(a->data + 12);
		return 0;
	case ATTR_RETRY_AFTER:
		return attr_u32(a, &ans->reply.retry_after_s);
	default:
		return (a->tag & ATTR_SKIPPABLE) != 0 ? 0 : -1;
	}
}

/* The class is what code and enhanced code say (RFC 3463 §2). */
static bool
reply_is_sound(const struct reply *r)
{
	unsigned first = r->cls == REPLY_DELIVERED ? 2 :
	    r->cls == REPLY_TRANSIENT ? 4 : r->cls == REPLY_PERMANENT ? 5 : 0;

	return first != 0 && r->code / 100 == first && r->dsn[0] == first &&
	    r->by >= BY_REMOTE && r->by <= BY_MASTER && r->stage <= STAGE_RUN;
}

int
frame_get_result(const struct frame *f, struct arena *arena,
    uint32_t *index_r, struct answer *ans, const char **error_r)
{
	uint64_t seen = 0;	/* a bit per tag < 64 */
	struct attr a;
	size_t at = 0;
	int n;

	memset(ans, 0, sizeof(*ans));
	ans->host = ans->address = "";
	*index_r = UINT32_MAX;
	while ((n = frame_next(f, &at, &a)) == 1) {
		if (result_attr(&a, arena, index_r, ans) == -1)
			break;
		if (a.tag < 64 && (seen & 1ULL << a.tag) != 0)
			break;
		if (a.tag < 64)
			seen |= 1ULL << a.tag;
	}
	if (n != 0)
		*error_r = "malformed attribute in RESULT";
	else if (*index_r == UINT32_MAX)
		*error_r = "RESULT without index";
	else if (ans->reply.text == NULL || !reply_is_sound(&ans->reply))
		*error_r = "RESULT without a sound reply";
	else
		return 0;
	return -1;
}

int
frame_result_index(const struct frame *f, uint32_t *index_r)
{
	struct attr a;
	size_t at = 0;
	int n, found = 0;

	while ((n = frame_next(f, &at, &a)) == 1)
		if (a.tag == ATTR_INDEX) {
			if (attr_u32(&a, index_r) == -1)
				return -1;
			found++;
		}
	return n == 0 && found == 1 ? 0 : -1;
}

/* ---- LISTEN ---- */

int
frame_put_listen(struct buf *b, const char *address)
{
	struct frame_out o;

	frame_begin(&o, b, FRAME_LISTEN, 0, FRAME_HAS_FD);
	frame_put_text(&o, ATTR_ADDRESS, address);
	return frame_end(&o);
}

int
frame_get_listen(const struct frame *f, struct arena *arena,
    const char **address_r, const char **error_r)
{
	struct attr a;
	size_t at = 0;
	int n;

	*address_r = NULL;
	while ((n = frame_next(f, &at, &a)) == 1) {
		if (a.tag == ATTR_ADDRESS && *address_r == NULL) {
			if ((*address_r = attr_text(&a, arena)) == NULL)
				break;
		} else if ((a.tag & ATTR_SKIPPABLE) == 0)
			break;
	}
	if (n != 0)
		*error_r = "malformed attribute in LISTEN";
	else if (*address_r == NULL || **address_r == '\0')
		*error_r = "LISTEN without an address";
	else if ((f->flags & FRAME_HAS_FD) == 0)
		*error_r = "LISTEN without a socket";
	else
		return 0;
	return -1;
}

/* ---- STAGE ---- */

int
frame_put_stage(struct buf *b, uint64_t id, enum stage stage,
    const uint32_t *set, size_t n)
{
	struct frame_out o;
	uint8_t *p;
	size_t i;

	frame_begin(&o, b, FRAME_STAGE, id, 0);
	frame_put_u8(&o, ATTR_STAGE, (uint8_t)stage);
	if (set != NULL && (p = put_attr(&o, ATTR_RCPT_SET, 4 * n)) != NULL)
		for (i = 0; i < n; i++)
			put_be32(p + 4 * i, set[i]);
	return frame_end(&o);
}
