/* option_set.h - the value of one row from text. */
#ifndef CONF_OPTION_SET_H
#define CONF_OPTION_SET_H

#include "conf/option_value.h"

/* One call of opts_set(), or a default being set. */
struct setting {
	struct opts	*opts;
	struct opt_at	 at;
	const char	*key;		/* of a dictionary; else NULL */
	enum opts_again	 again;
	bool		 is_default;
	char		*error;
	size_t		 error_size;
};

/* 0, or -1 with a text in error and the value as it was. */
int	opt_set_value(const struct setting *, const char *);
int	opt_set_list(const struct setting *, const char *);
int	opt_set_dict(const struct setting *, const char *);

/* What the row says about one value, or element: its words and its check. */
int	opt_check_element(const struct setting *, const char *);

/* Without line breaks and the white space behind them; with (at most a byte)
 * stands in their place.  malloc'ed. */
char	*opt_unfold(const char *value, const char *with);

/* `NAME: TEXT` into error; always -1. */
int	opt_refuse(const struct setting *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* `NAME: "VALUE" WHY`, with the value as far as it may be shown. */
int	opt_refuse_value(const struct setting *, const char *value,
	    const char *why);

#endif
