/*
 * message.c - line ends, dots, and what else there is to know of a message.
 *
 * All of it goes by blocks of 64 bytes and the masks of block.h: a bit tells
 * what stands before a byte once the mask is shifted by one, and the last bit
 * of a block is carried into the next.  A look counts over a run of blocks
 * instead where counts say all, as they do in nearly every body.
 */
#include "mail/message.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mail/block.h"

#define LINE_MAX_BYTES	998	/* RFC 5321 §4.5.3.1.6, without the CRLF */
#define READ_BYTES	(64 * 1024)
#define SLOW_BLOCKS	16	/* until runs are tried again */

_Static_assert(2 * RUN_BYTES <= LINE_MAX_BYTES, "a long line fills a run");

/* What surrounds each byte of a block. */
struct lines {
	uint64_t cr, lf;
	uint64_t lone_lf;	/* LF without its CR */
	uint64_t open_cr;	/* a byte whose CR before it has no LF */
	uint64_t start;		/* first byte of a line */
};

static inline struct lines
lines_of(const char *block, bool at_bol, bool after_cr)
{
	struct lines	l;
	uint64_t	after;

	l.cr = block_eq(block, '\r');
	l.lf = block_eq(block, '\n');
	after = l.cr << 1 | after_cr;
	l.lone_lf = l.lf & ~after;
	l.open_cr = after & ~l.lf;
	l.start = l.lf << 1 | at_bol | l.open_cr;
	return l;
}

void
crlf_init(struct crlf *c, bool stuff)
{
	*c = (struct crlf){ .stuff = stuff, .at_bol = true };
}

/*
 * One block of which n bytes count.  Whatever is amiss is put right by bytes
 * put in before another: CR before a lone LF, LF before what follows a lone
 * CR, and a dot before a dot.
 */
static inline char *
crlf_block(struct crlf *c, char *to, const char *block, size_t n)
{
	const uint64_t	counted = ~UINT64_C(0) >> (BLOCK_BYTES - n);
	struct lines	l = lines_of(block, c->at_bol, c->after_cr);
	uint64_t	dots, put, bit;
	size_t		at = 0, next;

	dots = c->stuff ? block_eq(block, '.') & l.start : 0;
	put = (l.lone_lf | l.open_cr | dots) & counted;
	for (; put != 0; put &= put - 1) {
		next = (size_t)__builtin_ctzll(put);
		bit = UINT64_C(1) << next;
		memcpy(to, block + at, next - at);
		to += next - at;
		at = next;
		if (l.open_cr & bit)
			*to++ = '\n';
		if (l.lone_lf & bit)
			*to++ = '\r';
		if (dots & bit)
			*to++ = '.';
	}
	memcpy(to, block + at, n - at);
	c->at_bol = l.lf >> (n - 1) & 1;
	c->after_cr = l.cr >> (n - 1) & 1;
	return to + (n - at);
}

size_t
crlf_convert(struct crlf *c, char *to, const char *from, size_t n)
{
	struct crlf	 state = *c;	/* a local one stays in registers */
	char		 rest[BLOCK_BYTES] = "";
	char		*end = to;

	if (n == 0)
		return 0;
	if (state.after_cr)
		*end++ = '\r';
	for (; n >= BLOCK_BYTES; n -= BLOCK_BYTES, from += BLOCK_BYTES)
		end = crlf_block(&state, end, from, BLOCK_BYTES);
	if (n > 0) {
		memcpy(rest, from, n);
		end = crlf_block(&state, end, rest, n);
	}
	*c = state;
	return (size_t)(end - to) - (state.after_cr ? 1 : 0);
}

size_t
crlf_finish(struct crlf *c, char *to)
{
	if (c->at_bol)
		return 0;
	c->after_cr = false;
	c->at_bol = true;
	to[0] = '\r';
	to[1] = '\n';
	return 2;
}

void
body_reader_init(struct body_reader *r, const struct body *body)
{
	*r = (struct body_reader){ .body = body };
}

int64_t
body_read(struct body_reader *r, char *scratch, size_t max,
    const char **data_r)
{
	uint64_t	left = body_left(r);
	ssize_t		n;

	if (max > left)
		max = left;
	if (max == 0)
		return 0;
	if (r->body->mem != NULL) {
		*data_r = r->body->mem + r->at;
		r->at += max;
		return (int64_t)max;
	}
	do
		n = pread(r->body->fd, scratch, max,
		    (off_t)(r->body->offset + r->at));
	while (n == -1 && errno == EINTR);
	if (n == 0) {
		errno = EIO;
		return -1;
	}
	if (n == -1)
		return -1;
	*data_r = scratch;
	r->at += (uint64_t)n;
	return n;
}

void
body_scan_init(struct body_scan *s)
{
	*s = (struct body_scan){ .facts.is_clean = true, .at_bol = true };
}

/*
 * Lines that begin and end inside a block are short: only the first end can
 * be that of a long one.
 */
static inline void
scan_line_len(struct body_scan *s, uint64_t ends, size_t n)
{
	s->line_len += ends == 0 ? n : (size_t)__builtin_ctzll(ends);
	if (s->line_len > LINE_MAX_BYTES)
		s->facts.has_long_line = true;
	if (ends != 0)
		s->line_len = n - BLOCK_BYTES + (size_t)__builtin_clzll(ends);
}

static inline void
scan_block(struct body_scan *s, const char *block, size_t n)
{
	const uint64_t	 counted = ~UINT64_C(0) >> (BLOCK_BYTES - n);
	struct lines	 l = lines_of(block, s->at_bol, s->after_cr);
	struct body_facts *f = &s->facts;
	uint64_t	 high = block_high(block), put, empty;

	put = (l.lone_lf | l.open_cr) & counted;
	f->wire_len += n;
	if (put != 0) {
		f->is_clean = false;
		f->wire_len += (unsigned)__builtin_popcountll(put);
	}
	if (high != 0)
		f->has_8bit = true;
	if (!s->in_body) {
		empty = (l.cr | l.lf) & l.start;
		if ((high & ~empty & (empty - 1)) != 0)
			f->header_8bit = true;
		s->in_body = empty != 0;
	}
	if ((block_eq(block, '\0') & counted) != 0)
		f->has_nul = true;
	if ((block_eq(block, '.') & l.start) != 0)
		f->has_dot_line = true;
	scan_line_len(s, l.cr | l.lf, n);
	s->at_bol = l.lf >> (n - 1) & 1;
	s->after_cr = l.cr >> (n - 1) & 1;
}

/*
 * The fast way through a body, up to a run that is not for it: one with a
 * lone CR, or without the end of a line.  The byte before p can be read.
 * No line passes over here that is too long: it would fill a run.
 */
static const char *
scan_runs(struct body_scan *s, const char *p, const char *end)
{
	const char	*start = p, *last;
	struct run	 r;

	if (s->line_len > LINE_MAX_BYTES - RUN_BYTES)
		return p;
	for (; end - p > RUN_BYTES; p += RUN_BYTES) {
		r = run_look(p);
		/*
		 * An LF without CR is in lf and odd, a byte other than LF
		 * behind a CR in after_cr and odd, and a CRLF in lf and
		 * after_cr: twice the lone CRs is what this leaves.
		 */
		if (r.lf == 0 || r.odd + r.after_cr - r.lf != 0)
			break;
		s->facts.wire_len += RUN_BYTES + r.odd;
		s->facts.is_clean &= r.odd == 0;
		s->facts.has_8bit |= r.has_8bit;
		s->facts.has_nul |= r.has_nul;
		s->facts.has_dot_line |= r.has_dot_line;
	}
	if (p == start)
		return p;
	s->at_bol = p[-1] == '\n';
	s->after_cr = p[-1] == '\r';
	last = memrchr(p - RUN_BYTES, '\n', RUN_BYTES);
	s->line_len = s->after_cr ? 0 : (uint64_t)(p - last - 1);
	return p;
}

void
body_scan_add(struct body_scan *s, const char *from, size_t n)
{
	struct body_scan state = *s;	/* as in crlf_convert() */
	const char	*end = from + n;
	char		 rest[BLOCK_BYTES] = "";

	while (end - from >= BLOCK_BYTES) {
		for (int i = 0; i < SLOW_BLOCKS && end - from >= BLOCK_BYTES;
		    i++, from += BLOCK_BYTES)
			scan_block(&state, from, BLOCK_BYTES);
		if (state.in_body)
			from = scan_runs(&state, from, end);
	}
	if (from < end) {
		memcpy(rest, from, (size_t)(end - from));
		scan_block(&state, rest, (size_t)(end - from));
	}
	*s = state;
}

/* The same as crlf_finish() would write. */
void
body_scan_finish(struct body_scan *s)
{
	if (s->at_bol)
		return;
	s->facts.is_clean = false;
	s->facts.wire_len += s->after_cr ? 1 : 2;
	s->after_cr = false;
	s->at_bol = true;
}

bool
body_is_sealed(const struct body *body)
{
	const int	need = F_SEAL_SHRINK | F_SEAL_WRITE;
	int		seals;

	if (body->mem != NULL)
		return false;
	seals = fcntl(body->fd, F_GET_SEALS);
	return seals != -1 && (seals & need) == need;
}

/*
 * By pread(), also where a seal would make a mapping safe: to fill and clear
 * the page tables for one pass takes longer than the copy.
 */
int
body_look(const struct body *body, struct body_facts *facts_r)
{
	struct body_reader	 r;
	struct body_scan	 s;
	char			 scratch[READ_BYTES];
	const char		*data;
	int64_t			 n;

	body_reader_init(&r, body);
	body_scan_init(&s);
	while ((n = body_read(&r, scratch, sizeof(scratch), &data)) > 0)
		body_scan_add(&s, data, (size_t)n);
	if (n == -1)
		return -1;
	body_scan_finish(&s);
	*facts_r = s.facts;
	return 0;
}
