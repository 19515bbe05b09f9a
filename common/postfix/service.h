/*
 * service.h - a process that Postfix's master(8) runs: its arguments and
 * descriptors, the status protocol, and its rights.
 *
 * The master must see its child go within milliseconds, at a reload as well as
 * at SIGTERM, however much is under way; and a process with threads cannot
 * fork.  So there are two: the master's child only waits; its own child, the
 * worker, does everything, and outlives it to finish what is under way.
 */
#ifndef POSTFIX_SERVICE_H
#define POSTFIX_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PF_STATUS_FD	5
#define PF_LISTEN_FD	6
#define PF_OPTIONS_MAX	200

struct pf_args {
	const char	*name;		/* of the service */
	bool		 is_single;	/* -l: the only process */
	bool		 want_unpriv;	/* -u */
	bool		 want_chroot;	/* -c */
	unsigned	 verbose;
	int		 nlisten;	/* sockets from PF_LISTEN_FD on */
	const char	*max_idle;	/* -i, or NULL */
	char		*options[PF_OPTIONS_MAX];	/* "name=value" */
	size_t		 noptions;
};

/* The environment and the descriptors are those of a child of Postfix's
 * master. */
bool	pf_is_service(void);

/*
 * What the master puts before the arguments of master.cf, and those: -o
 * name=value, -o "{ name = value }", name=value, --name=value.  -1 with a text.
 */
int	pf_args_parse(struct pf_args *, int argc, char **argv, char *error,
	    size_t);
void	pf_args_clear(struct pf_args *);

/*
 * Makes the two processes; returns in the worker.  *watch_r: a descriptor that
 * becomes readable when the other one is gone.  -1 with errno.
 */
int	pf_service_split(int *watch_r);
/* The other process ends now, with status 0: the master may start a new one. */
void	pf_service_leave(int watch);

/* The master counts this process as busy, or idle. */
void	pf_service_status(bool is_idle);

/* chdir, chroot, setuid as asked; in the order of Postfix's own programs. */
int	pf_service_drop(const struct pf_args *, const char *queue_directory,
	    const char *owner, char *error, size_t);

#endif
