/*
 * dns_servers.h - whom to ask: the servers of the option or of resolv.conf,
 * each with its health.
 */
#ifndef ROUTE_DNS_SERVERS_H
#define ROUTE_DNS_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "route/dns.h"

#define DNS_SERVERS_MAX		8
#define DNS_MISSES_MAX		3	/* in a row: asked last from then on */
#define DNS_DOWN_MS		30000	/* until one question tries it again */
#define DNS_NO_EDNS_MS		600000
#define DNS_PORT		53
#define DNS_RESOLV_BYTES_MAX	65536

struct dns_tcp;

struct dns_server {
	unsigned	 refs;
	struct addr	 addr;
	char		 text[ADDR_TEXT_MAX + 8];	/* with its port */
	bool		 is_trusted;
	unsigned	 missed;	/* tries in a row without an answer */
	int64_t		 heard_ms;	/* its last answer */
	int64_t		 down_until_ms;	/* 0: up */
	int64_t		 no_edns_until_ms;
	struct dns_tcp	*tcp;		/* its connection; dns_tcp.c's */
};

/* What resolv.conf(5) says. */
struct dns_resolv {
	struct addr	 servers[DNS_SERVERS_MAX];	/* more are left out */
	size_t		 n;
	int64_t		 timeout_ms;	/* of a try: 1 to 30 s */
	unsigned	 attempts;	/* rounds: 1 to 5 */
	bool		 is_trusted;	/* trust-ad */
	bool		 is_rotated;	/* rotate */
	bool		 is_tcp;	/* use-vc */
};

struct dns_servers;

/* NULL with a text. The conf must stay. */
struct dns_servers *dns_servers_new(const struct dns_conf *, char *error,
	    size_t);
void	dns_servers_free(struct dns_servers *);

/* Their settings, after a look whether the file has changed. */
const struct dns_resolv *dns_servers_now(struct dns_servers *, int64_t now_ms);

/* The order in which a question asks; each with a hold for the caller. */
size_t	dns_servers_order(struct dns_servers *, int64_t now_ms,
	    struct dns_server *order[DNS_SERVERS_MAX]);
bool	dns_servers_have_trusted(const struct dns_servers *);

void	dns_server_unref(struct dns_server *);
static inline struct dns_server *
dns_server_ref(struct dns_server *s)
{
	s->refs++;
	return s;
}
/*
 * It answered.  It did not what was sent then: of no weight where it answered
 * something else since (one packet is lost easily).  Nobody is there.
 */
void	dns_server_answered(struct dns_server *, int64_t now_ms);
void	dns_server_missed(struct dns_server *, int64_t sent_ms, int64_t now_ms);
void	dns_server_is_down(struct dns_server *, int64_t now_ms);

/* The file's text, overwritten. */
void	dns_resolv_parse(struct dns_resolv *, char *text, size_t size);

#endif
