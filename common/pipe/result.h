/*
 * result.h - what a program's end means: its exit status and what it printed,
 * as a reply.
 *
 * In this order: an error pattern that matches; an enhanced status code (RFC
 * 3463) at the start of what was printed; the exit status, by sysexits(3);
 * anything else is transient.
 */
#ifndef PIPE_RESULT_H
#define PIPE_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/reply.h"

struct arena;

#define RESULT_OUTPUT_MAX	4096	/* bytes kept of stdout, of stderr */

struct result_row {		/* an exit status */
	int		 status;	/* -1 ends the rows, and is any other */
	uint8_t		 dsn[3];
	const char	*text;		/* where the program printed nothing */
};

enum result_form {
	RESULT_WHOLE,		/* stdout, or stderr where that is empty */
	RESULT_LAST_LINE	/* the last line of it */
};

struct pattern;

struct result_rules {
	const struct result_row *rows;	/* special ones; NULL: only the general */
	enum result_form form;
	const char	*name;		/* a program's, cut from the start of the
					 * text: "maildrop: "; or NULL */
	const char	*marker;	/* the text begins behind it; or NULL */
	bool		 is_strict;	/* only codes at the start of output */
	const struct pattern *pattern;	/* or NULL */
};

extern const struct result_row result_maildrop_rows[];
extern const struct result_row result_dovecot_rows[];

/* How it ended; bytes as they were printed. */
struct result {
	int		 wait_status;	/* of waitpid(2) */
	bool		 has_all;	/* it was given the message to its end */
	const char	*out, *err;
	size_t		 out_len, err_len;
};

/* program: for texts. The reply's text lies in the arena. */
void	result_reply(struct reply *, const struct result_rules *,
	    const struct result *, const char *program, struct arena *);

/*
 * An expression of PCRE2 with ^ and $ at every line, searched in stdout, then
 * in stderr, within limits of work and memory.  The groups `message`, `code`
 * and `esc`, or the first group, or the whole match are what it finds.  NULL
 * with a text.
 */
struct pattern *pattern_new(const char *, char *error, size_t);
void	pattern_free(struct pattern *);

/* What one found; ranges of the subject, NULL where there is none. */
struct pattern_match {
	const char	*message, *code, *esc;
	size_t		 message_len, code_len, esc_len;
};

bool	pattern_search(const struct pattern *, const char *, size_t,
	    struct pattern_match *);

#endif
