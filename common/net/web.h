/*
 * web.h - libcurl's transfers on the event loop, each with a callback of its
 * own (curl_loop.h is what lies below).
 *
 * The caller makes the easy handle, with all its options and callbacks, and
 * keeps it; here it only runs.  Nothing blocks as long as libcurl need not
 * look up a name by itself: give it the addresses (CURLOPT_RESOLVE).
 */
#ifndef NET_WEB_H
#define NET_WEB_H

#include <curl/curl.h>

#include "net/loop.h"

struct web;

/* A transfer under way; embedded in its owner. */
struct web_job {
	struct web	*web;		/* NULL: not under way */
	CURL		*easy;
	void		(*cb)(void *arg, CURLcode);
	void		*arg;
};

/* NULL: libcurl cannot be used. At most so many idle connections are kept. */
struct web	*web_new(struct loop *, long idle_max);
/* No job may be under way, and no callback of one. */
void		 web_free(struct web *);

/*
 * Runs the transfer; the callback comes once, later, never inside this call,
 * and may free the job and clean up the handle.  -1: libcurl refused.
 */
int		 web_start(struct web *, struct web_job *, CURL *,
		    void (*cb)(void *arg, CURLcode), void *arg);
/* Ends it; no callback. Fine for a job that is not under way. */
void		 web_stop(struct web_job *);

#endif
