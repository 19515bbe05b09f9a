/* process.c - limits of this process. */
#include "base/process.h"

#include <sys/resource.h>

#define FILES_MAX	1048576

void
raise_files_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return;
	r.rlim_cur = r.rlim_max < FILES_MAX ? r.rlim_max : FILES_MAX;
	setrlimit(RLIMIT_NOFILE, &r);
}
