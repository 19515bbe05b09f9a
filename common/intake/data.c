/* data.c - a message after DATA: transparency and its end. */
#include "intake/data.h"

#include <string.h>

#include "mail/block.h"

void
lmtp_data_init(struct lmtp_data *d)
{
	d->at = DATA_BOL;
}

/* The dots of a block of which n bytes count that stand behind an LF; `after`:
 * the byte before the block is one. */
static uint64_t
dots_of(const char *block, size_t n, bool after)
{
	return block_eq(block, '.') & (block_eq(block, '\n') << 1 | after) &
	    ~UINT64_C(0) >> (BLOCK_BYTES - n);
}

/* The first dot behind CR LF in n bytes, of which the first is not it; n
 * where there is none.  after_cr: a CR stands before them. */
static size_t
find_dot(const char *p, size_t n, bool after_cr)
{
	char rest[BLOCK_BYTES] = "";
	size_t at, len, i;
	uint64_t dots;

	for (at = 0; at < n; at += len) {
		len = n - at < BLOCK_BYTES ? n - at : BLOCK_BYTES;
		if (len < BLOCK_BYTES)
			memcpy(rest, p + at, len);
		dots = dots_of(len < BLOCK_BYTES ? rest : p + at, len,
		    at > 0 && p[at - 1] == '\n');
		for (; dots != 0; dots &= dots - 1) {
			i = at + (size_t)__builtin_ctzll(dots);
			if (i >= 2 ? p[i - 2] == '\r' : i == 1 && after_cr)
				return i;
		}
	}
	return n;
}

/* Where we are behind n > 0 bytes. */
static enum lmtp_data_at
at_behind(const char *p, size_t n, bool after_cr)
{
	if (p[n - 1] == '\r')
		return DATA_CR;
	if (p[n - 1] == '\n' && (n >= 2 ? p[n - 2] == '\r' : after_cr))
		return DATA_BOL;
	return DATA_INSIDE;
}

size_t
lmtp_data_add(struct lmtp_data *d, const char *p, size_t n,
    lmtp_data_put *put, void *arg)
{
	size_t at = 0, run;

	while (at < n && d->at != DATA_END) {
		if (d->at == DATA_BOL && p[at] == '.') {
			d->at = DATA_DOT;
			at++;
		} else if (d->at == DATA_DOT) {
			/* The line has more than the dot: it goes. */
			if (p[at] == '\r') {
				d->at = DATA_DOT_CR;
				at++;
			} else
				d->at = DATA_INSIDE;
		} else if (d->at == DATA_DOT_CR && p[at] == '\n') {
			d->at = DATA_END;
			at++;
		} else if (d->at == DATA_DOT_CR) {
			put(arg, "\r", 1);
			d->at = DATA_CR;
		} else {
			run = find_dot(p + at, n - at, d->at == DATA_CR);
			put(arg, p + at, run);
			d->at = at_behind(p + at, run, d->at == DATA_CR);
			at += run;
		}
	}
	return at;
}
