/*
 * option_set.c - the value of one row from text: parsed, checked, and only
 * then put into its field.  Lists and dictionaries are in option_set_list.c.
 */
#include "conf/option_set.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

int
opt_refuse(const struct setting *s, const char *fmt, ...)
{
	char	key[OPT_SHOWN_MAX], text[OPT_WORDS_MAX + 256];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	opt_show(key, sizeof(key), s->key == NULL ? "" : s->key);
	if (s->key != NULL && (s->at.row->flags & OPT_REST))
		snprintf(s->error, s->error_size, "%s: %s", key, text);
	else
		snprintf(s->error, s->error_size, "%s%s%s: %s",
		    s->at.row->name, s->key == NULL ? "" : ".", key, text);
	return -1;
}

int
opt_refuse_value(const struct setting *s, const char *value, const char *why)
{
	char shown[OPT_SHOWN_MAX];

	if (s->at.row->flags & OPT_SECRET)
		return opt_refuse(s, "the value %s", why);
	opt_show(shown, sizeof(shown), value);
	return opt_refuse(s, "\"%s\" %s", shown, why);
}

static const char *
what_is_not(enum opt_type type)
{
	switch (type) {
	case OPT_BOOL:
		return "is neither yes nor no";
	case OPT_TIME:
		return "is not a time (a number with ms, s, m, h or d)";
	case OPT_SIZE:
		return "is not a size (a number of bytes, or with k, M or G)";
	default:
		return "is not a number";
	}
}

static int
refuse_word(const struct setting *s, const char *value)
{
	char words[OPT_WORDS_MAX], why[OPT_WORDS_MAX + 16];

	opt_join_words(s->at.row->words, ", ", words, sizeof(words));
	snprintf(why, sizeof(why), "is none of %s", words);
	return opt_refuse_value(s, value, why);
}

static int
set_number(const struct setting *s, const char *value)
{
	const struct opt_row	*row = s->at.row;
	char			 shown[32], range[72];
	int64_t			 n;

	if (opt_parse_number(row, value, &n) == -1)
		return row->type == OPT_ENUM ? refuse_word(s, value) :
		    opt_refuse_value(s, value, what_is_not(row->type));
	if (opt_has_range(row) && (n < row->min || n > row->max)) {
		opt_format_number(row, n, shown, sizeof(shown));
		opt_format_range(row, range, sizeof(range));
		return opt_refuse(s, "%s is out of range (%s)",
		    row->flags & OPT_SECRET ? "the value" : shown, range);
	}
	opt_put_number(row, opt_field(s->opts, &s->at), n);
	return 0;
}

int
opt_check_element(const struct setting *s, const char *value)
{
	const struct opt_row	*row = s->at.row;
	const char		*why;

	if (row->type == OPT_LIST && row->words != NULL &&
	    opt_find_word(row->words, value) == NULL)
		return refuse_word(s, value);
	if (row->check != NULL && (why = row->check(value)) != NULL)
		return opt_refuse_value(s, value, why);
	return 0;
}

static int
check_file(const struct setting *s, const char *path)
{
	struct stat	st;
	char		why[128];
	int		fd, error = 0;

	/* Not access(), which asks for another user; and never wait. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		error = errno;
	else if (S_ISDIR(st.st_mode))
		error = EISDIR;
	if (fd != -1)
		close(fd);
	if (error == 0)
		return 0;
	snprintf(why, sizeof(why), "cannot be read: %s", strerror(error));
	return opt_refuse_value(s, path, why);
}

char *
opt_unfold(const char *value, const char *with)
{
	char	*text, *to;
	size_t	 n;

	/* with is at most as long as the line break it takes the place of. */
	to = text = xmalloc(strlen(value) + 1);
	for (; *value != '\0'; value += n) {
		n = strspn(value, "\n") > 0 ? strspn(value, "\n \t") : 0;
		if (n > 0)
			to = stpcpy(to, with);
		else {
			n = strcspn(value, "\n");
			memcpy(to, value, n);
			to += n;
		}
	}
	*to = '\0';
	return text;
}

static int
set_string(const struct setting *s, const char *value)
{
	char **field = opt_field(s->opts, &s->at);

	if (opt_check_element(s, value) == -1)
		return -1;
	/* "" is how to say: no file.  A default is looked for when used. */
	if ((s->at.row->flags & OPT_FILE) && !s->is_default &&
	    *value != '\0' && check_file(s, value) == -1)
		return -1;
	free(*field);
	*field = xstrdup(value);
	return 0;
}

int
opt_set_value(const struct setting *s, const char *value)
{
	char	*text;
	int	 rc;

	switch (s->at.row->type) {
	case OPT_LIST:
	case OPT_ARGV:
		return opt_set_list(s, value);
	case OPT_DICT:
		return opt_set_dict(s, value);
	default:
		break;
	}
	text = opt_unfold(value, "");
	rc = s->at.row->type == OPT_STRING ? set_string(s, text) :
	    set_number(s, text);
	free(text);
	return rc;
}
