/*
 * dns_try.h - one question put to one server once: by a UDP socket of its own,
 * or over the server's TCP connection.
 *
 * The socket is connected, so that the kernel drops what another address says
 * and tells at once when nobody listens; its port is the kernel's random one,
 * the id is random, too (RFC 5452 §9.2).
 */
#ifndef ROUTE_DNS_TRY_H
#define ROUTE_DNS_TRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/loop.h"
#include "route/dns_packet.h"
#include "route/dns_servers.h"

/* Answers to other questions, before a try is given up: somebody guesses. */
#define DNS_FOREIGN_MAX	32

struct dns_try;

struct dns_try_ops {
	/* A packet with the id. true: it was the answer, or is no reason to
	 * wait on; the try is gone then. false: as if it had not come. */
	bool	(*answer)(struct dns_try *, const uint8_t *, size_t);
	/* Nothing will come: errno; EBADMSG: too many foreign answers. Not
	 * inside dns_try_new(). The try is still the owner's. */
	void	(*failed)(struct dns_try *, int error);
};

struct dns_try {
	TAILQ_ENTRY(dns_try) next;		/* the owner's */
	const struct dns_try_ops *ops;
	void		*arg;
	struct loop	*loop;
	struct dns_server *server;		/* a hold */
	uint16_t	 id;
	bool		 is_tcp, has_edns;
	unsigned	 nforeign;
	int64_t		 sent_ms, until_ms;	/* the owner's wait */
	/* UDP */
	int		 fd;
	struct event	 ev;
	/* TCP */
	TAILQ_ENTRY(dns_try) in_tcp;
	struct dns_tcp	*tcp;			/* where it waits */
	struct later	 fail_later;
	int		 error;			/* for it */
	uint64_t	 heard_then;	/* of the connection, when sent */
	size_t		 packet_size;
	uint8_t		 packet[DNS_QUESTION_MAX];
};

/* NULL with errno. */
struct dns_try	*dns_try_new(struct loop *, struct dns_server *,
		    const struct dns_name *, enum dns_type, bool has_edns,
		    bool is_tcp, const struct dns_try_ops *, void *arg);
/* The same packet once more, if by UDP: it may be lost. Whether it left. */
bool		 dns_try_repeat(struct dns_try *);
void		 dns_try_free(struct dns_try *);	/* closes */

/* For the transports: hands a packet over; counts foreign ones. true: the try
 * is gone. */
bool		 dns_try_heard(struct dns_try *, const uint8_t *, size_t);

#endif
