/*
 * child.c - one agent process: started, asked HELO, configured, ready, drained
 * or dead.  What its deliveries are is dispatch.c's business.
 *
 * Its end has two signs, the closed socket and the exit status, in any order;
 * gone() is called when both are there, and by then all it wrote was handed
 * out.  A child that does not follow is killed.
 *
 * LONG: one state machine from the start of a process to its end
 */
#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/mem.h"
#include "net/share.h"
#include "base/str.h"

#define STATS_MAX	(256 * 1024)
#define LAST_WORDS_MS	1000	/* between the two signs of its end */
#define RESTART_FIRST_MS	1000
#define LONG_LIFE_MS		60000	/* forgives earlier deaths */
#define USEFUL_LIFE_MS		10000	/* the same, with deliveries */

static void	on_timer(void *);
static void	on_finish(void *);
static void	on_ended(void *, int);

static const char *const state_names[] = {
	[CHILD_DOWN] = "down",
	[CHILD_HELO] = "starting",
	[CHILD_CONFIG] = "starting",
	[CHILD_READY] = "ready",
	[CHILD_DRAINING] = "draining",
	[CHILD_ENDING] = "ending",
};

const char *
child_state_name(const struct child *c)
{
	return state_names[c->state];
}

bool
child_is_alive(const struct child *c)
{
	return c->state != CHILD_DOWN;
}

void
child_init(struct child *c, struct generation *gen)
{
	memset(c, 0, sizeof(*c));
	c->gen = gen;
	c->process.ended = on_ended;
	c->process.arg = c;
	timer_init(&c->timer, gen->loop, on_timer, c);
	later_init(&c->finish_later, on_finish, c);
	buf_init(&c->stats, STATS_MAX);
	buf_init(&c->effective, FRAME_BYTES_MAX);
}

static void
close_channel(struct child *c)
{
	if (c->channel != NULL && c->gen->ops->closing != NULL)
		c->gen->ops->closing(c);
	channel_free(c->channel);
	c->channel = NULL;
}

/* What belongs to one process of this child. */
static void
forget_process(struct child *c)
{
	close_channel(c);
	free(c->why);
	free(c->agent);
	free(c->program);
	c->why = c->agent = c->program = NULL;
	free(c->slots);
	c->slots = NULL;
	c->nslots = c->slots_size = c->open = c->owed = c->window = 0;
	c->may_forward = c->takes_log = false;
	c->free_slot = SLOT_NONE;
	buf_clear(&c->stats);
	buf_clear(&c->effective);
}

void
child_clear(struct child *c)
{
	timer_clear(&c->timer);
	loop_forget(c->gen->loop, &c->finish_later);
	child_signal(c, SIGKILL);
	if (c->process.pid != 0)
		LIST_REMOVE(&c->process, next);
	c->process.pid = 0;
	forget_process(c);
}

/* To SIGKILL the programs that the agent started belong as well. */
void
child_signal(struct child *c, int sig)
{
	if (c->process.pid != 0)
		kill(sig == SIGKILL ? -c->process.pid : c->process.pid, sig);
}

/* ---- the end ---- */

static void
set_why(struct child *c, const char *fmt, va_list ap)
{
	if (c->why == NULL && vasprintf(&c->why, fmt, ap) == -1)
		c->why = NULL;
}

/* Kill it, for this reason. */
static void __attribute__((format(printf, 2, 3)))
child_condemn(struct child *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_why(c, fmt, ap);
	va_end(ap);
	c->state = CHILD_ENDING;
	close_channel(c);
	child_signal(c, SIGKILL);
	if (c->is_reaped)
		loop_later(c->gen->loop, &c->finish_later);
}

void
child_break(struct child *c, const char *fmt, ...)
{
	va_list ap;

	if (c->channel == NULL)
		return;
	va_start(ap, fmt);
	set_why(c, fmt, ap);
	va_end(ap);
	c->is_broken = true;
	child_condemn(c, "%s", c->why);
}

static void
on_finish(void *arg)
{
	struct child *c = arg;
	char text[128];

	timer_stop(&c->timer);
	c->state = CHILD_DOWN;
	if (c->gen->share != NULL)
		share_clear(c->gen->share,
		    (unsigned)(c - c->gen->children));
	wait_status_text(c->wait_status, text, sizeof(text));
	c->gen->ops->gone(c, c->why != NULL ? c->why : text);
}

/* One of the two signs came. */
static void
check_finished(struct child *c)
{
	c->state = CHILD_ENDING;
	if (c->is_reaped && c->channel == NULL)
		loop_later(c->gen->loop, &c->finish_later);
	else
		timer_set(&c->timer, LAST_WORDS_MS);
}

static void
on_ended(void *arg, int status)
{
	struct child *c = arg;

	c->is_reaped = true;
	c->wait_status = status;
	check_finished(c);
}

static void
on_closed(void *arg, const char *error)
{
	struct child *c = arg;

	close_channel(c);
	if (error != NULL) {
		c->is_broken = true;
		child_condemn(c, "%s", error);
	} else
		check_finished(c);
}

static void
on_drained(void *arg)
{
	struct child *c = arg;

	if (c->state == CHILD_READY || c->state == CHILD_DRAINING)
		c->gen->ops->drained(c);
}

static void
on_timer(void *arg)
{
	struct child *c = arg;

	switch (c->state) {
	case CHILD_DOWN:
		child_start(c);
		break;
	case CHILD_HELO:
	case CHILD_CONFIG:
		child_condemn(c, "not ready after %d seconds",
		    START_LIMIT_MS / 1000);
		break;
	case CHILD_DRAINING:
		child_signal(c, SIGTERM);
		/* Its state stays: what it still says counts. */
		if (c->why == NULL)
			c->why = xstrdup("took too long to stop");
		else
			child_signal(c, SIGKILL);
		timer_set(&c->timer, KILL_AFTER_MS);
		break;
	case CHILD_ENDING:
		if (c->is_reaped) {
			close_channel(c);
			check_finished(c);
		} else {
			child_signal(c, SIGKILL);
			timer_set(&c->timer, LAST_WORDS_MS);
		}
		break;
	case CHILD_READY:
		break;
	}
}

/* ---- the pause before the next start ---- */

int64_t
child_next_delay(struct child *c)
{
	int64_t lived = loop_now_ms(c->gen->loop) - c->started_ms;
	int64_t max = c->gen->conf->rows->restart_delay_max_ms;

	if (lived > LONG_LIFE_MS || (c->has_delivered &&
	    lived > USEFUL_LIFE_MS) || c->delay_ms == 0)
		c->delay_ms = RESTART_FIRST_MS;
	else
		c->delay_ms *= 2;
	if (c->delay_ms > max)
		c->delay_ms = max;
	return c->delay_ms;
}

/* ---- HELO, LISTEN and CONFIG ---- */

static void
set_text(char **to, const struct attr *a)
{
	char text[256];

	str_escape(text, sizeof(text), a->data, a->len);
	free(*to);
	*to = xstrdup(text);
}

/* The sockets it shall listen on; -1: it cannot have them. */
static int
send_sockets(struct child *c)
{
	struct buf *out = channel_out(c->channel);
	struct listen_socket *s;
	size_t i, start;
	int fd;

	for (i = 0; i < c->gen->nsockets; i++) {
		s = c->gen->sockets[i];
		start = buf_len(out);
		if ((fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3)) == -1) {
			child_condemn(c, "socket %s: %s", s->address,
			    strerror(errno));
			return -1;
		}
		if (frame_put_listen(out, s->address) == -1) {
			close(fd);
			child_condemn(c, "too many sockets");
			return -1;
		}
		channel_queued(c->channel, start, fd);
	}
	return 0;
}

/* The log file, if there is one: a copy of the descriptor for it. */
static void
give_log(struct child *c)
{
	struct buf *out = channel_out(c->channel);
	size_t start = buf_len(out);
	struct frame_out o;
	int fd;

	if (!c->takes_log || log_file() == -1 ||
	    (fd = fcntl(log_file(), F_DUPFD_CLOEXEC, 3)) == -1)
		return;
	frame_begin(&o, out, FRAME_LOG, 0, FRAME_HAS_FD);
	if (frame_end(&o) == 0)
		channel_queued(c->channel, start, fd);
	else
		close(fd);
}

static void
give_log_again(struct process *p)
{
	struct child *c = p->arg;

	if (p->ended == on_ended && c->channel != NULL &&
	    c->state != CHILD_HELO)
		give_log(c);
}

void
child_give_log_to_all(struct reaper *reaper)
{
	reaper_each(reaper, give_log_again);
}

static void
send_config(struct child *c)
{
	const struct relay_conf *r = c->gen->conf;
	struct buf *out = channel_out(c->channel);
	size_t i, start;
	struct frame_out o;

	give_log(c);
	start = buf_len(out);
	frame_begin(&o, out, FRAME_CONFIG, 0, 0);
	frame_put_text(&o, ATTR_RELAY, r->name);
	for (i = 0; i < r->noptions; i++) {
		frame_put_text(&o, ATTR_OPTION_NAME, r->options[i].name);
		frame_put_text(&o, ATTR_OPTION_VALUE, r->options[i].value);
	}
	if (c->gen->want_options)
		frame_put(&o, ATTR_WANT_OPTIONS, "", 0);
	if (frame_end(&o) == -1)
		child_condemn(c, "the options are too long for a frame");
	else {
		channel_queued(c->channel, start, -1);
		c->state = CHILD_CONFIG;
	}
}

static void
take_helo(struct child *c, const struct frame *f)
{
	uint8_t min = 0, max = 0;
	struct attr a;
	size_t at = 0;
	int n;

	if (f->type != FRAME_HELO) {
		child_break(c, "%s frame instead of HELO",
		    frame_type_name(f->type));
		return;
	}
	while ((n = frame_next(f, &at, &a)) == 1) {
		if (a.tag == ATTR_VERSION_MIN)
			n = attr_u8(&a, &min);
		else if (a.tag == ATTR_VERSION_MAX)
			n = attr_u8(&a, &max);
		else if (a.tag == ATTR_AGENT)
			set_text(&c->agent, &a);
		else if (a.tag == ATTR_PROGRAM)
			set_text(&c->program, &a);
		else if (a.tag == ATTR_TAKES_LOG)
			c->takes_log = true;
		else if ((a.tag & ATTR_SKIPPABLE) == 0)
			n = -1;
		if (n == -1)
			break;
	}
	if (n != 0)
		child_break(c, "malformed HELO");
	else if (min > FRAME_VERSION || max < FRAME_VERSION)
		child_break(c, "speaks versions %u to %u of the frames, "
		    "not %d", min, max, FRAME_VERSION);
	else if (send_sockets(c) == 0)
		send_config(c);
}

/* ---- READY ---- */

static void
keep_effective(struct child *c, const struct attr *a)
{
	uint8_t head[FRAME_ATTR_BYTES];

	put_be16(head, a->tag);
	put_be32(head + 2, a->len);
	buf_add(&c->effective, head, sizeof(head));
	buf_add(&c->effective, a->data, a->len);
}

static void
report_error(struct child *c, int64_t index, const struct attr *a)
{
	char text[1024];

	str_escape(text, sizeof(text), a->data, a->len);
	c->is_refused = true;
	c->gen->ops->refused(c, index, text);
}

/* One attribute of READY; -1 where it cannot stand there. */
static int
take_ready_attr(struct child *c, const struct attr *a, int64_t *index)
{
	uint32_t n;

	switch (a->tag) {
	case ATTR_WINDOW:
		return attr_u32(a, &c->window);
	case ATTR_FORWARDS:
		c->may_forward = true;
		return a->len == 0 ? 0 : -1;
	case ATTR_OPTION_INDEX:
		if (attr_u32(a, &n) == -1)
			return -1;
		*index = n;
		return 0;
	case ATTR_ERROR:
		report_error(c, *index, a);
		*index = -1;
		return 0;
	case ATTR_OPTION_NAME:
	case ATTR_OPTION_VALUE:
	case ATTR_WARNING:
		keep_effective(c, a);
		return 0;
	default:
		return (a->tag & ATTR_SKIPPABLE) != 0 ? 0 : -1;
	}
}

bool
child_event(struct event_line *e, enum event_name name, const struct child *c)
{
	const struct relay_conf *conf = c->gen->conf;

	if (!event_begin(e, name, NULL))
		return false;
	if (conf->kind == CONF_INTAKE)
		event_text(e, "intake", conf->name);
	else if (conf->kind == CONF_RELAY)
		event_text(e, "relay", conf->name);
	event_text(e, "agent", conf->program);
	return true;
}

void
child_tell_ready(const struct child *c)
{
	struct event_line e;

	if (!child_event(&e, EVENT_AGENT_READY, c))
		return;
	event_int(&e, "agent_pid", c->process.pid);
	event_end(&e);
}

static void
become_ready(struct child *c)
{
	if (c->window > FRAME_WINDOW_MAX)
		c->window = FRAME_WINDOW_MAX;
	c->state = CHILD_READY;
	c->was_ready = true;
	timer_stop(&c->timer);
	c->gen->ops->ready(c);
	if (c->gen->is_draining)
		child_drain(c, c->gen->drain_limit_ms);
}

static void
take_ready(struct child *c, const struct frame *f)
{
	int64_t index = -1;
	struct attr a;
	size_t at = 0;
	int n;

	if (f->type != FRAME_READY) {
		child_break(c, "%s frame instead of READY",
		    frame_type_name(f->type));
		return;
	}
	while ((n = frame_next(f, &at, &a)) == 1)
		if (take_ready_attr(c, &a, &index) == -1)
			break;
	if (n != 0)
		child_break(c, "malformed READY");
	else if (c->is_refused) {
		/* It exits by itself; the timer sees to that. */
		c->state = CHILD_ENDING;
		timer_set(&c->timer, LAST_WORDS_MS);
	} else if (c->window == 0 && c->gen->conf->kind == CONF_RELAY)
		child_break(c, "READY without a window");
	else
		become_ready(c);
}

/* ---- frames ---- */

static void
take_stats(struct child *c, const struct frame *f)
{
	buf_clear(&c->stats);
	buf_add(&c->stats, f->attrs, f->attrs_len);
}

static void
take_frame(struct child *c, const struct frame *f, const void *bytes, int fd)
{
	bool is_door = c->gen->ops->asked != NULL;

	switch (f->type) {
	case FRAME_DELIVER:
	case FRAME_CANCEL:
	case FRAME_COMMAND:
		if (is_door)
			c->gen->ops->asked(c, f, bytes, fd);
		else
			child_break(c, "unexpected %s frame",
			    frame_type_name(f->type));
		break;
	case FRAME_STAGE:
	case FRAME_RESULT:
	case FRAME_DONE:
	case FRAME_FORWARD:
		c->gen->ops->frame(c, f, bytes);
		break;
	case FRAME_STATS:
		take_stats(c, f);
		break;
	default:
		child_break(c, "unexpected %s frame", frame_type_name(f->type));
		break;
	}
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct child *c = arg;

	if (fd != -1 && (f->type != FRAME_DELIVER || !c->was_ready ||
	    c->gen->ops->asked == NULL)) {
		close(fd);
		child_break(c, "%s frame with a descriptor",
		    frame_type_name(f->type));
	} else if (c->state == CHILD_HELO)
		take_helo(c, f);
	else if (c->state == CHILD_CONFIG)
		take_ready(c, f);
	else if (c->was_ready)
		take_frame(c, f, bytes, fd);
}

/* ---- the start ---- */

static const struct channel_ops channel_ops = {
	on_frame, on_closed, on_drained
};

void
child_start(struct child *c)
{
	const struct relay_conf *r = c->gen->conf;
	struct spawn_share share = { c->gen->share_fd,
	    (unsigned)(c - c->gen->children) };
	char error[512];
	int fd;

	forget_process(c);
	c->is_reaped = c->was_ready = c->is_refused = c->is_broken = false;
	c->has_delivered = false;
	c->wait_status = 0;
	c->started_ms = loop_now_ms(c->gen->loop);
	fd = spawn(c->gen->reaper, &c->process, r->program, &r->identity,
	    &share, error, sizeof(error));
	if (fd == -1) {
		c->why = xasprintf("%s: %s", r->program, error);
		c->is_reaped = true;
		c->state = CHILD_ENDING;
		loop_later(c->gen->loop, &c->finish_later);
		return;
	}
	c->channel = channel_new(c->gen->loop, fd, r->kind == CONF_RELAY ?
	    CHILD_OUT_MAX : SUBMIT_OUT_MAX, &channel_ops, c);
	c->state = CHILD_HELO;
	timer_set(&c->timer, START_LIMIT_MS);
}

void
child_start_after(struct child *c, int64_t delay_ms)
{
	timer_set(&c->timer, delay_ms);
}

/* Its timer is due by then; 0: whenever it was. */
static void
hasten(struct child *c, int64_t limit_ms)
{
	if (limit_ms > 0 && (c->timer.due_ms == 0 ||
	    loop_now_ms(c->gen->loop) + limit_ms < c->timer.due_ms))
		timer_set(&c->timer, limit_ms);
}

void
child_drain(struct child *c, int64_t limit_ms)
{
	struct buf *out;
	size_t start;

	switch (c->state) {
	case CHILD_DOWN:
		timer_stop(&c->timer);
		break;
	case CHILD_CONFIG:
		/* A door may have clients by now, though its READY is still on
		 * the way. */
		if (c->gen->ops->asked != NULL) {
			hasten(c, limit_ms);
			break;
		}
		/* FALLTHROUGH */
	case CHILD_HELO:
		child_condemn(c, "no longer needed");
		break;
	case CHILD_READY:
		out = channel_out(c->channel);
		start = buf_len(out);
		if (frame_put_bare(out, FRAME_DRAIN, 0) == 0)
			channel_queued(c->channel, start, -1);
		c->state = CHILD_DRAINING;
		/* FALLTHROUGH */
	case CHILD_DRAINING:
		hasten(c, limit_ms);
		break;
	case CHILD_ENDING:
		break;
	}
}
