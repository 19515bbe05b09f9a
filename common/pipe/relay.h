/*
 * relay.h - deliveries to a program: which recipients, when, and what the end
 * of a run means for them.
 */
#ifndef PIPE_RELAY_H
#define PIPE_RELAY_H

#include "agent/agent.h"
#include "pipe/conf.h"

struct pipe_relay;

/* What conf points to must stay. */
struct pipe_relay *pipe_relay_new(struct agent *, const struct pipe_conf *,
	    char *error, size_t);

/* These fit struct agent_ops. */
void	 pipe_relay_free(void *);
void	 pipe_relay_abandon(void *);
void	 pipe_relay_deliver(void *, struct delivery *);
void	 pipe_relay_cancel(void *, struct delivery *);
bool	 pipe_relay_is_busy(void *);
void	 pipe_relay_stats(void *, agent_stat *, void *arg);

#endif
