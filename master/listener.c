/*
 * listener.c - takes connections from a listening socket of ours.
 */
#include "master.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "net/acceptor.h"

struct listener {
	struct sockets	*sockets;
	struct listen_socket *socket;
	struct acceptor	*acceptor;
	void		(*accepted)(void *, int);
	void		*arg;
};

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	struct listener *l = arg;

	(void)from;
	l->accepted(l->arg, fd);
}

struct listener *
listener_open(struct loop *loop, struct sockets *sockets, const char *path,
    const struct socket_look *look, void (*accepted)(void *, int), void *arg,
    char *error, size_t size, int *status_r)
{
	char *address = xasprintf("unix:%s", path);
	struct listen_socket *s = sockets_open(sockets, address, look, error,
	    size, status_r);
	struct listener *l;

	free(address);
	if (s == NULL)
		return NULL;
	l = xcalloc(1, sizeof(*l));
	l->sockets = sockets;
	l->socket = s;
	l->accepted = accepted;
	l->arg = arg;
	l->acceptor = acceptor_new(loop, s->fd, s->address, ACCEPTOR_BURST,
	    on_accepted, l);
	if (l->acceptor == NULL) {
		snprintf(error, size, "%s: %s", s->address, strerror(errno));
		*status_r = EX_OSERR;
		listener_close(l);
		return NULL;
	}
	return l;
}

void
listener_pause(struct listener *l, bool pause)
{
	if (l != NULL)
		acceptor_pause(l->acceptor, pause);
}

void
listener_close(struct listener *l)
{
	if (l == NULL)
		return;
	acceptor_free(l->acceptor);
	sockets_release(l->sockets, l->socket);
	free(l);
}
