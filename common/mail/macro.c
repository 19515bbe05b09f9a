/* macro.c - {name} in words. */
#include "mail/macro.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/address.h"

static const char *const names[MACRO_COUNT] = {
	[MACRO_RECIPIENT] = "recipient",
	[MACRO_ORIGINAL_RECIPIENT] = "original_recipient",
	[MACRO_USER] = "user",
	[MACRO_MAILBOX] = "mailbox",
	[MACRO_EXTENSION] = "extension",
	[MACRO_DOMAIN] = "domain",
	[MACRO_SENDER] = "sender",
	[MACRO_MESSAGE_ID] = "message_id",
	[MACRO_QUEUE_ID] = "queue_id",
	[MACRO_SIZE] = "size",
	[MACRO_ENVID] = "envid",
	[MACRO_ATTEMPTS] = "attempts",
	[MACRO_NEXTHOP] = "nexthop",
	[MACRO_CLIENT_IP] = "client_ip",
	[MACRO_CLIENT_HOST] = "client_host",
	[MACRO_CLIENT_EHLO] = "client_ehlo",
	[MACRO_CLIENT_PROTOCOL] = "client_protocol",
	[MACRO_CLIENT_AUTH] = "client_auth",
};

/* ---- words ---- */

static int
find_macro(const char *name, size_t n, enum macro *macro_r)
{
	int i;

	for (i = 0; i < MACRO_COUNT; i++)
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) {
			*macro_r = (enum macro)i;
			return 0;
		}
	return -1;
}

static void
add_text(struct macro_word *w, const char *text, size_t n, struct arena *arena)
{
	if (n > 0)
		w->pieces[w->npieces++] = (struct macro_piece){
		    MACRO_COUNT, arena_strndup(arena, text, n) };
}

/* The macro that begins behind a brace; its length with both braces, or 0. */
static size_t
add_macro(struct macro_word *w, const char *at, char *error, size_t size)
{
	size_t n = strcspn(at + 1, "{}");
	enum macro macro;

	if (at[1 + n] != '}') {
		snprintf(error, size, "a { has no }; a brace that is meant is "
		    "doubled: {{");
		return 0;
	}
	if (find_macro(at + 1, n, &macro) == -1) {
		snprintf(error, size, "no macro {%.*s}; a brace that is meant "
		    "is doubled: {{", (int)(n > 64 ? 64 : n), at + 1);
		return 0;
	}
	w->pieces[w->npieces++] = (struct macro_piece){ macro, NULL };
	w->uses |= 1U << macro;
	return n + 2;
}

int
macro_parse(struct macro_word *w, const char *text, struct arena *arena,
    char *error, size_t size)
{
	const char *at = text;
	size_t n;

	/* Each piece takes a byte of the text at least. */
	w->pieces = arena_calloc(arena, strlen(text) + 1, sizeof(*w->pieces));
	w->npieces = 0;
	w->uses = 0;
	while (*at != '\0') {
		n = strcspn(at, "{}");
		add_text(w, at, n, arena);
		at += n;
		if (*at == '\0')
			break;
		if (at[0] == at[1]) {
			add_text(w, at, 1, arena);
			at += 2;
		} else if (*at == '}') {
			snprintf(error, size, "a } has no {; a brace that is "
			    "meant is doubled: }}");
			return -1;
		} else if ((n = add_macro(w, at, error, size)) == 0)
			return -1;
		else
			at += n;
	}
	return 0;
}

static const char *
piece_text(const struct macro_piece *p, const struct macro_values *values)
{
	return p->text != NULL ? p->text : values->v[p->macro];
}

const char *
macro_expand(const struct macro_word *w, const struct macro_values *values,
    struct arena *arena)
{
	size_t i, len, total = 0, at = 0;
	char *text;

	if (w->npieces == 1)
		return piece_text(&w->pieces[0], values);
	for (i = 0; i < w->npieces; i++)
		total += strlen(piece_text(&w->pieces[i], values));
	text = arena_alloc(arena, total + 1);
	for (i = 0; i < w->npieces; i++) {
		len = strlen(piece_text(&w->pieces[i], values));
		memcpy(text + at, piece_text(&w->pieces[i], values), len);
		at += len;
	}
	text[at] = '\0';
	return text;
}

bool
macro_adds_slash(const struct macro_word *w, const struct macro_values *values)
{
	size_t i;

	for (i = 0; i < w->npieces; i++)
		if (w->pieces[i].text == NULL &&
		    strchr(values->v[w->pieces[i].macro], '/') != NULL)
			return true;
	return false;
}

/* ---- values ---- */

static const char *
folded(const char *text, bool fold, struct arena *arena)
{
	char *copy;

	if (!fold)
		return text;
	copy = arena_strdup(arena, text);
	str_lower(copy);
	return copy;
}

/* A quoted local part without its quotes (RFC 5321 §4.1.2). */
static const char *
unquoted(const char *local, struct arena *arena)
{
	char *copy, *to;

	if (*local != '"')
		return local;
	copy = to = arena_strdup(arena, local + 1);
	for (local++; *local != '\0' && *local != '"'; local++) {
		if (*local == '\\' && local[1] != '\0')
			local++;
		*to++ = *local;
	}
	*to = '\0';
	return copy;
}

static const char *
joined(const char *local, const char *domain, struct arena *arena)
{
	if (domain == NULL)
		return local;
	return arena_printf(arena, "%s@%s", local, domain);
}

/* The address as a whole; how without MACRO_FOLD_* for a sender. */
static const char *
shown(const struct address *a, unsigned how, struct arena *arena)
{
	const char *local = how & MACRO_QUOTE ? a->local :
	    unquoted(a->local, arena);

	return joined(folded(local, how & MACRO_FOLD_USER, arena),
	    a->domain == NULL ? NULL :
	    folded(a->domain, how & MACRO_FOLD_DOMAIN, arena), arena);
}

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ?
	    c - 'A' + 10 : -1;
}

/* xtext (RFC 3461 §4) decoded; NULL where that is no text for an argument. */
static const char *
xtext_decoded(const char *from, struct arena *arena)
{
	char *copy = arena_alloc(arena, strlen(from) + 1), *to = copy;

	for (; *from != '\0'; from++) {
		if (*from != '+') {
			*to++ = *from;
			continue;
		}
		if (hex(from[1]) == -1 || hex(from[2]) == -1)
			return NULL;
		*to++ = (char)(hex(from[1]) << 4 | hex(from[2]));
		from += 2;
		if (to[-1] == '\0')
			return NULL;
	}
	*to = '\0';
	return copy;
}

/* ORCPT, where it is there and a mail address (RFC 3461 §4.2, RFC 6533 §3). */
static const char *
original(const struct rcpt *r, unsigned how, struct arena *arena)
{
	const char *text, *error;
	struct address a;

	if (r->orcpt == NULL)
		return NULL;
	if (strncasecmp(r->orcpt, "rfc822;", 7) == 0)
		text = xtext_decoded(r->orcpt + 7, arena);
	else if (strncasecmp(r->orcpt, "utf-8;", 6) == 0) {
		text = xtext_decoded(r->orcpt + 6, arena);
		if (text != NULL)
			text = utf8_address_decode(text, arena);
	} else
		return NULL;
	if (text == NULL || address_parse(text, arena, &a, &error) == -1)
		return NULL;
	return shown(&a, how, arena);
}

static const char *
or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

int
macro_set_message(struct macro_values *values, const struct envelope *env,
    const char *null_sender, unsigned how, struct arena *arena,
    const char **error_r)
{
	struct address a;

	if (*env->sender == '\0')
		values->v[MACRO_SENDER] = or_empty(null_sender);
	else if (address_parse(env->sender, arena, &a, error_r) == -1)
		return -1;
	else
		values->v[MACRO_SENDER] = shown(&a, how & MACRO_QUOTE, arena);
	values->v[MACRO_QUEUE_ID] = env->id;
	values->v[MACRO_ENVID] = or_empty(env->envid);
	values->v[MACRO_ATTEMPTS] = arena_printf(arena, "%u", env->attempts);
	values->v[MACRO_NEXTHOP] = folded(or_empty(env->nexthop),
	    how & MACRO_FOLD_DOMAIN, arena);
	values->v[MACRO_CLIENT_IP] = or_empty(env->client_ip);
	values->v[MACRO_CLIENT_HOST] = or_empty(env->client_host);
	values->v[MACRO_CLIENT_EHLO] = or_empty(env->client_helo);
	values->v[MACRO_CLIENT_PROTOCOL] = or_empty(env->client_proto);
	values->v[MACRO_CLIENT_AUTH] = or_empty(env->client_auth);
	values->v[MACRO_MESSAGE_ID] = values->v[MACRO_SIZE] = "";
	return 0;
}

/* Postfix's rule: neither part is empty, and not of the special names. */
static const char *
find_delimiter(const char *mailbox, const char *delimiter)
{
	static const char *const whole[] = {
		"mailer-daemon", "postmaster", "double-bounce"
	};
	const char *at;
	size_t i;

	if (*delimiter == '\0' || (at = strchr(mailbox, *delimiter)) == NULL ||
	    at == mailbox)
		return NULL;
	for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (strcasecmp(mailbox, whole[i]) == 0)
			return NULL;
	return at;
}

int
macro_set_rcpt(struct macro_values *values, const struct rcpt *r,
    const char *delimiter, unsigned how, struct arena *arena,
    const char **error_r)
{
	const char *mailbox, *at;
	struct address a;

	if (address_parse(r->addr, arena, &a, error_r) == -1)
		return -1;
	mailbox = folded(unquoted(a.local, arena), how & MACRO_FOLD_USER,
	    arena);
	at = find_delimiter(mailbox, delimiter);
	values->v[MACRO_MAILBOX] = mailbox;
	values->v[MACRO_USER] = at == NULL ? mailbox :
	    arena_strndup(arena, mailbox, (size_t)(at - mailbox));
	values->v[MACRO_EXTENSION] = at == NULL ? "" : at + 1;
	values->v[MACRO_DOMAIN] = a.domain == NULL ? "" :
	    folded(a.domain, how & MACRO_FOLD_DOMAIN, arena);
	values->v[MACRO_RECIPIENT] = shown(&a, how, arena);
	values->v[MACRO_ORIGINAL_RECIPIENT] = original(r, how, arena);
	if (values->v[MACRO_ORIGINAL_RECIPIENT] == NULL)
		values->v[MACRO_ORIGINAL_RECIPIENT] =
		    values->v[MACRO_RECIPIENT];
	return 0;
}
