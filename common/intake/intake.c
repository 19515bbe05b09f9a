/* intake.c - what sessions share: limits, listening sockets, the drain. */
#include "intake/intake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "intake/replies.h"
#include "intake/session.h"
#include "intake/upstream.h"

static char host_name[256];

void
intake_hurry(struct intake *in)
{
	struct session *s;

	in->is_overdue = true;
	for (s = session_first(in); s != NULL; s = session_next(s))
		session_drain(s);
}

static void
on_overdue(void *arg)
{
	intake_hurry(arg);
}

int
intake_start(struct intake *in, struct loop *loop,
    const struct intake_conf *conf, char *error, size_t size)
{
	in->loop = loop;
	in->conf = conf;
	in->hostname = conf->hostname;
	if (in->hostname == NULL) {
		if (gethostname(host_name, sizeof(host_name) - 1) == -1)
			strlcpy(host_name, "localhost", sizeof(host_name));
		in->hostname = host_name;
	}
	in->store.memory_limit = (uint64_t)conf->memory_limit;
	in->store.memory_total = (uint64_t)conf->memory_total;
	if (spool_store_open(&in->store, conf->spool_directory, error,
	    size) == -1)
		return -1;
	if (domain_map_init(&in->patterns, &conf->relays) != NULL)
		snprintf(error, size, "a key of relay is no domain");
	in->keywords = intake_conf_keywords(conf);
	in->line = xmalloc((size_t)conf->command_line_limit + 1);
	in->upstream = upstream_new();
	TAILQ_INIT(&in->sessions);
	timer_init(&in->overdue, loop, on_overdue, in);
	return 0;
}

static void
stop_listening(struct intake *in)
{
	while (in->nacceptors > 0)
		acceptor_close(in->acceptors[--in->nacceptors]);
}

void
intake_end(struct intake *in)
{
	upstream_free(in->upstream);
	in->upstream = NULL;
	domain_map_clear(&in->patterns);
	spool_store_close(&in->store);
	free(in->line);
}

void
intake_stop(struct intake *in)
{
	struct session *s;

	if (in->upstream == NULL)
		return;
	in->idle = NULL;
	in->changed = NULL;
	stop_listening(in);
	while ((s = session_first(in)) != NULL)
		session_free(s);
	timer_clear(&in->overdue);
	loop_turn(in->loop, 0);		/* what was put off: frees */
	intake_end(in);
}

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	session_new(arg, fd, from);
}

int
intake_listen(struct intake *in, int fd, const char *name)
{
	struct acceptor *a;

	if (in->nacceptors == INTAKE_LISTENERS_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	a = acceptor_new(in->loop, fd, name, ACCEPTOR_BURST, on_accepted, in);
	if (a == NULL)
		return -1;
	in->acceptors[in->nacceptors++] = a;
	return 0;
}

static void
check_idle(struct intake *in)
{
	if ((in->is_draining || in->is_leaving) && in->nsessions == 0 &&
	    in->idle != NULL)
		in->idle(in->front);
}

void
intake_session_over(struct intake *in)
{
	in->nsessions--;
	if (in->changed != NULL)
		in->changed(in->front);
	check_idle(in);
}

void
intake_drain(struct intake *in)
{
	struct session *s;

	if (in->is_draining)
		return;
	in->is_draining = true;
	stop_listening(in);
	timer_set(&in->overdue, in->conf->drain_timeout_ms);
	for (s = session_first(in); s != NULL; s = session_next(s))
		session_drain(s);
	check_idle(in);
}

void
intake_leave(struct intake *in)
{
	struct session *s, *next;

	in->is_leaving = true;
	stop_listening(in);
	for (s = session_first(in); s != NULL; s = next) {
		next = session_next(s);
		session_leave(s);
	}
	check_idle(in);
}

void
intake_each_stat(const struct intake *in,
    void (*put)(void *arg, const char *name, uint64_t value), void *arg)
{
	const struct intake_stats *st = &in->stats;

	put(arg, "connections_opened", st->connections);
	put(arg, "connections_now", in->nsessions);
	put(arg, "connections_refused", st->connections_refused);
	put(arg, "messages", st->transactions);
	put(arg, "bytes", st->bytes);
	put(arg, "recipients_delivered", st->rcpts_delivered);
	put(arg, "recipients_deferred", st->rcpts_transient);
	put(arg, "recipients_bounced", st->rcpts_permanent);
	put(arg, "recipients_refused", st->rcpts_refused);
	put(arg, "protocol_errors", st->protocol_errors);
	put(arg, "spool_files", in->store.files);
	put(arg, "spool_memory_bytes", in->store.memory_used);
	put(arg, "deliveries_open", upstream_open(in->upstream));
}
