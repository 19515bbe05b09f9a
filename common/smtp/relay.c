/*
 * relay.c - one envelope to the hosts that may take it.
 *
 * An attempt is one transaction with one address of one host.  It begins with
 * a place in the pool and ends in one of three ways: recipients are answered,
 * recipients go into another transaction (put off by 452, or more than
 * max_recipients), or the attempt failed and the next address or host gets
 * what is open.  What failed before is remembered: if no host is left, the
 * failure that got furthest is the answer.
 */
#include "smtp/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/ehlo_name.h"
#include "smtp/work.h"

void
smtp_relay_deliver(void *state, struct delivery *d)
{
	struct mail *m = arena_calloc(d->arena, 1, sizeof(*m));
	uint32_t i;

	m->d = d;
	m->relay = state;
	d->work = m;
	if (!mail_take_addressees(m) || !mail_take_overrides(m))
		return;
	mail_divide(m);
	for (i = 0; i < m->nworks; i++)
		work_find_route(&m->works[i]);
}

void
smtp_relay_cancel(void *state, struct delivery *d)
{
	struct mail *m = d->work;
	uint32_t i;

	(void)state;
	for (i = 0; i < m->nworks; i++)
		if (m->works[i].job.open > 0)
			work_cancel(&m->works[i]);
}

void
smtp_relay_over(void *state, struct delivery *d)
{
	struct smtp_relay *r = state;
	struct mail *m = d->work;
	uint32_t i;

	/* Also what has come to no transaction counts. */
	agent_touch_stats(r->agent);
	for (i = 0; m != NULL && i < m->nworks; i++) {
		work_forget_query(&m->works[i]);
		work_forget_race(&m->works[i]);
		work_forget_target(&m->works[i]);
	}
}

/* ---- the whole ---- */

void
smtp_relay_drain(void *state)
{
	struct smtp_relay *r = state;

	pool_drain(r->pool);
}

bool
smtp_relay_is_busy(void *state)
{
	return !LIST_EMPTY(&((struct smtp_relay *)state)->sessions);
}

void
smtp_relay_stats(void *state, agent_stat *put, void *arg)
{
	const struct smtp_relay *r = state;
	struct pool_stats p;

	pool_stats(r->pool, &p);
	put(arg, "connections_opened", r->connections);
	put(arg, "connections_reused", r->reused);
	put(arg, "connections_now", p.places);
	put(arg, "connections_idle", p.idle);
	put(arg, "deliveries_waiting", p.waiting);
	put(arg, "hosts_now", p.hosts);
	put(arg, "tls_session_verified", r->tls.verified);
	put(arg, "tls_session_unverified", r->tls.unverified);
	put(arg, "tls_session_failed", r->tls.failed);
	put(arg, "tls_session_not_offered", r->tls.not_offered);
	if (r->router.ops->stats != NULL)
		r->router.ops->stats(r->router.state, put, arg);
}

struct smtp_relay *
smtp_relay_new(struct agent *agent, const struct smtp_relay_conf *conf,
    char *error, size_t size)
{
	struct smtp_relay *r = xcalloc(1, sizeof(*r));
	struct pool_limits limits = {
		.per_host = (uint32_t)conf->smtp->concurrent_connections,
		.idle_ms = conf->smtp->idle_timeout_ms,
		.share = agent_share(agent),
	};

	r->agent = agent;
	r->loop = agent_loop(agent);
	r->conf = *conf;
	r->smtp = conf->smtp;
	r->router = conf->router;
	r->ehlo = conf->ehlo;
	r->phases = agent_phases(agent);
	if (r->router.state == NULL || (r->ehlo == NULL && (r->ehlo =
	    ehlo_name(conf->smtp->ehlo_as, error, size)) == NULL)) {
		smtp_relay_free(r);
		return NULL;
	}
	if ((r->tls_ctx = tls_ctx_new(conf->tls, error, size)) == NULL ||
	    ((r->auth = auth_new(conf->auth, conf->tls->certfile != NULL &&
	    *conf->tls->certfile != '\0', error, size)) == NULL &&
	    *error != '\0')) {
		smtp_relay_free(r);
		return NULL;
	}
	r->sources = source_set_new(conf->smtp);
	r->pool = pool_new(r->loop, &limits, &relay_pool_ops);
	agent_watch_pool(agent, r->pool);
	return r;
}

void
smtp_relay_free(void *state)
{
	struct smtp_relay *r = state;
	struct smtp_session *s;
	struct smtp_tx *tx;

	/* Who has not answered QUIT until now is not waited for. */
	while ((s = LIST_FIRST(&r->sessions)) != NULL) {
		tx = s->tx;
		smtp_session_abort(s);
		tx_free(tx);
		pool_leave(r->pool, &s->place);
		LIST_REMOVE(s, next);
		smtp_session_free(s);
	}
	pool_free(r->pool);
	if (r->router.state != NULL)
		r->router.ops->free(r->router.state);
	tls_ctx_free(r->tls_ctx);
	auth_free(r->auth);
	memo_clear(&r->broken);
	memo_clear(&r->dead);
	source_set_free(r->sources);
	free(r->ehlo);
	free(r);
}
