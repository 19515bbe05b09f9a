/* test_pool.c - places per host, who gets them, and when they go. */
#include "net/pool.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net_test.h"

#define LIMIT	3

enum action { ENTER, DECLINE, ENTER_LEAVE };

struct place {			/* a connection */
	struct pool_place pl;
	bool		 is_closing;
};

struct asker {
	struct pool_wait w;
	struct asker	*take_back;	/* in its granted() or timed_out() */
	struct asker	*ask;
	struct place	*place;		/* granted */
	int64_t		 late_ms;
	enum action	 action;
	bool		 was_kept, is_late;
	char		 name;
};

static struct loop *loop;
static struct pool *pool;
static struct addr host, other;
static char trace[128];		/* names granted, in order; small = late */
static unsigned nclosed, nplaces, most_places;
static char closed[64];		/* keys of closed ones, in order */
static bool leave_at_once;
static bool is_late;

static void
note(char c)
{
	size_t n = strlen(trace);

	if (n + 1 < sizeof(trace)) {
		trace[n] = c;
		trace[n + 1] = '\0';
	}
}

static void	 ask_at(struct asker *, const struct addr *);

static void
friends(struct asker *a)
{
	if (a->take_back != NULL)
		pool_take_back(pool, &a->take_back->w);
	if (a->ask != NULL)
		ask_at(a->ask, &host);
	a->ask = NULL;
}

static void
leave(struct place *p)
{
	pool_leave(pool, &p->pl);
	nplaces--;
	free(p);
}

static void
on_granted(struct pool_wait *w, struct pool_place *pl)
{
	struct asker *a = w->arg;

	note(a->name);
	friends(a);
	if (pl != NULL) {
		a->place = (struct place *)(void *)pl;
		a->was_kept = true;
		return;
	}
	if (a->action == DECLINE) {
		pool_decline(pool, w);
		return;
	}
	a->place = xcalloc(1, sizeof(*a->place));
	pool_enter(w, &a->place->pl, w->key);
	if (++nplaces > most_places)
		most_places = nplaces;
	if (a->action == ENTER_LEAVE)
		leave(a->place);
}

static void
on_timed_out(struct pool_wait *w)
{
	struct asker *a = w->arg;

	note((char)(a->name + 'a' - 'A'));
	a->is_late = is_late = true;
	a->late_ms = clock_mono_ms();
	friends(a);
}

static void
on_close_idle(struct pool_place *pl)
{
	struct place *p = (struct place *)(void *)pl;
	size_t n = strlen(closed);

	nclosed++;
	p->is_closing = true;
	if (n + 1 < sizeof(closed)) {
		closed[n] = *pl->key;
		closed[n + 1] = '\0';
	}
	if (leave_at_once)
		leave(p);
}

static const struct pool_ops ops = { on_granted, on_timed_out, on_close_idle };

static void
start(int64_t idle_ms)
{
	struct pool_limits limits = { .per_host = LIMIT, .idle_ms = idle_ms };

	pool = pool_new(loop, &limits, &ops);
	*trace = *closed = '\0';
	nclosed = nplaces = most_places = 0;
	leave_at_once = true;
	is_late = false;
}

static struct asker *
asker(struct asker *a, char name, const char *key)
{
	memset(a, 0, sizeof(*a));
	a->name = name;
	a->w.key = key;
	a->w.arg = a;
	a->w.until_ms = loop_now_ms(loop) + 60000;
	return a;
}

static void
ask_at(struct asker *a, const struct addr *addr)
{
	pool_ask(pool, addr, &a->w);
}

/* n askers A, B, C ... of one key. */
static void
ask_many(struct asker *list, unsigned n, const char *key)
{
	unsigned i;

	for (i = 0; i < n; i++)
		ask_at(asker(&list[i], (char)('A' + i), key), &host);
}

static bool
counts(uint64_t places, uint64_t idle, uint64_t waiting, uint64_t hosts)
{
	struct pool_stats s;

	pool_stats(pool, &s);
	if (s.places == places && s.idle == idle && s.waiting == waiting &&
	    s.hosts == hosts)
		return true;
	diag("places %ju idle %ju waiting %ju hosts %ju",
	    (uintmax_t)s.places, (uintmax_t)s.idle, (uintmax_t)s.waiting,
	    (uintmax_t)s.hosts);
	return false;
}

static void
finish(void)
{
	turn_some(loop);
	ok(counts(0, 0, 0, 0), "at last: nothing is held, no host is known");
	pool_free(pool);
	turn_some(loop);
}

/* ---- places ---- */

static void
test_limit(void)
{
	struct asker a[10];
	unsigned i;

	start(0);
	ask_many(a, 10, "k");
	is_str(trace, "", "limit: no grant inside the call");
	ok(counts(0, 0, 10, 1), "limit: all wait");
	turn_some(loop);
	is_str(trace, "ABC", "limit: places for the first");
	ok(counts(LIMIT, 0, 7, 1), "limit: the others wait");
	for (i = 0; i < 10; i++) {
		leave(a[i].place);
		turn_some(loop);
	}
	is_str(trace, "ABCDEFGHIJ", "limit: first come, first served");
	is_int(most_places, LIMIT, "limit: never more");
	finish();
}

static void
test_hosts(void)
{
	struct asker a[4], b;
	struct pool_stats s;

	start(0);
	ask_many(a, 4, "k");
	ask_at(asker(&b, 'X', "k"), &other);
	turn_some(loop);
	is_str(trace, "ABCX", "hosts: each has its own limit");
	pool_stats(pool, &s);
	is_int((intmax_t)s.hosts, 2, "hosts: two");
	leave(b.place);
	turn_some(loop);
	ok(counts(LIMIT, 0, 1, 1), "hosts: one is forgotten at once");
	pool_take_back(pool, &a[3].w);
	pool_take_back(pool, &a[3].w);
	leave(a[0].place);
	leave(a[1].place);
	leave(a[2].place);
	turn_some(loop);
	is_str(trace, "ABCX", "hosts: taken back, not granted");
	finish();
}

static void
test_decline(void)
{
	struct asker a[6];

	start(0);
	ask_many(a, 6, "k");
	a[0].action = a[2].action = DECLINE;
	a[1].action = ENTER_LEAVE;
	turn_some(loop);
	is_str(trace, "ABCDEF", "declined and left: the place is free");
	is_int(most_places, LIMIT, "declined: never more");
	ok(counts(LIMIT, 0, 0, 1), "declined: places");
	leave(a[3].place);
	leave(a[4].place);
	leave(a[5].place);
	finish();

	start(0);
	asker(&a[0], 'A', "k")->action = DECLINE;
	ask_at(&a[0], &host);
	finish();
}

static void
test_leave_nothing(void)
{
	struct pool_place none = { .host = NULL };

	start(0);
	pool_leave(pool, &none);
	finish();
}

/* ---- idle ones ---- */

static void
test_reuse(void)
{
	struct asker a[3], b, c;

	start(60000);
	ask_many(a, 2, "k");
	turn_some(loop);
	pool_idle(pool, &a[0].place->pl);
	loop_turn(loop, 0);
	pool_idle(pool, &a[1].place->pl);
	turn_some(loop);
	ok(counts(2, 2, 0, 1), "reuse: two are idle");
	ask_at(asker(&b, 'X', "k"), &host);
	turn_some(loop);
	ok(b.was_kept && b.place == a[1].place, "reuse: the one used last");
	ask_at(asker(&c, 'Y', "z"), &host);
	turn_some(loop);
	ok(!c.was_kept, "reuse: not with another key");
	ok(counts(3, 1, 0, 1), "reuse: a new one beside it");
	pool_idle(pool, &c.place->pl);
	asker(&a[2], 'Z', "z")->w.want_fresh = true;
	pool_leave(pool, &b.place->pl);
	ask_at(&a[2], &host);
	turn_some(loop);
	ok(!a[2].was_kept, "reuse: not where a fresh one is wanted");
	free(b.place);
	nplaces--;
	leave(a[2].place);
	is_int(nclosed, 0, "reuse: none was closed");
	pool_drain(pool);
	turn_some(loop);
	is_int(nclosed, 2, "drain: idle ones are closed");
	finish();
}

/* At the limit an idle one that does not fit gives up its place. */
static void
test_make_room(void)
{
	struct asker a[3], b;

	start(60000);
	ask_many(a, 3, "k");
	turn_some(loop);
	a[0].place->pl.key = "1";
	a[1].place->pl.key = "2";
	a[2].place->pl.key = "3";
	pool_idle(pool, &a[1].place->pl);
	pool_idle(pool, &a[0].place->pl);
	turn_some(loop);
	leave_at_once = false;
	ask_at(asker(&b, 'X', "z"), &host);
	turn_some(loop);
	is_str(closed, "2", "room: the one not used for longest is closed");
	ok(b.place == NULL, "room: its place is not free before it has left");
	ok(counts(LIMIT, 1, 1, 1), "room: all places are taken");
	leave(a[1].place);
	turn_some(loop);
	ok(b.place != NULL && !b.was_kept, "room: then it is");
	is_int(most_places, LIMIT, "room: never more");
	leave_at_once = true;
	leave(b.place);
	leave(a[2].place);
	turn_some(loop);
	ok(counts(1, 1, 0, 1), "room: the other is still kept");
	pool_leave(pool, &a[0].place->pl);
	free(a[0].place);
	finish();
	is_int(nclosed, 1, "room: no other was closed");
}

/* As many give up their places as there are who wait, but one that fits
 * somebody behind the first is his. */
static void
test_make_room_for_many(void)
{
	struct asker a[3], x, y, z;

	start(60000);
	ask_many(a, 3, "k");
	turn_some(loop);
	a[0].place->pl.key = "1";
	a[1].place->pl.key = "2";
	a[2].place->pl.key = "3";
	leave_at_once = false;
	ask_at(asker(&x, 'X', "x"), &host);
	ask_at(asker(&y, 'Y', "y"), &host);
	ask_at(asker(&z, 'Z', "2"), &host);
	pool_idle(pool, &a[0].place->pl);
	pool_idle(pool, &a[1].place->pl);
	pool_idle(pool, &a[2].place->pl);
	turn_some(loop);
	is_str(closed, "13", "many: those that fit nobody are closed");
	ok(z.was_kept && z.place == a[1].place && counts(LIMIT, 0, 2, 1),
	    "many: the other is used by the one it fits");
	leave(a[0].place);
	leave(a[2].place);
	turn_some(loop);
	is_str(trace, "ABCZXY", "many: then the others, in their order");
	is_int(most_places, LIMIT, "many: never more");
	leave(x.place);
	leave(y.place);
	leave(a[1].place);
	finish();
}

/* Who waits first is not passed by for ever by those for whom there are kept
 * connections. */
static void
test_make_room_for_first(void)
{
	struct asker a[3], x, more[10];
	unsigned i;

	start(60000);
	ask_many(a, 3, "k");
	turn_some(loop);
	leave_at_once = false;
	ask_at(asker(&x, 'X', "x"), &host);
	for (i = 0; i < 10; i++)
		ask_at(asker(&more[i], (char)('0' + i), "k"), &host);
	pool_idle(pool, &a[0].place->pl);
	turn_some(loop);
	is_str(closed, "k", "first: the first to be idle gives up its place");
	pool_idle(pool, &a[1].place->pl);
	turn_some(loop);
	is_str(trace, "ABC0", "first: the next one is used meanwhile");
	leave(a[0].place);
	turn_some(loop);
	is_str(trace, "ABC0X", "first: he gets it");
	for (i = 1; i < 10; i++)
		pool_take_back(pool, &more[i].w);
	leave_at_once = true;
	leave(x.place);
	leave(a[1].place);
	leave(a[2].place);
	finish();
}

static void
test_idle_ends(void)
{
	struct asker a[3];
	int64_t begin, ms;

	start(80);
	ask_many(a, 3, "k");
	turn_some(loop);
	a[0].place->pl.key = "1";
	a[1].place->pl.key = "2";
	a[2].place->pl.key = "3";
	pool_idle(pool, &a[1].place->pl);
	turn_for(loop, 30);
	pool_idle(pool, &a[0].place->pl);
	turn_for(loop, 30);
	begin = clock_mono_ms();
	pool_idle(pool, &a[2].place->pl);
	is_int(nclosed, 0, "idle: not yet");
	while (nclosed < 3 && clock_mono_ms() < begin + 5000)
		loop_turn(loop, 100);
	ms = clock_mono_ms() - begin;
	is_str(closed, "213", "idle: in the order they became idle");
	ok(ms >= 75 && ms < 2000, "idle: the last after its time");
	finish();

	start(0);
	ask_many(a, 1, "k");
	turn_some(loop);
	pool_idle(pool, &a[0].place->pl);
	is_int(nclosed, 0, "not kept: not inside the call");
	turn_some(loop);
	is_int(nclosed, 1, "not kept: closed at the turn's end");
	finish();

	start(0);
	ask_many(a, 1, "k");
	turn_some(loop);
	ask_at(asker(&a[1], 'B', "k"), &host);
	pool_idle(pool, &a[0].place->pl);
	turn_some(loop);
	ok(a[1].was_kept, "not kept, but one waits: it gets it");
	leave(a[1].place);
	finish();
}

static void
test_drain(void)
{
	struct asker a[5];

	start(60000);
	ask_many(a, 5, "k");
	turn_some(loop);
	pool_idle(pool, &a[0].place->pl);
	pool_drain(pool);
	turn_some(loop);
	ok(a[3].was_kept, "drain: who waits is served");
	pool_idle(pool, &a[1].place->pl);
	turn_some(loop);
	ok(a[4].was_kept && nclosed == 0, "drain: and the next");
	pool_idle(pool, &a[3].place->pl);
	turn_some(loop);
	is_int(nclosed, 1, "drain: then none is kept");
	leave(a[2].place);
	leave(a[4].place);
	finish();
}

/* ---- waiting ---- */

static void
test_late(void)
{
	struct asker a[3], b[3];
	int64_t now;
	unsigned i;

	start(0);
	ask_many(a, 3, "k");
	turn_some(loop);
	now = loop_now_ms(loop);
	asker(&b[0], 'X', "k")->w.until_ms = now + 90;
	asker(&b[1], 'Y', "k")->w.until_ms = now + 30;
	asker(&b[2], 'Z', "k")->w.until_ms = now - 5;
	for (i = 0; i < 3; i++)
		ask_at(&b[i], &host);
	is_int(b[2].is_late, false, "late: not inside the call");
	while (!b[0].is_late && clock_mono_ms() < now + 5000)
		loop_turn(loop, 100);
	is_str(trace, "ABCzyx", "late: each at its time");
	ok(b[1].late_ms - now >= 29 && b[1].late_ms - now < 900 &&
	    b[0].late_ms - now >= 89 && b[0].late_ms - now < 900,
	    "late: in time (%lld, %lld)", (long long)(b[1].late_ms - now),
	    (long long)(b[0].late_ms - now));
	ok(counts(LIMIT, 0, 0, 1), "late: nobody waits");
	for (i = 0; i < 3; i++)
		leave(a[i].place);
	turn_some(loop);
	is_str(trace, "ABCzyx", "late: not granted later");
	finish();
}

/* Others come and go all the time. */
static void
test_late_under_load(void)
{
	struct asker a[3], late, busy;
	int64_t begin;
	int i;

	start(60000);
	ask_many(a, 3, "k");
	turn_some(loop);
	begin = loop_now_ms(loop);
	asker(&late, 'L', "k")->w.until_ms = begin + 100;
	ask_at(&late, &host);
	for (i = 0; !late.is_late && clock_mono_ms() < begin + 3000; i++) {
		ask_at(asker(&busy, 'M', "k"), &host);
		loop_turn(loop, 1);
		pool_take_back(pool, &busy.w);
	}
	ok(late.is_late && late.late_ms < begin + 900,
	    "late under load: after %lld ms",
	    (long long)(late.late_ms - begin));
	for (i = 0; i < 3; i++)
		leave(a[i].place);
	finish();
}

/* Callbacks that change the lists they are called from. */
static void
test_inside(void)
{
	struct asker a[6], x, y, z;
	int64_t now;

	start(0);
	ask_many(a, 6, "k");
	a[0].take_back = &a[1];		/* the next one */
	a[2].take_back = &a[5];		/* one that will wait */
	turn_some(loop);
	is_str(trace, "ACD", "inside granted(): others taken back");
	leave(a[0].place);
	turn_some(loop);
	is_str(trace, "ACDE", "inside granted(): the next one");
	leave(a[2].place);
	leave(a[3].place);
	leave(a[4].place);
	finish();

	start(0);
	ask_many(a, 1, "k");
	a[0].ask = asker(&x, 'X', "k");
	turn_some(loop);
	is_str(trace, "AX", "inside granted(): another asks");
	leave(a[0].place);
	leave(x.place);
	finish();

	start(0);
	ask_many(a, 3, "k");
	turn_some(loop);
	now = loop_now_ms(loop);
	asker(&x, 'X', "k")->w.until_ms = now + 10;
	asker(&y, 'Y', "k")->w.until_ms = now + 10;
	asker(&z, 'Z', "k");
	x.take_back = &y;
	x.ask = &z;
	ask_at(&x, &host);
	ask_at(&y, &host);
	turn_until(loop, &x.is_late);
	turn_for(loop, 20);
	is_str(trace, "ABCx", "inside timed_out(): the next taken back");
	ok(counts(LIMIT, 0, 1, 1), "inside timed_out(): another waits");
	leave(a[0].place);
	turn_some(loop);
	is_str(trace, "ABCxZ", "inside timed_out(): it is served");
	leave(a[1].place);
	leave(a[2].place);
	leave(z.place);
	finish();
}

/* ---- much of all ---- */

#define CROWD	200

static struct asker crowd[CROWD];
static unsigned state[CROWD];	/* 0 away, 1 waits, 2 talks */

static void
random_step(void)
{
	static const char *const keys[] = { "k", "l", "m" };
	unsigned i = arc4random_uniform(CROWD);
	struct asker *a = &crowd[i];

	if (state[i] == 1 && (a->place != NULL || a->is_late))
		state[i] = a->place != NULL ? 2 : 0;
	switch (state[i]) {
	case 0:
		asker(a, 'A', keys[arc4random_uniform(3)]);
		a->w.until_ms = loop_now_ms(loop) + arc4random_uniform(40);
		a->w.want_fresh = arc4random_uniform(4) == 0;
		a->action = arc4random_uniform(10) == 0 ? ENTER_LEAVE : ENTER;
		ask_at(a, arc4random_uniform(2) ? &host : &other);
		state[i] = 1;
		if (a->action == ENTER_LEAVE)
			a->w.want_fresh = true;
		break;
	case 1:
		if (arc4random_uniform(4) == 0) {
			pool_take_back(pool, &a->w);
			state[i] = 0;
		}
		break;
	default:
		if (a->action != ENTER_LEAVE) {
			if (arc4random_uniform(2))
				leave(a->place);
			else
				pool_idle(pool, &a->place->pl);
		}
		a->place = NULL;
		state[i] = 0;
		break;
	}
}

static uint32_t worst;

static void
look(void *arg, const struct addr *a, uint32_t places, uint32_t idle,
    uint32_t waiting)
{
	(void)arg;
	(void)a;
	(void)waiting;
	if (places > worst)
		worst = places;
	if (idle > places)
		worst = UINT32_MAX;
}

static void
test_crowd(void)
{
	int64_t end;
	unsigned i, steps = 0;

	start(15);
	end = clock_mono_ms() + 1000;
	while (clock_mono_ms() < end) {
		for (i = 0; i < 20; i++, steps++)
			random_step();
		loop_turn(loop, arc4random_uniform(3) == 0);
		pool_each(pool, look, NULL);
	}
	is_int(worst, LIMIT, "crowd: never more than the limit (%u steps)",
	    steps);
	for (i = 0; i < CROWD; i++) {
		if (state[i] == 1)
			pool_take_back(pool, &crowd[i].w);
		if (state[i] != 0 && crowd[i].place != NULL &&
		    crowd[i].action != ENTER_LEAVE)
			leave(crowd[i].place);
	}
	pool_drain(pool);
	finish();
}

int
main(void)
{
	loop = loop_new();
	addr_parse(&host, "192.0.2.1", 25);
	addr_parse(&other, "192.0.2.1", 26);
	test_limit();
	test_hosts();
	test_decline();
	test_leave_nothing();
	test_reuse();
	test_make_room();
	test_make_room_for_many();
	test_make_room_for_first();
	test_idle_ends();
	test_drain();
	test_late();
	test_late_under_load();
	test_inside();
	test_crowd();
	loop_free(loop);
	return done_testing();
}
