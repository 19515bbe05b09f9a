/*
 * test_resolve.c - names to addresses.  Nothing here needs a name server: the
 * names stand in /etc/hosts or cannot exist (RFC 6761), and where a server is
 * asked in vain any answer that is none will do.
 */
#include "net/resolve.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net_test.h"

#define MANY	300

struct question {
	struct resolve_query *q;
	unsigned	 nanswers;
	bool		 is_answered;
	bool		 has_addrs;
	bool		 is_temporary;
	char		 error[64];
	int		 family;
	uint16_t	 port;
	struct question	*cancel;	/* when it is answered */
	struct question	*ask;		/* the same name again */
};

static struct loop *loop;
static struct resolver *resolver;

static void	 ask(struct question *, const char *);

static void
on_answer(void *arg, const struct resolved *r)
{
	struct question *q = arg;

	q->nanswers++;
	q->is_answered = true;
	q->has_addrs = r->n > 0;
	q->is_temporary = r->is_temporary;
	if (r->n > 0) {
		q->family = addr_family(&r->addrs[0]);
		q->port = addr_port(&r->addrs[0]);
	}
	snprintf(q->error, sizeof(q->error), "%s",
	    r->error == NULL ? "" : r->error);
	if (q->cancel != NULL) {
		resolve_cancel(q->cancel->q);
		q->cancel->q = NULL;
	}
	if (q->ask != NULL)
		ask(q->ask, "localhost");
}

static void
ask(struct question *q, const char *name)
{
	memset(q, 0, sizeof(*q));
	q->q = resolve(resolver, name, on_answer, q);
	if (q->nanswers != 0)
		diag("answered inside the call");
}

static void
test_answers(void)
{
	struct question a, b, c;

	resolver = resolver_new(loop, 5000);
	ask(&a, "localhost");
	is_int(a.nanswers, 0, "not inside the call");
	ok(turn_until(loop, &a.is_answered), "answered");
	ok(a.has_addrs && (a.family == AF_INET || a.family == AF_INET6),
	    "addresses of localhost");
	is_int(a.port, 0, "without a port");
	is_str(a.error, "", "no error");

	ask(&b, "LOCALHOST");		/* kept, whatever the case */
	is_int(b.nanswers, 0, "kept: not inside the call either");
	loop_turn(loop, 0);
	is_int(b.nanswers, 1, "kept: answered in this turn");
	ok(b.has_addrs, "kept: the addresses");

	ask(&c, "192.0.2.7");
	ok(turn_until(loop, &c.is_answered) && c.family == AF_INET,
	    "a literal is a name as well");
	ask(&c, "2001:db8::7");
	ok(turn_until(loop, &c.is_answered) && c.family == AF_INET6,
	    "an IPv6 literal, too");
	turn_some(loop);
	is_int(a.nanswers + b.nanswers, 2, "each answered once");
	resolver_free(resolver);
}

static void
test_failure(void)
{
	char name[2000];
	struct question a, b, c;

	resolver = resolver_new(loop, 5000);
	ask(&a, "no such name.invalid");
	ok(turn_until(loop, &a.is_answered) && !a.has_addrs,
	    "no such name: no address");
	ok(*a.error != '\0', "no such name: why");
	ask(&b, "no such name.invalid");
	loop_turn(loop, 0);
	ok(b.is_answered && !b.has_addrs && strcmp(a.error, b.error) == 0,
	    "no such name: kept");
	memset(name, '1', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	memcpy(name, "localhost.", 10);
	ask(&c, name);
	ok(turn_until(loop, &c.is_answered) && !c.has_addrs &&
	    !c.is_temporary, "too long to be a name");
	ask(&c, "");
	ok(turn_until(loop, &c.is_answered), "the empty name is answered");
	resolver_free(resolver);
}

static void
test_cancel(void)
{
	struct question a, b, c;

	resolver = resolver_new(loop, 5000);
	ask(&a, "localhost");
	resolve_cancel(a.q);
	resolve_cancel(NULL);
	ask(&b, "localhost");
	ask(&c, "localhost");
	b.cancel = &c;
	ok(turn_until(loop, &b.is_answered), "another asks the same");
	turn_some(loop);
	is_int(a.nanswers, 0, "cancelled: no answer");
	is_int(c.nanswers, 0, "cancelled by an answer: none");

	ask(&a, "localhost");		/* kept: the answer is on its way */
	resolve_cancel(a.q);
	turn_some(loop);
	is_int(a.nanswers, 0, "cancelled in the turn it would come: none");

	ask(&a, "127.0.0.9");
	a.ask = &b;
	b.nanswers = 0;
	turn_until(loop, &a.is_answered);
	ok(turn_until(loop, &b.is_answered), "asked by an answer");
	resolver_free(resolver);
}

static void
test_many(void)
{
	static struct question many[MANY];
	char name[32];
	unsigned i, right = 0;

	resolver = resolver_new(loop, 10000);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "127.0.%u.%u", i % 3, i / 3);
		ask(&many[i], name);
	}
	for (i = 0; i < MANY; i++)
		if (turn_until(loop, &many[i].is_answered))
			right += many[i].has_addrs;
	is_int(right, MANY, "many at once: all answered");
	turn_some(loop);
	for (i = 0, right = 0; i < MANY; i++)
		right += many[i].nanswers;
	is_int(right, MANY, "many at once: each once");
	resolver_free(resolver);
}

/* A time so short that no thread can answer in it. */
static void
test_late(void)
{
	struct question a, b;

	resolver = resolver_new(loop, 0);
	ask(&a, "late.invalid");
	ask(&b, "late.invalid");
	usleep(2000);
	ok(turn_until(loop, &a.is_answered) && turn_until(loop,
	    &b.is_answered), "late: answered all the same");
	ok(!a.has_addrs, "late: no address");
	turn_for(loop, 50);
	is_int(a.nanswers + b.nanswers, 2, "late: each once");
	resolver_free(resolver);
}

/* Threads are at work, questions are open, answers wait to be taken. */
static void
test_free(void)
{
	static struct question many[50];
	int before = count_fds(), after = 0, round, i;
	char name[48];

	for (round = 0; round < 40; round++) {
		resolver = resolver_new(loop, 5000);
		for (i = 0; i < 50; i++) {
			snprintf(name, sizeof(name), i % 2 ? "127.1.0.%d" :
			    "n %d.invalid", i);
			ask(&many[i], name);
		}
		if (round % 4 == 1)
			usleep(1000);
		if (round % 4 == 2)
			loop_turn(loop, 1);
		resolver_free(resolver);
		turn_some(loop);
	}
	for (i = 0; i < 1000; i++) {	/* threads come back one by one */
		if ((after = count_fds()) <= before)
			break;
		usleep(10000);
	}
	ok(after <= before, "freed at work: nothing stays open");
	resolver_free(NULL);
}

int
main(void)
{
	loop = loop_new();
	test_answers();
	test_failure();
	test_cancel();
	test_many();
	test_late();
	test_free();
	loop_free(loop);
	return done_testing();
}
