/*
 * maildir.c - messages as files: written in tmp/, complete in new/.
 */
#include "maildir.h"

#include <sys/stat.h>
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER		16384

struct maildir {
	int		tmp, new;	/* the two folders */
	unsigned	count;		/* files made, for their names */
	bool		is_synced;
};

struct maildir_draft {
	struct maildir	*dir;		/* borrowed */
	int		 fd;
	int		 error;		/* errno of the first failure */
	bool		 is_published;
	bool		 has_cr;	/* held back: LF may follow */
	off_t		 text_at;	/* where the headers end */
	size_t		 used;
	char		 name[64];
	char		 buffer[BUFFER];
};

static int
open_part(int at, const char *name)
{
	if (mkdirat(at, name, 0700) == -1 && errno != EEXIST)
		return -1;
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct maildir *
maildir_open(const char *path, bool is_synced)
{
	struct maildir *m;
	int at, cur, saved;

	if ((at = open_part(AT_FDCWD, path)) == -1)
		return NULL;
	if ((m = calloc(1, sizeof *m)) == NULL) {
		close(at);
		return NULL;
	}
	m->is_synced = is_synced;
	m->tmp = open_part(at, "tmp");
	m->new = open_part(at, "new");
	cur = open_part(at, "cur");
	saved = errno;
	close(at);
	if (cur != -1)
		close(cur);
	if (m->tmp == -1 || m->new == -1 || cur == -1) {
		maildir_close(m);
		errno = saved;
		return NULL;
	}
	return m;
}

void
maildir_close(struct maildir *m)
{
	if (m == NULL)
		return;
	if (m->tmp != -1)
		close(m->tmp);
	if (m->new != -1)
		close(m->new);
	free(m);
}

struct maildir_draft *
maildir_draft_new(struct maildir *m)
{
	struct maildir_draft *d;
	struct timeval now;

	if ((d = malloc(sizeof *d)) == NULL)
		return NULL;
	memset(d, 0, offsetof(struct maildir_draft, buffer));
	d->dir = m;
	gettimeofday(&now, NULL);
	/* Fixed widths: the names sort by time and then by arrival. */
	snprintf(d->name, sizeof d->name, "%lld.M%06ldP%dQ%08u.sink",
	    (long long)now.tv_sec, (long)now.tv_usec, (int)getpid(),
	    ++m->count);
	d->fd = openat(m->tmp, d->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (d->fd == -1) {
		free(d);
		return NULL;
	}
	return d;
}

static void
write_out(struct maildir_draft *d, const char *p, size_t n)
{
	ssize_t done;

	for (; n > 0 && d->error == 0; p += done, n -= done)
		if ((done = write(d->fd, p, n)) == -1) {
			if (errno != EINTR)
				d->error = errno;
			done = 0;
		}
}

static void
flush(struct maildir_draft *d)
{
	write_out(d, d->buffer, d->used);
	d->used = 0;
}

static void
add(struct maildir_draft *d, const char *p, size_t n)
{
	if (n > BUFFER - d->used)
		flush(d);
	if (n >= BUFFER) {
		write_out(d, p, n);
		return;
	}
	memcpy(d->buffer + d->used, p, n);
	d->used += n;
}

void
maildir_draft_header(struct maildir_draft *d, const char *name,
    const char *value)
{
	const char *p;
	char c;

	add(d, name, strlen(name));
	add(d, ": ", 2);
	for (p = value; *p != '\0'; p++) {
		c = (unsigned char)*p < ' ' || *p == '\x7f' ? '?' : *p;
		add(d, &c, 1);
	}
	add(d, "\n", 1);
	d->text_at += strlen(name) + 2 + strlen(value) + 1;
}

void
maildir_draft_text(struct maildir_draft *d, const char *p, size_t n)
{
	const char *cr;
	size_t k;

	while (n > 0) {
		if (d->has_cr && *p != '\n')	/* a bare CR stays */
			add(d, "\r", 1);
		d->has_cr = false;
		cr = memchr(p, '\r', n);
		k = cr != NULL ? (size_t)(cr - p) : n;
		add(d, p, k);
		p += k;
		n -= k;
		if (n > 0) {
			d->has_cr = true;
			p++;
			n--;
		}
	}
}

static void
finish_text(struct maildir_draft *d)
{
	if (d->has_cr)
		add(d, "\r", 1);
	d->has_cr = false;
	flush(d);
}

void
maildir_draft_copy(struct maildir_draft *d, struct maildir_draft *from)
{
	off_t at = from->text_at;
	ssize_t n;

	finish_text(from);
	if (from->error != 0)
		d->error = from->error;
	flush(d);
	while (d->error == 0) {
		n = pread(from->fd, d->buffer, BUFFER, at);
		if (n == 0)
			break;
		if (n == -1 && errno != EINTR)
			d->error = errno;
		if (n == -1)
			continue;
		write_out(d, d->buffer, n);
		at += n;
	}
}

int
maildir_draft_publish(struct maildir_draft *d)
{
	struct maildir *m = d->dir;

	finish_text(d);
	if (d->error != 0) {
		errno = d->error;
		return -1;
	}
	if (m->is_synced && fsync(d->fd) == -1)
		return -1;
	if (renameat(m->tmp, d->name, m->new, d->name) == -1)
		return -1;
	d->is_published = true;
	if (m->is_synced && fsync(m->new) == -1)
		return -1;
	return 0;
}

void
maildir_draft_free(struct maildir_draft *d)
{
	if (d == NULL)
		return;
	if (!d->is_published)
		unlinkat(d->dir->tmp, d->name, 0);
	close(d->fd);
	free(d);
}
