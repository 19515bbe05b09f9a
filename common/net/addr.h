/*
 * addr.h - socket addresses and the ways to write a host:
 *
 *	mail.example  mail.example:2525  [mail.example]:2525
 *	192.0.2.1:25  2001:db8::1  [2001:db8::1]:25  [192.0.2.1]  unix:/path
 *	inet:host:port
 *
 * Brackets also say, as in Postfix, that no MX look-up is wanted.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct arena;

struct addr {
	union {
		struct sockaddr		sa;
		struct sockaddr_in	in;
		struct sockaddr_in6	in6;
		struct sockaddr_un	un;
	} u;
	socklen_t len;
};

#define ADDR_TEXT_MAX	112	/* with the NUL; a UNIX path is the longest */

/* An IPv4 or IPv6 literal, without brackets; -1 if it is none. */
int		 addr_parse(struct addr *, const char *, uint16_t port);
int		 addr_unix(struct addr *, const char *path);
/* The address without its port; the path of a UNIX socket. */
const char	*addr_format(const struct addr *, char *, size_t);
uint16_t	 addr_port(const struct addr *);	/* 0 for UNIX */
void		 addr_set_port(struct addr *, uint16_t);
bool		 addr_equal(const struct addr *, const struct addr *);
uint32_t	 addr_hash(const struct addr *);
static inline int
addr_family(const struct addr *a)
{
	return a->u.sa.sa_family;
}

struct hostspec {
	const char	*host;		/* name, bare literal, path */
	uint16_t	 port;
	bool		 is_unix;
	bool		 is_literal;
};

/* -1 with a static text; strings go into the arena. */
int	hostspec_parse(struct hostspec *, const char *, uint16_t default_port,
	    struct arena *, const char **error_r);

#endif
