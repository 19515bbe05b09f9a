/*
 * trace.c - the dialogue with a server for --trace and transcripts, secrets
 * masked.
 */
#include "http/trace.h"

#include <string.h>

#include "http/easy.h"
#include "http/relay.h"

#define LINE_SHOWN	1024
#define BODY_SHOWN	200

/* One header line, or a secret of that name. */
static void
show(struct exchange *x, const char *who, const char *p, size_t n)
{
	static const char *const secret[] = { "Authorization: ",
	    "Proxy-Authorization: ", "X-Nexthop-Signature: " };
	struct transcript *t = &x->link->trace;
	size_t i, len;

	for (i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		len = strlen(secret[i]);
		if (n > len && strncasecmp(p, secret[i], len) == 0) {
			transcript_say(t, &x->d->env, who, "%s****",
			    secret[i]);
			return;
		}
	}
	transcript_lines(t, &x->d->env, who, p, n < LINE_SHOWN ? n :
	    LINE_SHOWN);
}

static void
show_lines(struct exchange *x, const char *who, const char *p, size_t n)
{
	const char *lf;
	size_t len;

	for (; n > 0; p += len, n -= len) {
		lf = memchr(p, '\n', n);
		len = lf == NULL ? n : (size_t)(lf - p) + 1;
		show(x, who, p, len);
	}
}

/* Bodies are somebody's mail: only their size is shown, but for the start of
 * what the server says. */
static int
on_debug(CURL *curl, curl_infotype type, char *p, size_t n, void *arg)
{
	struct exchange *x = ((struct easy *)arg)->x;

	(void)curl;
	if (x == NULL || x->link == NULL)
		return 0;
	switch (type) {
	case CURLINFO_TEXT:
		show(x, "--:", p, n);
		break;
	case CURLINFO_HEADER_OUT:
		show_lines(x, "C:", p, n);
		break;
	case CURLINFO_HEADER_IN:
		show_lines(x, "S:", p, n);
		break;
	case CURLINFO_DATA_OUT:
		transcript_say(&x->link->trace, &x->d->env, "C:",
		    "(%zu bytes of the body)", n);
		break;
	case CURLINFO_DATA_IN:
		show(x, "S:", p, n < BODY_SHOWN ? n : BODY_SHOWN);
		break;
	default:
		break;
	}
	return 0;
}

void
trace_choose(struct easy *e)
{
	struct link *l = e->x->link;

	transcript_choose(&l->trace, &l->relay->conf->transcript,
	    l->target->host, NULL, &e->x->d->env);
	curl_easy_setopt(e->curl, CURLOPT_DEBUGFUNCTION, on_debug);
	curl_easy_setopt(e->curl, CURLOPT_DEBUGDATA, e);
	curl_easy_setopt(e->curl, CURLOPT_VERBOSE,
	    transcript_is_on(&l->trace) ? 1L : 0L);
}
