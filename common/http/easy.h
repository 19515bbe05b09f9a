/*
 * easy.h - handles of libcurl's, each good for one transfer after the other,
 * and what libcurl calls during one; private to exchange.c and
 * exchange_failure.c.
 */
#ifndef HTTP_EASY_H
#define HTTP_EASY_H

#include <curl/curl.h>
#include <sys/queue.h>

struct exchange;
struct http_relay;

struct easy {
	LIST_ENTRY(easy) next;		/* unused ones */
	CURL		*curl;
	struct exchange	*x;		/* NULL: unused */
	const char	*url;		/* that is set; borrowed from the relay */
	char		 error[CURL_ERROR_SIZE];
};

/* With what is the same for all requests; NULL: no memory. */
struct easy *easy_take(struct http_relay *, struct exchange *);
/* Not with libcurl any more; what its options point to may go. */
void	 easy_give(struct http_relay *, struct easy *);
/* Those that are kept for the next requests. */
void	 easy_free_all(struct http_relay *);

#endif
