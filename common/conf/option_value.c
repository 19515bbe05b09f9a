/*
 * option_value.c - single values: times, sizes, words and command lines, from
 * text and to text.
 */
#include "conf/option_value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

struct unit {
	const char	*name;
	int64_t		 factor;
};

/* The largest first: the first that divides a value is the one shown. */
static const struct unit time_units[] = {
	{ "d",	86400000 },
	{ "h",	3600000 },
	{ "m",	60000 },
	{ "s",	1000 },
	{ "ms",	1 },
	{ NULL,	0 }
};

static const struct unit size_units[] = {
	{ "G",	1024 * 1024 * 1024 },
	{ "M",	1024 * 1024 },
	{ "k",	1024 },
	{ "",	1 },
	{ NULL,	0 }
};

static const struct opt_word bool_words[] = {
	{ "yes",	1, NULL },
	{ "true",	1, NULL },
	{ "on",		1, NULL },
	{ "1",		1, NULL },
	{ "no",		0, NULL },
	{ "false",	0, NULL },
	{ "off",	0, NULL },
	{ "0",		0, NULL },
	{ NULL,		0, NULL }
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at *s, which moves behind them; -1 where there are none. */
static int
scan_digits(const char **s, int64_t *n_r)
{
	int64_t n = 0;

	if (!is_digit(**s))
		return -1;
	for (; is_digit(**s); (*s)++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, **s - '0', &n))
			return -1;
	*n_r = n;
	return 0;
}

/*
 * The digits behind a point, in billionths; what lies beyond is refused rather
 * than lost.
 */
static int
scan_fraction(const char **s, int64_t *billionths_r)
{
	int64_t	n = 0;
	int	digits = 0;

	for (; is_digit(**s); (*s)++) {
		if (++digits > 9)
			return -1;
		n = n * 10 + (**s - '0');
	}
	if (digits == 0)
		return -1;
	for (; digits < 9; digits++)
		n *= 10;
	*billionths_r = n;
	return 0;
}

int
opt_parse_time(const char *s, int64_t *ms_r)
{
	const struct unit	*unit;
	int64_t			 n, part = 0;

	if (scan_digits(&s, &n) == -1)
		return -1;
	if (*s == '.') {
		s++;
		if (scan_fraction(&s, &part) == -1)
			return -1;
	}
	if (*s == '\0')
		s = "s";
	for (unit = time_units; unit->name != NULL; unit++)
		if (strcmp(s, unit->name) == 0)
			break;
	if (unit->name == NULL)
		return -1;
	/* Rounded up: what is not 0 must not become "no time at all". */
	part = (part * unit->factor + 999999999) / 1000000000;
	if (__builtin_mul_overflow(n, unit->factor, &n) ||
	    __builtin_add_overflow(n, part, &n))
		return -1;
	*ms_r = n;
	return 0;
}

int
opt_parse_size(const char *s, int64_t *bytes_r)
{
	const struct unit	*unit;
	int64_t			 n;

	if (scan_digits(&s, &n) == -1)
		return -1;
	for (unit = size_units; unit->name != NULL; unit++)
		if (strcasecmp(s, unit->name) == 0)
			break;
	if (unit->name == NULL || __builtin_mul_overflow(n, unit->factor, &n))
		return -1;
	*bytes_r = n;
	return 0;
}

const struct opt_word *
opt_find_word(const struct opt_word *words, const char *s)
{
	for (; words->word != NULL; words++)
		if (strcasecmp(words->word, s) == 0)
			return words;
	return NULL;
}

/*
 * Whether a word is shown; those without a text are aliases, unless no word
 * has one.
 */
static bool
is_shown(const struct opt_word *words, const struct opt_word *word)
{
	if (word->text != NULL)
		return true;
	for (; words->word != NULL; words++)
		if (words->text != NULL)
			return false;
	return true;
}

void
opt_join_words(const struct opt_word *words, const char *separator, char *to,
    size_t size)
{
	const struct opt_word *word;

	to[0] = '\0';
	for (word = words; word->word != NULL; word++) {
		if (!is_shown(words, word))
			continue;
		if (to[0] != '\0')
			strlcat(to, separator, size);
		strlcat(to, word->word, size);
	}
}

bool
opt_is_number(enum opt_type type)
{
	switch (type) {
	case OPT_INT:
	case OPT_BOOL:
	case OPT_TIME:
	case OPT_SIZE:
	case OPT_ENUM:
		return true;
	case OPT_STRING:
	case OPT_LIST:
	case OPT_ARGV:
	case OPT_DICT:
		break;
	}
	return false;
}

int
opt_parse_number(const struct opt_row *row, const char *s, int64_t *n_r)
{
	const struct opt_word *word;

	switch (row->type) {
	case OPT_INT:
		return str_to_int64(s, INT64_MIN, INT64_MAX, n_r);
	case OPT_TIME:
		return opt_parse_time(s, n_r);
	case OPT_SIZE:
		return opt_parse_size(s, n_r);
	default:
		break;
	}
	word = opt_find_word(row->type == OPT_BOOL ? bool_words : row->words,
	    s);
	if (word == NULL)
		return -1;
	*n_r = word->value;
	return 0;
}

int64_t
opt_get_number(const struct opt_row *row, const void *field)
{
	if (row->type == OPT_BOOL)
		return *(const bool *)field;
	if (row->type == OPT_ENUM)
		return *(const int *)field;
	return *(const int64_t *)field;
}

void
opt_put_number(const struct opt_row *row, void *field, int64_t n)
{
	if (row->type == OPT_BOOL)
		*(bool *)field = n != 0;
	else if (row->type == OPT_ENUM)
		*(int *)field = (int)n;
	else
		*(int64_t *)field = n;
}

static void
format_units(const struct unit *unit, int64_t n, char *to, size_t size)
{
	while (n % unit->factor != 0)
		unit++;
	snprintf(to, size, "%jd%s", (intmax_t)(n / unit->factor), unit->name);
}

/* An alias is shown as the word it stands for. */
static const char *
word_of(const struct opt_word *words, int64_t value)
{
	const struct opt_word *word;

	for (word = words; word->word != NULL; word++)
		if (word->value == value && is_shown(words, word))
			return word->word;
	for (word = words; word->word != NULL; word++)
		if (word->value == value)
			return word->word;
	return NULL;
}

void
opt_format_number(const struct opt_row *row, int64_t n, char *to, size_t size)
{
	const char *word = NULL;

	if (row->type == OPT_ENUM)
		word = word_of(row->words, n);
	else if (row->type == OPT_BOOL)
		word = n != 0 ? "yes" : "no";
	if (word != NULL)
		strlcpy(to, word, size);
	else if (n == 0 && row->type == OPT_TIME)
		strlcpy(to, "0s", size);
	else if (n != 0 && row->type == OPT_TIME)
		format_units(time_units, n, to, size);
	else if (n != 0 && row->type == OPT_SIZE)
		format_units(size_units, n, to, size);
	else
		snprintf(to, size, "%jd", (intmax_t)n);
}

bool
opt_has_range(const struct opt_row *row)
{
	return row->type != OPT_BOOL && row->type != OPT_ENUM &&
	    (row->min != 0 || row->max != 0);
}

void
opt_format_range(const struct opt_row *row, char *to, size_t size)
{
	char min[32], max[32];

	to[0] = '\0';
	if (!opt_has_range(row))
		return;
	opt_format_number(row, row->min, min, sizeof(min));
	opt_format_number(row, row->max, max, sizeof(max));
	if (opt_is_number(row->type) && row->max == INT64_MAX)
		snprintf(to, size, "at least %s", min);
	else
		snprintf(to, size, "%s..%s", min, max);
}

void
opt_list_add(struct opt_list *list, const char *s, size_t n)
{
	char *copy;

	copy = xmalloc(n + 1);
	memcpy(copy, s, n);
	copy[n] = '\0';
	/* Room in powers of two, always with the NULL at the end. */
	if (list->v == NULL || ((list->n + 1) & list->n) == 0)
		list->v = xreallocarray(list->v, 2 * (list->n + 1),
		    sizeof(*list->v));
	list->v[list->n++] = copy;
	list->v[list->n] = NULL;
}

void
opt_list_clear(struct opt_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * One word: quotes and backslashes taken off into to, which has room for all
 * of s.  Returns what follows it, or NULL where a quote is open or a backslash
 * is the last.
 */
static const char *
scan_word(const char *s, char *to)
{
	char quote = '\0';

	for (; *s != '\0' && (quote != '\0' || !is_space(*s)); s++) {
		if (quote == '\0' && (*s == '"' || *s == '\'')) {
			quote = *s;
			continue;
		}
		if (*s == quote) {
			quote = '\0';
			continue;
		}
		/* As in a shell: literal in '', and in "" before the rest. */
		if (*s == '\\' && (quote == '\0' || (quote == '"' &&
		    (s[1] == '"' || s[1] == '\\')))) {
			if (*++s == '\0')
				return NULL;
		}
		*to++ = *s;
	}
	*to = '\0';
	return quote == '\0' ? s : NULL;
}

int
opt_split_words(const char *s, struct opt_list *list)
{
	char *word;

	list->v = NULL;
	list->n = 0;
	word = xmalloc(strlen(s) + 1);
	for (;;) {
		while (is_space(*s))
			s++;
		if (*s == '\0')
			break;
		if ((s = scan_word(s, word)) == NULL) {
			opt_list_clear(list);
			free(word);
			return -1;
		}
		opt_list_add(list, word, strlen(word));
	}
	free(word);
	return 0;
}

/* Anything that a reader of a file or a shell may take for something else. */
static bool
is_plain_word(const char *s)
{
	return *s != '\0' && strpbrk(s, " \t\r\n\"'\\#;") == NULL;
}

char *
opt_quote_words(const struct opt_list *list)
{
	struct buf	 b;
	const char	*s;

	buf_init(&b, SIZE_MAX);
	for (size_t i = 0; i < list->n; i++) {
		s = list->v[i];
		if (i > 0)
			buf_puts(&b, " ");
		if (is_plain_word(s)) {
			buf_puts(&b, s);
			continue;
		}
		buf_puts(&b, "\"");
		for (; *s != '\0'; s++)
			buf_printf(&b, *s == '"' || *s == '\\' ? "\\%c" : "%c",
			    *s);
		buf_puts(&b, "\"");
	}
	buf_add(&b, "", 1);
	/* start is 0: nothing was consumed */
	return b.mem;
}
