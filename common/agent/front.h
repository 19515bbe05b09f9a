/*
 * front.h - what the skeleton and its fronts share; private to common/agent.
 */
#ifndef AGENT_FRONT_H
#define AGENT_FRONT_H

#include <sys/queue.h>

#include "agent/agent.h"
#include "agent/cage.h"
#include "agent/telemetry.h"

/* How facts about a delivery get back to whoever asked for it. */
struct front_ops {
	/* rcpts NULL: all without an answer. */
	void	(*stage)(struct delivery *, enum stage, const uint32_t *rcpts,
		    uint32_t n);
	/* Run go later, once everything said so far is out of our hands. */
	void	(*after_said)(struct delivery *, struct later *go);
	void	(*answer)(struct delivery *, uint32_t i, const struct answer *);
	/* They are another relay's from now on; NULL: there is none. */
	void	(*forward)(struct delivery *, const struct forward *,
		    const uint32_t *rcpts, uint32_t n);
	/* All are answered; the delivery goes after this. */
	void	(*done)(struct delivery *);
	/* It writes the line of each answer into the log. */
	bool	logs_itself;
};

struct open_delivery {		/* what agent.c keeps with each */
	struct delivery	 d;
	TAILQ_ENTRY(open_delivery) next;
	struct agent	*agent;
	struct later	 free_later;
};

struct agent {
	const struct agent_ops *ops;
	struct loop	*loop;
	struct opts	*opts;
	void		*state;
	struct share	*share;
	TAILQ_HEAD(, open_delivery) open;
	uint32_t	 nopen;
	bool		 is_draining;
	bool		 is_abandoned;	/* stopped while something ran */
	struct timer	 quiet;		/* how long a drain waits for is_busy */
	struct timer	 rest;		/* idle: give memory back */
	struct telemetry telemetry;
	bool		 want_trace;
	bool		 may_forward;
	struct cage	*cage;		/* NULL: none was asked for yet */
	struct timer	 look;		/* whether the cage is outdated */
	bool		 is_outdated;
	/* Set by the front: the last delivery of a drain is over; the
	 * statistics have changed. */
	void		(*on_idle)(struct agent *);
	void		(*on_stats)(struct agent *);
	/* Nothing is open, and this process cannot read what it should. May
	 * be NULL. */
	void		(*on_outdated)(struct agent *);
	void		*front;
};

/* Calls ops->start; -1 with a text. */
int		 agent_start(struct agent *, char *error, size_t);
/* The cage in the making, for what the front itself needs; NULL: no policy. */
struct cage	*agent_cage(struct agent *);
/* Into it, after agent_start() and before the first delivery; -1 with a text:
 * do not go on. */
int		 agent_confine(struct agent *, bool is_quiet, char *error,
		    size_t);
/* The last thing: no turn of the loop may follow if it sets is_abandoned. */
void		 agent_stop(struct agent *);
/*
 * A delivery with its arena, at first able to hold `bytes` besides itself.
 * Fill in env, then agent_deliver(); or delivery_discard() if it never gets
 * that far.
 */
struct delivery	*delivery_new(struct agent *, size_t bytes,
		    const struct front_ops *, void *front_data);
void		 delivery_discard(struct delivery *);
void		 agent_deliver(struct agent *, struct delivery *);
/* The same, but each recipient gets this answer; the agent does not see it. */
void		 agent_refuse(struct agent *, struct delivery *,
		    const struct reply *);
struct delivery	*agent_find(struct agent *, uint64_t id);
void		 agent_cancel(struct agent *, struct delivery *);
void		 agent_cancel_all(struct agent *);
/* We end, and nobody hears an answer: the final lines of all recipients that
 * have none. */
void		 agent_log_open(struct agent *);
/* No more will come; on_idle follows, perhaps at once. */
void		 agent_drain(struct agent *);

/* The fronts: the exit status of the process. */
int		 front_channel(struct agent *, int fd);
int		 front_cli(struct agent *, int argc, char **argv);
int		 front_postfix(struct agent *, int argc, char **argv);
/* Only a look at the arguments of a line of master.cf, argv[2] and on: each
 * fault is a line on stdout. */
int		 front_postfix_check(struct agent *, int argc, char **argv);
#define FRONT_CHECK	"--check-service"
/* What its lines begin with that are no faults. */
#define FRONT_CHECK_WARNING	"warning: "

#endif
