/* main.c - intake_main(): who started the process? */
#include "intake/front.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/log.h"
#include "base/process.h"
#include "base/str.h"

int
intake_main(int argc, char **argv)
{
	const char *env = getenv(CHANNEL_ENV);
	struct intake in = { .store = { .folder = -1 } };
	struct loop *loop;
	struct opts *opts;
	int64_t fd;
	int status;

	hold_std_files();
	signal(SIGPIPE, SIG_IGN);
	log_open("intake-lmtp");
	loop = loop_new();
	opts = opts_new(&intake_conf_table);
	if (env == NULL)
		status = flush_stdout(front_hand(&in, loop, opts, argc, argv));
	else if (str_to_int64(env, 3, 65535, &fd) == -1) {
		log_error("%s=%s: not a descriptor", CHANNEL_ENV, env);
		status = EX_USAGE;
	} else {
		unsetenv(CHANNEL_ENV);
		status = front_door(&in, loop, opts, (int)fd);
	}
	opts_free(opts);
	loop_free(loop);
	return status;
}
