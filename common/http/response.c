/* response.c - an answer's header and body, and what they mean. */
#include "http/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void
response_init(struct response *r, struct arena *arena,
    const char *const *rcpts, uint32_t nrcpt)
{
	memset(r, 0, offsetof(struct response, location));
	r->location[0] = r->shown[0] = '\0';
	r->shown_len = 0;
	r->body_len = 0;
	r->retry_after_s = 0;
	r->arena = arena;
	r->rcpts = rcpts;
	r->nrcpt = nrcpt;
}

/* ---- the header ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.1 204 No Content", "HTTP/2 204". */
static void
status_line(struct response *r, const char *p, size_t n)
{
	const char *end = p + n, *at = p + 5;
	size_t len;

	response_init(r, r->arena, r->rcpts, r->nrcpt);
	while (at < end && *at != ' ')
		at++;
	len = (size_t)(at - p) - 5;
	snprintf(r->version, sizeof(r->version), "%.*s", (int)len, p + 5);
	if (end - at < 4 || !is_digit(at[1]) || !is_digit(at[2]) ||
	    !is_digit(at[3]))
		return;
	r->status = (unsigned)((at[1] - '0') * 100 + (at[2] - '0') * 10 +
	    at[3] - '0');
	at += 4;
	while (at < end && *at == ' ')
		at++;
	len = (size_t)(end - at);
	if (len > RESPONSE_REASON_MAX / 4)
		len = RESPONSE_REASON_MAX / 4;	/* room for \xHH */
	str_escape(r->reason, sizeof(r->reason), at, len);
}

/* The recipient of the request that a word stands for, or nrcpt. */
static uint32_t
find_rcpt(const struct response *r, const char *who, size_t n)
{
	char number[8];
	int64_t index;
	uint32_t i;

	if (n < sizeof(number)) {
		memcpy(number, who, n);
		number[n] = '\0';
		if (str_to_int64(number, 0, r->nrcpt - 1, &index) == 0)
			return (uint32_t)index;
	}
	for (i = 0; i < r->nrcpt; i++)
		if (strlen(r->rcpts[i]) == n &&
		    memcmp(r->rcpts[i], who, n) == 0)
			return i;
	return r->nrcpt;
}

static void
rcpt_reply(struct response *r, const char *value, size_t n)
{
	struct smtp_reply reply;
	struct response_rcpt *one;
	const char *who, *rest;
	size_t len, rest_len;
	uint32_t index;

	if (r->nrcpt == 0 || r->nper_rcpt == RESPONSE_RCPTS_MAX ||
	    (len = smtp_reply_whose(value, n, &who, &rest, &rest_len)) == 0 ||
	    (index = find_rcpt(r, who, len)) == r->nrcpt ||
	    smtp_reply_parse(&reply, rest, rest_len) == -1) {
		r->is_bad_reply = true;
		return;
	}
	one = arena_alloc(r->arena, sizeof(*one));
	one->index = index;
	one->reply = reply;
	one->next = r->per_rcpt;
	r->per_rcpt = one;
	r->nper_rcpt++;
}

static bool
is_header(const char *p, size_t n, const char *name, const char **value_r,
    size_t *len_r)
{
	size_t len = strlen(name);

	if (n <= len || p[len] != ':' || strncasecmp(p, name, len) != 0)
		return false;
	for (p += len + 1, n -= len + 1; n > 0 && (*p == ' ' || *p == '\t');
	    p++, n--)
		;
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	*value_r = p;
	*len_r = n;
	return true;
}

void
response_line(struct response *r, const char *p, size_t n)
{
	const char *value;
	size_t len;

	while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		n--;
	if (n > 5 && strncasecmp(p, "HTTP/", 5) == 0) {
		status_line(r, p, n);
		return;
	}
	if (r->status == 0 || r->is_complete)
		return;			/* trailers say nothing to us */
	if (n == 0)
		r->is_complete = r->status >= 200;
	else if (is_header(p, n, "X-Smtp-Reply", &value, &len)) {
		if (!r->has_reply && smtp_reply_parse(&r->reply, value,
		    len) == 0)
			r->has_reply = true;
		else
			r->is_bad_reply = true;
	} else if (is_header(p, n, "X-Smtp-Recipient-Reply", &value, &len))
		rcpt_reply(r, value, len);
	else if (is_header(p, n, "Location", &value, &len) &&
	    len < sizeof(r->location)) {
		memcpy(r->location, value, len);
		r->location[len] = '\0';
	}
}

bool
response_body(struct response *r, const char *p, size_t n)
{
	size_t room = RESPONSE_SHOWN_MAX - r->shown_len;

	if (n < room)
		room = n;
	memcpy(r->shown + r->shown_len, p, room);
	r->shown_len += room;
	r->shown[r->shown_len] = '\0';
	r->body_len += n;
	return r->body_len <= RESPONSE_BODY_MAX;
}

/* ---- what it means ---- */

/* What can be read of the body's start: one line, blanks joined. */
static const char *
excerpt(const struct response *r)
{
	char *out = arena_alloc(r->arena, RESPONSE_SHOWN_MAX + 1);
	size_t at = 0, i, n = r->shown_len;

	/* A character cut in two at the end. */
	if (r->body_len > n)
		for (i = 1; i < 4 && i <= n; i++)
			if ((r->shown[n - i] & 0xc0) == 0xc0) {
				if (!str_is_utf8(r->shown + n - i, i))
					n -= i;
				break;
			}
	for (i = 0; i < n; i++)
		if ((unsigned char)r->shown[i] > 0x20 && r->shown[i] != 0x7f)
			out[at++] = r->shown[i];
		else if (at > 0 && out[at - 1] != ' ')
			out[at++] = ' ';
	while (at > 0 && out[at - 1] == ' ')
		at--;
	if (!str_is_utf8(out, at))
		for (i = 0; i < at; i++)
			if ((out[i] & 0x80) != 0)
				out[i] = '?';
	out[at] = '\0';
	return out;
}

static const char *
status_text(const struct response *r)
{
	const char *blank = *r->reason != '\0' ? " " : "";

	return arena_printf(r->arena, "HTTP %u%s%s", r->status, blank,
	    r->reason);
}

static bool
is_transient(unsigned status, bool is_auth_transient)
{
	switch (status) {
	case 408: case 425: case 429:
		return true;
	case 401: case 403: case 407:
		return is_auth_transient;
	default:
		return status < 400 || status >= 500;
	}
}

static void
from_status(const struct response *r, bool is_auth_transient,
    struct reply *reply)
{
	const char *text = status_text(r), *body = excerpt(r);
	unsigned code = 450;

	if (r->status / 100 == 2)
		code = 250;
	else {
		if (*body != '\0')
			text = arena_printf(r->arena, "%s: %s", text, body);
		if (r->status == 413) {		/* RFC 9110 §15.5.14 */
			code = 552;
			text = arena_printf(r->arena, "5.3.4 %s", text);
		} else if (!is_transient(r->status, is_auth_transient))
			code = 550;
	}
	reply_from_server(reply, r->arena, code, text, strlen(text),
	    STAGE_RUN);
}

static const struct smtp_reply *
find_reply(const struct response *r, uint32_t index)
{
	const struct response_rcpt *one;

	for (one = r->per_rcpt; one != NULL; one = one->next)
		if (one->index == index)
			return &one->reply;
	return r->has_reply ? &r->reply : NULL;
}

void
response_reply(const struct response *r, uint32_t index,
    bool is_auth_transient, const char *peer, struct reply *reply)
{
	const struct smtp_reply *said = find_reply(r, index);
	const char *text;

	if (said == NULL)
		from_status(r, is_auth_transient, reply);
	else if (said->code < 300 && r->status / 100 != 2)
		reply_cause(reply, r->arena, STAGE_RUN,
		    CAUSE_HTTP_CONTRADICTION, peer, status_text(r),
		    (unsigned long long)said->code);
	else {
		text = said->message;
		if (*text == '\0')
			text = status_text(r);
		reply_from_server(reply, r->arena, said->code, text,
		    strlen(text), smtp_reply_stage(said));
	}
	if (reply->cls == REPLY_TRANSIENT)
		reply->retry_after_s = r->retry_after_s;
}
