/*
 * inherit.h - options of an agent that Postfix knows already, from the smtp_ or
 * lmtp_ parameters of main.cf.
 */
#ifndef AGENT_INHERIT_H
#define AGENT_INHERIT_H

#include "agent/agent.h"
#include "postfix/settings.h"

/* The parameters to ask for; NULL ends them. */
const char *const *inherit_names(const struct agent_ops *);
/*
 * Sets options that are not set.  What the administrator has set in main.cf
 * and the agent cannot honour is named in a warning.
 */
void	inherit_take(const struct agent_ops *, struct opts *,
	    const struct pf_settings *, const char *postconf);

#endif
