/*
 * fuzz_address.c - any address.  What is taken must be safe between `<` and
 * `>` of a command, and mean the same when it is read again.
 */
#include "mail/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* '>' and blanks stand only inside quotes, nothing is a control byte. */
static void
check_safe(const char *wire)
{
	bool in_quotes = false;

	if (str_has_control(wire) || wire[0] == '\0')
		abort();
	for (const char *p = wire; *p != '\0'; p++) {
		if (*p == '\\' && in_quotes) {
			if (*++p == '\0')
				abort();
		} else if (*p == '"') {
			in_quotes = !in_quotes;
		} else if (strchr("<> ", *p) != NULL && !in_quotes) {
			abort();
		}
	}
	if (in_quotes)
		abort();
}

static void
check_same(const char *wire, const struct address *a, struct arena *arena)
{
	struct address	 again;
	const char	*error;

	if (strlen(wire) > ADDRESS_MAX)
		return;		/* A-labels may be longer */
	if (address_parse(wire, arena, &again, &error) == -1 ||
	    strcmp(again.local, a->local) != 0 ||
	    (again.domain == NULL) != (a->domain == NULL) ||
	    again.is_literal != a->is_literal)
		abort();
}

static void
check_wire(const struct address *a, struct arena *arena)
{
	const char *wire, *error;

	if ((wire = address_wire(a, true, arena, &error)) == NULL)
		abort();
	check_safe(wire);
	check_same(wire, a, arena);
	wire = address_wire(a, false, arena, &error);
	if ((wire == NULL) != (error != NULL))
		abort();
	if (wire == NULL)
		return;
	if (!str_is_ascii(wire))
		abort();
	check_safe(wire);
	check_same(wire, a, arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena	*arena = arena_new(0);
	struct address	 a;
	const char	*s = arena_strndup(arena, (const char *)data, n);
	const char	*error = NULL, *name, *again;

	if (address_parse(s, arena, &a, &error) == 0)
		check_wire(&a, arena);
	else if (error == NULL)
		abort();
	if ((name = address_domain_ascii(s, arena)) != NULL) {
		again = address_domain_ascii(name, arena);
		if (!str_is_ascii(name) || strlen(name) > 253 ||
		    again == NULL || strcmp(name, again) != 0)
			abort();
	}
	if (!xtext_is_valid(xtext_encode(s, arena)))
		abort();
	arena_free(arena);
	return 0;
}
