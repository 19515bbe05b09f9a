/*
 * place.c - a place at the present address: from which source, under which
 * TLS policy, over a kept connection or a new one.
 */
#include "smtp/work.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mail/header.h"

/* ---- a place at the host ---- */

static const char *
host_name(const struct work *w)
{
	return w->route->hosts[w->host].name;
}

/* As smtp_session_peer() of a session there. */
static const char *
peer_text(const struct work *w, char *to, size_t size)
{
	const struct addr *addr = &w->addrs[w->addr];
	const char *host = host_name(w);
	char text[ADDR_TEXT_MAX];

	if (addr_family(addr) == AF_UNIX)
		strlcpy(to, host, size);
	else
		snprintf(to, size, "%s[%s]:%u", host, addr_format(addr, text,
		    sizeof(text)), addr_port(addr));
	return to;
}

/* The present address has failed; a socket's host says all. */
static void
address_failed(struct work *w, const struct reply *r)
{
	const struct addr *addr = &w->addrs[w->addr];
	char text[ADDR_TEXT_MAX] = "";

	if (addr_family(addr) != AF_UNIX)
		addr_format(addr, text, sizeof(text));
	work_remember(w, r, host_name(w), text, addr_port(addr));
}

/* The local address for a connection to addr: the envelope's, or one of the
 * relay's; false: there is none of that family. */
static bool
pick_source(struct work *w, const struct addr *addr,
    const struct addr **source_r)
{
	if (!w->mail->has_source) {
		*source_r = source_pick(w->relay->sources, addr_family(addr),
		    &w->job.d->env);
		return true;
	}
	*source_r = &w->mail->source;
	return addr_family(addr) == addr_family(&w->mail->source);
}

/* "TLS-Required: No", looked for when it first matters. */
static bool
waives_tls(struct smtp_job *job)
{
	struct smtp_look *look = job->look;

	if (look->waives_tls == WAIVER_UNKNOWN)
		look->waives_tls = header_waives_tls(&job->d->env.body) ?
		    WAIVER_GIVEN : WAIVER_NONE;
	return look->waives_tls == WAIVER_GIVEN;
}

/* What TLS must be on a connection for this envelope to this address. */
static void
pick_policy(struct work *w, const struct addr *addr)
{
	const struct tls_conf *conf = w->relay->conf.tls;
	const struct route_target *t = w->target;

	w->policy = t->has_policy ? t->policy :
	    tls_policy_of(conf, TLS_FOR_HOST, addr);
	w->dane = t->dane;
	if (addr_family(addr) == AF_UNIX)
		return;
	if ((w->job.d->env.flags & ENV_REQUIRETLS) != 0)
		w->policy.level = TLS_VERIFY;		/* RFC 8689 §4.2.1 */
	else
		tls_policy_join(&w->policy, t->asked, conf,
		    tls_policy_hears_waiver(&w->policy, t->asked, conf) &&
		    waives_tls(&w->job));
	if (w->policy.level != TLS_VERIFY)
		w->dane = NULL;			/* waived, too */
	if (w->policy.level == TLS_MAY && !w->policy.is_wrapper &&
	    (w->no_tls || memo_is_live(memo_find(&w->relay->broken, addr),
	    loop_now_ms(w->relay->loop))))
		w->policy.level = TLS_NONE;
}

/*
 * What a kept connection must have been made with; the account is one for the
 * relay.  Where anybody's certificate will do, so will any name of the host:
 * the domains of a provider often have a name each for the same few addresses.
 */
static void
make_key(struct work *w, const struct addr *source)
{
	char text[ADDR_TEXT_MAX] = "";
	const char *policy = tls_policy_text(&w->policy);

	if (source != NULL)
		addr_format(source, text, sizeof(text));
	if (w->policy.level != TLS_VERIFY)
		w->key = arena_printf(w->job.d->arena, "%s %s %s", text,
		    w->mail->ehlo, policy);
	else
		w->key = arena_printf(w->job.d->arena, "%s %s %s %s %s", text,
		    w->mail->ehlo, policy, w->route->hosts[w->host].name,
		    w->dane == NULL ? "" : tls_dane_digest(w->dane));
}

static void
ask_for_place(struct work *w)
{
	struct smtp_relay *r = w->relay;
	int64_t until = loop_now_ms(r->loop) + r->smtp->queue_timeout_ms;

	if (w->job.d->deadline_ms != 0 && w->job.d->deadline_ms < until)
		until = w->job.d->deadline_ms;
	w->wait.key = w->key;
	w->wait.want_fresh = w->want_fresh;
	w->wait.until_ms = until;
	w->wait.arg = w;
	w->state = WORK_WAITING;
	w->asked_us = loop_now_us(r->loop);
	pool_ask(r->pool, &w->addrs[w->addr], &w->wait);
}

static void
take_terms(struct work *w, const struct addr *source)
{
	if (source != NULL)
		w->source = *source;
	w->has_bind = source != NULL;
	pick_policy(w, &w->addrs[w->addr]);
	make_key(w, source);
}

/* The present address, once more or for the first time. */
void
work_try_address(struct work *w)
{
	const struct addr *source, *addr = &w->addrs[w->addr];
	char text[ADDR_TEXT_MAX];
	struct reply r;

	if (work_is_exhausted(w))
		return;
	addr_format(addr, text, sizeof(text));
	if (!pick_source(w, addr, &source)) {
		reply_cause(&r, w->job.d->arena, STAGE_CONNECT,
		    CAUSE_NO_SOURCE, text);
		address_failed(w, &r);
		work_next_address(w);
		return;
	}
	if ((w->job.d->env.flags & ENV_REQUIRETLS) != 0 &&
	    !w->target->is_name_trusted) {
		reply_cause(&r, w->job.d->arena, STAGE_NONE,
		    CAUSE_UNTRUSTED_NAME, host_name(w));
		address_failed(w, &r);
		work_next_address(w);
		return;
	}
	take_terms(w, source);
	ask_for_place(w);
}

void
work_set_terms(struct work *w)
{
	const struct addr *source;

	if (pick_source(w, &w->addrs[w->addr], &source))
		take_terms(w, source);
}

static void
open_failed(struct work *w, int error)
{
	char source[ADDR_TEXT_MAX];
	struct reply r;

	if (w->has_bind && (error == EADDRNOTAVAIL || error == EADDRINUSE))
		reply_cause(&r, w->job.d->arena, STAGE_CONNECT,
		    CAUSE_SOURCE_FAILED, addr_format(&w->source, source,
		    sizeof(source)), strerror(error));
	else
		reply_cause(&r, w->job.d->arena, STAGE_CONNECT,
		    CAUSE_LOCAL_ERROR, strerror(error));
	address_failed(w, &r);
	work_next_address(w);
}

static struct smtp_session *
session_of(struct pool_place *place)
{
	return (struct smtp_session *)(void *)place;
}

/* A new connection would come to nothing: this host refused the login. */
static bool
is_login_refused(struct work *w)
{
	const struct addr *addr = &w->addrs[w->addr];
	struct smtp_relay *relay = w->relay;
	int64_t now = loop_now_ms(relay->loop);
	const struct memo_row *row;
	char peer[512];
	struct reply r;

	if (relay->auth == NULL ||
	    (row = auth_refusal(relay->auth, addr, now)) == NULL)
		return false;
	auth_refusal_answer(relay->auth, w->job.d->arena,
	    peer_text(w, peer, sizeof(peer)), row, now, &r);
	address_failed(w, &r);
	return true;
}

static void
on_granted(struct pool_wait *wait, struct pool_place *place)
{
	struct work *w = wait->arg;
	struct smtp_relay *r = w->relay;
	struct smtp_session *s;

	w->state = WORK_IDLE;
	phase_observe(r->phases, PHASE_WAIT,
	    loop_now_us(r->loop) - w->asked_us);
	if (place != NULL && !smtp_session_is_usable(session_of(place))) {
		/* It was idle until it was too old. */
		smtp_session_quit(session_of(place));
		ask_for_place(w);
		return;
	}
	if (place != NULL) {
		r->reused++;
		smtp_session_rename(session_of(place), host_name(w));
		work_end_race(w);
		work_talk(w, session_of(place));
		return;
	}
	if (is_login_refused(w)) {
		pool_decline(r->pool, wait);
		work_next_address(w);
		return;
	}
	s = smtp_session_open(r->loop, r->smtp, &(struct smtp_target){
		.host = host_name(w),
		.addr = &w->addrs[w->addr],
		.source = w->has_bind ? &w->source : NULL,
		.key = w->key,
		.ehlo = w->mail->ehlo,
		.is_lmtp = r->conf.is_lmtp,
		.policy = w->policy,
		.dane = w->dane,
		.tls_ctx = r->tls_ctx,
		.auth = r->auth,
		.phases = r->phases,
	}, &relay_session_ops, r);
	w->ntried++;
	if (s == NULL) {
		int error = errno;

		pool_decline(r->pool, wait);
		open_failed(w, error);
		return;
	}
	transcript_init(&s->trace, r->agent, &r->smtp->transcript, s->serial,
	    true);
	s->report = w->target->report;
	LIST_INSERT_HEAD(&r->sessions, s, next);
	r->connections++;
	pool_enter(wait, &s->place, s->key);
	work_talk(w, s);
	work_start_race(w);
}

static void
on_wait_over(struct pool_wait *wait)
{
	struct work *w = wait->arg;
	char peer[512];

	w->state = WORK_IDLE;
	if (w->job.d->deadline_ms != 0 &&
	    w->job.d->deadline_ms <= loop_now_ms(w->relay->loop)) {
		work_answer_cause(w, CAUSE_DEADLINE, NULL);
		return;
	}
	work_answer_cause(w, CAUSE_BUSY, peer_text(w, peer, sizeof(peer)));
}

static void
on_close_idle(struct pool_place *place)
{
	smtp_session_quit(session_of(place));
}

const struct pool_ops relay_pool_ops = {
	.granted = on_granted,
	.timed_out = on_wait_over,
	.close_idle = on_close_idle,
};
