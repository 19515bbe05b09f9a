/*
 * fuzz_result.c - what programs print: the first byte chooses the rules, the
 * second the status; a NUL parts stdout and stderr.
 */
#include "pipe/result.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *const expressions[] = {
	"^ERR (.*)$", "(?<code>\\d+)?.?(?<esc>\\d\\.\\d+\\.\\d+)?.*",
	"(a*)*b|(?s).+", "(?<message>[^ ]*) (?<esc>.*)"
};
#define NEXPRESSIONS	(sizeof(expressions) / sizeof(expressions[0]))

static struct pattern *patterns[NEXPRESSIONS];

static void
set_rules(struct result_rules *rules, unsigned how)
{
	static const struct result_row *const rows[] = {
		NULL, result_maildrop_rows, result_dovecot_rows, NULL
	};
	char error[256];
	size_t i;

	for (i = 0; patterns[0] == NULL && i < NEXPRESSIONS; i++)
		if ((patterns[NEXPRESSIONS - 1 - i] = pattern_new(
		    expressions[NEXPRESSIONS - 1 - i], error,
		    sizeof(error))) == NULL)
			abort();
	*rules = (struct result_rules){
		.rows = rows[how & 3],
		.form = how & 4 ? RESULT_LAST_LINE : RESULT_WHOLE,
		.name = how & 8 ? "maildrop" : NULL,
		.marker = how & 16 ? ": rejected: " : NULL,
		.is_strict = (how & 32) != 0,
		.pattern = how & 64 ? patterns[how % NEXPRESSIONS] : NULL
	};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena;
	struct result_rules rules;
	struct result res = { .has_all = true };
	struct reply r;
	char *out, *err;
	const uint8_t *nul;

	if (n < 2 || n > 2 + 2 * RESULT_OUTPUT_MAX)
		return 0;
	set_rules(&rules, data[0]);
	res.wait_status = data[1] & 0x80 ? W_EXITCODE(0, (data[1] & 31) + 1) :
	    W_EXITCODE(data[1], 0);
	data += 2;
	n -= 2;
	nul = memchr(data, 0, n);
	res.out_len = nul == NULL ? n : (size_t)(nul - data);
	res.err_len = nul == NULL ? 0 : n - res.out_len - 1;
	if (res.out_len > RESULT_OUTPUT_MAX)
		res.out_len = RESULT_OUTPUT_MAX;
	if (res.err_len > RESULT_OUTPUT_MAX)
		res.err_len = RESULT_OUTPUT_MAX;
	/* Of their own, so that a byte behind them is seen. */
	out = malloc(res.out_len + 1);
	err = malloc(res.err_len + 1);
	if (out == NULL || err == NULL)
		abort();
	out = realloc(out, res.out_len == 0 ? 1 : res.out_len);
	err = realloc(err, res.err_len == 0 ? 1 : res.err_len);
	memcpy(out, data, res.out_len);
	if (res.err_len > 0)
		memcpy(err, nul + 1, res.err_len);
	res.out = out;
	res.err = err;
	arena = arena_new(0);
	result_reply(&r, &rules, &res, "prog", arena);
	if (WIFEXITED(res.wait_status) && WEXITSTATUS(res.wait_status) == 0) {
		if (r.cls != REPLY_DELIVERED)
			abort();
	} else if (r.cls == REPLY_DELIVERED || r.code / 100 != r.dsn[0] ||
	    (r.dsn[0] == 4) != (r.cls == REPLY_TRANSIENT) ||
	    (r.dsn[0] != 4 && r.dsn[0] != 5))
		abort();
	if (strlen(r.text) > REPLY_TEXT_MAX)
		abort();
	arena_free(arena);
	free(out);
	free(err);
	return 0;
}
