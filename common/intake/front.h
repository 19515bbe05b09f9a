/*
 * front.h - who started an intake: the master, or a person.  Private to
 * common/intake.
 */
#ifndef INTAKE_FRONT_H
#define INTAKE_FRONT_H

#include "conf/option.h"
#include "intake/intake.h"

/* A child of the master: sockets, options and deliveries go over the channel
 * at this descriptor.  The exit status of the process. */
int	front_door(struct intake *, struct loop *, struct opts *, int fd);
/* By hand: binds the sockets itself and is a submitter of a running master. */
int	front_hand(struct intake *, struct loop *, struct opts *, int argc,
	    char **argv);

#endif
