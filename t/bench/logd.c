/*
 * logd.c - a daemon that takes what is logged and throws it away, and what the
 * kernel alone asks for sending it there, as lines of "name value unit".
 *
 *	logd SOCKET				until SIGTERM: what has come
 *	logd --send=COUNT --size=BYTES SOCKET	the CPU of so many datagrams
 *
 * As syslogd and journald do it, the daemon waits for each datagram, takes one,
 * and wants to know who sent it and when.  SOCKET that ends with /stdout is a
 * stream of lines, as the journal has one.
 *
 * Datagrams are sent in batches, by a process that is busy in between, for the
 * time in which an agent makes that many lines.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <err.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define BATCH		64
#define LINE_S		20e-6	/* an agent at 50,000 a second */
#define BUFFER_BYTES	(256 * 1024)
#define CLIENTS_MAX	16
#define HEADER_LINES	7	/* of a stream to the journal */

static volatile sig_atomic_t is_over;
static char buffer[BUFFER_BYTES];

static double
seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
open_socket(const char *path, int type, struct sockaddr_un *sun_r)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	*sun_r = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (fd == -1 || strlcpy(sun_r->sun_path, path,
	    sizeof(sun_r->sun_path)) >= sizeof(sun_r->sun_path))
		errx(EX_USAGE, "%s: no path of a socket", path);
	return fd;
}

/* ---- the daemon ---- */

static void
on_signal(int sig)
{
	(void)sig;
	is_over = 1;
}

static uint64_t records, bytes;

static void
take_datagram(int fd)
{
	union {
		struct cmsghdr align;
		char	 space[256];
	} control;
	struct iovec iov = { buffer, sizeof(buffer) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return;
	records++;
	bytes += (uint64_t)n;
}

/* false: it has gone. */
static bool
take_lines(int fd)
{
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	const char *p = buffer;

	if (n <= 0)
		return false;
	bytes += (uint64_t)n;
	while ((p = memchr(p, '\n', (size_t)(buffer + n - p))) != NULL) {
		p++;
		records++;
	}
	return true;
}

static void
serve_datagrams(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
	while (!is_over)
		if (poll(&p, 1, -1) == 1)
			take_datagram(fd);
}

static void
serve_streams(int fd)
{
	struct pollfd p[1 + CLIENTS_MAX] = { { fd, POLLIN, 0 } };
	nfds_t n = 1, i;

	if (listen(fd, CLIENTS_MAX) == -1)
		err(EX_OSERR, "listen");
	while (!is_over) {
		if (poll(p, n, -1) <= 0)
			continue;
		for (i = n - 1; i > 0; i--)
			if (p[i].revents != 0 && !take_lines(p[i].fd)) {
				close(p[i].fd);
				p[i] = p[--n];
			}
		if (p[0].revents == 0 || n > CLIENTS_MAX)
			continue;
		p[n].fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (p[n].fd == -1)
			continue;
		p[n].events = POLLIN;
		p[n++].revents = 0;
		records -= HEADER_LINES;
	}
}

static void
serve(const char *path)
{
	const struct sigaction sa = { .sa_handler = on_signal };
	const size_t n = strlen(path);
	bool is_stream = n > 7 && strcmp(path + n - 7, "/stdout") == 0;
	struct sockaddr_un sun;
	int fd = open_socket(path, is_stream ? SOCK_STREAM : SOCK_DGRAM, &sun);

	sigaction(SIGTERM, &sa, NULL);
	if (bind(fd, (struct sockaddr *)(void *)&sun, sizeof(sun)) == -1 ||
	    chmod(path, 0666) == -1)
		err(EX_OSERR, "%s", path);
	if (is_stream)
		serve_streams(fd);
	else
		serve_datagrams(fd);
	printf("records %ju count\nbytes %ju bytes\n", (uintmax_t)records,
	    (uintmax_t)bytes);
}

/* ---- what it costs to send there ---- */

static void
send_datagrams(const char *path, long count, size_t size)
{
	struct mmsghdr msgs[BATCH];
	struct iovec iov = { buffer, size };
	struct sockaddr_un sun;
	int fd = open_socket(path, SOCK_DGRAM, &sun), i, sent;
	double cpu_s = 0, start_s, due_s;
	long at;

	if (connect(fd, (struct sockaddr *)(void *)&sun, sizeof(sun)) == -1)
		err(EX_OSERR, "%s", path);
	memset(buffer, 'x', size);
	memset(msgs, 0, sizeof(msgs));
	for (i = 0; i < BATCH; i++) {
		msgs[i].msg_hdr.msg_iov = &iov;
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	for (at = 0; at < count; at += sent) {
		due_s = seconds(CLOCK_MONOTONIC) + BATCH * LINE_S;
		start_s = seconds(CLOCK_THREAD_CPUTIME_ID);
		sent = sendmmsg(fd, msgs, count - at < BATCH ?
		    (unsigned)(count - at) : BATCH, MSG_NOSIGNAL);
		if (sent == -1)
			err(EX_OSERR, "send");
		cpu_s += seconds(CLOCK_THREAD_CPUTIME_ID) - start_s;
		while (seconds(CLOCK_MONOTONIC) < due_s)
			;
	}
	printf("datagram_cpu %.3f us\n", cpu_s * 1e6 / (double)count);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "send", required_argument, NULL, 'n' },
		{ "size", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 }
	};
	long count = 0, size = 200;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (opt == 'n')
			count = strtol(optarg, NULL, 10);
		else if (opt == 's')
			size = strtol(optarg, NULL, 10);
		else
			return EX_USAGE;
	if (argc != optind + 1 || size < 1 || size > BUFFER_BYTES)
		errx(EX_USAGE, "usage: logd [--send=COUNT] [--size=BYTES] "
		    "SOCKET");
	if (count > 0)
		send_datagrams(argv[optind], count, (size_t)size);
	else
		serve(argv[optind]);
	return 0;
}
