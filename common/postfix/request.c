/* request.c - delivery requests read, replies written. */
#include "postfix/request.h"

#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"

#define HEAD(field)	offsetof(struct pf_request, field)
#define RCPT(field)	offsetof(struct pf_rcpt, field)

static const struct pf_field head_fields[] = {
	{ "flags", NULL, PF_INT, HEAD(flags) },
	{ "queue_name", NULL, PF_STRING, HEAD(queue_name) },
	{ "queue_id", NULL, PF_STRING, HEAD(queue_id) },
	{ "offset", NULL, PF_LONG, HEAD(offset) },
	{ "size", NULL, PF_LONG, HEAD(size) },
	{ "nexthop", NULL, PF_STRING, HEAD(nexthop) },
	{ "encoding", NULL, PF_STRING, HEAD(encoding) },
	{ "smtputf8", "sendopts", PF_INT, HEAD(sendopts) },	/* 3.10 */
	{ "sender", NULL, PF_STRING, HEAD(sender) },
	{ "envelope_id", NULL, PF_STRING, HEAD(envid) },
	{ "ret_flags", NULL, PF_INT, HEAD(ret) },
	{ "time", NULL, PF_STRING, HEAD(time_text) },
	{ "log_client_name", NULL, PF_STRING, HEAD(client_name) },
	{ "log_client_address", NULL, PF_STRING, HEAD(client_address) },
	{ "log_client_port", NULL, PF_STRING, HEAD(client_port) },
	{ "log_protocol_name", NULL, PF_STRING, HEAD(client_proto) },
	{ "log_helo_name", NULL, PF_STRING, HEAD(client_helo) },
	{ "sasl_method", NULL, PF_STRING, HEAD(sasl_method) },
	{ "sasl_username", NULL, PF_STRING, HEAD(sasl_username) },
	{ "sasl_sender", NULL, PF_STRING, HEAD(sasl_sender) },
	{ "log_ident", NULL, PF_STRING, HEAD(log_ident) },
	{ "rewrite_context", NULL, PF_STRING, HEAD(rewrite_context) },
	{ "recipient_count", NULL, PF_INT, HEAD(nrcpt) },
	{ .name = NULL }
};

static const struct pf_field rcpt_fields[] = {
	{ "original_recipient", NULL, PF_STRING, RCPT(original) },
	{ "recipient", NULL, PF_STRING, RCPT(address) },
	{ "offset", NULL, PF_LONG, RCPT(offset) },
	{ "dsn_orig_rcpt", NULL, PF_STRING, RCPT(orcpt) },
	{ "notify_flags", NULL, PF_INT, RCPT(notify) },
	{ .name = NULL }
};

/* ---- reading ---- */

static bool
is_word(const char *s, size_t max, bool has_underscore)
{
	size_t n;

	for (n = 0; s[n] != '\0'; n++)
		if (!((s[n] >= '0' && s[n] <= '9') ||
		    ((s[n] | 0x20) >= 'a' && (s[n] | 0x20) <= 'z') ||
		    (s[n] == '_' && has_underscore)))
			return false;
	return n > 0 && n <= max;
}

static int
take_times(struct pf_request *r)
{
	size_t n = strlen(r->time_text), len;
	char bytes[BASE64_BYTES(BASE64_LEN(sizeof(struct pf_times)))];

	if (n != BASE64_LEN(sizeof(struct pf_times)) ||
	    base64_decode(bytes, r->time_text, n, &len) == -1 ||
	    len != sizeof(r->times))
		return -1;
	memcpy(&r->times, bytes, sizeof(r->times));
	return 0;
}

/* What the order of attributes does not tell: NULL, or the attribute that is
 * amiss. */
static const char *
check_head(struct pf_request *r)
{
	if (!is_word(r->queue_name, PF_ID_MAX, false))
		return "queue_name";
	if (!is_word(r->queue_id, PF_ID_MAX, true))
		return "queue_id";
	if (r->offset <= 0)
		return "offset";
	if (take_times(r) == -1)
		return "time";
	if (r->nrcpt < 1 || r->nrcpt > PF_RCPT_MAX)
		return "recipient_count";
	return NULL;
}

static enum pf_scan
read_head(struct pf_request *r, const char *p, size_t n, struct arena *arena,
    size_t *took_r, const char **error_r, const char **at_r)
{
	enum pf_scan s = pf_attr_scan(head_fields, p, n, r, arena, took_r,
	    error_r, at_r);

	if (s != PF_DONE)
		return s;
	if ((*at_r = check_head(r)) != NULL) {
		*error_r = "has a value that cannot be";
		return PF_BAD;
	}
	r->has_head = true;
	r->rcpts = arena_calloc(arena, (size_t)r->nrcpt, sizeof(*r->rcpts));
	return PF_DONE;
}

enum pf_scan
pf_request_read(struct pf_request *r, const char *p, size_t n,
    struct arena *arena, size_t *took_r, const char **error_r,
    const char **at_r)
{
	enum pf_scan s = PF_DONE;
	size_t took;

	*took_r = 0;
	if (!r->has_head) {
		s = read_head(r, p, n, arena, &took, error_r, at_r);
		if (s != PF_DONE)
			return s;
		*took_r = took;
	}
	while (r->nread < (uint32_t)r->nrcpt) {
		s = pf_attr_scan(rcpt_fields, p + *took_r, n - *took_r,
		    &r->rcpts[r->nread], arena, &took, error_r, at_r);
		if (s != PF_DONE)
			return s;
		*took_r += took;
		r->nread++;
	}
	return PF_DONE;
}

/* ---- writing ---- */

const struct pf_dsn pf_no_dsn = { "", "", "", "", "", "", "" };

void
pf_announce(struct buf *b, bool is_old)
{
	if (is_old)
		pf_attr_int(b, "status", 0);
	else
		pf_attr_string(b, "protocol", "delivery_request_protocol");
	pf_attr_end(b);
}

void
pf_attr_rcpt(struct buf *b, const struct pf_rcpt *r)
{
	pf_attr_string(b, "original_recipient", r->original);
	pf_attr_string(b, "recipient", r->address);
	pf_attr_long(b, "offset", r->offset);
	pf_attr_string(b, "dsn_orig_rcpt", r->orcpt);
	pf_attr_int(b, "notify_flags", r->notify);
}

void
pf_attr_dsn(struct buf *b, const struct pf_dsn *d)
{
	pf_attr_string(b, "status", d->status);
	pf_attr_string(b, "diag_type", d->diag_type);
	pf_attr_string(b, "diag_text", d->diag_text);
	pf_attr_string(b, "mta_type", d->mta_type);
	pf_attr_string(b, "mta_mname", d->mta_name);
	pf_attr_string(b, "action", d->action);
	pf_attr_string(b, "reason", d->reason);
}

void
pf_final_reply(struct buf *b, const struct pf_dsn *d, bool is_final)
{
	pf_attr_dsn(b, d);
	pf_attr_int(b, "status", is_final ? 0 : -1);
	pf_attr_end(b);
}
