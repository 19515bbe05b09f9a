/* process.h - starting programs; limits and standard files of this process. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

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

/*
 * Writing to who has gone (SIGPIPE), or beyond a limit of file sizes (SIGXFSZ),
 * is an error of that write, not the end of the process.
 */
void	ignore_write_signals(void);

/* Flushes stdout: status, or EX_IOERR with a message where anything that was
 * printed could not be written. */
int	flush_stdout(int status);

/* ---- starting a program ---- */

#define PROCESS_FDS_MAX	256

struct process_limit {
	int		 resource;	/* RLIMIT_CPU ... */
	rlim_t		 value;		/* the hard limit, too */
};

/*
 * What is started, and as what; all of it borrowed.  The program gets these
 * descriptors and no other, no signal that is ignored or blocked, and a
 * process group of its own.
 */
struct process_spec {
	const char	*path;		/* of the executable */
	const char	*search;	/* folders with ':' between, for a path
					 * without '/'; NULL: not searched */
	char *const	*argv;
	char *const	*env;
	const char	*directory;	/* NULL: ours */
	int		 fds[PROCESS_FDS_MAX]; /* that become 0, 1 ...; -1:
					 * closed */
	unsigned	 nfds;
	bool		 is_session;	/* the group is a session, too */
	bool		 has_identity;
	uid_t		 uid;
	gid_t		 gid;
	const gid_t	*groups;	/* supplementary ones */
	size_t		 ngroups;
	bool		 no_new_privs;	/* set-user-ID files give nothing */
	bool		 dies_with_us;	/* SIGKILL when this process ends */
	bool		 want_files;	/* raise_files_limit() */
	int		 umask;		/* -1: ours */
	const struct process_limit *limits;
	size_t		 nlimits;
};

struct process_error {
	const char	*what;		/* static: "setuid"; NULL: running the
					 * program itself failed */
	int		 code;		/* errno */
};

/*
 * Returns once the program runs: its pid and, unless pidfd_r is NULL, a
 * descriptor of it (close-on-exec) that becomes readable when it ends.  -1
 * with the error: there is no process.  Memory is not copied for the new
 * process, so this takes equally long however much there is.
 */
pid_t	process_spawn(const struct process_spec *, int *pidfd_r,
	    struct process_error *);

#endif
