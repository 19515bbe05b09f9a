/*
 * Option values: lines of NAME=VALUE (LF within a value: `|`). What is taken
 * is shown by opts_each() as text that is taken again and shown alike.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/option.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MUST(cond)	do { if (!(cond)) abort(); } while (0)

struct values {
	char		*text, *secret, *file;
	bool		 flag;
	int64_t		 number, any, time, size;
	int		 mode;
	struct opt_list	 list, words, args;
	struct opt_dict	 dict, keys;
};

static const struct opt_word words[] = {
	{ "none",	0, "Never." },
	{ "may",	1, "If possible." },
	{ "off",	0, NULL },
	{ NULL,		0, NULL }
};

static const char *
no_x(const char *value)
{
	return strchr(value, 'x') == NULL ? NULL : "has an x in it";
}

#define ROW(name, type, def, min, max, w, flags) \
	{ #name, type, offsetof(struct values, name), def, min, max, w, no_x, \
	    flags, "Text." }

static const struct opt_row rows[] = {
	ROW(text, OPT_STRING, "default", 0, 0, NULL, 0),
	ROW(secret, OPT_STRING, NULL, 0, 0, NULL, OPT_SECRET),
	ROW(file, OPT_STRING, NULL, 0, 0, NULL, OPT_FILE),
	ROW(flag, OPT_BOOL, "yes", 0, 0, NULL, 0),
	ROW(number, OPT_INT, "25", 1, 65535, NULL, 0),
	ROW(any, OPT_INT, NULL, 0, 0, NULL, 0),
	ROW(time, OPT_TIME, "30s", 0, INT64_MAX, NULL, 0),
	ROW(size, OPT_SIZE, NULL, 0, 0, NULL, 0),
	ROW(mode, OPT_ENUM, "may", 0, 0, words, 0),
	ROW(list, OPT_LIST, "a, b", 0, 5, NULL, 0),
	ROW(words, OPT_LIST, NULL, 0, 0, words, 0),
	ROW(args, OPT_ARGV, NULL, 0, 0, NULL, 0),
	ROW(dict, OPT_DICT, "k = v", 0, 5, NULL, 0),
	ROW(keys, OPT_DICT, NULL, 1, 0, words, 0),
	{ .name = NULL }
};

static const struct opt_group groups[] = {
	{ rows, 0 },
	{ NULL, 0 }
};

static const struct opt_table table = {
	"fuzz", groups, sizeof(struct values), NULL
};

static void
set(struct opts *o, char *line)
{
	char	*name, *value, error[160];

	value = line;
	name = strsep(&value, "=");
	if (value == NULL)
		return;
	for (char *p = value; *p != '\0'; p++)
		if (*p == '|')
			*p = '\n';
	error[0] = '\0';
	if (opts_set(o, name, value, strlen(name) % 2 == 0 ? OPTS_ONCE :
	    OPTS_LAST, error, sizeof(error)) == -1)
		MUST(*error != '\0' && !str_has_control(error));
	else
		MUST(*error == '\0' && opts_is_set(o, name));
}

/* Sets the values of one table in another. */
static void
copy_value(void *arg, const char *name, const char *value, bool is_default)
{
	char error[160];

	if (value != NULL && !is_default)
		MUST(opts_set(arg, name, value, OPTS_LAST, error,
		    sizeof(error)) == 0);
}

static void
print_value(void *arg, const char *name, const char *value, bool is_default)
{
	fprintf(arg, "%s%s=%s\n", is_default ? "" : "*", name,
	    value == NULL ? "(null)" : value);
}

static char *
shown(const struct opts *o)
{
	char	*text;
	size_t	 n;
	FILE	*to = open_memstream(&text, &n);

	opts_each(o, print_value, to);
	fclose(to);
	return text;
}

static void
on_fault(void *arg, const char *name, const char *text)
{
	(void)arg;
	MUST(*name != '\0' && *text != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct opts	*o, *again;
	char		*copy, *rest, *line, *text, *text_again;

	if (n > 4096)
		return 0;
	copy = rest = xmalloc(n + 1);
	memcpy(copy, data, n);
	copy[n] = '\0';
	o = opts_new(&table);
	while ((line = strsep(&rest, "\n")) != NULL)
		set(o, line);
	opts_finish(o, on_fault, NULL);

	again = opts_new(&table);
	opts_each(o, copy_value, again);
	text = shown(o);
	text_again = shown(again);
	MUST(strcmp(text, text_again) == 0);
	free(text);
	free(text_again);
	free(copy);
	opts_free(o);
	opts_free(again);
	return 0;
}
