/*
 * header_value.h - values of headers with facts of the delivery in them:
 * "relay {sender} {size}", see mail/macro.h.
 */
#ifndef HTTP_HEADER_VALUE_H
#define HTTP_HEADER_VALUE_H

#include "mail/envelope.h"

struct arena;

/* For option rows: NULL, or what is wrong. */
const char *header_value_check(const char *value);

/*
 * The value for an envelope and the first recipient of a request.  In the
 * arena; control characters that a fact has become '?'.
 */
const char *header_value_expand(const char *value, const struct envelope *,
	    const struct rcpt *, struct arena *);

#endif
