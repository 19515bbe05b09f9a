/*
 * job_log.c - the final lines that are the master's: of recipients that it
 * answers for, in the place of an agent that died, broke a rule, gave no
 * answer, or never had them; and of agents that write none.
 */
#include "job.h"

#include <string.h>

#include "base/mem.h"
#include "mail/final.h"

static const char *
after(const char *text)
{
	return text + strlen(text) + 1;
}

void
names_init(struct names *n, const struct frame *f,
    const struct deliver_facts *facts, char *room)
{
	frame_deliver_names(f, facts, room);
	n->id = room;
	n->sender = after(n->id);
	n->rcpt = after(n->sender);
	n->i = 0;
}

/* Who is asked for comes behind who was asked for before, mostly. */
static const char *
rcpt_of(struct names *n, uint32_t i)
{
	if (i < n->i) {
		n->rcpt = after(n->sender);
		n->i = 0;
	}
	for (; n->i < i; n->i++)
		n->rcpt = after(n->rcpt);
	return n->rcpt;
}

static bool
fill(struct final *f, struct names *names, uint32_t i, const char *relay)
{
	if (!log_is_on(LOG_LEVEL_INFO))
		return false;
	memset(f, 0, sizeof(*f));
	f->id = names->id;
	f->from = names->sender;
	f->to = rcpt_of(names, i);
	f->relay = relay;
	return true;
}

void
job_log(struct names *names, uint32_t i, const char *relay, uint64_t size,
    const struct answer *a)
{
	struct final f;

	if (!fill(&f, names, i, relay))
		return;
	f.answer = a;
	f.has_times = (a->wait_ms | a->connect_ms | a->transaction_ms) != 0;
	f.size = size;
	final_log(&f);
}

void
job_log_forwarded(struct names *names, uint32_t i, const char *relay,
    const char *next_relay)
{
	struct final f;

	if (fill(&f, names, i, relay))
		final_log_forwarded(&f, next_relay);
}

void
job_log_result(struct job *j, uint32_t i, const struct frame *f)
{
	struct arena *arena;
	const char *error;
	struct answer a;
	uint32_t index;

	if (!log_is_on(LOG_LEVEL_INFO))
		return;
	arena = arena_new(4096);
	if (frame_get_result(f, arena, &index, &a, &error) == 0) {
		if (a.total_ms == 0)
			a.total_ms = job_age_ms(j);
		job_log(&j->names, i, j->service->name, j->size, &a);
	}
	arena_free(arena);
}
