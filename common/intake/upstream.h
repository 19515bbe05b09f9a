/*
 * upstream.h - deliveries on their way to the master and their answers, over a
 * channel that may be lost and come back.
 *
 * Each recipient of a part is answered exactly once: by a RESULT, or, where
 * the channel is lost, by a failure that says "may have been delivered" once
 * the DELIVER was given to the channel.
 */
#ifndef INTAKE_UPSTREAM_H
#define INTAKE_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "mail/frame.h"

struct arena;
struct channel;
struct upstream;

/* One DELIVER; from part_new(). */
struct part {
	TAILQ_ENTRY(part) next;
	uint64_t	 id;		/* 0: not sent */
	struct envelope	 env;		/* borrowed until it is sent */
	uint32_t	*rcpts;		/* which of the owner's, nrcpt of them;
					 * borrowed while there is an owner */
	uint32_t	 nrcpt;
	uint32_t	 open;
	uint8_t		*answered;	/* owned */
	const struct part_ops *ops;
	void		*owner;		/* NULL: nobody asks any more */
};

struct part_ops {
	/* Texts of the answer go into this arena. */
	struct arena	*(*arena)(void *owner);
	void		 (*answer)(void *owner, uint32_t rcpt,
			    const struct answer *);
	/* It is with the channel now: env is not read again. */
	void		 (*sent)(void *owner);
	/* All are answered; the part is gone after this. */
	void		 (*over)(void *owner, const struct part *);
};

struct part	*part_new(const struct part_ops *, void *owner,
		    uint32_t *rcpts, uint32_t n);

struct upstream	*upstream_new(void);
void		 upstream_free(struct upstream *);

/* The channel to use from now on, borrowed, and how many deliveries may be
 * open on it. */
void		 upstream_attach(struct upstream *, struct channel *,
		    uint32_t window);
/* It is lost: answers what was open. */
void		 upstream_detach(struct upstream *);
bool		 upstream_is_up(const struct upstream *);
uint32_t	 upstream_open(const struct upstream *);  /* parts, sent or not */

/* Takes a part: sent now, or when there is room. Callbacks may come inside this
 * call. */
void		 upstream_submit(struct upstream *, struct part *);
/* The owner goes: CANCEL; what is past stopping ends unheard. */
void		 upstream_abandon(struct upstream *, struct part *);
/* Output has left the channel. */
void		 upstream_drained(struct upstream *);
/* RESULT, STAGE or DONE: NULL, or how it breaks the protocol. */
const char	*upstream_frame(struct upstream *, const struct frame *);

#endif
