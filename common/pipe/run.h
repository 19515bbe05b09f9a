/*
 * run.h - one run of a program: started, fed, listened to, timed, ended.
 *
 * The run is over when the program has ended; what it has left running in the
 * background stays, unless the time was over: then the whole process group is
 * ended, by SIGTERM and after a grace by SIGKILL.
 */
#ifndef PIPE_RUN_H
#define PIPE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/transcript.h"
#include "base/process.h"
#include "pipe/feed.h"
#include "pipe/result.h"

struct run;

struct run_spec {
	/* fds are set by run_start(). */
	struct process_spec process;
	struct feed_spec feed;
	int64_t		 timeout_ms;
	int64_t		 grace_ms;	/* between SIGTERM and SIGKILL */
	struct transcript *trace;
	const struct envelope *env;	/* for that */
};

enum run_end {
	RUN_EXITED,		/* result has the rest */
	RUN_TIMED_OUT,
	RUN_BODY_FAILED,	/* the message could not be read: error is its
				 * errno, or 0 where it ended early */
	RUN_NOT_STARTED		/* start has the reason */
};

struct run_outcome {
	enum run_end	 end;
	struct result	 result;	/* its texts go after the callback */
	int		 error;
	uint64_t	 body_read;	/* bytes of the message read */
	struct process_error start;
};

struct run_ops {
	/* What became of it; once, never inside run_start(). */
	void	(*done)(void *arg, const struct run_outcome *);
	/* The process is gone and with it the run; after done(). */
	void	(*gone)(void *arg);
};

/* The spec is borrowed until gone(). */
struct run *run_start(struct loop *, const struct run_spec *,
	    const struct run_ops *, void *arg);
/* This process ends: the program's whole group is ended with it. */
void	run_abandon(struct run *);

#endif
