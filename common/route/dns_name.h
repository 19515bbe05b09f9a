/*
 * dns_name.h - a domain name as it stands in a packet, in lower case.
 *
 * As text a name has no last dot; bytes outside of letters, digits, '-', '_'
 * are \DDD (RFC 1035 §5.1).  Labels take 63 bytes, the whole 255 (§2.3.4).
 */
#ifndef ROUTE_DNS_NAME_H
#define ROUTE_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DNS_WIRE_MAX	255
#define DNS_TEXT_MAX	1024	/* every byte escaped, dots, NUL */
#define DNS_HOPS_MAX	128	/* compression pointers in one name */

struct dns_name {
	uint8_t	len;		/* with the root's empty label; never 0 */
	uint8_t	wire[DNS_WIRE_MAX];
};

/* -1 with a static text: no name that can be asked for. One dot at the end is
 * allowed, \DDD and \X are understood. */
int	dns_name_parse(struct dns_name *, const char *, const char **error_r);

/* The length written; to has DNS_TEXT_MAX bytes. The root is "". */
size_t	dns_name_format(const struct dns_name *, char *to);

/* Reads a name at *pos and moves that behind it; -1 where it is broken.
 * Pointers must lead back, and not for ever (RFC 1035 §4.1.4). */
int	dns_name_read(struct dns_name *, const uint8_t *packet, size_t size,
	    size_t *pos);

uint32_t dns_name_hash(const struct dns_name *, unsigned type);

static inline bool
dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

#endif
