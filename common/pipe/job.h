/*
 * job.h - a delivery under way, its runs, and the relay they belong to;
 * private to relay.c and job.c.
 *
 *	relay.c		whose turn it is; answers to those who had none
 *	job.c		one run: what it is given, and what its end means
 */
#ifndef PIPE_JOB_H
#define PIPE_JOB_H

#include <sys/queue.h>

#include "mail/header.h"
#include "pipe/relay.h"
#include "pipe/run.h"

struct pipe_relay {
	struct agent	*agent;
	struct loop	*loop;
	const struct pipe_conf *conf;
	struct arena	*arena;
	struct pipe_command *command;
	TAILQ_HEAD(, work) waiting;	/* have recipients without a run */
	LIST_HEAD(, job) jobs;
	uint32_t	 njobs, nwaiting;
	struct later	 pump;		/* starts what may be started */
	uint64_t	 runs, failures, timeouts;
};

struct work {			/* a delivery; in its arena */
	TAILQ_ENTRY(work) next;
	struct pipe_relay *relay;
	struct delivery	*d;
	bool		 is_waiting;	/* in the relay's list */
	uint32_t	*todo;		/* recipients without a run */
	uint32_t	 ntodo, at;
	uint32_t	*twin;		/* see twins.h */
	struct timer	 timer;
	/* known once its first run is at hand */
	bool		 is_looked;
	bool		 is_as_is;
	struct header	 header;
	struct macro_values values;	/* of the message */
};

struct job {			/* a run; in an arena of its own */
	LIST_ENTRY(job)	 next;
	struct arena	*arena;
	struct work	*work;
	struct pipe_relay *relay;
	uint32_t	*rcpts;		/* whom it is for, without twins */
	uint32_t	 nrcpts;
	struct later	 go;		/* held until it may start */
	bool		 is_started;
	int64_t		 start_ms;
	int64_t		 start_us;
	uint64_t	 serial;	/* of the relay's runs */
	struct transcript trace;
	struct run_spec	 spec;
	struct run	*run;
	struct later	 free_later;
};

/* ---- job.c ---- */

/*
 * A run for the next recipient, or for all of them; takes them out of what is
 * to do.  Recipients that cannot be delivered to are answered.  False where
 * that is all that could be done.
 */
bool	job_start(struct work *);
/* It has not started: answers its recipients and takes it away. */
void	job_cancel(struct job *);

/* ---- relay.c ---- */

/* A run is over: the next may have its turn. */
void	relay_job_gone(struct pipe_relay *);
/* For these recipients and those that equal them. */
void	relay_answer(struct work *, const uint32_t *rcpts, uint32_t n,
	    const struct answer *);
void	relay_answer_cause(struct work *, const uint32_t *rcpts, uint32_t n,
	    enum cause, const char *detail);

#endif
