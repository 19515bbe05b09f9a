/*
 * upgrade_new.c - the side of the nexthop-master that takes another's place,
 * see upgrade.h.
 */
#include "upgrade.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/event.h"

#define SILENCE_MS	500

unsigned
upgrade_inherited(void)
{
	const char *letters = getenv(UPGRADE_ENV);
	size_t n = letters == NULL ? 0 : strlen(letters);

	return letters == NULL || n > UPGRADE_SOCKETS_MAX ||
	    strspn(letters, "og") != n ||
	    fcntl(UPGRADE_LINE_FD, F_GETFD) == -1 ? 0 : 1 + (unsigned)n;
}

void
upgrade_adopt(struct master *m)
{
	const char *letters = getenv(UPGRADE_ENV);
	char error[512];
	size_t i;

	for (i = 0; letters != NULL && letters[i] != '\0'; i++)
		if (sockets_adopt(&m->sockets, UPGRADE_FIRST_FD + (int)i,
		    letters[i] == 'g' ? SOCKET_GIVEN : SOCKET_LENT, error,
		    sizeof(error)) == -1)
			log_warning("%s; closed", error);
	fcntl(UPGRADE_LINE_FD, F_SETFD, FD_CLOEXEC);
	m->ready_fd = UPGRADE_LINE_FD;
	m->old_pid = getppid();
	unsetenv(UPGRADE_ENV);
}

void
upgrade_open_errors(struct master *m)
{
	FILE *f;

	if (m->ready_fd != -1 && (f = fdopen(m->ready_fd, "w")) != NULL) {
		master_close_errors(m);
		m->errors = f;
	}
}

/* Their paths are ours to remove from now on. */
static void
take_sockets(struct master *m)
{
	sockets_keep(&m->sockets);
	sockets_drop_unused(&m->sockets);
}

static void
forget_line(struct master *m)
{
	event_del(&m->ev_line);
	close(m->line_fd);
	m->line_fd = -1;
}

/* The old master closed the line: it changed its mind, or died, which shows a
 * little later.  Of the first it tells us by SIGTERM as well. */
static void
on_silence(void *arg)
{
	struct master *m = arg;

	if (getppid() != m->old_pid)
		take_sockets(m);
	else if (m->state == MASTER_RUNNING) {
		master_tell_stopping("the master before this one goes on");
		master_stop(m, 1);
	}
}

static void
on_word(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;
	ssize_t n;
	char word;

	(void)what;
	n = recv(fd, &word, 1, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	forget_line(m);
	if (n == 1)
		take_sockets(m);
	else
		timer_set(&m->silence, SILENCE_MS);
}

/* The old one shall say yes; one before this version does not. */
static void
await_word(struct master *m)
{
	struct stat st;

	if (fstat(m->ready_fd, &st) == -1 || !S_ISSOCK(st.st_mode) ||
	    (m->line_fd = fcntl(m->ready_fd, F_DUPFD_CLOEXEC, 3)) == -1) {
		take_sockets(m);
		return;
	}
	event_assign(&m->ev_line, loop_base(m->loop), m->line_fd,
	    EV_READ | EV_PERSIST, on_word, m);
	event_add(&m->ev_line, NULL);
}

void
upgrade_started(struct master *m, int status)
{
	if (m->ready_fd == -1)
		return;
	if (status == EX_OK)
		await_word(m);
	fputc('\0', m->errors);
	fputc(status, m->errors);
	master_close_errors(m);
	m->ready_fd = -1;
}

void
upgrade_settle(struct master *m)
{
	if ((m->line_fd != -1 || m->silence.due_ms != 0) &&
	    getppid() != m->old_pid)
		sockets_keep(&m->sockets);
}

void
upgrade_init(struct master *m)
{
	timer_init(&m->silence, m->loop, on_silence, m);
	m->ready_fd = m->line_fd = -1;
}

void
upgrade_clear(struct master *m)
{
	upgrade_abort(m->upgrade);
	if (m->line_fd != -1)
		forget_line(m);
	timer_clear(&m->silence);
}
