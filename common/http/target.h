/*
 * target.h - where requests go: a URL taken apart.
 *
 *	http://host:port/path?query  https://...  unix:/path/of/socket:/path
 *
 * Path and query stay as they are written, a fragment is dropped, user
 * information is refused (RFC 3986 §3).  With TLS wanted http: means https:.
 */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

struct arena;

struct target {			/* strings in the arena */
	const char	*url;		/* what is asked for */
	const char	*host;		/* without brackets; A-labels */
	uint16_t	 port;
	bool		 is_tls;
	bool		 is_literal;	/* host is an address */
	const char	*socket;	/* path, or NULL */
	/*
	 * Scheme, host and port, or the socket: two URLs with the same origin
	 * may share connections and credentials.
	 */
	const char	*origin;
	struct addr	 place;		/* stands for the origin in the pool */
};

struct target_hints {
	bool		 want_tls;	/* tls options are given */
	const char	*socket;	/* instead of the URL's host, or NULL */
};

/* -1 with a text that names nothing but what is wrong. */
int	target_parse(struct target *, const char *url,
	    const struct target_hints *, struct arena *, char *error, size_t);

/*
 * Where a redirect leads (RFC 9110 §10.2.2): fills in a target of the same
 * origin; -1: it is no URL, or of another origin.
 */
int	target_follow(struct target *, const struct target *from,
	    const char *location, struct arena *);

/* Clear text that others can read on its way. */
bool	target_is_exposed(const struct target *);

#endif
