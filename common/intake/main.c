/* main.c - intake_main(): who started the process? */
#include "intake/front.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/parent.h"
#include "base/log.h"
#include "base/process.h"
#include "intake/conf.h"

/* Further arguments are options. */
static int
try_cage(struct opts *opts, int argc, char **argv)
{
	char error[512];
	int i;

	for (i = 2; i < argc; i++)
		if (opts_set_text(opts, argv[i], OPTS_LAST, error,
		    sizeof(error)) == -1) {
			warnx("%s", error);
			return EX_CONFIG;
		}
	return cage_test(&intake_cage, opts_values(opts));
}

int
intake_main(int argc, char **argv)
{
	const char *env = getenv(CHANNEL_ENV);
	struct intake in = { .store = { .folder = -1 } };
	struct loop *loop;
	struct opts *opts;
	int fd, status;

	hold_std_files();
	ignore_write_signals();
	log_open("intake-lmtp");
	loop = loop_new();
	opts = opts_new(&intake_conf_table);
	if (argc >= 2 && strcmp(argv[1], CAGE_TEST) == 0)
		status = flush_stdout(try_cage(opts, argc, argv));
	else if (env == NULL)
		status = flush_stdout(front_hand(&in, loop, opts, argc, argv));
	else if ((fd = parent_open(env)) == -1)
		status = EX_USAGE;
	else
		status = front_door(&in, loop, opts, fd);
	opts_free(opts);
	loop_free(loop);
	return status;
}
