/*
 * front_postfix.h - the parts of Postfix's front; private to front_postfix*.c.
 *
 *	front_postfix.c		the process: start, listening, reload, end
 *	front_postfix_conf.c	options, and what Postfix's settings say
 *	front_postfix_job.c	a request: read, and made into deliveries
 *	front_postfix_message.c	its message
 *	front_postfix_answer.c	answers: reports, log lines, marks, the reply
 */
#ifndef AGENT_FRONT_POSTFIX_H
#define AGENT_FRONT_POSTFIX_H

#include <sys/queue.h>

#include "agent/front.h"
#include "base/buf.h"
#include "mail/message.h"
#include "net/acceptor.h"
#include "postfix/queue_file.h"
#include "postfix/report.h"
#include "postfix/request.h"
#include "postfix/service.h"
#include "postfix/settings.h"

#define GOOD_HOPS	256

/* ---- options ---- */

struct postfix_conf {
	char		*config;	/* nexthop.conf */
	char		*relay;		/* its section; NULL: none */
	bool		 inherit;
	char		*postconf;
	char		*assume_version;
	int64_t		 deadline_ms;
	int64_t		 service_connections;
	int64_t		 service_timeout_ms;
};
extern const struct opt_table postfix_conf_table;

struct postfix_front {
	struct agent	*agent;
	struct pf_args	 args;
	struct opts	*opts;		/* of postfix_conf_table */
	const struct postfix_conf *conf;
	struct pf_settings *settings;
	bool		 is_old;	/* Postfix before 3.6 */

	/* of the settings, at hand */
	const char	*hashed;
	int		 hash_depth;
	bool		 soft_bounce, negative_cache, is_external;
	int		 resolution;
	const char	*myhostname;
	bool		 wants_nexthop;	/* the agent has none of its own */

	struct pf_reporter *reporter;
	struct acceptor	*acceptors[8];
	int		 nlisten;
	struct event	 ev_status, ev_watch, ev_term;
	int		 watch;
	struct timer	 sweep;
	TAILQ_HEAD(, job) jobs;
	uint32_t	 njobs, jobs_max;
	uint64_t	 memory;	/* of larger messages, bytes */
	bool		 is_full;	/* accepts nothing at the moment */
	bool		 is_draining;
	bool		 has_served;
	int64_t		 idle_since_ms, max_idle_ms, hard_ms, stop_ms;
	int64_t		 watchdog_s;
	int64_t		 good_ms[GOOD_HOPS];	/* last delivery, by next hop */
};

/* What is set by -o, by a section of nexthop.conf and by Postfix's settings;
 * -1: the faults are logged. */
int	postfix_conf_load(struct postfix_front *);

/* ---- a request ---- */

enum job_state { JOB_READING, JOB_COPYING, JOB_DELIVERING, JOB_OVER };

/* What became of one recipient, until it is reported. */
struct outcome {
	struct job	*job;
	const struct pf_rcpt *rcpt;
	bool		 has_answer;
	bool		 is_fallback;	/* a service failed us: deferred */
	uint8_t		 cls;		/* enum reply_class, as reported */
	const char	*word;		/* "sent" */
	const char	*relay;
	unsigned	 conn_use;
	struct pf_dsn	 dsn;
	struct pf_times	 times;
	uint8_t		 steps[3];	/* who is to be told */
	uint8_t		 nsteps, step;
};

/* A message in memory. */
struct message_copy {
	struct later	 gone;
	char		 bytes[];
};

struct job {
	TAILQ_ENTRY(job) next;
	struct postfix_front *f;
	enum job_state	 state;
	int		 fd;		/* of qmgr; -1 once replied */
	struct event	 ev;
	struct buf	 in;		/* a request that has not come whole */
	struct arena	*arena;
	struct pf_request req;
	int64_t		 due_ms;	/* something must have happened */
	int		 queue_fd;
	struct pf_content content;

	/* a message too large for memory, being copied */
	struct timer	 step;
	struct message_copy *copy;	/* or in a file */
	int		 body_fd;
	uint64_t	 body_len;
	uint64_t	 memory;	/* of copy; part of the front's */
	struct body_scan scan;

	struct outcome	*outcomes;
	uint32_t	 nopen;		/* recipients that are not reported */
	uint32_t	 nuses;		/* deliveries, and whoever works on it */
	bool		 is_unfinished;	/* a recipient is to be tried again */
	struct pf_dsn	 hop;		/* status "" : the next hop is well */
};

/* A connection from qmgr. */
void	job_new(struct postfix_front *, int fd);
/* The final reply, if it was not given; the job goes when nobody uses it. */
void	job_reply(struct job *);
void	job_release(struct job *);
/* Reads the message: job_deliver(), or one of the two below, comes of it. */
void	job_read_message(struct job *);
void	job_free_copy(struct job *);
/* The message is there: in memory, or bytes NULL for the job's copy. */
void	job_deliver(struct job *, const char *bytes);
/* For all recipients, with a reason in the queue's listing. */
void	job_fail(struct job *, enum cause, const char *detail);
/* It stays in the queue, without a word for its recipients. */
void	job_refuse(struct job *);
/* The answer for one recipient. */
void	job_answer(struct job *, uint32_t i, const struct answer *);
/* Time has passed. */
void	job_sweep(struct job *, int64_t now_ms);
/* No request will come from this connection any more. */
void	job_abandon(struct job *);

/* A request was replied to. */
void	postfix_served(struct postfix_front *);
/* The job is over, its memory is about to go. */
void	postfix_job_over(struct postfix_front *);

int64_t	*postfix_good(struct postfix_front *, const char *nexthop);

#endif
