/* dns_file.c - resolv.conf and hosts as files. */
#include "route/dns_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static void
look(const char *path, struct stat *st)
{
	if (stat(path, st) == -1)
		memset(st, 0, sizeof(*st));
}

bool
dns_file_changed(struct dns_file *f, int64_t now_ms)
{
	struct stat st;

	if (now_ms < f->look_ms)
		return false;
	f->look_ms = now_ms + DNS_FILE_LOOK_MS;
	look(f->path, &st);
	return st.st_ino != f->seen.st_ino || st.st_dev != f->seen.st_dev ||
	    st.st_size != f->seen.st_size ||
	    st.st_mtim.tv_sec != f->seen.st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != f->seen.st_mtim.tv_nsec;
}

char *
dns_file_read(struct dns_file *f, size_t max, size_t *size_r)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;
	char *text = NULL;
	size_t size = 0;
	ssize_t n = -1;

	if (fd == -1) {
		error = errno;
		look(f->path, &f->seen);
		errno = error;
		return NULL;
	}
	if (fstat(fd, &f->seen) == 0) {
		if (!S_ISREG(f->seen.st_mode))
			errno = EINVAL;
		else {
			/* It may grow while it is read. */
			if (f->seen.st_size < (off_t)max)
				max = (size_t)f->seen.st_size;
			text = xmalloc(max + 1);
			while ((n = read(fd, text + size, max - size)) > 0)
				size += (size_t)n;
		}
	}
	error = errno;
	close(fd);
	if (n == -1) {
		free(text);
		errno = error;
		return NULL;
	}
	text[size] = '\0';
	*size_r = size;
	return text;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' ||
	    c == '\0';
}

static size_t
words_of(char *p, char *end, char **words, size_t max)
{
	size_t n = 0;

	while (n < max) {
		while (p < end && is_space(*p))
			p++;
		if (p == end || *p == '#' || *p == ';')
			break;
		words[n++] = p;
		while (p < end && !is_space(*p) && *p != '#' && *p != ';')
			p++;
		if (p == end)
			break;
		if (*p == '#' || *p == ';') {
			*p = '\0';
			break;
		}
		*p++ = '\0';
	}
	return n;
}

size_t
dns_file_words(char **text, char *end, char **words, size_t max)
{
	char *p, *line_end;
	size_t n;

	while (*text < end) {
		p = *text;
		line_end = memchr(p, '\n', (size_t)(end - p));
		if (line_end == NULL)
			line_end = end;
		*line_end = '\0';
		*text = line_end < end ? line_end + 1 : end;
		if ((n = words_of(p, line_end, words, max)) > 0)
			return n;
	}
	return 0;
}
