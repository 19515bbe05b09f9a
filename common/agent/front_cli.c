/*
 * front_cli.c - one message from a shell (or from Postfix's pipe(8)): options
 * and recipients as arguments, the message on stdin, answers on stdout.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/front.h"
#include "agent/front_postfix.h"
#include "base/process.h"
#include "paths.h"

struct cli_front {
	struct agent	*agent;
	struct cli	 cli;
	struct cli_rows	*rows;
	uint32_t	 next;		/* message to start, from 1 */
	uint32_t	 running;	/* messages */
	uint32_t	*open_parts;	/* of each message */
	int64_t		 last_ms;	/* when the last one started */
	struct timer	 gap;
	struct later	 start_later;
	struct event	 ev_term, ev_int;
	int		 signals;
};

struct cli_delivery {		/* front_data of one envelope */
	struct cli_front *f;
	uint32_t	 message;
	const uint32_t	*index;
};

/* ---- answers ---- */

static void
front_stage(struct delivery *d, enum stage stage, const uint32_t *rcpts,
    uint32_t n)
{
	(void)d;
	(void)stage;
	(void)rcpts;
	(void)n;
}

static void
front_after_said(struct delivery *d, struct later *go)
{
	struct cli_delivery *cd = d->front_data;

	loop_later(cd->f->agent->loop, go);
}

static void
front_answer(struct delivery *d, uint32_t i, const struct answer *a)
{
	struct cli_delivery *cd = d->front_data;

	cli_rows_answer(cd->f->rows, cd->message, cd->index[i], a);
}

static void
front_done(struct delivery *d)
{
	struct cli_delivery *cd = d->front_data;
	struct cli_front *f = cd->f;

	if (--f->open_parts[cd->message - 1] > 0)
		return;
	f->running--;
	loop_later(f->agent->loop, &f->start_later);
}

static const struct front_ops cli_front_ops = {
	.stage = front_stage,
	.after_said = front_after_said,
	.answer = front_answer,
	.done = front_done,
};

/* ---- starting messages ---- */

/* The texts of the command line live as long as the process: borrowed. */
static void
start_part(struct cli_front *f, uint32_t part)
{
	struct delivery *d;
	struct cli_delivery *cd;

	d = delivery_new(f->agent, sizeof(*cd) +
	    ENVELOPE_RCPT_MAX * sizeof(struct rcpt), &cli_front_ops, NULL);
	cd = arena_alloc(d->arena, sizeof(*cd));
	cd->f = f;
	cd->message = f->next;
	d->front_data = cd;
	d->id = f->next * (UINT64_C(1) << 32) + part;
	cli_envelope(&f->cli, part, &d->env, arena_alloc(d->arena,
	    ENVELOPE_RCPT_MAX * sizeof(struct rcpt)), &cd->index);
	if (d->env.body.fd != -1 &&
	    (d->env.body.fd = fcntl(f->cli.body.fd, F_DUPFD_CLOEXEC, 3)) == -1)
		err(EX_OSERR, "duplicating the message's descriptor");
	agent_deliver(f->agent, d);
}

static void
start_message(struct cli_front *f)
{
	uint32_t i, n = cli_parts(&f->cli);

	f->open_parts[f->next - 1] = n;
	f->running++;
	f->last_ms = loop_now_ms(f->agent->loop);
	for (i = 0; i < n; i++)
		start_part(f, i);
	f->next++;
}

static void
start_more(void *arg)
{
	struct cli_front *f = arg;
	int64_t wait;

	while (f->next <= f->cli.count && f->running < f->cli.parallel &&
	    !f->agent->is_draining) {
		wait = f->next == 1 ? 0 : f->last_ms + f->cli.gap_ms -
		    loop_now_ms(f->agent->loop);
		if (wait > 0) {
			timer_set(&f->gap, wait);
			return;
		}
		start_message(f);
	}
	if (f->running == 0)
		agent_drain(f->agent);
}

/* ---- the process ---- */

static void
on_idle(struct agent *a)
{
	loop_stop(a->loop, 0);
}

/* Ctrl-C: what has not reached end-of-data is given up and answered so; a
 * second one ends at once. */
static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct cli_front *f = arg;

	(void)sig;
	(void)what;
	if (f->signals++ > 0) {
		loop_stop(f->agent->loop, 0);
		return;
	}
	agent_cancel_all(f->agent);
	agent_drain(f->agent);
}

static int
usage(const struct agent_ops *ops, int status)
{
	FILE *fp = status == EX_OK ? stdout : stderr;

	fprintf(fp, "usage: %s [-o name=value]... [--name=value]... "
	    "[--from=ADDR] RCPT... < MESSAGE\n", ops->name);
	if (status != EX_OK) {
		fprintf(fp, "       %s --help tells all options\n", ops->name);
		return status;
	}
	fprintf(fp, "\n%s - %s\n\nThe delivery:\n", ops->name, ops->summary);
	cli_help(fp);
	fprintf(fp, "\nThe agent (also as -o name=value, and in the "
	    "configuration file):\n");
	opt_table_help(ops->table, fp);
	fprintf(fp, "\nExit status: 0 all delivered; 75 at least one transient "
	    "failure; 69 none transient,\nat least one permanent; 64 usage; "
	    "78 configuration;\n70 internal error; 74 stdin or stdout "
	    "failed.\n");
	return status;
}

/* Forms of the option tables for manual pages and the sample file; -1: no
 * such form. */
static int
print_options(const struct agent_ops *ops, const char *form)
{
	if (strcmp(form, "mdoc") == 0)
		opt_table_mdoc(ops->table, stdout);
	else if (strcmp(form, "sample") == 0)
		opt_table_sample(ops->table, stdout);
	else if (strcmp(form, "delivery") == 0)
		cli_mdoc(stdout);
	else if (strcmp(form, "postfix") == 0)
		opt_table_mdoc(&postfix_conf_table, stdout);
	else
		return -1;
	return 0;
}

/* "name=value" of the option table; the fault is printed. */
static int
set_option(struct agent *a, const char *arg)
{
	char error[512];

	if (opts_set_text(a->opts, arg, OPTS_LAST, error, sizeof(error)) == -1) {
		warnx("%s", error);
		return -1;
	}
	return 0;
}

static void
on_fault(void *arg, const char *name, const char *text)
{
	(void)arg;
	if (name == NULL)
		warnx("%s", text);
	else
		warnx("%s: %s", name, text);
}

/* All faults in one run; the number of arguments before the recipients, or
 * -1 with the exit status. */
static int
parse(struct cli_front *f, int argc, char **argv, int *status_r)
{
	int i, took, nfaults = 0;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--help") == 0) {
			*status_r = usage(f->agent->ops, EX_OK);
			return -1;
		}
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			nfaults += set_option(f->agent, argv[++i]) == -1;
		else if (argv[i][1] == 'o')
			nfaults += set_option(f->agent, argv[i] + 2) == -1;
		else if (argv[i][1] != '-') {
			warnx("unknown option %s", argv[i]);
			*status_r = usage(f->agent->ops, EX_USAGE);
			return -1;
		} else if ((took = cli_option(&f->cli, argv[i])) == -1) {
			*status_r = EX_USAGE;
			return -1;
		} else if (took == 0)
			nfaults += set_option(f->agent, argv[i] + 2) == -1;
	}
	if (cli_check_rcpts(argv, i, argc) == -1) {
		*status_r = EX_USAGE;
		return -1;
	}
	nfaults += opts_finish(f->agent->opts, on_fault, NULL);
	*status_r = EX_CONFIG;
	return nfaults == 0 ? i : -1;
}

static int
deliver_all(struct cli_front *f)
{
	struct agent *a = f->agent;
	int status;

	f->rows = cli_rows_new(&f->cli, stdout);
	f->open_parts = xcalloc(f->cli.count, sizeof(*f->open_parts));
	f->next = f->cli.ngood == 0 ? f->cli.count + 1 : 1;
	a->on_idle = on_idle;
	a->front = f;
	timer_init(&f->gap, a->loop, start_more, f);
	later_init(&f->start_later, start_more, f);
	event_assign(&f->ev_term, loop_base(a->loop), SIGTERM,
	    EV_SIGNAL | EV_PERSIST, on_signal, f);
	event_assign(&f->ev_int, loop_base(a->loop), SIGINT,
	    EV_SIGNAL | EV_PERSIST, on_signal, f);
	event_add(&f->ev_term, NULL);
	event_add(&f->ev_int, NULL);
	loop_later(a->loop, &f->start_later);
	loop_run(a->loop);
	agent_stop(a);
	timer_clear(&f->gap);
	event_del(&f->ev_term);
	event_del(&f->ev_int);
	if (!cli_rows_complete(f->rows)) {
		warnx("interrupted: not all messages were sent");
		status = EX_TEMPFAIL;
		cli_rows_finish(f->rows);
	} else
		status = cli_rows_finish(f->rows);
	free(f->open_parts);
	return status;
}

static void
on_explained(void *arg)
{
	loop_stop(((struct agent *)arg)->loop, EX_OK);
}

static int
explain(struct cli_front *f)
{
	struct agent *a = f->agent;
	const struct agent_explain ask = {
		.rcpts = f->cli.rcpts,
		.n = f->cli.nrcpt,
		.env = &f->cli.env,
		.out = stdout,
		.done = on_explained,
		.arg = a,
	};
	int status;

	a->ops->explain(a->state, &ask);
	status = loop_run(a->loop);
	agent_stop(a);
	return status;
}

/* What cannot be asked of this agent. */
static int
check_wishes(const struct cli_front *f)
{
	const struct agent_ops *ops = f->agent->ops;

	if (f->cli.explain && ops->explain == NULL) {
		warnx("--explain: there is nothing to tell of %s", ops->name);
		return -1;
	}
	if ((f->cli.env.flags & ENV_PROBE) != 0 && !ops->can_probe) {
		warnx("--probe: %s cannot ask without delivering", ops->name);
		return -1;
	}
	return 0;
}

/* A probe sends none. */
static int
read_message(struct cli *c)
{
	if ((c->env.flags & ENV_PROBE) == 0)
		return cli_read_message(c);
	c->body = (struct body){ .mem = xstrdup(""), .fd = -1 };
	return 0;
}

/* Further arguments are options; what is required need not be there. */
static int
try_cage(struct agent *a, int argc, char **argv)
{
	int i;

	if (a->ops->cage == NULL) {
		warnx("%s has no sandbox", a->ops->name);
		return EX_UNAVAILABLE;
	}
	for (i = 2; i < argc; i++)
		if (set_option(a, argv[i]) == -1)
			return EX_CONFIG;
	return cage_test(a->ops->cage, opts_values(a->opts));
}

static int
run(struct agent *a, int argc, char **argv)
{
	struct cli_front f = { .agent = a };
	char error[512];
	int i, status;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("nexthop %s\n", NEXTHOP_VERSION);
		return EX_OK;
	}
	if (argc == 2 && strncmp(argv[1], "--options=", 10) == 0 &&
	    print_options(a->ops, argv[1] + 10) == 0)
		return EX_OK;
	if (argc >= 2 && strcmp(argv[1], FRONT_CHECK) == 0)
		return front_postfix_check(a, argc, argv);
	if (argc >= 2 && strcmp(argv[1], CAGE_TEST) == 0)
		return try_cage(a, argc, argv);
	cli_init(&f.cli);
	if ((i = parse(&f, argc, argv, &status)) == -1)
		return status;
	if (i == argc)
		return usage(a->ops, EX_USAGE);
	cli_set_rcpts(&f.cli, (const char **)argv + i, (uint32_t)(argc - i));
	a->want_trace = f.cli.trace;
	if (check_wishes(&f) == -1) {
		cli_clear(&f.cli);
		return EX_USAGE;
	}
	raise_files_limit();
	if (agent_start(a, error, sizeof(error)) == -1) {
		warnx("%s", error);
		status = EX_CONFIG;
	} else if (!f.cli.explain && read_message(&f.cli) == -1) {
		agent_stop(a);
		status = EX_IOERR;
	} else if (agent_confine(a, true, error, sizeof(error)) == -1) {
		warnx("%s", error);
		agent_stop(a);
		status = EX_OSERR;
	} else
		status = f.cli.explain ? explain(&f) : deliver_all(&f);
	cli_clear(&f.cli);
	return status;
}

int
front_cli(struct agent *a, int argc, char **argv)
{
	return flush_stdout(run(a, argc, argv));
}
