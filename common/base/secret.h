/*
 * secret.h - passwords and tokens: read from files, kept, wiped.
 *
 * A secret is given as a value or as a file that holds nothing else.  A file
 * is read again when it has changed, which is how tokens that live for an hour
 * come in: whoever renews them writes the file.  Memory that held a secret is
 * overwritten before it is freed, and no error text holds any of one.
 *
 * A file is taken only if nobody else can read it: a regular file of at most
 * 64 KiB (a link to one is fine), no permission for others, none for its group
 * either.  Root's file may be readable by a group if that is the process's own
 * (effective) one or root's: 0640 root:nexthop is how a file is handed to an
 * agent that runs as nexthop, and an access list for one user shows as
 * permission of the group.  A process that runs as root asks no more of root's
 * files than that others have no permission, so that a check made by root does
 * not refuse what the agent will take.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define SECRET_BYTES_MAX	(64 * 1024)

/* What tells that a file is another one, or was written to. */
struct secret_stamp {
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 mtime, ctime;
	bool		 is_fresh;	/* read so soon after it was written
					 * that a second change need not show */
};

struct secret {
	char		*path;		/* owned; NULL: given as a value */
	char		*value;		/* owned, with a NUL; NULL: none */
	size_t		 len;
	struct secret_stamp stamp;
	uint32_t	 changes;	/* times the file was another one */
};

/* All zero is a good one with nothing in it. */
struct credentials {
	char		*username;	/* owned; NULL if none */
	char		*authzid;	/* owned; to act for; NULL: oneself */
	struct secret	 password;
	struct secret	 token;		/* OAuth 2.0 bearer (RFC 6750) */
	bool		 has_certificate; /* TLS tells who the client is */
};

/*
 * The whole file without one line end (LF or CRLF) at its end, with a NUL
 * behind it; the caller's, for secret_free().  NULL with a text that names the
 * file: it cannot be read, others may read it, it is no regular file, too
 * large, empty, or has a NUL byte.  Does not wait for a file that is a pipe.
 */
char	*secret_read(const char *path, size_t *len_r, char *error, size_t size);
void	 secret_free(char *, size_t len);	/* NULL is fine */

/* Both forget what was there, and copy. */
void	 secret_set(struct secret *, const char *value);
void	 secret_set_file(struct secret *, const char *path);
bool	 secret_is_set(const struct secret *);	/* to a value or a file */

/*
 * Read the file if that was not done or the file has changed since; nothing
 * to do for a value.  -1 with the text of secret_read(); the secret has no
 * value then: one that was taken away is not used on.
 */
int	 secret_refresh(struct secret *, char *error, size_t size);
void	 secret_clear(struct secret *);

/* secret_refresh() of what is set. */
int	 credentials_refresh(struct credentials *, char *error, size_t size);
/* Differs once a file has been written to, or was away. */
uint32_t credentials_changes(const struct credentials *);
void	 credentials_clear(struct credentials *);

#endif
