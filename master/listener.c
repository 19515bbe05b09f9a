/*
 * listener.c - takes connections from a listening socket of ours.
 */
#include "master.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ACCEPT_MAX	16		/* in one turn */
#define NO_FILES_MS	200		/* pause after EMFILE */

struct listener {
	struct sockets	*sockets;
	struct listen_socket *socket;
	struct event	 ev;
	struct timer	 retry;
	bool		 is_paused;
	void		(*accepted)(void *, int);
	void		*arg;
};

static void
listener_watch(struct listener *l)
{
	if (l->is_paused)
		event_del(&l->ev);
	else
		event_add(&l->ev, NULL);
}

static void
on_retry(void *arg)
{
	listener_watch(arg);
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	int i, got;

	(void)what;
	for (i = 0; i < ACCEPT_MAX && !l->is_paused; i++) {
		got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (got != -1) {
			l->accepted(l->arg, got);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS) {
			log_error("%s: accept: %s", l->socket->address,
			    strerror(errno));
			event_del(&l->ev);
			timer_set(&l->retry, NO_FILES_MS);
		}
		return;
	}
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
	timer_init(&l->retry, loop, on_retry, l);
	event_assign(&l->ev, loop_base(loop), s->fd, EV_READ | EV_PERSIST,
	    on_connection, l);
	event_add(&l->ev, NULL);
	return l;
}

void
listener_pause(struct listener *l, bool pause)
{
	if (l == NULL || l->is_paused == pause)
		return;
	l->is_paused = pause;
	listener_watch(l);
}

void
listener_close(struct listener *l)
{
	if (l == NULL)
		return;
	event_del(&l->ev);
	timer_clear(&l->retry);
	sockets_release(l->sockets, l->socket);
	free(l);
}
