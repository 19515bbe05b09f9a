/* listen.c - listening sockets that an intake opens itself. */
#include "intake/listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/acceptor.h"
#include "net/addr.h"

#define BACKLOG		1024

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

/* A socket that nobody listens on any more makes room; one whose queue is full
 * has somebody, and is not waited for. */
static void
clear_path(const struct addr *a)
{
	struct stat st;
	int fd;

	if (lstat(a->u.un.sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0)) == -1)
		return;
	if (connect(fd, &a->u.sa, a->len) == -1 && errno == ECONNREFUSED)
		unlink(a->u.un.sun_path);
	close(fd);
}

int
listen_bind(const char *address, char *error, size_t size)
{
	struct addr a;
	int fd;

	if (parse(address, &a) == -1) {
		snprintf(error, size, "%s: %s", address,
		    listen_check(address));
		return -1;
	}
	if (addr_family(&a) == AF_UNIX)
		clear_path(&a);
	fd = socket(addr_family(&a), SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (fd != -1 && acceptor_listen(fd, &a, BACKLOG) == 0)
		return fd;
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
