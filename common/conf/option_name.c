/* option_name.c - the row that a name means, or may have meant. */
#include "conf/option_name.h"

#include <string.h>

#define NAME_MAX_COMPARED	64	/* longer ones get no suggestion */

static char
name_char(char c)
{
	return c == '-' ? '_' : c;
}

bool
opt_name_is_bytes(const char *name, const void *other, size_t n)
{
	const char *p = other;
	size_t i;

	for (i = 0; i < n && name[i] != '\0'; i++)
		if (name_char(name[i]) != name_char(p[i]))
			return false;
	return i == n && name[i] == '\0';
}

bool
opt_name_is(const char *name, const char *other)
{
	return opt_name_is_bytes(name, other, strlen(other));
}

/* Whether a name begins like this row's name. */
static bool
has_prefix(const char *name, const char *row_name)
{
	for (; *row_name != '\0'; name++, row_name++)
		if (name_char(*name) != name_char(*row_name))
			return false;
	return true;
}

bool
opt_find(const struct opt_table *table, const char *name, struct opt_at *at_r,
    const char **key_r)
{
	struct opt_at	at, rest = { NULL, NULL, 0 };
	size_t		len, longest = 0;

	at_r->row = NULL;
	*key_r = NULL;
	OPT_FOREACH(&at, table) {
		if (at.row->flags & OPT_REST)
			rest = at;
		if ((at.row->flags & OPT_REST) ||
		    !has_prefix(name, at.row->name))
			continue;
		len = strlen(at.row->name);
		if (name[len] == '\0') {
			*at_r = at;
			*key_r = NULL;
			return true;
		}
		if (at.row->type == OPT_DICT && name[len] == '.' &&
		    len > longest) {
			longest = len;
			*at_r = at;
			*key_r = name + len + 1;
		}
	}
	if (at_r->row == NULL && rest.row != NULL) {
		*at_r = rest;
		*key_r = name;
	}
	return at_r->row != NULL;
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

/*
 * How many characters must be put in, taken out, changed, or swapped with
 * their neighbour.  Three rows of the table of all beginnings of a against
 * all of b: the one being made and the two before.
 */
static unsigned
distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned	 rows[3][NAME_MAX_COMPARED + 1];
	unsigned	*before = rows[0], *last = rows[1], *now = rows[2];
	unsigned	*spare;

	for (size_t j = 0; j <= nb; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
			    last[j - 1] + (name_char(a[i - 1]) !=
			    name_char(b[j - 1])));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

/* NULL where nothing is near: at most three changes, and most of it right. */
static const struct opt_row *
nearest(const struct opt_table *table, const char *name, bool is_cli)
{
	const struct opt_row	*best = NULL;
	struct opt_at		 at;
	size_t			 len, row_len;
	unsigned		 d, limit = 4;

	OPT_FOREACH(&at, table) {
		if ((at.row->flags & OPT_CLI_ONLY) && !is_cli)
			continue;
		row_len = strlen(at.row->name);
		len = at.row->type == OPT_DICT ? strcspn(name, ".") :
		    strlen(name);
		if (len > NAME_MAX_COMPARED || row_len > NAME_MAX_COMPARED)
			continue;
		d = distance(name, len, at.row->name, row_len);
		if (d < limit && d * 3 <= row_len + 1) {
			best = at.row;
			limit = d;
		}
	}
	return best;
}

void
opt_unknown(const struct opt_table *table, const char *name, bool is_cli,
    char *error, size_t size)
{
	const struct opt_row	*row;
	char			 shown[OPT_SHOWN_MAX];

	opt_show(shown, sizeof(shown), name);
	row = nearest(table, name, is_cli);
	if (row == NULL)
		snprintf(error, size, "%s: unknown option", shown);
	else
		snprintf(error, size, "%s: unknown option; did you mean %s%s?",
		    shown, row->name, row->type == OPT_DICT ? ".KEY" : "");
}
