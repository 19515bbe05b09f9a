/*
 * procs.c - CPU time and memory of other processes, from /proc: schedstat for
 * CPU time in nanoseconds, stat for its split in ticks, smaps_rollup for the
 * proportional share of memory, status for all that is resident, now and at
 * most.  What cannot be read counts as nothing.
 */
#include "procs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *
proc_open(pid_t pid, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

static void
add_cpu(struct procs_usage *u, pid_t pid)
{
	double hz = (double)sysconf(_SC_CLK_TCK);
	unsigned long long ns, user, sys;
	char line[1024], *p;
	FILE *f;

	if ((f = proc_open(pid, "schedstat")) != NULL) {
		if (fscanf(f, "%llu", &ns) == 1)
			u->cpu_s += (double)ns / 1e9;
		fclose(f);
	}
	if ((f = proc_open(pid, "stat")) == NULL)
		return;
	if (fgets(line, sizeof(line), f) != NULL &&
	    (p = strrchr(line, ')')) != NULL &&
	    sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
	    &user, &sys) == 2) {
		u->user_s += (double)user / hz;
		u->sys_s += (double)sys / hz;
	}
	fclose(f);
}

static void
add_memory(struct procs_usage *u, pid_t pid)
{
	FILE *f = proc_open(pid, "smaps_rollup");
	char line[256];
	long kib;

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Pss: %ld", &kib) == 1)
			u->pss_kib += kib;
		else if (sscanf(line, "Private_Clean: %ld", &kib) == 1 ||
		    sscanf(line, "Private_Dirty: %ld", &kib) == 1)
			u->private_kib += kib;
	fclose(f);
	if ((f = proc_open(pid, "status")) == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			u->rss_kib += kib;
		else if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			u->rss_peak_kib += kib;
	fclose(f);
}

void
procs_add(struct procs_usage *u, pid_t pid, bool want_memory)
{
	char name[64];
	int child;
	FILE *f;

	add_cpu(u, pid);
	if (want_memory)
		add_memory(u, pid);
	snprintf(name, sizeof(name), "task/%d/children", (int)pid);
	if ((f = proc_open(pid, name)) == NULL)
		return;
	while (fscanf(f, "%d", &child) == 1)
		procs_add(u, child, want_memory);
	fclose(f);
}

double
procs_own_cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}
