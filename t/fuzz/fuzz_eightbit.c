/*
 * fuzz_eightbit.c - any message made 7-bit.  The result has to be of the
 * length that was planned and the same in pieces of any size, 7-bit but for
 * header fields, and of the same parts, each with the same content.
 * The first byte says how long the pieces are.
 */
#include "mail/eightbit.h"

#include <stdlib.h>

#include "../unit/eightbit_reference.h"
#include "../unit/message_reference.h"
#include "mail/mime.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
require(bool held)
{
	if (!held)
		abort();
}

/* The parts of a message, in the order of their headers. */
struct tree {
	const char	*mem;
	size_t		 len;
	struct mime_part part[MIME_PARTS_MAX];
	size_t		 open[MIME_DEPTH_MAX], n;
	uint64_t	 ntext, sum;	/* of what is in leaves, or outside */
	bool		 has_8bit;	/* there */
};

static void
on_header(void *arg, const struct mime_part *p)
{
	struct tree *t = arg;

	require(t->n < MIME_PARTS_MAX && p->depth < MIME_DEPTH_MAX);
	require(p->header_end <= p->body_start);
	t->open[p->depth] = t->n;
	t->part[t->n++] = *p;
}

static void
on_text(void *arg, const struct mime_part *p, const char *text, size_t n)
{
	struct tree *t = arg;

	require(p->kind != MIME_MESSAGE);
	t->has_8bit |= !reference_is_7bit(text, n);
	t->ntext += n;
	for (size_t i = 0; i < n; i++)
		t->sum = t->sum * 31 + (uint8_t)text[i] + p->depth;
}

static void
on_end(void *arg, const struct mime_part *p)
{
	struct tree *t = arg;

	require(p->body_start <= p->body_end && p->body_end <= t->len);
	t->part[t->open[p->depth]] = *p;
}

/* NULL where a limit is passed. */
static struct tree *
look(const char *from, size_t n, size_t piece)
{
	static const struct mime_events events = { on_header, on_text, on_end };
	struct tree	*t = calloc(1, sizeof(*t));
	struct mime	*m = malloc(sizeof(*m));
	size_t		 len;
	bool		 held;

	t->mem = from;
	t->len = n;
	mime_init(m, &events, t);
	for (size_t at = 0; at < n; at += len) {
		len = n - at < piece ? n - at : piece;
		if (mime_add(m, from + at, len) == -1)
			break;
	}
	held = mime_finish(m) == 0;
	require(!held || m->at == n);
	mime_clear(m);
	free(m);
	if (held)
		return t;
	free(t);
	return NULL;
}

/* The content as it goes over the wire; the caller frees it. */
static char *
canonical(const struct tree *t, const struct mime_part *p, size_t *n_r)
{
	size_t	 n = p->body_end - p->body_start;
	char	*to = malloc(crlf_room(n) + 2), last;

	*n_r = reference_convert(to, t->mem + p->body_start, n, false);
	last = n > 0 ? t->mem[p->body_end - 1] : '\n';
	/* A line end is made up only at the end of the message. */
	if (p->body_end != t->len && last != '\r' && last != '\n')
		*n_r -= 2;
	return to;
}

static void
check_decoded(const struct tree *in, const struct mime_part *a,
    const struct tree *out, const struct mime_part *b)
{
	const char	*from = out->mem + b->body_start, *want;
	size_t		 n = b->body_end - b->body_start, want_n;
	char		*got = malloc(n + 1), *text = canonical(in, a, &want_n);
	int64_t		 got_n;

	want = text;
	if (b->encoding == MIME_QUOTED_PRINTABLE) {
		got_n = reference_decode_qp(got, from, n);
	} else {
		require(b->encoding == MIME_BASE64);
		got_n = reference_decode_base64(got, from, n);
		want = in->mem + a->body_start;
		want_n = a->body_end - a->body_start;
	}
	require(got_n == (int64_t)want_n && memcmp(got, want, want_n) == 0);
	free(text);
	free(got);
}

static void
check_part(const struct tree *in, const struct mime_part *a,
    const struct tree *out, const struct mime_part *b)
{
	char	*text;
	size_t	 n;

	require(a->kind == b->kind && a->depth == b->depth &&
	    a->number == b->number && a->header_8bit == b->header_8bit &&
	    strcmp(a->type.name, b->type.name) == 0 &&
	    strcmp(a->type.boundary, b->type.boundary) == 0);
	if (a->kind != MIME_LEAF)
		return;
	if (a->encoding != b->encoding) {
		require(mime_is_identity(a->encoding));
		check_decoded(in, a, out, b);
		return;
	}
	text = canonical(in, a, &n);
	require(b->body_end - b->body_start == n &&
	    memcmp(text, out->mem + b->body_start, n) == 0);
	free(text);
}

static void
check_result(const struct eightbit_plan *plan, const char *from, size_t n,
    const char *to)
{
	struct tree	*in = look(from, n, n + 1);
	struct tree	*out = look(to, plan->out_len, plan->out_len + 1);

	require(in != NULL);
	require(plan->has_header_8bit ||
	    reference_is_7bit(to, plan->out_len));
	if (out != NULL) {	/* else a header became too long */
		require(in->n == out->n && !out->has_8bit);
		for (size_t i = 0; i < in->n; i++)
			check_part(in, &in->part[i], out, &out->part[i]);
	}
	free(in);
	free(out);
}

static void
write_all(const struct eightbit_plan *plan, const struct body *body, char *to,
    size_t piece)
{
	struct eightbit_writer	*w = eightbit_writer_new(plan, body);
	char			*one = malloc(piece);
	int64_t			 n;
	uint64_t		 at = 0;

	while ((n = eightbit_read(w, one, piece)) > 0) {
		require((size_t)n <= piece && at + (uint64_t)n <=
		    plan->out_len);
		memcpy(to + at, one, (size_t)n);
		at += (uint64_t)n;
	}
	require(n == 0 && at == plan->out_len);
	free(one);
	eightbit_writer_free(w);
}

static void
check_same(const struct mime_part *a, const struct mime_part *b)
{
	require(a->kind == b->kind && a->encoding == b->encoding &&
	    a->depth == b->depth && a->number == b->number &&
	    a->is_message == b->is_message && a->has_dkim == b->has_dkim &&
	    a->header_8bit == b->header_8bit && a->ntypes == b->ntypes &&
	    a->nencodings == b->nencodings && a->nversions == b->nversions);
	require(a->encoding_start == b->encoding_start &&
	    a->encoding_end == b->encoding_end &&
	    a->encoding_len == b->encoding_len &&
	    a->header_end == b->header_end &&
	    a->body_start == b->body_start && a->body_end == b->body_end);
	require(strcmp(a->type.name, b->type.name) == 0 &&
	    strcmp(a->type.boundary, b->type.boundary) == 0);
}

static void
check_pieces(const char *from, size_t n, size_t piece)
{
	struct tree *a = look(from, n, n + 1), *b = look(from, n, piece);

	require((a == NULL) == (b == NULL));
	if (a != NULL)
		require(a->n == b->n && a->ntext == b->ntext &&
		    a->sum == b->sum);
	for (size_t i = 0; a != NULL && i < a->n; i++)
		check_same(&a->part[i], &b->part[i]);
	free(a);
	free(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct body		 body = { .fd = -1 };
	struct eightbit_plan	*plan;
	enum eightbit_result	 result;
	size_t			 piece, n;
	char			*to, *again;

	if (size < 2)
		return 0;
	piece = (size_t)data[0] + 1;
	body.mem = (const char *)data + 1;
	body.len = n = size - 1;
	check_pieces(body.mem, n, piece);
	result = eightbit_plan(&body, &plan);
	require(result != EIGHTBIT_ERROR);
	if (result == EIGHTBIT_SIGNED || result == EIGHTBIT_CANNOT) {
		require(plan->why[0] != '\0' && plan->out_len == 0);
		require(reference_is_7bit(plan->why, strlen(plan->why)));
	} else {
		require((result == EIGHTBIT_CONVERT) == (plan->nconverted > 0));
		to = malloc(plan->out_len + 1);
		again = malloc(plan->out_len + 1);
		write_all(plan, &body, to, 4096);
		write_all(plan, &body, again, piece);
		require(memcmp(to, again, plan->out_len) == 0);
		check_result(plan, body.mem, n, to);
		free(to);
		free(again);
	}
	eightbit_plan_free(plan);
	return 0;
}
