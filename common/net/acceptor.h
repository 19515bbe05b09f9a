/*
 * acceptor.h - takes connections from a listening socket, a few in each turn.
 *
 * Where the process or the system has no descriptor or no memory left, the
 * socket would stay readable and the process spin: the acceptor logs why, rests
 * and tries again.  A client that is gone before it was accepted is passed
 * over.
 */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include <stdbool.h>

#include "net/addr.h"
#include "net/loop.h"

#define ACCEPTOR_BURST		16	/* in one turn; what most ask for */
#define ACCEPTOR_REST_MS	200	/* where accepting failed */

struct acceptor;

/*
 * Binds and listens; an IPv6 socket takes IPv6 alone: 0.0.0.0 and :: are two
 * addresses, whatever the system's default.  0, or -1 with errno.
 */
int		 acceptor_listen(int fd, const struct addr *, int backlog);

/*
 * A client; its descriptor, non-blocking and closed on exec, is the callee's.
 * from lives as long as the call; of a client without a name only the family is
 * known.  The callee may pause the acceptor, and must not free it.
 */
typedef void acceptor_cb(void *arg, int fd, const struct addr *from);

/*
 * Accepts at once, at most burst connections in a turn.  The socket is made
 * non-blocking and borrowed; the name is for logs and copied.  NULL with errno
 * where fd is of no use; it is the caller's still.
 */
struct acceptor	*acceptor_new(struct loop *, int fd, const char *name,
		    int burst, acceptor_cb *, void *arg);
/* Paused, clients wait in the socket. */
void		 acceptor_pause(struct acceptor *, bool);
void		 acceptor_free(struct acceptor *);
/* The same, and the socket is closed.  Never shut down: other processes may go
 * on listening. */
void		 acceptor_close(struct acceptor *);

#endif
