/*
 * dns_file.h - a small text file that is read again when it has changed.
 */
#ifndef ROUTE_DNS_FILE_H
#define ROUTE_DNS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define DNS_FILE_LOOK_MS	1000	/* how often it is looked at */

struct dns_file {
	const char	*path;		/* the owner's */
	struct stat	 seen;		/* all 0: was not there */
	int64_t		 look_ms;	/* not before */
};

/* Has it changed since dns_file_read(), or come, or gone? */
bool	dns_file_changed(struct dns_file *, int64_t now_ms);

/* Its first max bytes with a NUL behind, from malloc(); NULL with errno, also
 * EINVAL where it is no plain file. */
char	*dns_file_read(struct dns_file *, size_t max, size_t *size_r);

/*
 * Line by line: up to max words of the next line that has any, what follows
 * '#' or ';' left out.  They point into the text, which is overwritten, and
 * need a NUL at *end.  How many; 0 at the end.
 */
size_t	dns_file_words(char **text, char *end, char **words, size_t max);

#endif
