/*
 * test_sts_cache.c - MTA-STS policies in memory and on disk: what outlives a
 * process, a crash in the middle, a damaged file, a disk that is full.
 */
#include "route/sts_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "route/sts_policy.h"
#include "test.h"

static char folder[] = "/tmp/test_sts.XXXXXX";

static const char *
at(const char *name)
{
	static char text[4][400];
	static unsigned turn;
	char *to = text[turn++ % 4];

	snprintf(to, sizeof(text[0]), "%s/%s", folder, name);
	return to;
}

static int64_t
now_s(void)
{
	return clock_wall_ms() / 1000;
}

static struct sts_policy *
policy(const char *id, int nmx, long max_age)
{
	char text[4096], error[256];
	struct sts_policy *p;
	size_t n;
	int i;

	n = (size_t)snprintf(text, sizeof(text), "version: STSv1\n"
	    "mode: enforce\nmax_age: %ld\n", max_age);
	for (i = 0; i < nmx; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "mx: m%d.example\n", i);
	p = sts_policy_parse(text, n, id, error, sizeof(error));
	if (p == NULL)
		diag("%s", error);
	return p;
}

static struct sts_cache *
cache(size_t max)
{
	char error[512] = "";
	struct sts_cache *c = sts_cache_new(folder, max, error,
	    sizeof(error));

	if (c == NULL)
		diag("%s", error);
	return c;
}

static int
put(struct sts_cache *c, const char *domain, const char *id)
{
	return sts_cache_put(c, sts_cache_need(c, domain),
	    policy(id, 2, 86400), now_s());
}

/* "", or the id of the policy that is kept. */
static const char *
kept(struct sts_cache *c, const char *domain)
{
	struct sts_entry *e = sts_cache_find(c, domain);

	return e != NULL && e->policy != NULL ? e->policy->id : "";
}

static void
crawl(struct sts_cache *c)
{
	while (sts_cache_crawl(c, 2))
		;
}

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");

	fputs(text, f);
	fclose(f);
}

static bool
is_there(const char *name)
{
	return access(at(name), F_OK) == 0;
}

static unsigned
count_files(void)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static void
clear_folder(void)
{
	DIR *dir = opendir(folder);
	struct dirent *d;

	while ((d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0)
			unlinkat(dirfd(dir), d->d_name, 0);
	closedir(dir);
}

static void
test_restart(void)
{
	struct sts_cache *c = cache(100);
	struct sts_entry *e;

	is_str(kept(c, "a.example"), "", "nothing yet");
	is_int(put(c, "a.example", "1"), 0, "a policy is written");
	is_str(kept(c, "a.example"), "1", "... and kept");
	is_int(put(c, "a.example", "2"), 0, "a newer one");
	is_str(kept(c, "a.example"), "2", "... instead of it");
	is_int(put(c, "b.example", "3"), 0, "another domain's");
	is_int((int)count_files(), 2, "a file for each");
	sts_cache_free(c);

	c = cache(100);
	is_str(kept(c, "a.example"), "2", "after a restart: found before the "
	    "folder is read");
	crawl(c);
	is_int((int)sts_cache_count(c), 2, "... and all of them after that");
	e = sts_cache_find(c, "b.example");
	ok(e->policy->nmx == 2 && e->policy->mode == STS_MODE_ENFORCE &&
	    e->policy->max_age_s == 86400 && now_s() - e->fetched_s < 100,
	    "as they were");
	is_str(kept(c, "c.example"), "", "but no other");
	ok(!sts_cache_crawl(c, 10), "nothing new to read");
	sts_cache_free(c);
	clear_folder();
}

static void
test_expire(void)
{
	struct sts_cache *c = cache(100);
	struct sts_entry *e = sts_cache_need(c, "a.example");

	sts_cache_put(c, e, policy("1", 1, 3600), now_s() - 3599);
	sts_cache_expire(c, e, now_s());
	is_str(kept(c, "a.example"), "1", "until max_age");
	sts_cache_expire(c, e, now_s() + 2);
	is_str(kept(c, "a.example"), "", "and not longer");
	ok(!is_there("a.example"), "nor on disk");
	sts_cache_put(c, e, policy("2", 1, 0), now_s());
	sts_cache_expire(c, e, now_s() + STS_AGE_MIN_S - 2);
	is_str(kept(c, "a.example"), "2", "max_age 0 is a minute");
	sts_cache_put(c, e, policy("3", 1, 3600), now_s() - 7200);
	sts_cache_free(c);
	c = cache(100);
	crawl(c);
	is_str(kept(c, "a.example"), "", "one that ran out while nobody ran");
	is_int((int)count_files(), 0, "... is removed");
	sts_cache_free(c);
}

static void
test_damaged(void)
{
	static const char *const texts[] = {
		"",
		"domain: a.example\nid: 1\nfetched: 1\n",
		"domain: a.example\nid: 1\nfetched: 1700000000\n"
		    "version: STSv1\nmode: none\nmax_age: 86400\nend: a.exam",
		"domain: b.example\nid: 1\nfetched: 1700000000\n"
		    "version: STSv1\nmode: none\nmax_age: 86400\n"
		    "end: b.example\n",
		"domain: a.example\nid: 1\nfetched: 99999999999\n"
		    "version: STSv1\nmode: none\nmax_age: 86400\n"
		    "end: a.example\n",
		"domain: a.example\nid: 1\nfetched: 1700000000\n"
		    "version: STSv1\nmode: enforce\nmax_age: 86400\n"
		    "end: a.example\n",
		"domain: a.example\nid: 123456789012345678901234567890123\n"
		    "fetched: 1700000000\nversion: STSv1\nmode: none\n"
		    "max_age: 86400\nend: a.example\n",
	};
	struct sts_cache *c;
	size_t i;

	log_set(false, LOG_LEVEL_ERROR);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file("a.example", texts[i]);
		c = cache(100);
		is_str(kept(c, "a.example"), "", "damaged (%zu): ignored", i);
		ok(!is_there("a.example"), "... and removed");
		sts_cache_free(c);
	}
	/* Zeros where the data never reached the disk. */
	write_file("a.example", "");
	if (truncate(at("a.example"), 4096) == -1 ||
	    symlink("/etc/passwd", at("link.example")) == -1)
		diag("%s", strerror(errno));
	write_file("README", "not ours");
	write_file("Upper.example", "not ours");
	write_file(".hidden", "not ours");
	mkdir(at("folder.example"), 0755);
	c = cache(100);
	crawl(c);
	ok(!is_there("a.example"), "a file of zeros is removed");
	ok(is_there("README") && is_there(".hidden") &&
	    is_there("Upper.example"), "what cannot be ours stays");
	ok(is_there("link.example") && is_there("folder.example"),
	    "nor is a link followed");
	is_int((int)sts_cache_count(c), 0, "none of them is a policy");
	sts_cache_free(c);
	rmdir(at("folder.example"));
	log_set(false, LOG_LEVEL_WARNING);
	clear_folder();
}

static void
test_leftover(void)
{
	struct timespec times[2] = { { now_s() - 1000, 0 },
	    { now_s() - 1000, 0 } };
	struct sts_cache *c;

	write_file(".tmp.1.1", "domain: a.ex");
	write_file(".tmp.2.1", "domain: a.ex");
	utimensat(AT_FDCWD, at(".tmp.1.1"), times, 0);
	c = cache(100);
	crawl(c);
	ok(!is_there(".tmp.1.1"), "what a dead process left is removed");
	ok(is_there(".tmp.2.1"), "not what somebody may be writing");
	sts_cache_free(c);
	clear_folder();
}

/* Killed at any moment, again and again: a file is whole, or not there. */
static void
test_crash(void)
{
	unsigned round, nbad = 0, ngood = 0;
	struct sts_cache *c;
	const char *id;
	char name[32];
	pid_t pid;

	for (round = 0; round < 30; round++) {
		if ((pid = fork()) == 0) {
			c = cache(100);
			for (;;) {
				snprintf(name, sizeof(name), "%ld",
				    random() % 1000);
				sts_cache_put(c, sts_cache_need(c,
				    "a.example"), policy(name, 100, 86400),
				    now_s());
			}
		}
		usleep(1000 * (useconds_t)(1 + random() % 15));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (!is_there("a.example"))
			continue;
		c = cache(100);
		id = kept(c, "a.example");
		if (*id == '\0' ||
		    sts_cache_find(c, "a.example")->policy->nmx != 100)
			nbad++;
		else
			ngood++;
		sts_cache_free(c);
	}
	is_int(nbad, 0, "no file is damaged by kill -9 (%u were there)",
	    ngood);
	ok(ngood > 0, "... and some were written");
	clear_folder();
}

/* A write that fails in the middle, as on a full disk. */
static void
test_full(void)
{
	struct rlimit before, small;
	struct sts_cache *c = cache(100);
	int result, error;

	put(c, "a.example", "1");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 20;
	setrlimit(RLIMIT_FSIZE, &small);
	log_set(false, LOG_LEVEL_ERROR);
	result = put(c, "a.example", "2");
	error = errno;
	setrlimit(RLIMIT_FSIZE, &before);	/* stdout may be a file */
	is_int(result, -1, "a write that fails is told");
	is_int(error, EFBIG, "... with its reason");
	log_set(false, LOG_LEVEL_WARNING);
	is_str(kept(c, "a.example"), "2", "in memory it is new");
	is_int((int)count_files(), 1, "nothing half written stays");
	sts_cache_free(c);
	c = cache(100);
	is_str(kept(c, "a.example"), "1", "on disk it is the old one");
	sts_cache_free(c);
	clear_folder();
}

static void
test_bounds(void)
{
	struct sts_cache *c = cache(3);
	char name[32];
	int i;

	put(c, "a.example", "1");
	put(c, "b.example", "1");
	put(c, "c.example", "1");
	kept(c, "a.example");
	put(c, "d.example", "1");
	ok(*kept(c, "a.example") != '\0' && *kept(c, "b.example") == '\0',
	    "beyond the most the least used goes");
	is_int((int)count_files(), 3, "... from the disk too");
	for (i = 0; i < STS_FAILED_MAX + 100; i++) {
		snprintf(name, sizeof(name), "f%d.example", i);
		sts_cache_need(c, name);
	}
	is_int((int)sts_cache_count(c), 3, "domains without a policy push "
	    "out none that has one");
	ok(sts_cache_find(c, "f0.example") == NULL &&
	    sts_cache_find(c, name) != NULL, "but each other");
	sts_cache_free(c);
	c = cache(1);
	crawl(c);
	is_int((int)sts_cache_count(c), 1, "a smaller cache than before");
	is_int((int)count_files(), 1, "... removes the rest");
	sts_cache_free(c);
	clear_folder();
}

/* One that is being fetched is nobody's victim. */
static void
test_held(void)
{
	struct sts_cache *c = cache(1);
	struct sts_entry *e;

	put(c, "a.example", "1");
	e = sts_cache_find(c, "a.example");
	e->job = (struct sts_job *)(void *)c;
	put(c, "b.example", "1");
	is_str(kept(c, "a.example"), "1", "held");
	e->job = NULL;
	sts_cache_free(c);
	clear_folder();
}

static void
test_shared(void)
{
	struct sts_cache *one = cache(100), *two = cache(100);
	struct sts_entry *e;

	crawl(one);
	crawl(two);
	put(one, "a.example", "1");
	is_str(kept(two, "a.example"), "", "another process does not know");
	crawl(two);
	is_str(kept(two, "a.example"), "1", "... until it looks");
	e = sts_cache_find(one, "a.example");
	ok(!sts_cache_reread(one, e), "nobody has written since");
	usleep(20000);
	sts_cache_put(two, sts_cache_find(two, "a.example"),
	    policy("2", 1, 86400), now_s() + 1);
	ok(sts_cache_reread(one, e), "now somebody has");
	is_str(kept(one, "a.example"), "2", "... and that holds");
	e = sts_cache_find(two, "a.example");
	e->fetched_s += 100;		/* ours is newer than the file */
	usleep(20000);
	sts_cache_put(one, sts_cache_find(one, "a.example"),
	    policy("3", 1, 86400), now_s() + 2);
	sts_cache_reread(two, e);
	is_str(kept(two, "a.example"), "2", "an older file changes nothing");
	sts_cache_free(one);
	sts_cache_free(two);
	clear_folder();
}

static void
test_folder(void)
{
	char error[512] = "";
	struct sts_cache *c = sts_cache_new("/nonexistent", 1, error,
	    sizeof(error));

	ok(c == NULL, "%s", error);
	c = sts_cache_new("/etc/passwd", 1, error, sizeof(error));
	ok(c == NULL, "%s", error);
	c = sts_cache_new("", 10, error, sizeof(error));
	put(c, "a.example", "1");
	is_str(kept(c, "a.example"), "1", "without a folder: in memory");
	ok(!sts_cache_crawl(c, 1), "... with nothing to read");
	sts_cache_free(c);
	sts_cache_free(NULL);
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		diag("%s: %s", folder, strerror(errno));
	test_restart();
	test_expire();
	test_damaged();
	test_leftover();
	test_crash();
	test_full();
	test_bounds();
	test_held();
	test_shared();
	test_folder();
	clear_folder();
	rmdir(folder);
	return done_testing();
}
