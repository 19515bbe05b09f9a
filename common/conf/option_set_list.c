/*
 * option_set_list.c - lists, command lines and dictionaries from text.  The new
 * elements are gathered apart, so that one that is refused spoils nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/option_name.h"
#include "conf/option_set.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* In place. */
static char *
trim(char *s)
{
	char *end;

	while (is_blank(*s))
		s++;
	for (end = s + strlen(s); end > s && is_blank(end[-1]); )
		*--end = '\0';
	return s;
}

/* The first value given takes the place of the default. */
static bool
is_first(const struct setting *s)
{
	return !s->opts->is_set[s->at.i];
}

static int
check_count(const struct setting *s, size_t n)
{
	struct setting	whole = *s;
	size_t		max = OPT_COUNT_MAX;

	if (s->at.row->max > 0)
		max = (size_t)s->at.row->max;
	if (n <= max)
		return 0;
	whole.key = NULL;
	return opt_refuse(&whole, "more than %zu given", max);
}

/* Commas and line ends between elements; a line may end in a comma. */
static int
split_list(const struct setting *s, const char *value, struct opt_list *list)
{
	char	*copy, *rest, *line, *element;
	size_t	 len;
	int	 rc = 0;

	rest = copy = xstrdup(value);
	while (rc == 0 && (line = strsep(&rest, "\n")) != NULL) {
		line = trim(line);
		len = strlen(line);
		if (len == 0)
			continue;
		if (rest != NULL && line[len - 1] == ',')
			line[len - 1] = '\0';
		while (rc == 0 && (element = strsep(&line, ",")) != NULL) {
			element = trim(element);
			if (*element == '\0')
				rc = opt_refuse(s, "empty element");
			else
				opt_list_add(list, element, strlen(element));
		}
	}
	free(copy);
	return rc;
}

static int
parse_list(const struct setting *s, const char *value, struct opt_list *list)
{
	if (s->at.row->type == OPT_LIST)
		return split_list(s, value, list);
	if (opt_split_words(value, list) == -1)
		return opt_refuse_value(s, value,
		    "has a quote that is not closed");
	return 0;
}

int
opt_set_list(const struct setting *s, const char *value)
{
	struct opt_list	*field = opt_field(s->opts, &s->at);
	struct opt_list	 new = { NULL, 0 };
	int		 rc;

	rc = parse_list(s, value, &new);
	if (rc == 0)
		rc = check_count(s, new.n + (is_first(s) ? 0 : field->n));
	for (size_t i = 0; rc == 0 && i < new.n; i++)
		rc = opt_check_element(s, new.v[i]);
	if (rc == 0) {
		if (is_first(s))
			opt_list_clear(field);
		for (size_t i = 0; i < new.n; i++)
			opt_list_add(field, new.v[i], strlen(new.v[i]));
	}
	opt_list_clear(&new);
	return rc;
}

static int
check_key(const struct setting *s, const char *key)
{
	const struct opt_word	*word;
	char			 words[OPT_WORDS_MAX], shown[OPT_SHOWN_MAX];

	if (*key == '\0')
		return opt_refuse(s, "the key is missing: %s.KEY",
		    s->at.row->name);
	if (s->at.row->words == NULL)
		return 0;
	for (word = s->at.row->words; word->word != NULL; word++)
		if (strcmp(word->word, key) == 0)
			return 0;
	opt_join_words(s->at.row->words, ", ", words, sizeof(words));
	opt_show(shown, sizeof(shown), key);
	return opt_refuse(s, "key %s is none of %s", shown, words);
}

/* A pair for a dictionary, if its key and value are right. */
static int
add_pair(const struct setting *whole, const char *key, const char *value,
    struct opt_dict *new)
{
	const struct opt_dict	*field = opt_field(whole->opts, &whole->at);
	struct setting		 s = *whole;

	s.key = NULL;
	if (check_key(&s, key) == -1)
		return -1;
	s.key = key;
	if (opt_dict_find(new, key) != NULL || (s.again == OPTS_ONCE &&
	    !is_first(&s) && opt_dict_find(field, key) != NULL))
		return opt_refuse(&s, "given twice");
	if (opt_check_element(&s, value) == -1)
		return -1;
	opt_dict_put(new, key, value);
	return check_count(whole, new->n);
}

/* A key that is the rest of another row's name would be set in vain. */
static int
check_not_row(const struct setting *s, const char *key)
{
	struct opt_at	 at;
	const char	*rest;
	char		*name;
	int		 rc = 0;

	name = xasprintf("%s.%s", s->at.row->name, key);
	if (opt_find(s->opts->table, name, &at, &rest) && at.i != s->at.i)
		rc = opt_refuse(s, "%s is an option by itself", at.row->name);
	free(name);
	return rc;
}

/* A dictionary as a whole: `key = value` in each line. */
static int
split_pairs(const struct setting *s, const char *value, struct opt_dict *new)
{
	char	*copy, *rest, *line, *key;
	int	 rc = 0;

	rest = copy = xstrdup(value);
	while (rc == 0 && (line = strsep(&rest, "\n")) != NULL) {
		line = trim(line);
		if (*line == '\0')
			continue;
		key = trim(strsep(&line, "="));
		/* Without "=" the line is all value, and the key missing. */
		if (line == NULL)
			rc = add_pair(s, "", key, new);
		else if ((rc = check_not_row(s, key)) == 0)
			rc = add_pair(s, key, trim(line), new);
	}
	free(copy);
	return rc;
}

static int
parse_dict(const struct setting *s, const char *value, struct opt_dict *new)
{
	char	*text;
	int	 rc;

	if (s->key == NULL)
		return split_pairs(s, value, new);
	/* What was on two lines stays two words. */
	text = opt_unfold(value, " ");
	rc = add_pair(s, s->key, text, new);
	free(text);
	return rc;
}

int
opt_set_dict(const struct setting *s, const char *value)
{
	struct opt_dict	*field = opt_field(s->opts, &s->at);
	struct opt_dict	 new = { NULL, 0 };
	size_t		 n;
	int		 rc;

	rc = parse_dict(s, value, &new);
	n = new.n;
	for (size_t i = 0; rc == 0 && !is_first(s) && i < field->n; i++)
		if (opt_dict_find(&new, field->v[i].key) == NULL)
			n++;
	if (rc == 0)
		rc = check_count(s, n);
	if (rc == 0) {
		if (is_first(s))
			opt_dict_clear(field);
		for (size_t i = 0; i < new.n; i++)
			opt_dict_put(field, new.v[i].key, new.v[i].value);
	}
	opt_dict_clear(&new);
	return rc;
}
