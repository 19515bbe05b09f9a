/* cli_message.c - the message of a delivery, read from stdin. */
#include "agent/cli.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define MEMORY_MAX	(1024 * 1024)	/* beyond it, in a file */

static int
spool_file(void)
{
	const char *dir = getenv("TMPDIR");
	char path[256];
	int fd;

	if (dir == NULL || *dir == '\0')
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1) {		/* a file system without O_TMPFILE */
		snprintf(path, sizeof(path), "%s/nexthop.XXXXXX", dir);
		if ((fd = mkostemp(path, O_CLOEXEC)) != -1)
			unlink(path);
	}
	if (fd == -1)
		warn("temporary file in %s", dir);
	return fd;
}

/* A pipe, or anything else that can be read but once. */
static int
read_stream(struct cli *c)
{
	size_t n = 0, cap = 16 * 1024;
	char *mem = xmalloc(cap);
	ssize_t got;
	int fd = -1;

	while ((got = read(STDIN_FILENO, mem + n, cap - n)) != 0) {
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			warn("reading the message from stdin");
			goto fail;
		}
		n += (size_t)got;
		c->body.len += (size_t)got;
		if (n < cap)
			continue;
		if (cap < MEMORY_MAX) {
			mem = xrealloc(mem, cap *= 2);
			continue;
		}
		if ((fd == -1 && (fd = spool_file()) == -1) ||
		    file_write_all(fd, mem, n) == -1) {
			warn("keeping the message in a temporary file");
			goto fail;
		}
		n = 0;
	}
	if (fd != -1 && file_write_all(fd, mem, n) == -1) {
		warn("keeping the message in a temporary file");
		goto fail;
	}
	c->body.fd = fd;
	c->body.mem = fd == -1 ? mem : NULL;
	if (fd != -1)
		free(mem);
	return 0;
fail:
	free(mem);
	if (fd != -1)
		close(fd);
	return -1;
}

int
cli_read_message(struct cli *c)
{
	struct stat st;
	off_t at;

	if (isatty(STDIN_FILENO))
		warnx("reading the message from the terminal; end with Ctrl-D");
	if (fstat(STDIN_FILENO, &st) == -1) {
		warn("stdin");
		return -1;
	}
	c->body.offset = c->body.len = 0;
	/* Files of /proc have no size, yet may have bytes. */
	if (!S_ISREG(st.st_mode) || st.st_size == 0 ||
	    (at = lseek(STDIN_FILENO, 0, SEEK_CUR)) == -1)
		return read_stream(c);
	if (at > st.st_size)
		at = st.st_size;
	c->body.fd = STDIN_FILENO;
	c->body.offset = (uint64_t)at;
	c->body.len = (uint64_t)(st.st_size - at);
	return 0;
}
