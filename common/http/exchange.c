/* exchange.c - one request and its response over a link. */
#include "http/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/easy.h"
#include "http/relay.h"
#include "http/request.h"
#include "http/trace.h"

/* ---- the end ---- */

/* Out of the link; what is libcurl's goes. */
static void
detach(struct exchange *x)
{
	struct link *l = x->link;

	timer_clear(&x->timer);
	timer_clear(&x->slice);
	loop_forget(x->relay->loop, &x->go);
	if (x->easy != NULL) {
		if (x->state == EXCHANGE_RUNNING)
			curl_loop_remove(&l->curl, x->easy->curl);
		easy_give(x->relay, x->easy);
		x->easy = NULL;
	}
	if (x->has_body)
		http_body_clear(&x->body);
	digest_free(x->digest);
	digest_free(x->signature);
	x->digest = x->signature = NULL;
	if (x->authorization != NULL)
		secret_free(x->authorization, strlen(x->authorization));
	x->authorization = NULL;
	link_note_peer(l, x);
	TAILQ_REMOVE(&l->exchanges, x, next);
	l->nexchanges--;
}

void
exchange_abort(struct exchange *x)
{
	struct link *l = x->link;

	detach(x);
	relay_link_free(l);
}

void
exchange_fail_reply(struct exchange *x, const struct reply *r)
{
	struct link *l = x->link;

	x->transaction_ms = (uint32_t)(loop_now_ms(x->relay->loop) -
	    x->start_ms);
	detach(x);
	work_failed(x->work, r);
	relay_link_free(l);
}

void
exchange_fail(struct exchange *x, enum stage stage, enum cause cause,
    const char *a, const char *b)
{
	struct reply r;

	reply_cause(&r, x->d->arena, stage, cause, a, b);
	exchange_fail_reply(x, &r);
}

static void
on_timeout(void *arg)
{
	exchange_fail_late(arg);
}

static void
learn_times(struct exchange *x)
{
	CURL *c = x->easy->curl;
	curl_off_t connect = 0, tls = 0, before = 0, all = 0, retry = 0;
	struct phases *phases = agent_phases(x->relay->agent);

	curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &before);
	curl_easy_getinfo(c, CURLINFO_TOTAL_TIME_T, &all);
	curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &retry);
	curl_easy_getinfo(c, CURLINFO_CONNECT_TIME_T, &connect);
	curl_easy_getinfo(c, CURLINFO_APPCONNECT_TIME_T, &tls);
	if (connect > 0)		/* a new connection */
		phase_observe(phases, PHASE_CONNECT, connect);
	if (tls > connect)
		phase_observe(phases, PHASE_TLS, tls - connect);
	phase_observe(phases, PHASE_REPLY, all - before);
	x->connect_ms = (uint32_t)(before / 1000);
	x->transaction_ms = (uint32_t)((all - before) / 1000);
	if (retry > 0)
		x->response.retry_after_s = retry > RETRY_AFTER_MAX_S ?
		    RETRY_AFTER_MAX_S : (uint32_t)retry;
}

static void	launch(struct exchange *);

/* RFC 9110 §15.4.8, §15.4.9: the same request at another place. */
static bool
follow(struct exchange *x)
{
	const struct response *r = &x->response;
	struct target to;

	if (!x->relay->conf->follow_redirects ||
	    (r->status != 307 && r->status != 308) || r->has_reply ||
	    x->nhops == EXCHANGE_HOPS ||
	    target_follow(&to, x->link->target, r->location,
	    x->d->arena) == -1)
		return false;
	x->nhops++;
	x->url = to.url;
	curl_loop_remove(&x->link->curl, x->easy->curl);
	http_body_rewind(&x->body);
	x->at = 0;
	x->is_end_given = false;
	response_init(&x->response, x->d->arena, x->words, x->nrcpt);
	launch(x);
	return true;
}

/*
 * The response says all there is to say, though the transfer did not end well:
 * its body was longer than what is read, or the server wants no more of the
 * request (RFC 9113 §8.1: the response counts).
 */
static bool
is_enough(const struct exchange *x, CURLcode rc)
{
	return x->response.is_complete &&
	    (x->is_cut || rc == CURLE_HTTP2_STREAM);
}

void
exchange_ended(CURL *curl, CURLcode rc)
{
	struct exchange *x;
	struct easy *e = NULL;
	struct link *l;

	curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&e);
	x = e->x;
	l = x->link;
	learn_times(x);
	if (rc != CURLE_OK && !is_enough(x, rc)) {
		exchange_fail_transfer(x, rc);
		return;
	}
	if (follow(x))
		return;
	detach(x);
	work_answered(x->work);
	relay_link_free(l);
}

/* ---- the beginning ---- */

static void
set_body(struct exchange *x, bool is_at_once)
{
	CURL *c = x->easy->curl;

	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, is_at_once ? x->memory : NULL);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
	    (curl_off_t)x->body.len);
	x->is_end_given = is_at_once || x->body.len == 0;
}

/* Header and body leave in one piece where nothing has to be held back. */
static void
launch(struct exchange *x)
{
	struct easy *e = x->easy;
	CURLMcode rc;

	if (e->url != x->url) {
		curl_easy_setopt(e->curl, CURLOPT_URL, x->url);
		e->url = x->url == x->relay->target.url ? x->url : NULL;
	}
	*e->error = '\0';
	link_dress(x->link, e->curl);
	trace_choose(e);
	link_count(x->link, x);
	set_body(x, x->memory != NULL && x->may_end &&
	    x->relay->conf->idempotency_key && x->body.len > 0);
	curl_easy_setopt(e->curl, CURLOPT_HTTPHEADER, x->headers);
	x->state = EXCHANGE_RUNNING;
	x->relay->requests++;
	if ((rc = curl_loop_add(&x->link->curl, e->curl)) != CURLM_OK) {
		x->state = EXCHANGE_HELD;
		exchange_fail(x, STAGE_NONE, CAUSE_LOCAL_ERROR,
		    curl_multi_strerror(rc), NULL);
	}
}

static void
on_go(void *arg)
{
	struct exchange *x = arg;

	x->may_end = true;
	if (x->state == EXCHANGE_HELD) {
		launch(x);
		return;
	}
	curl_easy_pause(x->easy->curl, CURLPAUSE_CONT);
	curl_loop_kick(&x->link->curl);
}

/*
 * Over a connection that is there already a small message goes at once, so the
 * asker is told before; over a new one, when it stands and the rest of the
 * request has left.
 */
static void
send_request(struct exchange *x)
{
	char why[512];

	if (request_headers(x, why, sizeof(why)) == -1) {
		exchange_fail(x, STAGE_NONE, CAUSE_LOCAL_ERROR, why, NULL);
		return;
	}
	if ((x->easy = easy_take(x->relay, x)) == NULL) {
		exchange_fail(x, STAGE_NONE, CAUSE_LOCAL_ERROR, "no memory",
		    NULL);
		return;
	}
	x->state = EXCHANGE_HELD;
	if (!link_is_warm(x->link))
		delivery_connected(x->d);
	if ((link_is_warm(x->link) && x->memory != NULL) || x->body.len == 0) {
		x->is_asked = true;
		delivery_before_end(x->d, x->in_doubt, x->nin_doubt, &x->go);
	} else
		launch(x);
}

/* Small ones are read whole: one read, and nothing waits for a disk. */
static int
load_body(struct exchange *x)
{
	struct json_facts facts = {
		.env = &x->d->env, .ehlo = x->work->ehlo,
		.sender = x->work->sender, .rcpts = x->addrs,
		.nrcpt = x->nrcpt,
	};
	uint64_t at = 0;
	int64_t n = 1;
	char *whole;

	if (http_body_init(&x->body, (enum body_format)x->relay->conf->format,
	    &facts) == -1)
		return errno;
	x->has_body = true;
	if ((x->memory = http_body_memory(&x->body)) != NULL ||
	    x->body.len > EXCHANGE_SMALL)
		return 0;
	whole = arena_alloc(x->d->arena, (size_t)x->body.len + 1);
	while (at < x->body.len && (n = http_body_read(&x->body, whole + at,
	    (size_t)(x->body.len - at))) > 0)
		at += (uint64_t)n;
	if (at < x->body.len)
		return n == 0 ? EIO : errno;
	http_body_rewind(&x->body);
	x->memory = whole;
	return 0;
}

static void
on_slice(void *arg)
{
	struct exchange *x = arg;
	int error = 0;

	if (request_feed_digests(x, &error))
		timer_set(&x->slice, 0);
	else if (error != 0)
		exchange_fail(x, STAGE_NONE, CAUSE_BODY_READ, strerror(error),
		    NULL);
	else
		send_request(x);
}

void
exchange_link_ready(struct exchange *x)
{
	char why[512];
	int error = load_body(x);

	if (error != 0) {
		exchange_fail(x, STAGE_NONE, CAUSE_BODY_READ, strerror(error),
		    NULL);
		return;
	}
	if (request_begin_digests(x, why, sizeof(why)) == -1) {
		exchange_fail(x, STAGE_NONE, CAUSE_LOCAL_ERROR, why, NULL);
		return;
	}
	x->state = EXCHANGE_HASHING;
	on_slice(x);
}

void
exchange_start(struct exchange *x, struct link *l)
{
	struct loop *loop = x->relay->loop;
	int64_t now = loop_now_ms(loop), wait = x->relay->conf->timeout_ms;

	x->link = l;
	x->start_ms = now;
	x->state = EXCHANGE_NEW;
	TAILQ_INSERT_TAIL(&l->exchanges, x, next);
	l->nexchanges++;
	response_init(&x->response, x->d->arena, x->words, x->nrcpt);
	later_init(&x->go, on_go, x);
	timer_init(&x->slice, loop, on_slice, x);
	timer_init(&x->timer, loop, on_timeout, x);
	if (x->d->deadline_ms != 0 && x->d->deadline_ms - now < wait)
		wait = x->d->deadline_ms - now;
	timer_set(&x->timer, wait);
	if (l->is_ready)
		exchange_link_ready(x);
}
