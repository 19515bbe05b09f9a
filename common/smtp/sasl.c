/*
 * sasl.c - the client's side of SASL: the lines of an exchange.
 *
 * A mechanism (sasl_mech.c) gives the next response for a challenge.  Lines,
 * base64, limits and the wiping of memory are the same for all.
 */
#include "smtp/sasl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/str.h"
#include "smtp/sasl_mech.h"

#define SHOWN_BYTES	100	/* of what a server says, in texts */

int
sasl_fail(struct sasl *s, const char *why, const void *what, size_t n)
{
	char shown[256];

	/* A server that repeats what it was told is not quoted. */
	if (what == NULL || n == 0 || (s->secret_len > 0 &&
	    memmem(what, n, s->secret, s->secret_len) != NULL)) {
		snprintf(s->error, sizeof(s->error), "%s", why);
		return -1;
	}
	str_escape(shown, sizeof(shown), what,
	    n < SHOWN_BYTES ? n : SHOWN_BYTES);
	snprintf(s->error, sizeof(s->error), "%s: %s", why, shown);
	return -1;
}

int
sasl_fail_unexpected(struct sasl *s)
{
	return sasl_fail(s, "the server sent a challenge where the mechanism "
	    "has none", NULL, 0);
}

void
sasl_put(struct sasl *s, const void *p, size_t n)
{
	if (buf_add(&s->message, p, n) == -1)
		s->is_too_long = true;
}

void
sasl_put_name(struct buf *b, const char *name)
{
	for (; *name != '\0'; name++)
		if (*name == ',')
			buf_puts(b, "=2C");
		else if (*name == '=')
			buf_puts(b, "=3D");
		else
			buf_add(b, name, 1);
}

/* ---- an exchange: beginning and end ---- */

/* U+0080 to U+009F. */
static bool
has_c1_control(const char *s)
{
	for (; (s = strchr(s, '\xc2')) != NULL; s++)
		if ((uint8_t)s[1] >= 0x80 && (uint8_t)s[1] < 0xa0)
			return true;
	return false;
}

/* RFC 4013 §2.3, as far as sasl.h says. */
static const char *
check_text(const char *s)
{
	if (str_has_control(s))
		return "has control characters";
	if (str_is_ascii(s))
		return NULL;
	if (!str_is_utf8(s, strlen(s)))
		return "is not UTF-8";
	return has_c1_control(s) ? "has control characters" : NULL;
}

static const char *
check_name(const char *s, bool is_text)
{
	if (s == NULL)
		return NULL;
	if (*s == '\0')
		return "is empty";
	if (strlen(s) > SASL_NAME_MAX)
		return "is longer than 500 bytes";
	return is_text ? check_text(s) : NULL;
}

/* RFC 6750 §2.1: no blanks, nothing that could end a field. */
static const char *
check_token(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			return "has characters that a bearer token cannot "
			    "have";
	return NULL;
}

static const char *
check_secret(const struct secret *secret)
{
	if (secret->value == NULL || *secret->value == '\0')
		return "is empty";
	return strlen(secret->value) > SASL_SECRET_MAX ?
	    "is longer than 7000 bytes" : NULL;
}

static const char *
check_host(const char *host)
{
	return host != NULL && strlen(host) > SASL_NAME_MAX ?
	    "is longer than 500 bytes" : check_text(host == NULL ? "" : host);
}

/* Whether the mechanism can send what there is: 0, or -1 with a text. */
static int
check_all(const struct sasl_mech *mech, const struct credentials *c,
    const struct sasl_channel *channel, char *error, size_t size)
{
	bool		 is_text = (mech->flags & IS_TEXT) != 0;
	const char	*what = "username", *why;

	if ((why = check_name(c->username, is_text)) == NULL) {
		what = "authorization name";
		why = check_name(c->authzid, is_text);
	}
	if (why == NULL) {
		what = "host name";
		why = check_host(channel->host);
	}
	if (why == NULL && (mech->flags & NEEDS_PASSWORD) != 0) {
		what = "password";
		why = check_secret(&c->password);
		if (why == NULL && is_text)
			why = check_text(c->password.value);
	}
	if (why == NULL && (mech->flags & NEEDS_TOKEN) != 0) {
		what = "token";
		if ((why = check_secret(&c->token)) == NULL)
			why = check_token(c->token.value);
	}
	if (why == NULL && (mech->flags & NEEDS_BINDING) != 0) {
		what = "channel binding";
		if (channel->binding_len == 0 ||
		    channel->binding_len > SASL_BINDING_MAX)
			why = "has no length that is known";
	}
	if (why == NULL)
		return 0;
	snprintf(error, size, "SASL %s: the %s %s", mech->name, what, why);
	return -1;
}

static char *
copy(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

static void
take_secret(struct sasl *s, const struct secret *secret)
{
	s->secret = xstrdup(secret->value);
	s->secret_len = strlen(s->secret);
}

static struct sasl *
new(const struct sasl_choice *choice, const struct credentials *c,
    const struct sasl_channel *channel)
{
	struct sasl	*s = xcalloc(1, sizeof(*s));
	unsigned	 flags = choice->mech->flags;

	s->mech = choice->mech;
	s->no_plus = choice->no_plus;
	s->username = copy(c->username);
	s->authzid = copy(c->authzid);
	s->host = copy(channel->host);
	s->port = channel->port;
	if ((flags & NEEDS_PASSWORD) != 0)
		take_secret(s, &c->password);
	else if ((flags & NEEDS_TOKEN) != 0)
		take_secret(s, &c->token);
	if ((flags & NEEDS_BINDING) != 0) {
		s->binding = channel->binding;
		s->binding_len = channel->binding_len;
		memcpy(s->binding_data, channel->binding_data, s->binding_len);
	}
	/* All of its memory now: growing would leave copies behind. */
	buf_init(&s->message, SASL_RAW_MAX);
	buf_reserve(&s->message, SASL_RAW_MAX);
	return s;
}

struct sasl *
sasl_new(const struct sasl_choice *choice, const struct credentials *c,
    const struct sasl_channel *channel, struct scram_cache *cache,
    char *error, size_t size)
{
	struct sasl *s;

	if (check_all(choice->mech, c, channel, error, size) == -1)
		return NULL;
	s = new(choice, c, channel);
	s->cache = cache;
	if ((s->mech->flags & IS_SCRAM) != 0 && scram_init(s) == -1) {
		snprintf(error, size, "SASL %s: no random bytes",
		    s->mech->name);
		sasl_free(s);
		return NULL;
	}
	return s;
}

void
sasl_free(struct sasl *s)
{
	if (s == NULL)
		return;
	scram_clear(s);
	secret_free(s->secret, s->secret_len);
	explicit_bzero(s->message.mem, s->message.cap);
	buf_clear(&s->message);
	free(s->username);
	free(s->authzid);
	free(s->host);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

/* ---- lines ---- */

/* A line that tells nothing. */
static const char *
plain_line(struct sasl *s, const char *line)
{
	snprintf(s->line, sizeof(s->line), "%s", line);
	snprintf(s->trace, sizeof(s->trace), "%s", line);
	return s->line;
}

/* s->message behind a prefix. */
static const char *
message_line(struct sasl *s, const char *prefix)
{
	int n = snprintf(s->line, sizeof(s->line), "%s", prefix);

	base64_encode(s->line + n, buf_data(&s->message),
	    buf_len(&s->message));
	snprintf(s->trace, sizeof(s->trace), "%s%s", prefix,
	    buf_is_empty(&s->message) ? "" : "[secret]");
	return s->line;
}

static const char *
cancel(struct sasl *s)
{
	s->is_cancelled = true;
	return plain_line(s, "*");
}

/* The next response, in s->message. */
static int
respond(struct sasl *s, const char *challenge, size_t n)
{
	s->message.start = s->message.end = 0;
	if (s->mech->respond(s, challenge, n) == -1)
		return -1;
	if (s->is_too_long ||
	    BASE64_LEN(buf_len(&s->message)) > SASL_LINE_MAX - 2)
		return sasl_fail(s, "the response does not fit into a line",
		    NULL, 0);
	s->nsaid++;
	return 0;
}

const char *
sasl_start(struct sasl *s)
{
	char	command[48], prefix[sizeof(command) + 2];
	size_t	n;

	snprintf(command, sizeof(command), "AUTH %s", s->mech->name);
	snprintf(prefix, sizeof(prefix), "%s ", command);
	if ((s->mech->flags & IS_CLIENT_FIRST) == 0)
		return plain_line(s, command);
	if (respond(s, "", 0) == -1) {
		s->is_cancelled = true;		/* upon the 334 */
		return plain_line(s, command);
	}
	n = strlen(prefix) + BASE64_LEN(buf_len(&s->message)) + 2;
	if (n > SASL_INITIAL_MAX) {
		s->is_owed = true;
		return plain_line(s, command);
	}
	if (!buf_is_empty(&s->message))
		return message_line(s, prefix);
	strlcat(prefix, "=", sizeof(prefix));
	return plain_line(s, prefix);
}

/* The text of a 334 into s->challenge; -1 where it is no challenge. */
static int
read_challenge(struct sasl *s, const char *text, size_t n, size_t *len_r)
{
	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
		n--;
	if (n > SASL_LINE_MAX)
		return sasl_fail(s, "the server's challenge is longer than "
		    "12288 bytes", NULL, 0);
	if (base64_decode(s->challenge, text, n, len_r) == -1)
		return sasl_fail(s, "the server's challenge is not base64",
		    NULL, 0);
	s->challenge[*len_r] = '\0';
	return 0;
}

const char *
sasl_continue(struct sasl *s, const char *text, size_t n)
{
	size_t len = 0;

	if (s->is_cancelled || read_challenge(s, text, n, &len) == -1)
		return cancel(s);
	if (s->is_owed) {
		s->is_owed = false;
		if (len > 0) {
			sasl_fail_unexpected(s);
			return cancel(s);
		}
		return message_line(s, "");
	}
	if (respond(s, (const char *)s->challenge, len) == -1)
		return cancel(s);
	return message_line(s, "");
}

bool
sasl_is_cancelled(const struct sasl *s)
{
	return s->is_cancelled;
}

bool
sasl_is_complete(struct sasl *s)
{
	if (s->is_done && !s->is_owed && !s->is_cancelled)
		return true;
	if (s->error[0] != '\0')
		return false;
	if ((s->mech->flags & IS_SCRAM) != 0)
		sasl_fail(s, "the server accepts without having shown that "
		    "it knows the password", NULL, 0);
	else
		sasl_fail(s, "the server accepts before the exchange is over",
		    NULL, 0);
	return false;
}

const char *
sasl_error(const struct sasl *s)
{
	return s->error[0] == '\0' ? NULL : s->error;
}

const char *
sasl_trace(const struct sasl *s)
{
	return s->trace;
}
