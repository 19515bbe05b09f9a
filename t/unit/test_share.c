/* test_share.c - connections counted over several processes. */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/share.h"
#include "test.h"

static struct addr
address(uint16_t port)
{
	struct addr a;

	addr_parse(&a, "192.0.2.1", port);
	return a;
}

static void
test_limit(struct share *one, struct share *two)
{
	struct addr a = address(25), b = address(26);
	struct share_row *r1 = share_row(one, &a), *r2 = share_row(two, &a);

	ok(r1 != NULL && r2 != NULL, "a row for each");
	ok(share_row(one, &b) != r1, "another port is another row");
	ok(share_take(one, r1, 3) && share_take(two, r2, 3) &&
	    share_take(two, r2, 3), "three places");
	ok(!share_take(one, r1, 3) && !share_take(two, r2, 3), "no fourth");
	share_give(two, r2);
	ok(share_take(one, r1, 3), "one given is one to take");
	share_give(one, r1);
	share_give(one, r1);
	share_give(two, r2);
}

static void
test_fairness(struct share *one, struct share *two)
{
	struct addr a = address(27);
	struct share_row *r1 = share_row(one, &a), *r2 = share_row(two, &a);

	ok(share_take(one, r1, 2) && share_take(one, r1, 2),
	    "alone, all places");
	ok(!share_must_yield(one, r1, 2), "nobody waits: keep");
	ok(!share_others_wait(one, r1), "nobody waits");
	share_set_waiting(two, r2, true);
	ok(share_others_wait(one, r1), "the other waits");
	ok(share_must_yield(one, r1, 2), "more than the part: yield");
	ok(!share_must_yield(two, r2, 2), "who has none need not");
	share_give(one, r1);
	ok(!share_take(one, r1, 2), "the freed place is not for the one "
	    "that has its part");
	ok(share_take(two, r2, 2), "but for the other");
	ok(!share_must_yield(one, r1, 2), "equal parts: keep");
	share_set_waiting(two, r2, false);
	share_give(one, r1);
	share_give(two, r2);
}

static void
test_death(struct share *one, int fd)
{
	struct addr a = address(28);
	struct share_row *row = share_row(one, &a), *r;
	struct share *child;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		child = share_open(fd, 1);
		r = share_row(child, &a);
		_exit(share_take(child, r, 1) ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	is_int(status, 0, "the other process took the only place");
	ok(!share_take(one, row, 1), "it is gone with its process");
	share_clear(one, 1);
	ok(share_take(one, row, 1), "cleared, it is free");
	share_give(one, row);
}

static void
test_full(struct share *one)
{
	struct share_row *row = NULL;
	struct addr a;
	unsigned i, n = 0;

	for (i = 1; i < 20000; i++) {
		addr_parse(&a, "192.0.2.9", (uint16_t)i);
		row = share_row(one, &a);
		n += row != NULL;
	}
	ok(n > 3000 && n <= 4096, "a full table says so");
}

int
main(void)
{
	struct share *master, *one, *two;
	int fd, other;

	master = share_new(2, &fd);
	ok(master != NULL, "made");
	one = share_open(fd, 0);
	two = share_open(fd, 1);
	ok(one != NULL && two != NULL, "opened");
	ok(share_open(fd, 2) == NULL, "no third of two processes");
	other = open("/dev/zero", O_RDWR);
	ok(share_open(other, 0) == NULL, "not any descriptor");
	close(other);
	test_limit(one, two);
	test_fairness(one, two);
	test_death(one, fd);
	test_full(one);
	share_free(one);
	share_free(two);
	share_free(master);
	close(fd);
	return done_testing();
}
