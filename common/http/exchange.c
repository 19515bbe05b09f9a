/* exchange.c - one request and its response over a link. */
#include "http/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/relay.h"
#include "http/request.h"
#include "http/trace.h"
#include "paths.h"

#define EASIES_KEPT	256

struct easy {
	LIST_ENTRY(easy) next;		/* unused ones */
	CURL		*curl;
	struct exchange	*x;		/* NULL: unused */
	const char	*url;		/* that is set; borrowed from the relay */
	char		 error[CURL_ERROR_SIZE];
};

/* ---- what libcurl calls ---- */

/* The last piece is held back until the asker knows of it. */
static bool
is_held(struct exchange *x, uint64_t left, size_t room)
{
	if (left > room || x->may_end)
		return false;
	if (!x->is_asked) {
		x->is_asked = true;
		delivery_before_end(x->d, x->in_doubt, x->nin_doubt, &x->go);
	}
	return true;
}

static size_t
on_read(char *to, size_t size, size_t n, void *arg)
{
	struct exchange *x = ((struct easy *)arg)->x;
	uint64_t left = x->memory != NULL ? x->body.len - x->at :
	    http_body_left(&x->body);
	size_t room = size * n;
	int64_t got;

	if (left == 0)
		return 0;
	if (is_held(x, left, room))
		return CURL_READFUNC_PAUSE;
	if (x->memory != NULL) {
		got = left < room ? (int64_t)left : (int64_t)room;
		memcpy(to, x->memory + x->at, (size_t)got);
		x->at += (uint64_t)got;
	} else
		got = http_body_read(&x->body, to, room);
	if (got <= 0) {
		x->body_error = got == 0 ? EIO : errno;
		return CURL_READFUNC_ABORT;
	}
	if ((uint64_t)got == left)
		x->is_end_given = true;
	return (size_t)got;
}

/*
 * libcurl wants to send the request again: a kept connection was dead.  What
 * the server may have got whole goes out again only with a key that lets it
 * find out.
 */
static int
on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *x = ((struct easy *)arg)->x;

	if (origin != SEEK_SET || offset != 0 ||
	    (x->is_end_given && !x->relay->conf->idempotency_key))
		return CURL_SEEKFUNC_FAIL;
	http_body_rewind(&x->body);
	x->at = 0;
	return CURL_SEEKFUNC_OK;
}

static void
learn_tls(struct exchange *x, struct easy *e)
{
	struct curl_tlssessioninfo *info = NULL;

	if (x->link->target->is_tls && *x->tls == '\0' &&
	    curl_easy_getinfo(e->curl, CURLINFO_TLS_SSL_PTR, &info) ==
	    CURLE_OK && info != NULL && info->internals != NULL)
		tls_guest_text(&x->link->guest, info->internals, x->tls,
		    sizeof(x->tls));
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct easy *e = arg;
	struct exchange *x = e->x;

	x->header_len += size * n;
	if (x->header_len > EXCHANGE_HEADER_MAX)
		return 0;
	response_line(&x->response, p, size * n);
	if (x->response.is_complete && !x->link->is_spoken) {
		x->link->is_spoken = true;
		x->link->is_multiplex = *x->response.version == '2';
		x->relay->is_multiplex = x->link->is_multiplex;
	}
	if (x->response.is_complete)
		learn_tls(x, e);
	return size * n;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = ((struct easy *)arg)->x;

	if (response_body(&x->response, p, size * n))
		return size * n;
	x->is_cut = true;
	return 0;
}

/* Connected, and TLS done: the last moment before the request leaves. */
static int
on_connected(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct easy *e = arg;
	struct exchange *x = e->x;
	struct curl_tlssessioninfo *info = NULL;

	(void)from;
	link_connected(x->link, x->link->target->socket != NULL ? 0 :
	    from_port);
	strlcpy(x->address, to == NULL ? "" : to, sizeof(x->address));
	x->port = (uint16_t)to_port;
	if (!x->link->target->is_tls)
		return CURL_PREREQFUNC_OK;
	if (curl_easy_getinfo(e->curl, CURLINFO_TLS_SSL_PTR, &info) !=
	    CURLE_OK || info == NULL ||
	    !tls_guest_admits(&x->link->guest, info->internals)) {
		x->is_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

/* ---- handles ---- */

static void
set_callbacks(struct easy *e)
{
	CURL *c = e->curl;

	curl_easy_setopt(c, CURLOPT_PRIVATE, e);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, e->error);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(c, CURLOPT_READDATA, e);
	curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(c, CURLOPT_SEEKDATA, e);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, e);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, e);
	curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(c, CURLOPT_PREREQDATA, e);
}

static struct easy *
easy_new(struct http_relay *r)
{
	struct easy *e = xcalloc(1, sizeof(*e));
	CURL *c = curl_easy_init();

	if (c == NULL) {
		free(e);
		return NULL;
	}
	e->curl = c;
	set_callbacks(e);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, http_is_given(r->conf->proxy) ?
	    r->conf->proxy : "");
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
	curl_easy_setopt(c, CURLOPT_USERAGENT, "nexthop/" NEXTHOP_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)r->conf->timeout_ms);
	/* The pool knows how long; libcurl's own limit must not be shorter. */
	curl_easy_setopt(c, CURLOPT_MAXAGE_CONN,
	    (long)(r->conf->idle_timeout_ms / 1000 + 60));
	curl_easy_setopt(c, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 8192L);
	curl_easy_setopt(c, CURLOPT_SHARE, r->sessions);
	/* tls_guest.c does what these would. */
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	if (r->tls->session_cache == 0)
		curl_easy_setopt(c, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (agent_trace(r->agent))
		trace_start(c);
	return e;
}

static void
easy_free(struct easy *e)
{
	curl_easy_cleanup(e->curl);
	free(e);
}

static struct easy *
take_easy(struct http_relay *r)
{
	struct easy *e = LIST_FIRST(&r->easies);

	if (e == NULL)
		return easy_new(r);
	LIST_REMOVE(e, next);
	r->neasies--;
	return e;
}

static void
give_easy(struct http_relay *r, struct easy *e)
{
	e->x = NULL;
	if (r->neasies >= EASIES_KEPT) {
		easy_free(e);
		return;
	}
	/* What these point to goes with the delivery or the link. */
	curl_easy_setopt(e->curl, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(e->curl, CURLOPT_POSTFIELDS, NULL);
	curl_easy_setopt(e->curl, CURLOPT_RESOLVE, NULL);
	LIST_INSERT_HEAD(&r->easies, e, next);
	r->neasies++;
}

void
exchange_free_spares(struct http_relay *r)
{
	struct easy *e;

	while ((e = LIST_FIRST(&r->easies)) != NULL) {
		LIST_REMOVE(e, next);
		easy_free(e);
	}
}

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
			curl_multi_remove_handle(l->multi, x->easy->curl);
		give_easy(x->relay, x->easy);
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

static void
fail(struct exchange *x, const struct reply *r)
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
	fail(x, &r);
}

const char *
exchange_peer(const struct exchange *x, char *to, size_t size)
{
	const struct target *t = x->link->target;

	if (t->socket != NULL)
		snprintf(to, size, "%s", t->socket);
	else if (*x->address != '\0')
		snprintf(to, size, "%s[%s]:%u", t->host, x->address, x->port);
	else
		snprintf(to, size, "%s:%u", t->host, t->port);
	return to;
}

static const char *
doing(const struct exchange *x)
{
	if (x->state < EXCHANGE_RUNNING)
		return "connecting";
	if (x->is_end_given)
		return "waiting for the response";
	return *x->address == '\0' && x->link->target->socket == NULL ?
	    "connecting" : "sending the request";
}

static void
on_timeout(void *arg)
{
	struct exchange *x = arg;
	char peer[512];

	exchange_peer(x, peer, sizeof(peer));
	if (x->is_end_given)
		exchange_fail(x, STAGE_DOT, CAUSE_HTTP_TIMEOUT_AFTER_END, peer,
		    NULL);
	else
		exchange_fail(x, STAGE_RUN, CAUSE_HTTP_TIMEOUT, peer,
		    doing(x));
}

static bool
is_tls_code(CURLcode rc)
{
	switch (rc) {
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		return true;
	default:
		return false;
	}
}

/* libcurl's words, or those of its code. */
static const char *
reason(const struct exchange *x, CURLcode rc)
{
	return *x->easy->error != '\0' ? x->easy->error :
	    curl_easy_strerror(rc);
}

static void
fail_connect(struct exchange *x, CURLcode rc, const char *peer)
{
	const char *host = x->link->target->host, *text;
	char source[ADDR_TEXT_MAX];
	long error = 0;

	curl_easy_getinfo(x->easy->curl, CURLINFO_OS_ERRNO, &error);
	if (x->link->is_denied) {
		exchange_fail(x, STAGE_CONNECT, CAUSE_TARGET_DENIED, host,
		    host);
		return;
	}
	if (x->link->error != 0) {
		text = strerror(x->link->error);
		if (x->link->has_source)
			exchange_fail(x, STAGE_CONNECT, CAUSE_SOURCE_FAILED,
			    addr_format(&x->link->source, source,
			    sizeof(source)), text);
		else
			exchange_fail(x, STAGE_CONNECT, CAUSE_LOCAL_ERROR,
			    text, NULL);
		return;
	}
	text = error != 0 ? strerror((int)error) : reason(x, rc);
	exchange_fail(x, STAGE_CONNECT, CAUSE_CONNECT_FAILED, peer,
	    arena_strdup(x->d->arena, text));
}

/* Did any byte of the body leave? */
static bool
is_in_doubt(const struct exchange *x)
{
	long sent = 0;

	curl_easy_getinfo(x->easy->curl, CURLINFO_REQUEST_SIZE, &sent);
	return x->is_end_given && sent > 0;
}

static void
fail_transfer(struct exchange *x, CURLcode rc)
{
	char peer[512];
	const char *why = arena_strdup(x->d->arena, reason(x, rc));

	exchange_peer(x, peer, sizeof(peer));
	if (x->body_error != 0)
		exchange_fail(x, STAGE_BODY, CAUSE_BODY_READ,
		    strerror(x->body_error), NULL);
	else if (x->link->guest.is_refused || x->is_refused) {
		why = tls_guest_why(&x->link->guest);
		exchange_fail(x, STAGE_TLS, CAUSE_TLS_UNVERIFIED,
		    arena_strdup(x->d->arena, *why == '\0' ?
		    "no certificate" : why), NULL);
	} else if (is_in_doubt(x))
		exchange_fail(x, STAGE_DOT, CAUSE_HTTP_BROKEN_AFTER_END, peer,
		    why);
	else if (is_tls_code(rc))
		exchange_fail(x, STAGE_TLS, CAUSE_TLS_HANDSHAKE, peer, why);
	else if (rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST
	    || rc == CURLE_COULDNT_RESOLVE_PROXY || rc == CURLE_PROXY)
		fail_connect(x, rc, peer);
	else if (rc == CURLE_OPERATION_TIMEDOUT)
		exchange_fail(x, STAGE_RUN, CAUSE_HTTP_TIMEOUT, peer,
		    doing(x));
	else if (rc == CURLE_OUT_OF_MEMORY || rc == CURLE_FAILED_INIT)
		exchange_fail(x, STAGE_NONE, CAUSE_LOCAL_ERROR, why, NULL);
	else {
		struct reply r;

		reply_cause(&r, x->d->arena, STAGE_RUN, CAUSE_HTTP_BROKEN,
		    peer, x->is_end_given ? "waiting for the response" :
		    "sending the request", why);
		fail(x, &r);
	}
}

static void
learn_times(struct exchange *x)
{
	CURL *c = x->easy->curl;
	curl_off_t before = 0, all = 0, retry = 0;

	curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &before);
	curl_easy_getinfo(c, CURLINFO_TOTAL_TIME_T, &all);
	curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &retry);
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
	curl_multi_remove_handle(x->link->multi, x->easy->curl);
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
		fail_transfer(x, rc);
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
	set_body(x, x->memory != NULL && x->may_end &&
	    x->relay->conf->idempotency_key && x->body.len > 0);
	curl_easy_setopt(e->curl, CURLOPT_HTTPHEADER, x->headers);
	x->state = EXCHANGE_RUNNING;
	x->relay->requests++;
	if ((rc = curl_multi_add_handle(x->link->multi, e->curl)) != CURLM_OK) {
		x->state = EXCHANGE_HELD;
		exchange_fail(x, STAGE_NONE, CAUSE_LOCAL_ERROR,
		    curl_multi_strerror(rc), NULL);
	} else
		link_kick(x->link);
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
	link_kick(x->link);
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
	if ((x->easy = take_easy(x->relay)) == NULL) {
		exchange_fail(x, STAGE_NONE, CAUSE_LOCAL_ERROR, "no memory",
		    NULL);
		return;
	}
	x->easy->x = x;
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
