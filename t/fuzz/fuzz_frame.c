/*
 * fuzz_frame.c - any frame.  What the router takes the agent must take, and
 * the other way round; what was read must mean the same written again.
 */
#include "mail/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
check_text(const char *s)
{
	if (s != NULL)
		check(strlen(s) <= FRAME_TEXT_MAX && strpbrk(s, "\r\n") ==
		    NULL);
}

static void
check_envelope(const struct envelope *e, const struct frame *f)
{
	uint32_t i;

	check(e->nrcpt >= 1 && e->nrcpt <= ENVELOPE_RCPT_MAX);
	for (i = 0; i < e->nrcpt; i++) {
		check_text(e->rcpts[i].addr);
		check_text(e->rcpts[i].orcpt);
		check(e->rcpts[i].addr != NULL);
	}
	check_text(e->sender);
	check_text(e->nexthop);
	check_text(e->ehlo);
	if ((f->flags & FRAME_HAS_FD) != 0)
		check(e->body.mem == NULL && e->body.len <= INT64_MAX &&
		    e->body.offset <= INT64_MAX - e->body.len);
	else
		check(e->body.mem != NULL &&
		    e->body.len <= FRAME_INLINE_BODY_MAX);
}

static void
check_again(const struct envelope *e, const struct frame *f,
    struct arena *arena)
{
	struct envelope again;
	const char *error;
	struct frame g;
	struct buf b;
	uint32_t i;

	buf_init(&b, 4 * FRAME_BYTES_MAX);
	/* Reading drops what nobody knows, so that it always fits. */
	check(frame_put_deliver(&b, f->id, e) == 0);
	check(frame_parse(buf_data(&b), buf_len(&b), &g, &error) == 1);
	check(g.len == buf_len(&b) && g.flags == f->flags && g.id == f->id);
	check(frame_get_deliver(&g, e->body.fd, arena, &again, &error) == 0);
	check(again.nrcpt == e->nrcpt && again.flags == e->flags &&
	    again.ret == e->ret && again.body_type == e->body_type &&
	    again.arrival_ms == e->arrival_ms &&
	    again.attempts == e->attempts &&
	    again.deadline_s == e->deadline_s && again.hops == e->hops &&
	    again.no_wait == e->no_wait &&
	    again.body.len == e->body.len &&
	    again.body.offset == e->body.offset);
	check(same(again.id, e->id) && same(again.relay, e->relay) &&
	    same(again.sender, e->sender) && same(again.envid, e->envid) &&
	    same(again.client_auth, e->client_auth));
	for (i = 0; i < e->nrcpt; i++)
		check(same(again.rcpts[i].addr, e->rcpts[i].addr) &&
		    same(again.rcpts[i].orcpt, e->rcpts[i].orcpt) &&
		    again.rcpts[i].notify == e->rcpts[i].notify);
	if (e->body.mem != NULL)
		check(memcmp(again.body.mem, e->body.mem, e->body.len) == 0);
	buf_clear(&b);
}

static void
names(const struct frame *f, const struct deliver_facts *facts,
    const struct envelope *e, struct arena *arena)
{
	char *all = arena_alloc(arena, facts->names_len), *at = all;
	uint32_t i;

	frame_deliver_names(f, facts, all);
	check(same(at, e->id));
	at += strlen(at) + 1;
	check(same(at, e->sender));
	for (i = 0; i < e->nrcpt; i++) {
		at += strlen(at) + 1;
		check(same(at, e->rcpts[i].addr));
	}
	check(at + strlen(at) + 1 == all + facts->names_len);
}

static void
deliver(const struct frame *f, struct arena *arena)
{
	const char *error = NULL, *router_error = NULL;
	struct deliver_facts facts;
	struct envelope e;

	if (frame_deliver_facts(f, &facts, &router_error) == -1) {
		check(frame_get_deliver(f, -1, arena, &e, &error) == -1);
		check(error != NULL && same(error, router_error));
		return;
	}
	check(frame_get_deliver(f, -1, arena, &e, &error) == 0);
	check(facts.nrcpt == e.nrcpt && facts.deadline_s == e.deadline_s &&
	    facts.relay_len == strlen(e.relay) && facts.no_wait == e.no_wait);
	check(facts.body_len == e.body.len);
	names(f, &facts, &e, arena);
	check_envelope(&e, f);
	check_again(&e, f, arena);
}

static void
result(const struct frame *f, struct arena *arena)
{
	uint32_t i, j, k;
	const char *error = NULL;
	struct answer a, plain;
	struct frame g;
	struct buf b;

	if (frame_get_result(f, arena, &i, &a, &error) == -1) {
		check(error != NULL);
		check(frame_get_result(f, NULL, &j, &plain, &error) == -1);
		return;
	}
	check(frame_get_result(f, NULL, &j, &plain, &error) == 0 && i == j);
	check(frame_result_index(f, &k) == 0 && i == k);
	check(a.reply.code >= 200 && a.reply.code <= 599);
	check(strlen(a.reply.text) <= FRAME_TEXT_MAX);
	buf_init(&b, FRAME_BYTES_MAX);
	check(frame_put_result(&b, f->id, i, &a) == 0);
	check(frame_parse(buf_data(&b), buf_len(&b), &g, &error) == 1);
	check(frame_get_result(&g, arena, &j, &plain, &error) == 0);
	check(i == j && same(a.reply.text, plain.reply.text) &&
	    same(a.host, plain.host) && a.reply.code == plain.reply.code);
	buf_clear(&b);
}

static void
forward(const struct frame *f, struct arena *arena)
{
	struct forward to, again;
	const char *error = NULL;
	uint32_t set[ENVELOPE_RCPT_MAX], i;
	struct attr a, b;
	struct frame g;
	struct buf out;

	if (frame_get_forward(f, arena, &to, &a, &error) == -1) {
		check(error != NULL);
		return;
	}
	check(frame_forward_fits(&to));
	check(a.len % 4 == 0 && a.len / 4 <= ENVELOPE_RCPT_MAX);
	for (i = 0; i < a.len / 4; i++)
		set[i] = get_be32(a.data + 4 * i);
	buf_init(&out, FRAME_BYTES_MAX);
	check(frame_put_forward(&out, f->id, &to, a.data == NULL ? NULL : set,
	    a.len / 4) == 0);
	check(frame_parse(buf_data(&out), buf_len(&out), &g, &error) == 1);
	check(frame_get_forward(&g, arena, &again, &b, &error) == 0);
	check(same(to.relay, again.relay) && same(to.ehlo, again.ehlo) &&
	    same(to.nexthop, again.nexthop) && same(to.source, again.source));
	check(a.len == b.len && (a.data == NULL) == (b.data == NULL));
	check(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
	buf_clear(&out);
}

/* What the router makes of a DELIVER, the target's agent must take. */
static void
readdressed(const struct frame *f, struct arena *arena)
{
	const struct forward to = { "out", f->id % 2 == 0 ? NULL : "next",
		f->id % 3 == 0 ? NULL : "", "ehlo" };
	uint8_t chosen[ENVELOPE_RCPT_MAX] = { 0 };
	struct envelope was, is;
	const char *error = NULL;
	struct deliver_facts facts;
	uint32_t i, n = 0, at = 0;
	struct frame g;
	struct buf out;

	if (frame_deliver_facts(f, &facts, &error) == -1)
		return;
	for (i = 0; i < facts.nrcpt; i++)
		n += chosen[i] = (f->id >> i % 64 & 1) != 0 || i == 0;
	buf_init(&out, FRAME_BYTES_MAX + 4 * FRAME_TEXT_MAX);
	if (frame_put_forwarded(&out, f, chosen, &to, 4, 9) == 0) {
		check(frame_parse(buf_data(&out), buf_len(&out), &g, &error)
		    == 1);
		check(frame_get_deliver(&g, -1, arena, &is, &error) == 0);
		check(frame_get_deliver(f, -1, arena, &was, &error) == 0);
		check(is.nrcpt == n && is.hops == 4 && is.deadline_s == 9);
		check(same(is.relay, "out") && same(is.ehlo, "ehlo"));
		check(same(is.nexthop, to.nexthop != NULL ? to.nexthop :
		    was.nexthop));
		check(same(is.source, to.source != NULL ? NULL : was.source));
		check(same(is.sender, was.sender) && is.flags == was.flags);
		for (i = 0; i < was.nrcpt; i++)
			if (chosen[i]) {
				check(same(is.rcpts[at].addr,
				    was.rcpts[i].addr));
				check(same(is.rcpts[at].orcpt,
				    was.rcpts[i].orcpt));
				check(is.rcpts[at++].notify ==
				    was.rcpts[i].notify);
			}
	}
	buf_clear(&out);
}

static void
listens(const struct frame *f, struct arena *arena)
{
	const char *address, *again, *error = NULL;
	struct frame g;
	struct buf out;

	if (frame_get_listen(f, arena, &address, &error) == -1) {
		check(error != NULL);
		return;
	}
	check(*address != '\0' && strlen(address) <= FRAME_TEXT_MAX);
	buf_init(&out, FRAME_BYTES_MAX);
	check(frame_put_listen(&out, address) == 0);
	check(frame_parse(buf_data(&out), buf_len(&out), &g, &error) == 1);
	check(frame_get_listen(&g, arena, &again, &error) == 0 &&
	    same(address, again));
	buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(0);
	const char *error;
	struct frame f;
	struct attr a;
	size_t at, in;
	uint32_t v;
	int got = 0;

	for (in = 0; in < n; in += f.len) {
		error = NULL;
		got = frame_parse(data + in, n - in, &f, &error);
		check((got == -1) == (error != NULL));
		if (got != 1)
			break;
		check(f.len >= FRAME_HEADER_BYTES && f.len <= n - in);
		for (at = 0; frame_next(&f, &at, &a) == 1;) {
			check(a.data + a.len <= f.attrs + f.attrs_len);
			attr_text(&a, arena);
			attr_u32(&a, &v);
		}
		check(at <= f.attrs_len);
		deliver(&f, arena);
		result(&f, arena);
		forward(&f, arena);
		readdressed(&f, arena);
		listens(&f, arena);
		frame_type_name(f.type);
	}
	arena_free(arena);
	return 0;
}
