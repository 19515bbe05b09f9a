/*
 * attempt.c - one transaction with one address of one host, and what its end
 * means for the recipients: answered, put into another transaction, or free
 * for the next address or host.
 */
#include "smtp/work.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One for as many of the recipients to do as may go together. */
static struct smtp_tx *
make_tx(struct work *w)
{
	uint32_t n = w->ntodo, max = (uint32_t)w->relay->smtp->max_recipients;
	struct smtp_tx *tx;

	if (n > max)
		n = max;
	tx = tx_new(&w->job, w->todo, n);
	w->ntodo -= n;
	memmove(w->todo, w->todo + n, w->ntodo * sizeof(*w->todo));
	tx->wait_ms = (uint32_t)(loop_now_ms(w->relay->loop) -
	    w->job.d->start_ms);
	w->tx = tx;
	return tx;
}

/* The recipients that have no answer are to be done again, in their order. */
struct smtp_tx *
work_take_back(struct work *w)
{
	struct smtp_tx *tx = w->tx;
	uint32_t i;

	for (i = 0; i < tx->nrcpt; i++)
		if (tx->rcpts[i].state != RCPT_DONE)
			w->todo[w->ntodo++] = tx->rcpts[i].index;
	if (w->ntodo > 1)
		qsort(w->todo, w->ntodo, sizeof(*w->todo), tx_by_index);
	w->tx = NULL;
	w->session = NULL;
	w->state = WORK_IDLE;
	return tx;
}

/* The session is free: for the next one, or to be ended. */
static void
release(struct smtp_relay *r, struct smtp_session *s)
{
	if (smtp_session_is_usable(s))
		pool_idle(r->pool, &s->place);
	else
		smtp_session_quit(s);
}

/* A transaction for what is to do, over this session. */
void
work_talk(struct work *w, struct smtp_session *s)
{
	w->state = WORK_TALKING;
	w->session = s;
	smtp_session_start(s, make_tx(w));
}

static void
on_tx_over(struct smtp_session *s, struct smtp_tx *tx)
{
	struct smtp_relay *r = s->owner;
	struct work *w = NULL;

	if (tx->job != NULL) {
		w = (struct work *)(void *)tx->job;
		work_take_back(w);
	}
	tx_free(tx);
	agent_touch_stats(r->agent);
	if (w == NULL)
		release(r, s);
	else if (smtp_session_is_usable(s))
		work_talk(w, s);
	else {
		smtp_session_quit(s);
		work_try_address(w);
	}
}

static void
tell_failed(struct work *w, struct smtp_session *s, const struct reply *r)
{
	struct answer a = {
		.reply = *r,
		.host = s->host,
		.address = s->address,
		.port = addr_port(&s->addr),
	};

	work_answer_rest(w, &a);
}

/*
 * What is open goes on: to the same address if only a kept connection was
 * stale (once), or if the message is through and these had been put off; to
 * the next address or host if this one takes no mail now; else the failure is
 * the answer.
 */
static void
on_failed(struct smtp_session *s, struct smtp_tx *tx, const struct reply *r,
    enum smtp_failure how)
{
	struct work *w;
	bool is_stale, is_sent;

	if (s->racer != NULL)
		relay_rival_failed(s, r);
	if (tx == NULL)
		return;
	is_sent = tx->dot != UNSAID && tx_any_done(tx);
	is_stale = tx->is_reused && how != FAIL_LOCAL && how != FAIL_UNFIT &&
	    (tx->dot == UNSAID || how == FAIL_CLOSING);
	w = tx->job == NULL ? NULL : (struct work *)(void *)tx->job;
	if (w != NULL)
		work_take_back(w);
	tx_free(tx);
	if (w == NULL)
		return;
	if (is_sent || (is_stale && !w->has_retried)) {
		w->has_retried |= is_stale;
		w->want_fresh = true;
		work_try_address(w);
	} else if (how == FAIL_TLS && w->policy.level == TLS_MAY) {
		memo_note(&w->relay->broken, &w->addrs[w->addr],
		    loop_now_ms(w->relay->loop), BROKEN_MS, 0, NULL);
		w->no_tls = true;			/* RFC 7435 */
		work_try_address(w);
	} else if (how == FAIL_MESSAGE || how == FAIL_LOCAL)
		tell_failed(w, s, r);
	else {
		if (how == FAIL_CONNECT)
			memo_note(&w->relay->dead, &s->addr,
			    loop_now_ms(w->relay->loop),
			    w->relay->smtp->dead_host_ms, 0, NULL);
		else
			w->nsessions++;
		work_remember(w, r, s->host, s->address, addr_port(&s->addr));
		work_next_address(w);
	}
}

void
work_cancel(struct work *w)
{
	struct smtp_relay *r = w->relay;
	struct smtp_tx *tx;

	switch (w->state) {
	case WORK_ROUTING:
		work_forget_query(w);
		break;
	case WORK_WAITING:
		pool_take_back(r->pool, &w->wait);
		break;
	case WORK_TALKING:
		if (w->tx->end == TAKEN)
			return;
		tx = w->tx;
		smtp_session_abort(w->session);
		work_take_back(w);
		tx_free(tx);
		break;
	case WORK_IDLE:
		break;
	}
	w->state = WORK_IDLE;
	work_forget_race(w);
	work_answer_cause(w, CAUSE_CANCELLED, NULL);
}

static void
on_gone(struct smtp_session *s)
{
	struct smtp_relay *r = s->owner;

	pool_leave(r->pool, &s->place);
	LIST_REMOVE(s, next);
	smtp_session_free(s);
	agent_touch_stats(r->agent);
	if (LIST_EMPTY(&r->sessions))
		agent_quiet(r->agent);
}

static void
on_tls_over(struct smtp_session *s, const struct route_outcome *o)
{
	struct smtp_relay *r = s->owner;
	const struct router *router = &r->router;

	if (!o->is_offered)
		r->tls.not_offered++;
	else if (o->fault != TLS_FAULT_NONE)
		r->tls.failed++;
	else if (tls_is_verified(conn_tls(s->conn)))
		r->tls.verified++;
	else
		r->tls.unverified++;
	if (router->ops->outcome != NULL)
		router->ops->outcome(router->state, s->report, o);
}

const struct smtp_session_ops relay_session_ops = {
	.opened = relay_on_opened,
	.tls_over = on_tls_over,
	.tx_over = on_tx_over,
	.failed = on_failed,
	.gone = on_gone,
};
