/* option_each.c - the values in force, as text that opts_set() takes. */
#include <stdlib.h>

#include "base/mem.h"
#include "conf/option_value.h"

struct each {
	void	(*call)(void *arg, const char *name, const char *value,
		    bool is_default);
	void	*arg;
	bool	 is_default;
	bool	 is_secret;
};

static void
show(const struct each *e, const char *name, const char *value)
{
	if (e->is_secret && value != NULL)
		value = "(hidden)";
	e->call(e->arg, name, value, e->is_default);
}

static void
each_element(const struct each *e, const struct opt_row *row,
    const struct opt_list *list)
{
	char *line;

	if (list->n == 0)
		/* Emptied by hand is not the same as never set. */
		show(e, row->name, e->is_default ? NULL : "");
	else if (row->type == OPT_ARGV) {
		line = opt_quote_words(list);
		show(e, row->name, line);
		free(line);
	} else
		for (size_t i = 0; i < list->n; i++)
			show(e, row->name, list->v[i]);
}

static void
each_pair(const struct each *e, const struct opt_row *row,
    const struct opt_dict *dict)
{
	char *name;

	if (dict->n == 0 && (row->flags & OPT_REST) == 0)
		show(e, row->name, e->is_default ? NULL : "");
	for (size_t i = 0; i < dict->n; i++) {
		if (row->flags & OPT_REST) {
			show(e, dict->v[i].key, dict->v[i].value);
			continue;
		}
		name = xasprintf("%s.%s", row->name, dict->v[i].key);
		show(e, name, dict->v[i].value);
		free(name);
	}
}

static void
each_number(const struct each *e, const struct opt_row *row, const void *field)
{
	char value[64];

	opt_format_number(row, opt_get_number(row, field), value,
	    sizeof(value));
	show(e, row->name, e->is_default && row->def == NULL ? NULL : value);
}

void
opts_each(const struct opts *o, void (*call)(void *arg, const char *name,
    const char *value, bool is_default), void *arg)
{
	struct each	 e = { .call = call, .arg = arg };
	struct opt_at	 at;
	const void	*field;

	OPT_FOREACH(&at, o->table) {
		field = opt_field(o, &at);
		e.is_default = !o->is_set[at.i];
		e.is_secret = at.row->flags & OPT_SECRET;
		switch (at.row->type) {
		case OPT_STRING:
			show(&e, at.row->name, *(char *const *)field);
			break;
		case OPT_LIST:
		case OPT_ARGV:
			each_element(&e, at.row, field);
			break;
		case OPT_DICT:
			each_pair(&e, at.row, field);
			break;
		default:
			each_number(&e, at.row, field);
			break;
		}
	}
}
