/* test_acceptor.c - clients of a listening socket, and none where there is no
 * descriptor. */
#include "net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net_test.h"

#define MANY	5

static struct loop *loop;
static struct acceptor *acceptor;
static struct sockaddr_in where;
static int clients[2 * ACCEPTOR_BURST], nclients;
static struct {
	int	 n, fd;		/* accepted; the last one */
	int	 pause_at;	/* 0: never */
	uint16_t port;		/* of the last one */
} seen;
static bool is_there;		/* somebody was accepted */
static struct {
	int	 n;
	char	 last[256];
} said;				/* in the log */

static void
on_log(enum log_level level, const char *line)
{
	(void)level;
	said.n++;
	strlcpy(said.last, line, sizeof(said.last));
}

/* A listening socket of 127.0.0.1, blocking as systemd's are. */
static int
listen_any(void)
{
	socklen_t len = sizeof(where);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&where, 0, sizeof(where));
	where.sin_family = AF_INET;
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)&where, len) == -1 ||
	    listen(fd, 2 * ACCEPTOR_BURST) == -1 ||
	    getsockname(fd, (struct sockaddr *)&where, &len) == -1)
		abort();
	return fd;
}

static void
connect_some(int n)
{
	int fd;

	while (n-- > 0) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd == -1 || connect(fd, (struct sockaddr *)&where,
		    sizeof(where)) == -1)
			abort();
		clients[nclients++] = fd;
	}
}

static void
disconnect_all(void)
{
	while (nclients > 0)
		close(clients[--nclients]);
}

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	is_str(arg, "arg", "the argument");
	seen.n++;
	seen.fd = fcntl(fd, F_GETFL) & O_NONBLOCK ? fcntl(fd, F_GETFD) : -1;
	seen.port = addr_port(from);
	close(fd);
	is_there = true;
	if (seen.n == seen.pause_at)
		acceptor_pause(acceptor, true);
}

static void
start(int burst)
{
	static char arg[] = "arg";

	memset(&seen, 0, sizeof(seen));
	memset(&said, 0, sizeof(said));
	is_there = false;
	acceptor = acceptor_new(loop, listen_any(), "inet:test", burst,
	    on_accepted, arg);
}

static void
end(void)
{
	acceptor_close(acceptor);
	disconnect_all();
}

static void
test_accepted(void)
{
	struct sockaddr_in self;
	socklen_t len = sizeof(self);
	int before = count_fds();

	start(ACCEPTOR_BURST);
	ok(acceptor != NULL, "a blocking socket is taken");
	connect_some(1);
	getsockname(clients[0], (struct sockaddr *)&self, &len);
	ok(turn_until(loop, &is_there), "a client comes");
	is_int(seen.fd, FD_CLOEXEC, "non-blocking, and closed on exec");
	is_int(seen.port, ntohs(self.sin_port), "from where it came");
	turn_some(loop);	/* accept4 with nobody there must not block */
	is_int(seen.n, 1, "once");
	end();
	is_int(count_fds(), before, "the socket is closed with it");

	errno = 0;
	ok(acceptor_new(loop, 9999, "none", 1, on_accepted, NULL) == NULL,
	    "no descriptor, no acceptor");
	is_int(errno, EBADF, "and why");
	acceptor_free(NULL);
	acceptor_close(NULL);
	acceptor_pause(NULL, true);
}

static void
test_borrowed(void)
{
	int fd = listen_any();

	acceptor = acceptor_new(loop, fd, "inet:test", 1, on_accepted, NULL);
	acceptor_free(acceptor);
	ok(fcntl(fd, F_GETFD) != -1, "free leaves the socket open");
	close(fd);
}

static void
test_burst(void)
{
	start(MANY);
	connect_some(2 * MANY);
	loop_turn(loop, 10000);
	is_int(seen.n, MANY, "in one turn as many as asked for");
	loop_turn(loop, 10000);
	is_int(seen.n, 2 * MANY, "the others in the next");
	end();
}

static void
test_pause(void)
{
	start(ACCEPTOR_BURST);
	seen.pause_at = 2;
	connect_some(MANY);
	turn_some(loop);
	is_int(seen.n, 2, "paused by the callee: no more, even in this turn");
	acceptor_pause(acceptor, true);
	acceptor_pause(acceptor, false);
	turn_some(loop);
	is_int(seen.n, MANY, "resumed: those that waited");
	end();
}

/* A ceiling for descriptors that leaves room for none. */
static struct rlimit
allow_none(void)
{
	struct rlimit was, none;
	int lowest = dup(0);

	close(lowest);
	getrlimit(RLIMIT_NOFILE, &was);
	none.rlim_cur = (rlim_t)lowest;
	none.rlim_max = was.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	return was;
}

/*
 * The socket is readable all the time.  An acceptor that does not rest would
 * try, and log, in each of the turns.
 */
static void
test_no_files(void)
{
	struct rlimit was;
	int64_t began;

	start(ACCEPTOR_BURST);
	connect_some(MANY);
	was = allow_none();
	began = clock_mono_ms();
	loop_turn(loop, 10000);
	turn_some(loop);
	setrlimit(RLIMIT_NOFILE, &was);
	turn_some(loop);
	if (clock_mono_ms() - began < ACCEPTOR_REST_MS) {
		is_int(said.n, 1, "said once");
		is_int(seen.n, 0, "at rest, though there are descriptors");
	}
	is_str(said.last, "inet:test: accept: Too many open files", "why");
	ok(turn_until(loop, &is_there), "tried again, without being told");
	ok(clock_mono_ms() - began >= ACCEPTOR_REST_MS / 2, "after the rest");
	turn_some(loop);
	is_int(seen.n, MANY, "and nobody was lost");
	end();
}

static void
test_no_files_paused(void)
{
	struct rlimit was;

	start(ACCEPTOR_BURST);
	connect_some(MANY);
	was = allow_none();
	loop_turn(loop, 10000);
	setrlimit(RLIMIT_NOFILE, &was);
	acceptor_pause(acceptor, true);
	turn_for(loop, 2 * ACCEPTOR_REST_MS);
	is_int(said.n, 1, "no descriptor");
	is_int(seen.n, 0, "the end of the rest is not the end of a pause");
	acceptor_pause(acceptor, false);
	turn_some(loop);
	is_int(seen.n, MANY, "which comes when it is told");
	end();
}

/* At rest, and gone: nothing comes of it. */
static void
test_no_files_closed(void)
{
	struct rlimit was;

	start(ACCEPTOR_BURST);
	connect_some(1);
	was = allow_none();
	loop_turn(loop, 10000);
	setrlimit(RLIMIT_NOFILE, &was);
	is_int(said.n, 1, "no descriptor");
	end();
	turn_for(loop, 2 * ACCEPTOR_REST_MS);
	is_int(seen.n, 0, "closed at rest: no more");
}

/* A socket that listens no more fails for good: said, and no spinning. */
static void
test_shut(void)
{
	int fd = listen_any();
	int64_t began = clock_mono_ms();

	memset(&said, 0, sizeof(said));
	acceptor = acceptor_new(loop, fd, "inet:test", 1, on_accepted, NULL);
	shutdown(fd, SHUT_RDWR);
	turn_some(loop);
	is_str(said.last, "inet:test: accept: Invalid argument",
	    "a socket of no use: said");
	ok(said.n <= 1 + (clock_mono_ms() - began) / ACCEPTOR_REST_MS,
	    "not in each turn");
	acceptor_close(acceptor);
}

int
main(void)
{
	loop = loop_new();
	log_set_sink(on_log, LOG_LEVEL_ERROR);
	test_accepted();
	test_borrowed();
	test_burst();
	test_pause();
	test_no_files();
	test_no_files_paused();
	test_no_files_closed();
	test_shut();
	loop_free(loop);
	return done_testing();
}
