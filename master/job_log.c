/*
 * job_log.c - the final lines of recipients that the master answers for, in
 * the place of an agent that died, broke a rule, gave no answer, or never had
 * them.
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

void
job_log(struct names *names, uint32_t i, const char *relay, uint64_t size,
    const struct answer *a)
{
	struct final f = { .relay = relay, .answer = a, .size = size };

	if (!log_is_on(LOG_LEVEL_INFO))
		return;
	f.id = names->id;
	f.from = names->sender;
	f.to = rcpt_of(names, i);
	final_log(&f);
}
