/* factory.c - the options of a relay for the factory of a shared object. */
#include "agent/factory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "conf/option_name.h"

int
factory_refuse(struct factory_options *o, const char *name, const char *fmt,
    ...)
{
	va_list ap;
	size_t n = 0;

	if (*o->error != '\0')
		return -1;
	if (name != NULL)
		n = strlcpy(o->error, name, sizeof(o->error) - 3);
	if (n >= sizeof(o->error) - 3)
		n = sizeof(o->error) - 4;
	if (name != NULL)
		n += strlcpy(o->error + n, ": ", sizeof(o->error) - n);
	va_start(ap, fmt);
	vsnprintf(o->error + n, sizeof(o->error) - n, fmt, ap);
	va_end(ap);
	return -1;
}

const char *
factory_text(const struct factory_options *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		if (opt_name_is(o->v[i].name, name))
			return o->v[i].value;
	return NULL;
}

static int
parse_int(const char *s, int64_t *value_r)
{
	return str_to_int64(s, INT64_MIN, INT64_MAX, value_r);
}

static int
number(struct factory_options *o, const char *name, int64_t def, int64_t min,
    int64_t max, int64_t *value_r, int (*parse)(const char *, int64_t *),
    const char *what)
{
	const char *text = factory_text(o, name);

	*value_r = def;
	if (text == NULL)
		return 0;
	if (parse(text, value_r) == -1)
		return factory_refuse(o, name, "\"%.64s\" is not %s", text,
		    what);
	if (*value_r < min || *value_r > max)
		return factory_refuse(o, name, "%.64s is out of range", text);
	return 0;
}

int
factory_int(struct factory_options *o, const char *name, int64_t def,
    int64_t min, int64_t max, int64_t *value_r)
{
	return number(o, name, def, min, max, value_r, parse_int, "a number");
}

int
factory_time(struct factory_options *o, const char *name, int64_t def,
    int64_t min, int64_t max, int64_t *value_r)
{
	return number(o, name, def, min, max, value_r, opt_parse_time,
	    "a time");
}

int
factory_size(struct factory_options *o, const char *name, int64_t def,
    int64_t min, int64_t max, int64_t *value_r)
{
	return number(o, name, def, min, max, value_r, opt_parse_size,
	    "a size");
}

int
factory_bool(struct factory_options *o, const char *name, bool def,
    bool *value_r)
{
	static const char *const words[] = {	/* no, yes, no, yes ... */
		"no", "yes", "false", "true", "off", "on", "0", "1"
	};
	const char *text = factory_text(o, name);
	size_t i;

	*value_r = def;
	if (text == NULL)
		return 0;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*value_r = i % 2 == 1;
			return 0;
		}
	return factory_refuse(o, name, "\"%.64s\" is neither yes nor no",
	    text);
}

int
factory_only(struct factory_options *o, const char *const *names)
{
	const char *const *name;
	size_t i;

	for (i = 0; i < o->n; i++) {
		if (opt_name_is(o->v[i].name, "type") ||
		    opt_name_is(o->v[i].name, "factory"))
			continue;
		for (name = names; *name != NULL; name++)
			if (opt_name_is(o->v[i].name, *name))
				break;
		if (*name == NULL)
			return factory_refuse(o, o->v[i].name,
			    "unknown option");
	}
	return 0;
}
