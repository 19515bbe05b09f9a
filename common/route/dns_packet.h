/*
 * dns_packet.h - questions and answers as packets (RFC 1035 §4, 6891), without
 * any transport.
 */
#ifndef ROUTE_DNS_PACKET_H
#define ROUTE_DNS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "route/dns.h"
#include "route/dns_name.h"

struct arena;

#define DNS_UDP_PAYLOAD		1232	/* passes every path unfragmented */
#define DNS_QUESTION_MAX	320
#define DNS_CNAMES_MAX		8	/* followed, in all */
#define DNS_WALK_MAX		2048	/* records of a section looked at */

/* What to say besides the question. */
#define DNS_EDNS	0x01	/* OPT with our payload size */
#define DNS_SECURE	0x02	/* AD (RFC 6840 §5.7), with EDNS also DO */

/* The length; 0 where memory is gone. */
size_t	dns_packet_build(uint8_t to[DNS_QUESTION_MAX], uint16_t id,
	    const struct dns_name *, enum dns_type, unsigned flags);

enum dns_reply_kind {
	DNS_REPLY_FOREIGN,	/* not to this question: as if nothing came */
	DNS_REPLY_GARBAGE,	/* to it, and broken */
	DNS_REPLY_TRUNCATED,	/* ask by TCP */
	DNS_REPLY_ERROR,	/* rcode: the server cannot or will not */
	DNS_REPLY_LAME,		/* a referral: the server does not recurse */
	DNS_REPLY_CHAIN,	/* more CNAMEs than are followed, or a circle */
	DNS_REPLY_FOLLOW,	/* CNAMEs up to `name`, which is to be asked */
	DNS_REPLY_ANSWER	/* a.status is DNS_OK, _NO_DATA or _NO_NAME */
};

struct dns_reply {
	enum dns_reply_kind kind;
	unsigned	 rcode;		/* with its upper bits of OPT */
	bool		 is_ad;
	unsigned	 ncnames;	/* on the way to name */
	struct dns_name	 name;
	bool		 has_ttl;	/* _FOLLOW, _ANSWER; a negative one
					 * without an SOA has none: not to keep */
	/* type, status, ttl_s and the records; what they point to is in the
	 * arena.  The rest is left empty. */
	struct dns_answer a;
};

/* cnames_max: how many CNAMEs may still be followed. */
void	dns_packet_read(struct dns_reply *, const uint8_t *, size_t,
	    uint16_t id, const struct dns_name *asked, enum dns_type,
	    unsigned cnames_max, struct arena *);

const char *dns_rcode_text(unsigned rcode);	/* "server failure" */

#endif
