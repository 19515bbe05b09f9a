/*
 * final.h - the last line of the log about a recipient and an attempt
 * (nexthop-events(7)), whoever answers for it: an agent, or the master in the
 * place of one.
 */
#ifndef MAIL_FINAL_H
#define MAIL_FINAL_H

#include <stdbool.h>
#include <stdint.h>

struct answer;

struct final {
	const char	*id;		/* of the delivery, or "" */
	const char	*to, *from;
	const char	*relay;		/* NULL: the one that the log is of */
	const struct answer *answer;	/* total_ms is filled */
	bool		 has_times;	/* and so are its other times */
	uint64_t	 size;		/* of the message, bytes */
};

void	final_log(const struct final *);
/* It was handed to another relay, whose line follows; without an answer. */
void	final_log_forwarded(const struct final *, const char *next_relay);

#endif
