/*
 * option_value.h - what option.c, option_value.c and option_text.c share: a
 * walk over the rows of a table, and single values as text and back.
 */
#ifndef CONF_OPTION_VALUE_H
#define CONF_OPTION_VALUE_H

#include "conf/option.h"

#define OPT_VALUE_MAX	(64 * 1024)	/* bytes of one value */
#define OPT_COUNT_MAX	1000		/* of a list whose row has no max */
#define OPT_SHOWN_MAX	64		/* a value in an error, escaped */
#define OPT_WORDS_MAX	512		/* the words of a row in an error */

struct opts {
	const struct opt_table	*table;
	char			*values;
	bool			*is_set;	/* by the number of the row */
};

/* One row of a table, in the walk over all groups. */
struct opt_at {
	const struct opt_group	*group;
	const struct opt_row	*row;		/* NULL: behind the last */
	size_t			 i;
};

void	opt_first(struct opt_at *, const struct opt_table *);
void	opt_next(struct opt_at *);

#define OPT_FOREACH(at, table)						\
	for (opt_first((at), (table)); (at)->row != NULL; opt_next(at))

void	*opt_field(const struct opts *, const struct opt_at *);

/* Types that are one number: all but the texts and lists. */
bool	 opt_is_number(enum opt_type);
int	 opt_parse_number(const struct opt_row *, const char *, int64_t *);
int64_t	 opt_get_number(const struct opt_row *, const void *field);
void	 opt_put_number(const struct opt_row *, void *field, int64_t);
/* A number as it is written; the reverse of opt_parse_number(). */
void	 opt_format_number(const struct opt_row *, int64_t, char *, size_t);
bool	 opt_has_range(const struct opt_row *);
/* "1s..1h", "at least 1", ...; "" where there is no range to speak of. */
void	 opt_format_range(const struct opt_row *, char *, size_t);

/* NULL, or the row of this word; exact, whatever the case. */
const struct opt_word *opt_find_word(const struct opt_word *, const char *);
/* Those without a text are aliases, unless no word has one. */
bool	 opt_is_shown(const struct opt_word *words, const struct opt_word *);
/* The words that are shown, between separators; cut at size. */
void	 opt_join_words(const struct opt_word *, const char *separator,
	    char *, size_t);

void	 opt_list_add(struct opt_list *, const char *, size_t);
/* Words in a line that opt_split_words() takes apart again; malloc'ed. */
char	*opt_quote_words(const struct opt_list *);

struct opt_pair	*opt_dict_find(const struct opt_dict *, const char *key);
void	 opt_dict_put(struct opt_dict *, const char *key, const char *value);
void	 opt_dict_clear(struct opt_dict *);

/* For an error: escaped, and cut where it is long. */
void	 opt_show(char *, size_t, const char *value);

#endif
