/*
 * curl_loop.h - a multi handle of libcurl on the event loop.
 *
 * libcurl says which descriptors it waits for and when it wants to be called;
 * here it is told what has happened, and its owner what has ended.  libcurl is
 * never called from inside one of its own callbacks, nor is the owner, whose
 * callbacks come from the loop alone.
 *
 * The owner sets the options of the multi handle and of the transfers; the
 * functions and data for sockets that wait or close, and for time, are set
 * here.
 */
#ifndef NET_CURL_LOOP_H
#define NET_CURL_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "net/loop.h"

struct curl_sock;

LIST_HEAD(curl_sock_list, curl_sock);

struct curl_loop_ops {
	/* The transfer is over.  It is still in the handle; any may be taken
	 * out and put in, and all of this be stopped, but not cleared. */
	void	(*ended)(void *arg, CURL *, CURLcode);
	/* A descriptor is ready.  False: nothing runs that could want it, and
	 * the owner has done what there is to do.  NULL: libcurl decides. */
	bool	(*hears)(void *arg);
	/* The kept descriptor is about to be closed; NULL: none is kept. */
	void	(*closed)(void *arg);
};

struct curl_loop {			/* embedded in its owner */
	CURLM		*multi;
	curl_socket_t	 kept;		/* -1: none; see curl_loop_keep() */

	/* private */
	struct loop	*loop;
	const struct curl_loop_ops *ops;
	void		*arg;
	struct curl_sock_list socks;	/* what libcurl waits for */
	struct timer	 timer;
	struct later	 kick;
	bool		 is_stopped;
};

/* -1: libcurl cannot be used, nothing is to be cleared. */
int		 curl_loop_init(struct curl_loop *, struct loop *,
		    const struct curl_loop_ops *, void *arg);
/* Hears and tells nothing any more; again: no effect. */
void		 curl_loop_stop(struct curl_loop *);
/* Closes all connections; no transfer may be left, and the call may not come
 * from inside a callback. */
void		 curl_loop_clear(struct curl_loop *);

/* The transfer begins with the next turn, or libcurl says what is wrong. */
CURLMcode	 curl_loop_add(struct curl_loop *, CURL *);
/* It ends; it is not told as ended. */
void		 curl_loop_remove(struct curl_loop *, CURL *);
/* libcurl has something to do that no event will tell. */
void		 curl_loop_kick(struct curl_loop *);

/*
 * This one descriptor is watched between two transfers as well, when libcurl
 * waits for nothing: the close of a resting connection is seen, and the next
 * request has nothing to set up.
 */
void		 curl_loop_keep(struct curl_loop *, curl_socket_t);

#endif
