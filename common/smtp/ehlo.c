/* ehlo.c - the keywords of an EHLO reply. */
#include "smtp/ehlo.h"

#include <stdbool.h>
#include <string.h>

static const struct {
	const char	*keyword;
	enum smtp_ext	 ext;
} keywords[] = {
	{ "PIPELINING", EXT_PIPELINING },
	{ "SIZE", EXT_SIZE },
	{ "8BITMIME", EXT_8BITMIME },
	{ "SMTPUTF8", EXT_SMTPUTF8 },
	{ "DSN", EXT_DSN },
	{ "CHUNKING", EXT_CHUNKING },
	{ "ENHANCEDSTATUSCODES", EXT_ENHANCED },
	{ "STARTTLS", EXT_STARTTLS },
	{ "AUTH", EXT_AUTH },
	{ "REQUIRETLS", EXT_REQUIRETLS },
	{ "BINARYMIME", EXT_BINARYMIME },
	{ "LIMITS", EXT_LIMITS },
};
#define NKEYWORDS	(sizeof(keywords) / sizeof(keywords[0]))

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A number that takes the whole parameter; 0 where it is none or too large to
 * limit anything. */
static uint64_t
size_parameter(const char *p, size_t n)
{
	uint64_t v = 0;
	size_t i;

	while (n > 0 && is_blank(p[n - 1]))
		n--;
	for (i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || i >= 18)
			return 0;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	return v;
}

/* "RCPTMAX=100 MAILMAX=50" (RFC 9422 §3); what is not understood is skipped. */
static void
limits_parameter(const char *p, size_t n, struct smtp_offer *offer)
{
	uint32_t *to;
	uint64_t v;
	size_t len;

	for (; n > 0; p += len, n -= len) {
		for (len = 0; len < n && !is_blank(p[len]); len++)
			;
		to = len > 8 && strncasecmp(p, "RCPTMAX=", 8) == 0 ?
		    &offer->rcpt_max :
		    len > 8 && strncasecmp(p, "MAILMAX=", 8) == 0 ?
		    &offer->mail_max : NULL;
		if (to != NULL && (v = size_parameter(p + 8, len - 8)) > 0 &&
		    v <= UINT32_MAX)
			*to = (uint32_t)v;
		while (len < n && is_blank(p[len]))
			len++;
	}
}

static void
keyword_line(const char *p, size_t n, struct smtp_offer *offer)
{
	size_t i, len;

	while (n > 0 && is_blank(*p)) {
		p++;
		n--;
	}
	for (len = 0; len < n && !is_blank(p[len]); len++)
		;
	for (i = 0; i < NKEYWORDS; i++) {
		if (strlen(keywords[i].keyword) != len ||
		    strncasecmp(p, keywords[i].keyword, len) != 0)
			continue;
		offer->exts |= keywords[i].ext;
		while (len < n && is_blank(p[len]))
			len++;
		if (keywords[i].ext == EXT_SIZE)
			offer->size_limit = size_parameter(p + len, n - len);
		else if (keywords[i].ext == EXT_LIMITS)
			limits_parameter(p + len, n - len, offer);
		return;
	}
}

void
ehlo_parse(const struct raw_reply *r, struct smtp_offer *offer)
{
	const char *line;
	size_t len;
	unsigned i;

	memset(offer, 0, sizeof(*offer));
	/* The first line is the greeting, never a keyword. */
	for (i = 1; (line = raw_reply_line(r, i, &len)) != NULL; i++)
		keyword_line(line, len, offer);
}

bool
ehlo_auth(const struct raw_reply *r, char *to, size_t size)
{
	const char *line;
	size_t len, at = 0;
	unsigned i;

	for (i = 1; (line = raw_reply_line(r, i, &len)) != NULL; i++) {
		if (len < 5 || strncasecmp(line, "AUTH", 4) != 0 ||
		    (!is_blank(line[4]) && line[4] != '='))
			continue;
		if (at + len - 4 + 1 >= size)
			break;
		to[at++] = ' ';
		memcpy(to + at, line + 5, len - 5);
		at += len - 5;
	}
	to[at] = '\0';
	return at > 0;
}
