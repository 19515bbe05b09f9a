/*
 * job_log.c - the final lines of recipients that no agent had: those of
 * deliveries that waited here in vain.  What an agent that died had open is
 * known by its number only; the agent's event tells how many these were.
 */
#include "job.h"

#include "base/event.h"
#include "base/mem.h"

static void
log_rcpt(const struct job *j, const char *id, const char *from, const char *to,
    const struct reply *r)
{
	struct event_line e;

	if (!event_begin(&e, r->cls == REPLY_TRANSIENT ? EVENT_DEFERRED :
	    EVENT_BOUNCED, id))
		return;
	event_address(&e, "to", to);
	event_address(&e, "from", from);
	event_peer(&e, "", "", 0);
	event_seconds(&e, "delay", loop_now_ms(j->service->master->loop) -
	    j->since_ms);
	event_dsn(&e, r->dsn);
	event_text(&e, "status", r->cls == REPLY_TRANSIENT ? "deferred" :
	    "bounced");
	event_quoted(&e, "stage", stage_name(r->stage));
	event_reply(&e, r->code, r->text);
	event_beside(&e);
	event_text(&e, "relay", j->service->name);
	event_end(&e);
}

/* A text of the frame, of attributes with this tag the one at or behind *at;
 * NULL: none. */
static const char *
next_text(const struct frame *f, size_t *at, uint16_t tag, struct arena *arena)
{
	struct attr a;

	while (frame_next(f, at, &a) == 1)
		if (a.tag == tag)
			return attr_text(&a, arena);
	return NULL;
}

void
job_log(const struct job *j, const struct reply *plain,
    const struct reply *doubt)
{
	const char *error, *id, *from, *to;
	size_t at = 0, id_at = 0, from_at = 0;
	struct arena *arena;
	struct frame f;
	uint32_t i;

	if (j->bytes == NULL || !log_is_on(LOG_LEVEL_INFO) ||
	    frame_parse(j->bytes, j->len, &f, &error) != 1)
		return;
	arena = arena_new(j->len);
	id = next_text(&f, &id_at, ATTR_ENV_ID, arena);
	from = next_text(&f, &from_at, ATTR_SENDER, arena);
	for (i = 0; i < j->nrcpt && (to = next_text(&f, &at, ATTR_RCPT,
	    arena)) != NULL; i++)
		if ((j->rcpts[i] & IS_SETTLED) == 0)
			log_rcpt(j, id, from == NULL ? "" : from, to,
			    (j->rcpts[i] & IS_IN_DOUBT) != 0 ? doubt : plain);
	arena_free(arena);
}
