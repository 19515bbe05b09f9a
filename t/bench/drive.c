/*
 * drive.c - puts one agent, or a running nexthop-master, under load and prints
 * what that cost: lines of "name value unit".
 *
 * An agent is started as nexthop-master does it, at the other end of a
 * socketpair; a master is a submission socket.  All messages are distinct and
 * lie back to back in one sealed memfd; each DELIVER passes it with a range,
 * or with --inline carries the bytes.  CPU and memory are read from /proc, or
 * for an agent's whole life from wait4().
 *
 * Messages go as answers come, or with --rate at moments of their own; then
 * the time from a message to its answer is told too.  --beside sends others
 * all the while, which are no part of the report.
 *
 * LONG: a program by itself; what others may use is in t/tools/lib/
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "agent/front.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/str.h"
#include "net/channel.h"
#include "../tools/lib/messages.h"
#include "../tools/lib/procs.h"

#define OUT_BYTES_MAX	((size_t)1 << 30)
#define OPTIONS_MAX	64
#define RCPTS_MAX	100
#define SAMPLE_MS	100
#define ADDRESS_MAX	256
#define BESIDE_ID	(1ULL << 32)	/* ids of the others, from here on */

struct drive {
	/* what is asked for */
	const char	*socket, *relay, *sender;
	char		**agent;	/* its arguments */
	const char	*options[OPTIONS_MAX];
	unsigned	 noptions;
	struct rcpt	 rcpts[RCPTS_MAX];
	uint32_t	 nrcpt;
	int64_t		 count, in_flight, size, hold_ms, timeout_ms;
	int64_t		 domains, rate;
	const char	*beside;
	int64_t		 beside_in_flight, beside_domains, beside_rate;
	bool		 is_inline, is_vouched, want_memory;
	pid_t		 pid;		/* under test, its children too */

	struct loop	*loop;
	struct channel	*channel;
	struct later	 send_later;
	struct timer	 limit, sample, hold, next;
	pid_t		 child;
	struct messages	 messages;
	bool		 is_started, is_complaining;

	int64_t		 sent, done, beside_sent, beside_done;
	uint64_t	 answers[REPLY_PERMANENT + 1];
	uint64_t	 beside_answers[REPLY_PERMANENT + 1];
	double		*latency_s;	/* by message: when it left, then how
					 * long it took */
	double		 start_s, end_s, driver_s;
	struct procs_usage idle, last, held, life;
	long		 pss_peak_kib, private_peak_kib;
};

static double
seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct procs_usage
usage_now(struct drive *d)
{
	struct procs_usage u = { .cpu_s = 0 };

	if (d->pid != 0)
		procs_add(&u, d->pid, d->want_memory);
	if (u.pss_kib > d->pss_peak_kib)
		d->pss_peak_kib = u.pss_kib;
	if (u.private_kib > d->private_peak_kib)
		d->private_peak_kib = u.private_kib;
	return u;
}

/* ---- the run ---- */

static void
on_sample(void *arg)
{
	usage_now(arg);
	timer_set(&((struct drive *)arg)->sample, SAMPLE_MS);
}

static void
on_limit(void *arg)
{
	struct drive *d = arg;

	warnx("no end in time: %jd sent, %jd done", (intmax_t)d->sent,
	    (intmax_t)d->done);
	loop_stop(d->loop, EX_TEMPFAIL);
}

static void
on_hold(void *arg)
{
	struct drive *d = arg;

	d->held = usage_now(d);
	loop_stop(d->loop, 0);
}

/* The address; a % in it is a number from 0 to domains - 1, in turn. */
static const char *
address_of(const char *pattern, int64_t i, int64_t domains,
    char text[ADDRESS_MAX])
{
	size_t before = strcspn(pattern, "%");

	if (pattern[before] == '\0')
		return pattern;
	snprintf(text, ADDRESS_MAX, "%.*s%jd%s", (int)before, pattern,
	    (intmax_t)(i % domains), pattern + before + 1);
	return text;
}

/* The message i of those there are. */
static void
put_message(struct drive *d, uint64_t id, int64_t i, struct rcpt *rcpts,
    uint32_t nrcpt)
{
	struct buf *out = channel_out(d->channel);
	const struct messages *m = &d->messages;
	uint64_t at = m->offsets[i];
	struct envelope env = {
		.id = "", .relay = d->relay, .sender = d->sender,
		.rcpts = rcpts, .nrcpt = nrcpt,
		.body = { .fd = -1, .offset = at,
		    .len = m->offsets[i + 1] - at },
	};
	size_t start = buf_len(out);

	if (d->is_vouched) {
		env.flags = ENV_WIRE_FORM;
		env.body_type = BODY_7BIT;
	}
	if (d->is_inline)
		env.body.mem = m->mem + at;
	else if ((env.body.fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0)) == -1)
		err(EX_OSERR, "dup");
	if (frame_put_deliver(out, id, &env) == -1)
		errx(EX_SOFTWARE, "message does not fit into a frame");
	channel_queued(d->channel, start, env.body.fd);
}

static void
send_one(struct drive *d)
{
	struct rcpt rcpts[RCPTS_MAX];
	char text[ADDRESS_MAX];
	int64_t i = d->sent++;

	if (d->domains == 0) {
		put_message(d, (uint64_t)d->sent, i, d->rcpts, d->nrcpt);
		return;
	}
	rcpts[0] = d->rcpts[0];
	rcpts[0].addr = address_of(d->rcpts[0].addr, i, d->domains, text);
	put_message(d, (uint64_t)d->sent, i, rcpts, 1);
}

/* Of one message, which arrives nowhere. */
static void
send_beside(struct drive *d)
{
	int64_t i, most = d->beside_done + d->beside_in_flight;
	double run_s = seconds(CLOCK_MONOTONIC) - d->start_s;
	char text[ADDRESS_MAX];
	struct rcpt rcpt = { .addr = NULL };

	if (d->beside_rate > 0 && most > (int64_t)(run_s *
	    (double)d->beside_rate))
		most = (int64_t)(run_s * (double)d->beside_rate);
	while (d->beside_sent < most && d->done < d->count) {
		i = d->beside_sent++;
		rcpt.addr = address_of(d->beside, i, d->beside_domains, text);
		put_message(d, BESIDE_ID + (uint64_t)i, 0, &rcpt, 1);
	}
}

/* At fixed times, however late an answer is; those that are due by now. */
static void
send_by_rate(struct drive *d)
{
	double now_s = seconds(CLOCK_MONOTONIC), due_s;

	while (d->sent < d->count) {
		due_s = d->start_s + (double)d->sent / (double)d->rate;
		if (due_s > now_s) {
			timer_set(&d->next, 1);
			return;
		}
		d->latency_s[d->sent] = now_s;
		send_one(d);
	}
}

static void
on_send(void *arg)
{
	struct drive *d = arg;

	if (d->beside != NULL)
		send_beside(d);
	if (d->rate > 0) {
		send_by_rate(d);
		return;
	}
	while (d->sent < d->count && d->sent - d->done < d->in_flight)
		send_one(d);
}

static void
start_run(struct drive *d)
{
	d->is_started = true;
	d->idle = usage_now(d);
	if (d->want_memory)
		timer_set(&d->sample, SAMPLE_MS);
	d->driver_s = seconds(CLOCK_PROCESS_CPUTIME_ID);
	d->start_s = seconds(CLOCK_MONOTONIC);
	loop_later(d->loop, &d->send_later);
}

/* The run is over, and nothing else is under way. */
static void
stop_if_done(struct drive *d)
{
	if (d->hold_ms > 0)
		timer_set(&d->hold, d->hold_ms);
	else if (d->beside_done == d->beside_sent)
		loop_stop(d->loop, 0);
}

static void
end_run(struct drive *d)
{
	d->end_s = seconds(CLOCK_MONOTONIC);
	d->driver_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - d->driver_s;
	d->last = usage_now(d);
	timer_stop(&d->sample);
	stop_if_done(d);
}

static void
got_ready(struct drive *d, const struct frame *f)
{
	uint32_t window = 0;
	struct arena *arena = arena_new(256);
	const char *text;
	struct attr a;
	size_t at = 0;

	while (frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_WINDOW)
			attr_u32(&a, &window);
		else if (a.tag == ATTR_ERROR &&
		    (text = attr_text(&a, arena)) != NULL)
			warnx("%s", text);
	arena_free(arena);
	if (window == 0) {
		loop_stop(d->loop, EX_CONFIG);
		return;
	}
	if (d->in_flight > window)
		d->in_flight = window;
	if (d->beside_in_flight > window)
		errx(EX_USAGE, "--beside-in-flight: the window is %u", window);
	start_run(d);
}

static void
send_config(struct drive *d)
{
	struct buf *out = channel_out(d->channel);
	size_t start = buf_len(out);
	struct frame_out o;
	char *value;
	unsigned i;

	frame_begin(&o, out, FRAME_CONFIG, 0, 0);
	frame_put_text(&o, ATTR_RELAY, d->relay);
	for (i = 0; i < d->noptions; i++) {
		if ((value = strchr(d->options[i], '=')) == NULL)
			errx(EX_USAGE, "%s: not name=value", d->options[i]);
		frame_put(&o, ATTR_OPTION_NAME, d->options[i],
		    (size_t)(value - d->options[i]));
		frame_put_text(&o, ATTR_OPTION_VALUE, value + 1);
	}
	if (frame_end(&o) == -1)
		errx(EX_USAGE, "options do not fit into a frame");
	channel_queued(d->channel, start, -1);
}

static void
got_result(struct drive *d, const struct frame *f)
{
	struct arena *arena;
	const char *error;
	struct answer a;
	uint32_t index;

	if (frame_get_result(f, NULL, &index, &a, &error) == -1)
		errx(EX_PROTOCOL, "RESULT: %s", error);
	if (f->id >= BESIDE_ID) {
		d->beside_answers[a.reply.cls]++;
		return;
	}
	d->answers[a.reply.cls]++;
	if (a.reply.cls == REPLY_DELIVERED || d->is_complaining)
		return;
	d->is_complaining = true;	/* the first tells enough */
	arena = arena_new(1024);
	if (frame_get_result(f, arena, &index, &a, &error) == 0)
		warnx("message %ju: %u %s", (uintmax_t)f->id, a.reply.code,
		    a.reply.text);
	arena_free(arena);
}

static void
got_done(struct drive *d, const struct frame *f)
{
	if (f->id >= BESIDE_ID) {
		d->beside_done++;
		if (d->done == d->count)
			stop_if_done(d);
	} else {
		if (d->rate > 0)
			d->latency_s[f->id - 1] = seconds(CLOCK_MONOTONIC) -
			    d->latency_s[f->id - 1];
		if (++d->done == d->count)
			end_run(d);
	}
	if (d->done < d->count)
		loop_later(d->loop, &d->send_later);
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct drive *d = arg;

	(void)bytes;
	if (fd != -1)
		close(fd);
	if (f->type == FRAME_HELO && d->agent != NULL)
		send_config(d);
	else if (f->type == FRAME_READY && !d->is_started)
		got_ready(d, f);
	else if (f->type == FRAME_RESULT)
		got_result(d, f);
	else if (f->type == FRAME_DONE)
		got_done(d, f);
}

static void
on_closed(void *arg, const char *error)
{
	struct drive *d = arg;

	warnx("the other side is gone: %s",
	    error == NULL ? "it closed" : error);
	loop_stop(d->loop, EX_UNAVAILABLE);
}

/* ---- the other side ---- */

/* As nexthop-master does: the socket is descriptor 3. */
static int
start_agent(struct drive *d)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == -1)
		err(EX_OSERR, "socketpair");
	if ((d->child = fork()) == -1)
		err(EX_OSERR, "fork");
	if (d->child == 0) {
		if (s[1] == 3 ? fcntl(3, F_SETFD, 0) == -1 :
		    dup2(s[1], 3) == -1)
			err(EX_OSERR, "dup2");
		closefrom(4);
		setenv(CHANNEL_ENV, "3", 1);
		execvp(d->agent[0], d->agent);
		err(EX_UNAVAILABLE, "%s", d->agent[0]);
	}
	close(s[1]);
	d->pid = d->child;
	return s[0];
}

static int
connect_master(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path))
		errx(EX_USAGE, "%s: too long", path);
	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		err(EX_UNAVAILABLE, "%s", path);
	return fd;
}

/* Let the agent end in order, but not for long; its exit status. */
static int
end_agent(struct drive *d)
{
	struct rusage ru;
	int i, status = 0;
	pid_t pid = 0;

	if (channel_fd(d->channel) != -1) {
		frame_put_bare(channel_out(d->channel), FRAME_DRAIN, 0);
		channel_queued(d->channel, 0, -1);
		channel_flush(d->channel);
	}
	for (i = 0; i < 500 && pid == 0; i++) {
		pid = wait4(d->child, &status, WNOHANG, &ru);
		if (pid == 0)
			usleep(10000);
	}
	if (pid == 0) {
		warnx("the agent does not end");
		kill(d->child, SIGKILL);
		wait4(d->child, &status, 0, &ru);
	}
	d->life.user_s = (double)ru.ru_utime.tv_sec +
	    (double)ru.ru_utime.tv_usec / 1e6;
	d->life.sys_s = (double)ru.ru_stime.tv_sec +
	    (double)ru.ru_stime.tv_usec / 1e6;
	d->life.cpu_s = d->life.user_s + d->life.sys_s;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

/* ---- the report ---- */

static void
per_message(const struct drive *d, const char *name, double s)
{
	printf("%s %.2f us\n", name, s * 1e6 / (double)d->count);
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Without the first tenth, for whom connections had to be opened. */
static void
report_latency(const struct drive *d)
{
	size_t skip = (size_t)d->count / 10, n = (size_t)d->count - skip;
	double *s = d->latency_s + skip;

	qsort(s, n, sizeof(*s), by_size);
	printf("latency_p50 %.3f ms\n", s[n / 2] * 1e3);
	printf("latency_p99 %.3f ms\n", s[n * 99 / 100] * 1e3);
	printf("latency_max %.3f ms\n", s[n - 1] * 1e3);
}

static void
report_beside(const struct drive *d)
{
	printf("beside_sent %jd messages\n", (intmax_t)d->beside_sent);
	printf("beside_lost %jd messages\n", (intmax_t)(d->beside_sent -
	    d->beside_done));
	printf("beside_delivered %ju messages\n",
	    (uintmax_t)d->beside_answers[REPLY_DELIVERED]);
}

static void
report(const struct drive *d)
{
	int i;

	printf("sent %jd messages\n", (intmax_t)d->sent);
	printf("lost %jd messages\n", (intmax_t)(d->sent - d->done));
	for (i = REPLY_DELIVERED; i <= REPLY_PERMANENT; i++)
		printf("%s %ju recipients\n", reply_class_name(i),
		    (uintmax_t)d->answers[i]);
	if (d->done < d->count)
		return;
	printf("seconds %.3f s\n", d->end_s - d->start_s);
	if (d->rate > 0)
		report_latency(d);
	if (d->beside != NULL)
		report_beside(d);
	printf("msgs_per_s %.0f 1/s\n",
	    (double)d->count / (d->end_s - d->start_s));
	per_message(d, "driver_cpu_us_per_msg", d->driver_s);
	per_message(d, "agent_cpu_us_per_msg", d->last.cpu_s - d->idle.cpu_s);
	if (d->child != 0) {
		per_message(d, "agent_life_us_per_msg", d->life.cpu_s);
		per_message(d, "agent_life_user_us_per_msg", d->life.user_s);
		per_message(d, "agent_life_sys_us_per_msg", d->life.sys_s);
	} else {
		per_message(d, "agent_user_us_per_msg",
		    d->last.user_s - d->idle.user_s);
		per_message(d, "agent_sys_us_per_msg",
		    d->last.sys_s - d->idle.sys_s);
	}
	if (!d->want_memory)
		return;
	printf("pss_idle_kib %ld KiB\n", d->idle.pss_kib);
	printf("pss_peak_kib %ld KiB\n", d->pss_peak_kib);
	printf("private_idle_kib %ld KiB\n", d->idle.private_kib);
	printf("private_peak_kib %ld KiB\n", d->private_peak_kib);
	printf("rss_idle_kib %ld KiB\n", d->idle.rss_kib);
	printf("rss_peak_kib %ld KiB\n", d->last.rss_peak_kib);
	if (d->hold_ms > 0) {
		printf("pss_held_kib %ld KiB\n", d->held.pss_kib);
		printf("rss_held_kib %ld KiB\n", d->held.rss_kib);
	}
}

/* ---- the command line ---- */

static void
usage(void)
{
	fputs("usage: drive [option...] [--option=NAME=VALUE...] AGENT "
	    "[ARG...]\n"
	    "       drive [option...] --socket=PATH [--pid=PID]\n"
	    "  --count=N       messages (10000)\n"
	    "  --in-flight=N   of them without an answer (40)\n"
	    "  --size=BYTES    each; else 1, 2, 3, 4 KiB in turn\n"
	    "  --inline        bodies in the frame, not by descriptor\n"
	    "  --vouch         say that the bodies have their wire form\n"
	    "  --memory        watch the memory too\n"
	    "  --hold=MS       then keep all open and look at it again\n"
	    "  --timeout=MS    for all (120000)\n"
	    "  --relay=NAME    (bench)\n"
	    "  --from=ADDRESS  --to=ADDRESS...\n"
	    "  --domains=N     a % in the one --to: 0 to N-1, in turn\n"
	    "  --rate=N        so many messages a second, whatever is without "
	    "an answer\n"
	    "  --beside=ADDRESS --beside-domains=N --beside-in-flight=N\n"
	    "                  the first message to there as well, all the "
	    "while,\n"
	    "  --beside-rate=N so many a second at most\n", stderr);
	exit(EX_USAGE);
}

static int64_t
number(const char *text, int64_t min, int64_t max)
{
	int64_t n;

	if (str_to_int64(text, min, max, &n) == -1)
		errx(EX_USAGE, "%s: not %jd to %jd", text, (intmax_t)min,
		    (intmax_t)max);
	return n;
}

static void
take_option(struct drive *d, int c, char *arg)
{
	switch (c) {
	case 'n': d->count = number(arg, 1, 100000000); break;
	case 'f': d->in_flight = number(arg, 1, FRAME_WINDOW_MAX); break;
	case 's': d->size = number(arg, 512, 1 << 30); break;
	case 'i': d->is_inline = true; break;
	case 'v': d->is_vouched = true; break;
	case 'm': d->want_memory = true; break;
	case 'h': d->hold_ms = number(arg, 0, 3600000); break;
	case 't': d->timeout_ms = number(arg, 1, 3600000); break;
	case 'u': d->socket = arg; break;
	case 'r': d->relay = arg; break;
	case 'F': d->sender = arg; break;
	case 'P': d->pid = (pid_t)number(arg, 1, INT32_MAX); break;
	case 'D': d->domains = number(arg, 1, INT32_MAX); break;
	case 'R': d->rate = number(arg, 1, 1000000); break;
	case 'b': d->beside = arg; break;
	case 'B': d->beside_domains = number(arg, 1, INT32_MAX); break;
	case 'S': d->beside_rate = number(arg, 1, 1000000); break;
	case 'I':
		d->beside_in_flight = number(arg, 1, FRAME_WINDOW_MAX);
		break;
	case 'T':
		if (d->nrcpt == RCPTS_MAX)
			usage();
		d->rcpts[d->nrcpt++].addr = arg;
		break;
	case 'o':
		if (d->noptions == OPTIONS_MAX)
			usage();
		d->options[d->noptions++] = arg;
		break;
	default: usage();
	}
}

static void
take_options(struct drive *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", 1, NULL, 'n' }, { "in-flight", 1, NULL, 'f' },
		{ "size", 1, NULL, 's' }, { "inline", 0, NULL, 'i' },
		{ "vouch", 0, NULL, 'v' },
		{ "memory", 0, NULL, 'm' }, { "hold", 1, NULL, 'h' },
		{ "timeout", 1, NULL, 't' }, { "socket", 1, NULL, 'u' },
		{ "relay", 1, NULL, 'r' }, { "from", 1, NULL, 'F' },
		{ "to", 1, NULL, 'T' }, { "pid", 1, NULL, 'P' },
		{ "domains", 1, NULL, 'D' }, { "rate", 1, NULL, 'R' },
		{ "beside", 1, NULL, 'b' },
		{ "beside-domains", 1, NULL, 'B' },
		{ "beside-in-flight", 1, NULL, 'I' },
		{ "beside-rate", 1, NULL, 'S' },
		{ "option", 1, NULL, 'o' }, { NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1)
		take_option(d, c, optarg);
	if ((optind < argc) == (d->socket != NULL))
		usage();
	if (optind < argc)
		d->agent = argv + optind;
	if (d->nrcpt == 0)
		d->rcpts[d->nrcpt++].addr = "b@dst.example";
	if (d->domains > 0 && d->nrcpt > 1)
		usage();
	if (d->beside_rate > 0 && d->rate == 0)
		usage();		/* its timer is needed */
	if (d->rate > 0)
		d->latency_s = xcalloc((size_t)d->count,
		    sizeof(*d->latency_s));
}

int
main(int argc, char **argv)
{
	static const struct channel_ops ops = { on_frame, on_closed, NULL };
	struct drive d = {
		.relay = "bench", .sender = "a@src.example", .count = 10000,
		.in_flight = 40, .timeout_ms = 120000,
		.beside_in_flight = 1, .beside_domains = 1,
	};
	int status, ended = 0;

	take_options(&d, argc, argv);
	raise_files_limit();
	signal(SIGPIPE, SIG_IGN);
	messages_make(&d.messages, d.count, d.size);
	d.loop = loop_new();
	later_init(&d.send_later, on_send, &d);
	timer_init(&d.limit, d.loop, on_limit, &d);
	timer_init(&d.sample, d.loop, on_sample, &d);
	timer_init(&d.hold, d.loop, on_hold, &d);
	timer_init(&d.next, d.loop, on_send, &d);
	timer_set(&d.limit, d.timeout_ms);
	d.channel = channel_new(d.loop, d.agent != NULL ? start_agent(&d) :
	    connect_master(d.socket), OUT_BYTES_MAX, &ops, &d);
	status = loop_run(d.loop);
	if (d.child != 0)
		ended = end_agent(&d);
	report(&d);
	if (status == 0 && ended != 0)
		warnx("the agent ended with status %d", ended);
	return status != 0 ? status : ended;
}
