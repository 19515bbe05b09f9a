/*
 * sts_file.c - a policy of MTA-STS as a file:
 *
 *	domain: example.com
 *	id: 20260101
 *	fetched: 1767225600
 *	(the policy, as the domain would write it)
 *	end: example.com
 *
 * No fsync(): all deliveries would wait for the disk, which beside a mail queue
 * is a busy one.  What a crash of the machine leaves in part has no end line
 * and is asked for anew, as if it had never been there.
 */
#include "route/sts_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "route/sts_policy.h"
#include "route/sts_record.h"

#define SIZE_MAX_BYTES	(STS_BODY_MAX + 1024)
#define TEMPORARY	".tmp."
#define LEFTOVER_S	600	/* nobody writes for so long */
#define AHEAD_S		86400	/* the clock was wrong then */

bool
sts_file_is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < DNS_NAME_MAX && name[0] != '.' &&
	    name[n - 1] != '.' && strspn(name,
	    "abcdefghijklmnopqrstuvwxyz0123456789-_.") == n;
}

bool
sts_file_is_leftover(const char *name, const struct stat *st, int64_t now_s)
{
	return strncmp(name, TEMPORARY, sizeof(TEMPORARY) - 1) == 0 &&
	    now_s - st->st_mtime > LEFTOVER_S;
}

/* ---- writing ---- */

static int
format(struct buf *b, const char *domain, const struct sts_policy *policy,
    int64_t fetched_s)
{
	if (buf_printf(b, "domain: %s\nid: %s\nfetched: %lld\n", domain,
	    policy->id, (long long)fetched_s) == -1 ||
	    sts_policy_format(policy, b) == -1)
		return -1;
	return buf_printf(b, "end: %s\n", domain);
}

static int
write_temporary(int folder, const char *name, const struct buf *b,
    struct timespec *mtime_r)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0644), error = 0;
	struct stat st;

	if (fd == -1)
		return -1;
	if (file_write_all(fd, buf_data(b), buf_len(b)) == -1 ||
	    fstat(fd, &st) == -1)
		error = errno;
	else
		*mtime_r = st.st_mtim;
	if (close(fd) == -1 && error == 0)
		error = errno;
	errno = error;
	return error == 0 ? 0 : -1;
}

int
sts_file_write(int folder, const char *domain,
    const struct sts_policy *policy, int64_t fetched_s,
    struct timespec *mtime_r)
{
	static unsigned count;
	char name[64];
	struct buf b;
	int rc = -1, error;

	snprintf(name, sizeof(name), TEMPORARY "%ld.%u", (long)getpid(),
	    count++);
	buf_init(&b, SIZE_MAX_BYTES);
	if (format(&b, domain, policy, fetched_s) == 0 &&
	    write_temporary(folder, name, &b, mtime_r) == 0)
		rc = renameat(folder, name, folder, domain);
	error = errno;
	if (rc == -1)
		unlinkat(folder, name, 0);
	buf_clear(&b);
	errno = error;
	return rc;
}

/* ---- reading ---- */

static ssize_t
read_all(int folder, const char *domain, char *to, size_t size,
    struct timespec *mtime_r)
{
	int fd = openat(folder, domain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK), error;
	struct stat st;
	ssize_t n = -1;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0) {
		*mtime_r = st.st_mtim;
		n = read(fd, to, size);
	}
	error = errno;
	close(fd);
	errno = error;
	return n;
}

/* "name: value\n" at *p; the value without its end. */
static bool
take(char **p, const char *name, char **value_r)
{
	size_t n = strlen(name);
	char *lf;

	if (strncmp(*p, name, n) != 0 || strncmp(*p + n, ": ", 2) != 0 ||
	    (lf = strchr(*p, '\n')) == NULL)
		return false;
	*lf = '\0';
	*value_r = *p + n + 2;
	*p = lf + 1;
	return true;
}

static bool
ends_well(const char *text, size_t n, const char *domain)
{
	char end[DNS_NAME_MAX + 16];
	size_t nend = (size_t)snprintf(end, sizeof(end), "\nend: %s\n",
	    domain);

	return n > nend && memcmp(text + n - nend, end, nend) == 0;
}

static struct sts_policy *
parse(char *text, size_t n, const char *domain, int64_t *fetched_s_r)
{
	char *p = text, *named, *id, *fetched, error[256];

	if (strlen(text) != n || !ends_well(text, n, domain) ||
	    !take(&p, "domain", &named) || strcmp(named, domain) != 0 ||
	    !take(&p, "id", &id) || strlen(id) >= STS_ID_MAX ||
	    !take(&p, "fetched", &fetched) || str_to_int64(fetched, 0,
	    clock_wall_s() + AHEAD_S, fetched_s_r) == -1)
		return NULL;
	return sts_policy_parse(p, n - (size_t)(p - text), id, error,
	    sizeof(error));
}

struct sts_policy *
sts_file_read(int folder, const char *domain, int64_t *fetched_s_r,
    struct timespec *mtime_r)
{
	char *text = malloc(SIZE_MAX_BYTES + 1);
	struct sts_policy *policy = NULL;
	ssize_t n = -1;
	int error = 0;

	if (text != NULL)
		n = read_all(folder, domain, text, SIZE_MAX_BYTES, mtime_r);
	if (n == -1)
		error = errno;
	else {
		text[n] = '\0';
		policy = parse(text, (size_t)n, domain, fetched_s_r);
		if (policy == NULL)
			error = EBADMSG;
	}
	free(text);
	errno = error;
	return policy;
}
