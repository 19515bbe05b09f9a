/*
 * loop.h - the event loop: a thin cover over libevent's base.
 *
 * Rules that all code here relies on: a callback never runs inside the call
 * that registers it; loop_later() runs after the callbacks of this turn, in
 * the order of registration, so that an object may be freed from its own
 * callback by loop_later(free).  Work that should be done once per turn for
 * many events (flushing frames, logs) registers with loop_later() too.
 *
 * An event that the kernel refuses would never come: the process logs it and
 * exits with EX_OSERR.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;

typedef void loop_cb(void *arg);

TAILQ_HEAD(later_list, later);

/*
 * A job for the end of the turn; embedded in its owner.  It may also wait in
 * a list of somebody else's (list != NULL) who hands it to loop_later() when
 * its condition has come; loop_forget() takes it out of either.
 */
struct later {
	TAILQ_ENTRY(later) next;
	struct later_list *list;
	loop_cb		*cb;
	void		*arg;
	bool		 is_queued;
};

/*
 * A timer; embedded.  timer_set() to a later moment than the one it is armed
 * for costs nothing: it fires, sees the new moment and sleeps on.
 */
struct timer {
	struct event	 ev;
	struct loop	*loop;
	loop_cb		*cb;
	void		*arg;
	int64_t		 due_ms;	/* monotonic; 0 = off */
	int64_t		 armed_ms;	/* when ev fires; 0 = not pending */
};

struct loop	*loop_new(void);	/* ends the process where it fails */
/* Timers, events and jobs must have been taken out. */
void		 loop_free(struct loop *);
struct event_base *loop_base(struct loop *);	/* borrowed */

/* Runs until loop_stop(); returns the status given to it. */
int		 loop_run(struct loop *);
/* One turn: waits for events at most max_ms (-1: without end), then runs
 * them and what they put off.  For tests and for draining. */
void		 loop_turn(struct loop *, int max_ms);
void		 loop_stop(struct loop *, int status);

/* Monotonic time, read once a turn. */
int64_t		 loop_now_ms(struct loop *);
int64_t		 loop_now_us(struct loop *);

void		 later_init(struct later *, loop_cb *, void *arg);
/* Again while it waits: no effect. */
void		 loop_later(struct loop *, struct later *);
void		 later_hold(struct later_list *, struct later *);
void		 loop_forget(struct loop *, struct later *);

void		 timer_init(struct timer *, struct loop *, loop_cb *,
		    void *arg);
void		 timer_set(struct timer *, int64_t after_ms);
void		 timer_stop(struct timer *);	/* cheap; may stay armed */
void		 timer_clear(struct timer *);	/* before its memory goes */

#endif
