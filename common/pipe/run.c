/* run.c - one run of a program. */
#include "pipe/run.h"

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define READ_BYTES	(16 * 1024)
#define READS_MAX	64	/* at once, and at the end: a full pipe is 4 */

struct output {			/* its stdout, its stderr */
	struct run	*run;
	int		 fd;		/* -1: closed */
	struct event	 ev;
	size_t		 len;
	char		 kept[RESULT_OUTPUT_MAX];
};

struct run {
	struct loop	*loop;
	const struct run_spec *spec;
	const struct run_ops *ops;
	void		*arg;
	pid_t		 pid;		/* 0: none, or reaped */
	int		 pidfd;
	struct event	 ev;		/* of pidfd */
	struct feed	 feed;
	struct output	 out, err;
	struct timer	 timer;
	int		 nsignals;	/* of ours: SIGTERM, SIGKILL */
	bool		 is_done;	/* done() was called */
	int64_t		 start_ms;
	struct run_outcome outcome;
	struct later	 fail_later, free_later;
};

/* ---- what it prints ---- */

static void
trace(const struct run *r, const char *what, const char *p, size_t n)
{
	char who[32];

	if (r->spec->trace == NULL || !transcript_is_on(r->spec->trace))
		return;
	snprintf(who, sizeof(who), "%d %s:", (int)r->pid, what);
	/* The delivery may be gone once it was told what became of it. */
	transcript_lines(r->spec->trace, r->is_done ? NULL : r->spec->env,
	    who, p, n);
}

static void
output_close(struct output *o)
{
	if (o->fd == -1)
		return;
	event_del(&o->ev);
	close(o->fd);
	o->fd = -1;
}

/* Keeps the first bytes; the rest is read and dropped. */
static void
output_read(struct output *o)
{
	static char scratch[READ_BYTES];
	size_t room;
	ssize_t n;
	int i;

	for (i = 0; i < READS_MAX && o->fd != -1; i++) {
		n = read(o->fd, scratch, sizeof(scratch));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0) {
			output_close(o);
			return;
		}
		trace(o->run, o == &o->run->out ? "out" : "err", scratch,
		    (size_t)n);
		room = sizeof(o->kept) - o->len;
		if ((size_t)n < room)
			room = (size_t)n;
		memcpy(o->kept + o->len, scratch, room);
		o->len += room;
		if ((size_t)n < sizeof(scratch))
			return;		/* for the time being */
	}
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	output_read(arg);
}

/* Our end; *theirs_r is the program's. */
static int
output_open(struct output *o, struct run *r, int *theirs_r)
{
	int ends[2];

	o->run = r;
	o->fd = -1;
	*theirs_r = -1;
	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	o->fd = ends[0];
	*theirs_r = ends[1];
	event_assign(&o->ev, loop_base(r->loop), o->fd, EV_READ | EV_PERSIST,
	    on_output, o);
	return 0;
}

/* ---- the end ---- */

static void
on_free(void *arg)
{
	free(arg);
}

static void
tell(struct run *r, enum run_end end)
{
	struct run_outcome *o = &r->outcome;

	if (r->is_done)
		return;
	r->is_done = true;
	o->end = end;
	o->result.has_all = r->feed.state == FEED_DONE;
	o->result.out = r->out.kept;
	o->result.out_len = r->out.len;
	o->result.err = r->err.kept;
	o->result.err_len = r->err.len;
	o->error = r->feed.error;
	o->body_read = r->feed.reader.at;
	feed_stop(&r->feed);	/* the body may go with the delivery */
	r->ops->done(r->arg, o);
}

static void
gone(struct run *r)
{
	feed_stop(&r->feed);
	output_close(&r->out);
	output_close(&r->err);
	timer_clear(&r->timer);
	loop_later(r->loop, &r->free_later);
	r->ops->gone(r->arg);
}

static void
on_not_started(void *arg)
{
	struct run *r = arg;

	tell(r, r->feed.state == FEED_FAILED ? RUN_BODY_FAILED :
	    RUN_NOT_STARTED);
	gone(r);
}

/* As waitpid(2) gives it, of what waitid(2) says. */
static int
wait_status(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED ? W_EXITCODE(info->si_status, 0) :
	    W_EXITCODE(0, info->si_status);
}

static void
on_exit_(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	char line[64];
	siginfo_t info;

	(void)what;
	/* While it is not reaped its number cannot be another group's. */
	if (r->nsignals > 0)
		kill(-r->pid, SIGKILL);
	memset(&info, 0, sizeof(info));
	if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED) == 0)
		r->outcome.result.wait_status = wait_status(&info);
	else			/* somebody else's child: cannot be */
		r->outcome.result.wait_status = W_EXITCODE(0, SIGKILL);
	event_del(&r->ev);
	close(r->pidfd);
	output_read(&r->out);
	output_read(&r->err);
	snprintf(line, sizeof(line), "status %d after %lld ms",
	    r->outcome.result.wait_status,
	    (long long)(loop_now_ms(r->loop) - r->start_ms));
	trace(r, "end", line, strlen(line));
	r->pid = 0;
	tell(r, r->feed.state == FEED_FAILED ? RUN_BODY_FAILED :
	    r->nsignals > 0 ? RUN_TIMED_OUT : RUN_EXITED);
	gone(r);
}

/* ---- the time ---- */

static void
signal_group(struct run *r, int sig)
{
	r->nsignals++;
	kill(-r->pid, sig);
	timer_set(&r->timer, r->spec->grace_ms);
}

/* What not even SIGKILL ends (it waits for a disk) is not waited for with the
 * answer, but it goes on taking its place. */
static void
on_time(void *arg)
{
	struct run *r = arg;

	if (r->nsignals < 2)
		signal_group(r, r->nsignals == 0 ? SIGTERM : SIGKILL);
	else
		tell(r, r->feed.state == FEED_FAILED ? RUN_BODY_FAILED :
		    RUN_TIMED_OUT);
}

/* What has got half a message must not take that for the whole. */
static void
on_fed(void *arg)
{
	struct run *r = arg;

	if (r->feed.state == FEED_FAILED) {
		r->nsignals = 1;
		signal_group(r, SIGKILL);
	}
}

void
run_abandon(struct run *r)
{
	if (r->pid > 0)
		kill(-r->pid, SIGKILL);
}

/* ---- the start ---- */

static void
listen_to(struct run *r)
{
	event_assign(&r->ev, loop_base(r->loop), r->pidfd, EV_READ, on_exit_,
	    r);
	event_add(&r->ev, NULL);
	event_add(&r->out.ev, NULL);
	event_add(&r->err.ev, NULL);
	timer_set(&r->timer, r->spec->timeout_ms);
	feed_start(&r->feed, on_fed, r);
}

/* -1: there is no process. */
static int
launch(struct run *r)
{
	struct process_spec process = r->spec->process;
	struct process_error *error = &r->outcome.start;
	int i, *fds = process.fds;

	process.nfds = 3;
	fds[0] = fds[1] = fds[2] = -1;
	*error = (struct process_error){ "pipe", 0 };
	fds[0] = feed_open(&r->feed, r->loop, &r->spec->feed);
	if (fds[0] == -1 || output_open(&r->out, r, &fds[1]) == -1 ||
	    output_open(&r->err, r, &fds[2]) == -1)
		error->code = errno;
	else if (r->feed.state != FEED_FAILED)
		r->pid = process_spawn(&process, &r->pidfd, error);
	for (i = 0; i < 3; i++)
		if (fds[i] != -1)
			close(fds[i]);
	return r->pid > 0 ? 0 : -1;
}

struct run *
run_start(struct loop *loop, const struct run_spec *spec,
    const struct run_ops *ops, void *arg)
{
	struct run *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->spec = spec;
	r->ops = ops;
	r->arg = arg;
	r->start_ms = loop_now_ms(loop);
	r->pidfd = r->feed.fd = r->out.fd = r->err.fd = -1;
	later_init(&r->free_later, on_free, r);
	later_init(&r->fail_later, on_not_started, r);
	timer_init(&r->timer, loop, on_time, r);
	if (launch(r) == 0)
		listen_to(r);
	else
		loop_later(loop, &r->fail_later);
	return r;
}
