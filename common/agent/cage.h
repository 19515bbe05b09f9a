/*
 * cage.h - what a process may still do once it has begun its work.
 *
 * A program says by a policy what its kind of work needs, and names the files
 * that its options name; after its start, before the first byte from outside,
 * it enters the cage and cannot leave it:
 *
 *	no new privileges	prctl(2): set-user-ID files give nothing
 *	system calls		seccomp(2): a list of what may be called; with
 *				CAGE_PROGRAMS a list of what may not
 *	files, ports, signals	landlock(7): the files named here and no other;
 *				no TCP port of its own; no signal to, and no
 *				abstract socket of, a process outside
 *
 * A call that is not on the list fails with ENOSYS (one that is there, but not
 * with these arguments: EPERM) and the log names it, once for each call; what
 * no agent ever has a reason to call (cage_calls.c: the forbidden ones) is
 * named and ends the process by SIGSYS, so that the master answers its open
 * deliveries with a transient failure.  Nothing is answered by a call that was
 * refused: it fails like any other.
 *
 * The policy does not need an agent: any program of ours can have one.
 */
#ifndef AGENT_CAGE_H
#define AGENT_CAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/option.h"
#include "net/loop.h"
#include "net/tls_conf.h"

enum sandbox { SANDBOX_YES, SANDBOX_NO, SANDBOX_LOG, SANDBOX_REQUIRE };

struct cage_conf {
	int		 sandbox;	/* enum sandbox */
};

extern const struct opt_row cage_conf_rows[];

/* What a kind of work needs besides memory, time, its descriptors and a log. */
#define CAGE_NET	0x01	/* TCP and UDP to others, threads for names */
#define CAGE_UNIX	0x02	/* connections to UNIX sockets */
#define CAGE_ACCEPT	0x04	/* connections of others, to sockets it has */
#define CAGE_WRITE	0x08	/* files in folders that are named */
#define CAGE_PROGRAMS	0x10	/* code that is not ours: all but what is
				 * forbidden, and any file */

struct cage;

struct cage_policy {
	const char	*name;		/* of the program */
	unsigned	 may;		/* CAGE_ ... */
	size_t		 conf_at;	/* struct cage_conf in the values */
	/* Names files and adds to `may`, by the values of the options, which
	 * may be no more than the defaults; may be NULL. */
	void		(*name_files)(struct cage *, const void *values);
};

/* The values must stay until cage_free(). */
struct cage	*cage_new(const struct cage_policy *, const void *values);
void		 cage_free(struct cage *);	/* what is entered holds on */

void		 cage_may(struct cage *, unsigned more);
unsigned	 cage_may_what(const struct cage *);
/* The process must stay able to gain rights: it gets no cage. `why` is
 * static. */
void		 cage_refrain(struct cage *, const char *why);

/*
 * Files by name; NULL, "" and what does not exist are fine.  All are looked at
 * in cage_enter(), as the process sees them then.
 *
 * A rule of the kernel's is about a file, not a name: of a file that may be
 * replaced its whole folder is opened, if that is not one that holds all kinds
 * of things, as /etc.  Where it is, the file alone is, and cage_outdated() will
 * tell once another file has its name.
 */
void		 cage_read(struct cage *, const char *path);
/* Files are made, written, renamed and removed below this folder. */
void		 cage_write(struct cage *, const char *folder);

/* What parts of the library read, whoever uses them. */
void		 cage_names(struct cage *);	/* getaddrinfo(3) */
void		 cage_tls(struct cage *, const struct tls_conf *);

enum cage_result {
	CAGE_DONE,		/* all that this kernel has */
	CAGE_OFF,		/* sandbox = no, or cage_refrain() */
	CAGE_FAILED		/* must not begin its work */
};

/*
 * The loop (may be NULL) is where calls that were refused are told to the log.
 * With is_quiet nobody is told what this kernel lacks.  CAGE_FAILED with a
 * text: the kernel refused, or sandbox = require and it lacks something.
 */
enum cage_result cage_enter(struct cage *, struct loop *, bool is_quiet,
		    char *error, size_t);

/* The name of a file that is another one now, which this process cannot read:
 * it should end when it can; NULL: none.  Cheap, but for every few seconds. */
const char	*cage_outdated(struct cage *);

/*
 * "--sandbox-test": tries what is forbidden and what is needed, each in a
 * process of its own in such a cage, and prints a line for each (see
 * cage_test.h).  Returns an exit status, EX_OK where all was tried.
 */
#define CAGE_TEST	"--sandbox-test"
int		 cage_test(const struct cage_policy *, const void *values);

#endif
