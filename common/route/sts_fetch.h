/*
 * sts_fetch.h - the policy file of a domain over HTTPS (RFC 8461 §3.3):
 * a verified certificate of mta-sts.DOMAIN, status 200, text/plain, no
 * redirects, 64 KiB, a time for all of it.
 */
#ifndef ROUTE_STS_FETCH_H
#define ROUTE_STS_FETCH_H

#include "route/sts.h"

struct sts_fetcher;
struct sts_fetch;

/* Valid until the callback returns. */
struct sts_fetched {
	const char	*body;		/* NULL: failed */
	size_t		 len;
	const char	*why;		/* "HTTP 404 from https://..." */
	const char	*report;	/* RFC 8460 result type */
};

typedef void sts_fetch_cb(void *arg, const struct sts_fetched *);

/* NULL with a text. The conf and the resolver must stay. */
struct sts_fetcher *sts_fetcher_new(struct loop *, struct dns *,
		    const struct sts_conf *, char *error, size_t);
void		 sts_fetcher_free(struct sts_fetcher *); /* nothing under way */

/* The callback comes once, later; the fetch is gone when it runs. */
struct sts_fetch *sts_fetch(struct sts_fetcher *, const char *domain,
		    sts_fetch_cb *, void *arg);
void		 sts_fetch_cancel(struct sts_fetch *);

#endif
