/*
 * metrics-http.c - what the master counts, over HTTP: a child of the master
 * that has the listening sockets of [metrics] from it, asks it for the text,
 * and is the only process of nexthop that speaks HTTP with whoever comes.
 *
 * LONG: the whole front of a door, frames in and out, in one place
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/cage.h"
#include "agent/parent.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/process.h"
#include "conf/option.h"
#include "http/pages.h"
#include "http/server.h"
#include "mail/frame.h"
#include "net/channel.h"
#include "paths.h"

#define OUT_BYTES_MAX	(1024 * 1024)
#define DRAIN_MS	2000
#define STATS_MS	1000

struct metrics_conf {
	int64_t		 max_connections;
	int64_t		 request_timeout_ms, idle_timeout_ms;
	int64_t		 destinations;
	struct cage_conf cage;
};

#define M(field)	offsetof(struct metrics_conf, field)

static const struct opt_row rows[] = {
	{ .name = "max_connections", .type = OPT_INT,
	    .offset = M(max_connections), .def = "50", .min = 1, .max = 10000,
	    .text = "Connections at once; for a further one the one that has "
	    "been quiet for longest is closed." },
	{ .name = "request_timeout", .type = OPT_TIME,
	    .offset = M(request_timeout_ms), .def = "10s", .min = 100,
	    .max = 600000, .text = "How long a request may take to come, and "
	    "how long an answer may stay untaken." },
	{ .name = "idle_timeout", .type = OPT_TIME,
	    .offset = M(idle_timeout_ms), .def = "120s", .min = 100,
	    .max = 3600000, .text = "How long a connection may wait for its "
	    "next request." },
	{ .name = "destinations", .type = OPT_INT, .offset = M(destinations),
	    .def = "50", .min = 0, .max = 1000, .text = "How many "
	    "destinations of a relay are shown: those with most waiting, then "
	    "with most connections." },
	{ .name = NULL }
};
static const struct opt_group groups[] = {
	{ rows, 0 }, { cage_conf_rows, M(cage) }, { NULL, 0 }
};
static const struct opt_table table = {
	"metrics-http", groups, sizeof(struct metrics_conf), NULL
};

static const struct cage_policy policy = {
	.name = "metrics-http",
	.may = CAGE_ACCEPT,
	.conf_at = M(cage),
};

enum { PAGE_METRICS, PAGE_HEALTH };

static const struct page pages[] = {
	[PAGE_METRICS] = { "/metrics",
	    "text/plain; version=0.0.4; charset=utf-8" },
	[PAGE_HEALTH] = { "/healthz", "text/plain; charset=utf-8" },
	{ NULL, NULL }
};

struct door {
	struct loop	*loop;
	struct channel	*channel;
	struct event	 ev_term;
	struct timer	 limit, stats;
	struct opts	*opts;
	const struct metrics_conf *conf;
	struct cage	*cage;		/* likewise */
	struct http_server *server;	/* once READY */
	int		*fds;		/* listening, until then */
	size_t		 nfds;
	struct pages	*pages;		/* likewise */
	bool		 is_leaving;
	int		 status;
};

/* ---- the end ---- */

static void
leave(struct door *d, int status)
{
	if (!d->is_leaving)
		d->status = status;
	d->is_leaving = true;
	if (channel_fd(d->channel) == -1 || channel_pending(d->channel) == 0)
		loop_stop(d->loop, d->status);
}

/* The master broke the protocol. */
static void
fail(struct door *d, const char *what)
{
	log_error("channel: %s", what);
	channel_close(d->channel);
	leave(d, EX_PROTOCOL);
}

static void
queued(struct door *d, size_t start, int result)
{
	if (result == -1)
		fail(d, "output is full");
	else
		channel_queued(d->channel, start, -1);
}

static void
drain(struct door *d)
{
	if (d->server == NULL) {
		leave(d, EX_OK);
		return;
	}
	timer_set(&d->limit, DRAIN_MS);
	http_server_drain(d->server);
}

static void
on_limit(void *arg)
{
	leave(arg, EX_OK);
}

/* ---- what the master is asked ---- */

static void
want_stats(struct door *d)
{
	if (d->stats.due_ms == 0)
		timer_set(&d->stats, STATS_MS);
}

static int
on_ask(void *arg, unsigned page, uint64_t id)
{
	struct door *d = arg;
	struct buf *out = channel_out(d->channel);
	size_t start = buf_len(out);
	char argument[64];
	struct frame_out o;

	if (channel_fd(d->channel) == -1)
		return -1;
	snprintf(argument, sizeof(argument), "--destinations=%jd",
	    (intmax_t)d->conf->destinations);
	frame_begin(&o, out, FRAME_COMMAND, id, 0);
	frame_put_text(&o, ATTR_COMMAND, "metrics");
	frame_put_text(&o, ATTR_ARGUMENT, page == PAGE_HEALTH ? "--health" :
	    argument);
	queued(d, start, frame_end(&o));
	return 0;
}

static void
got_output(struct door *d, const struct frame *f)
{
	struct attr a;
	size_t at = 0;

	while (d->pages != NULL && frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_TEXT)
			pages_add(d->pages, f->id, a.data, a.len);
}

static void
got_exit(struct door *d, const struct frame *f)
{
	uint8_t status = EX_SOFTWARE;
	struct attr a;
	size_t at = 0;

	while (frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_STATUS)
			attr_u8(&a, &status);
	if (d->pages == NULL)
		return;			/* nothing was asked */
	pages_finish(d->pages, f->id, status == EX_OK ? 200 :
	    status == EX_TEMPFAIL ? 503 : 500);
}

/* ---- clients ---- */

static void
on_request(void *arg, struct http_client *client,
    const struct http_asked *asked)
{
	struct door *d = arg;

	want_stats(d);
	pages_request(d->pages, client, asked);
}

static void
on_gone(void *arg, struct http_client *client)
{
	struct door *d = arg;

	pages_gone(d->pages, client);
}

static void
on_server_drained(void *arg)
{
	leave(arg, EX_OK);
}

static const struct http_server_ops server_ops = {
	on_request, on_gone, on_server_drained
};

static void
on_stats(void *arg)
{
	struct door *d = arg;
	struct buf *out = channel_out(d->channel);
	size_t start = buf_len(out);
	struct http_server_stats s;
	struct frame_out o;

	if (channel_fd(d->channel) == -1)
		return;
	http_server_stats(d->server, &s);
	frame_begin(&o, out, FRAME_STATS, 0, 0);
	frame_put_stat(&o, "connections_opened", s.connections);
	frame_put_stat(&o, "connections_now", s.now);
	frame_put_stat(&o, "requests", s.requests);
	frame_put_stat(&o, "requests_refused", s.refused);
	queued(d, start, frame_end(&o));
}

/* ---- CONFIG ---- */

static void
open_server(struct door *d)
{
	const struct metrics_conf *c = opts_values(d->opts);
	struct http_server_conf conf = {
		.max_connections = c->max_connections,
		.request_timeout_ms = c->request_timeout_ms,
		.idle_timeout_ms = c->idle_timeout_ms,
	};
	size_t i;

	d->conf = c;
	d->pages = pages_new(d->loop, pages, on_ask, d);
	d->server = http_server_new(d->loop, &conf, &server_ops, d);
	for (i = 0; i < d->nfds; i++)
		if (http_server_listen(d->server, d->fds[i]) == -1) {
			log_error("not listening: %s", strerror(errno));
			close(d->fds[i]);
		}
	d->nfds = 0;
}

static void
got_config(struct door *d, const struct frame *f)
{
	struct buf *out = channel_out(d->channel);
	size_t start = buf_len(out);
	struct parent_config c;
	char error[512];
	int status;

	if (d->server != NULL ||
	    parent_config_take(&c, d->opts, f, out) == -1) {
		fail(d, "malformed CONFIG");
		return;
	}
	if (c.nfaults == 0 && !c.want_options) {
		d->cage = cage_new(&policy, opts_values(d->opts));
		if (cage_enter(d->cage, d->loop, false, error,
		    sizeof(error)) == CAGE_FAILED)
			parent_config_fault(&c, error);
	}
	if (c.nfaults == 0) {
		frame_put_u32(&c.ready, ATTR_WINDOW, 1);
		if (c.want_options)
			parent_config_put_options(&c);
		else
			open_server(d);
	}
	queued(d, start, frame_end(&c.ready));
	if ((status = parent_config_status(&c)) != -1)
		leave(d, status);
}

/* ---- frames ---- */

static void
got_listen(struct door *d, const struct frame *f, int fd)
{
	struct arena *arena = arena_new(256);
	const char *address, *error = NULL;

	if (frame_get_listen(f, arena, &address, &error) == 0 &&
	    d->server != NULL)
		error = "LISTEN after CONFIG";
	if (error != NULL) {
		if (fd != -1)
			close(fd);
		fail(d, error);
	} else {
		d->fds = xreallocarray(d->fds, d->nfds + 1, sizeof(*d->fds));
		d->fds[d->nfds++] = fd;
	}
	arena_free(arena);
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct door *d = arg;
	const char *error;
	int got;

	(void)bytes;
	if ((got = parent_frame(f, fd, FRAME_LISTEN, &error)) == -1)
		fail(d, error);
	if (got != 1)
		return;
	if (f->type == FRAME_LISTEN) {
		got_listen(d, f, fd);
		return;
	}
	if (d->is_leaving)
		return;
	switch (f->type) {
	case FRAME_CONFIG:
		got_config(d, f);
		break;
	case FRAME_OUTPUT:
		got_output(d, f);
		break;
	case FRAME_EXIT:
		got_exit(d, f);
		break;
	case FRAME_DRAIN:
		drain(d);
		break;
	default:
		fail(d, "frame of a type that is not for us");
		break;
	}
}

static void
on_closed(void *arg, const char *error)
{
	struct door *d = arg;

	if (error != NULL)
		log_error("channel: %s", error);
	leave(d, error == NULL ? EX_OK : EX_PROTOCOL);
}

static void
on_drained(void *arg)
{
	struct door *d = arg;

	if (d->is_leaving)
		loop_stop(d->loop, d->status);
}

static void
on_term(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	drain(arg);
}

static const struct channel_ops channel_ops = {
	on_frame, on_closed, on_drained
};

/* ---- beginning and end ---- */

static void
door_init(struct door *d, int fd)
{
	d->loop = loop_new();
	d->opts = opts_new(&table);
	d->channel = channel_new(d->loop, fd, OUT_BYTES_MAX, &channel_ops, d);
	timer_init(&d->limit, d->loop, on_limit, d);
	timer_init(&d->stats, d->loop, on_stats, d);
	event_assign(&d->ev_term, loop_base(d->loop), SIGTERM,
	    EV_SIGNAL | EV_PERSIST, on_term, d);
	event_add(&d->ev_term, NULL);
}

static void
door_clear(struct door *d)
{
	size_t i;

	http_server_free(d->server);
	for (i = 0; i < d->nfds; i++)
		close(d->fds[i]);
	free(d->fds);
	pages_free(d->pages);
	timer_clear(&d->limit);
	timer_clear(&d->stats);
	event_del(&d->ev_term);
	channel_free(d->channel);
	loop_turn(d->loop, 0);
	cage_free(d->cage);
	opts_free(d->opts);
	loop_free(d->loop);
}

static int
serve(const char *env)
{
	struct door d = { .status = EX_OK };
	int fd, status;

	if ((fd = parent_open(env)) == -1)
		return EX_USAGE;
	ignore_write_signals();
	door_init(&d, fd);
	queued(&d, 0, parent_put_hello(channel_out(d.channel), table.name));
	status = loop_run(d.loop);
	channel_close(d.channel);
	door_clear(&d);
	return status;
}

/* See agent/cage.h. */
static int
test_cage(void)
{
	struct opts *opts = opts_new(&table);
	int status = cage_test(&policy, opts_values(opts));

	opts_free(opts);
	return status;
}

static int
usage(FILE *fp, int status)
{
	fprintf(fp, "metrics-http is started by nexthop-master, see "
	    "metrics-http(8)\n");
	if (status == EX_OK) {
		fprintf(fp, "\n");
		opt_table_help(&table, fp);
	}
	return status;
}

int
main(int argc, char **argv)
{
	const char *env = getenv(CHANNEL_ENV);

	hold_std_files();
	log_open("metrics-http");
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(stdout, EX_OK);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("metrics-http %s\n", NEXTHOP_VERSION);
		return EX_OK;
	}
	if (argc == 2 && strcmp(argv[1], CAGE_TEST) == 0)
		return test_cage();
	if (argc == 2 && strcmp(argv[1], "--options=mdoc") == 0) {
		opt_table_mdoc(&table, stdout);
		return EX_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--options=rows") == 0) {
		metric_mdoc(stdout);	/* nexthop-metrics(7) */
		return EX_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--options=sample") == 0) {
		opt_table_sample(&table, stdout);
		return EX_OK;
	}
	if (argc != 1 || env == NULL)
		return usage(stderr, EX_USAGE);
	return serve(env);
}
