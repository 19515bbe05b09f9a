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
#include "smtp/work.h"

void
smtp_relay_deliver(void *state, struct delivery *d)
{
	struct smtp_relay *r = state;
	struct work *w = arena_calloc(d->arena, 1, sizeof(*w));

	w->job.d = d;
	w->relay = r;
	w->hosts = r->hosts;
	w->nhosts = (uint32_t)r->conf.hosts->n;
	d->work = w;
	if (work_take_addressees(w) && work_take_overrides(w))
		work_try_host(w);
}

void
smtp_relay_cancel(void *state, struct delivery *d)
{
	struct smtp_relay *r = state;
	struct work *w = d->work;

	switch (w->state) {
	case WORK_RESOLVING:
		resolve_cancel(w->query);
		break;
	case WORK_WAITING:
		pool_take_back(r->pool, &w->wait);
		break;
	case WORK_TALKING:
		smtp_session_abort(w->session);
		tx_free(w->tx);
		break;
	case WORK_IDLE:
		break;
	}
	w->state = WORK_IDLE;
	work_answer_cause(w, CAUSE_CANCELLED, NULL);
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
}

const char *
smtp_relay_check_host(const char *value)
{
	struct arena *arena = arena_new(256);
	struct hostspec h;
	const char *error;
	int result = hostspec_parse(&h, value, 1, arena, &error);

	arena_free(arena);
	return result == 0 ? NULL : "is not a name, an address, host:port, "
	    "[host]:port or unix:/path";
}

static int
take_hosts(struct smtp_relay *r, char *error, size_t size)
{
	const struct opt_list *list = r->conf.hosts;
	const char *why;
	size_t i;

	r->hosts = arena_calloc(r->arena, list->n, sizeof(*r->hosts));
	for (i = 0; i < list->n; i++)
		if (hostspec_parse(&r->hosts[i], list->v[i],
		    r->conf.default_port, r->arena, &why) == -1) {
			snprintf(error, size, "host: %s is %s", list->v[i],
			    why);
			return -1;
		}
	return 0;
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
	r->arena = arena_new(1024);
	if (take_hosts(r, error, size) == -1 || (r->ehlo =
	    smtp_ehlo_name(conf->smtp->ehlo_as, error, size)) == NULL) {
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
	resolver_free(r->resolver);
	tls_ctx_free(r->tls_ctx);
	auth_free(r->auth);
	memo_clear(&r->broken);
	source_set_free(r->sources);
	arena_free(r->arena);
	free(r->ehlo);
	free(r);
}
