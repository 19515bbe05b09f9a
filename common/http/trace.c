/* trace.c - the dialogue on stderr, secrets masked. */
#include "http/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define LINE_MAX_SHOWN	1024

static void
show(const char *who, const char *p, size_t n)
{
	static const char *const secret[] = { "Authorization: ",
	    "Proxy-Authorization: ", "X-Nexthop-Signature: " };
	char line[4 * LINE_MAX_SHOWN + 1];
	size_t i, len;

	while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == '\n'))
		n--;
	for (i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		len = strlen(secret[i]);
		if (n > len && strncasecmp(p, secret[i], len) == 0) {
			fprintf(stderr, "%s: %s****\n", who, secret[i]);
			return;
		}
	}
	str_escape(line, sizeof(line), p, n < LINE_MAX_SHOWN ? n :
	    LINE_MAX_SHOWN);
	fprintf(stderr, "%s: %s\n", who, line);
}

static void
show_lines(const char *who, const char *p, size_t n)
{
	const char *lf;
	size_t len;

	for (; n > 0; p += len, n -= len) {
		lf = memchr(p, '\n', n);
		len = lf == NULL ? n : (size_t)(lf - p) + 1;
		show(who, p, len);
	}
}

/* Bodies are somebody's mail: only their size is shown, but for the start of
 * what the server says. */
static int
on_debug(CURL *curl, curl_infotype type, char *p, size_t n, void *arg)
{
	(void)curl;
	(void)arg;
	switch (type) {
	case CURLINFO_TEXT:
		show("--", p, n);
		break;
	case CURLINFO_HEADER_OUT:
		show_lines("C", p, n);
		break;
	case CURLINFO_HEADER_IN:
		show_lines("S", p, n);
		break;
	case CURLINFO_DATA_OUT:
		fprintf(stderr, "C: (%zu bytes of the body)\n", n);
		break;
	case CURLINFO_DATA_IN:
		show("S", p, n < 200 ? n : 200);
		break;
	default:
		break;
	}
	return 0;
}

void
trace_start(CURL *curl)
{
	curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_debug);
	curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
}
