/* test_loop.c - jobs for the turn's end, timers, stopping. */
#include "net/loop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "net_test.h"

static struct loop *loop;
static char trace[64];		/* what ran, in order */

static void
note(const char *what)
{
	strncat(trace, what, sizeof(trace) - strlen(trace) - 1);
}

/* ---- later ---- */

struct job {
	struct later	 later;
	const char	*name;
	struct job	*add;		/* registers this one when it runs */
	struct job	*drop;		/* ... or takes this one back */
};

static void
on_job(void *arg)
{
	struct job *j = arg;

	note(j->name);
	if (j->add != NULL)
		loop_later(loop, &j->add->later);
	if (j->drop != NULL)
		loop_forget(loop, &j->drop->later);
}

static struct job *
job(struct job *j, const char *name)
{
	memset(j, 0, sizeof(*j));
	later_init(&j->later, on_job, j);
	j->name = name;
	return j;
}

static void
test_later(void)
{
	struct job a, b, c;

	*trace = '\0';
	loop_later(loop, &job(&b, "b")->later);
	loop_later(loop, &job(&a, "a")->later);
	loop_later(loop, &b.later);
	is_str(trace, "", "later: not inside the call");
	loop_turn(loop, 0);
	is_str(trace, "ba", "later: in order, each once");
	loop_turn(loop, 0);
	is_str(trace, "ba", "later: not again");

	*trace = '\0';
	a.add = job(&c, "c");
	c.add = &b;
	loop_later(loop, &a.later);
	loop_turn(loop, 0);
	is_str(trace, "acb", "later: what jobs register runs in this sweep");

	*trace = '\0';
	a.add = NULL;
	a.drop = job(&b, "b");
	loop_later(loop, &a.later);
	loop_later(loop, &b.later);
	loop_later(loop, &job(&c, "c")->later);
	loop_forget(loop, &c.later);
	loop_forget(loop, &c.later);
	loop_turn(loop, 0);
	is_str(trace, "a", "later: taken back, also by a job");
	loop_later(loop, &b.later);
	loop_turn(loop, 0);
	is_str(trace, "ab", "later: taken back, then registered again");
}

static void
free_self(void *arg)
{
	note("f");
	free(arg);
}

static void
test_later_free(void)
{
	struct later *l = xcalloc(1, sizeof(*l));

	*trace = '\0';
	later_init(l, free_self, l);
	loop_later(loop, l);
	loop_turn(loop, 0);
	is_str(trace, "f", "later: a job may free itself");
}

static void
test_hold(void)
{
	struct later_list held = TAILQ_HEAD_INITIALIZER(held);
	struct job a, b;

	*trace = '\0';
	later_hold(&held, &job(&a, "a")->later);
	later_hold(&held, &job(&b, "b")->later);
	loop_later(loop, &a.later);
	loop_turn(loop, 0);
	is_str(trace, "", "held: does not run");
	loop_forget(loop, &a.later);
	ok(TAILQ_FIRST(&held) == &b.later, "held: taken out of the list");
	loop_forget(loop, &b.later);
	ok(TAILQ_EMPTY(&held), "held: list is empty");
	loop_later(loop, &b.later);
	loop_turn(loop, 0);
	is_str(trace, "b", "held: runs when it is handed over");
}

/* ---- timers ---- */

struct test_timer {
	struct timer	 t;
	int64_t		 fired_ms;
	unsigned	 fired;
	bool		 has_fired;
	int64_t		 again_ms;	/* > 0: sets itself again, once */
};

static void
on_fired(void *arg)
{
	struct test_timer *t = arg;

	t->fired++;
	t->fired_ms = clock_mono_ms();
	t->has_fired = true;
	if (t->again_ms > 0)
		timer_set(&t->t, t->again_ms);
	t->again_ms = 0;
}

static void
timer_new(struct test_timer *t)
{
	memset(t, 0, sizeof(*t));
	timer_init(&t->t, loop, on_fired, t);
}

/* Each wait is judged with much room above: the machine may be busy. */
static bool
took(int64_t start, const struct test_timer *t, int64_t ms)
{
	int64_t d = t->fired_ms - start;

	if (d >= ms - 1 && d < ms + 2000)
		return true;
	diag("%lld ms instead of %lld", (long long)d, (long long)ms);
	return false;
}

static void
test_timer(void)
{
	struct test_timer t;
	int64_t start;

	timer_new(&t);
	loop_turn(loop, 0);
	start = clock_mono_ms();
	timer_set(&t.t, 30);
	ok(turn_until(loop, &t.has_fired) && took(start, &t, 30),
	    "timer: fires");
	turn_for(loop, 60);
	is_int(t.fired, 1, "timer: once");

	t.has_fired = false;
	timer_set(&t.t, 0);
	is_int(t.fired, 1, "timer of 0: not inside the call");
	ok(turn_until(loop, &t.has_fired), "timer of 0: fires");
	t.has_fired = false;
	timer_set(&t.t, -5);
	ok(turn_until(loop, &t.has_fired), "timer of -5: fires");

	t.has_fired = false;
	t.again_ms = 20;
	timer_set(&t.t, 5);
	turn_until(loop, &t.has_fired);
	t.has_fired = false;
	ok(turn_until(loop, &t.has_fired), "timer: set again when it fires");
	timer_clear(&t.t);
}

static void
test_timer_moves(void)
{
	struct test_timer t;
	int64_t start;
	int i;

	timer_new(&t);
	loop_turn(loop, 0);
	start = clock_mono_ms();
	timer_set(&t.t, 5000);
	timer_set(&t.t, 30);
	ok(turn_until(loop, &t.has_fired) && took(start, &t, 30),
	    "timer: set to earlier");

	t.has_fired = false;
	t.fired = 0;
	timer_set(&t.t, 600);
	for (i = 0; i < 8; i++) {	/* put off again and again */
		turn_for(loop, 10);
		timer_set(&t.t, 600);
		start = loop_now_ms(loop);
	}
	is_int(t.fired, 0, "timer: put off, does not fire");
	ok(turn_until(loop, &t.has_fired) && took(start, &t, 600),
	    "timer: fires at the last moment it was given");
	is_int(t.fired, 1, "timer: once");

	t.has_fired = false;
	timer_set(&t.t, 100);
	timer_set(&t.t, 10);
	timer_set(&t.t, 60);
	start = loop_now_ms(loop);
	ok(turn_until(loop, &t.has_fired) && took(start, &t, 60),
	    "timer: earlier, then later");

	t.has_fired = false;
	timer_set(&t.t, 10);
	timer_stop(&t.t);
	turn_for(loop, 40);
	ok(!t.has_fired, "timer: stopped");
	timer_set(&t.t, 30);
	timer_stop(&t.t);
	timer_set(&t.t, 10);
	start = loop_now_ms(loop);
	ok(turn_until(loop, &t.has_fired) && took(start, &t, 10),
	    "timer: stopped, then set to earlier");
	t.has_fired = false;
	timer_set(&t.t, 10);
	timer_stop(&t.t);
	timer_set(&t.t, 60);
	start = loop_now_ms(loop);
	ok(turn_until(loop, &t.has_fired) && took(start, &t, 60),
	    "timer: stopped, then set to later");
	timer_clear(&t.t);
}

/* Its memory may go after timer_clear(), even if it was to fire just now. */
static void
test_timer_clear(void)
{
	struct test_timer *t = xcalloc(1, sizeof(*t));

	timer_new(t);
	timer_set(&t->t, 5);
	usleep(20000);
	timer_clear(&t->t);
	free(t);
	turn_for(loop, 20);
	ok(true, "timer: cleared");
}

struct rival {
	struct timer	 t;
	struct rival	*other;
	unsigned	 fired;
};

static void
on_rival(void *arg)
{
	struct rival *r = arg;

	r->fired++;
	timer_stop(&r->other->t);
}

/* Both are due in the same turn; who is stopped by the other is silent. */
static void
test_timer_rivals(void)
{
	struct rival a = { .other = NULL }, b = { .other = &a };

	a.other = &b;
	timer_init(&a.t, loop, on_rival, &a);
	timer_init(&b.t, loop, on_rival, &b);
	timer_set(&a.t, 5);
	timer_set(&b.t, 5);
	usleep(30000);
	turn_for(loop, 30);
	is_int(a.fired + b.fired, 1, "timer: stopped in the turn it is due");
	timer_clear(&a.t);
	timer_clear(&b.t);
}

/* ---- time and stopping ---- */

static void
test_now(void)
{
	int64_t first;

	loop_turn(loop, 0);
	first = loop_now_ms(loop);
	usleep(5000);
	is_int(loop_now_ms(loop), first, "now: the same for a turn");
	loop_turn(loop, 0);
	ok(loop_now_ms(loop) >= first + 5, "now: read again in the next");
}

static void
on_stop(void *arg)
{
	loop_stop(arg, 7);
}

static void
test_stop(void)
{
	struct later l;
	struct timer t;

	later_init(&l, on_stop, loop);
	timer_init(&t, loop, on_stop, loop);
	loop_later(loop, &l);
	timer_set(&t, 5000);
	is_int(loop_run(loop), 7, "run: stopped by a job of before");
	timer_set(&t, 10);
	is_int(loop_run(loop), 7, "run: stopped by a timer");
	timer_clear(&t);
}

static void
test_turn_wait(void)
{
	int64_t start = clock_mono_ms(), took_ms;

	loop_turn(loop, 50);
	took_ms = clock_mono_ms() - start;
	ok(took_ms >= 45 && took_ms < 500, "turn: waits no longer than told");
}

static void
on_nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* An event that the kernel does not take would never come. */
static void
test_refused(void)
{
	int status = 0, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct event ev;
	struct loop *own;
	pid_t pid = fork();

	if (pid == 0) {
		close(STDERR_FILENO);
		own = loop_new();
		event_assign(&ev, loop_base(own), fd, EV_READ, on_nothing,
		    NULL);
		event_add(&ev, NULL);	/* a file: epoll refuses it */
		loop_turn(own, 50);
		_exit(0);
	}
	close(fd);
	ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status),
	    "refused: the process ends");
	is_int(WEXITSTATUS(status), EX_OSERR, "refused: and says why");
}

int
main(void)
{
	loop = loop_new();
	test_later();
	test_later_free();
	test_hold();
	test_timer();
	test_timer_moves();
	test_timer_clear();
	test_timer_rivals();
	test_now();
	test_stop();
	test_turn_wait();
	test_refused();
	loop_free(loop);
	return done_testing();
}
