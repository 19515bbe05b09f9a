/* final.c - the last line about a recipient, in the order of Postfix's. */
#include "mail/final.h"

#include "base/event.h"
#include "mail/frame.h"

static const struct {
	enum event_name	 event;
	const char	*status;
} classes[] = {
	[REPLY_DELIVERED] = { EVENT_DELIVERED, "sent" },
	[REPLY_TRANSIENT] = { EVENT_DEFERRED, "deferred" },
	[REPLY_PERMANENT] = { EVENT_BOUNCED, "bounced" },
};

void
final_log(const struct final *f)
{
	const struct answer *a = f->answer;
	const uint32_t times[] = { a->wait_ms, a->connect_ms,
	    a->transaction_ms };
	const struct reply *r = &a->reply;
	struct event_line e;

	if (!event_begin(&e, classes[r->cls].event, f->id))
		return;
	event_address(&e, "to", f->to);
	event_address(&e, "from", f->from);
	event_peer(&e, a->host, a->address, a->port);
	event_seconds(&e, "delay", a->total_ms);
	if (f->has_times)
		event_times(&e, "delays", times, 3);
	event_dsn(&e, r->dsn);
	event_text(&e, "status", classes[r->cls].status);
	event_quoted(&e, "stage", stage_name(r->stage));
	event_reply(&e, r->code, r->text);
	event_beside(&e);
	event_text(&e, "relay", f->relay);
	event_text(&e, "tls", a->tls);
	if (a->conn_use > 0)
		event_int(&e, "conn_use", a->conn_use);
	event_int(&e, "size", (int64_t)f->size);
	event_end(&e);
}

void
final_log_forwarded(const struct final *f, const char *next_relay)
{
	struct event_line e;

	if (!event_begin(&e, EVENT_FORWARDED, f->id))
		return;
	event_address(&e, "to", f->to);
	event_address(&e, "from", f->from);
	event_next_relay(&e, next_relay);
	event_text(&e, "status", "forwarded");
	event_beside(&e);
	event_text(&e, "relay", f->relay);
	event_end(&e);
}
