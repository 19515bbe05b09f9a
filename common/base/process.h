/* process.h - limits and standard files of this process. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/*
 * As many descriptors as the system allows this process, at most 1,048,576: a
 * connection and a message take one each.
 */
void	raise_files_limit(void);

/*
 * Descriptors 0 to 2 are open: no file or socket gets such a number when a
 * program is started without them.  Reading the one and writing the others
 * fails as it does on a closed descriptor, but for stderr.
 */
void	hold_std_files(void);

/* Flushes stdout: status, or EX_IOERR with a message where anything that was
 * printed could not be written. */
int	flush_stdout(int status);

#endif
