/*
 * command.h - one line of an LMTP client, taken apart (RFC 2033 §4, RFC 5321
 * §4.1, and the parameters of RFC 1870, 3030, 3461, 6152 and 6531; XCLIENT and
 * XFORWARD as Postfix has them).
 *
 * Pure: what a line says, not whether it may be said now.
 */
#ifndef INTAKE_COMMAND_H
#define INTAKE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LMTP_ORCPT_MAX	500	/* RFC 3461 §4.2 */

enum lmtp_verb {
	VERB_UNKNOWN = 0,
	VERB_LHLO,
	VERB_HELO,		/* also EHLO: not in LMTP */
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_BDAT,
	VERB_RSET,
	VERB_NOOP,
	VERB_VRFY,
	VERB_HELP,
	VERB_QUIT,
	VERB_XCLIENT,
	VERB_XFORWARD
};

enum client_fact {		/* of XCLIENT and XFORWARD */
	CLIENT_NAME,
	CLIENT_ADDR,
	CLIENT_PROTO,
	CLIENT_HELO,
	CLIENT_LOGIN,
	CLIENT_IDENT,
	CLIENT_OTHER,		/* PORT, DESTADDR, DESTPORT, SOURCE: taken, not
				 * used */
	CLIENT_FACTS
};

struct lmtp_command {		/* texts lie in the line */
	enum lmtp_verb	 verb;
	const char	*arg;		/* LHLO: the name */
	const char	*path;		/* MAIL, RCPT: what stood in <> */
	/* MAIL */
	const char	*envid;		/* or NULL */
	uint64_t	 size;		/* the largest given; 0: none, or unknown */
	uint8_t		 ret;		/* enum env_ret */
	uint8_t		 body;		/* enum env_body */
	bool		 is_smtputf8;
	/* RCPT */
	const char	*orcpt;		/* or NULL; xtext, or one of type utf-8
					 * with bytes that are not ASCII */
	uint8_t		 notify;
	/* BDAT */
	uint64_t	 chunk;
	bool		 is_last;
	/* XCLIENT, XFORWARD: decoded, at most 255 bytes each; NULL: not
	 * given, "": unavailable */
	const char	*client[CLIENT_FACTS];
};

/*
 * Takes a line of n bytes apart, without its line end but with a NUL in place
 * of that; the line is written to.  NULL, or the reply that tells what is
 * wrong; the verb is set in either case.
 */
const char *lmtp_command_parse(char *line, size_t n, struct lmtp_command *);
/* The verb of a line that cannot be taken apart, by its first letters. */
enum lmtp_verb	 lmtp_command_verb(const char *line, size_t n);

#endif
