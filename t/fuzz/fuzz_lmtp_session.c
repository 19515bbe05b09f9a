/*
 * fuzz_lmtp_session.c - a whole LMTP client, without sockets.  The first byte
 * chooses options and what the next hops say, the second how the bytes are
 * cut, the rest is what the client says.
 *
 * The client is played cut at its lines, and again cut anywhere; it must be
 * told the same and deliver the same.  Then it comes in one piece, and with a
 * master that is lost.  Of each: every DELIVER is sound, no recipient is told
 * that it was delivered unless its RESULT said so, and nothing is left.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/option.h"
#include "intake/intake.h"
#include "intake/session.h"
#include "intake/upstream.h"
#include "mail/frame.h"
#include "net/channel.h"
#include "net/conn.h"
#include "virtual_loop.h"

#define OUT_MAX		((size_t)64 * 1024 * 1024)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* ---- the client's connection: net/conn.h ---- */

struct conn {
	const struct conn_ops *ops;
	void		*arg;
	bool		 is_slow;	/* keeps what is written */
	bool		 is_freed;
	struct buf	 kept;
	struct later	 free_later;
};

static struct conn *client;		/* NULL: it is gone */
static struct buf said;			/* to the client */

static void
on_free_conn(void *arg)
{
	struct conn *c = arg;

	buf_clear(&c->kept);
	free(c);
}

struct conn *
conn_accepted(struct loop *loop, int fd, const struct conn_ops *ops, void *arg)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	(void)loop;
	check(fd == -1 && client == NULL);
	c->ops = ops;
	c->arg = arg;
	buf_init(&c->kept, OUT_MAX);
	later_init(&c->free_later, on_free_conn, c);
	return client = c;
}

void
conn_free(struct conn *c)
{
	if (c->is_freed)
		return;
	c->is_freed = true;
	client = NULL;
	loop_later(&virtual_loop, &c->free_later);
}

void
conn_write(struct conn *c, const char *p, size_t n)
{
	check(!c->is_freed);
	check(buf_add(&said, p, n) == 0);
	if (c->is_slow)
		check(buf_add(&c->kept, p, n) == 0);
}

size_t
conn_pending(const struct conn *c)
{
	return buf_len(&c->kept);
}

void
conn_pause(struct conn *c, bool pause)
{
	(void)c;
	(void)pause;
}

bool
conn_is_gone(const struct conn *c)
{
	(void)c;
	return false;
}

/* ---- the master's channel: net/channel.h ---- */

struct channel {
	struct buf	 out;
	size_t		 done;		/* bytes that were looked at */
	int		 fds[64];
	size_t		 nfds;
};

static struct channel master;

struct buf *
channel_out(struct channel *c)
{
	return &c->out;
}

void
channel_queued(struct channel *c, size_t start, int fd)
{
	(void)start;
	if (fd != -1) {
		check(c->nfds < 64);
		c->fds[c->nfds++] = fd;
	}
}

size_t
channel_pending(const struct channel *c)
{
	(void)c;
	return 0;
}

/* ---- the next hops ---- */

struct play {
	struct intake	 intake;
	struct upstream	*upstream;
	uint8_t		 mood;
	bool		 is_deaf;	/* answers nothing */
	uint64_t	 delivered;	/* RESULTs that said so */
	uint64_t	 deliveries;
};

static void
put_result(struct play *p, struct buf *out, uint64_t id, uint32_t i,
    const struct envelope *e)
{
	struct answer a = { .host = "h", .address = "192.0.2.1" };
	unsigned kind = (p->mood + i + e->nrcpt) % 4;

	a.reply.cls = kind == 1 ? REPLY_TRANSIENT : kind == 2 ?
	    REPLY_PERMANENT : REPLY_DELIVERED;
	a.reply.code = kind == 1 ? 421 : kind == 2 ? 550 : 250;
	a.reply.dsn[0] = (uint8_t)(a.reply.code / 100);
	a.reply.by = BY_REMOTE;
	a.reply.text = kind == 0 ? "DELIVERED" : kind == 1 ? "later\nmaybe" :
	    kind == 2 ? "no \x01\xff" : "DELIVERED\nwith lines";
	p->delivered += a.reply.cls == REPLY_DELIVERED;
	check(frame_put_result(out, id, i, &a) == 0);
}

static void
check_envelope(const struct envelope *e)
{
	struct body_facts f;
	uint32_t i;

	check(e->no_wait && e->deadline_s > 0 && e->arrival_ms > 0);
	check(e->nrcpt >= 1 && strlen(e->sender) <= 1000);
	for (i = 0; i < e->nrcpt; i++)
		check(*e->rcpts[i].addr != '\0');
	check(body_look(&e->body, &f) == 0);
	if ((e->flags & ENV_WIRE_FORM) != 0)
		check(f.is_clean && !f.has_nul && e->body_type ==
		    (f.has_8bit ? BODY_8BITMIME : BODY_7BIT));
	if (e->body_type != BODY_BINARYMIME)
		check(f.wire_len <= e->body.len + 2);	/* no bare CR, LF */
}

static void
take_deliver(struct play *p, const struct frame *f, struct buf *answers)
{
	struct arena *arena = arena_new(f->len + 1024);
	struct envelope e;
	const char *error;
	uint32_t i;
	int fd = -1;

	if ((f->flags & FRAME_HAS_FD) != 0) {
		check(master.nfds > 0);
		fd = master.fds[0];
		memmove(master.fds, master.fds + 1,
		    --master.nfds * sizeof(int));
	}
	check(frame_get_deliver(f, fd, arena, &e, &error) == 0);
	check_envelope(&e);
	p->deliveries++;
	/* The last first: replies must come in order all the same. */
	for (i = e.nrcpt; i > 0 && !p->is_deaf; i--)
		put_result(p, answers, f->id, i - 1, &e);
	if (!p->is_deaf)
		check(frame_put_bare(answers, FRAME_DONE, f->id) == 0);
	if (fd != -1)
		close(fd);
	arena_free(arena);
}

/* Answers what was asked since; how often it was asked. */
static size_t
answer(struct play *p)
{
	const char *error = NULL;
	struct buf answers;
	struct frame f;
	size_t n = 0;

	buf_init(&answers, OUT_MAX);
	for (; master.done < buf_len(&master.out); master.done += f.len, n++) {
		check(frame_parse(buf_data(&master.out) + master.done,
		    buf_len(&master.out) - master.done, &f, &error) == 1);
		if (f.type == FRAME_DELIVER)
			take_deliver(p, &f, &answers);
		else
			check(f.type == FRAME_CANCEL);
	}
	while (!buf_is_empty(&answers)) {
		check(frame_parse(buf_data(&answers), buf_len(&answers), &f,
		    &error) == 1);
		check(upstream_frame(p->upstream, &f) == NULL);
		buf_consume(&answers, f.len);
	}
	buf_clear(&answers);
	return n;
}

static void
settle(struct play *p)
{
	do {
		virtual_run_later();
		if (client != NULL && !buf_is_empty(&client->kept)) {
			buf_clear(&client->kept);
			client->ops->drained(client->arg);
		}
		virtual_run_later();
	} while (answer(p) > 0 || (client != NULL &&
	    !buf_is_empty(&client->kept)));
}

/* ---- a run ---- */

static void
options(struct opts *o, uint8_t mood)
{
	static const char *const rows[][2] = {
		{ "hostname", "in.test" }, { "relay.one.test", "one" },
		{ "relay..test", "other" }, { "xclient_hosts", "loopback" },
		{ "max_errors", "1000" }, { "command_line_limit", "600" },
		{ "relay.test", "one" }, { "memory_limit", "40000" },
	};
	char error[512];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(opts_set(o, rows[i][0], rows[i][1], OPTS_ONCE, error,
		    sizeof(error)) == 0);
	if ((mood & 1) != 0)
		opts_set(o, "bare_newline", "normalize", OPTS_ONCE, error,
		    sizeof(error));
	if ((mood & 2) != 0)
		opts_set(o, "message_size_limit", "100", OPTS_ONCE, error,
		    sizeof(error));
	if ((mood & 4) != 0)
		opts_set(o, "max_recipients", "2", OPTS_ONCE, error,
		    sizeof(error));
}

/* How often a text stands in what the client was told. */
static uint64_t
count(const char *text)
{
	const char *at = buf_data(&said);
	size_t n = strlen(text), left = buf_len(&said);
	uint64_t found = 0;
	const char *next;

	while (left > 0 && (next = memmem(at, left, text, n)) != NULL) {
		found++;
		left -= (size_t)(next - at) + n;
		at = next + n;
	}
	return found;
}

/* Lines are whole, short, and begin with a code. */
static void
check_said(void)
{
	const char *p = buf_data(&said), *end = p + buf_len(&said), *eol;

	for (; p < end; p = eol + 2) {
		eol = memmem(p, (size_t)(end - p), "\r\n", 2);
		check(eol != NULL && eol - p >= 4 && eol - p <= 510);
		check(p[0] >= '2' && p[0] <= '5' && (p[3] == ' ' ||
		    p[3] == '-'));
		check(memchr(p, '\n', (size_t)(eol - p)) == NULL);
	}
}

/* The next piece: up to a line end, or at most `step`. */
static size_t
cut(const char *p, size_t n, size_t step)
{
	const char *end;

	if (step == 0)
		return n;
	end = memchr(p, '\n', n);
	if (end != NULL)
		n = (size_t)(end - p) + 1;
	return n < step ? n : step;
}

static void
run(struct opts *o, uint8_t mood, const char *p, size_t n, size_t step,
    bool is_deaf)
{
	static const struct addr local = { .u.un.sun_family = AF_UNIX,
		.len = sizeof(sa_family_t) };
	struct play play = { .mood = mood, .is_deaf = is_deaf };
	char error[256];
	size_t some;

	virtual_start();
	buf_clear(&said);
	buf_clear(&master.out);
	master.done = 0;
	play.intake.store.folder = -1;
	check(intake_start(&play.intake, &virtual_loop, opts_values(o), error,
	    sizeof(error)) == 0);
	play.upstream = play.intake.upstream;
	upstream_attach(play.upstream, &master, 3);
	session_new(&play.intake, -1, &local);
	client->is_slow = (mood & 8) != 0;
	settle(&play);
	for (; n > 0 && client != NULL; p += some, n -= some) {
		some = cut(p, n, step);
		client->ops->data(client->arg, p, some);
		settle(&play);
	}
	if (is_deaf) {
		upstream_detach(play.upstream);
		settle(&play);
	} else
		check(count("DELIVERED") == play.delivered);
	check_said();
	while (client != NULL && virtual_fire(INT64_MAX))
		settle(&play);
	check(client == NULL && play.intake.nsessions == 0);
	check(upstream_open(play.upstream) == 0);
	check(play.intake.store.memory_used == 0 && master.nfds == 0);
	intake_end(&play.intake);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data + 2;
	struct buf first, delivered;
	struct opts *o;
	uint8_t mood;

	if (n < 3 || n > 100000)
		return 0;
	mood = data[0];
	n -= 2;
	buf_init(&said, OUT_MAX);
	buf_init(&master.out, OUT_MAX);
	o = opts_new(&intake_conf_table);
	options(o, mood);

	run(o, mood, p, n, SIZE_MAX, false);
	first = said;
	delivered = master.out;
	buf_init(&said, OUT_MAX);
	buf_init(&master.out, OUT_MAX);
	run(o, mood, p, n, 1 + data[1] % 67u, false);
	check(buf_len(&first) == buf_len(&said) &&
	    memcmp(buf_data(&first), buf_data(&said), buf_len(&said)) == 0);
	check(buf_len(&delivered) == buf_len(&master.out) && (buf_is_empty(
	    &delivered) || memcmp(buf_data(&delivered),
	    buf_data(&master.out), buf_len(&delivered)) == 0));
	buf_clear(&first);
	buf_clear(&delivered);

	run(o, mood, p, n, 0, false);
	run(o, mood, p, n, 0, true);
	check(count("DELIVERED") == 0);
	opts_free(o);
	buf_clear(&said);
	buf_clear(&master.out);
	return 0;
}
