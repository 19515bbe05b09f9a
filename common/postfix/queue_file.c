/* queue_file.c - queue files of Postfix. */
#include "postfix/queue_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define POINTER_BYTES	15
#define LENGTH_BYTES	4	/* 28 bits */
#define DEPTH_MAX	16
#define LONG_ID_SECONDS	6	/* at least so many digits */
#define LONG_ID_MICROS	4

/* ---- where it lies ---- */

/* The value of a base 52 digit, -1: it is none. */
static int
digit_52(char c)
{
	static const char digits[] =
	    "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
	const char *p = c == '\0' ? NULL : strchr(digits, c);

	return p == NULL ? -1 : (int)(p - digits);
}

/* What the folders of a hashed queue are made of: a short id itself, of a long
 * one the microseconds as 5 hexadecimal digits. */
static void
hash_string(char to[PF_PATH_MAX], const char *id)
{
	const char *z = strrchr(id, 'z'), *p;
	unsigned long micros = 0;
	int digit;

	snprintf(to, PF_PATH_MAX, "%s", id);
	if (z == NULL || z - id < LONG_ID_SECONDS + LONG_ID_MICROS)
		return;
	for (p = z - LONG_ID_MICROS; p < z; p++) {
		if ((digit = digit_52(*p)) == -1)
			return;
		micros = micros * 52 + (unsigned long)digit;
	}
	snprintf(to, PF_PATH_MAX, "%05lX", micros);
}

static bool
is_listed(const char *list, const char *name)
{
	size_t n = strlen(name), len;

	for (; *(list += strspn(list, ", \t\r\n")) != '\0'; list += len) {
		len = strcspn(list, ", \t\r\n");
		if (len == n && strncasecmp(list, name, n) == 0)
			return true;
	}
	return false;
}

void
pf_queue_path(char to[PF_PATH_MAX], const char *queue_name,
    const char *queue_id, const char *hashed, int depth)
{
	char hash[PF_PATH_MAX], folders[2 * DEPTH_MAX + 1];
	size_t i, len, n = 0;

	if (is_listed(hashed, queue_name)) {
		hash_string(hash, queue_id);
		len = strlen(hash);
		for (i = 0; i < (size_t)depth && i < DEPTH_MAX; i++) {
			folders[n++] = i < len ? hash[i] : '_';
			folders[n++] = '/';
		}
	}
	folders[n] = '\0';
	snprintf(to, PF_PATH_MAX, "%.100s/%s%.100s", queue_name, folders,
	    queue_id);
}

int
pf_queue_open(const char *path)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int error;

	if (fd == -1) {
		if (errno == ELOOP || errno == EACCES)
			errno = EPERM;
		return -1;
	}
	if (fstat(fd, &st) == 0 && flock(fd, LOCK_SH | LOCK_NB) == 0) {
		if (S_ISREG(st.st_mode) && (st.st_mode & S_IRWXU) == S_IRWXU)
			return fd;
		errno = EPERM;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
pf_queue_mark(int fd, int64_t offset)
{
	ssize_t n;

	if (offset == -1)
		return 0;
	if (offset <= 0) {
		errno = EINVAL;
		return -1;
	}
	do
		n = pwrite(fd, "D", 1, (off_t)offset);
	while (n == -1 && errno == EINTR);
	if (n == 0)
		errno = EIO;
	return n == 1 ? 0 : -1;
}

int
pf_queue_corrupt(int fd)
{
	return fchmod(fd, S_IRUSR);
}

/* ---- the content ---- */

void
pf_content_init(struct pf_content *c, int64_t offset)
{
	*c = (struct pf_content){ .at = offset, .prev = 'N' };
}

/* Type and length; the bytes they take, 0: not whole, -1: no record. */
static int
read_head(const char *p, size_t n, uint32_t *len_r)
{
	uint32_t len = 0;
	int i;

	for (i = 0; i < LENGTH_BYTES; i++) {
		if ((size_t)i + 1 >= n)
			return 0;
		len |= (uint32_t)(p[i + 1] & 0x7f) << 7 * i;
		if ((p[i + 1] & 0x80) == 0) {
			*len_r = len;
			return i + 2;
		}
	}
	return -1;
}

/* "      1234 ", blanks around; -1: no offset. */
static int64_t
read_pointer(const char *p)
{
	int64_t v = 0;
	int i = 0;

	while (i < POINTER_BYTES && p[i] == ' ')
		i++;
	for (; i < POINTER_BYTES && p[i] >= '0' && p[i] <= '9'; i++)
		v = v * 10 + (p[i] - '0');
	while (i < POINTER_BYTES && p[i] == ' ')
		i++;
	return i < POINTER_BYTES ? -1 : v;
}

enum take { TAKE_NEXT, TAKE_STOP, TAKE_JUMP, TAKE_BAD };

/* A record without text that is whole at p. */
static enum take
take_control(struct pf_content *c, char type, const char *p, uint32_t len)
{
	int64_t to;

	switch (type) {
	case 'X':
		c->is_over = true;
		return TAKE_STOP;
	case 'p':
		if (len != POINTER_BYTES || (to = read_pointer(p)) == -1)
			return TAKE_BAD;
		if (to == 0)
			return TAKE_NEXT;
		/* No file is so long that it needs more; forwards it ends. */
		if (to <= c->at && ++c->njumps > PF_JUMPS_MAX)
			return TAKE_BAD;
		c->at = to;
		return TAKE_JUMP;
	default:
		return TAKE_BAD;
	}
}

/* Text of the record that has begun. */
static size_t
take_text(struct pf_content *c, const char *p, size_t n, char **to)
{
	size_t len = c->left < n ? c->left : n;

	memmove(*to, p, len);
	*to += len;
	c->left -= (uint32_t)len;
	c->at += (int64_t)len;
	if (c->left == 0 && c->type != 0) {
		if (c->type == 'N') {
			*(*to)++ = '\r';
			*(*to)++ = '\n';
		}
		c->prev = c->type;
		c->type = 0;
	}
	return len;
}

/*
 * A line end takes two bytes, and so does the head of a record at least: what
 * is written overtakes what is read by no more than the end of a line that was
 * begun before.
 */
int64_t
pf_content_decode(struct pf_content *c, const char *from, size_t n, char *to)
{
	char *start = to;
	uint32_t len;
	size_t at = 0;
	int head;

	if (c->type != 0)
		at = take_text(c, from, n, &to);
	while (at < n && !c->is_over) {
		head = read_head(from + at, n - at, &len);
		if (head == -1)
			return -1;
		if (head == 0)
			break;
		if (from[at] == 'N' || from[at] == 'L') {
			c->type = from[at];
			c->left = len;
			c->at += head;
			at += (size_t)head;
			at += take_text(c, from + at, n - at, &to);
			continue;
		}
		if (from[at] == 'w') {
			c->at += head + (int64_t)len;
			if (len > n - at - (size_t)head)
				break;
			at += (size_t)head + len;
			continue;
		}
		if (len > POINTER_BYTES)
			return -1;
		if (len > n - at - (size_t)head)
			break;
		switch (take_control(c, from[at], from + at + head, len)) {
		case TAKE_BAD:
			return -1;
		case TAKE_JUMP:
			return to - start;
		case TAKE_NEXT:
		case TAKE_STOP:
			break;
		}
		c->at += head + (int64_t)len;
		at += (size_t)head + len;
	}
	if (c->is_over && c->prev == 'L') {
		*to++ = '\r';
		*to++ = '\n';
		c->prev = 'N';
	}
	return to - start;
}

int64_t
pf_content_read(struct pf_content *c, int fd, char *to, size_t max)
{
	int64_t at, did;
	ssize_t n;

	while (!c->is_over) {
		n = pread(fd, to + 2, max - 2, (off_t)c->at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		at = c->at;
		did = pf_content_decode(c, to + 2, (size_t)n, to);
		if (did == -1 || (did == 0 && c->at == at)) {
			errno = EBADMSG;
			return -1;
		}
		if (did > 0)
			return did;
	}
	return 0;
}
