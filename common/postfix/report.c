/*
 * report.c - clients of bounce(8), defer, trace and verify(8).
 *
 * The server speaks first (from 3.6 on), but waits for nothing: the request is
 * sent at once, and the announcement is checked when the answer comes.  A
 * socket whose backlog is full says EAGAIN: the queue goes on a little later.
 */
#include "postfix/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#define REQUEST_MAX	(1024 * 1024)
#define ANSWER_MAX	256
#define AGAIN_MS	20
#define APPEND		0

struct call {
	TAILQ_ENTRY(call) next;
	struct service	*service;
	struct buf	 request;
	int		 fd;		/* -1: waits */
	struct event	 ev;
	struct timer	 timer;
	char		 answer[ANSWER_MAX];
	size_t		 nanswer;
	bool		 is_ok;
	struct later	 over;
	pf_report_cb	*cb;
	void		*arg;
};
TAILQ_HEAD(calls, call);

struct service {
	struct pf_reporter *reporter;
	char		*path;
	const char	*protocol;
	struct calls	 waiting;
	unsigned	 nrunning;
	struct timer	 again;		/* the backlog was full */
	int64_t		 full_ms;	/* since when; 0: it is not */
};

struct pf_reporter {
	struct loop	*loop;
	struct pf_reporter_conf conf;
	struct service	 services[PF_SERVICES];
};

struct answer_list {
	const char	*protocol;
	int32_t		 status;
};

static const struct pf_field protocol_fields[] = {
	{ "protocol", NULL, PF_STRING,
	    offsetof(struct answer_list, protocol) },
	{ .name = NULL }
};
static const struct pf_field status_fields[] = {
	{ "status", NULL, PF_INT, offsetof(struct answer_list, status) },
	{ .name = NULL }
};

static void	start_more(void *);

/* ---- the end of a call ---- */

static void
on_over(void *arg)
{
	struct call *c = arg;
	struct service *s = c->service;

	timer_clear(&c->timer);
	buf_clear(&c->request);
	c->cb(c->arg, c->is_ok);
	free(c);
	start_more(s);
}

static void
finish(struct call *c, bool is_ok)
{
	c->is_ok = is_ok;
	if (c->fd != -1) {
		event_del(&c->ev);
		close(c->fd);
		c->fd = -1;
		c->service->nrunning--;
	}
	timer_stop(&c->timer);
	loop_later(c->service->reporter->loop, &c->over);
}

static void
give_up(struct call *c, const char *why)
{
	log_warning("%s: %s", c->service->path, why);
	finish(c, false);
}

/* A service that does not answer will not answer the others either. */
static void
fail_waiting(struct service *s)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&s->waiting)) != NULL) {
		TAILQ_REMOVE(&s->waiting, c, next);
		finish(c, false);
	}
}

/* ---- hearing ---- */

static enum pf_scan
scan_answer(const struct call *c, struct arena *arena, struct answer_list *a)
{
	const char *error, *at;
	enum pf_scan r;
	size_t took = 0, more;

	if (!c->service->reporter->conf.is_old) {
		r = pf_attr_scan(protocol_fields, c->answer, c->nanswer, a,
		    arena, &took, &error, &at);
		if (r != PF_DONE)
			return r;
		if (strcmp(a->protocol, c->service->protocol) != 0)
			return PF_BAD;
	}
	return pf_attr_scan(status_fields, c->answer + took,
	    c->nanswer - took, a, arena, &more, &error, &at);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct call *c = arg;
	struct answer_list a = { .status = -1 };
	struct arena *arena;
	enum pf_scan r;
	ssize_t n;

	(void)what;
	n = recv(fd, c->answer + c->nanswer, ANSWER_MAX - c->nanswer, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		give_up(c, n == 0 ? c->nanswer == ANSWER_MAX ?
		    "its answer is too long" : "it hung up" : strerror(errno));
		return;
	}
	c->nanswer += (size_t)n;
	arena = arena_new(ANSWER_MAX);
	r = scan_answer(c, arena, &a);
	arena_free(arena);
	if (r == PF_BAD)
		give_up(c, "its answer is malformed");
	else if (r == PF_DONE && a.status != 0)
		give_up(c, "it refused the record");
	else if (r == PF_DONE)
		finish(c, true);
}

static void
on_timeout(void *arg)
{
	struct call *c = arg;

	if (c->fd == -1)
		return;
	give_up(c, "no answer in time");
	fail_waiting(c->service);
}

/* ---- saying ---- */

static int
connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)(void *)&sun, sizeof(sun)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/*
 * One that waits is started.  A request fits the socket's buffer: addresses
 * and texts have ceilings far below it.  False: not now.
 */
static bool
start_one(struct service *s)
{
	struct pf_reporter *rep = s->reporter;
	struct call *c = TAILQ_FIRST(&s->waiting);
	ssize_t n;
	int fd = connect_to(s->path);

	if (fd == -1 && errno == EAGAIN) {
		if (s->full_ms == 0)
			s->full_ms = loop_now_ms(rep->loop);
		if (loop_now_ms(rep->loop) - s->full_ms <
		    rep->conf.timeout_ms) {
			timer_set(&s->again, AGAIN_MS);
			return false;
		}
	}
	s->full_ms = 0;
	TAILQ_REMOVE(&s->waiting, c, next);
	if (fd == -1) {
		give_up(c, strerror(errno));
		return true;
	}
	c->fd = fd;
	s->nrunning++;
	event_assign(&c->ev, loop_base(rep->loop), fd, EV_READ | EV_PERSIST,
	    on_readable, c);
	event_add(&c->ev, NULL);
	timer_set(&c->timer, rep->conf.timeout_ms);
	n = send(fd, buf_data(&c->request), buf_len(&c->request),
	    MSG_NOSIGNAL);
	if (n != (ssize_t)buf_len(&c->request))
		give_up(c, n == -1 ? strerror(errno) : "it takes no request");
	return true;
}

static void
start_more(void *arg)
{
	struct service *s = arg;

	while (!TAILQ_EMPTY(&s->waiting) && s->again.due_ms == 0 &&
	    s->nrunning < s->reporter->conf.connections_max)
		if (!start_one(s))
			break;
}

static struct call *
call_new(struct pf_reporter *rep, enum pf_service which, pf_report_cb *cb,
    void *arg)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->service = &rep->services[which];
	c->fd = -1;
	c->cb = cb;
	c->arg = arg;
	buf_init(&c->request, REQUEST_MAX);
	timer_init(&c->timer, rep->loop, on_timeout, c);
	later_init(&c->over, on_over, c);
	TAILQ_INSERT_TAIL(&c->service->waiting, c, next);
	return c;
}

void
pf_report_append(struct pf_reporter *rep, enum pf_service which, int32_t flags,
    const char *queue_id, const struct pf_rcpt *rcpt, const struct pf_dsn *dsn,
    pf_report_cb *cb, void *arg)
{
	struct call *c = call_new(rep, which, cb, arg);

	pf_attr_int(&c->request, "nrequest", APPEND);
	pf_attr_int(&c->request, "flags", flags & PF_FLAGS_TRACE);
	pf_attr_string(&c->request, "queue_id", queue_id);
	pf_attr_rcpt(&c->request, rcpt);
	pf_attr_dsn(&c->request, dsn);
	pf_attr_end(&c->request);
	start_more(c->service);
}

void
pf_report_verify(struct pf_reporter *rep, const char *address,
    enum pf_verdict verdict, const char *reason, pf_report_cb *cb, void *arg)
{
	struct call *c = call_new(rep, PF_VERIFY, cb, arg);

	pf_attr_string(&c->request, "request", "update");
	pf_attr_string(&c->request, "address", address);
	pf_attr_int(&c->request, "recipient_status", verdict);
	pf_attr_string(&c->request, "reason", reason);
	pf_attr_end(&c->request);
	start_more(c->service);
}

/* ---- the whole ---- */

struct pf_reporter *
pf_reporter_new(struct loop *loop, const struct pf_reporter_conf *conf)
{
	struct pf_reporter *rep = xcalloc(1, sizeof(*rep));
	struct service *s;
	int i;

	rep->loop = loop;
	rep->conf = *conf;
	for (i = 0; i < PF_SERVICES; i++) {
		s = &rep->services[i];
		s->reporter = rep;
		s->path = xasprintf("private/%s", conf->names[i]);
		s->protocol = i == PF_VERIFY ?
		    "address_verification_prrotocol" :	/* sic */
		    "delivery_status_protocol";
		TAILQ_INIT(&s->waiting);
		timer_init(&s->again, loop, start_more, s);
	}
	return rep;
}

void
pf_reporter_free(struct pf_reporter *rep)
{
	int i;

	if (rep == NULL)
		return;
	for (i = 0; i < PF_SERVICES; i++) {
		timer_clear(&rep->services[i].again);
		free(rep->services[i].path);
	}
	free(rep);
}
