/*
 * fuzz_postfix_attr.c - delivery requests in any pieces: the first byte says
 * how they are cut, which must not change what is understood.
 */
#include "postfix/request.h"

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

static enum pf_scan
read_in_pieces(struct pf_request *r, struct arena *arena, const char *p,
    size_t n, size_t step, size_t *used_r)
{
	const char *error = NULL, *at = NULL;
	enum pf_scan result = PF_MORE;
	size_t have = 0, used = 0, took;

	memset(r, 0, sizeof(*r));
	while (result == PF_MORE && have < n) {
		have = n - have < step ? n : have + step;
		result = pf_request_read(r, p + used, have - used, arena,
		    &took, &error, &at);
		check(took <= have - used);
		used += took;
	}
	check(result != PF_BAD || (error != NULL && at != NULL));
	*used_r = used;
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(4096);
	struct pf_request a, b;
	size_t used_a, used_b;
	const char *p = (const char *)data + 1;
	struct buf out;
	int32_t i;

	if (n > 0 && n < 65536) {
		check(read_in_pieces(&a, arena, p, n - 1, n, &used_a) ==
		    read_in_pieces(&b, arena, p, n - 1, 1 + data[0] % 97u,
		    &used_b));
		check(used_a == used_b && a.nread == b.nread);
		buf_init(&out, 1 << 20);
		for (i = 0; i < (int32_t)a.nread; i++) {
			check(strcmp(a.rcpts[i].address,
			    b.rcpts[i].address) == 0);
			if (i < 10)
				pf_attr_rcpt(&out, &a.rcpts[i]);
		}
		if (a.has_head)
			check(strspn(a.queue_id, "0123456789_"
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
			    == strlen(a.queue_id));
		buf_clear(&out);
	}
	arena_free(arena);
	return 0;
}
