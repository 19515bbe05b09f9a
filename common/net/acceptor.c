/* acceptor.c - accepts within bounds; rests where there are no descriptors. */
#include "net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

struct acceptor {
	struct event	 ev;
	struct timer	 retry;
	int		 fd;
	int		 burst;
	bool		 is_paused;	/* by the owner */
	char		*name;
	acceptor_cb	*accepted;
	void		*arg;
};

int
acceptor_listen(int fd, const struct addr *a, int backlog)
{
	int on = 1;

	if (addr_family(a) != AF_UNIX && setsockopt(fd, SOL_SOCKET,
	    SO_REUSEADDR, &on, sizeof(on)) == -1)
		return -1;
	if (addr_family(a) == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &on, sizeof(on)) == -1)
		return -1;
	return bind(fd, &a->u.sa, a->len) == 0 ? listen(fd, backlog) : -1;
}

static void
acceptor_watch(struct acceptor *a)
{
	if (a->is_paused)
		event_del(&a->ev);
	else
		event_add(&a->ev, NULL);
}

static void
on_retry(void *arg)
{
	acceptor_watch(arg);
}

/* Of one client, who is gone: Linux hands out what its network said. */
static bool
is_of_client(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case ENONET:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return true;
	default:
		return false;
	}
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;
	struct addr from;
	int i, got;

	(void)what;
	for (i = 0; i < a->burst && !a->is_paused; i++) {
		memset(&from, 0, sizeof(from));
		from.len = sizeof(from.u);
		got = accept4(fd, &from.u.sa, &from.len,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (got != -1)
			a->accepted(a->arg, got, &from);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (!is_of_client(errno)) {
			log_error("%s: accept: %s", a->name, strerror(errno));
			event_del(&a->ev);
			timer_set(&a->retry, ACCEPTOR_REST_MS);
			return;
		}
	}
}

struct acceptor *
acceptor_new(struct loop *loop, int fd, const char *name, int burst,
    acceptor_cb *accepted, void *arg)
{
	int flags = fcntl(fd, F_GETFL);
	struct acceptor *a;

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return NULL;
	a = xcalloc(1, sizeof(*a));
	a->fd = fd;
	a->burst = burst;
	a->name = xstrdup(name);
	a->accepted = accepted;
	a->arg = arg;
	timer_init(&a->retry, loop, on_retry, a);
	event_assign(&a->ev, loop_base(loop), fd, EV_READ | EV_PERSIST,
	    on_connection, a);
	event_add(&a->ev, NULL);
	return a;
}

void
acceptor_pause(struct acceptor *a, bool pause)
{
	if (a == NULL || a->is_paused == pause)
		return;
	a->is_paused = pause;
	acceptor_watch(a);
}

void
acceptor_free(struct acceptor *a)
{
	if (a == NULL)
		return;
	event_del(&a->ev);
	timer_clear(&a->retry);
	free(a->name);
	free(a);
}

void
acceptor_close(struct acceptor *a)
{
	int fd;

	if (a == NULL)
		return;
	fd = a->fd;
	acceptor_free(a);
	close(fd);
}
