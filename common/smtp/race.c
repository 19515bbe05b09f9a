/*
 * race.c - IPv6 and IPv4 side by side (RFC 8305 §5): an address that does not
 * connect within a moment goes on alone, as a rival, while the next one, of
 * the other family, is tried; who connects first gets the transaction.
 */
#include "smtp/work.h"

#include "base/mem.h"

#define HEAD_START_MS	250

static bool
has_next_of_other_family(const struct work *w)
{
	return w->addr + 1 < w->naddrs && addr_family(&w->addrs[w->addr]) !=
	    addr_family(&w->addrs[w->addr + 1]);
}

static void
on_slow(void *arg)
{
	struct work *w = arg;
	struct smtp_session *s = w->session;

	if (w->job.open == 0 || w->state != WORK_TALKING || s->is_open ||
	    w->rival != NULL || !has_next_of_other_family(w))
		return;
	smtp_session_leave(s);
	tx_free(work_take_back(w));
	w->rival = s;
	w->rival_addr = w->addr;
	s->racer = w;
	work_next_address(w);
}

void
work_start_race(struct work *w)
{
	if (w->rival != NULL || !has_next_of_other_family(w))
		return;
	if (!w->has_timer)
		timer_init(&w->slow, w->relay->loop, on_slow, w);
	w->has_timer = true;
	timer_set(&w->slow, HEAD_START_MS);
}

/* The race is over without the rival. */
void
work_end_race(struct work *w)
{
	struct smtp_session *s = w->rival;

	w->rival = NULL;
	if (s == NULL)
		return;
	s->racer = NULL;
	smtp_session_abort(s);
}

void
work_forget_race(struct work *w)
{
	work_end_race(w);
	if (w->has_timer)
		timer_clear(&w->slow);
	w->has_timer = false;
}

bool
work_wait_for_rival(struct work *w)
{
	struct smtp_session *s = w->rival;

	if (s == NULL)
		return false;
	w->rival = NULL;
	s->racer = NULL;
	w->addr = w->rival_addr;
	work_set_terms(w);
	work_talk(w, s);
	return true;
}

/* The next message is not to wait for an address that was so slow. */
static void
rival_lost(struct work *w)
{
	if (w->rival != NULL)
		memo_note(&w->relay->dead, &w->rival->addr,
		    loop_now_ms(w->relay->loop),
		    w->relay->smtp->dead_host_ms, 0, NULL);
	work_end_race(w);
}

void
relay_on_opened(struct smtp_session *s)
{
	struct work *w = s->racer;
	struct smtp_session *slower;

	if (w == NULL) {
		if (s->tx != NULL && s->tx->job != NULL)
			rival_lost((struct work *)(void *)s->tx->job);
		return;
	}
	switch (w->state) {
	case WORK_WAITING:
		pool_take_back(w->relay->pool, &w->wait);
		break;
	case WORK_TALKING:
		slower = w->session;
		smtp_session_leave(slower);
		tx_free(work_take_back(w));
		smtp_session_abort(slower);
		break;
	default:
		break;
	}
	work_wait_for_rival(w);
}

void
relay_rival_failed(struct smtp_session *s, const struct reply *r)
{
	struct work *w = s->racer;

	s->racer = NULL;
	w->rival = NULL;
	memo_note(&w->relay->dead, &s->addr, loop_now_ms(w->relay->loop),
	    w->relay->smtp->dead_host_ms, 0, NULL);
	work_remember(w, r, s->host, s->address, addr_port(&s->addr));
}
