/*
 * feed.h - the message on its way into a program's stdin.
 *
 * Where no byte changes and the body is a sealed memfd of its own, the program
 * gets that itself, opened anew so that it has an offset of its own.  Else a
 * pipe: bodies that stay as they are go from file to pipe inside the kernel,
 * others are converted piece by piece.  No more than a piece of a message is
 * ever held in memory.
 *
 * If the agent is killed while it writes, the kernel closes its end of the pipe
 * an instant before it kills the program, which may take that for the end of
 * the message.  What fits into the pipe (64 KiB) is not concerned, nor is the
 * memfd.  A copy of every larger message in a memfd would end this, but take
 * as much memory as all messages under way.
 */
#ifndef PIPE_FEED_H
#define PIPE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/message.h"
#include "net/loop.h"
#include "pipe/content.h"

struct feed_spec {		/* borrowed until feed_stop() */
	const struct body *body;
	const char	*prefix;	/* before it, or "" */
	unsigned	 how;		/* CONTENT_... */
	bool		 is_as_is;	/* of content_is_as_is() */
};

enum feed_state {
	FEED_ON,		/* there is more to write */
	FEED_DONE,		/* all was given */
	FEED_REFUSED,		/* the program closed its stdin: no fault */
	FEED_FAILED		/* the body cannot be read; see error */
};

struct feed {
	const struct feed_spec *spec;
	struct loop	*loop;
	enum feed_state	 state;
	int		 error;		/* errno; 0: the body ended early */
	int		 fd;		/* we write here; -1 */
	struct event	 ev;
	bool		 has_ev;
	struct body_reader reader;
	struct content	 content;
	struct buf	 pending;	/* written next */
	bool		 is_finished;	/* the end is in pending, too */
	bool		 no_splice;
	void		(*changed)(void *arg);	/* state is no more FEED_ON */
	void		*arg;
};

/*
 * Makes the program's stdin and writes what it takes at once.  Returns the
 * descriptor for the program (close-on-exec), the caller's to close; -1 with
 * errno.
 */
int	feed_open(struct feed *, struct loop *, const struct feed_spec *);
/* The program runs: goes on where there is more. */
void	feed_start(struct feed *, void (*changed)(void *), void *arg);
/* Closes our end, whatever is left; may be called again. Of a body that cannot
 * be read only once the program is dead: it would take the end for that of the
 * message. */
void	feed_stop(struct feed *);

#endif
