/*
 * job.h - a delivery as the master has it; shared by job.c, dispatch.c,
 * dispatch_child.c, forward.c and overdue.c, and by nobody else.
 *
 * A submitter's DELIVER is a job: its own root.  Each FORWARD makes a leg of
 * it, a job of another relay that answers some of the root's recipients.  Legs
 * of legs are legs of the same root.  The root stays until every recipient is
 * answered; a leg goes as soon as its agent is done with it, and one whose root
 * is gone has nobody to answer.
 */
#ifndef MASTER_JOB_H
#define MASTER_JOB_H

#include "master.h"

#define FORWARD_HOPS_MAX	4
/* What is forwarded waits beyond QUEUED_BYTES_MAX: as much as was kept for it,
 * or an agent that forwards each recipient by itself would fill the memory. */
#define FORWARD_BYTES_MAX	(2 * QUEUED_BYTES_MAX)

enum place { NOWHERE, HELD, QUEUED, RUNNING };
enum { IS_ANSWERED = 0x01, IS_IN_DOUBT = 0x02, IS_FORWARDED = 0x04 };
enum { IS_SETTLED = IS_ANSWERED | IS_FORWARDED };

/* Who is in a delivery, for the log; kept as long as the job is.  Those that
 * run at a relay's agents are bounded by SERVICE_NAMES_MAX. */
struct names {
	const char	*id, *sender;
	const char	*rcpt;		/* that of index i; the others follow */
	uint32_t	 i;
};

struct job {
	TAILQ_ENTRY(job) queue;		/* HELD, QUEUED */
	TAILQ_ENTRY(job) watch;		/* RUNNING, where is_watched */
	LIST_ENTRY(job)	 by_id;		/* while from != NULL */
	LIST_ENTRY(job)	 leg;		/* a leg, while root != NULL */
	LIST_HEAD(, job) legs;		/* of a root */
	struct job	*root;		/* itself; NULL: a leg without one */
	struct submitter *from;		/* NULL: nobody wants the answers */
	struct service	*service;
	struct service	*crowding;	/* the relay that sent it beyond our
					 * backlog, see forward.c; or NULL */
	struct child	*child;		/* RUNNING */
	uint64_t	 id;		/* the submitter's */
	uint64_t	 child_id;
	void		*bytes;		/* the frame, owned: HELD, QUEUED, and
					 * RUNNING where it may be forwarded */
	uint32_t	 len;
	int		 fd;		/* that belongs to it, or -1 */
	int		 fd_error;	/* why there is none to forward */
	int64_t		 since_ms;
	int64_t		 since_us;	/* the same moment */
	int64_t		 deadline_ms;	/* 0 = none */
	int64_t		 due_ms;	/* is_watched: the next step */
	uint32_t	 nrcpt;
	uint32_t	 open;		/* its agent still has to settle */
	uint32_t	 waiting;	/* root: no answer to the submitter */
	uint32_t	*map;		/* leg: recipients of the root */
	uint64_t	 size;		/* of the message */
	uint32_t	 names_len;
	struct names	 names;		/* they stand behind rcpts */
	uint8_t		 place;
	uint8_t		 hops;
	bool		 is_blamed;	/* one lie was logged */
	bool		 is_over;	/* root: nothing more from its agent */
	bool		 is_cancelled;	/* root: by job_give_up() */
	bool		 is_walked;	/* root: must not go at the moment */
	bool		 is_watched;
	bool		 is_told;	/* is_watched: CANCEL was sent */
	uint8_t		 rcpts[];	/* IS_ANSWERED ... */
};

/* ---- job.c ---- */

struct job	*job_find(struct submitter *, uint64_t id);
/* Of a DELIVER and what frame_deliver_facts() found in it. */
struct job	*job_new(struct service *, const struct frame *,
		    const struct deliver_facts *);
uint32_t	 job_age_ms(const struct job *);
/* A root from now on: this submitter's, under this id. */
void		 job_attach(struct job *, struct submitter *, uint64_t id);
/* The submitter has nothing to do with it any more. */
void		 job_detach(struct job *);
/* Keep the frame, for it has to wait or may be forwarded. */
void		 job_keep(struct job *, const void *bytes, uint32_t len);
void		 job_drop_bytes(struct job *);
/* Out of the queue it waits in. */
void		 job_unqueue(struct job *);
/* No longer at its child; the slot stays taken if the child owes an answer. */
void		 job_leave(struct job *, bool is_owed);
/* It is in no queue and at no child; its recipients are settled, or nobody
 * wants to know.  It is gone afterwards, unless it is a root with legs. */
void		 job_over(struct job *);
/* The rest is answered by us: `doubt` where end-of-data may have been sent.
 * It is over then. */
void		 job_fail(struct job *, const struct reply *plain,
		    const struct reply *doubt);
/* Our own answer for one recipient, logged. */
void		 job_answer(struct job *, uint32_t i, const struct reply *);
/* The agent's answer for one recipient. */
void		 job_pass_result(struct job *, uint32_t i,
		    const struct reply *, const struct frame *,
		    const void *bytes);
/* CANCEL to the child that has it. */
void		 job_cancel(struct job *);
/* A root is not wanted any more, with all its legs: what runs is cancelled,
 * what waits is over. */
void		 job_give_up(struct job *root);
/* A lie about recipients harms that delivery and is logged once. */
void		 job_blame(struct job *, const struct child *, const char *what);
/* A submitter's output passed all bounds: it does not read. */
void		 job_check_output(struct submitter *, int result);

/* Fails a job that no child has. */
#define job_refuse(j, ...)	do {					\
	struct arena *arena_ = arena_new(4096);				\
	struct reply reply_;						\
	reply_cause(&reply_, arena_, STAGE_NONE, __VA_ARGS__);		\
	job_fail((j), &reply_, &reply_);				\
	arena_free(arena_);						\
} while (0)

/* ---- job_log.c ---- */

/* room: facts.names_len bytes, which must stay. */
void		 names_init(struct names *, const struct frame *,
		    const struct deliver_facts *, char *room);
/* The final line of recipient i, whom the master answers for. */
void		 job_log(struct names *, uint32_t i, const char *relay,
		    uint64_t size, const struct answer *);
/* What an agent says that writes no lines: a RESULT, which is sound, and a
 * FORWARD. */
void		 job_log_result(struct job *, uint32_t i, const struct frame *);
void		 job_log_forwarded(struct names *, uint32_t i,
		    const char *relay, const char *next_relay);

/* ---- dispatch.c ---- */

/*
 * Give a job to a child, or queue it; false if there is no room for it.  bytes
 * are the frame unless the job keeps it already.
 */
bool		 dispatch_offer(struct job *, const void *bytes, uint32_t len);
bool		 dispatch_has_room(const struct service *);
/* At the end of its service's queue, room or not. */
void		 dispatch_queue(struct job *);

/* ---- forward.c ---- */

void		 forward_take(struct child *, struct job *,
		    const struct frame *);

/* ---- overdue.c ---- */

void		 overdue_watch(struct job *);	/* it runs from now on */
void		 overdue_tick(struct service *);
/* It owes answers, and nothing else is open at it. */
void		 overdue_kill(struct child *);

#endif
