/*
 * control.c - the operator's connections: COMMAND in, OUTPUT and EXIT out.
 * drain and stop are not answered by EXIT: they end with the connection, when
 * the master does.
 */
#include "master.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"

#define DRAIN_MAX_MS	(INT64_C(7) * 86400 * 1000)
#define OUT_MAX		(16 * 1024 * 1024)

struct control {
	TAILQ_ENTRY(control) next;
	struct master	*master;
	struct channel	*channel;	/* NULL once gone */
	struct child	*door;		/* whose channel it is, or NULL */
	uint64_t	 id;		/* of the COMMAND */
	struct later	 free_later;
};

static void
on_free(void *arg)
{
	struct control *ct = arg;
	struct master *m = ct->master;

	TAILQ_REMOVE(&m->controls, ct, next);
	if (m->reload_asker == ct)
		m->reload_asker = NULL;
	upgrade_forget_asker(m, ct);
	free(ct);
}

static void
control_close(struct control *ct)
{
	if (ct->channel == NULL)
		return;
	channel_free(ct->channel);
	ct->channel = NULL;
	loop_later(ct->master->loop, &ct->free_later);
}

/* ---- answers ---- */

static void
output(struct control *ct, const char *text, size_t n)
{
	struct buf *out;
	size_t start, piece;
	struct frame_out o;

	for (; n > 0 && ct != NULL && ct->channel != NULL; n -= piece) {
		piece = n < FRAME_TEXT_MAX ? n : FRAME_TEXT_MAX;
		out = channel_out(ct->channel);
		start = buf_len(out);
		frame_begin(&o, out, FRAME_OUTPUT, ct->id, 0);
		frame_put(&o, ATTR_TEXT, text, piece);
		if (frame_end(&o) == -1)
			return;
		channel_queued(ct->channel, start, -1);
		text += piece;
	}
}

void
control_printf(struct control *ct, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	if (ct == NULL)
		return;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n == -1)
		return;
	output(ct, text, (size_t)n);
	free(text);
}

void
control_exit(struct control *ct, int status)
{
	struct buf *out;
	size_t start;
	struct frame_out o;

	if (ct == NULL || ct->channel == NULL)
		return;
	out = channel_out(ct->channel);
	start = buf_len(out);
	frame_begin(&o, out, FRAME_EXIT, ct->id, 0);
	frame_put_u8(&o, ATTR_STATUS, (uint8_t)status);
	if (frame_end(&o) == 0)
		channel_queued(ct->channel, start, -1);
}

/* ---- commands ---- */

static void
do_status(struct control *ct, const char *const *args, size_t nargs)
{
	enum status_form form = STATUS_TEXT;
	struct buf text;
	size_t i;

	for (i = 0; i < nargs; i++) {
		if (strcmp(args[i], "--output=json") == 0)
			form = STATUS_JSON;
		else if (strcmp(args[i], "--output=tsv") == 0)
			form = STATUS_TSV;
		else if (strcmp(args[i], "--output=text") != 0) {
			control_printf(ct, "status: unknown argument %s\n",
			    args[i]);
			control_exit(ct, EX_USAGE);
			return;
		}
	}
	buf_init(&text, OUT_MAX);
	status_print(ct->master, form, &text);
	output(ct, buf_data(&text), buf_len(&text));
	buf_clear(&text);
	control_exit(ct, EX_OK);
}

static void
do_metrics(struct control *ct, const char *const *args, size_t nargs)
{
	struct buf text;
	int status;

	buf_init(&text, METRICS_BYTES_MAX);
	status = metrics_command(ct->master, args, nargs, &text);
	output(ct, buf_data(&text), buf_len(&text));
	buf_clear(&text);
	control_exit(ct, status);
}

static void
do_reopen(struct control *ct)
{
	control_exit(ct, logging_reopen(ct->master, ct));
}

static void
do_drain(struct control *ct, const char *const *args, size_t nargs)
{
	int64_t limit_ms = 0;

	if (nargs > 1 || (nargs == 1 && (opt_parse_time(args[0],
	    &limit_ms) == -1 || limit_ms < 1 || limit_ms > DRAIN_MAX_MS))) {
		control_printf(ct, "drain: takes one time, at most 7 days\n");
		control_exit(ct, EX_USAGE);
		return;
	}
	master_tell_stopping("drain");
	master_drain(ct->master, limit_ms);
}

static void
do_command(struct control *ct, const char *command, const char *const *args,
    size_t nargs)
{
	struct master *m = ct->master;

	if (ct->door != NULL && strcmp(command, "metrics") != 0) {
		control_printf(ct, "%s is not for doors\n", command);
		control_exit(ct, EX_NOPERM);
	} else if (strcmp(command, "status") == 0)
		do_status(ct, args, nargs);
	else if (strcmp(command, "metrics") == 0)
		do_metrics(ct, args, nargs);
	else if (strcmp(command, "reload") == 0)
		master_reload(m, ct, args, nargs);
	else if (strcmp(command, "reopen") == 0)
		do_reopen(ct);
	else if (strcmp(command, "upgrade") == 0)
		master_upgrade(m, ct);
	else if (strcmp(command, "drain") == 0)
		do_drain(ct, args, nargs);
	else if (strcmp(command, "stop") == 0) {
		master_tell_stopping(command);
		master_stop(m, m->config->master->stop_timeout_ms + 1);
	} else {
		control_printf(ct, "unknown command %s\n", command);
		control_exit(ct, EX_USAGE);
	}
}

static void
take_command(struct control *ct, const struct frame *f)
{
	struct arena *arena = arena_new(1024);
	const char *command = NULL, *args[OPERATOR_ARGS_MAX], *text;
	size_t at = 0, nargs = 0;
	struct attr a;
	int n;

	while ((n = frame_next(f, &at, &a)) == 1) {
		if ((text = attr_text(&a, arena)) == NULL)
			break;
		if (a.tag == ATTR_COMMAND)
			command = text;
		else if (a.tag == ATTR_ARGUMENT && nargs < OPERATOR_ARGS_MAX)
			args[nargs++] = text;
		else if ((a.tag & ATTR_SKIPPABLE) == 0)
			break;
	}
	ct->id = f->id;
	if (n == 0 && command != NULL)
		do_command(ct, command, args, nargs);
	else if (ct->door != NULL)
		child_break(ct->door, "malformed COMMAND");
	else
		control_close(ct);
	arena_free(arena);
}

/* It is answered before this returns. */
void
control_door_command(struct master *m, struct child *door,
    const struct frame *f)
{
	struct control ct = { .master = m, .channel = door->channel,
	    .door = door };

	take_command(&ct, f);
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct control *ct = arg;

	(void)bytes;
	if (fd != -1)
		close(fd);
	if (fd != -1 || f->type != FRAME_COMMAND)
		control_close(ct);
	else
		take_command(ct, f);
}

static void
on_closed(void *arg, const char *error)
{
	(void)error;
	control_close(arg);
}

static const struct channel_ops channel_ops = { on_frame, on_closed, NULL };

static void
on_accepted(void *arg, int fd)
{
	struct control *ct = xcalloc(1, sizeof(*ct));
	struct master *m = arg;

	ct->master = m;
	later_init(&ct->free_later, on_free, ct);
	ct->channel = channel_new(m->loop, fd, OUT_MAX, &channel_ops, ct);
	TAILQ_INSERT_TAIL(&m->controls, ct, next);
}

int
control_listen(struct master *m, char *error, size_t size)
{
	const struct master_conf *c = m->config->master;
	const struct socket_look look = { config_mode(c->control_mode), NULL,
	    NULL };
	int status;

	m->control_listener = listener_open(m->loop, &m->sockets, c->control,
	    &look, on_accepted, m, error, size, &status);
	return m->control_listener == NULL ? status : 0;
}

void
control_stop_listening(struct master *m)
{
	listener_close(m->control_listener);
	m->control_listener = NULL;
}

void
control_close_all(struct master *m)
{
	struct control *ct;

	control_stop_listening(m);
	TAILQ_FOREACH(ct, &m->controls, next) {
		if (ct->channel == NULL)
			continue;
		channel_flush(ct->channel);
		/* The kernel closes this one when nothing is left of us: who
		 * waits for the end sees it then. */
		fcntl(channel_fd(ct->channel), F_DUPFD_CLOEXEC, 3);
		control_close(ct);
	}
}
