/*
 * endpoint.h - where a test server listens: a TCP port or a UNIX socket.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include <sys/socket.h>

#include <stdbool.h>

/* Holds no resources: nothing to free. */
struct endpoint {
	struct sockaddr_storage	addr;
	socklen_t		len;
};

/* The parsers take numbers only, no names; 0, or -1 for a bad text. */
int	 endpoint_tcp(struct endpoint *, const char *host, const char *port);
int	 endpoint_unix(struct endpoint *, const char *path);
/* HOST:PORT, [V6]:PORT or unix:PATH */
int	 endpoint_parse(struct endpoint *, const char *text);

bool	 endpoint_is_loopback(const struct endpoint *);
/* 0 for a UNIX socket, and before the kernel has chosen one. */
unsigned endpoint_port(const struct endpoint *);

/*
 * Bind and listen.  Returns a non-blocking descriptor that the caller owns,
 * or -1 and errno; the port chosen by the kernel is filled in.  A buffer size
 * of 0 leaves the kernel's.  A stale socket file in the way is removed.
 */
int	 endpoint_listen(struct endpoint *, int backlog, int rcvbuf,
	    int sndbuf);
/* Remove the socket file, if it is one.  Async-signal-safe. */
void	 endpoint_unlink(const struct endpoint *);

/*
 * Write the port and a LF to a file that appears complete: whoever waits for
 * the file may connect.  0, or -1 and errno.
 */
int	 endpoint_port_file(const struct endpoint *, const char *path);

#endif
