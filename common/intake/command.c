/* command.c - one line of an LMTP client. */
#include "intake/command.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "intake/replies.h"
#include "mail/address.h"
#include "mail/envelope.h"

#define ENVID_MAX	100	/* RFC 3461 §4.4 */
#define SIZE_DIGITS_MAX	20	/* RFC 1870 §3 */
#define LHLO_NAME_MAX	255	/* RFC 5321 §4.5.3.1.2 */
#define CLIENT_TEXT_MAX	255	/* Postfix: XCLIENT and XFORWARD have no more */
#define XCLIENT		0x01
#define XFORWARD	0x02

static const struct verb_row {
	const char	*word;
	enum lmtp_verb	 verb;
} verbs[] = {
	{ "LHLO", VERB_LHLO },	{ "MAIL", VERB_MAIL },	{ "RCPT", VERB_RCPT },
	{ "DATA", VERB_DATA },	{ "BDAT", VERB_BDAT },	{ "RSET", VERB_RSET },
	{ "QUIT", VERB_QUIT },	{ "NOOP", VERB_NOOP },	{ "VRFY", VERB_VRFY },
	{ "HELP", VERB_HELP },	{ "HELO", VERB_HELO },	{ "EHLO", VERB_HELO },
	{ "XCLIENT", VERB_XCLIENT }, { "XFORWARD", VERB_XFORWARD },
};

/* The next word, ended by NUL in place; p goes behind it and its blanks. */
static char *
next_word(char **p)
{
	char *word = *p, *end = word + strcspn(word, " ");

	*p = end + strspn(end, " ");
	*end = '\0';
	return word;
}

static enum lmtp_verb
verb_of(const char *word, size_t n)
{
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strlen(verbs[i].word) == n &&
		    strncasecmp(word, verbs[i].word, n) == 0)
			return verbs[i].verb;
	return VERB_UNKNOWN;
}

enum lmtp_verb
lmtp_command_verb(const char *line, size_t n)
{
	size_t len = 0;

	while (len < n && isalpha((unsigned char)line[len]))
		len++;
	return verb_of(line, len);
}

/* ---- MAIL and RCPT ---- */

/*
 * "FROM:<path> parameters": path and what follows it, or NULL.  A '>' in a
 * quoted local part ends nothing (RFC 5321 §4.1.2).
 */
static char *
take_path(char *p, const char *keyword, const char **path_r)
{
	size_t n = strlen(keyword);
	bool is_quoted = false;

	if (strncasecmp(p, keyword, n) != 0)
		return NULL;
	p += n;
	p += strspn(p, " ");		/* seen, though RFC 5321 has it not */
	if (*p++ != '<')
		return NULL;
	*path_r = p;
	for (; *p != '\0' && (is_quoted || *p != '>'); p++)
		if (*p == '"')
			is_quoted = !is_quoted;
		else if (*p == '\\' && is_quoted && p[1] != '\0')
			p++;
	if (*p != '>' || (p[1] != '\0' && p[1] != ' '))
		return NULL;
	*p++ = '\0';
	return p + strspn(p, " ");
}

/* A number of digits alone; beyond 2^63 it is that. */
static int
take_number(const char *text, uint64_t *to)
{
	size_t n = strlen(text);
	uint64_t v = 0;

	if (n == 0 || n > SIZE_DIGITS_MAX || strspn(text, "0123456789") != n)
		return -1;
	for (; *text != '\0'; text++)
		v = v > INT64_MAX / 10 ? INT64_MAX :
		    v * 10 + (uint64_t)(*text - '0');
	*to = v > INT64_MAX ? INT64_MAX : v;
	return 0;
}

static const char *
take_body(const char *value, uint8_t *to)
{
	static const char *const words[] = { "7BIT", "8BITMIME",
	    "BINARYMIME" };
	uint8_t i;

	for (i = 0; i < 3; i++)
		if (strcasecmp(value, words[i]) == 0) {
			*to = i + 1;
			return NULL;
		}
	return SAY_BAD_BODY;
}

static const char *
take_notify(const char *value, uint8_t *to)
{
	static const char *const words[] = { "NEVER", "SUCCESS", "FAILURE",
	    "DELAY" };
	uint8_t bits = 0;
	size_t i, n;

	for (;; value += n + 1) {
		n = strcspn(value, ",");
		for (i = 0; i < 4; i++)
			if (strlen(words[i]) == n &&
			    strncasecmp(value, words[i], n) == 0)
				break;
		if (i == 4)
			return SAY_BAD_NOTIFY;
		bits |= (uint8_t)(1u << i);
		if (value[n] == '\0')
			break;
	}
	/* RFC 3461 §4.1: NEVER stands alone. */
	if ((bits & NOTIFY_NEVER) != 0 && bits != NOTIFY_NEVER)
		return SAY_BAD_NOTIFY;
	*to = bits;
	return NULL;
}

/* Text of type utf-8 may stand there as it is (RFC 6533 §3). */
static const char *
take_orcpt(const char *value, const char **to)
{
	const char *semicolon = strchr(value, ';');

	if (semicolon == NULL || semicolon == value || semicolon[1] == '\0' ||
	    strlen(value) > LMTP_ORCPT_MAX || (!xtext_is_valid(value) &&
	    (strncasecmp(value, "utf-8;", 6) != 0 || str_is_ascii(value))))
		return SAY_BAD_ORCPT;
	*to = value;
	return NULL;
}

/* One parameter of MAIL; NULL or a reply. */
static const char *
mail_param(struct lmtp_command *c, const char *name, const char *value)
{
	uint64_t size;

	if (value == NULL) {
		if (strcasecmp(name, "SMTPUTF8") != 0)
			return SAY_BAD_PARAM;
		c->is_smtputf8 = true;
	} else if (strcasecmp(name, "SIZE") == 0) {
		/* Python's smtplib has one beside that of its caller. */
		if (take_number(value, &size) == -1)
			return SAY_BAD_SIZE;
		if (size > c->size)
			c->size = size;
	} else if (strcasecmp(name, "BODY") == 0) {
		if (c->body != BODY_UNKNOWN)
			return SAY_TWICE;
		return take_body(value, &c->body);
	} else if (strcasecmp(name, "RET") == 0) {
		if (c->ret != RET_NONE)
			return SAY_TWICE;
		c->ret = strcasecmp(value, "FULL") == 0 ? RET_FULL :
		    strcasecmp(value, "HDRS") == 0 ? RET_HDRS : RET_NONE;
		return c->ret == RET_NONE ? SAY_BAD_RET : NULL;
	} else if (strcasecmp(name, "ENVID") == 0) {
		if (c->envid != NULL)
			return SAY_TWICE;
		c->envid = value;
		return *value == '\0' || strlen(value) > ENVID_MAX ||
		    !xtext_is_valid(value) ? SAY_BAD_ENVID : NULL;
	} else
		return SAY_BAD_PARAM;
	return NULL;
}

static const char *
rcpt_param(struct lmtp_command *c, const char *name, const char *value)
{
	if (value == NULL)
		return SAY_BAD_PARAM;
	if (strcasecmp(name, "NOTIFY") == 0)
		return c->notify != 0 ? SAY_TWICE :
		    take_notify(value, &c->notify);
	if (strcasecmp(name, "ORCPT") == 0)
		return c->orcpt != NULL ? SAY_TWICE :
		    take_orcpt(value, &c->orcpt);
	return SAY_BAD_PARAM;
}

static const char *
parse_params(struct lmtp_command *c, char *p)
{
	const char *fault;
	char *name, *value;

	while (*p != '\0') {
		name = next_word(&p);
		if ((value = strchr(name, '=')) != NULL)
			*value++ = '\0';
		fault = c->verb == VERB_MAIL ? mail_param(c, name, value) :
		    rcpt_param(c, name, value);
		if (fault != NULL)
			return fault;
	}
	return NULL;
}

/* ---- the others ---- */

static const char *
parse_bdat(struct lmtp_command *c, char *p)
{
	char *size = next_word(&p), *last = next_word(&p);

	c->is_last = strcasecmp(last, "LAST") == 0;
	return take_number(size, &c->chunk) == -1 || *p != '\0' ||
	    (*last != '\0' && !c->is_last) ? SAY_BDAT_SYNTAX : NULL;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* xtext in place (RFC 3461 §4), which must then be a text without control
 * bytes; -1 if not. */
static int
decode_xtext(char *p)
{
	const char *start = p;
	char *to = p;

	for (; *p != '\0'; p++) {
		if (*p != '+') {
			*to++ = *p;
			continue;
		}
		if (hex_digit(p[1]) == -1 || hex_digit(p[2]) == -1)
			return -1;
		*to = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
		if (*to++ == '\0')
			return -1;
		p += 2;
	}
	*to = '\0';
	return str_has_control(start) ||
	    !str_is_utf8(start, (size_t)(to - start)) ? -1 : 0;
}

/* "192.0.2.1" or "IPV6:2001:db8::1"; -1 if it is no address. */
static int
client_address(const char **value)
{
	unsigned char bin[sizeof(struct in6_addr)];

	if (strncasecmp(*value, "IPV6:", 5) == 0) {
		*value += 5;
		return inet_pton(AF_INET6, *value, bin) == 1 ? 0 : -1;
	}
	return inet_pton(AF_INET, *value, bin) == 1 ? 0 : -1;
}

static const struct client_row {
	const char	*word;
	enum client_fact fact;
	unsigned	 of;		/* the commands that may have it */
} client_rows[] = {
	{ "NAME", CLIENT_NAME, XCLIENT | XFORWARD },
	{ "ADDR", CLIENT_ADDR, XCLIENT | XFORWARD },
	{ "PORT", CLIENT_OTHER, XCLIENT | XFORWARD },
	{ "PROTO", CLIENT_PROTO, XCLIENT | XFORWARD },
	{ "HELO", CLIENT_HELO, XCLIENT | XFORWARD },
	{ "LOGIN", CLIENT_LOGIN, XCLIENT },
	{ "DESTADDR", CLIENT_OTHER, XCLIENT },
	{ "DESTPORT", CLIENT_OTHER, XCLIENT },
	{ "IDENT", CLIENT_IDENT, XFORWARD },
	{ "SOURCE", CLIENT_OTHER, XFORWARD },
	{ .word = NULL }
};

static const struct client_row *
find_client_row(const char *word, unsigned of)
{
	const struct client_row *r;

	for (r = client_rows; r->word != NULL; r++)
		if ((r->of & of) != 0 && strcasecmp(r->word, word) == 0)
			return r;
	return NULL;
}

/* One NAME=VALUE; -1 if it is none.  What XFORWARD has for an address may be
 * another thing, of which we have no use. */
static int
client_attribute(struct lmtp_command *c, char *word, unsigned of)
{
	const struct client_row *r;
	char *text = strchr(word, '=');
	const char *value = text == NULL ? NULL : text + 1;

	if (text == NULL)
		return -1;
	*text++ = '\0';
	if ((r = find_client_row(word, of)) == NULL ||
	    decode_xtext(text) == -1 || strlen(text) > CLIENT_TEXT_MAX)
		return -1;
	if (strcasecmp(value, "[UNAVAILABLE]") == 0 ||
	    strcasecmp(value, "[TEMPUNAVAIL]") == 0)
		value = "";
	if (r->fact == CLIENT_ADDR && *value != '\0' &&
	    client_address(&value) == -1) {
		if (of == XCLIENT)
			return -1;
		value = "";
	}
	c->client[r->fact] = value;
	return 0;
}

static const char *
parse_client(struct lmtp_command *c, char *p)
{
	unsigned of = c->verb == VERB_XCLIENT ? XCLIENT : XFORWARD;

	if (*p == '\0')
		return SAY_XCLIENT_SYNTAX;
	while (*p != '\0')
		if (client_attribute(c, next_word(&p), of) == -1)
			return SAY_XCLIENT_SYNTAX;
	return NULL;
}

const char *
lmtp_command_parse(char *line, size_t n, struct lmtp_command *c)
{
	char *p = line, *word;

	memset(c, 0, sizeof(*c));
	if (memchr(line, '\0', n) != NULL || str_has_control(line) ||
	    !str_is_utf8(line, n)) {
		c->verb = lmtp_command_verb(line, n);
		return SAY_LINE_BYTES;
	}
	while (n > 0 && line[n - 1] == ' ')	/* RFC 5321 §4.1.1 */
		line[--n] = '\0';
	word = next_word(&p);
	c->verb = verb_of(word, strlen(word));
	switch (c->verb) {
	case VERB_UNKNOWN:
		return SAY_UNKNOWN;
	case VERB_HELO:
		return SAY_SAY_LHLO;
	case VERB_LHLO:
		c->arg = p;
		return *p == '\0' || strchr(p, ' ') != NULL ||
		    strlen(p) > LHLO_NAME_MAX ? SAY_LHLO_NAME : NULL;
	case VERB_MAIL:
		p = take_path(p, "FROM:", &c->path);
		return p == NULL ? SAY_MAIL_SYNTAX : parse_params(c, p);
	case VERB_RCPT:
		p = take_path(p, "TO:", &c->path);
		return p == NULL ? SAY_RCPT_SYNTAX : parse_params(c, p);
	case VERB_BDAT:
		return parse_bdat(c, p);
	case VERB_XCLIENT:
	case VERB_XFORWARD:
		return parse_client(c, p);
	case VERB_DATA:
	case VERB_RSET:
	case VERB_QUIT:
		return *p != '\0' ? SAY_SYNTAX : NULL;
	default:			/* NOOP, VRFY, HELP take any text */
		c->arg = p;
		return NULL;
	}
}
