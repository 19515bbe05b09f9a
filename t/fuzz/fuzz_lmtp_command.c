/* fuzz_lmtp_command.c - lines of an LMTP client: what is taken is sound. */
#include "intake/command.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/address.h"
#include "mail/envelope.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* A text lies in the line and holds nothing that could end one. */
static void
check_text(const char *text, const char *line, size_t n)
{
	if (text == NULL)
		return;
	check(text >= line && text + strlen(text) <= line + n);
	check(!str_has_control(text) && str_is_utf8(text, strlen(text)));
}

/* The type of text that is not ASCII goes on in xtext, and comes back. */
static void
check_unicode(const char *orcpt)
{
	struct arena *arena;
	const char *text, *back;

	if (orcpt == NULL || strncasecmp(orcpt, "utf-8;", 6) != 0)
		return;
	arena = arena_new(4096);
	text = utf8_address_encode(orcpt + 6, arena);
	if (text != NULL) {
		check(xtext_is_valid(text));
		back = utf8_address_decode(text, arena);
		check(back == NULL || str_is_utf8(back, strlen(back)));
		check(back == NULL || strstr(orcpt, "\\x{") != NULL ||
		    strcmp(back, orcpt + 6) == 0);
	}
	arena_free(arena);
}

static void
check_command(const struct lmtp_command *c, const char *line, size_t n)
{
	int i;

	check_text(c->arg, line, n);
	check_text(c->path, line, n);
	check_text(c->envid, line, n);
	check_text(c->orcpt, line, n);
	for (i = 0; i < CLIENT_FACTS; i++)
		check_text(c->client[i], line, n);
	check((c->path != NULL) == (c->verb == VERB_MAIL ||
	    c->verb == VERB_RCPT));
	check(c->envid == NULL || (xtext_is_valid(c->envid) &&
	    strlen(c->envid) <= 100));
	check(c->orcpt == NULL || ((xtext_is_valid(c->orcpt) ||
	    strncasecmp(c->orcpt, "utf-8;", 6) == 0) &&
	    strchr(c->orcpt, ';') != NULL && strlen(c->orcpt) <= 500));
	check_unicode(c->orcpt);
	check(c->notify == 0 || c->notify == NOTIFY_NEVER ||
	    (c->notify & NOTIFY_NEVER) == 0);
	check(c->ret <= RET_HDRS && c->body <= BODY_BINARYMIME);
	check(c->size <= INT64_MAX && c->chunk <= INT64_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct lmtp_command c;
	const char *fault;
	char *line;

	if (n > 32768)
		return 0;
	line = malloc(n + 1);
	memcpy(line, data, n);
	line[n] = '\0';
	fault = lmtp_command_parse(line, n, &c);
	if (fault == NULL)
		check_command(&c, line, n);
	else
		check(fault[0] == '5' && strlen(fault) < 512);
	free(line);
	return 0;
}
