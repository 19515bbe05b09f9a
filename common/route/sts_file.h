/* sts_file.h - a policy of MTA-STS as a file: whole or not there. */
#ifndef ROUTE_STS_FILE_H
#define ROUTE_STS_FILE_H

#include <sys/stat.h>
#include <time.h>

#include "route/sts.h"

/* May a domain's file have this name? */
bool		 sts_file_is_name(const char *);
/* One that was never renamed, of a process that is gone. */
bool		 sts_file_is_leftover(const char *name, const struct stat *,
		    int64_t now_s);

/* In the folder of this descriptor. -1: errno, and the old file stays. */
int		 sts_file_write(int folder, const char *domain,
		    const struct sts_policy *, int64_t fetched_s,
		    struct timespec *mtime_r);
/* NULL: errno; EBADMSG for one that is damaged or says what cannot be. */
struct sts_policy *sts_file_read(int folder, const char *domain,
		    int64_t *fetched_s_r, struct timespec *mtime_r);

#endif
