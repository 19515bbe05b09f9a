/* clock.h - time: monotonic for waits, wall clock for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t	clock_mono_us(void);
int64_t	clock_mono_ms(void);	/* never goes back; the origin means nothing */
int64_t	clock_wall_ms(void);	/* since 1970-01-01 UTC */

static inline int64_t
clock_wall_s(void)
{
	return clock_wall_ms() / 1000;
}

#endif
