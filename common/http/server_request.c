/*
 * server_request.c - the head of a request.  Strict where two readers might
 * understand different things (RFC 9112 §2.2, §5.1, §6.3): what is odd is
 * refused, and the connection with it.
 */
#include "http/server_request.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

struct head {			/* being read */
	struct http_asked *asked;
	unsigned	 nfields, nhosts;
	bool		 is_10;		/* HTTP/1.0 */
	bool		 says_close, says_keep;
};

/* RFC 9110 §5.6.2 */
static bool
is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static size_t
token_length(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && is_token(p[i]))
		i++;
	return i;
}

/* ---- the first line (RFC 9112 §3) ---- */

/* What is behind the host of an absolute form (§3.2.2). */
static const char *
skip_origin(const char *p, const char *end)
{
	static const char *const schemes[] = { "http://", "https://" };
	size_t i, n;

	for (i = 0; i < 2; i++) {
		n = strlen(schemes[i]);
		if ((size_t)(end - p) > n &&
		    strncasecmp(p, schemes[i], n) == 0) {
			for (p += n; p < end && *p != '/' && *p != '?'; p++)
				continue;
			break;
		}
	}
	return p;
}

static void
take_target(struct http_asked *a, const char *p, const char *end)
{
	const char *path = skip_origin(p, end);
	const char *query;
	size_t n;

	for (; p < end; p++)
		if (*p <= 0x20 || *p >= 0x7f) {
			a->fault = 400;
			return;
		}
	query = memchr(path, '?', (size_t)(end - path));
	n = (size_t)((query != NULL ? query : end) - path);
	if (n >= sizeof(a->path))
		n = 0;			/* nothing has such a name */
	memcpy(a->path, path, n);
	a->path[n] = '\0';
}

static void
take_first_line(struct head *h, const char *p, size_t n)
{
	static const char version[] = "HTTP/1.";
	struct http_asked *a = h->asked;
	size_t len = token_length(p, n);
	const char *target = p + len + 1, *end = p + n, *sp;

	if (len == 0 || len >= sizeof(a->method) || len + 1 >= n ||
	    p[len] != ' ' ||
	    (sp = memchr(target, ' ', (size_t)(end - target))) == NULL ||
	    sp == target) {
		a->fault = 400;
		return;
	}
	memcpy(a->method, p, len);
	a->method[len] = '\0';
	a->is_head = strcmp(a->method, "HEAD") == 0;
	a->is_get = a->is_head || strcmp(a->method, "GET") == 0;
	take_target(a, target, sp);
	sp++;
	if (end - sp != 8 || memcmp(sp, "HTTP/", 5) != 0 ||
	    sp[5] < '0' || sp[5] > '9' || sp[6] != '.' ||
	    sp[7] < '0' || sp[7] > '9')
		a->fault = 400;
	else if (memcmp(sp, version, sizeof(version) - 1) != 0)
		a->fault = 505;
	h->is_10 = sp < end && end[-1] == '0';
}

/* ---- fields (RFC 9112 §5) ---- */

static bool
is_name(const char *p, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(p, name, n) == 0;
}

/* The words of Connection (RFC 9110 §7.6.1). */
static void
take_connection(struct head *h, const char *p, size_t n)
{
	size_t len;

	while (n > 0) {
		len = token_length(p, n);
		if (is_name(p, len, "close"))
			h->says_close = true;
		else if (is_name(p, len, "keep-alive"))
			h->says_keep = true;
		len += len == 0;
		p += len;
		n -= len;
	}
}

/* A body is not asked for, so it is not read: not even to skip it. */
static void
take_length(struct http_asked *a, const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && p[i] >= '0' && p[i] <= '9'; i++)
		continue;
	if (i == 0 || i < n)
		a->fault = 400;
	else if (strspn(p, "0") < n)
		a->fault = 413;
}

static void
take_field(struct head *h, const char *p, size_t n)
{
	struct http_asked *a = h->asked;
	size_t len = token_length(p, n), i;
	const char *value = p + len + 1;

	if (++h->nfields > HTTP_FIELDS_MAX) {
		a->fault = 431;
		return;
	}
	if (len == 0 || len == n || p[len] != ':') {	/* also obs-fold */
		a->fault = 400;
		return;
	}
	n -= len + 1;
	for (i = 0; i < n; i++)
		if ((value[i] >= 0 && value[i] < 0x20 && value[i] != '\t') ||
		    value[i] == 0x7f) {
			a->fault = 400;
			return;
		}
	for (; n > 0 && (*value == ' ' || *value == '\t'); n--)
		value++;
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	if (is_name(p, len, "host"))
		h->nhosts++;
	else if (is_name(p, len, "connection"))
		take_connection(h, value, n);
	else if (is_name(p, len, "transfer-encoding"))
		a->fault = 501;
	else if (is_name(p, len, "content-length"))
		take_length(a, value, n);
}

/* ---- the whole ---- */

/* The next line without its end, or NULL. */
static const char *
next_line(const char **p, const char *end, size_t *len_r)
{
	const char *line = *p;
	const char *lf = memchr(line, '\n', (size_t)(end - line));

	if (lf == NULL)
		return NULL;
	*p = lf + 1;
	*len_r = (size_t)(lf - line);
	if (*len_r > 0 && lf[-1] == '\r')
		(*len_r)--;
	return line;
}

static void
finish(struct head *h)
{
	struct http_asked *a = h->asked;

	/* RFC 9112 §3.2; what has several is nobody's idea of a request */
	if (a->fault == 0 && (h->nhosts > 1 || (h->nhosts == 0 && !h->is_10)))
		a->fault = 400;
	a->is_kept = a->fault == 0 && !h->says_close &&
	    (!h->is_10 || h->says_keep);
}

size_t
http_asked_parse(struct http_asked *a, const char *p, size_t n)
{
	struct head h = { .asked = a };
	const char *start = p, *end = p + n, *line;
	bool has_first = false;
	size_t len = 0;

	memset(a, 0, sizeof(*a));
	while (a->fault == 0 && (line = next_line(&p, end, &len)) != NULL) {
		if (p - start > HTTP_HEAD_MAX)
			a->fault = has_first ? 431 : 414;
		else if (!has_first && len == 0)
			continue;		/* RFC 9112 §2.2 */
		else if (!has_first && len > HTTP_LINE_MAX)
			a->fault = 414;
		else if (!has_first)
			take_first_line(&h, line, len);
		else if (len == 0) {
			finish(&h);
			return (size_t)(p - start);
		} else
			take_field(&h, line, len);
		has_first = true;
	}
	if (a->fault == 0 && !has_first && end - p > HTTP_LINE_MAX)
		a->fault = 414;
	else if (a->fault == 0 && n >= HTTP_HEAD_MAX)
		a->fault = 431;
	return 0;
}
