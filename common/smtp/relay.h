/*
 * relay.h - one envelope to the hosts that may take it: host after host,
 * address after address, over kept or new connections, until every recipient
 * has an answer.  Shared by the agents that speak SMTP or LMTP; an agent
 * brings the router that says which hosts.
 */
#ifndef SMTP_RELAY_H
#define SMTP_RELAY_H

#include "agent/agent.h"
#include "net/tls_conf.h"
#include "route/route.h"
#include "smtp/auth.h"
#include "smtp/conf.h"

struct smtp_relay;

struct smtp_relay_conf {	/* what it points to must stay */
	const struct smtp_conf *smtp;
	const struct tls_conf *tls;
	const struct auth_conf *auth;
	struct router	 router;	/* the relay's from then on */
	char		*ehlo;		/* likewise; NULL: made of the options */
	bool		 is_lmtp;
};

/* Takes router and ehlo also where it fails: NULL with a text. */
struct smtp_relay *smtp_relay_new(struct agent *,
	    const struct smtp_relay_conf *, char *error, size_t);

/* These fit struct agent_ops. */
void	 smtp_relay_free(void *);
void	 smtp_relay_deliver(void *, struct delivery *);
void	 smtp_relay_cancel(void *, struct delivery *);
void	 smtp_relay_over(void *, struct delivery *);
void	 smtp_relay_explain(void *, const struct agent_explain *);
void	 smtp_relay_drain(void *);
bool	 smtp_relay_is_busy(void *);
void	 smtp_relay_stats(void *, agent_stat *, void *arg);

#endif
