/* sts_cache.c - MTA-STS policies in memory, by use; sts_file.c has the disk. */
#include "route/sts_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "route/sts_file.h"
#include "route/sts_policy.h"

#define BUCKETS		4096

struct sts_cache {
	size_t		 max;
	struct sts_entries kept, failed;	/* the last used first */
	size_t		 nkept, nfailed;
	int		 folder;	/* descriptor; -1: memory only */
	DIR		*dir;		/* being read; NULL: not */
	bool		 is_read;	/* once, to its end */
	struct timespec	 mtime;		/* of the folder, when that began */
	bool		 has_warned;	/* of the disk */
	LIST_HEAD(, sts_entry) buckets[BUCKETS];
};

/* ---- memory ---- */

static uint32_t
hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static struct sts_entry *
look_up(const struct sts_cache *c, const char *domain)
{
	struct sts_entry *e;

	LIST_FOREACH(e, &c->buckets[hash_of(domain) % BUCKETS], by_name)
		if (strcmp(e->domain, domain) == 0)
			return e;
	return NULL;
}

static void
unlist(struct sts_cache *c, struct sts_entry *e)
{
	if (e->policy != NULL) {
		TAILQ_REMOVE(&c->kept, e, by_use);
		c->nkept--;
	} else {
		TAILQ_REMOVE(&c->failed, e, by_use);
		c->nfailed--;
	}
}

static void
list(struct sts_cache *c, struct sts_entry *e)
{
	if (e->policy != NULL) {
		TAILQ_INSERT_HEAD(&c->kept, e, by_use);
		c->nkept++;
	} else {
		TAILQ_INSERT_HEAD(&c->failed, e, by_use);
		c->nfailed++;
	}
}

static void
drop(struct sts_entries *from, size_t *n, struct sts_entry *e)
{
	TAILQ_REMOVE(from, e, by_use);
	--*n;
	LIST_REMOVE(e, by_name);
	sts_policy_free(e->policy);
	free(e->why);
	free(e);
}

/* The least used that nobody holds. */
static struct sts_entry *
find_victim(struct sts_entries *entries)
{
	struct sts_entry *e;

	TAILQ_FOREACH_REVERSE(e, entries, sts_entries, by_use)
		if (e->job == NULL)
			return e;
	return NULL;
}

static void
make_room(struct sts_cache *c)
{
	struct sts_entry *e;

	while (c->nkept > c->max && (e = find_victim(&c->kept)) != NULL) {
		if (c->folder != -1)
			unlinkat(c->folder, e->domain, 0);
		drop(&c->kept, &c->nkept, e);
	}
	while (c->nfailed > STS_FAILED_MAX &&
	    (e = find_victim(&c->failed)) != NULL)
		drop(&c->failed, &c->nfailed, e);
}

static struct sts_entry *
entry_new(struct sts_cache *c, const char *domain)
{
	size_t n = strlen(domain) + 1;
	struct sts_entry *e = xcalloc(1, sizeof(*e) + n);

	memcpy(e->domain, domain, n);
	e->report = "";
	LIST_INSERT_HEAD(&c->buckets[hash_of(domain) % BUCKETS], e, by_name);
	return e;
}

/* Gives the entry another policy, or none. */
static void
replace(struct sts_cache *c, struct sts_entry *e, struct sts_policy *policy)
{
	unlist(c, e);
	sts_policy_free(e->policy);
	e->policy = policy;
	list(c, e);
}

/* ---- disk ---- */

/* NULL: no such file, or nothing usable in it. */
static struct sts_policy *
read_file(struct sts_cache *c, const char *domain, int64_t *fetched_s_r,
    struct timespec *mtime_r)
{
	struct sts_policy *policy = sts_file_read(c->folder, domain,
	    fetched_s_r, mtime_r);

	if (policy == NULL && errno == EBADMSG) {
		log_warning("mta_sts_cache: %s: damaged, removed", domain);
		unlinkat(c->folder, domain, 0);
	}
	return policy;
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Makes the entry, or brings it up to date, from its file. */
static struct sts_entry *
load(struct sts_cache *c, const char *domain)
{
	struct sts_entry *e = look_up(c, domain);
	struct sts_policy *policy;
	struct timespec mtime;
	int64_t fetched_s;

	policy = read_file(c, domain, &fetched_s, &mtime);
	if (policy == NULL)
		return e;
	if (e == NULL) {
		e = entry_new(c, domain);
		list(c, e);
	}
	e->mtime = mtime;
	if (e->policy != NULL && e->fetched_s >= fetched_s) {
		sts_policy_free(policy);	/* ours is newer */
		return e;
	}
	e->fetched_s = fetched_s;
	e->refresh_s = 0;
	replace(c, e, policy);
	return e;
}

static bool
is_changed(const struct sts_cache *c, const char *domain,
    const struct stat *st)
{
	const struct sts_entry *e = look_up(c, domain);

	return e == NULL || e->policy == NULL ||
	    !is_same_time(&e->mtime, &st->st_mtim);
}

static void
look_at_file(struct sts_cache *c, const char *name)
{
	struct sts_entry *e;
	struct stat st;

	if (fstatat(c->folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode))
		return;
	if (sts_file_is_leftover(name, &st, clock_wall_s())) {
		unlinkat(c->folder, name, 0);
		return;
	}
	if (!sts_file_is_name(name) || !is_changed(c, name, &st))
		return;
	if ((e = load(c, name)) != NULL) {
		sts_cache_expire(c, e, clock_wall_s());
		make_room(c);
	}
}

static void
crawl_end(struct sts_cache *c)
{
	if (c->dir != NULL)
		closedir(c->dir);
	c->dir = NULL;
	c->is_read = true;
}

/* Anew, if anything was written since the last time. */
static bool
crawl_begin(struct sts_cache *c)
{
	struct stat st;
	int fd;

	if (c->folder == -1 || fstat(c->folder, &st) == -1 ||
	    (c->is_read && is_same_time(&st.st_mtim, &c->mtime)))
		return false;
	fd = openat(c->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return false;
	if ((c->dir = fdopendir(fd)) == NULL) {
		close(fd);
		return false;
	}
	c->mtime = st.st_mtim;
	return true;
}

bool
sts_cache_crawl(struct sts_cache *c, unsigned nfiles)
{
	struct dirent *d;

	if (c->dir == NULL && !crawl_begin(c))
		return false;
	for (; nfiles > 0; nfiles--) {
		if ((d = readdir(c->dir)) == NULL) {
			crawl_end(c);
			return false;
		}
		look_at_file(c, d->d_name);
	}
	return true;
}

/* ---- the cache ---- */

struct sts_cache *
sts_cache_new(const char *folder, size_t max, char *error, size_t size)
{
	struct sts_cache *c;
	int fd = -1;

	if (folder != NULL && *folder != '\0') {
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) ==
		    -1) {
			snprintf(error, size, "mta_sts_cache: %s: %m",
			    folder);
			if (fd != -1)
				close(fd);
			return NULL;
		}
	}
	c = xcalloc(1, sizeof(*c));
	c->max = max;
	c->folder = fd;
	c->is_read = fd == -1;
	TAILQ_INIT(&c->kept);
	TAILQ_INIT(&c->failed);
	return c;
}

void
sts_cache_free(struct sts_cache *c)
{
	struct sts_entry *e;

	if (c == NULL)
		return;
	while ((e = TAILQ_FIRST(&c->kept)) != NULL)
		drop(&c->kept, &c->nkept, e);
	while ((e = TAILQ_FIRST(&c->failed)) != NULL)
		drop(&c->failed, &c->nfailed, e);
	if (c->dir != NULL)
		closedir(c->dir);
	if (c->folder != -1)
		close(c->folder);
	free(c);
}

struct sts_entry *
sts_cache_find(struct sts_cache *c, const char *domain)
{
	struct sts_entry *e = look_up(c, domain);

	if (e == NULL && !c->is_read && sts_file_is_name(domain)) {
		e = load(c, domain);
		make_room(c);
		return e != NULL ? look_up(c, domain) : NULL;
	}
	if (e != NULL) {
		unlist(c, e);
		list(c, e);
	}
	return e;
}

struct sts_entry *
sts_cache_need(struct sts_cache *c, const char *domain)
{
	struct sts_entry *e = sts_cache_find(c, domain);

	if (e != NULL)
		return e;
	e = entry_new(c, domain);
	list(c, e);
	make_room(c);		/* the new one is the last to go */
	return e;
}

int
sts_cache_put(struct sts_cache *c, struct sts_entry *e,
    struct sts_policy *policy, int64_t fetched_s)
{
	int rc = 0;

	e->fetched_s = fetched_s;
	replace(c, e, policy);
	if (c->folder != -1 && sts_file_is_name(e->domain))
		rc = sts_file_write(c->folder, e->domain, policy, fetched_s,
		    &e->mtime);
	if (rc == -1 && !c->has_warned)
		log_warning("mta_sts_cache: %s: %m; the policy is kept in "
		    "memory only", e->domain);
	c->has_warned = rc == -1;
	make_room(c);
	return rc;
}

bool
sts_cache_reread(struct sts_cache *c, struct sts_entry *e)
{
	int64_t before_s = e->fetched_s;
	struct stat st;

	if (c->folder == -1 || fstatat(c->folder, e->domain, &st,
	    AT_SYMLINK_NOFOLLOW) == -1 || !is_changed(c, e->domain, &st))
		return false;
	load(c, e->domain);
	return e->policy != NULL && e->fetched_s != before_s;
}

static bool
is_expired(const struct sts_entry *e, int64_t at_s)
{
	int64_t age_s = e->policy->max_age_s > STS_AGE_MIN_S ?
	    e->policy->max_age_s : STS_AGE_MIN_S;

	return at_s >= e->fetched_s + age_s;
}

void
sts_cache_expire(struct sts_cache *c, struct sts_entry *e, int64_t at_s)
{
	if (e->policy == NULL || !is_expired(e, at_s))
		return;
	/* Another process may have a new one there. */
	if (sts_cache_reread(c, e) && !is_expired(e, at_s))
		return;
	if (c->folder != -1)
		unlinkat(c->folder, e->domain, 0);
	replace(c, e, NULL);
}

size_t
sts_cache_count(const struct sts_cache *c)
{
	return c->nkept;
}

const struct sts_entries *
sts_cache_kept(const struct sts_cache *c)
{
	return &c->kept;
}
