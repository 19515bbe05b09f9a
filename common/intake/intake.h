/*
 * intake.h - a process that takes mail by LMTP and hands it to the master;
 * what its parts share.  intake_main() does it all.
 */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include <sys/queue.h>

#include "base/buf.h"
#include "intake/conf.h"
#include "intake/spool.h"
#include "net/acceptor.h"
#include "net/loop.h"
#include "route/domain_map.h"

#define INTAKE_LISTENERS_MAX	128

struct session;
struct upstream;

struct intake_stats {		/* of this process */
	uint64_t	 connections;		/* accepted */
	uint64_t	 connections_refused;	/* for a limit */
	uint64_t	 transactions;		/* messages submitted */
	uint64_t	 bytes;			/* of these */
	uint64_t	 rcpts_delivered, rcpts_transient, rcpts_permanent;
	uint64_t	 rcpts_refused;		/* at RCPT */
	uint64_t	 protocol_errors;	/* commands refused */
};

struct intake {
	struct loop	*loop;
	const struct intake_conf *conf;
	const char	*hostname;
	unsigned	 keywords;
	struct domain_map patterns;
	struct upstream	*upstream;
	struct spool_store store;
	TAILQ_HEAD(, session) sessions;
	uint32_t	 nsessions;
	uint32_t	 nacceptors;
	struct acceptor	*acceptors[INTAKE_LISTENERS_MAX];
	uint64_t	 nsessions_ever;
	bool		 is_draining;
	bool		 is_overdue;	/* ... for too long */
	bool		 is_leaving;	/* the master is gone for good */
	struct timer	 overdue;
	struct intake_stats stats;
	/* Scratch for the session at work. */
	struct buf	 out;		/* replies of this turn */
	char		*line;		/* a command */
	char		 said[512];	/* a reply with a reason */
	/* The front's: statistics have changed; the last session of a drain is
	 * over. */
	void		(*changed)(void *front);
	void		(*idle)(void *front);
	void		*front;
};

/* The options are set: 0, or -1 with a text. */
int	intake_start(struct intake *, struct loop *, const struct intake_conf *,
	    char *error, size_t size);
/* Sessions that are there end at once; a turn of the loop, then all memory
 * goes. */
void	intake_stop(struct intake *);
/* The memory, where no session is left. */
void	intake_end(struct intake *);
/* Owned from here; accepted from at once.  -1 with errno, and the caller's
 * still: too many, or of no use. */
int	intake_listen(struct intake *, int fd, const char *name);
/* No new clients; idle() follows when the last is gone, perhaps at once. */
void	intake_drain(struct intake *);
/* There is no more time: sessions end with the transaction under way. */
void	intake_hurry(struct intake *);
/* The master is gone: clients are told so and left. */
void	intake_leave(struct intake *);
/* A session is gone. */
void	intake_session_over(struct intake *);
void	intake_each_stat(const struct intake *,
	    void (*)(void *arg, const char *name, uint64_t value), void *arg);

int	intake_main(int argc, char **argv);

#endif
