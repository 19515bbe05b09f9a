/*
 * front_postfix_message.c - the message of a request, from the queue file.
 *
 * One that is not large is put together in memory.  A larger one is copied out
 * of the records into a memfd, or beyond what all may take there into an
 * unlinked file beside the queue file, so that agents see plain bytes and
 * memory stays flat; piece by piece, between which others have their turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/front_postfix.h"
#include "base/log.h"

#define PIECE_BYTES	(64 * 1024)
#define INLINE_MAX	(32 * 1024)
#define MEMFD_MAX	((uint64_t)4 * 1024 * 1024)	/* one message */
#define MEMORY_MAX	((uint64_t)64 * 1024 * 1024)	/* all of them */
#define COPY_STEPS	16			/* pieces in one turn */

static char scratch[PIECE_BYTES];	/* nothing stays in it over a turn */

static void
cannot_read(struct job *j)
{
	if (errno == EBADMSG) {
		log_error("%s: the queue file is damaged at offset %lld",
		    j->req.queue_id, (long long)j->content.at);
		if (pf_queue_corrupt(j->queue_fd) == -1)
			log_warning("%s: putting it aside: %s",
			    j->req.queue_id, strerror(errno));
	} else
		log_warning("%s: reading the queue file: %s",
		    j->req.queue_id, strerror(errno));
	job_refuse(j);
}

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t did;

	for (; n > 0; p += did, n -= (size_t)did)
		if ((did = write(fd, p, n)) == -1) {
			if (errno != EINTR)
				return -1;
			did = 0;
		}
	return 0;
}

/* Files of the queue's own: there is room for messages where messages are. */
static int
open_copy(struct job *j)
{
	struct postfix_front *f = j->f;
	uint64_t size = j->req.size > 0 ? (uint64_t)j->req.size : 0;
	int fd;

	if (size <= MEMFD_MAX && f->memory + size <= MEMORY_MAX) {
		f->memory += size;
		j->memory = size;
		return memfd_create("message", MFD_CLOEXEC |
		    MFD_ALLOW_SEALING);
	}
	fd = open(j->req.queue_name, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR))
		fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static void
cannot_copy(struct job *j)
{
	job_fail(j, CAUSE_LOCAL_ERROR, arena_printf(j->arena,
	    "copying the message: %s", strerror(errno)));
}

static void
copy_some(void *arg)
{
	struct job *j = arg;
	int64_t n = 0;
	int i;

	for (i = 0; i < COPY_STEPS; i++) {
		n = pf_content_read(&j->content, j->queue_fd, scratch,
		    sizeof(scratch));
		if (n == -1) {
			cannot_read(j);
			return;
		}
		if (n == 0)
			break;
		if (write_all(j->body_fd, scratch, (size_t)n) == -1) {
			cannot_copy(j);
			return;
		}
		body_scan_add(&j->scan, scratch, (size_t)n);
		j->body_len += (uint64_t)n;
	}
	if (!j->content.is_over) {
		timer_set(&j->step, 0);
		return;
	}
	body_scan_finish(&j->scan);
	fcntl(j->body_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL);	/* a file takes none */
	job_deliver(j, NULL);
}

static void
begin_copy(struct job *j, const char *start, size_t n)
{
	j->state = JOB_COPYING;
	timer_init(&j->step, j->f->agent->loop, copy_some, j);
	body_scan_init(&j->scan);
	if ((j->body_fd = open_copy(j)) == -1 ||
	    write_all(j->body_fd, start, n) == -1) {
		cannot_copy(j);
		return;
	}
	body_scan_add(&j->scan, start, n);
	j->body_len = n;
	copy_some(j);
}

/* The message, or as much of it as makes it a large one. */
void
job_read_message(struct job *j)
{
	size_t n = 0;
	int64_t did;

	pf_content_init(&j->content, j->req.offset);
	while (!j->content.is_over && n <= INLINE_MAX) {
		did = pf_content_read(&j->content, j->queue_fd, scratch + n,
		    sizeof(scratch) - n);
		if (did == -1) {
			cannot_read(j);
			return;
		}
		n += (size_t)did;
	}
	if (n > INLINE_MAX)
		begin_copy(j, scratch, n);
	else {
		j->body_len = n;
		job_deliver(j, scratch);
	}
}
