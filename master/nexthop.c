/*
 * nexthop.c - the operator's and submitter's command.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/cli.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/str.h"
#include "master.h"
#include "paths.h"

struct command {
	const char	*name;
	const char	*text;
	int		(*run)(const char *config, int argc, char **argv);
};

static int	cmd_submit(const char *, int, char **);
static int	cmd_explain(const char *, int, char **);
static int	cmd_check(const char *, int, char **);
static int	cmd_config(const char *, int, char **);
static int	cmd_control(const char *, int, char **);
static int	cmd_top(const char *, int, char **);
static int	cmd_postfix(const char *, int, char **);
static int	cmd_sandbox(const char *, int, char **);

static const struct command commands[] = {
	{ "submit",	"deliver a message from stdin", cmd_submit },
	{ "explain",	"tell where a relay would deliver to, and how",
	    cmd_explain },
	{ "check",	"find the faults of the configuration", cmd_check },
	{ "config",	"print every relay's effective options", cmd_config },
	{ "status",	"what the master and its agents do", cmd_control },
	{ "top",	"the same as it changes, with rates and latencies",
	    cmd_top },
	{ "metrics",	"what was counted, for Prometheus", cmd_control },
	{ "reload",	"read the configuration again, for all or some relays",
	    cmd_control },
	{ "reopen",	"open the log file again", cmd_control },
	{ "upgrade",	"have the installed nexthop-master take over",
	    cmd_control },
	{ "drain",	"finish everything, then stop", cmd_control },
	{ "stop",	"finish what runs within stop_timeout, then stop",
	    cmd_control },
	{ "postfix-setup", "make an agent a service of Postfix", cmd_postfix },
	{ "postfix-check", "find what is wrong with such services",
	    cmd_postfix },
	{ "sandbox-test", "try what agents must not be able to do",
	    cmd_sandbox },
};
#define NCOMMANDS	(sizeof(commands) / sizeof(commands[0]))

static int
usage(FILE *fp, int status)
{
	char *path;
	size_t i;

	if (status != EX_OK) {
		fprintf(fp, "usage: nexthop [-c FILE] COMMAND [ARGUMENT]...; "
		    "see nexthop --help\n");
		return status;
	}
	path = config_default_path();
	fprintf(fp, "usage: nexthop [-c FILE] COMMAND [ARGUMENT]...\n\n"
	    "Without -c the configuration is %s.\n\n", path);
	free(path);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(fp, "  %-13s %s\n", commands[i].name,
		    commands[i].text);
	fprintf(fp, "\nnexthop submit [--relay=NAME] [--socket=PATH] "
	    "[--from=ADDR] RCPT... < MESSAGE\n\n");
	cli_help(fp);
	fprintf(fp, "\nnexthop explain --relay=NAME [--probe] RCPT...\n"
	    "nexthop check [--strict]\n"
	    "nexthop status [--output=text|tsv|json]\n"
	    "nexthop top [-i SECONDS] [-n COUNT]\n"
	    "nexthop metrics [--destinations=N] [--health]\n"
	    "nexthop reload [NAME]...\n"
	    "nexthop drain [TIME]\n"
	    "All that talk to the master: [--control=PATH]\n\n"
	    "nexthop postfix-setup [--apply|--undo] [--config-dir=DIR] "
	    "[--concurrency=N]\n    SERVICE TYPE [-o NAME=VALUE]...\n"
	    "nexthop postfix-check [--config-dir=DIR] [SERVICE]...\n"
	    "nexthop sandbox-test [--output=text|tsv|json] [PROGRAM]...\n\n"
	    "Exit status: 0 well, or all delivered; 75 at least one transient "
	    "failure;\n69 none transient, at least one permanent, or no "
	    "master; 64 usage;\n78 configuration; 70 internal error; "
	    "74 stdin or stdout failed.\n");
	return status;
}

/* ---- submit ---- */

struct submit_args {
	struct cli	 cli;
	const char	*relay;
	const char	*socket;
};

static const char *
option_value(const char *arg, const char *name)
{
	size_t n = strlen(name);

	return strncmp(arg, name, n) == 0 && arg[n] == '=' ?
	    arg + n + 1 : NULL;
}

/* The number of arguments before the recipients; -1: wrong. */
static int
parse_submit(struct submit_args *a, int argc, char **argv)
{
	const char *value;
	int i, took;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i + 1;
		if ((value = option_value(argv[i], "--relay")) != NULL)
			a->relay = value;
		else if ((value = option_value(argv[i], "--socket")) != NULL)
			a->socket = value;
		else if (argv[i][1] != '-' ||
		    (took = cli_option(&a->cli, argv[i])) == 0) {
			warnx("submit: unknown option %s", argv[i]);
			return -1;
		} else if (took == -1)
			return -1;
	}
	return cli_check_rcpts(argv, i, argc) == -1 ? -1 : i;
}

/* Where the configuration says that the master listens. */
static int
find_socket(struct submit_args *a, const struct config *config)
{
	const struct relay_conf *r = TAILQ_FIRST(&config->relays);

	if (a->socket == NULL)
		a->socket = config->master->socket;
	if (a->relay != NULL)
		return 0;
	if (config->nrelays > 1) {
		warnx("submit: --relay=NAME is needed, the configuration has "
		    "%u relays", config->nrelays);
		return -1;
	}
	a->relay = r == NULL ? "" : r->name;
	return 0;
}

static int
cmd_submit(const char *path, int argc, char **argv)
{
	struct submit_args a = { .relay = NULL };
	struct config *config = NULL;
	int i, status = EX_USAGE;

	cli_init(&a.cli);
	if ((i = parse_submit(&a, argc, argv)) == -1 || i == argc) {
		if (i == argc)
			warnx("submit: no recipient");
		cli_clear(&a.cli);
		return EX_USAGE;
	}
	if (a.cli.explain || (a.cli.env.flags & ENV_PROBE) != 0) {
		warnx("submit: --explain and --probe are for nexthop explain");
		cli_clear(&a.cli);
		return EX_USAGE;
	}
	cli_set_rcpts(&a.cli, (const char **)argv + i, (uint32_t)(argc - i));
	if (a.socket == NULL || a.relay == NULL)
		config = config_load(path);
	/* With a socket, the master itself knows whether one relay is all. */
	if (a.socket != NULL && a.relay == NULL &&
	    TAILQ_EMPTY(&config->relays))
		a.relay = "";
	if (config == NULL || find_socket(&a, config) == 0)
		status = cli_read_message(&a.cli) == -1 ? EX_IOERR :
		    sender_run(&a.cli, a.socket, a.relay);
	cli_clear(&a.cli);
	config_unref(config);
	return status;
}

/* ---- explain ---- */

/* The agent by hand with the relay's options: its words are the answer. */
static int
explain_by(const struct relay_conf *r, bool is_probe, int argc, char **argv)
{
	struct arena *arena = arena_new(4096);
	size_t n = 0, i;
	char **args = arena_calloc(arena, 2 * r->noptions + (size_t)argc + 4,
	    sizeof(*args));
	int j;

	args[n++] = r->program;
	for (i = 0; i < r->noptions; i++) {
		args[n++] = arena_strdup(arena, "-o");
		args[n++] = arena_printf(arena, "%s=%s", r->options[i].name,
		    r->options[i].value);
	}
	args[n++] = arena_strdup(arena, is_probe ? "--probe" : "--explain");
	for (j = 0; j < argc; j++)
		args[n++] = argv[j];
	execv(r->program, args);
	warn("%s", r->program);
	arena_free(arena);
	return EX_OSFILE;
}

static bool
shows_password(const struct relay_conf *r)
{
	size_t i;

	for (i = 0; i < r->noptions; i++)
		if (strcmp(r->options[i].name, "credentials.password") == 0) {
			warnx("explain: relay %s has its password in the "
			    "configuration, and on a command line everybody "
			    "would see it; credentials.password_file keeps it "
			    "in a file", r->name);
			return true;
		}
	return false;
}

static int
cmd_explain(const char *path, int argc, char **argv)
{
	const char *relay = NULL, *value;
	int i, n = 0, status = EX_CONFIG;
	struct config *config;
	struct relay_conf *r;
	bool is_probe = false;

	for (i = 1; i < argc; i++)
		if ((value = option_value(argv[i], "--relay")) != NULL)
			relay = value;
		else if (strcmp(argv[i], "--probe") == 0)
			is_probe = true;
		else
			argv[n++] = argv[i];
	if (relay == NULL) {
		warnx("explain: --relay=NAME is needed");
		return EX_USAGE;
	}
	config = config_load(path);
	if ((r = config_relay(config, relay)) == NULL)
		warnx("explain: %s has no relay %s", path, relay);
	else if (r->is_faulty)
		status = probe_check(path, false);
	else if (!shows_password(r))
		status = explain_by(r, is_probe, n, argv);
	config_unref(config);
	return status;
}

/* ---- the others ---- */

static int
no_arguments(int argc, char **argv)
{
	if (argc == 1)
		return 0;
	warnx("%s: takes no argument, but got %s", argv[0], argv[1]);
	return -1;
}

static int
cmd_check(const char *path, int argc, char **argv)
{
	bool is_strict = argc == 2 && strcmp(argv[1], "--strict") == 0;

	return !is_strict && no_arguments(argc, argv) == -1 ? EX_USAGE :
	    probe_check(path, is_strict);
}

static int
cmd_config(const char *path, int argc, char **argv)
{
	return no_arguments(argc, argv) == -1 ? EX_USAGE : probe_config(path);
}

static bool
is_form(const char *value)
{
	return value != NULL && (strcmp(value, "text") == 0 ||
	    strcmp(value, "tsv") == 0 || strcmp(value, "json") == 0);
}

static int
cmd_control(const char *path, int argc, char **argv)
{
	const char *control = NULL, *value, *args[OPERATOR_ARGS_MAX];
	struct config *config = NULL;
	size_t nargs = 0;
	int64_t ms;
	int i, status;

	for (i = 1; i < argc; i++) {
		if ((value = option_value(argv[i], "--control")) != NULL)
			control = value;
		else if (strcmp(argv[0], "status") == 0 &&
		    nargs < OPERATOR_ARGS_MAX && is_form(option_value(argv[i],
		    "--output")))
			args[nargs++] = argv[i];
		else if (strcmp(argv[0], "metrics") == 0 &&
		    nargs < OPERATOR_ARGS_MAX &&
		    (strcmp(argv[i], "--health") == 0 ||
		    option_value(argv[i], "--destinations") != NULL))
			args[nargs++] = argv[i];
		else if (strcmp(argv[0], "drain") == 0 && nargs == 0 &&
		    opt_parse_time(argv[i], &ms) == 0)
			args[nargs++] = argv[i];
		else if (strcmp(argv[0], "reload") == 0 && *argv[i] != '-' &&
		    nargs < OPERATOR_ARGS_MAX)
			args[nargs++] = argv[i];
		else {
			warnx("%s: unknown argument %s", argv[0], argv[i]);
			return EX_USAGE;
		}
	}
	if (control == NULL) {
		config = config_load(path);
		control = config->master->control;
	}
	status = operator_command(control, argv[0], args, nargs);
	config_unref(config);
	return status;
}

/* The value of "-x VALUE" or "-xVALUE", or NULL. */
static const char *
letter_value(int argc, char **argv, int *i, char letter)
{
	const char *arg = argv[*i];

	if (arg == NULL || arg[0] != '-' || arg[1] != letter)
		return NULL;
	if (arg[2] != '\0')
		return arg + 2;
	return *i + 1 < argc ? argv[++*i] : "";
}

static int
cmd_top(const char *path, int argc, char **argv)
{
	int64_t interval_ms = 1000, count = 0;
	const char *control = NULL, *value;
	struct config *config = NULL;
	int i, status;
	bool is_good = true;

	for (i = 1; i < argc && is_good; i++)
		if ((value = option_value(argv[i], "--control")) != NULL)
			control = value;
		else if ((value = letter_value(argc, argv, &i, 'i')) != NULL)
			is_good = opt_parse_time(value, &interval_ms) == 0 &&
			    interval_ms >= 100 && interval_ms <= 3600000;
		else if ((value = letter_value(argc, argv, &i, 'n')) != NULL)
			is_good = str_to_int64(value, 1, INT32_MAX,
			    &count) == 0;
		else
			is_good = false;
	if (!is_good) {
		warnx("top: wrong argument %s; -i takes 0.1 to 3600 seconds, "
		    "-n a number from 1", argv[i - 1]);
		return EX_USAGE;
	}
	if (control == NULL) {
		config = config_load(path);
		control = config->master->control;
	}
	status = top_run(control, interval_ms, count);
	config_unref(config);
	return status;
}

static int
cmd_postfix(const char *path, int argc, char **argv)
{
	(void)path;
	return strcmp(argv[0], "postfix-setup") == 0 ?
	    postfix_setup(argc, argv) : postfix_check(argc, argv);
}

static int
cmd_sandbox(const char *path, int argc, char **argv)
{
	(void)path;
	return sandbox_test(argc, argv);
}

static int
dispatch(const char *path, int argc, char **argv)
{
	size_t i;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(stdout, EX_OK);
	for (i = 0; i < NCOMMANDS; i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(path, argc, argv);
	warnx("unknown command %s; see nexthop --help", argv[0]);
	return EX_USAGE;
}

/* The index of the command; 0: all is said and done, with *status_r. */
static int
parse(int argc, char **argv, char **path, int *status_r)
{
	int i;

	*status_r = EX_OK;
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage(stdout, EX_OK);
			return 0;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("nexthop %s\n", NEXTHOP_VERSION);
			return 0;
		}
		if (strcmp(argv[i], "-c") != 0 || i + 1 == argc) {
			warnx("unknown option %s; see nexthop --help",
			    argv[i]);
			*status_r = EX_USAGE;
			return 0;
		}
		free(*path);
		*path = xstrdup(argv[++i]);
	}
	if (i < argc)
		return i;
	*status_r = usage(stderr, EX_USAGE);
	return 0;
}

int
main(int argc, char **argv)
{
	char *path = NULL;
	int i, status;

	hold_std_files();
	ignore_write_signals();
	log_open("nexthop");
	if ((i = parse(argc, argv, &path, &status)) > 0) {
		if (path == NULL)
			path = config_default_path();
		status = dispatch(path, argc - i, argv + i);
	}
	free(path);
	return flush_stdout(status);
}
