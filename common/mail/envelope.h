/*
 * envelope.h - what is to be delivered: sender, recipients, options, body.
 *
 * An envelope and all its strings live in one arena.  Strings are UTF-8
 * without NUL, CR or LF; who fills an envelope from outside checks addresses
 * with address.h.
 */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVELOPE_RCPT_MAX	1000	/* recipients of one frame */

enum {				/* rcpt.notify (RFC 3461 §4.1); 0 = not given */
	NOTIFY_NEVER = 0x01,
	NOTIFY_SUCCESS = 0x02,
	NOTIFY_FAILURE = 0x04,
	NOTIFY_DELAY = 0x08
};

enum env_ret { RET_NONE = 0, RET_FULL = 1, RET_HDRS = 2 };	/* RFC 3461 §4.3 */

enum env_body {			/* RFC 6152, RFC 3030; what the submitter says */
	BODY_UNKNOWN = 0,	/* the agent looks */
	BODY_7BIT = 1,
	BODY_8BITMIME = 2,
	BODY_BINARYMIME = 3
};

enum {				/* envelope.flags */
	ENV_SMTPUTF8 = 0x01,	/* asked for by the submitter (RFC 6531) */
	ENV_REQUIRETLS = 0x02,	/* RFC 8689 */
	/*
	 * Who submits has seen the body and vouches for its form: every line
	 * ends with CRLF, CR and LF stand nowhere else, and body_type is what
	 * it is (not BODY_UNKNOWN).  It spares the agent a look at every byte
	 * where no byte would have to be changed.
	 */
	ENV_WIRE_FORM = 0x04,
	/*
	 * Nobody shall get the message: would they?  Only for agents that say
	 * they can (agent_ops.can_probe); never in a frame.
	 */
	ENV_PROBE = 0x08
};

struct rcpt {
	const char	*addr;
	const char	*orcpt;		/* "type;address" in xtext (RFC 3461 §4.2), or NULL */
	uint8_t		 notify;
};

/* The message: bytes in memory, or a range of a descriptor read by pread(). */
struct body {
	const char	*mem;		/* or NULL */
	int		 fd;		/* -1 with mem; owned by the envelope */
	uint64_t	 offset;
	uint64_t	 len;
};

struct envelope {
	const char	*id;		/* the submitter's name for it, or "" */
	const char	*relay;		/* or "" */
	const char	*sender;	/* "" = null reverse-path */
	struct rcpt	*rcpts;
	uint32_t	 nrcpt;

	const char	*nexthop;	/* overrides; NULL = the relay's own */
	const char	*source;
	const char	*ehlo;

	const char	*envid;		/* xtext, or NULL */
	uint8_t		 ret;		/* enum env_ret */
	uint8_t		 body_type;	/* enum env_body */
	uint32_t	 flags;

	const char	*client_ip, *client_host, *client_helo;	/* or NULL */
	const char	*client_proto, *client_auth;

	int64_t		 arrival_ms;	/* wall clock; 0 = unknown */
	uint32_t	 attempts;	/* earlier ones */
	uint32_t	 deadline_s;	/* from receipt; 0 = none */
	uint8_t		 hops;		/* how often relays forwarded it */
	bool		 no_wait;	/* a full queue shall answer at once */
	struct body	 body;
};

#endif
