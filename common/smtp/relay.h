/*
 * relay.h - one envelope to the hosts that may take it: host after host,
 * address after address, over kept or new connections, until every recipient
 * has an answer.  Shared by the agents that speak SMTP or LMTP; an agent says
 * which hosts.
 */
#ifndef SMTP_RELAY_H
#define SMTP_RELAY_H

#include "agent/agent.h"
#include "net/addr.h"
#include "net/tls_conf.h"
#include "smtp/auth.h"
#include "smtp/conf.h"

struct smtp_relay;

#define RELAY_HOSTS_MAX	64

struct smtp_relay_conf {	/* what it points to must stay */
	const struct smtp_conf *smtp;
	const struct tls_conf *tls;
	const struct auth_conf *auth;
	const struct opt_list *hosts;	/* in order, at most RELAY_HOSTS_MAX */
	uint16_t	 default_port;	/* of a host given without one */
	bool		 is_lmtp;
};

/* For the option row of hosts: NULL, or what is wrong. */
const char	*smtp_relay_check_host(const char *);

struct smtp_relay *smtp_relay_new(struct agent *,
	    const struct smtp_relay_conf *, char *error, size_t);

/* These fit struct agent_ops. */
void	 smtp_relay_free(void *);
void	 smtp_relay_deliver(void *, struct delivery *);
void	 smtp_relay_cancel(void *, struct delivery *);
void	 smtp_relay_drain(void *);
bool	 smtp_relay_is_busy(void *);
void	 smtp_relay_stats(void *, agent_stat *, void *arg);

#endif
