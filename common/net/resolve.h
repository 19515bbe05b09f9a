/*
 * resolve.h - the addresses of a host name, from the system's own sources
 * (/etc/hosts, DNS: getaddrinfo(3)), without blocking the loop: a few threads
 * do the asking.  Answers are kept a short time; the same question is asked
 * once.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "net/addr.h"
#include "net/loop.h"

#define RESOLVE_ADDRS_MAX	32

struct resolver;

struct resolved {
	struct addr	 addrs[RESOLVE_ADDRS_MAX];	/* in order, port 0 */
	size_t		 n;
	bool		 is_temporary;	/* n == 0: may work later */
	const char	*error;		/* n == 0: static text */
};

typedef void resolve_cb(void *arg, const struct resolved *);

struct resolver	*resolver_new(struct loop *, int64_t timeout_ms);
void		 resolver_free(struct resolver *);
/* The answer comes later, never inside this call; until then it may be taken
 * back.  The query is gone when the callback runs. */
struct resolve_query *resolve(struct resolver *, const char *name,
		    resolve_cb *, void *arg);
void		 resolve_cancel(struct resolve_query *);

#endif
