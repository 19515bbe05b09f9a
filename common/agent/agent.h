/*
 * agent.h - the skeleton of a delivery agent.
 *
 * An agent is a table of options and a few functions; agent_main() does the
 * rest: it finds out who started the process (nexthop-master, Postfix, a
 * person), takes envelopes from there, and carries the answers back.  The
 * agent never knows which front it was.
 *
 * One process, one thread, one event loop.  Every recipient of a delivery is
 * answered exactly once; when the last is answered the delivery is over and
 * its memory goes at the end of the turn.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "conf/option.h"
#include "mail/envelope.h"
#include "mail/frame.h"
#include "mail/reply.h"
#include "net/loop.h"

#define CHANNEL_ENV	"NEXTHOP_CHANNEL"	/* number of the descriptor */
#define AGENT_WINDOW_DEFAULT	1000

struct agent;
struct cage_policy;
struct delivery;
struct share;

/* For the agent's stats(): a counter or gauge; the name is borrowed. */
typedef void agent_stat(void *arg, const char *name, uint64_t value);

/* --explain: what deliveries to these recipients would do, for people. */
struct agent_explain {
	const char	*const *rcpts;
	size_t		 n;
	const struct envelope *env;	/* what else was asked for; no body */
	FILE		*out;
	void		(*done)(void *arg);	/* later, never inside */
	void		*arg;
};

struct agent_ops {
	const char	*name;		/* that of the program */
	const char	*summary;	/* one line for --help */
	const struct opt_table *table;
	/* Reports what is legal but dangerous in options that have passed the
	 * table's check, by name, and why. May be NULL. */
	void	 (*warn)(const void *values, opt_report *, void *arg);

	/*
	 * The options are set and checked.  Returns the agent's own state, or
	 * NULL with a text in error.  Must not block.
	 */
	void	*(*start)(struct agent *, void *values, char *error, size_t);
	/* An envelope. Answers come by delivery_answer(), now or later. */
	void	 (*deliver)(void *state, struct delivery *);
	/*
	 * Stop this one if it has not reached end-of-data: answer its open
	 * recipients soon.  Past end-of-data go on as if not called.
	 */
	void	 (*cancel)(void *state, struct delivery *);
	/*
	 * Recipients of one delivery go different ways, each with an end of
	 * data of its own: cancel() is called whatever is_past_end says.
	 */
	bool	 has_parts;
	/* Every recipient is answered; the delivery's memory goes at the end
	 * of the turn. May be NULL. */
	void	 (*over)(void *state, struct delivery *);
	/* No envelope will come any more: close what is idle. May be NULL. */
	void	 (*drain)(void *state);
	/* Connections are still being closed; see agent_quiet(). May be NULL. */
	bool	 (*is_busy)(void *state);
	/* Last call; everything must go. May be NULL. */
	void	 (*stop)(void *state);
	/* Last call instead of stop() where the process ends although
	 * something runs: nobody waits for it any more. May be NULL. */
	void	 (*abandon)(void *state);
	/* Counters and gauges. May be NULL. */
	void	 (*stats)(void *state, agent_stat *, void *arg);
	/* Tells it without delivering. NULL: there is nothing to tell. */
	void	 (*explain)(void *state, const struct agent_explain *);
	/* Deliveries accepted at once; NULL = AGENT_WINDOW_DEFAULT. */
	uint32_t (*window)(const void *values);
	/* It understands ENV_PROBE; else a probe is answered without it. */
	bool	 can_probe;
	/* The option that an envelope's next hop takes the place of, or NULL:
	 * where Postfix names one with each message it may be left out. */
	const char *nexthop_option;
	/* What it may still do once it is started; its table has the rows of
	 * struct cage_conf. NULL: what its user may. */
	const struct cage_policy *cage;
};

/* All of main(); returns its exit status (sysexits.h). */
int		 agent_main(const struct agent_ops *, int argc, char **argv);

struct loop	*agent_loop(struct agent *);	/* borrowed */
/* Memory that counts connections with the relay's other processes, or NULL. */
struct share	*agent_share(const struct agent *);
bool		 agent_trace(const struct agent *);	/* --trace was given */
/* Counters have changed: STATS will be sent. */
void		 agent_touch_stats(struct agent *);
/* Called in start(): delivery_forward() may be used.  The master then keeps
 * each message until its delivery is over. */
void		 agent_may_forward(struct agent *);
/* is_busy() has become false: a process that drains may end. */
void		 agent_quiet(struct agent *);

/* An envelope on its way.  The arena lives as long as the delivery. */
struct delivery {
	struct envelope	 env;
	struct arena	*arena;
	uint64_t	 id;
	int64_t		 start_ms;	/* monotonic */
	int64_t		 deadline_ms;	/* monotonic; 0 = none */
	uint32_t	 open;		/* recipients without an answer */
	uint8_t		*answered;	/* a byte per recipient; also forwarded */
	bool		 is_past_end;	/* by delivery_before_end(); cleared by an
					 * agent that knows the outcome and has
					 * recipients left */
	bool		 is_cancelled;
	void		*work;		/* the agent's own */
	const struct front_ops *front;
	void		*front_data;
	struct later	*held;		/* the front's: waits to be said */
};

/*
 * The answer of recipient i (from 0).  A second answer is a bug: it is logged
 * and dropped (and aborts in the sanitizer build).  After the last one the
 * delivery must not be touched by the caller except to return.
 */
void	delivery_answer(struct delivery *, uint32_t i, const struct answer *);
bool	delivery_is_answered(const struct delivery *, uint32_t i);
/* The same answer for everyone who has none. */
void	delivery_answer_rest(struct delivery *, const struct answer *);

/*
 * Hand recipients (n indexes; NULL: all without an answer) to another relay,
 * which answers for them: here they count as answered, and with the last one
 * the delivery is over.  The agent must have called agent_may_forward().  Where
 * nobody can take them over, as by hand, they are answered with a transient
 * failure.  What the other relay is given is the envelope of this delivery but
 * for what `forward` says instead; its texts are copied.
 */
void	delivery_forward(struct delivery *, const uint32_t *rcpts, uint32_t n,
	    const struct forward *);

/* A connection was opened for this delivery (informs the asker). */
void	delivery_connected(struct delivery *);

/*
 * Must be called before the byte that could make the next hop accept the
 * message leaves: tells the asker that the outcome for these recipients (n
 * indexes, ascending; NULL: all without an answer) is in doubt from now on
 * until they are answered.  `go` runs later, never inside this call, once that
 * fact is out of this process's hands; then, and not before, the byte may be
 * sent.  The later belongs to the caller and may be taken back by
 * loop_forget().
 */
void	delivery_before_end(struct delivery *, const uint32_t *rcpts,
	    uint32_t n, struct later *go);

#endif
