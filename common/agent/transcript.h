/*
 * transcript.h - the dialogue with a next hop, line by line: on stderr for
 * --trace, in the log for the relay's option `transcript`.
 *
 * Who writes it masks secrets, and tells the size of a message instead of its
 * bytes; control bytes are escaped here.
 */
#ifndef AGENT_TRANSCRIPT_H
#define AGENT_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "net/addr.h"

struct transcript_conf {
	struct opt_list	 what;		/* "off"; "on"; patterns */
	int64_t		 limit;		/* lines of one connection */
};

const char *transcript_check(const char *);

/* Its rows, in the table of whoever has a transcript_conf at `base`. */
#define TRANSCRIPT_ROWS(base)						\
	{ "transcript", OPT_LIST, (base) + offsetof(struct transcript_conf, \
	    what), "off", 1, 100, NULL, transcript_check, 0, "Log the "	\
	    "dialogue with next hops, secrets masked: on, off, or those " \
	    "of some: names of hosts, domains of recipients (.example.com: " \
	    "what is below it), addresses, ranges of addresses, paths of " \
	    "sockets." },						\
	{ "transcript_limit", OPT_INT, (base) + offsetof(struct		\
	    transcript_conf, limit), "1000", 1, 1000000, NULL, NULL, 0,	\
	    "Lines that are logged of one connection or run." }

struct transcript {		/* of one connection or run */
	uint64_t	 serial;
	bool		 is_numbered;	/* on stderr, too */
	bool		 to_stderr;
	bool		 to_log;
	int64_t		 left;		/* lines for the log */
};

void	transcript_init(struct transcript *, const struct agent *,
	    const struct transcript_conf *, uint64_t serial, bool is_numbered);
/* Whether it goes to the log from here on; host "" and addr NULL where there
 * is none. */
void	transcript_choose(struct transcript *, const struct transcript_conf *,
	    const char *host, const struct addr *, const struct envelope *);

static inline bool
transcript_is_on(const struct transcript *t)
{
	return t->to_stderr || t->to_log;
}

/* Lines with their ends; who: "C:", "S:", "--".  env: of the delivery they
 * belong to, or NULL. */
void	transcript_lines(struct transcript *, const struct envelope *,
	    const char *who, const char *, size_t);
void	transcript_say(struct transcript *, const struct envelope *,
	    const char *who, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));

#endif
