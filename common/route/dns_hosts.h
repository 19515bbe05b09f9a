/*
 * dns_hosts.h - a file of addresses and names, as hosts(5).
 *
 * A name that stands there has these addresses and no others: with an IPv4
 * address alone it has no AAAA.  Answers from it are never secure.
 */
#ifndef ROUTE_DNS_HOSTS_H
#define ROUTE_DNS_HOSTS_H

#include "route/dns_kept.h"

#define DNS_HOSTS_BYTES_MAX	(16 * 1024 * 1024)
#define DNS_HOSTS_WORDS_MAX	64		/* names in a line, and one */
#define DNS_HOSTS_NAMES_MAX	200000

struct dns_hosts;

/* The path stays the caller's. A file that is not there is an empty one, until
 * it comes. */
struct dns_hosts *dns_hosts_new(const char *path);
void	dns_hosts_free(struct dns_hosts *);
/* Not the caller's; NULL: the name does not stand there, or the type is none
 * of addresses. */
struct dns_kept *dns_hosts_find(struct dns_hosts *, const struct dns_name *,
	    enum dns_type, int64_t now_ms);

/* The file's text, in memory; overwritten. */
void	dns_hosts_parse(struct dns_hosts *, char *text, size_t size);

#endif
