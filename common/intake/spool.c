/* spool.c - the body of a message being taken in. */
#include "intake/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/file.h"
#include "mail/frame.h"

#define WRITE_BYTES	(64 * 1024)	/* gathered before a write */
#define SPOOL_BUF_MAX	(4 * WRITE_BYTES)
#define PIECE_BYTES	(16 * 1024)	/* normalized at once */

int
spool_store_open(struct spool_store *st, const char *folder, char *error,
    size_t size)
{
	st->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (st->folder != -1)
		return 0;
	snprintf(error, size, "spool_directory %s: %s", folder,
	    strerror(errno));
	return -1;
}

void
spool_store_close(struct spool_store *st)
{
	if (st->folder != -1)
		close(st->folder);
	st->folder = -1;
}

void
spool_init(struct spool *s, struct spool_store *st, uint64_t max,
    bool normalize)
{
	memset(s, 0, sizeof(*s));
	s->store = st;
	s->fd = -1;
	s->max = max;
	s->normalize = normalize;
	buf_init(&s->buf, SPOOL_BUF_MAX);
	crlf_init(&s->crlf, false);
	body_scan_init(&s->scan);
}

void
spool_clear(struct spool *s)
{
	if (s->fd != -1) {
		close(s->fd);
		if (!s->is_file)
			s->store->memory_used -= s->written;
	}
	s->fd = -1;
	s->written = 0;
	buf_clear(&s->buf);
}

/* ---- where it is kept ---- */

/* A file without a name, also where the file system has no O_TMPFILE. */
static int
temporary_file(struct spool_store *st)
{
	char name[40];
	int fd, i;

	fd = openat(st->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd != -1 || (errno != EOPNOTSUPP && errno != EISDIR &&
	    errno != EINVAL))
		return fd;
	for (i = 0; fd == -1 && i < 10; i++) {
		snprintf(name, sizeof(name), "nexthop.%08x%08x",
		    arc4random(), arc4random());
		fd = openat(st->folder, name, O_CREAT | O_EXCL | O_RDWR |
		    O_CLOEXEC, 0600);
		if (fd == -1 && errno != EEXIST)
			break;
	}
	if (fd != -1)
		unlinkat(st->folder, name, 0);
	return fd;
}

static bool
fits_memory(const struct spool *s, uint64_t more)
{
	return s->written + more <= s->store->memory_limit &&
	    s->store->memory_used + more <= s->store->memory_total;
}

static int
open_fd(struct spool *s, uint64_t more)
{
	s->is_file = !fits_memory(s, more);
	s->fd = s->is_file ? temporary_file(s->store) :
	    memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	s->store->files += s->is_file && s->fd != -1;
	return s->fd == -1 ? -1 : 0;
}

/* What a memfd holds goes on in a file. */
static int
move_to_file(struct spool *s)
{
	int fd = temporary_file(s->store);
	off_t at = 0;
	ssize_t did;

	if (fd == -1)
		return -1;
	while ((uint64_t)at < s->written) {
		did = sendfile(fd, s->fd, &at, s->written - (uint64_t)at);
		if (did == -1 && errno == EINTR)
			continue;
		if (did <= 0) {
			close(fd);
			return -1;
		}
	}
	close(s->fd);
	s->store->memory_used -= s->written;
	s->store->files++;
	s->fd = fd;
	s->is_file = true;
	return 0;
}

/* What is gathered goes to the descriptor; `error` is set where it cannot. */
static void
flush(struct spool *s)
{
	size_t n = buf_len(&s->buf);

	if (s->error != 0 || n == 0)
		return;
	if ((s->fd == -1 && open_fd(s, n) == -1) ||
	    (!s->is_file && !fits_memory(s, n) && move_to_file(s) == -1) ||
	    file_write_all(s->fd, buf_data(&s->buf), n) == -1) {
		s->error = errno;
		buf_clear(&s->buf);
		return;
	}
	s->written += n;
	if (!s->is_file)
		s->store->memory_used += n;
	buf_consume(&s->buf, n);
}

void
spool_expect(struct spool *s, uint64_t len)
{
	if (len > s->store->memory_limit && s->fd == -1 && s->error == 0 &&
	    buf_is_empty(&s->buf) && open_fd(s, len) == -1)
		s->error = errno;
}

/* ---- what comes ---- */

static void
keep(struct spool *s, const char *p, size_t n)
{
	body_scan_add(&s->scan, p, n);
	for (; n > WRITE_BYTES; p += WRITE_BYTES, n -= WRITE_BYTES) {
		buf_add(&s->buf, p, WRITE_BYTES);
		flush(s);
	}
	buf_add(&s->buf, p, n);
	if (buf_len(&s->buf) > (s->fd == -1 ? FRAME_INLINE_BODY_MAX :
	    WRITE_BYTES))
		flush(s);
}

static void
keep_normalized(struct spool *s, const char *p, size_t n)
{
	char piece[2 * PIECE_BYTES + 4];	/* crlf_room() */
	size_t some;

	for (; n > 0; p += some, n -= some) {
		some = n < PIECE_BYTES ? n : PIECE_BYTES;
		keep(s, piece, crlf_convert(&s->crlf, piece, p, some));
	}
}

void
spool_add(void *arg, const char *p, size_t n)
{
	struct spool *s = arg;

	s->len += n;
	if (s->error != 0 || spool_is_too_large(s))
		return;
	if (s->normalize)
		keep_normalized(s, p, n);
	else
		keep(s, p, n);
}

int
spool_finish(struct spool *s, struct body *body)
{
	char end[2];

	if (s->normalize && s->error == 0)
		keep(s, end, s->crlf.after_cr ? crlf_finish(&s->crlf, end) : 0);
	/* A last line without its end is no bare CR or LF. */
	s->has_bare = !s->scan.facts.is_clean || s->scan.after_cr;
	body_scan_finish(&s->scan);
	if (s->fd != -1)
		flush(s);
	if (s->error == 0 && s->fd != -1 && !s->is_file &&
	    fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL) == -1)
		s->error = errno;
	if (s->error != 0)
		return -1;
	*body = (struct body){ .fd = s->fd, .len = s->fd == -1 ?
	    buf_len(&s->buf) : s->written };
	if (s->fd == -1)
		body->mem = buf_is_empty(&s->buf) ? "" : buf_data(&s->buf);
	return 0;
}
