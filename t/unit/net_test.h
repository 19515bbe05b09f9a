/* net_test.h - what the tests of common/net share: turns, descriptors. */
#ifndef NET_TEST_H
#define NET_TEST_H

#include <dirent.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/loop.h"
#include "test.h"

/* Descriptors open in this process. */
static inline int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n - 3;		/* ".", "..", the folder itself */
}

/* Turns until *flag is set, but not for ever; whether it is. */
static inline bool
turn_until(struct loop *loop, const bool *flag)
{
	int64_t end = clock_mono_ms() + 10000;

	while (!*flag && clock_mono_ms() < end)
		loop_turn(loop, 100);
	return *flag;
}

/* Turns for a time. */
static inline void
turn_for(struct loop *loop, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms, left;

	while ((left = end - clock_mono_ms()) > 0)
		loop_turn(loop, (int)left);
}

/* All that is ready now, and a little more. */
static inline void
turn_some(struct loop *loop)
{
	int i;

	for (i = 0; i < 20; i++)
		loop_turn(loop, 0);
}

#endif
