/*
 * daemon.c - what a process in the background owes the system: a parent that
 * waits for the start, stderr as lines of the log, systemd's readiness, the
 * pid file.
 */
#include "master.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define LINE_MAX_BYTES	1024

int
daemon_fork(void)
{
	unsigned char status = EX_SOFTWARE;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		err(EX_OSERR, "pipe");
	log_flush();
	if ((pid = fork()) == -1)
		err(EX_OSERR, "fork");
	if (pid == 0) {
		close(fds[0]);
		setsid();
		/* Nobody waits for the end of our output; stderr stays for
		 * the faults of the start. */
		dup2(STDIN_FILENO, STDOUT_FILENO);
		return fds[1];
	}
	close(fds[1]);
	/* Closed without a word: it died; EX_SOFTWARE stays. */
	while (read(fds[0], &status, 1) == -1 && errno == EINTR)
		;
	_exit(status);
}

void
daemon_ready(int fd, int status)
{
	unsigned char byte = (unsigned char)status;

	if (fd == -1)
		return;
	while (write(fd, &byte, 1) == -1 && errno == EINTR)
		;
	close(fd);
}

/* ---- stderr ---- */

struct lines {
	struct event	 ev;
	char		 text[LINE_MAX_BYTES];
	size_t		 len;
};

static void
log_lines(struct lines *l)
{
	char *end, shown[2 * LINE_MAX_BYTES];
	size_t n;

	while ((end = memchr(l->text, '\n', l->len)) != NULL ||
	    l->len == sizeof(l->text) - 1) {
		n = end != NULL ? (size_t)(end - l->text) : l->len;
		str_escape(shown, sizeof(shown), l->text, n);
		log_info("agent: %s", shown);
		n += end != NULL;
		l->len -= n;
		memmove(l->text, l->text + n, l->len);
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct lines *l = arg;
	ssize_t n;

	(void)what;
	n = read(fd, l->text + l->len, sizeof(l->text) - 1 - l->len);
	if (n <= 0)
		return;
	l->len += (size_t)n;
	log_lines(l);
}

FILE *
daemon_stderr_to_log(struct loop *loop)
{
	static struct lines lines;
	int fds[2], was;

	if ((was = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) == -1 ||
	    pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return stderr;
	/* Agents block, rather than fail, while we are busy. */
	fcntl(fds[1], F_SETFL, 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	event_assign(&lines.ev, loop_base(loop), fds[0],
	    EV_READ | EV_PERSIST, on_readable, &lines);
	event_add(&lines.ev, NULL);
	return fdopen(was, "w");
}

/* ---- systemd and the pid file ---- */

void
daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t len;
	int fd;

	if (path == NULL || strlen(path) >= sizeof(sun.sun_path) ||
	    (*path != '/' && *path != '@'))
		return;
	memcpy(sun.sun_path, path, strlen(path));
	if (*path == '@')
		sun.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	    (struct sockaddr *)(void *)&sun, len) == -1)
		log_warning("systemd's socket: %s", strerror(errno));
	close(fd);
}

int
daemon_pid_file(const char *path, char *error, size_t size)
{
	FILE *f = fopen(path, "we");

	if (f != NULL && fprintf(f, "%d\n", (int)getpid()) > 0 &&
	    fclose(f) == 0)
		return 0;
	snprintf(error, size, "%s: %s", path, strerror(errno));
	return -1;
}

void
daemon_pid_file_end(const char *path)
{
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (f == NULL)
		return;
	if (fscanf(f, "%d", &pid) == 1 && pid == (int)getpid())
		unlink(path);
	fclose(f);
}
