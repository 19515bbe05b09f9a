/* options.c - what tools that ask the resolver share. */
#include "options.h"

#include <err.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"

bool
options_set(struct opts *opts, char *text)
{
	char *value = strchr(text, '='), error[512];

	if (value == NULL)
		return false;
	*value++ = '\0';
	if (opts_set(opts, text, value, OPTS_LAST, error, sizeof(error)) == -1)
		errx(EX_USAGE, "%s", error);
	return true;
}

static void
on_fault(void *arg, const char *name, const char *text)
{
	(void)arg;
	errx(EX_USAGE, "%s: %s", name, text);
}

void
options_finish(struct opts *opts)
{
	opts_finish(opts, on_fault, NULL);
}

void
options_pause(struct loop *loop, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms, left;

	while ((left = end - clock_mono_ms()) > 0)
		loop_turn(loop, (int)left);
}
