/*
 * reply.h - the one result type: what somebody said of a recipient.
 *
 * Classes, codes and enhanced status codes are those of RFC 5321 §4.2 and
 * RFC 3463.  Failures that nexthop declares by itself are rows of causes.h;
 * no other place invents a code.
 */
#ifndef MAIL_REPLY_H
#define MAIL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

enum reply_class {		/* also on the wire of frame.h */
	REPLY_DELIVERED = 1,
	REPLY_TRANSIENT = 2,
	REPLY_PERMANENT = 3
};

enum reply_by {			/* who said it; also on the wire */
	BY_REMOTE = 1,
	BY_DNS = 2,
	BY_TLS = 3,
	BY_AGENT = 4,
	BY_MASTER = 5
};

/* How far a delivery had come when the reply was made; also on the wire. */
enum stage {
	STAGE_NONE = 0,		/* nothing was tried */
	STAGE_CONNECT = 1,
	STAGE_GREETING = 2,
	STAGE_EHLO = 3,
	STAGE_TLS = 4,
	STAGE_AUTH = 5,
	STAGE_MAIL = 6,
	STAGE_RCPT = 7,
	STAGE_DATA = 8,
	STAGE_BODY = 9,
	STAGE_DOT = 10,		/* end of data: without a reply in doubt */
	STAGE_RUN = 11		/* a program, a request: not SMTP */
};

#define REPLY_TEXT_MAX	2048	/* bytes of text kept */

struct reply {
	uint16_t	 code;		/* 200..559 */
	uint8_t		 cls;		/* enum reply_class */
	uint8_t		 by;		/* enum reply_by */
	uint8_t		 dsn[3];	/* class.subject.detail (RFC 3463 §2) */
	uint8_t		 stage;		/* enum stage */
	const char	*text;		/* lines joined by LF; borrowed */
	uint32_t	 retry_after_s;	/* hint of the next hop, 0 = none */
};

/* causes.h as an enum and a function that fills in a reply. */
enum cause {
#define CAUSE(name, code, c, s, d, by, fmt)	CAUSE_##name,
#include "mail/causes.h"
#undef CAUSE
	CAUSE_COUNT
};

/*
 * The reply of a cause; the row's format is filled with the arguments, the
 * text lies in the arena, cut at REPLY_TEXT_MAX.
 */
void	 reply_cause(struct reply *, struct arena *, enum stage, enum cause,
	    ...);

const char	*reply_class_name(enum reply_class);	/* "delivered" ... */
const char	*stage_name(enum stage);		/* "RCPT TO" ... */
const char	*reply_by_name(enum reply_by);		/* "remote" ... */

/*
 * The failure says that the next hop as a whole takes no mail now, whoever the
 * recipient and whatever the message: no connection, no greeting, no TLS, no
 * login, a host not found, 421, or trouble of the network (x.4.z, RFC 3463
 * §3.5) or "not accepting messages" (x.3.2) from a program or a request.
 */
bool	 reply_blames_host(const struct reply *);

/*
 * Fill code, cls, dsn and text from what a server said: `text` is the reply
 * without its code, lines joined by LF.  The enhanced code is taken from the
 * start of the first line that has one (of all, says RFC 2034 §4; Cyrus has it
 * in the last), stripped from every line that repeats it, its class made that
 * of the code; where there is none it is x.0.0.  A 3yz is taken for a transient
 * failure.  Codes outside 200..599 must not reach this.
 * The text is kept in the arena, at most REPLY_TEXT_MAX bytes that may be no
 * UTF-8; NUL is shown as '?'.
 */
void	 reply_from_server(struct reply *, struct arena *, unsigned code,
	    const char *text, size_t text_len, enum stage);

/* "5.1.1" */
#define DSN_FMT		"%u.%u.%u"
#define DSN_ARG(r)	(r)->dsn[0], (r)->dsn[1], (r)->dsn[2]

/*
 * Reads "d.ddd.ddd" at the start of s; the bytes taken, 0 if there is none.
 * What follows is the caller's to judge.  Numbers over 255, of which none is
 * registered, become 0: "other or undefined" (RFC 3463 §3.1).
 */
size_t	 dsn_parse(const char *s, size_t n, uint8_t dsn_r[3]);

#endif
