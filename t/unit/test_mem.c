/* test_mem.c - allocation and arenas. */
#include "base/mem.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static void
test_heap(void)
{
	char *p, *q;

	p = xmalloc(0);
	ok(p != NULL, "no bytes are memory too");
	p = xrealloc(p, 3);
	memcpy(p, "ab", 3);
	p = xreallocarray(p, 100, 10);
	is_str(p, "ab", "what was there stays");
	q = xstrdup(p);
	is_str(q, "ab", "a copy");
	free(q);
	q = xasprintf("%s-%d", p, 7);
	is_str(q, "ab-7", "a formatted one");
	free(q);
	free(p);
	p = xcalloc(3, 5);
	is_mem(p, 15, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15, "cleared memory");
	free(p);
	free(xcalloc(0, 5));
}

static void
too_much_array(void)
{
	free(xreallocarray(NULL, SIZE_MAX / 2, 3));
}

/* Still held when the process ends: no leak. */
static struct arena *volatile held;

static void
too_much_arena(void)
{
	held = arena_new(0);
	arena_calloc(held, SIZE_MAX / 2, 3);
}

static void
too_much_at_once(void)
{
	held = arena_new(0);
	arena_alloc(held, SIZE_MAX - 3);
}

/* The status with which a process ends that does it. */
static int
exit_status(void (*act)(void))
{
	int	status;
	pid_t	pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(STDERR_FILENO);
		act();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_overflow(void)
{
	is_int(exit_status(too_much_array), 1, "an array over all memory");
	is_int(exit_status(too_much_arena), 1, "the same in an arena");
	is_int(exit_status(too_much_at_once), 1, "an allocation over all");
}

/* Fills allocations of all sizes and looks later whether one hurt another. */
static void
test_arena(size_t first)
{
	struct arena	*a = arena_new(first);
	unsigned char	*p[400];
	bool		 whole = true, aligned = true;

	for (size_t i = 0; i < 400; i++) {
		p[i] = arena_alloc(a, i * 7 % 300);
		aligned &= (uintptr_t)p[i] % alignof(max_align_t) == 0;
		memset(p[i], (int)i & 0xff, i * 7 % 300);
	}
	for (size_t i = 0; i < 400; i++)
		for (size_t k = 0; k < i * 7 % 300; k++)
			whole &= p[i][k] == (i & 0xff);
	ok(aligned, "aligned for any type, first %zu", first);
	ok(whole, "no two share memory, first %zu", first);
	ok(arena_size(a) >= first, "its size counts the first block");
	arena_free(a);
}

static void
test_arena_strings(void)
{
	struct arena	*a = arena_new(64);
	size_t		 before = arena_size(a);
	char		*s, *big;

	s = arena_strdup(a, "text");
	is_str(s, "text", "a copy");
	is_str(arena_strndup(a, "text", 2), "te", "a part of it");
	is_str(arena_strndup(a, "", 0), "", "nothing");
	is_int(arena_size(a), before, "all in the first block");
	is_str(arena_printf(a, "%d%%%s", 7, "x"), "7%x", "formatted");
	is_mem(arena_calloc(a, 2, 2), 4, "\0\0\0\0", 4, "cleared");
	big = arena_alloc(a, 1000000);
	memset(big, 1, 1000000);
	is_str(s, "text", "a big block moves nothing");
	ok(arena_size(a) >= before + 1000000, "and is counted");
	s = arena_printf(a, "%0200d", 1);
	is_int(strlen(s), 200, "a text longer than the block");
	arena_free(a);
	arena_free(NULL);
}

int
main(void)
{
	test_heap();
	test_overflow();
	test_arena(0);
	test_arena(100);
	test_arena(100000);
	test_arena_strings();
	return done_testing();
}
