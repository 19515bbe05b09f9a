/*
 * pages.h - a few texts that somebody else makes, for clients of server.h.
 * Each is asked for once, however many clients wait, and is good for a second.
 */
#ifndef HTTP_PAGES_H
#define HTTP_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "http/server.h"

#define PAGE_AGE_MS	1000
#define PAGE_WAIT_MS	5000		/* then the answer is 503 */
#define PAGE_BYTES_MAX	(20 * 1024 * 1024)

struct pages;

struct page {
	const char	*path;		/* "/metrics"; NULL ends the rows */
	const char	*type;		/* Content-Type */
};

/*
 * The n-th page is wanted: pages_add() its pieces and pages_finish() it, under
 * this id; what comes under another is left out.  -1: it cannot be had.
 */
typedef int page_ask(void *arg, unsigned n, uint64_t id);

struct pages	*pages_new(struct loop *, const struct page *, page_ask *,
		    void *arg);
void		 pages_free(struct pages *);	/* no client may wait */

/* These fit struct http_server_ops. */
void		 pages_request(struct pages *, struct http_client *,
		    const struct http_asked *);
void		 pages_gone(struct pages *, struct http_client *);

void		 pages_add(struct pages *, uint64_t id, const void *, size_t);
void		 pages_finish(struct pages *, uint64_t id, unsigned status);

#endif
