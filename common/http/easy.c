/* easy.c - handles of libcurl's, and what libcurl calls during a transfer. */
#include "http/easy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/relay.h"
#include "paths.h"

#define EASIES_KEPT	256

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
	return e;
}

static void
easy_free(struct easy *e)
{
	curl_easy_cleanup(e->curl);
	free(e);
}

struct easy *
easy_take(struct http_relay *r, struct exchange *x)
{
	struct easy *e = LIST_FIRST(&r->easies);

	if (e != NULL) {
		LIST_REMOVE(e, next);
		r->neasies--;
	} else if ((e = easy_new(r)) == NULL)
		return NULL;
	e->x = x;
	return e;
}

void
easy_give(struct http_relay *r, struct easy *e)
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
easy_free_all(struct http_relay *r)
{
	struct easy *e;

	while ((e = LIST_FIRST(&r->easies)) != NULL) {
		LIST_REMOVE(e, next);
		easy_free(e);
	}
}
