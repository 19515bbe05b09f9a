/* procs.h - what other processes have used, from /proc. */
#ifndef PROCS_H
#define PROCS_H

#include <sys/types.h>

#include <stdbool.h>

struct procs_usage {
	double		 cpu_s;			/* of the main threads, exact */
	double		 user_s, sys_s;		/* counted in ticks */
	long		 pss_kib, private_kib;
	long		 rss_kib, rss_peak_kib;
};

/* CPU seconds of this process. */
double	procs_own_cpu_s(void);
/* Add a process and its children; memory, which costs more, if asked for. */
void	procs_add(struct procs_usage *, pid_t, bool want_memory);

#endif
