/*
 * server.h - a small HTTP/1.1 server: a few resources, GET and HEAD, no
 * bodies.  Clients are strangers: what they may send, how long they may take
 * and how many they may be is limited.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdint.h>

#include "http/server_request.h"
#include "net/loop.h"

struct http_client;
struct http_server;

struct http_server_conf {
	int64_t		 max_connections;
	int64_t		 request_timeout_ms;	/* for a head to come, an answer
						 * to be taken */
	int64_t		 idle_timeout_ms;	/* between requests */
};

/*
 * A request to which no fault is known: GET or HEAD.  Answer it by
 * http_server_answer(), now or later; it is forgotten when gone() is called
 * with the client, which comes only while its answer is outstanding.
 */
struct http_server_ops {
	void	(*request)(void *arg, struct http_client *,
		    const struct http_asked *);
	void	(*gone)(void *arg, struct http_client *);
	/* After a drain: the last connection is closed. */
	void	(*drained)(void *arg);
};

struct http_server *http_server_new(struct loop *,
		    const struct http_server_conf *,
		    const struct http_server_ops *, void *arg);
void		 http_server_free(struct http_server *);
/* Accepts from this listening socket, which is the server's from then on.  -1
 * with errno where it is of no use; it is the caller's still. */
int		 http_server_listen(struct http_server *, int fd);
/* Accept no more; idle connections end, others with their answer; drained()
 * may come inside this call. */
void		 http_server_drain(struct http_server *);

/* The body is copied; for HEAD it is only measured. */
void		 http_server_answer(struct http_client *, unsigned status,
		    const char *content_type, const char *body, size_t);

struct http_server_stats {
	uint64_t	 connections, requests;
	uint64_t	 refused;	/* answered 4xx and 5xx by the server */
	uint64_t	 now;		/* connections */
};
void		 http_server_stats(const struct http_server *,
		    struct http_server_stats *);

#endif
