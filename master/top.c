/*
 * top.c - `nexthop top`: the status again and again, as a picture on a
 * terminal or as text.  One connection to the control socket; where it is lost
 * a terminal waits for the next master.
 */
#include "master.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "top.h"

#define STATUS_MAX	(64 * 1024 * 1024)
#define RETRY_MS	1000
#define SLOW_MS		3000		/* without an answer it is told */

struct top {
	const char	*path;		/* of the control socket */
	struct loop	*loop;
	struct channel	*channel;	/* NULL: no connection */
	struct buf	 coming;	/* the status */
	int64_t		 asked_ms;	/* 0 = not */
	struct top_model now, was;
	struct top_look	 look;
	int64_t		 interval_ms;
	int64_t		 count;		/* pictures to come; -1: no end */
	struct timer	 tick;
	struct event	 ev_key, ev_signal[6];
	char		 trouble[256];
	int		 status;
	bool		 has_shown;
	bool		 is_over;
};

static void	ask(struct top *);

static void
end(struct top *t, int status)
{
	t->status = status;
	t->is_over = true;
}

/* ---- the picture ---- */

static void
show(struct top *t)
{
	struct buf b;

	if (t->now.taken_ms == 0 && *t->trouble == '\0')
		return;
	buf_init(&b, STATUS_MAX);
	if (t->has_shown && !t->look.is_terminal)
		buf_puts(&b, "\n");
	t->has_shown = true;
	t->look.now_s = clock_wall_ms() / 1000;
	t->look.trouble = *t->trouble != '\0' ? t->trouble : NULL;
	if (t->look.is_terminal)
		top_terminal_size(&t->look.width, &t->look.height);
	top_screen(&b, &t->now, &t->look);
	if (top_terminal_show(&b) == -1) {
		warn("writing to stdout");
		end(t, EX_IOERR);
	}
	buf_clear(&b);
}

/* The first status has no rates: text waits for the second. */
static void
take_status(struct top *t)
{
	struct top_model fresh;
	bool is_first = t->now.taken_ms == 0;

	if (top_model_read(&fresh, buf_data(&t->coming),
	    buf_len(&t->coming), loop_now_ms(t->loop)) == -1) {
		strlcpy(t->trouble, "the master's status cannot be read",
		    sizeof(t->trouble));
		if (!t->look.is_terminal) {
			warnx("%s", t->trouble);
			end(t, EX_PROTOCOL);
		}
		return;
	}
	*t->trouble = '\0';
	if (t->look.is_paused) {
		top_model_clear(&fresh);
		return;
	}
	top_model_clear(&t->was);
	t->was = t->now;
	t->now = fresh;
	top_model_compare(&t->now, &t->was);
	if (t->look.is_terminal || !is_first)
		show(t);
	if ((t->look.is_terminal || !is_first) && t->count > 0 &&
	    --t->count == 0 && !t->is_over)
		end(t, EX_OK);
}

/* ---- the master ---- */

static void
lose(struct top *t, const char *why)
{
	channel_free(t->channel);
	t->channel = NULL;
	t->asked_ms = 0;
	snprintf(t->trouble, sizeof(t->trouble), "%s%s%s",
	    "no nexthop-master answers", *why != '\0' ? ": " : "", why);
	if (t->look.is_terminal)
		show(t);
	else {
		warnx("%s: %s", t->path, t->trouble);
		end(t, EX_UNAVAILABLE);
	}
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct top *t = arg;
	struct attr a;
	size_t at = 0;

	(void)bytes;
	if (fd != -1)
		close(fd);
	if (f->type == FRAME_EXIT) {
		t->asked_ms = 0;
		take_status(t);
		buf_clear(&t->coming);
	} else if (f->type == FRAME_OUTPUT)
		while (frame_next(f, &at, &a) == 1)
			if (a.tag == ATTR_TEXT &&
			    buf_add(&t->coming, a.data, a.len) == -1) {
				lose(t, "its status is too long");
				return;
			}
}

static void
on_closed(void *arg, const char *error)
{
	lose(arg, error != NULL ? error : "");
}

static const struct channel_ops channel_ops = { on_frame, on_closed, NULL };

static int
reach(struct top *t)
{
	int fd = operator_connect(t->path);

	if (fd == -1)
		return -1;
	buf_clear(&t->coming);
	t->channel = channel_new(t->loop, fd, FRAME_BYTES_MAX, &channel_ops,
	    t);
	return 0;
}

static void
ask(struct top *t)
{
	int64_t now = loop_now_ms(t->loop);
	struct frame_out o;
	size_t start;

	if (t->channel == NULL && reach(t) == -1) {
		lose(t, strerror(errno));
		return;
	}
	if (t->asked_ms != 0) {
		if (now - t->asked_ms > SLOW_MS) {
			snprintf(t->trouble, sizeof(t->trouble),
			    "no answer for %jd s",
			    (intmax_t)(now - t->asked_ms) / 1000);
			if (t->look.is_terminal)
				show(t);
		}
		return;
	}
	t->asked_ms = now;
	start = buf_len(channel_out(t->channel));
	frame_begin(&o, channel_out(t->channel), FRAME_COMMAND, 0, 0);
	frame_put_text(&o, ATTR_COMMAND, "status");
	frame_put_text(&o, ATTR_ARGUMENT, "--output=json");
	if (frame_end(&o) == 0)
		channel_queued(t->channel, start, -1);
}

static void
on_tick(void *arg)
{
	struct top *t = arg;

	timer_set(&t->tick, t->channel == NULL && t->interval_ms > RETRY_MS ?
	    RETRY_MS : t->interval_ms);
	ask(t);
}

/* ---- keys ---- */

static void
set_view(struct top *t, enum top_view view)
{
	t->look.view = view;
	t->look.first = 0;
}

static void
scroll(struct top *t, int by)
{
	int first = (int)t->look.first + by;

	t->look.first = first > 0 ? (unsigned)first : 0;
}

static void
on_one_key(struct top *t, char key)
{
	switch (key) {
	case 'q':
		end(t, EX_OK);
		return;
	case 'p':
		t->look.is_paused = !t->look.is_paused;
		break;
	case 's':
		t->look.sort = (t->look.sort + 1) % TOP_SORTS;
		break;
	case 'r':
		set_view(t, TOP_RELAYS);
		break;
	case 'd':
		set_view(t, TOP_DESTINATIONS);
		break;
	case 'e':
		set_view(t, TOP_ERRORS);
		break;
	case 'j':
		scroll(t, 1);
		break;
	case 'k':
		scroll(t, -1);
		break;
	case '\f':			/* as in a shell: all anew */
		top_terminal_give_back();
		top_terminal_take();
		break;
	default:
		return;
	}
	show(t);
}

/* Arrows are three bytes, which come together; of other keys of that kind the
 * rest is nothing we know. */
static void
on_key(evutil_socket_t fd, short what, void *arg)
{
	struct top *t = arg;
	char keys[64];
	ssize_t n = read(fd, keys, sizeof(keys)), i;

	(void)what;
	if (n == 0 || (n == -1 && errno != EINTR && errno != EAGAIN)) {
		end(t, EX_OK);		/* the terminal is gone */
		return;
	}
	for (i = 0; i < n && !t->is_over; i++)
		if (keys[i] != '\033')
			on_one_key(t, keys[i]);
		else if (i + 2 < n && (keys[i + 1] == '[' ||
		    keys[i + 1] == 'O')) {
			i += 2;
			if (keys[i] == 'A' || keys[i] == 'B')
				on_one_key(t, keys[i] == 'A' ? 'k' : 'j');
		} else
			break;
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct top *t = arg;

	(void)what;
	switch ((int)sig) {
	case SIGWINCH:
		show(t);
		break;
	case SIGTSTP:
		top_terminal_give_back();
		raise(SIGSTOP);
		break;
	case SIGCONT:
		top_terminal_take();
		show(t);
		break;
	case SIGINT:			/* as it is ended by most */
		end(t, EX_OK);
		break;
	default:
		end(t, 128 + (int)sig);
		break;
	}
}

static void
watch_terminal(struct top *t)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH,
	    SIGTSTP, SIGCONT };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		event_assign(&t->ev_signal[i], loop_base(t->loop), signals[i],
		    EV_SIGNAL | EV_PERSIST, on_signal, t);
		event_add(&t->ev_signal[i], NULL);
	}
	event_assign(&t->ev_key, loop_base(t->loop), STDIN_FILENO,
	    EV_READ | EV_PERSIST, on_key, t);
	event_add(&t->ev_key, NULL);
}

static void
unwatch_terminal(struct top *t)
{
	size_t i;

	for (i = 0; i < sizeof(t->ev_signal) / sizeof(t->ev_signal[0]); i++)
		event_del(&t->ev_signal[i]);
	event_del(&t->ev_key);
}

/* ---- the whole ---- */

int
top_run(const char *path, int64_t interval_ms, int64_t count)
{
	struct top t = { .path = path, .interval_ms = interval_ms,
	    .count = count };

	t.look.is_terminal = top_terminal_is_there();
	t.look.sort = TOP_BY_WAITING;
	if (count == 0)
		t.count = t.look.is_terminal ? -1 : 1;
	t.loop = loop_new();
	buf_init(&t.coming, STATUS_MAX);
	timer_init(&t.tick, t.loop, on_tick, &t);
	if (reach(&t) == -1) {
		t.status = errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE;
		warn("no nexthop-master answers at %s", path);
		loop_free(t.loop);
		return t.status;
	}
	if (t.look.is_terminal && top_terminal_take() == -1)
		t.look.is_terminal = false;
	if (t.look.is_terminal)
		watch_terminal(&t);
	on_tick(&t);
	while (!t.is_over)
		loop_turn(t.loop, -1);
	top_terminal_give_back();
	if (t.look.is_terminal)
		unwatch_terminal(&t);
	timer_clear(&t.tick);
	channel_free(t.channel);
	loop_turn(t.loop, 0);
	buf_clear(&t.coming);
	top_model_clear(&t.now);
	top_model_clear(&t.was);
	loop_free(t.loop);
	return t.status;
}
