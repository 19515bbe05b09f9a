/* test_log_socket.c - records to a daemon that is slow, gone, or back. */
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_inner.h"
#include "net/loop.h"
#include "test.h"

#define MANY	400		/* several batches */

static char folder[] = "/tmp/nh.log.XXXXXX", own_path[64];
static const char *path = own_path;
static char got[1 << 20];

static char bytes[1 << 20];
static uint32_t ends[MANY];

/* Records "0 xxx", "1 xxx", each ended by the byte. */
static void
make_records(unsigned n, size_t size, char end)
{
	size_t at = 0;
	unsigned i;
	int k;

	for (i = 0; i < n; i++) {
		k = sprintf(bytes + at, "%u ", i);
		memset(bytes + at + k, 'x', size - (size_t)k);
		at += size;
		ends[i] = (uint32_t)at;
		bytes[at++] = end;
	}
}

static int
serve(int type)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(path);
	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	if (bind(fd, (struct sockaddr *)(void *)&sun, sizeof(sun)) == -1 ||
	    (type == SOCK_STREAM && listen(fd, 8) == -1))
		abort();
	return fd;
}

/* All that lies there, as text. */
static size_t
hear(int fd)
{
	size_t at = 0;
	ssize_t n;

	while (at < sizeof(got) - 1 &&
	    (n = recv(fd, got + at, sizeof(got) - 1 - at, MSG_DONTWAIT)) > 0)
		at += (size_t)n;
	got[at] = '\0';
	return at;
}

static unsigned
datagrams(int fd)
{
	unsigned n = 0;

	while (recv(fd, got, sizeof(got), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

static void
test_datagrams(void)
{
	struct log_socket s = { .path = path, .fd = -1 };
	int server = serve(SOCK_DGRAM);
	ssize_t n;

	make_records(3, 10, '\0');
	is_int(log_socket_send(&s, bytes, ends, 3), 0,
	    "datagrams: connected when first needed");
	ok(!s.is_stream, "by datagrams, where they are taken");
	n = recv(server, got, sizeof(got), 0);
	ok(n == 10 && memcmp(got, "0 xxxxxxxx", 10) == 0,
	    "one a record, without what ends it");
	is_int(datagrams(server), 2, "and one for each other");

	/* Its queue takes a few, then it takes nothing: the rest is counted,
	 * and told from what got through. */
	make_records(MANY, 2000, '\0');
	n = log_socket_send(&s, bytes, ends, MANY);
	ok(n > 0 && n < MANY, "a daemon that takes no more: %zd lost", n);
	is_int(datagrams(server), MANY - n, "the others are there");
	is_int(log_socket_send(&s, bytes, ends, 1), 0, "then it takes more");

	close(server);
	unlink(path);
	is_int(log_socket_send(&s, bytes, ends, 3), 3, "it has gone");
	is_int(log_socket_send(&s, bytes, ends, 3), 3,
	    "and is not looked for each time");
	server = serve(SOCK_DGRAM);
	s.tried_ms -= 1000;
	is_int(log_socket_send(&s, bytes, ends, 3), 0,
	    "but after a second");
	is_int(datagrams(server), 3, "and gets all");
	close(server);
	server = serve(SOCK_DGRAM);
	is_int(log_socket_send(&s, bytes, ends, 3), 0,
	    "it was restarted: nothing is lost");
	is_int(datagrams(server), 3, "the new one has them");
	log_socket_close(&s);
	close(server);
}

static int
accept_one(int server)
{
	return accept4(server, NULL, NULL, SOCK_CLOEXEC);
}

static void
test_syslog_stream(void)
{
	struct log_socket s = { .path = path, .fd = -1 };
	int server = serve(SOCK_STREAM), fd;
	size_t n;

	make_records(2, 5, '\0');
	is_int(log_socket_send(&s, bytes, ends, 2), 0, "a syslogd's stream");
	ok(s.is_stream, "is found out");
	fd = accept_one(server);
	n = hear(fd);
	ok(n == 12 && memcmp(got, "0 xxx\0" "1 xxx", 12) == 0,
	    "each record with its NUL: %zu", n);
	close(fd);
	is_int(log_socket_send(&s, bytes, ends, 2), 0, "restarted");
	fd = accept_one(server);
	is_int((intmax_t)hear(fd), 12, "the new one has them");
	log_socket_close(&s);
	close(fd);
	close(server);
}

/* Lines of text that are whole, but for the last one's end; -1: others. */
static int
whole_lines(const char *p, size_t size)
{
	int n = 0;

	for (; strlen(p) > size && p[size] == '\n'; p += size + 1)
		if (strspn(p, "0123456789 x") != size ||
		    strchr(p, ' ') > p + 3)
			return -1;
		else
			n++;
	return n;
}

static void
test_journal_stream(void)
{
	static const char header[] = "me\n\n22\n1\n0\n0\n0\n";
	const size_t head = strlen(header);
	struct log_socket s = { .path = path, .header = header, .fd = -1 };
	int server = serve(SOCK_STREAM), fd;
	unsigned lost;
	size_t n;

	make_records(MANY, 10, '\n');
	is_int(log_socket_send(&s, bytes, ends, MANY), 0, "the journal's");
	fd = accept_one(server);
	n = hear(fd);
	is_int((intmax_t)n, (intmax_t)head + MANY * 11, "all at once");
	ok(strncmp(got, header, head) == 0, "who we are comes first");
	is_int(whole_lines(got + head, 10), MANY, "then lines");

	/* It reads nothing: what is in its buffer ends within a line. */
	make_records(MANY, 2001, '\n');
	lost = log_socket_send(&s, bytes, ends, MANY);
	ok(lost > 0 && lost < MANY, "it reads nothing: %u lost", lost);
	is_int(s.fd, -1, "a line that was cut ends the connection");
	hear(fd);
	is_int(whole_lines(got, 2001), (intmax_t)(MANY - lost),
	    "what is not counted as lost was whole");
	close(fd);
	is_int(log_socket_send(&s, bytes, ends, 1), 1,
	    "it is not connected again at once");
	s.tried_ms -= 1000;
	is_int(log_socket_send(&s, bytes, ends, 1), 0, "but after a second");
	fd = accept_one(server);
	hear(fd);
	ok(strncmp(got, header, head) == 0 &&
	    whole_lines(got + head, 2001) == 1,
	    "it begins anew, with no rest of an old line");
	close(fd);
	close(server);
	unlink(path);
	is_int(log_socket_send(&s, bytes, ends, 2), 2, "it has gone");
	is_int(s.fd, -1, "nothing is left open");
	log_socket_close(&s);
}

/* To wait for it would take a second each time. */
static void
test_no_accept(void)
{
	struct log_socket s = { .path = path, .header = "me\n", .fd = -1 };
	struct log_socket waiting[8];
	int server = serve(SOCK_STREAM), tries;
	int64_t start_ms, took_ms = 1000;
	unsigned n = 0;

	listen(server, 0);
	for (; n < 8; n++) {
		waiting[n] = s;
		if (log_socket_connect(&waiting[n]) == -1)
			break;
	}
	ok(n > 0 && n < 8, "a daemon that accepts nobody: %u wait", n);
	/* This process may have to wait for the processor, but not always. */
	for (tries = 0; tries < 5 && took_ms >= 1000; tries++) {
		start_ms = clock_mono_ms();
		if (log_socket_connect(&s) == 0)
			break;
		took_ms = clock_mono_ms() - start_ms;
	}
	ok(took_ms < 1000, "it is not waited for: %d ms", (int)took_ms);
	while (n-- > 0)
		log_socket_close(&waiting[n]);
	close(server);
}

/* ---- by log.c, as the journal ---- */

/* The number in the last datagram's log_lost; others are counted. */
static int
hear_lost(int fd, unsigned *others)
{
	const char *lost;
	ssize_t n;
	int lines = -1;

	while ((n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT)) > 0) {
		got[n] = '\0';
		if ((lost = strstr(got, "NEXTHOP_LINES=")) != NULL)
			lines = atoi(lost + strlen("NEXTHOP_LINES="));
		else
			(*others)++;
	}
	return lines;
}

static void
test_lost_twice(int server)
{
	static char text[1001];
	unsigned heard = 0, i;

	memset(text, 'x', sizeof(text) - 1);
	log_set_text("journald:info");
	for (i = 0; i < MANY; i++)
		log_info("%s", text);
	log_flush();
	ok(recv(server, got, sizeof(got), MSG_DONTWAIT) > 0,
	    "lost: the daemon takes one");
	log_info("%s", text);		/* has its place; the count has none */
	log_flush();
	is_int(hear_lost(server, &heard), -1,
	    "lost: no room for the line that tells it");
	log_info("after");
	log_flush();
	i = (unsigned)hear_lost(server, &heard);
	is_int(i + heard + 1, MANY + 2, "lost: it is told later, in full");
}

/* Lines until one is held; how many. */
static int
log_until_held(void)
{
	int n = 0, wait_ms;

	do {
		log_info("line %d", ++n);
		wait_ms = log_turn();
	} while (wait_ms == 0 && n < 10000);
	return wait_ms > 0 && wait_ms <= LOG_HOLD_MS ? n : -1;
}

/* Lines, as they come, for ten seconds at most. */
static int
hear_lines(int fd, int want)
{
	struct pollfd p = { fd, POLLIN, 0 };
	int n = 0;
	size_t i, k;

	while (n < want && poll(&p, 1, 10000) == 1)
		for (i = 0, k = hear(fd); i < k; i++)
			n += got[i] == '\n';
	return n;
}

static void
on_too_late(void *arg)
{
	(void)arg;
	_exit(0);
}

/* At last a process that logs some and then has nothing to do for a minute. */
static void
test_held(void)
{
	int server, fd, fds[2], n = 0, i;
	struct timer timer;
	struct loop *loop;
	pid_t pid;

	path = LOG_JOURNAL_STREAM_PATH;
	server = serve(SOCK_STREAM);
	log_set_text("journald-text:info");
	fd = accept_one(server);
	hear(fd);
	n = log_until_held();
	ok(n > 0, "held: soon after another a line is");
	is_int(hear_lines(fd, n - 1), n - 1, "held: not those before");
	is_int((intmax_t)hear(fd), 0, "held: it is not there");
	for (i = 0; i < 63; i++)
		log_info("more");
	is_int(log_turn(), 0, "held: but no more than 64 of them");
	is_int(hear_lines(fd, 64), 64, "held: all are there");
	n = log_until_held();
	log_warning("now");
	is_int(hear_lines(fd, n + 1), n + 1, "held: a warning takes it along");
	is_int(log_turn(), 0, "held: nothing is left");

	if (pipe(fds) == -1 || (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		loop = loop_new();
		timer_init(&timer, loop, on_too_late, NULL);
		timer_set(&timer, 60000);
		n = log_until_held();
		if (write(fds[1], &n, sizeof(n)) == sizeof(n))
			loop_run(loop);
		_exit(1);
	}
	ok(read(fds[0], &n, sizeof(n)) == sizeof(n) && n > 0 &&
	    hear_lines(fd, n) == n,
	    "held: not for longer, though nothing else happens");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	close(fd);
	close(server);
}

static void
test_as_journal(void)
{
	int server;

	if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL, MS_REC |
	    MS_PRIVATE, NULL) == -1 || mount("none", "/run", "tmpfs", 0,
	    NULL) == -1) {
		skip("no mount namespace of our own");
		return;
	}
	mkdir("/run/systemd", 0755);
	mkdir("/run/systemd/journal", 0755);
	path = LOG_JOURNAL_PATH;
	server = serve(SOCK_DGRAM);
	log_open("me");
	test_lost_twice(server);
	close(server);
	test_held();
	log_set_text("stderr:error");
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(own_path, sizeof(own_path), "%s/s", folder);
	test_datagrams();
	test_syslog_stream();
	test_journal_stream();
	test_no_accept();
	unlink(path);
	rmdir(folder);
	test_as_journal();
	return done_testing();
}
