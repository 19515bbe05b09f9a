/*
 * queue_file.h - a message in Postfix's queue: where its file lies, the content
 * as bytes, and the mark of a recipient that is done.
 *
 * A file is records of a type byte, a length (7 bits a byte, the lowest first)
 * and data.  The content is lines without line ends, pieces of long lines, and
 * pointers to where it goes on, up to a record X.
 */
#ifndef POSTFIX_QUEUE_FILE_H
#define POSTFIX_QUEUE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PF_PATH_MAX	256
#define PF_JUMPS_MAX	10000		/* pointers backwards in one message */

/*
 * "active/A/B/ID", relative to the queue directory.  hashed: the value of
 * hash_queue_names.  Names must have been checked (pf_request_read()).
 */
void	pf_queue_path(char to[PF_PATH_MAX], const char *queue_name,
	    const char *queue_id, const char *hashed, int depth);

/*
 * Opened for reading and marking, and locked as qmgr expects it (shared).  The
 * descriptor, or -1 with errno: ENOENT where the message is gone, EPERM where
 * the file is no finished message.
 */
int	pf_queue_open(const char *path);

/* This recipient shall not get the message again; 0, or -1 with errno. */
int	pf_queue_mark(int fd, int64_t offset);
/* qmgr shall put the file aside. */
int	pf_queue_corrupt(int fd);

/* The content being read. */
struct pf_content {
	int64_t		 at;		/* in the file: where to read on */
	uint32_t	 left;		/* of a record that has begun */
	char		 type;		/* of it */
	char		 prev;		/* the last line or piece: 'N' or 'L' */
	unsigned	 njumps;
	bool		 is_over;	/* X was read */
};

void	pf_content_init(struct pf_content *, int64_t offset);
/*
 * Takes the n bytes that the file has at c->at, and moves c->at behind what
 * was taken.  Writes lines with CRLF to `to`, which has room for n + 2 bytes
 * and may be the same memory, two bytes before from.  Returns how many; -1:
 * that is no content.  Nothing taken: the record has not come whole; at the end
 * of the file that is no content either.
 */
int64_t	pf_content_decode(struct pf_content *, const char *from, size_t n,
	    char *to);
/* The same from a file: at most max (64 or more) bytes.  0 with c->is_over at
 * the end; -1 with errno, EBADMSG where it is no content. */
int64_t	pf_content_read(struct pf_content *, int fd, char *to, size_t max);

#endif
