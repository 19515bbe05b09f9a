/*
 * cage_test.h - what is tried in a cage; private to the cage.
 *
 * The output of cage_test() is for `nexthop sandbox-test`, a line for each
 * attempt, fields separated by tabs:
 *
 *	name of the attempt
 *	"allowed" or "denied": what the policy says
 *	"allowed" or "denied": what it was
 *	how it was denied: a word of errno(3), or "ended by signal N"; or "-"
 *	"allowed" or "denied": the same without a cage
 */
#ifndef AGENT_CAGE_TEST_H
#define AGENT_CAGE_TEST_H

#include <stdint.h>
#include <sys/types.h>

#include "agent/cage_inner.h"

struct attempt_place {		/* made by who tests, outside */
	char		 folder[64];	/* the working folder */
	char		 socket[96];	/* a UNIX socket that listens */
	char		 abstract[64];	/* the name of one without a file */
	uint16_t	 port;		/* of a TCP socket that listens */
	pid_t		 other;		/* a process of ours that sleeps */
};

struct attempt {
	const char	*name;
	unsigned	 with;		/* CAGE_ ...: allowed to those who may
					 * any of it; 0: to nobody */
	bool		 is_sanitizers;	/* their run-time may do it */
	/* 0, or -1 with errno; may also end the process with status 0.  A
	 * call that is made with arguments that make no sense was allowed if
	 * it fails for them. */
	int		 (*try)(const struct attempt_place *);
};

#define CAGE_ALL	UINT32_MAX	/* `with`: everybody needs it */

extern const struct attempt cage_attempts[];	/* try NULL ends them */

#endif
