/*
 * work.c - a delivery: what its envelope asks for, one request after the other
 * until all recipients are answered.
 *
 * LONG: the steps of one delivery, from its envelope to its answers
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/relay.h"
#include "mail/address.h"
#include "mail/twins.h"
#include "net/ehlo_name.h"

static void	next_request(struct work *);

/* ---- answers ---- */

static void
answer_rest(struct work *w, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };

	delivery_answer_rest(w->d, &a);
}

static void
answer_cause(struct work *w, enum cause cause, const char *a, const char *b,
    const char *c)
{
	struct reply r;

	reply_cause(&r, w->d->arena, STAGE_NONE, cause, a, b, c);
	answer_rest(w, &r);
}

/* Equal recipients were said once; each has an answer. */
static void
answer_one(struct work *w, uint32_t i, const struct answer *a)
{
	uint32_t next;

	for (; i != NO_TWIN; i = next) {
		next = w->twin == NULL ? NO_TWIN : w->twin[i];
		delivery_answer(w->d, i, a);
	}
}

/* Who answered, and how long it took. */
static struct answer
answer_of(const struct exchange *x)
{
	const struct target *t = x->work->target;

	return (struct answer){
		.host = t->socket != NULL ? t->socket : t->host,
		.address = t->socket != NULL ? t->socket : x->address,
		.port = t->socket != NULL ? 0 : t->port,
		.tls = *x->tls == '\0' ? NULL : x->tls,
		.wait_ms = x->wait_ms,
		.connect_ms = x->connect_ms,
		.transaction_ms = x->transaction_ms,
	};
}

/* The recipients of the request are done; are there others? */
static void
go_on(struct work *w)
{
	w->state = WORK_IDLE;
	w->exchange = NULL;
	w->d->is_past_end = false;
	if (w->at < w->ntodo)
		next_request(w);
}

void
work_answered(struct work *w)
{
	struct exchange *x = w->exchange;
	struct answer a = answer_of(x);
	char peer[512];
	uint32_t i;
	bool is_last = w->at == w->ntodo;

	exchange_peer(x, peer, sizeof(peer));
	if (x->response.is_bad_reply)
		log_warning("%s: HTTP %u from %s: an X-Smtp-Reply or "
		    "X-Smtp-Recipient-Reply cannot be read, it is ignored",
		    *w->d->env.id == '\0' ? "-" : "delivery",
		    x->response.status, peer);
	agent_touch_stats(w->relay->agent);
	for (i = 0; i < x->nrcpt; i++) {
		response_reply(&x->response, i, w->relay->conf->auth_failure ==
		    HTTP_AUTH_TRANSIENT, peer, &a.reply);
		answer_one(w, x->rcpts[i], &a);
	}
	if (!is_last)
		go_on(w);
}

void
work_failed(struct work *w, const struct reply *r)
{
	struct exchange *x = w->exchange;
	struct answer a = answer_of(x);
	uint32_t i;
	bool is_last = w->at == w->ntodo;

	a.reply = *r;
	agent_touch_stats(w->relay->agent);
	w->state = WORK_IDLE;
	if (r->stage != STAGE_DOT) {
		/* The next request would fare no better. */
		delivery_answer_rest(w->d, &a);
		return;
	}
	/* In doubt are these only; the others have not been sent. */
	for (i = 0; i < x->nrcpt; i++)
		answer_one(w, x->rcpts[i], &a);
	if (!is_last)
		go_on(w);
}

/* ---- who is to get it ---- */

/* The address as it would stand in SMTP, or NULL with what is wrong. */
static const char *
plain_address(const char *text, struct arena *arena, const char **error_r)
{
	struct address a;

	if (address_parse(text, arena, &a, error_r) == -1)
		return NULL;
	return address_wire(&a, true, arena, error_r);
}

static bool
take_addressees(struct work *w)
{
	struct delivery *d = w->d;
	struct answer a = { .host = "", .address = "" };
	uint32_t i, n = d->env.nrcpt;
	const char *error;

	w->sender = "";
	if (*d->env.sender != '\0' && (w->sender = plain_address(
	    d->env.sender, d->arena, &error)) == NULL) {
		answer_cause(w, CAUSE_BAD_SENDER, error, NULL, NULL);
		return false;
	}
	w->todo = arena_alloc(d->arena, n * sizeof(*w->todo));
	w->addrs = arena_calloc(d->arena, n, sizeof(*w->addrs));
	for (i = 0; i < n; i++) {
		w->addrs[i] = plain_address(d->env.rcpts[i].addr, d->arena,
		    &error);
		if (w->addrs[i] != NULL) {
			w->todo[w->ntodo++] = i;
			continue;
		}
		reply_cause(&a.reply, d->arena, STAGE_NONE, CAUSE_BAD_ADDRESS,
		    error);
		delivery_answer(d, i, &a);
	}
	w->ntodo = twins_join(d->env.rcpts, n, w->todo, w->ntodo, d->arena,
	    &w->twin);
	return w->ntodo > 0;
}

/* ---- what the envelope asks for ---- */

/* Another URL; what is secret stays with the host it was given for. */
static bool
take_nexthop(struct work *w)
{
	struct http_relay *r = w->relay;
	struct target_hints hints = {
		.want_tls = http_tls_level(r->tls, false) != TLS_NONE,
	};
	struct target *t;
	char error[512];

	if (w->d->env.nexthop == NULL && r->target.url != NULL)
		return true;
	if (w->d->env.nexthop == NULL) {
		answer_cause(w, CAUSE_BAD_NEXTHOP, "\"\"", "no URL is "
		    "configured, and none came with the message", NULL);
		return false;
	}
	t = arena_alloc(w->d->arena, sizeof(*t));
	if (target_parse(t, w->d->env.nexthop, &hints, w->d->arena, error,
	    sizeof(error)) == -1) {
		answer_cause(w, CAUSE_BAD_NEXTHOP, w->d->env.nexthop, error,
		    NULL);
		return false;
	}
	if ((r->target.url == NULL ||
	    strcmp(t->origin, r->target.origin) != 0) &&
	    (secret_is_set(&r->token) || secret_is_set(&r->password))) {
		answer_cause(w, CAUSE_BAD_NEXTHOP, w->d->env.nexthop,
		    "the relay's credentials are for another host", NULL);
		return false;
	}
	if (t->is_tls && http_tls_level(r->tls, true) == TLS_NONE) {
		answer_cause(w, CAUSE_BAD_NEXTHOP, w->d->env.nexthop,
		    "the tls options forbid TLS", NULL);
		return false;
	}
	w->target = t;
	return true;
}

static bool
take_overrides(struct work *w)
{
	const struct envelope *env = &w->d->env;
	char text[ADDR_TEXT_MAX] = "";

	w->target = &w->relay->target;
	if (!take_nexthop(w))
		return false;
	if (env->source != NULL && addr_parse(&w->source, env->source, 0) ==
	    -1) {
		answer_cause(w, CAUSE_BAD_OVERRIDE, "source address",
		    env->source, "not an IPv4 or IPv6 address");
		return false;
	}
	w->has_source = env->source != NULL;
	if (w->has_source)
		addr_format(&w->source, text, sizeof(text));
	w->key = arena_strdup(w->d->arena, text);
	w->ehlo = env->ehlo != NULL ? env->ehlo : w->relay->ehlo;
	if (!ehlo_name_is_sendable(w->ehlo)) {
		answer_cause(w, CAUSE_BAD_OVERRIDE, "EHLO name", w->ehlo,
		    "not a host name");
		return false;
	}
	return true;
}

/* ---- a request ---- */

/* How many of the next recipients go into one. */
static uint32_t
count_rcpts(const struct work *w)
{
	const struct http_conf *conf = w->relay->conf;
	uint32_t n, left = w->ntodo - w->at;
	size_t bytes = 0;

	for (n = 0; n < left && n < conf->max_recipients; n++) {
		bytes += sizeof("X-Envelope-Recipient: \r\n") +
		    BASE64_LEN(strlen(w->addrs[w->todo[w->at + n]]));
		if (n > 0 && bytes > RCPT_LINES_MAX &&
		    conf->format == FORMAT_RFC822)
			break;
	}
	return n;
}

static int
by_index(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Whose outcome the end of this request puts in doubt. */
static void
set_in_doubt(const struct work *w, struct exchange *x)
{
	uint32_t i, next, n = 0, *all;

	x->in_doubt = x->rcpts;
	x->nin_doubt = x->nrcpt;
	if (w->twin == NULL)
		return;
	all = arena_alloc(w->d->arena, w->d->env.nrcpt * sizeof(*all));
	for (i = 0; i < x->nrcpt; i++)
		for (next = x->rcpts[i]; next != NO_TWIN;
		    next = w->twin[next])
			all[n++] = next;
	qsort(all, n, sizeof(*all), by_index);
	x->in_doubt = all;
	x->nin_doubt = n;
}

static struct exchange *
make_exchange(struct work *w)
{
	struct arena *arena = w->d->arena;
	struct exchange *x = arena_calloc(arena, 1, sizeof(*x));
	uint32_t i, n = count_rcpts(w);
	const char **addrs = arena_alloc(arena, n * sizeof(*addrs));
	const char **words = arena_alloc(arena, n * sizeof(*words));
	char *word;
	size_t len;

	for (i = 0; i < n; i++) {
		addrs[i] = w->addrs[w->todo[w->at + i]];
		len = strlen(addrs[i]);
		word = arena_alloc(arena, BASE64_LEN(len) + 1);
		base64_encode(word, addrs[i], len);
		words[i] = word;
	}
	x->relay = w->relay;
	x->work = w;
	x->d = w->d;
	x->url = w->target->url;
	x->rcpts = w->todo + w->at;
	x->nrcpt = n;
	x->addrs = addrs;
	x->words = words;
	w->at += n;
	set_in_doubt(w, x);
	return x;
}

static void
talk(struct work *w, struct link *l)
{
	struct exchange *x = make_exchange(w);

	x->wait_ms = (uint32_t)(loop_now_ms(w->relay->loop) -
	    w->wait_from_ms);
	phase_observe(agent_phases(w->relay->agent), PHASE_WAIT,
	    (int64_t)x->wait_ms * 1000);
	w->state = WORK_TALKING;
	w->exchange = x;
	exchange_start(x, l);
}

/* A link that has room beside what runs over it, or NULL. */
static struct link *
find_link(const struct work *w)
{
	struct link *l;

	if (!w->relay->is_multiplex)
		return NULL;
	LIST_FOREACH(l, &w->relay->links, next)
		if (l->nexchanges > 0 && link_room(l) > 0 &&
		    strcmp(l->key, w->key) == 0 &&
		    strcmp(l->target->origin, w->target->origin) == 0)
			return l;
	return NULL;
}

static void
next_request(struct work *w)
{
	struct http_relay *r = w->relay;
	struct link *l = find_link(w);
	int64_t now = loop_now_ms(r->loop);

	w->wait_from_ms = now;
	if (l != NULL) {
		r->reused++;
		talk(w, l);
		return;
	}
	w->wait.key = w->key;
	w->wait.until_ms = now + r->conf->queue_timeout_ms;
	if (w->d->deadline_ms != 0 && w->d->deadline_ms < w->wait.until_ms)
		w->wait.until_ms = w->d->deadline_ms;
	w->wait.arg = w;
	w->state = WORK_WAITING;
	TAILQ_INSERT_TAIL(&r->waiting, w, next);
	agent_touch_stats(r->agent);
	pool_ask(r->pool, &w->target->place, &w->wait);
}

static void
stop_waiting(struct work *w)
{
	w->state = WORK_IDLE;
	TAILQ_REMOVE(&w->relay->waiting, w, next);
}

static bool
is_late(const struct work *w)
{
	return w->d->deadline_ms != 0 &&
	    w->d->deadline_ms <= loop_now_ms(w->relay->loop);
}

/* ---- the pool ---- */

static struct link *
link_of(struct pool_place *place)
{
	return (struct link *)(void *)place;
}

static void
on_granted(struct pool_wait *wait, struct pool_place *place)
{
	struct work *w = wait->arg;
	struct link *l;

	stop_waiting(w);
	if (place != NULL) {
		w->relay->reused++;
		l = link_of(place);
	} else if ((l = link_open(w->relay, wait, w->target, w->key,
	    w->has_source ? &w->source : NULL)) == NULL) {
		pool_decline(w->relay->pool, wait);
		answer_cause(w, CAUSE_LOCAL_ERROR, "no memory", NULL, NULL);
		return;
	}
	talk(w, l);
	relay_link_room(l);
}

static void
on_timed_out(struct pool_wait *wait)
{
	struct work *w = wait->arg;
	const struct target *t = w->target;

	stop_waiting(w);
	if (is_late(w))
		answer_cause(w, CAUSE_DEADLINE, NULL, NULL, NULL);
	else
		answer_cause(w, CAUSE_BUSY, t->socket != NULL ? t->socket :
		    arena_printf(w->d->arena, "%s:%u", t->host, t->port),
		    NULL, NULL);
}

static void
on_close_idle(struct pool_place *place)
{
	link_close(link_of(place));
}

const struct pool_ops http_pool_ops = {
	.granted = on_granted,
	.timed_out = on_timed_out,
	.close_idle = on_close_idle,
};

void
relay_link_lost(struct link *l)
{
	link_close(l);
}

void
relay_link_free(struct link *l)
{
	if (l->is_closed)
		return;
	if (l->nexchanges > 0)
		relay_link_room(l);
	else if (!link_is_open(l))
		link_close(l);
	else
		pool_idle(l->relay->pool, &l->place);
}

void
relay_link_room(struct link *l)
{
	struct http_relay *r = l->relay;
	struct work *w, *next;

	if (!l->is_multiplex && !r->is_multiplex)
		return;
	for (w = TAILQ_FIRST(&r->waiting); w != NULL && !l->is_closed &&
	    l->nexchanges > 0 && link_room(l) > 0; w = next) {
		next = TAILQ_NEXT(w, next);
		if (strcmp(l->key, w->key) != 0 ||
		    strcmp(l->target->origin, w->target->origin) != 0)
			continue;
		pool_take_back(r->pool, &w->wait);
		stop_waiting(w);
		r->reused++;
		talk(w, l);
	}
}

/* ---- a delivery ---- */

void
http_relay_deliver(void *state, struct delivery *d)
{
	struct work *w = arena_calloc(d->arena, 1, sizeof(*w));

	w->d = d;
	w->relay = state;
	d->work = w;
	if (!take_addressees(w) || !take_overrides(w))
		return;
	if (is_late(w))
		answer_cause(w, CAUSE_DEADLINE, NULL, NULL, NULL);
	else
		next_request(w);
}

void
http_relay_cancel(void *state, struct delivery *d)
{
	struct http_relay *r = state;
	struct work *w = d->work;

	switch (w->state) {
	case WORK_WAITING:
		pool_take_back(r->pool, &w->wait);
		stop_waiting(w);
		break;
	case WORK_TALKING:
		w->state = WORK_IDLE;
		exchange_abort(w->exchange);
		break;
	case WORK_IDLE:
		break;
	}
	answer_cause(w, CAUSE_CANCELLED, NULL, NULL, NULL);
}
