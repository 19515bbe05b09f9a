/* file.c - writes that end. */
#include "base/file.h"

#include <errno.h>
#include <unistd.h>

int
file_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;
	ssize_t did;

	for (; n > 0; p += did, n -= (size_t)did)
		if ((did = write(fd, p, n)) == -1) {
			if (errno != EINTR)
				return -1;
			did = 0;
		}
	return 0;
}
