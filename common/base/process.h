/* process.h - limits of this process. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/*
 * As many descriptors as the system allows this process, at most 1,048,576: a
 * connection and a message take one each.
 */
void	raise_files_limit(void);

#endif
