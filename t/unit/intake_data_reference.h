/* intake_data_reference.h - RFC 5321 §4.5.2 byte by byte, to compare with. */
#ifndef INTAKE_DATA_REFERENCE_H
#define INTAKE_DATA_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * The message in n bytes that follow DATA into to[n]; its length.  *used_r is
 * the bytes up to the end and with it, *ended_r whether there is one.  What
 * stands at the very end and may be a part of it is not given.
 */
static inline size_t
reference_data(const char *p, size_t n, char *to, size_t *used_r,
    bool *ended_r)
{
	size_t at = 0, len = 0;
	bool bol = true;

	*ended_r = false;
	while (at < n) {
		if (bol && p[at] == '.') {
			if (n - at >= 3 && memcmp(p + at, ".\r\n", 3) == 0) {
				*ended_r = true;
				*used_r = at + 3;
				return len;
			}
			if (n - at < 3 && memcmp(p + at, ".\r\n", n - at) == 0)
				break;
			at++;
			bol = false;
			continue;
		}
		to[len++] = p[at++];
		bol = at >= 2 && p[at - 1] == '\n' && p[at - 2] == '\r';
	}
	*used_r = n;
	return len;
}

#endif
