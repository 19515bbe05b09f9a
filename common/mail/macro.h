/*
 * macro.h - words of a command, or values of a header, in which {name} stands
 * for a fact of the envelope.
 *
 * A word is taken apart when the agent starts; for a run its macros are
 * replaced, and whatever they hold, a word stays one argument.  {{ and }} are
 * braces.
 */
#ifndef MAIL_MACRO_H
#define MAIL_MACRO_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/envelope.h"

struct arena;

enum macro {
	/* of the recipient */
	MACRO_RECIPIENT,
	MACRO_ORIGINAL_RECIPIENT,
	MACRO_USER,
	MACRO_MAILBOX,
	MACRO_EXTENSION,
	MACRO_DOMAIN,
	/* of the message */
	MACRO_SENDER,
	MACRO_MESSAGE_ID,
	MACRO_QUEUE_ID,
	MACRO_SIZE,
	MACRO_ENVID,
	MACRO_ATTEMPTS,
	MACRO_NEXTHOP,
	MACRO_CLIENT_IP,
	MACRO_CLIENT_HOST,
	MACRO_CLIENT_EHLO,
	MACRO_CLIENT_PROTOCOL,
	MACRO_CLIENT_AUTH,
	MACRO_COUNT
};

#define MACRO_OF_RCPT	((1U << MACRO_SENDER) - 1)	/* a set of them */

struct macro_piece {
	enum macro	 macro;		/* with text NULL */
	const char	*text;
};

struct macro_word {
	struct macro_piece *pieces;	/* in the arena */
	size_t		 npieces;
	unsigned	 uses;		/* a bit for each macro in it */
};

/* -1 with a text: a macro that is none, a brace that is not doubled. */
int	macro_parse(struct macro_word *, const char *text, struct arena *,
	    char *error, size_t);

/* What the macros stand for; none is NULL. */
struct macro_values {
	const char	*v[MACRO_COUNT];
};

/* How addresses are shown: Postfix's pipe(8) has these as flags. */
enum {
	MACRO_QUOTE = 0x01,		/* q: local parts as RFC 5321 has them */
	MACRO_FOLD_USER = 0x02,		/* u: recipients' local parts in lower case */
	MACRO_FOLD_DOMAIN = 0x04	/* h: their domains */
};

/*
 * The values of the message: all but those of a recipient, the Message-ID and
 * the size.  null_sender stands for the empty sender.  -1: the sender is no
 * address, with a static text.
 */
int	macro_set_message(struct macro_values *, const struct envelope *,
	    const char *null_sender, unsigned how, struct arena *,
	    const char **error_r);
/* Those of one recipient. A mailbox is user, delimiter (of a byte, or ""),
 * extension. */
int	macro_set_rcpt(struct macro_values *, const struct rcpt *,
	    const char *delimiter, unsigned how, struct arena *,
	    const char **error_r);

/* The word with its macros replaced. */
const char *macro_expand(const struct macro_word *,
	    const struct macro_values *, struct arena *);
/* A slash came out of a macro: as the name of a program it could be any. */
bool	macro_adds_slash(const struct macro_word *,
	    const struct macro_values *);

#endif
