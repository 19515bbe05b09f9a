/*
 * exchange.h - one request and its response over a link.
 *
 * made ready (body, digests, header), sent, answered.  Before the last byte of
 * the body is handed to libcurl the asker is told that the outcome is in
 * doubt (delivery_before_end()).  The end is told to the work, once.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/agent.h"
#include "http/body.h"
#include "http/link.h"
#include "http/response.h"
#include "http/sign.h"

#define EXCHANGE_SMALL	(64 * 1024)	/* a body that is read at once */
#define EXCHANGE_HOPS	5		/* redirects followed */
#define EXCHANGE_HEADER_MAX (256 * 1024)	/* bytes of a response's header */

struct easy;
struct work;

enum exchange_state {
	EXCHANGE_NEW,		/* waits for the addresses of the host */
	EXCHANGE_HASHING,
	EXCHANGE_HELD,		/* waits for the asker to know */
	EXCHANGE_RUNNING	/* with libcurl */
};

struct exchange {		/* in the delivery's arena */
	TAILQ_ENTRY(exchange) next;	/* of the link */
	struct http_relay *relay;
	struct link	*link;
	struct work	*work;
	struct delivery	*d;
	enum exchange_state state;

	/* for whom */
	const uint32_t	*rcpts;		/* indexes */
	const char *const *addrs;	/* as in SMTP */
	const char *const *words;	/* base64 */
	uint32_t	 nrcpt;
	const uint32_t	*in_doubt;	/* these and the equal ones, ascending */
	uint32_t	 nin_doubt;

	/* what is sent */
	const char	*url;
	unsigned	 nhops;		/* redirects followed */
	struct http_body body;
	bool		 has_body;
	const char	*memory;	/* the whole body, if it is small */
	uint64_t	 at;		/* of memory, given to libcurl */
	struct digest	*digest, *signature;
	struct body_reader digest_reader;
	struct curl_slist *headers;
	char		*authorization;	/* secret; wiped */
	char		 timestamp[24];

	/* how far */
	struct easy	*easy;		/* or NULL */
	struct timer	 timer;		/* the whole exchange */
	struct timer	 slice;		/* a digest that goes on */
	struct later	 go;
	int64_t		 start_ms;
	bool		 is_asked;	/* delivery_before_end() was called */
	bool		 may_end;	/* ... and has answered */
	bool		 is_end_given;	/* the last byte is libcurl's */
	bool		 is_cut;	/* enough of the response was read */
	bool		 is_refused;	/* TLS, at the last moment */
	int		 body_error;	/* errno */
	size_t		 header_len;	/* of the response, read so far */
	struct response	 response;

	/* who answered */
	char		 address[ADDR_TEXT_MAX];
	uint16_t	 port;
	char		 tls[256];
	uint32_t	 wait_ms, connect_ms, transaction_ms;
};

/* Begins over a link with room.  What is filled in before: relay, work, d,
 * url, and for whom. */
void	 exchange_start(struct exchange *, struct link *);
/* Gives up: nothing is told to the work. */
void	 exchange_abort(struct exchange *);

/* For link.c: addresses are known; a transfer has ended. */
void	 exchange_link_ready(struct exchange *);
void	 exchange_ended(CURL *, CURLcode);
/* Ends with the reply of a cause that takes two texts. */
void	 exchange_fail(struct exchange *, enum stage, enum cause,
	    const char *, const char *);

void	 exchange_fail_reply(struct exchange *, const struct reply *);

/* ---- exchange_failure.c ---- */

/* "name[address]:port" */
const char *exchange_peer(const struct exchange *, char *, size_t);
/* Ends with what the result of a transfer means, or with its time over. */
void	 exchange_fail_transfer(struct exchange *, CURLcode);
void	 exchange_fail_late(struct exchange *);

#endif
