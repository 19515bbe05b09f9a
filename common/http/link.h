/*
 * link.h - one connection to a web server, by libcurl on our own event loop.
 *
 * Each link has a multi handle of libcurl to itself, so that what libcurl
 * keeps open is known and ours to close: the pool counts links, and ends them.
 * Over HTTP/1.1 a link has one exchange at a time, over HTTP/2 many.
 *
 * Host names are looked up here (net/resolve.h): libcurl would wait for its
 * thread whenever a look-up is given up.
 */
#ifndef HTTP_LINK_H
#define HTTP_LINK_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/transcript.h"
#include "http/target.h"
#include "net/curl_loop.h"
#include "net/loop.h"
#include "net/pool.h"
#include "net/resolve.h"
#include "net/tls_guest.h"

#define LINK_RACE	8	/* addresses that libcurl may try at once */

struct exchange;
struct http_relay;

TAILQ_HEAD(exchange_list, exchange);

struct link {
	struct pool_place place;	/* first: the pool hands it back */
	LIST_ENTRY(link) next;
	struct http_relay *relay;
	struct arena	*arena;		/* of the texts below */
	const struct target *target;
	const char	*key;		/* what it was made with */
	uint64_t	 serial;	/* for transcripts and the log */
	struct transcript trace;
	bool		 has_source;
	struct addr	 source;	/* to connect from */

	struct curl_loop curl;		/* keeps what is connected */
	int		 opened[LINK_RACE];	/* sockets, the last ones ... */
	unsigned	 nopened;	/* ... of so many */
	struct later	 free_later;
	struct tls_guest guest;		/* target->is_tls */
	struct resolve_query *query;
	struct curl_slist *addresses;	/* of the host, for libcurl */
	bool		 is_told;	/* those */

	bool		 is_ready;	/* addresses are known */
	bool		 is_spoken;	/* the server has answered once ... */
	bool		 is_multiplex;	/* ... by HTTP/2 */
	bool		 is_denied;	/* an address was not allowed */
	bool		 is_closed;
	int		 error;		/* errno of a socket that was not made */
	struct exchange_list exchanges;
	uint32_t	 nexchanges;

	/* for the log */
	int64_t		 opened_ms;
	uint64_t	 nrequests, nrcpts, nbytes;
	char		 address[ADDR_TEXT_MAX];
	uint16_t	 port;
	char		 tls[256];
	const char	*why;		/* it ends; static, or NULL */
};

/*
 * The connection of a granted wait; takes the place.  The target is copied.
 * key and source: see struct link; source may be NULL.
 */
struct link	*link_open(struct http_relay *, struct pool_wait *,
		    const struct target *, const char *key,
		    const struct addr *source);
/* Closes; exchanges must have gone.  Its memory goes at the turn's end. */
void		 link_close(struct link *);

/* For exchange.c: a request goes out, and who has answered it. */
void		 link_count(struct link *, const struct exchange *);
void		 link_note_peer(struct link *, const struct exchange *);
/* For exchange.c: connected, from this local port (0: a UNIX socket). */
void		 link_connected(struct link *, int port);
/* A connection stands; it may be at rest. */
bool		 link_is_open(const struct link *);
/* How many more exchanges it takes. */
uint32_t	 link_room(const struct link *);
/* A socket is open and nothing runs: the next request needs no connection. */
bool		 link_is_warm(const struct link *);
/* Options of every transfer over this link. */
void		 link_dress(struct link *, CURL *);

#endif
