/* request.h - the header of a request (relay of a message over HTTP). */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http/exchange.h"

/*
 * The lines for libcurl, in the arena of the delivery, and the authorization,
 * which is not.  -1 with a text: a secret cannot be read.
 */
int	request_headers(struct exchange *, char *error, size_t);

/* Digests that the header tells: begun, fed, and finished here. */
int	request_begin_digests(struct exchange *, char *error, size_t);

/*
 * Feeds one piece; false: they are complete.  -1 in error_r: errno of the
 * message, which cannot be read.
 */
bool	request_feed_digests(struct exchange *, int *error_r);

#endif
