/* messages.h - many distinct messages, back to back in one sealed memfd. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdint.h>

struct messages {
	int64_t		 count;
	int		 fd;
	const char	*mem;		/* the same, mapped */
	uint64_t	*offsets;	/* count + 1 of them */
};

/*
 * Each of size bytes, at least 512, or 1, 2, 3 and 4 KiB in turn where size is
 * 0; CRLF line ends, a line that starts with a dot, and a Message-ID of its
 * own.  The same arguments make the same messages.  Ends the process where
 * memory is short.
 */
void	messages_make(struct messages *, int64_t count, int64_t size);

#endif
