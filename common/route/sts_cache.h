/*
 * sts_cache.h - MTA-STS policies in memory, and in a folder that outlives the
 * process: a file for each domain, by its name.
 *
 * A file is written under another name and renamed when it is whole, so that
 * whoever dies leaves the old one or the new one; one that is damaged all the
 * same is removed.  Memory and folder hold the same, a bounded number, the
 * least used go first.  Several processes may use one folder.
 */
#ifndef ROUTE_STS_CACHE_H
#define ROUTE_STS_CACHE_H

#include <sys/queue.h>
#include <time.h>

#include "route/sts.h"

#define STS_FAILED_MAX	1000	/* domains without a policy that are kept */
#define STS_AGE_MIN_S	60	/* a policy lives as long as this, whatever
				 * its max_age */

struct sts_job;

/* What is known of a domain. */
struct sts_entry {
	TAILQ_ENTRY(sts_entry) by_use;
	LIST_ENTRY(sts_entry) by_name;
	struct sts_policy *policy;	/* NULL: none */
	int64_t		 fetched_s;	/* wall clock */
	int64_t		 refresh_s;	/* wall clock; for the owner */
	int64_t		 retry_ms;	/* monotonic: no fetch before */
	char		*why;		/* of the last failure; NULL: none */
	const char	*report;
	struct sts_job	*job;		/* not NULL: is never dropped */
	struct timespec	 mtime;		/* of its file, as it was last read */
	char		 domain[];
};

TAILQ_HEAD(sts_entries, sts_entry);

struct sts_cache;

/* folder NULL or "": memory only. NULL with a text: it cannot be used. */
struct sts_cache *sts_cache_new(const char *folder, size_t max, char *error,
		    size_t);
void		 sts_cache_free(struct sts_cache *);

/* NULL: not known. While the folder has not been read, its file is. */
struct sts_entry *sts_cache_find(struct sts_cache *, const char *domain);
/* The same, or a new one without a policy. */
struct sts_entry *sts_cache_need(struct sts_cache *, const char *domain);

/* Takes the policy. -1: it is not on disk; it is in memory all the same. */
int		 sts_cache_put(struct sts_cache *, struct sts_entry *,
		    struct sts_policy *, int64_t fetched_s);
/* Looks whether somebody else has written the file; true: it has. */
bool		 sts_cache_reread(struct sts_cache *, struct sts_entry *);
/* Forgets a policy that has lived too long, on disk too. */
void		 sts_cache_expire(struct sts_cache *, struct sts_entry *,
		    int64_t now_s);

/*
 * Reads some files of the folder that are new or have changed, and clears it
 * of what is no policy.  False: all have been seen.
 */
bool		 sts_cache_crawl(struct sts_cache *, unsigned nfiles);

size_t		 sts_cache_count(const struct sts_cache *);	/* policies */
const struct sts_entries *sts_cache_kept(const struct sts_cache *);

#endif
