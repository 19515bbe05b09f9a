/*
 * share.h - connections per remote host counted over the processes of a relay.
 *
 * With `processes` = N a relay's agents share a piece of memory that the
 * master made.  Each process has a column of its own in the row of a host; the
 * sum of the row is what the limit holds for.  A process that dies leaves its
 * column to the master, who clears it.  No lock is ever held: a process adds
 * itself first and takes that back where the sum is too large, so two may
 * refuse each other, but the limit is never passed.
 */
#ifndef NET_SHARE_H
#define NET_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"

#define SHARE_PROCESSES_MAX	64
#define SHARE_ENV		"NEXTHOP_SHARE"	/* "DESCRIPTOR:INDEX" */

struct share;
struct share_row;

/* The master's side: memory and its descriptor (close-on-exec); NULL with
 * errno. */
struct share	*share_new(unsigned processes, int *fd_r);
/* Process `index` has ended: what it held is free. */
void		 share_clear(struct share *, unsigned index);
/* An agent's side; NULL with errno where fd is no such memory. */
struct share	*share_open(int fd, unsigned index);
void		 share_free(struct share *);

/* The row of a host; NULL where the table is full: the host then counts for
 * each process alone. */
struct share_row *share_row(struct share *, const struct addr *);
/* One more connection of this process if the sum stays within the limit, and
 * others that wait keep their part of it. */
bool		 share_take(struct share *, struct share_row *,
		    uint32_t limit);
void		 share_give(struct share *, struct share_row *);
/* Whether deliveries of this process wait for the host. */
void		 share_set_waiting(struct share *, struct share_row *, bool);
/* Another process waits for the host. */
bool		 share_others_wait(struct share *, struct share_row *);
/* Another process waits and this one holds more than its part of the limit. */
bool		 share_must_yield(struct share *, struct share_row *,
		    uint32_t limit);

#endif
