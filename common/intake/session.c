/*
 * session.c - one client: its bytes, its waits, its end.  What it says is
 * dialogue.c's.
 *
 * Bytes are taken one command or one piece of a message at a time.  While the
 * answers to a message are awaited, and while the client does not take what it
 * was told, nothing is taken; what comes is kept up to a limit, then left in
 * the socket.
 *
 * LONG: one set of waits and limits says what is read when
 */
#include "intake/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/event.h"
#include "base/log.h"
#include "base/mem.h"
#include "intake/admit.h"
#include "intake/replies.h"
#include "intake/session_inner.h"

#define IN_ENOUGH	((size_t)64 * 1024)	/* then nothing is read */
#define IN_MAX		(4 * IN_ENOUGH)
#define OUT_ENOUGH	((size_t)64 * 1024)	/* then nothing is taken */
#define OUT_MAX		((size_t)3 * 1024 * 1024)
#define OUT_KEPT	1024		/* bytes of memory, between messages */
#define MS_PER_BYTE	2		/* 500 bytes a second */
#define GONE_MS		1000		/* looks for a client that is gone */
#define DRAIN_MS	1000		/* between transactions */
#define LINGER_MS	2000		/* for the client to read the last line */
#define LINGER_LATE_MS	500		/* the same, SIGKILL being near */

/* ---- the end ---- */

static void
log_end(const struct session *s, const char *why)
{
	struct event_line e;

	if (!event_begin(&e, EVENT_INTAKE_SESSION, NULL))
		return;
	event_text(&e, "protocol", "lmtp");
	event_int(&e, "session", (int64_t)s->serial);
	event_text(&e, "client", *s->ip == '\0' ? "unix" : s->ip);
	if (*s->ip != '\0')
		event_int(&e, "port", addr_port(&s->from));
	event_text(&e, "helo", s->helo);
	event_int(&e, "messages", (int64_t)s->transactions);
	event_int(&e, "delivered", (int64_t)s->delivered);
	event_int(&e, "deferred", (int64_t)s->transient);
	event_int(&e, "bounced", (int64_t)s->permanent);
	event_int(&e, "refused", (int64_t)s->refused);
	event_int(&e, "bytes", (int64_t)s->bytes);
	event_seconds(&e, "duration", loop_now_ms(s->intake->loop) -
	    s->start_ms);
	event_text(&e, "end", why);
	event_end(&e);
}

static void
on_free(void *arg)
{
	struct session *s = arg;
	int i;

	buf_clear(&s->in);
	buf_clear(&s->out);
	free(s->helo);
	for (i = 0; i < CLIENT_FACTS; i++) {
		free(s->facts[i]);
		free(s->forwarded[i]);
	}
	free(s);
}

void
session_free(struct session *s)
{
	struct intake *in = s->intake;

	if (s->is_freed)
		return;
	s->is_freed = true;
	s->phase = PHASE_END;
	transaction_free(s->tx);
	s->tx = NULL;
	conn_free(s->conn);
	timer_clear(&s->timer);
	loop_forget(in->loop, &s->flush_later);
	loop_forget(in->loop, &s->go_on_later);
	TAILQ_REMOVE(&in->sessions, s, next);
	loop_later(in->loop, &s->free_later);
	intake_session_over(in);
}

static void
flush(struct session *s)
{
	if (conn_pending(s->conn) == 0)
		s->took_ms = loop_now_ms(s->intake->loop);
	if (!buf_is_empty(&s->out))
		conn_write(s->conn, buf_data(&s->out), buf_len(&s->out));
	buf_consume(&s->out, buf_len(&s->out));
	if (s->out.cap > OUT_KEPT)
		buf_clear(&s->out);
}

static void	 arm(struct session *);

void
session_close(struct session *s, const char *say)
{
	if (s->phase == PHASE_END)
		return;
	if (say != NULL)
		session_say(s, say);
	flush(s);
	log_end(s, say == NULL ? "lost" : say);
	transaction_free(s->tx);
	s->tx = NULL;
	session_wait(s, PHASE_END);
	/* Closed with bytes unread, TCP takes the last line back. */
	if (say == NULL || (strcmp(say, SAY_BYE) == 0 &&
	    conn_pending(s->conn) == 0))
		session_free(s);
	else {
		conn_pause(s->conn, false);
		arm(s);
	}
}

/* ---- output ---- */

/* The client does not take its replies: nothing more is taken from it. */
static bool
is_clogged(const struct session *s)
{
	return conn_pending(s->conn) + buf_len(&s->out) > OUT_ENOUGH;
}

static void
on_flush(void *arg)
{
	struct session *s = arg;

	flush(s);
	arm(s);
	if (!is_clogged(s) && !buf_is_empty(&s->in))
		loop_later(s->intake->loop, &s->go_on_later);
}

void
session_say(struct session *s, const char *line)
{
	/* There is room: see is_clogged(). */
	buf_puts(&s->out, line);
	buf_add(&s->out, "\r\n", 2);
	loop_later(s->intake->loop, &s->flush_later);
}

/* ---- time ---- */

void
session_wait(struct session *s, enum session_phase phase)
{
	s->phase = phase;
	s->since_ms = loop_now_ms(s->intake->loop);
}

/* When the whole of the message must be there. */
static int64_t
message_due_ms(const struct session *s)
{
	return s->message_ms + s->intake->conf->data_timeout_ms +
	    MS_PER_BYTE * (int64_t)(s->tx == NULL ? 0 :
	    transaction_spool(s->tx)->len);
}

/* When something has to be done if nothing comes; 0: never. */
static int64_t
due_ms(const struct session *s)
{
	const struct intake_conf *c = s->intake->conf;
	int64_t now = loop_now_ms(s->intake->loop), due = 0, other;

	switch (s->phase) {
	case PHASE_COMMAND:
		due = s->since_ms + c->idle_timeout_ms;
		if (s->intake->is_draining && s->tx == NULL)
			due = s->since_ms + DRAIN_MS;
		/* A message that was begun is given the same time to go on. */
		if (s->intake->is_overdue)
			due = s->tx == NULL ? now : s->since_ms + DRAIN_MS;
		if (s->in_chunks && message_due_ms(s) < due)
			due = message_due_ms(s);
		break;
	case PHASE_DATA:
	case PHASE_CHUNK:
		due = s->heard_ms + c->data_timeout_ms;
		if (message_due_ms(s) < due)
			due = message_due_ms(s);
		break;
	case PHASE_ANSWERS:
		due = s->is_paused ? now + GONE_MS : 0;
		break;
	case PHASE_END:
		return s->since_ms + (s->intake->is_overdue ?
		    LINGER_LATE_MS : LINGER_MS);
	}
	other = s->took_ms + c->idle_timeout_ms;
	return conn_pending(s->conn) > 0 && (due == 0 || other < due) ?
	    other : due;
}

static void
arm(struct session *s)
{
	int64_t due, wait;

	if (s->is_freed)
		return;
	if ((due = due_ms(s)) == 0) {
		timer_stop(&s->timer);
		return;
	}
	wait = due - loop_now_ms(s->intake->loop);
	timer_set(&s->timer, wait > 0 ? wait : 0);
}

static void
on_timer(void *arg)
{
	struct session *s = arg;
	int64_t now = loop_now_ms(s->intake->loop);

	if (s->phase == PHASE_END)
		session_free(s);
	else if (conn_pending(s->conn) > 0 &&
	    now >= s->took_ms + s->intake->conf->idle_timeout_ms)
		session_close(s, NULL);
	else if (s->phase == PHASE_ANSWERS && conn_is_gone(s->conn))
		session_close(s, NULL);
	else if (s->phase == PHASE_ANSWERS || now < due_ms(s))
		arm(s);
	else if (s->phase != PHASE_COMMAND || (s->in_chunks &&
	    now >= message_due_ms(s)))
		session_close(s, SAY_DATA_SLOW);
	else
		session_close(s, s->intake->is_draining ? SAY_STOPPING :
		    SAY_IDLE);
}

void
session_drain(struct session *s)
{
	arm(s);
}

/* One that waits for answers has them by now: go_on() ends it. */
void
session_leave(struct session *s)
{
	if (s->phase != PHASE_ANSWERS)
		session_close(s, SAY_MASTER_GONE);
}

/* ---- input ---- */

void
session_message_end(struct session *s)
{
	struct intake_stats *st = &s->intake->stats;
	uint64_t len = transaction_spool(s->tx)->len;

	s->transactions++;
	s->bytes += len;
	st->transactions++;
	st->bytes += len;
	s->nerrors = s->njunk = 0;
	session_wait(s, PHASE_ANSWERS);
	transaction_submit(s->tx);
}

/* How much of what comes behind such a line is data nobody knows. */
static bool
is_bdat(const char *line, size_t n)
{
	return lmtp_command_verb(line, n) == VERB_BDAT;
}

/* A line, if one is there; the bytes taken. */
static size_t
take_line(struct session *s, const char *p, size_t n)
{
	const struct intake_conf *c = s->intake->conf;
	size_t max = (size_t)c->command_line_limit, len;
	const char *end = memchr(p, '\n', n);

	if (end == NULL && n < max)
		return 0;
	len = end == NULL ? n : (size_t)(end - p);
	if (!s->is_skipping && len >= max && is_bdat(p, n)) {
		session_close(s, SAY_LINE_LONG);
		return n;
	}
	if (end == NULL) {
		s->is_skipping = true;
		return n;
	}
	s->since_ms = loop_now_ms(s->intake->loop);
	if (s->is_skipping || len >= max) {
		s->is_skipping = false;
		dialogue_fault(s, SAY_LINE_LONG);
	} else if (len > 0 && end[-1] == '\r')
		dialogue_line(s, p, len - 1, len + 1 < n);
	else if (c->bare_newline == BARE_NORMALIZE)
		dialogue_line(s, p, len, len + 1 < n);
	else
		/* What is behind it may be meant as part of this line. */
		session_close(s, SAY_LINE_BARE);
	return len + 1;
}

static size_t
take_data(struct session *s, const char *p, size_t n)
{
	size_t took = lmtp_data_add(&s->data, p, n, spool_add,
	    transaction_spool(s->tx));

	if (s->data.at == DATA_END)
		session_message_end(s);
	return took;
}

static size_t
take_chunk(struct session *s, const char *p, size_t n)
{
	if (n > s->chunk_left)
		n = s->chunk_left;
	if (s->chunk_fault == NULL)
		spool_add(transaction_spool(s->tx), p, n);
	s->chunk_left -= n;
	if (s->chunk_left == 0)
		dialogue_chunk_end(s);
	return n;
}

/* As much as can be taken now. */
static size_t
take(struct session *s, const char *p, size_t n)
{
	size_t at = 0, took;

	while (at < n && !is_clogged(s)) {
		switch (s->phase) {
		case PHASE_COMMAND:
			took = take_line(s, p + at, n - at);
			break;
		case PHASE_DATA:
			took = take_data(s, p + at, n - at);
			break;
		case PHASE_CHUNK:
			took = take_chunk(s, p + at, n - at);
			break;
		case PHASE_END:
			return n;
		default:
			return at;
		}
		if (took == 0)
			break;
		at += took;
	}
	return at;
}

/* Reads on, or not. */
static void
update(struct session *s)
{
	if (s->phase == PHASE_END)
		return;
	if (s->is_ended && s->phase != PHASE_ANSWERS && buf_is_empty(&s->in)) {
		session_close(s, NULL);
		return;
	}
	s->is_paused = buf_len(&s->in) > IN_ENOUGH;
	conn_pause(s->conn, s->is_paused);
	arm(s);
}

static void
on_data(void *arg, const char *p, size_t n)
{
	struct session *s = arg;
	size_t took = 0;

	s->heard_ms = loop_now_ms(s->intake->loop);
	if (s->phase == PHASE_END)
		return;
	if (buf_is_empty(&s->in))
		took = take(s, p, n);
	if (took < n && s->phase != PHASE_END &&
	    buf_add(&s->in, p + took, n - took) == -1) {
		session_close(s, NULL);		/* cannot be: it is paused */
		return;
	}
	if (took == 0 && s->phase != PHASE_END)
		buf_consume(&s->in, take(s, buf_data(&s->in),
		    buf_len(&s->in)));
	if (!s->is_freed)
		buf_shrink(&s->in);
	update(s);
}

static void
on_go_on(void *arg)
{
	struct session *s = arg;

	if (s->intake->is_leaving) {
		session_leave(s);
		return;
	}
	if (!buf_is_empty(&s->in)) {
		buf_consume(&s->in, take(s, buf_data(&s->in),
		    buf_len(&s->in)));
		if (!s->is_freed)
			buf_shrink(&s->in);
	}
	update(s);
}

static void
on_progress(void *arg)
{
	struct session *s = arg;

	s->took_ms = loop_now_ms(s->intake->loop);
	arm(s);
}

static void
on_drained(void *arg)
{
	struct session *s = arg;

	s->took_ms = loop_now_ms(s->intake->loop);
	if (s->phase != PHASE_END && !buf_is_empty(&s->in))
		loop_later(s->intake->loop, &s->go_on_later);
	arm(s);
}

/*
 * The client sends no more.  One that has said QUIT behind its message, as Exim
 * does before it closes its side, waits for the answers; one that has not has
 * given up.
 */
static void
on_ended(void *arg)
{
	static const char quit[] = "\nQUIT\r\n";
	struct session *s = arg;
	size_t n = sizeof(quit) - 1, have = buf_len(&s->in);

	if (s->phase == PHASE_END) {
		if (conn_pending(s->conn) == 0)
			session_free(s);
		return;
	}
	/* The LF before it may be that of the message. */
	if (have == n - 1)
		n--;
	s->is_ended = have >= n && strncasecmp(buf_data(&s->in) + have - n,
	    quit + sizeof(quit) - 1 - n, n) == 0;
	if (!s->is_ended)
		session_close(s, NULL);
}

static void
on_closed(void *arg, int error)
{
	struct session *s = arg;

	if (s->phase == PHASE_END)
		session_free(s);
	else {
		if (error != 0)
			log_debug("session %llu: %s",
			    (unsigned long long)s->serial, strerror(error));
		session_close(s, NULL);
	}
}

/* ---- the start ---- */

static const struct conn_ops conn_ops = {
	.data = on_data,
	.drained = on_drained,
	.progress = on_progress,
	.closed = on_closed,
	.ended = on_ended,
};

void
session_new(struct intake *in, int fd, const struct addr *from)
{
	const char *say = admit_fault(in, from);
	struct session *s;

	if (in->changed != NULL)
		in->changed(in->front);
	if (say != NULL) {
		admit_refuse(in, fd, say);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->intake = in;
	s->from = *from;
	if (addr_family(from) != AF_UNIX)
		addr_format(from, s->ip, sizeof(s->ip));
	s->is_trusted = admit_trusts(in, from);
	s->serial = ++in->nsessions_ever;
	buf_init(&s->in, IN_MAX);
	buf_init(&s->out, OUT_MAX);
	later_init(&s->flush_later, on_flush, s);
	later_init(&s->go_on_later, on_go_on, s);
	later_init(&s->free_later, on_free, s);
	timer_init(&s->timer, in->loop, on_timer, s);
	s->start_ms = s->heard_ms = s->took_ms = loop_now_ms(in->loop);
	s->conn = conn_accepted(in->loop, fd, &conn_ops, s);
	TAILQ_INSERT_TAIL(&in->sessions, s, next);
	in->nsessions++;
	in->stats.connections++;
	session_wait(s, PHASE_COMMAND);
	dialogue_greet(s, "220");
	arm(s);
}

struct session *
session_first(struct intake *in)
{
	return TAILQ_FIRST(&in->sessions);
}

struct session *
session_next(struct session *s)
{
	return TAILQ_NEXT(s, next);
}
