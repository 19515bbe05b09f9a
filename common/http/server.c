/*
 * server.c - clients of a small HTTP server (RFC 9110, 9112).  A client reads,
 * waits for its answer, and takes it; requests that it sends meanwhile are
 * looked at afterwards.  When there is no room for another client, the one
 * that has been quiet for longest goes; where all wait for answers, the new
 * one.
 */
#include "http/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/acceptor.h"

#define ANSWER_MAX	((size_t)32 * 1024 * 1024)
#define LINGER_MS	1000		/* for what is not read to be sent */

enum state { READING, WAITING, WRITING, LINGERING };

struct http_client {
	TAILQ_ENTRY(http_client) next;	/* last active first */
	struct http_server *server;
	int		 fd;
	enum state	 state;
	bool		 is_head, is_kept;
	struct event	 ev_read, ev_write;
	struct timer	 timer;
	struct buf	 in, out;
	struct later	 run_later, free_later;
};

struct door {			/* a listening socket */
	SLIST_ENTRY(door) next;
	struct acceptor	*acceptor;
};

struct http_server {
	struct loop	*loop;
	struct http_server_conf conf;
	const struct http_server_ops *ops;
	void		*arg;
	TAILQ_HEAD(http_clients, http_client) clients;
	int64_t		 nclients;
	SLIST_HEAD(, door) doors;
	bool		 is_draining;
	struct http_server_stats stats;
};

static void	on_run(void *);

/* ---- the end of a client ---- */

static void
on_free(void *arg)
{
	struct http_client *c = arg;

	buf_clear(&c->in);
	buf_clear(&c->out);
	free(c);
}

static void
client_close(struct http_client *c)
{
	struct http_server *s = c->server;

	if (c->fd == -1)
		return;
	if (c->state == WAITING)
		s->ops->gone(s->arg, c);
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	timer_clear(&c->timer);
	loop_forget(s->loop, &c->run_later);
	close(c->fd);
	c->fd = -1;
	TAILQ_REMOVE(&s->clients, c, next);
	s->nclients--;
	loop_later(s->loop, &c->free_later);
	if (s->is_draining && s->nclients == 0)
		s->ops->drained(s->arg);
}

/* Ours is said.  What the client still sends must not make the kernel throw
 * the answer away (RFC 9112 §9.6). */
static void
client_linger(struct http_client *c)
{
	shutdown(c->fd, SHUT_WR);
	buf_clear(&c->in);
	c->state = LINGERING;
	event_add(&c->ev_read, NULL);
	timer_set(&c->timer, LINGER_MS);
}

/* ---- answers ---- */

static const char *
reason_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} rows[] = {
		{ 200, "OK" }, { 400, "Bad Request" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" },
		{ 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].reason;
	return "Error";
}

/* IMF-fixdate (RFC 9110 §5.6.7), whatever the locale. */
static const char *
date_text(char *to, size_t size)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	snprintf(to, size, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
	    days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return to;
}

static void
client_send(struct http_client *c)
{
	ssize_t n;

	while (!buf_is_empty(&c->out)) {
		n = send(c->fd, buf_data(&c->out), buf_len(&c->out),
		    MSG_NOSIGNAL);
		if (n > 0) {
			buf_consume(&c->out, (size_t)n);
			timer_set(&c->timer,
			    c->server->conf.request_timeout_ms);
		} else if (n == -1 && errno == EINTR)
			continue;
		else if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			event_add(&c->ev_write, NULL);
			return;
		} else {
			client_close(c);
			return;
		}
	}
	buf_shrink(&c->out);
	event_del(&c->ev_write);
	if (!c->is_kept || c->server->is_draining) {
		client_linger(c);
		return;
	}
	c->state = READING;
	event_add(&c->ev_read, NULL);
	timer_set(&c->timer, buf_is_empty(&c->in) ?
	    c->server->conf.idle_timeout_ms :
	    c->server->conf.request_timeout_ms);
	loop_later(c->server->loop, &c->run_later);
}

void
http_server_answer(struct http_client *c, unsigned status,
    const char *content_type, const char *body, size_t n)
{
	char date[64];

	if (c->server->is_draining)
		c->is_kept = false;
	if (status >= 400)
		c->server->stats.refused++;
	buf_printf(&c->out, "HTTP/1.1 %u %s\r\nDate: %s\r\n"
	    "Content-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	    "%s%s\r\n", status, reason_of(status),
	    date_text(date, sizeof(date)), content_type, n,
	    status == 405 ? "Allow: GET, HEAD\r\n" : "",
	    c->is_kept ? "" : "Connection: close\r\n");
	if (!c->is_head && buf_add(&c->out, body, n) == -1) {
		c->state = WRITING;
		client_close(c);
		return;
	}
	c->state = WRITING;
	timer_set(&c->timer, c->server->conf.request_timeout_ms);
	client_send(c);
}

static void
answer_fault(struct http_client *c, unsigned status)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%u %s\n", status,
	    reason_of(status));

	http_server_answer(c, status, "text/plain; charset=utf-8", text,
	    (size_t)n);
}

/* ---- requests ---- */

static void
client_active(struct http_client *c)
{
	struct http_clients *all = &c->server->clients;

	TAILQ_REMOVE(all, c, next);
	TAILQ_INSERT_HEAD(all, c, next);
}

/* What has come may be a request. */
static void
on_run(void *arg)
{
	struct http_client *c = arg;
	struct http_server *s = c->server;
	struct http_asked asked;
	size_t used;

	if (c->state != READING || buf_is_empty(&c->in))
		return;
	used = http_asked_parse(&asked, buf_data(&c->in), buf_len(&c->in));
	if (used == 0 && asked.fault == 0)
		return;
	event_del(&c->ev_read);
	s->stats.requests++;
	c->is_head = asked.is_head;
	c->is_kept = asked.is_kept;
	c->state = WAITING;
	timer_stop(&c->timer);
	if (asked.fault != 0)
		answer_fault(c, asked.fault);
	else {
		buf_consume(&c->in, used);
		buf_shrink(&c->in);
		if (!asked.is_get)
			answer_fault(c, 405);
		else
			s->ops->request(s->arg, c, &asked);
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;
	size_t room = HTTP_HEAD_MAX - buf_len(&c->in);
	char *to = buf_reserve(&c->in, room);
	bool is_first = buf_is_empty(&c->in);
	ssize_t n;

	(void)what;
	n = recv(fd, to, room, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	if (c->state == LINGERING)
		return;			/* read, and not looked at */
	buf_commit(&c->in, (size_t)n);
	client_active(c);
	/* The time is for the whole head: slow bytes do not lengthen it. */
	if (is_first)
		timer_set(&c->timer, c->server->conf.request_timeout_ms);
	on_run(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	client_send(arg);
}

static void
on_timeout(void *arg)
{
	struct http_client *c = arg;

	if (c->state != READING || buf_is_empty(&c->in)) {
		client_close(c);
		return;
	}
	event_del(&c->ev_read);
	c->is_kept = false;
	answer_fault(c, 408);
}

/* ---- clients come ---- */

static void
client_new(struct http_server *s, int fd)
{
	struct http_client *c = xcalloc(1, sizeof(*c));

	c->server = s;
	c->fd = fd;
	buf_init(&c->in, HTTP_HEAD_MAX);
	buf_init(&c->out, ANSWER_MAX);
	timer_init(&c->timer, s->loop, on_timeout, c);
	later_init(&c->run_later, on_run, c);
	later_init(&c->free_later, on_free, c);
	event_assign(&c->ev_read, loop_base(s->loop), fd,
	    EV_READ | EV_PERSIST, on_readable, c);
	event_assign(&c->ev_write, loop_base(s->loop), fd,
	    EV_WRITE | EV_PERSIST, on_writable, c);
	event_add(&c->ev_read, NULL);
	timer_set(&c->timer, s->conf.request_timeout_ms);
	TAILQ_INSERT_HEAD(&s->clients, c, next);
	s->nclients++;
	s->stats.connections++;
}

/* false: all clients have a request under way. */
static bool
make_room(struct http_server *s)
{
	struct http_client *c;

	if (s->nclients < s->conf.max_connections)
		return true;
	TAILQ_FOREACH_REVERSE(c, &s->clients, http_clients, next)
		if (c->state == READING || c->state == LINGERING) {
			client_close(c);
			return true;
		}
	return false;
}

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	(void)from;
	if (make_room(arg))
		client_new(arg, fd);
	else
		close(fd);
}

/* ---- the whole ---- */

struct http_server *
http_server_new(struct loop *loop, const struct http_server_conf *conf,
    const struct http_server_ops *ops, void *arg)
{
	struct http_server *s = xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->conf = *conf;
	s->ops = ops;
	s->arg = arg;
	TAILQ_INIT(&s->clients);
	SLIST_INIT(&s->doors);
	return s;
}

int
http_server_listen(struct http_server *s, int fd)
{
	struct acceptor *a = acceptor_new(s->loop, fd, "HTTP", ACCEPTOR_BURST,
	    on_accepted, s);
	struct door *d;

	if (a == NULL)
		return -1;
	d = xcalloc(1, sizeof(*d));
	d->acceptor = a;
	SLIST_INSERT_HEAD(&s->doors, d, next);
	return 0;
}

static void
close_doors(struct http_server *s)
{
	struct door *d;

	while ((d = SLIST_FIRST(&s->doors)) != NULL) {
		SLIST_REMOVE_HEAD(&s->doors, next);
		acceptor_close(d->acceptor);
		free(d);
	}
}

void
http_server_drain(struct http_server *s)
{
	struct http_client *c, *next;

	if (s->is_draining)
		return;
	close_doors(s);
	for (c = TAILQ_FIRST(&s->clients); c != NULL; c = next) {
		next = TAILQ_NEXT(c, next);
		if (c->state == READING && buf_is_empty(&c->in))
			client_close(c);
	}
	s->is_draining = true;
	if (s->nclients == 0)
		s->ops->drained(s->arg);
}

void
http_server_free(struct http_server *s)
{
	struct http_client *c;

	if (s == NULL)
		return;
	s->is_draining = false;
	close_doors(s);
	while ((c = TAILQ_FIRST(&s->clients)) != NULL)
		client_close(c);
	loop_turn(s->loop, 0);		/* clients go at the end of a turn */
	free(s);
}

void
http_server_stats(const struct http_server *s, struct http_server_stats *r)
{
	*r = s->stats;
	r->now = (uint64_t)s->nclients;
}
