/* option_value.c - numbers, times, sizes and words, from text and to text. */
#include "conf/option_value.h"

#include <string.h>

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

bool
opt_is_shown(const struct opt_word *words, const struct opt_word *word)
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
		if (!opt_is_shown(words, word))
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
		if (word->value == value && opt_is_shown(words, word))
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
opt_show(char *to, size_t size, const char *value)
{
	size_t	len = strlen(value);
	char	whole[4 * OPT_SHOWN_MAX];

	/* No byte takes more than four to show. */
	if (len < OPT_SHOWN_MAX &&
	    str_escape(whole, sizeof(whole), value, len) < size) {
		strlcpy(to, whole, size);
		return;
	}
	str_escape(to, size - strlen("..."), value, len);
	strlcat(to, "...", size);
}
