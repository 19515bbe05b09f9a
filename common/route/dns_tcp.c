/*
 * dns_tcp.c - one connection per server.
 *
 * A server may close when it likes (RFC 7766 §6.2.4), some after each answer:
 * the questions left are asked again over a new connection if any was answered
 * on this one, so that each connection makes them fewer.
 */
#include "route/dns_tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/conn.h"
#include "route/dns_try.h"

/* A message (RFC 1035 §4.2.2), and what was read behind it. */
#define INPUT_MAX	(2 * 65536 + 256 * 1024)

TAILQ_HEAD(try_list, dns_try);

struct dns_tcp {
	struct loop	*loop;
	struct dns_server *server;	/* its owner; or detached: kept by those
					 * who wait */
	struct conn	*conn;
	struct buf	 in;
	struct try_list	 waiting;
	struct timer	 idle;
	struct later	 free_later;
	uint64_t	 nheard;	/* whole messages */
	unsigned	 nforeign;	/* in a row */
	bool		 has_answered;	/* some question */
	bool		 is_over;
};

static void
on_free(void *arg)
{
	free(arg);
}

static void
drop(struct dns_tcp *c)
{
	conn_free(c->conn);
	buf_clear(&c->in);
	timer_clear(&c->idle);
	if (c->server->tcp == c)
		c->server->tcp = NULL;
	c->is_over = true;
	loop_later(c->loop, &c->free_later);
}

void
dns_tcp_close(struct dns_server *s)
{
	if (s->tcp != NULL)
		drop(s->tcp);
}

static void
put_question(struct dns_tcp *c, struct dns_try *t)
{
	char message[2 + DNS_QUESTION_MAX];

	put_be16(message, (uint16_t)t->packet_size);
	memcpy(message + 2, t->packet, t->packet_size);
	conn_write(c->conn, message, 2 + t->packet_size);
	t->tcp = c;
	t->heard_then = c->nheard;
	TAILQ_INSERT_TAIL(&c->waiting, t, in_tcp);
	timer_stop(&c->idle);
}

/* The connection is of no more use: its questions fail, or are asked again. */
static void
give_up(struct dns_tcp *c, int error)
{
	bool has_answered = c->has_answered;
	struct try_list left;
	struct dns_try *t;

	TAILQ_INIT(&left);
	TAILQ_CONCAT(&left, &c->waiting, in_tcp);
	drop(c);
	while ((t = TAILQ_FIRST(&left)) != NULL) {
		TAILQ_REMOVE(&left, t, in_tcp);
		t->tcp = NULL;
		if (has_answered) {
			if (dns_tcp_send(t) == 0)
				continue;
			error = errno;
		}
		t->error = error;
		loop_later(t->loop, &t->fail_later);
	}
}

/* To whom it may concern; ids may be equal by chance. */
static bool
hand_over(struct dns_tcp *c, const uint8_t *message, size_t n)
{
	struct dns_try *t, *next;

	if (n < 2)
		return false;
	for (t = TAILQ_FIRST(&c->waiting); t != NULL; t = next) {
		next = TAILQ_NEXT(t, in_tcp);
		if (t->id != get_be16(message))
			continue;
		if (dns_try_heard(t, message, n))
			return true;
	}
	return false;
}

static void
on_data(void *arg, const char *data, size_t n)
{
	struct dns_tcp *c = arg;
	const uint8_t *p;
	size_t size;

	if (buf_add(&c->in, data, n) == -1) {
		give_up(c, EMSGSIZE);
		return;
	}
	while (!c->is_over && buf_len(&c->in) >= 2) {
		p = (const uint8_t *)buf_data(&c->in);
		size = get_be16(p);
		if (buf_len(&c->in) - 2 < size)
			break;
		c->nheard++;
		if (hand_over(c, p + 2, size)) {
			c->has_answered = true;
			c->nforeign = 0;
		} else if (++c->nforeign >= DNS_TCP_FOREIGN_MAX) {
			give_up(c, EBADMSG);
			return;
		}
		if (!c->is_over)
			buf_consume(&c->in, 2 + size);
	}
	if (!c->is_over)
		buf_shrink(&c->in);
}

static void
on_closed(void *arg, int error)
{
	give_up(arg, error == 0 ? ECONNRESET : error);
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
on_idle(void *arg)
{
	struct dns_tcp *c = arg;

	if (TAILQ_EMPTY(&c->waiting))
		drop(c);
}

static const struct conn_ops tcp_ops = {
	.opened = on_nothing,
	.data = on_data,
	.drained = on_nothing,
	.progress = on_nothing,
	.closed = on_closed,
	.secured = on_nothing,
};

int
dns_tcp_send(struct dns_try *t)
{
	struct dns_server *s = t->server;
	struct dns_tcp *c = s->tcp;

	if (c == NULL) {
		c = xcalloc(1, sizeof(*c));
		c->conn = conn_open(t->loop, &s->addr, NULL, &tcp_ops, c);
		if (c->conn == NULL) {
			free(c);
			return -1;
		}
		c->loop = t->loop;
		c->server = s;
		buf_init(&c->in, INPUT_MAX);
		TAILQ_INIT(&c->waiting);
		timer_init(&c->idle, t->loop, on_idle, c);
		later_init(&c->free_later, on_free, c);
		s->tcp = c;
	}
	put_question(c, t);
	return 0;
}

void
dns_tcp_forget(struct dns_try *t)
{
	struct dns_tcp *c = t->tcp;

	TAILQ_REMOVE(&c->waiting, t, in_tcp);
	t->tcp = NULL;
	/* Nothing came since it was asked: the next one shall not wait there,
	 * too. */
	if (c->nheard == t->heard_then && c->server->tcp == c)
		c->server->tcp = NULL;
	if (!TAILQ_EMPTY(&c->waiting))
		return;
	if (c->server->tcp == c)
		timer_set(&c->idle, DNS_TCP_IDLE_MS);
	else
		drop(c);
}
