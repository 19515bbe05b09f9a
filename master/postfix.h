/*
 * postfix.h - what postfix-setup and postfix-check share.
 */
#ifndef MASTER_POSTFIX_H
#define MASTER_POSTFIX_H

/*
 * Runs postconf with these arguments (NULL ends them; at most 64) for the
 * configuration in dir, or the default one: what it printed, malloc'ed; NULL:
 * it is said why.
 */
char	*postfix_postconf(const char *dir, const char *const *args);
/* The value of one parameter, likewise. */
char	*postfix_parameter(const char *dir, const char *name);
/* The value in "NAME=value", or NULL. */
const char *postfix_value(const char *arg, const char *name);

#endif
