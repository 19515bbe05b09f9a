/* option_name.h - the row that a name means, or may have meant. */
#ifndef CONF_OPTION_NAME_H
#define CONF_OPTION_NAME_H

#include "conf/option_value.h"

/* Whether two names are one: '-' and '_' are alike.  The other may be n bytes
 * without an end. */
bool	opt_name_is(const char *name, const char *other);
bool	opt_name_is_bytes(const char *name, const void *other, size_t n);

/*
 * False where there is none.  key_r points into the name, behind the dot, for
 * an entry of a dictionary, else it is NULL.
 */
bool	opt_find(const struct opt_table *, const char *name,
	    struct opt_at *, const char **key_r);

/* `NAME: unknown option`, with the nearest name there is. */
void	opt_unknown(const struct opt_table *, const char *name, bool is_cli,
	    char *error, size_t);

#endif
