/* file.h - what write(2) leaves to its caller. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

/* All n bytes, over signals and short writes; -1 with errno, some of them may
 * be written then.  The descriptor must block. */
int	file_write_all(int fd, const void *, size_t n);

#endif
