/*
 * endpoint.c - where a test server listens: a TCP port or a UNIX socket.
 */
#include "endpoint.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
socket_path(const struct endpoint *e)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&e->addr;

	return e->addr.ss_family == AF_UNIX ? un->sun_path : NULL;
}

int
endpoint_tcp(struct endpoint *e, const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	}, *found;
	const char *error;

	strtonum(port, 0, 65535, &error);
	if (error != NULL || getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	memcpy(&e->addr, found->ai_addr, found->ai_addrlen);
	e->len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

int
endpoint_unix(struct endpoint *e, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&e->addr;

	memset(&e->addr, 0, sizeof e->addr);
	un->sun_family = AF_UNIX;
	e->len = sizeof *un;
	if (path[0] == '\0' ||
	    strlcpy(un->sun_path, path, sizeof un->sun_path) >=
	    sizeof un->sun_path)
		return -1;
	return 0;
}

int
endpoint_parse(struct endpoint *e, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t n;

	if (strncmp(text, "unix:", 5) == 0)
		return endpoint_unix(e, text + 5);
	if (colon == NULL)
		return -1;
	n = colon - text;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof host)
		return -1;
	memcpy(host, text, n);
	host[n] = '\0';
	return endpoint_tcp(e, host, colon + 1);
}

bool
endpoint_is_loopback(const struct endpoint *e)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&e->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&e->addr;

	switch (e->addr.ss_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	default:
		return false;
	}
}

unsigned
endpoint_port(const struct endpoint *e)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&e->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&e->addr;

	if (e->addr.ss_family == AF_INET)
		return ntohs(in->sin_port);
	if (e->addr.ss_family == AF_INET6)
		return ntohs(in6->sin6_port);
	return 0;
}

void
endpoint_unlink(const struct endpoint *e)
{
	const char *path = socket_path(e);
	struct stat st;

	if (path != NULL && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

static int
listen_on(struct endpoint *e, int fd, int backlog, int rcvbuf, int sndbuf)
{
	int one = 1;

	if (e->addr.ss_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (e->addr.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	/* Accepted sockets inherit the sizes, window scale included. */
	if (rcvbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
	if (sndbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
	endpoint_unlink(e);
	if (bind(fd, (struct sockaddr *)&e->addr, e->len) == -1 ||
	    listen(fd, backlog) == -1)
		return -1;
	if (e->addr.ss_family == AF_UNIX)
		return 0;
	e->len = sizeof e->addr;
	return getsockname(fd, (struct sockaddr *)&e->addr, &e->len);
}

int
endpoint_listen(struct endpoint *e, int backlog, int rcvbuf, int sndbuf)
{
	int fd, saved;

	fd = socket(e->addr.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (listen_on(e, fd, backlog, rcvbuf, sndbuf) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int
endpoint_port_file(const struct endpoint *e, const char *path)
{
	char tmp[4096];
	FILE *f;

	if ((size_t)snprintf(tmp, sizeof tmp, "%s.%d.tmp", path,
	    (int)getpid()) >= sizeof tmp) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((f = fopen(tmp, "we")) == NULL)
		return -1;
	fprintf(f, "%u\n", endpoint_port(e));
	if (fclose(f) == 0 && rename(tmp, path) == 0)
		return 0;
	unlink(tmp);
	return -1;
}
