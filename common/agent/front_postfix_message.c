/*
 * front_postfix_message.c - the message of a request, from the queue file.
 *
 * One that is not large is put together in memory.  A larger one is copied out
 * of the records into memory of its own, or beyond what all may take there into
 * an unlinked file beside the queue file, so that agents see plain bytes and
 * memory stays flat; piece by piece, between which others have their turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/front_postfix.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define PIECE_BYTES	(64 * 1024)
#define INLINE_MAX	(32 * 1024)
#define MEMORY_EACH	(4 * 1024 * 1024)
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

/*
 * Memory for the whole of a message, as large as Postfix says it is, while there
 * is room for it: with less than PIECE_BYTES left it proves to be larger.
 */
static void
open_memory(struct job *j)
{
	struct postfix_front *f = j->f;
	uint64_t size = j->req.size > 0 ? (uint64_t)j->req.size : 0;
	uint64_t room = size + (uint64_t)(2 * PIECE_BYTES);

	if (size > MEMORY_EACH || f->memory + room > MEMORY_MAX)
		return;
	j->memory = room;
	f->memory += j->memory;
	j->copy = xmalloc(sizeof(*j->copy) + j->memory);
	later_init(&j->copy->gone, free, j->copy);
}

/* Files of the queue's own: there is room for messages where messages are. */
static int
open_file(struct job *j)
{
	j->body_fd = open(j->req.queue_name, O_TMPFILE | O_RDWR | O_CLOEXEC,
	    0600);
	if (j->body_fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR))
		j->body_fd = memfd_create("message", MFD_CLOEXEC |
		    MFD_ALLOW_SEALING);
	return j->body_fd;
}

/* No delivery knows of it yet. */
static int
memory_to_file(struct job *j)
{
	if (open_file(j) == -1 ||
	    file_write_all(j->body_fd, j->copy->bytes, j->body_len) == -1)
		return -1;
	job_free_copy(j);
	return 0;
}

/* Its bytes may be looked at until the turn is over. */
void
job_free_copy(struct job *j)
{
	if (j->copy == NULL)
		return;
	loop_later(j->f->agent->loop, &j->copy->gone);
	j->copy = NULL;
	j->f->memory -= j->memory;
	j->memory = 0;
}

/* What there is of the copy goes first: defer(8) needs room to write it down. */
static void
cannot_copy(struct job *j)
{
	const char *why = strerror(errno);

	if (j->body_fd != -1)
		close(j->body_fd);
	j->body_fd = -1;
	job_free_copy(j);
	job_fail(j, CAUSE_LOCAL_ERROR, arena_printf(j->arena,
	    "copying the message: %s", why));
}

/* The next piece is in the message; -1: an answer was given. */
static int64_t
copy_piece(struct job *j)
{
	char *to = scratch;
	int64_t n;

	if (j->copy != NULL && j->memory - j->body_len < PIECE_BYTES &&
	    memory_to_file(j) == -1) {
		cannot_copy(j);
		return -1;
	}
	if (j->copy != NULL)
		to = j->copy->bytes + j->body_len;
	n = pf_content_read(&j->content, j->queue_fd, to, PIECE_BYTES);
	if (n == -1) {
		cannot_read(j);
		return -1;
	}
	if (j->copy == NULL && file_write_all(j->body_fd, to, (size_t)n) == -1) {
		cannot_copy(j);
		return -1;
	}
	body_scan_add(&j->scan, to, (size_t)n);
	j->body_len += (uint64_t)n;
	return n;
}

static void
copy_some(void *arg)
{
	struct job *j = arg;
	int64_t n = 1;
	int i;

	for (i = 0; i < COPY_STEPS && n > 0; i++)
		if ((n = copy_piece(j)) == -1)
			return;
	if (!j->content.is_over) {
		timer_set(&j->step, 0);
		return;
	}
	body_scan_finish(&j->scan);
	if (j->body_fd != -1)	/* a file takes none */
		fcntl(j->body_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
		    F_SEAL_WRITE | F_SEAL_SEAL);
	job_deliver(j, NULL);
}

static void
begin_copy(struct job *j, const char *start, size_t n)
{
	j->state = JOB_COPYING;
	timer_init(&j->step, j->f->agent->loop, copy_some, j);
	body_scan_init(&j->scan);
	open_memory(j);
	if (j->copy != NULL)
		memcpy(j->copy->bytes, start, n);
	else if (open_file(j) == -1 || file_write_all(j->body_fd, start, n) == -1) {
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
