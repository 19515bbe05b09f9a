/*
 * front_hand.c - an intake started by hand: it binds its sockets itself and is
 * a submitter of a master that runs, or will.
 *
 * A link is one connection to the submission socket.  A master that is being
 * replaced says DRAIN: what is open on its link is still answered there, and
 * all else goes over a new one.
 */
#include "intake/front.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "intake/listen.h"
#include "intake/upstream.h"
#include "net/channel.h"
#include "paths.h"

#define OUT_BYTES_MAX	((size_t)64 * 1024 * 1024)
#define RETRY_MIN_MS	50
#define RETRY_MAX_MS	2000

struct link {
	TAILQ_ENTRY(link) next;
	struct hand	*hand;
	struct channel	*channel;
	struct upstream	*upstream;
};

struct hand {
	struct intake	*intake;
	struct loop	*loop;
	struct opts	*opts;
	struct addr	 submit;
	const char	*path;
	struct upstream	*down;		/* without a channel */
	TAILQ_HEAD(, link) links;
	struct link	*current;	/* NULL: none */
	struct timer	 retry;
	int64_t		 retry_ms;
	struct event	 ev_term, ev_int;
	unsigned	 nsignals;
};

/* ---- links ---- */

static void
link_free(struct link *l)
{
	struct hand *h = l->hand;

	TAILQ_REMOVE(&h->links, l, next);
	channel_free(l->channel);
	upstream_free(l->upstream);
	free(l);
}

/* Another one is needed, after a while. */
static void
unset_current(struct hand *h)
{
	h->current = NULL;
	h->intake->upstream = h->down;
	timer_set(&h->retry, h->retry_ms);
	h->retry_ms = 2 * h->retry_ms > RETRY_MAX_MS ? RETRY_MAX_MS :
	    2 * h->retry_ms;
}

static void
link_lost(struct link *l, const char *why)
{
	struct hand *h = l->hand;

	log_warning("%s: connection lost%s%s", h->path,
	    why == NULL ? "" : ": ", why == NULL ? "" : why);
	if (h->current == l)
		unset_current(h);
	link_free(l);
}

static void
got_ready(struct link *l, const struct frame *f)
{
	struct hand *h = l->hand;
	uint32_t window = 0;
	struct attr a;
	size_t at = 0;

	while (frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_WINDOW)
			attr_u32(&a, &window);
	if (window == 0 || upstream_is_up(l->upstream)) {
		link_lost(l, "READY without a window, or a second one");
		return;
	}
	upstream_attach(l->upstream, l->channel, window);
	h->intake->upstream = l->upstream;
	h->retry_ms = RETRY_MIN_MS;
	log_info("%s: connected", h->path);
}

/* The answers of an old link are over. */
static void
check_over(struct link *l)
{
	if (l != l->hand->current && upstream_open(l->upstream) == 0)
		link_free(l);
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct link *l = arg;
	const char *error;

	(void)bytes;
	if (fd != -1)
		close(fd);
	switch (f->type) {
	case FRAME_HELO:
		break;
	case FRAME_READY:
		got_ready(l, f);
		break;
	case FRAME_RESULT:
	case FRAME_STAGE:
	case FRAME_DONE:
		if ((error = upstream_frame(l->upstream, f)) != NULL)
			link_lost(l, error);
		else
			check_over(l);
		break;
	case FRAME_DRAIN:
		if (l->hand->current == l)
			unset_current(l->hand);
		check_over(l);
		break;
	default:
		link_lost(l, "unexpected frame");
		break;
	}
}

static void
on_closed(void *arg, const char *error)
{
	link_lost(arg, error);
}

static void
on_drained(void *arg)
{
	struct link *l = arg;

	upstream_drained(l->upstream);
}

static const struct channel_ops channel_ops = {
	on_frame, on_closed, on_drained
};

static void
on_retry(void *arg)
{
	struct hand *h = arg;
	struct link *l;
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, &h->submit.u.sa, h->submit.len) == -1) {
		log_debug("%s: %s", h->path, strerror(errno));
		if (fd != -1)
			close(fd);
		unset_current(h);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->hand = h;
	l->upstream = upstream_new();
	l->channel = channel_new(h->loop, fd, OUT_BYTES_MAX, &channel_ops, l);
	TAILQ_INSERT_TAIL(&h->links, l, next);
	h->current = l;
}

/* ---- the process ---- */

static void
on_idle(void *front)
{
	struct hand *h = front;

	loop_stop(h->loop, EX_OK);
}

/* The first drains, the second ends. */
static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct hand *h = arg;

	(void)sig;
	(void)what;
	if (h->nsignals++ > 0)
		loop_stop(h->loop, EX_OK);
	else
		intake_drain(h->intake);
}

static int
usage(int status)
{
	FILE *fp = status == EX_OK ? stdout : stderr;

	fprintf(fp, "usage: intake-lmtp -o listen=ADDRESS -o submit=SOCKET "
	    "[-o name=value]... [--name=value]...\n");
	if (status != EX_OK) {
		fprintf(fp, "       intake-lmtp --help tells all options\n");
		return status;
	}
	fprintf(fp, "\nintake-lmtp - take mail by LMTP and hand it to "
	    "nexthop-master\n\nOptions (also of an intake in the "
	    "configuration file, but for the last two):\n");
	opt_table_help(&intake_conf_table, fp);
	return status;
}

/* "name=value" of the option table; the fault is printed. */
static int
set_option(struct hand *h, const char *arg)
{
	char error[512];

	if (opts_set_text(h->opts, arg, OPTS_LAST, error, sizeof(error)) == -1) {
		warnx("%s", error);
		return -1;
	}
	return 0;
}

static void
on_fault(void *arg, const char *name, const char *text)
{
	(void)arg;
	warnx("%s%s%s", name == NULL ? "" : name, name == NULL ? "" : ": ",
	    text);
}

/* EX_OK, or the status to exit with. */
static int
parse(struct hand *h, int argc, char **argv)
{
	const struct intake_conf *conf = opts_values(h->opts);
	int i, nfaults = 0;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			nfaults += set_option(h, argv[++i]) == -1;
		else if (strncmp(argv[i], "--", 2) == 0)
			nfaults += set_option(h, argv[i] + 2) == -1;
		else {
			warnx("unknown argument %s", argv[i]);
			return usage(EX_USAGE);
		}
	nfaults += opts_finish(h->opts, on_fault, NULL);
	if (nfaults > 0)
		return EX_CONFIG;
	if (conf->listen.n == 0 || conf->submit == NULL)
		return usage(EX_USAGE);
	h->path = conf->submit;
	if (addr_unix(&h->submit, conf->submit) == -1) {
		warnx("submit: %s: path too long", conf->submit);
		return EX_CONFIG;
	}
	return EX_OK;
}

/* All of the sockets, or none. */
static int
listen_all(struct hand *h, const struct opt_list *list)
{
	char error[512];
	size_t i;
	int fd;

	for (i = 0; i < list->n; i++) {
		fd = listen_bind(list->v[i], error, sizeof(error));
		if (fd == -1) {
			warnx("%s", error);
			return -1;
		}
		if (intake_listen(h->intake, fd, list->v[i]) == -1) {
			warn("%s", list->v[i]);
			close(fd);
			return -1;
		}
	}
	return 0;
}

static int
run(struct hand *h)
{
	const struct intake_conf *conf = h->intake->conf;
	struct link *l, *next;
	int status;
	size_t i;

	event_assign(&h->ev_term, loop_base(h->loop), SIGTERM,
	    EV_SIGNAL | EV_PERSIST, on_signal, h);
	event_assign(&h->ev_int, loop_base(h->loop), SIGINT,
	    EV_SIGNAL | EV_PERSIST, on_signal, h);
	event_add(&h->ev_term, NULL);
	event_add(&h->ev_int, NULL);
	timer_init(&h->retry, h->loop, on_retry, h);
	h->retry_ms = RETRY_MIN_MS;
	h->intake->front = h;
	h->intake->idle = on_idle;
	h->down = h->intake->upstream;
	TAILQ_INIT(&h->links);
	on_retry(h);
	status = loop_run(h->loop);
	for (i = 0; i < conf->listen.n; i++)
		listen_unlink(conf->listen.v[i]);
	h->intake->upstream = h->down;
	intake_stop(h->intake);
	for (l = TAILQ_FIRST(&h->links); l != NULL; l = next) {
		next = TAILQ_NEXT(l, next);
		link_free(l);
	}
	timer_clear(&h->retry);
	event_del(&h->ev_term);
	event_del(&h->ev_int);
	loop_turn(h->loop, 0);
	return status;
}

int
front_hand(struct intake *in, struct loop *loop, struct opts *opts, int argc,
    char **argv)
{
	struct hand h = { .intake = in, .loop = loop, .opts = opts };
	char error[512];
	int status;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("nexthop %s\n", NEXTHOP_VERSION);
		return EX_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(EX_OK);
	if (argc == 2 && strcmp(argv[1], "--options=mdoc") == 0) {
		opt_table_mdoc(&intake_conf_table, stdout);
		return EX_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--options=sample") == 0) {
		opt_table_sample(&intake_conf_table, stdout);
		return EX_OK;
	}
	if ((status = parse(&h, argc, argv)) != EX_OK)
		return status;
	raise_files_limit();
	if (intake_start(in, loop, opts_values(opts), error,
	    sizeof(error)) == -1) {
		warnx("%s", error);
		return EX_CONFIG;
	}
	if (listen_all(&h, &in->conf->listen) == -1) {
		intake_stop(in);
		return EX_CANTCREAT;
	}
	return run(&h);
}
