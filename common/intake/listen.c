/* listen.c - listening sockets of an intake. */
#include "intake/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define BACKLOG		1024
#define ACCEPT_MAX	16		/* in one turn */
#define NO_FILES_MS	200		/* pause after EMFILE */

struct listener {
	struct loop	*loop;
	int		 fd;
	char		*name;
	struct event	 ev;
	struct timer	 retry;
	listen_accepted	*accepted;
	void		*arg;
};

static int
parse(const char *text, struct addr *to)
{
	struct arena *arena = arena_new(256);
	const char *error;
	struct hostspec h;
	int result = -1;

	if (strncmp(text, "unix:", 5) == 0)
		result = text[5] == '/' ? addr_unix(to, text + 5) : -1;
	else if (strncmp(text, "inet:", 5) == 0 &&
	    hostspec_parse(&h, text, 0, arena, &error) == 0 && h.port != 0)
		result = addr_parse(to, h.host, h.port);
	arena_free(arena);
	return result;
}

const char *
listen_check(const char *value)
{
	struct addr a;

	return parse(value, &a) == 0 ? NULL : "is neither unix:/path nor "
	    "inet:ADDRESS:PORT with an IP address (IPv6 in brackets)";
}

/* A socket that nobody listens on any more makes room. */
static void
clear_path(const struct addr *a)
{
	struct stat st;
	int fd;

	if (lstat(a->u.un.sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	if (connect(fd, &a->u.sa, a->len) == -1 && errno == ECONNREFUSED)
		unlink(a->u.un.sun_path);
	close(fd);
}

int
listen_bind(const char *address, char *error, size_t size)
{
	struct addr a;
	int fd, on = 1;

	if (parse(address, &a) == -1) {
		snprintf(error, size, "%s: %s", address,
		    listen_check(address));
		return -1;
	}
	if (addr_family(&a) == AF_UNIX)
		clear_path(&a);
	fd = socket(addr_family(&a), SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (fd != -1) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, &a.u.sa, a.len) == 0 && listen(fd, BACKLOG) == 0)
			return fd;
	}
	snprintf(error, size, "%s: %s", address, strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

void
listen_unlink(const char *address)
{
	if (strncmp(address, "unix:", 5) == 0)
		unlink(address + 5);
}

static void
on_retry(void *arg)
{
	struct listener *l = arg;

	event_add(&l->ev, NULL);
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	struct addr from;
	int i, got;

	(void)what;
	for (i = 0; i < ACCEPT_MAX; i++) {
		memset(&from, 0, sizeof(from));
		from.len = sizeof(from.u);
		got = accept4(fd, &from.u.sa, &from.len,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (got != -1) {
			l->accepted(l->arg, got, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS) {
			log_error("%s: accept: %s", l->name, strerror(errno));
			event_del(&l->ev);
			timer_set(&l->retry, NO_FILES_MS);
		}
		return;
	}
}

struct listener *
listener_new(struct loop *loop, int fd, const char *name,
    listen_accepted *accepted, void *arg)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	l->loop = loop;
	l->fd = fd;
	l->name = xstrdup(name);
	l->accepted = accepted;
	l->arg = arg;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	timer_init(&l->retry, loop, on_retry, l);
	event_assign(&l->ev, loop_base(loop), fd, EV_READ | EV_PERSIST,
	    on_connection, l);
	event_add(&l->ev, NULL);
	return l;
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	event_del(&l->ev);
	timer_clear(&l->retry);
	close(l->fd);
	free(l->name);
	free(l);
}
