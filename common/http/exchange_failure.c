/* exchange_failure.c - exchanges without a response: why, and what that means. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/easy.h"
#include "http/relay.h"

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

void
exchange_fail_late(struct exchange *x)
{
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

void
exchange_fail_transfer(struct exchange *x, CURLcode rc)
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
		exchange_fail_reply(x, &r);
	}
}
