/*
 * sender.c - `nexthop submit`: deliveries over a connection to the master,
 * answers as rows.  When the master goes away, what was sent is in doubt and
 * what was not is told apart from it.  When another one takes its place (DRAIN)
 * a new connection takes further messages, and the old one ends with its last
 * answer.
 *
 * LONG: all of it knows which messages are sent, and by which link
 */
#include "master.h"

#include <sys/mman.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/cli.h"
#include "base/mem.h"

#define OUT_MAX		(8 * 1024 * 1024)
#define OUT_ENOUGH	(256 * 1024)	/* then wait until it has left */
#define CANCEL_WAIT_MS	2000

struct link {			/* a connection */
	LIST_ENTRY(link) next;
	struct sender	*sender;
	struct channel	*channel;	/* NULL once lost */
	uint32_t	 window;	/* 0 before READY */
	uint32_t	 open;		/* deliveries */
	uint32_t	 first, last;	/* messages; last 0: up to the newest */
	bool		 is_draining;
};

struct sender {
	struct loop	*loop;
	struct cli	*cli;
	struct cli_rows	*rows;
	const char	*path;		/* of the socket */
	const char	*relay;		/* "" = the only one */
	struct link	*link;		/* for what is to come; NULL: lost */
	LIST_HEAD(, link) links;	/* that one, and those that drain */
	uint32_t	 parts;
	uint32_t	 next;		/* message, from 1 */
	uint32_t	 next_part;
	uint32_t	 running;	/* messages */
	uint32_t	*open_parts;	/* of each message started */
	int64_t		 last_ms;
	struct timer	 gap, cancel_wait;
	struct later	 send_later;
	struct event	 ev_int, ev_term;
	bool		 is_cancelled;
	char		*lost;		/* why there is no connection */
};

/* ---- the end ---- */

static void
check_complete(struct sender *s)
{
	if (cli_rows_complete(s->rows))
		loop_stop(s->loop, 0);
}

/* What has no answer gets this one, from message `from` up to `to`. */
static void
answer_rest(struct sender *s, uint32_t from, uint32_t to,
    const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };
	uint32_t m, i;

	for (m = from; m <= to; m++)
		for (i = 0; i < s->cli->nrcpt; i++)
			if (!cli_rows_has(s->rows, m, i))
				cli_rows_answer(s->rows, m, i, &a);
}

static void
give_up(struct sender *s)
{
	struct arena *arena = arena_new(4096);
	struct reply sent, unsent;
	/* A message is sent from its first part on. */
	uint32_t first_unsent = s->next + (s->next_part > 0);

	reply_cause(&sent, arena, STAGE_NONE, CAUSE_MASTER_LOST);
	if (s->lost != NULL)
		reply_cause(&unsent, arena, STAGE_NONE, CAUSE_LOCAL_ERROR,
		    s->lost);
	else
		reply_cause(&unsent, arena, STAGE_NONE, CAUSE_CANCELLED);
	if (first_unsent > 1)
		answer_rest(s, 1, first_unsent - 1, &sent);
	if (first_unsent <= s->cli->count)
		answer_rest(s, first_unsent, s->cli->count, &unsent);
	arena_free(arena);
	loop_stop(s->loop, 0);
}

static void __attribute__((format(printf, 2, 3)))
lose(struct sender *s, const char *fmt, ...)
{
	va_list ap;

	if (s->lost != NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&s->lost, fmt, ap) == -1)
		err(EX_OSERR, "vasprintf");
	va_end(ap);
	s->link = NULL;
	give_up(s);
}

static void
link_free(struct link *l)
{
	LIST_REMOVE(l, next);
	channel_free(l->channel);
	free(l);
}

/* ---- sending ---- */

static struct link *link_new(struct sender *, int fd);

/* Messages count from 1, so it is never 0. */
static uint64_t
delivery_id(uint32_t message, uint32_t part)
{
	return message * (UINT64_C(1) << 32) + part;
}

/* The body's own descriptor for one frame, or -1 for one inline. */
static int
body_fd(const struct body *body)
{
	int fd;

	if (body->mem != NULL)
		return -1;
	if ((fd = fcntl(body->fd, F_DUPFD_CLOEXEC, 3)) == -1)
		err(EX_OSERR, "duplicating the message's descriptor");
	return fd;
}

static void
send_part(struct sender *s)
{
	struct buf *out = channel_out(s->link->channel);
	size_t start = buf_len(out);
	struct rcpt rcpts[ENVELOPE_RCPT_MAX];
	struct envelope env;
	const uint32_t *index;
	uint64_t id = delivery_id(s->next, s->next_part);

	cli_envelope(s->cli, s->next_part, &env, rcpts, &index);
	env.relay = s->relay;
	if (frame_put_deliver(out, id, &env) == -1)
		errx(EX_USAGE, "the envelope is too long for a frame");
	channel_queued(s->link->channel, start, body_fd(&env.body));
	s->link->open++;
	if (s->next_part++ == 0) {
		s->running++;
		s->open_parts[s->next - 1] = s->parts;
		s->last_ms = loop_now_ms(s->loop);
	}
	if (s->next_part == s->parts) {
		s->next++;
		s->next_part = 0;
	}
}

/* A new connection in the place of one that drains.  Where there is none the
 * old one must do: it takes what we send as long as it can. */
static void
link_replace(struct sender *s)
{
	struct link *old = s->link;
	int fd;

	if ((fd = operator_connect(s->path)) == -1) {
		old->is_draining = false;
		return;
	}
	old->last = s->next - 1;
	s->link = link_new(s, fd);
	if (old->open == 0)
		link_free(old);
}

static bool
may_start(struct sender *s)
{
	int64_t wait;

	if (s->next_part > 0)
		return true;
	if (s->running >= s->cli->parallel)
		return false;
	wait = s->next == 1 ? 0 : s->last_ms + s->cli->gap_ms -
	    loop_now_ms(s->loop);
	if (wait <= 0)
		return true;
	timer_set(&s->gap, wait);
	return false;
}

static void
send_more(void *arg)
{
	struct sender *s = arg;

	while (s->link != NULL && !s->is_cancelled) {
		/* Parts of a message stay together. */
		if (s->link->is_draining && s->next_part == 0 &&
		    s->next <= s->cli->count)
			link_replace(s);
		if (s->link->open >= s->link->window ||
		    s->next > s->cli->count ||
		    channel_pending(s->link->channel) >= OUT_ENOUGH ||
		    !may_start(s))
			return;
		send_part(s);
	}
}

/* ---- receiving ---- */

static bool
is_sent(const struct sender *s, uint64_t id)
{
	uint64_t m = id >> 32, part = (uint32_t)id;

	return m >= 1 && part < s->parts && (m < s->next ||
	    (m == s->next && part < s->next_part));
}

/* Which recipient of the run is the i-th of a part; -1: none. */
static int64_t
rcpt_of(const struct sender *s, uint32_t part, uint32_t i)
{
	uint64_t at = (uint64_t)part * ENVELOPE_RCPT_MAX + i;

	return i < ENVELOPE_RCPT_MAX && at < s->cli->ngood ?
	    (int64_t)s->cli->good[at] : -1;
}

static void
take_result(struct sender *s, const struct frame *f)
{
	struct arena *arena = arena_new(1024);
	const char *error;
	struct answer a;
	int64_t rcpt;
	uint32_t i;

	if (!is_sent(s, f->id))
		lose(s, "%s: answer to a delivery that was not sent", s->path);
	else if (frame_get_result(f, arena, &i, &a, &error) == -1)
		lose(s, "%s: %s", s->path, error);
	else if ((rcpt = rcpt_of(s, (uint32_t)f->id, i)) == -1)
		lose(s, "%s: answer for no recipient", s->path);
	else
		cli_rows_answer(s->rows, (uint32_t)(f->id >> 32),
		    (uint32_t)rcpt, &a);
	arena_free(arena);
}

static void
take_done(struct link *l, const struct frame *f)
{
	struct sender *s = l->sender;
	uint32_t m = (uint32_t)(f->id >> 32);

	if (!is_sent(s, f->id) || s->open_parts[m - 1] == 0 || l->open == 0) {
		lose(s, "%s: DONE of a delivery that is not open", s->path);
		return;
	}
	l->open--;
	if (--s->open_parts[m - 1] == 0)
		s->running--;
	loop_later(s->loop, &s->send_later);
	check_complete(s);
	if (l != s->link && l->open == 0)
		link_free(l);
}

static void
take_ready(struct link *l, const struct frame *f)
{
	struct sender *s = l->sender;
	struct attr a;
	size_t at = 0;

	while (frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_WINDOW)
			attr_u32(&a, &l->window);
	if (l->window == 0)
		lose(s, "%s: READY without a window", s->path);
	loop_later(s->loop, &s->send_later);
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct link *l = arg;
	struct sender *s = l->sender;

	(void)bytes;
	if (fd != -1)
		close(fd);
	if (s->lost != NULL)
		return;
	if (s->cli->trace)
		warnx("trace: %s frame, id %ju, %u bytes",
		    frame_type_name(f->type), (uintmax_t)f->id, f->len);
	switch (f->type) {
	case FRAME_HELO:
	case FRAME_STAGE:
		break;
	case FRAME_READY:
		take_ready(l, f);
		break;
	case FRAME_RESULT:
		take_result(s, f);
		break;
	case FRAME_DONE:
		take_done(l, f);
		break;
	case FRAME_DRAIN:
		l->is_draining = true;
		loop_later(s->loop, &s->send_later);
		break;
	default:
		lose(s, "%s: unexpected %s frame", s->path,
		    frame_type_name(f->type));
	}
}

/* Only what went that way is in doubt. */
static void
lose_old(struct link *l)
{
	struct arena *arena = arena_new(4096);
	struct sender *s = l->sender;
	struct reply r;
	uint32_t m;

	reply_cause(&r, arena, STAGE_NONE, CAUSE_MASTER_LOST);
	for (m = l->first; m <= l->last; m++)
		if (s->open_parts[m - 1] > 0) {
			answer_rest(s, m, m, &r);
			s->open_parts[m - 1] = 0;
			s->running--;
		}
	arena_free(arena);
	link_free(l);
	loop_later(s->loop, &s->send_later);
	check_complete(s);
}

static void
on_closed(void *arg, const char *error)
{
	struct link *l = arg;
	struct sender *s = l->sender;

	if (cli_rows_complete(s->rows)) {	/* nothing is missed */
		loop_stop(s->loop, 0);
		return;
	}
	if (l != s->link && s->lost == NULL) {
		lose_old(l);
		return;
	}
	lose(s, "%s: connection lost%s%s", s->path, error != NULL ? ": " : "",
	    error != NULL ? error : "");
}

static void
on_drained(void *arg)
{
	struct link *l = arg;

	send_more(l->sender);
}

static const struct channel_ops channel_ops = {
	on_frame, on_closed, on_drained
};

static struct link *
link_new(struct sender *s, int fd)
{
	struct link *l = xcalloc(1, sizeof(*l));

	l->sender = s;
	l->first = s->next;
	l->channel = channel_new(s->loop, fd, OUT_MAX, &channel_ops, l);
	LIST_INSERT_HEAD(&s->links, l, next);
	return l;
}

/* ---- Ctrl-C ---- */

static struct link *
link_of(const struct sender *s, uint32_t m)
{
	struct link *l;

	LIST_FOREACH(l, &s->links, next)
		if (l == s->link ? m >= l->first : m >= l->first &&
		    m <= l->last)
			return l;
	return NULL;
}

static void
cancel_part(struct sender *s, uint32_t m, uint32_t part)
{
	struct link *l = link_of(s, m);
	struct buf *out;
	size_t start;
	int64_t rcpt;
	uint32_t i;

	if (l == NULL)
		return;
	out = channel_out(l->channel);
	start = buf_len(out);
	for (i = 0; (rcpt = rcpt_of(s, part, i)) != -1; i++)
		if (!cli_rows_has(s->rows, m, (uint32_t)rcpt))
			break;
	if (rcpt != -1 && frame_put_bare(out, FRAME_CANCEL,
	    delivery_id(m, part)) == 0)
		channel_queued(l->channel, start, -1);
}

static void
on_cancel_wait(void *arg)
{
	give_up(arg);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct sender *s = arg;
	uint32_t m, part;

	(void)sig;
	(void)what;
	if (s->is_cancelled || s->link == NULL) {
		give_up(s);
		return;
	}
	s->is_cancelled = true;
	for (m = 1; m <= s->next && m <= s->cli->count; m++)
		for (part = 0; part < s->parts; part++)
			if (is_sent(s, delivery_id(m, part)) &&
			    s->open_parts[m - 1] > 0)
				cancel_part(s, m, part);
	timer_set(&s->cancel_wait, CANCEL_WAIT_MS);
}

/* ---- the run ---- */

/* A small file goes inline; what is too long for that needs a descriptor. */
static int
prepare_body(struct body *body)
{
	char *mem;
	int fd;

	if (body->mem == NULL && body->len <= FRAME_INLINE_BODY_MAX) {
		mem = xmalloc(body->len);
		if (pread(body->fd, mem, body->len, (off_t)body->offset) !=
		    (ssize_t)body->len) {
			free(mem);
			return 0;	/* the agent will say what is wrong */
		}
		body->mem = mem;
		body->fd = -1;
	} else if (body->mem != NULL && body->len > FRAME_INLINE_BODY_MAX) {
		fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd == -1 || write(fd, body->mem, body->len) !=
		    (ssize_t)body->len || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK |
		    F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == -1) {
			warn("keeping the message");
			return -1;
		}
		free((char *)(uintptr_t)body->mem);
		body->mem = NULL;
		body->fd = fd;
		body->offset = 0;
	}
	return 0;
}

static void
sender_start(struct sender *s)
{
	int fd;

	timer_init(&s->gap, s->loop, send_more, s);
	timer_init(&s->cancel_wait, s->loop, on_cancel_wait, s);
	later_init(&s->send_later, send_more, s);
	event_assign(&s->ev_int, loop_base(s->loop), SIGINT,
	    EV_SIGNAL | EV_PERSIST, on_signal, s);
	event_assign(&s->ev_term, loop_base(s->loop), SIGTERM,
	    EV_SIGNAL | EV_PERSIST, on_signal, s);
	event_add(&s->ev_int, NULL);
	event_add(&s->ev_term, NULL);
	if ((fd = operator_connect(s->path)) == -1)
		lose(s, "cannot connect to %s: %s", s->path, strerror(errno));
	else
		s->link = link_new(s, fd);
}

int
sender_run(struct cli *cli, const char *path, const char *relay)
{
	struct sender s = { .cli = cli, .path = path, .relay = relay };
	int status;

	if (prepare_body(&cli->body) == -1)
		return EX_OSERR;
	LIST_INIT(&s.links);
	s.loop = loop_new();
	s.rows = cli_rows_new(cli, stdout);
	s.parts = cli_parts(cli);
	s.open_parts = xcalloc(cli->count, sizeof(*s.open_parts));
	s.next = 1;
	/* Addresses that no envelope can hold are answered already. */
	if (!cli_rows_complete(s.rows)) {
		sender_start(&s);
		if (s.lost == NULL)
			loop_run(s.loop);
		event_del(&s.ev_int);
		event_del(&s.ev_term);
		timer_clear(&s.gap);
		timer_clear(&s.cancel_wait);
		while (!LIST_EMPTY(&s.links))
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): left it */
			link_free(LIST_FIRST(&s.links));
		loop_forget(s.loop, &s.send_later);
		loop_turn(s.loop, 0);
	}
	status = cli_rows_finish(s.rows);
	if (s.lost != NULL)
		warnx("%s", s.lost);
	free(s.lost);
	free(s.open_parts);
	loop_free(s.loop);
	return status;
}
