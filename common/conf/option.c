/*
 * option.c - options: rows of a table, set from text.
 *
 * Does not know where a text comes from.  What is set replaces the default;
 * what is refused changes nothing.
 */
#include "conf/option.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "conf/option_name.h"
#include "conf/option_set.h"

#define KEY_BYTES_MAX	1024	/* of a dictionary */

void
opt_first(struct opt_at *at, const struct opt_table *table)
{
	at->group = table->groups;
	at->row = at->group->rows;
	at->i = 0;
	/* A group may have no row. */
	while (at->row != NULL && at->row->name == NULL)
		at->row = (++at->group)->rows;
}

void
opt_next(struct opt_at *at)
{
	at->row++;
	at->i++;
	while (at->row != NULL && at->row->name == NULL)
		at->row = (++at->group)->rows;
}

void *
opt_field(const struct opts *o, const struct opt_at *at)
{
	return o->values + at->group->base + at->row->offset;
}

static void
field_clear(const struct opt_row *row, void *field)
{
	switch (row->type) {
	case OPT_STRING:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case OPT_LIST:
	case OPT_ARGV:
		opt_list_clear(field);
		break;
	case OPT_DICT:
		opt_dict_clear(field);
		break;
	default:
		break;
	}
}

struct opts *
opts_new(const struct opt_table *table)
{
	struct opts	*o;
	struct setting	 s;
	char		 error[256];

	o = xcalloc(1, sizeof(*o));
	o->table = table;
	o->values = xcalloc(1, table->size);
	OPT_FOREACH(&s.at, table)
		continue;
	o->is_set = xcalloc(s.at.i + 1, sizeof(*o->is_set));

	s.opts = o;
	s.key = NULL;
	s.again = OPTS_LAST;
	s.is_default = true;
	s.error = error;
	s.error_size = sizeof(error);
	OPT_FOREACH(&s.at, table)
		if (s.at.row->def != NULL &&
		    opt_set_value(&s, s.at.row->def) == -1)
			errx(EX_SOFTWARE, "default of %s: %s", table->name,
			    error);
	return o;
}

void
opts_free(struct opts *o)
{
	struct opt_at at;

	if (o == NULL)
		return;
	OPT_FOREACH(&at, o->table)
		field_clear(at.row, opt_field(o, &at));
	free(o->is_set);
	free(o->values);
	free(o);
}

void *
opts_values(struct opts *o)
{
	return o->values;
}

bool
opts_is_set(const struct opts *o, const char *name)
{
	struct opt_at	 at;
	const char	*key;

	if (!opt_find(o->table, name, &at, &key) || !o->is_set[at.i])
		return false;
	return key == NULL || opt_dict_find(opt_field(o, &at), key) != NULL;
}

static bool
is_collected(enum opt_type type)
{
	return type == OPT_LIST || type == OPT_ARGV || type == OPT_DICT;
}

/* Line breaks come with continuation lines, and go before a value is kept. */
static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if (((unsigned char)*s < ' ' && *s != '\t' && *s != '\n') ||
		    *s == '\x7f')
			return true;
	return false;
}

static bool
is_fit_key(const char *key)
{
	return strlen(key) <= KEY_BYTES_MAX && !has_control(key) &&
	    strchr(key, '\n') == NULL;
}

static int
check_setting(const struct setting *s, const char *value)
{
	const struct opt_row *row = s->at.row;

	if ((row->flags & OPT_CLI_ONLY) && s->again == OPTS_ONCE)
		return opt_refuse(s, "only for the command line");
	if (s->again == OPTS_ONCE && s->opts->is_set[s->at.i] &&
	    !is_collected(row->type))
		return opt_refuse(s, "given twice");
	if (strlen(value) > OPT_VALUE_MAX)
		return opt_refuse(s, "longer than %d bytes", OPT_VALUE_MAX);
	if (s->key != NULL && !is_fit_key(s->key))
		return opt_refuse(s, "the key is too long or has a control "
		    "character in it");
	if (has_control(value))
		return opt_refuse_value(s, value,
		    "has a control character in it");
	return 0;
}

int
opts_set(struct opts *o, const char *name, const char *value,
    enum opts_again again, char *error, size_t error_size)
{
	struct setting s = {
		.opts = o,
		.again = again,
		.error = error,
		.error_size = error_size
	};

	if (!opt_find(o->table, name, &s.at, &s.key)) {
		opt_unknown(o->table, name, again == OPTS_LAST, error,
		    error_size);
		return -1;
	}
	if (check_setting(&s, value) == -1 || opt_set_value(&s, value) == -1)
		return -1;
	o->is_set[s.at.i] = true;
	return 0;
}

int
opts_set_text(struct opts *o, const char *text, enum opts_again again,
    char *error, size_t error_size)
{
	const char *eq = strchr(text, '=');
	char name[512];

	if (eq == NULL || (size_t)(eq - text) >= sizeof(name)) {
		snprintf(error, error_size, "option \"%.64s\": name=value "
		    "expected", text);
		return -1;
	}
	memcpy(name, text, (size_t)(eq - text));
	name[eq - text] = '\0';
	return opts_set(o, name, eq + 1, again, error, error_size);
}

static size_t
field_count(const struct opt_row *row, const void *field)
{
	return row->type == OPT_DICT ? ((const struct opt_dict *)field)->n :
	    ((const struct opt_list *)field)->n;
}

int
opts_finish(struct opts *o, opt_report *report, void *arg)
{
	struct opt_at	 at;
	size_t		 n;
	char		 text[64];
	int		 faults = 0;

	OPT_FOREACH(&at, o->table) {
		n = is_collected(at.row->type) ?
		    field_count(at.row, opt_field(o, &at)) : 1;
		if ((at.row->flags & OPT_REQUIRED) && !o->is_set[at.i])
			snprintf(text, sizeof(text), "required, but not given");
		else if ((at.row->flags & OPT_REQUIRED) && n == 0)
			snprintf(text, sizeof(text), "required, but empty");
		else if (is_collected(at.row->type) && o->is_set[at.i] &&
		    (int64_t)n < at.row->min)
			snprintf(text, sizeof(text), "at least %jd needed",
			    (intmax_t)at.row->min);
		else
			continue;
		report(arg, at.row->name, text);
		faults++;
	}
	if (o->table->check != NULL)
		faults += o->table->check(o->values, report, arg);
	return faults;
}
