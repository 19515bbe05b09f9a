/*
 * server_request.h - the head of a request that a client sent us (RFC 9112),
 * for a server that has a few resources to show and takes no bodies.
 */
#ifndef HTTP_SERVER_REQUEST_H
#define HTTP_SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX	8192		/* bytes of a head, with its end */
#define HTTP_LINE_MAX	2048		/* of its first line */
#define HTTP_FIELDS_MAX	64		/* lines of it */
#define HTTP_METHOD_MAX	16
#define HTTP_PATH_MAX	256		/* with the NUL; longer ones are 404 */

struct http_asked {
	char		 method[HTTP_METHOD_MAX];
	char		 path[HTTP_PATH_MAX];	/* without the query */
	bool		 is_head;
	bool		 is_get;	/* or HEAD */
	bool		 is_kept;	/* the connection may stay */
	unsigned	 fault;		/* 0, or the status that it deserves;
					 * then the connection ends */
};

/*
 * The head at the start of n bytes.  Its length; 0: more bytes are needed, and
 * n is below HTTP_HEAD_MAX.  Where asked->fault is set the length says nothing.
 */
size_t	http_asked_parse(struct http_asked *, const char *, size_t n);

#endif
