/*
 * secret.c - passwords and tokens: read from files, kept, wiped.
 *
 * Reads small files without waiting, from the loop's thread.
 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define FRESH_S		2	/* no file system's clock is coarser */

static void __attribute__((format(printf, 4, 5)))
complain(char *error, size_t size, const char *path, const char *fmt, ...)
{
	char	shown[512];
	va_list	ap;
	int	n;

	str_escape(shown, sizeof(shown), path, strlen(path));
	n = snprintf(error, size, "%s: ", shown);
	if (n < 0 || (size_t)n >= size)
		return;
	va_start(ap, fmt);
	vsnprintf(error + n, size - (size_t)n, fmt, ap);
	va_end(ap);
}

/* NULL, or what is wrong with who may read a file. */
static const char *
check_mode(const struct stat *st)
{
	if ((st->st_mode & S_IRWXO) != 0)
		return "others have access to the file; chmod o= it";
	if ((st->st_mode & S_IRWXG) == 0)
		return NULL;
	if (st->st_uid != 0)
		return "its group has access to the file; chmod g= it, or "
		    "give it to root";
	if ((st->st_mode & S_IWGRP) != 0)
		return "its group can write to the file; chmod g-w it";
	if (geteuid() != 0 && st->st_gid != getegid() && st->st_gid != 0)
		return "a group other than the agent's can read the file";
	return NULL;
}

/* An open file that may hold a secret, or -1. */
static int
open_file(const char *path, struct stat *st, char *error, size_t size)
{
	const char	*why = NULL;
	int		 fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1 || fstat(fd, st) == -1)
		why = strerror(errno);
	else if (!S_ISREG(st->st_mode))
		why = "is not a regular file";
	else if ((why = check_mode(st)) == NULL) {
		if (st->st_size <= SECRET_BYTES_MAX)
			return fd;
		why = "is larger than 64 KiB";
	}
	complain(error, size, path, "%s", why);
	if (fd != -1)
		close(fd);
	return -1;
}

/* All of a file into room for SECRET_BYTES_MAX + 1; 0, or an errno. */
static int
read_all(int fd, char *to, size_t *len_r)
{
	size_t	len = 0;
	ssize_t	n;

	do {
		n = read(fd, to + len, SECRET_BYTES_MAX + 1 - len);
		if (n == -1 && errno != EINTR)
			return errno;
		if (n > 0)
			len += (size_t)n;
	} while (n != 0 && len <= SECRET_BYTES_MAX);
	*len_r = len;
	return len > SECRET_BYTES_MAX ? EFBIG : 0;
}

static void
take_stamp(struct secret_stamp *stamp, const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	stamp->dev = st->st_dev;
	stamp->ino = st->st_ino;
	stamp->size = st->st_size;
	stamp->mtime = st->st_mtim;
	stamp->ctime = st->st_ctim;
	stamp->is_fresh = now.tv_sec - st->st_ctim.tv_sec < FRESH_S;
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
is_same_file(const struct secret_stamp *a, const struct secret_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    is_same_time(&a->mtime, &b->mtime) &&
	    is_same_time(&a->ctime, &b->ctime);
}

static size_t
without_line_end(const char *s, size_t n)
{
	if (n > 0 && s[n - 1] == '\n')
		n -= n > 1 && s[n - 2] == '\r' ? 2 : 1;
	return n;
}

/* The stamp tells of the file before it is read: what comes later shows. */
static char *
read_file(const char *path, size_t *len_r, struct secret_stamp *stamp,
    char *error, size_t size)
{
	char		*all, *value = NULL;
	struct stat	 st;
	size_t		 n = 0, len;
	int		 fd, status;

	if ((fd = open_file(path, &st, error, size)) == -1)
		return NULL;
	take_stamp(stamp, &st);
	all = xmalloc(SECRET_BYTES_MAX + 1);
	status = read_all(fd, all, &n);
	close(fd);
	len = without_line_end(all, n);
	if (status != 0)
		complain(error, size, path, "%s", strerror(status));
	else if (len == 0)
		complain(error, size, path, "is empty");
	else if (memchr(all, '\0', len) != NULL)
		complain(error, size, path, "has a NUL byte");
	else {
		value = xmalloc(len + 1);
		memcpy(value, all, len);
		value[len] = '\0';
		*len_r = len;
	}
	explicit_bzero(all, SECRET_BYTES_MAX + 1);
	free(all);
	return value;
}

char *
secret_read(const char *path, size_t *len_r, char *error, size_t size)
{
	struct secret_stamp stamp;

	return read_file(path, len_r, &stamp, error, size);
}

void
secret_free(char *value, size_t len)
{
	if (value != NULL)
		explicit_bzero(value, len);
	free(value);
}

void
secret_set(struct secret *s, const char *value)
{
	char *copy = xstrdup(value);	/* value may be the old one */

	secret_clear(s);
	s->value = copy;
	s->len = strlen(copy);
}

void
secret_set_file(struct secret *s, const char *path)
{
	char *copy = xstrdup(path);

	secret_clear(s);
	s->path = copy;
}

bool
secret_is_set(const struct secret *s)
{
	return s->path != NULL || s->value != NULL;
}

int
secret_refresh(struct secret *s, char *error, size_t size)
{
	struct secret_stamp stamp = s->stamp;
	struct stat st;
	char *value;
	size_t len = 0;

	if (s->path == NULL)
		return 0;
	if (s->value != NULL && !s->stamp.is_fresh &&
	    stat(s->path, &st) == 0) {
		take_stamp(&stamp, &st);
		if (is_same_file(&s->stamp, &stamp))
			return 0;
	}
	value = read_file(s->path, &len, &stamp, error, size);
	if (value == NULL || s->value == NULL || len != s->len ||
	    memcmp(value, s->value, len) != 0 ||
	    !is_same_file(&s->stamp, &stamp))
		s->changes++;
	secret_free(s->value, s->len);
	s->value = value;
	s->len = len;
	s->stamp = stamp;
	return value == NULL ? -1 : 0;
}

void
secret_clear(struct secret *s)
{
	secret_free(s->value, s->len);
	free(s->path);
	memset(s, 0, sizeof(*s));
}

int
credentials_refresh(struct credentials *c, char *error, size_t size)
{
	if (secret_refresh(&c->password, error, size) == -1)
		return -1;
	return secret_refresh(&c->token, error, size);
}

uint32_t
credentials_changes(const struct credentials *c)
{
	return c->password.changes + c->token.changes;
}

static void
forget(char **s)
{
	if (*s != NULL)
		secret_free(*s, strlen(*s));
	*s = NULL;
}

void
credentials_clear(struct credentials *c)
{
	forget(&c->username);
	forget(&c->authzid);
	secret_clear(&c->password);
	secret_clear(&c->token);
	c->has_certificate = false;
}
