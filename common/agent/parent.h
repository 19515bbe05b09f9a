/*
 * parent.h - what each child of nexthop-master does alike, agent or not, on the
 * channel it has from it: HELO, CONFIG and READY, the log's file, and which
 * frames come with a descriptor (nexthop-agent(7)).
 */
#ifndef AGENT_PARENT_H
#define AGENT_PARENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "conf/option.h"
#include "mail/frame.h"

/*
 * The channel's descriptor from the value of CHANNEL_ENV, which leaves the
 * environment.  From here on the terminal's signals are the master's to answer,
 * and there may be as many files as the system lets there be.  -1: it is no
 * UNIX socket, and the log says so.
 */
int	parent_open(const char *env);

/* HELO of the program of that name; -1: the buffer is full. */
int	parent_put_hello(struct buf *, const char *program);

/*
 * The first look at a frame and its descriptor, which comes with LOG and with
 * `takes_fd`, and with nothing else.  1: both are the caller's to take.  0: it
 * has been seen to.  -1: a fault, with a static text; the descriptor is closed.
 * Where this process had none left for what came, LISTEN is a fault, and LOG
 * leaves the log as it was; else the caller gets the frame and -1.
 */
int	parent_frame(const struct frame *, int fd, enum frame_type takes_fd,
	    const char **error_r);

/* CONFIG, as it is being answered with READY. */
struct parent_config {
	struct opts	*opts;		/* borrowed */
	struct frame_out ready;		/* begun; frame_end() is the caller's */
	char		 section[128];	/* its name, or what fits of it; "-": none */
	uint32_t	 noptions;
	unsigned	 nfaults;	/* any: nothing may be started */
	bool		 want_options;	/* it is asked for them, no more */
};

/*
 * Sets the options and looks at all of them together; READY is begun in the
 * buffer, with the faults found.  -1: CONFIG is malformed, and the channel has
 * to be closed, which drops what was begun.
 */
int	parent_config_take(struct parent_config *, struct opts *,
	    const struct frame *, struct buf *ready);
/* The log's lines are those of PROGRAM/SECTION from now on. */
void	parent_config_set_ident(const struct parent_config *,
	    const char *program);
/* A fault of all together. */
void	parent_config_fault(struct parent_config *, const char *text);
/* Into READY: what the options are worth. */
void	parent_config_put_options(struct parent_config *);
/* What the process ends with once READY has left; -1: it goes on. */
int	parent_config_status(const struct parent_config *);

#endif
