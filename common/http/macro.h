/*
 * macro.h - values of headers with facts of the delivery in them:
 * "relay {sender} {size}".  "{{" and "}}" are braces.
 */
#ifndef HTTP_MACRO_H
#define HTTP_MACRO_H

#include "mail/envelope.h"

struct arena;

/* For option rows: NULL, or what is wrong. */
const char *macro_check(const char *value);

/*
 * The value for an envelope and the first recipient of a request.  In the
 * arena; control characters that a fact has become '?'.
 */
const char *macro_expand(const char *value, const struct envelope *,
	    const char *recipient, struct arena *);

#endif
