/*
 * tally.h - what a sink remembers of the messages that it throws away.
 *
 * Enough to tell whether each came exactly once and unchanged: the distinct
 * ids, the duplicates, and a sum of SHA-256(body, id) that does not depend on
 * the order of arrival.  And counters, for the report.
 */
#ifndef TALLY_H
#define TALLY_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TALLY_ID_MAX	160	/* longest message id kept */

/* One message on its way in.  All zero is a good start. */
struct tally_msg {
	EVP_MD_CTX	*digest;
	char		*line;		/* the beginning of a header line */
	uint64_t	 body_bytes;	/* after the empty line */
	uint64_t	 bytes;		/* in all */
	uint32_t	 nline;
	bool		 is_header;
	uint8_t		 nid;
	char		 id[TALLY_ID_MAX];
};

struct tally {
	/* what to do; set before the first message */
	bool		 is_hashing;
	bool		 ignores_ids;	/* all messages have the same one */
	const char	*id_header;
	FILE		*listing;	/* NULL: none */

	/* counters; the sink sees to those of connections by itself */
	uint64_t	 msgs, unique, duplicates, without_id, rcpts;
	uint64_t	 bytes, body_bytes;
	uint64_t	 connections, open, peak, over, tls, resumed;
	uint64_t	 rejects, lost_replies, truncated;
	uint64_t	 first_ns, last_ns;	/* first input, last message */

	/* private */
	uint64_t	 sum[4];
	uint64_t	*seen;
	size_t		 seen_size;
	EVP_MD		*sha256;
};

uint64_t tally_clock_ns(void);		/* monotonic */

void	 tally_init(struct tally *);
void	 tally_clear(struct tally *);

void	 tally_msg_begin(struct tally *, struct tally_msg *);
void	 tally_msg_feed(struct tally *, struct tally_msg *, const char *,
	    size_t);
/* One header line, if it came apart from the message; empty: no more. */
void	 tally_msg_header(struct tally *, struct tally_msg *, const char *,
	    size_t);
/* The message was accepted for so many recipients. Words go into its line of
 * the listing; NULL: none. */
void	 tally_msg_count(struct tally *, struct tally_msg *, uint32_t rcpts,
	    const char *words);
void	 tally_msg_clear(struct tally_msg *);

/* Messages, without those that came again. */
uint64_t tally_distinct(const struct tally *);
/* One JSON object on a line. */
void	 tally_report(const struct tally *, FILE *);

#endif
