/*
 * listen.h - listening sockets of an intake: those that the master opened, and
 * those that it opens itself where it was started by hand.
 */
#ifndef INTAKE_LISTEN_H
#define INTAKE_LISTEN_H

#include <stddef.h>

#include "net/addr.h"
#include "net/loop.h"

struct listener;

/* A client; the descriptor is the callee's. */
typedef void listen_accepted(void *arg, int fd, const struct addr *from);

/* For option rows: NULL, or what is wrong with "unix:/path", "inet:127.0.0.1:24"
 * or "inet:[::1]:24". */
const char	*listen_check(const char *);

/* Binds to such an address, a stale socket's path included; the descriptor, or
 * -1 with a text.  A path is removed by listen_unlink(). */
int		 listen_bind(const char *address, char *error, size_t size);
void		 listen_unlink(const char *address);

/* Accepts from a listening socket, which is owned from here; the name is for
 * logs and copied. */
struct listener	*listener_new(struct loop *, int fd, const char *name,
		    listen_accepted *, void *arg);
/* Closed, never shut down: others may go on listening. */
void		 listener_free(struct listener *);

#endif
