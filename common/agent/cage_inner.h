/* cage_inner.h - between the files of the cage; private to them. */
#ifndef AGENT_CAGE_INNER_H
#define AGENT_CAGE_INNER_H

#include "agent/cage.h"

#include <sys/types.h>

#ifndef __has_feature			/* clang's; gcc has a macro */
#define __has_feature(x)	0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define CAGE_SANITIZED	1	/* the sanitizers' run-time needs more */
#else
#define CAGE_SANITIZED	0
#endif

struct cage_file {
	char		*path;
	bool		 is_written;	/* a folder for cage_write() */
	bool		 is_watched;	/* another may take its name */
	bool		 is_users;	/* our user may read it, and need not
					 * have been another one before */
	dev_t		 dev;		/* ... of then; ino 0: there was none */
	ino_t		 ino;
};

struct cage {
	const struct cage_policy *policy;
	unsigned	 may;
	int		 sandbox;
	const char	*refrains;
	struct cage_file *files;
	size_t		 nfiles, files_size;
};

/* ---- cage_calls.c ---- */

/* 0, or -1 with errno; ENOSYS, EINVAL: the kernel has no seccomp filters. */
int	cage_calls_enter(unsigned may, int sandbox, struct loop *);
void	cage_calls_leave(void);	/* the loop ends; the filter stays */

/* ---- cage_landlock.c ---- */

/* The version that the kernel has; 0: none. */
int	cage_landlock_abi(void);
/* 0, or -1 with errno. */
int	cage_landlock_enter(struct cage *);

#endif
