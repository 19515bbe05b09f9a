/*
 * frame.h - the framing between nexthop-master, its agents and submitters.
 *
 * Header, 16 bytes, big-endian: length u32 (whole frame), version u8, type
 * u8, flags u16, id u64.  Then attributes: tag u16, length u32, bytes.
 * The protocol as a whole is told in nexthop-agent(7).
 *
 * This file knows the bytes only; sockets are channel.h.  Decoding never
 * trusts a length, never allocates by one, and leaves pointers into the frame
 * unless said otherwise.
 */
#ifndef MAIL_FRAME_H
#define MAIL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/envelope.h"
#include "mail/reply.h"

struct arena;
struct buf;

#define FRAME_VERSION		1
#define FRAME_HEADER_BYTES	16
#define FRAME_ATTR_BYTES	6
#define FRAME_BYTES_MAX		(1024 * 1024)
#define FRAME_INLINE_BODY_MAX	(32 * 1024)
#define FRAME_TEXT_MAX		4096	/* any one text attribute */
#define FRAME_WINDOW_MAX	65535

#define FRAME_HAS_FD		0x0001	/* flags: a descriptor travels with it */

enum frame_type {
	FRAME_HELO = 1,		/* agent: VERSION_MIN, VERSION_MAX, AGENT, PROGRAM, [TAKES_LOG] */
	FRAME_CONFIG = 2,	/* asker: RELAY, (OPTION_NAME, OPTION_VALUE)*, [WANT_OPTIONS] */
	FRAME_READY = 3,	/* agent: WINDOW [FORWARDS] [OPTION_NAME, OPTION_VALUE]* WARNING* or ([OPTION_INDEX] ERROR)+ */
	FRAME_DELIVER = 4,	/* asker: an envelope; id != 0 */
	FRAME_STAGE = 5,	/* agent: STAGE, RCPT_SET? */
	FRAME_RESULT = 6,	/* agent: one recipient's answer */
	FRAME_DONE = 7,		/* agent: no attributes */
	FRAME_FORWARD = 8,	/* agent: RCPT_SET?, RELAY, [NEXTHOP SOURCE EHLO] */
	FRAME_CANCEL = 9,	/* asker: no attributes */
	FRAME_STATS = 10,	/* agent: S* (STAT_DESTINATION [STAT_ERROR] S*)*;
				 * S: STAT_NAME, STAT_VALUE or STAT_HISTOGRAM */
	FRAME_DRAIN = 11,	/* asker: no attributes; to a submitter: connect
				 * anew for further deliveries */
	/* operator's control socket of the master */
	FRAME_COMMAND = 12,	/* nexthop: COMMAND, (ARGUMENT)* */
	FRAME_OUTPUT = 13,	/* master: TEXT */
	FRAME_EXIT = 14,	/* master: STATUS */
	/* to children of the master */
	FRAME_LISTEN = 15,	/* asker: ADDRESS; with a listening socket */
	FRAME_LOG = 16		/* asker: no attributes; with the log file */
};

/* Tags; with bit 15 set a receiver that does not know the tag skips it. */
enum frame_attr {
	ATTR_VERSION_MIN = 1,	/* u8 */
	ATTR_VERSION_MAX = 2,	/* u8 */
	ATTR_AGENT = 3,		/* text: agent type, "smtp-static" */
	ATTR_PROGRAM = 4,	/* text: "nexthop 0.1" */
	ATTR_RELAY = 5,		/* text */
	ATTR_OPTION_NAME = 6,	/* text */
	ATTR_OPTION_VALUE = 7,	/* text, belongs to the name before it */
	ATTR_WANT_OPTIONS = 8,	/* empty: READY lists the effective options,
				 * and the agent is not going to be used */
	ATTR_WINDOW = 9,	/* u32 */
	ATTR_OPTION_INDEX = 10,	/* u32: the n-th option of CONFIG, from 0 */
	ATTR_ERROR = 11,	/* text */
	ATTR_FORWARDS = 12,	/* empty: FORWARD may come, the asker keeps
				 * what it needs for that */
	ATTR_WARNING = 13,	/* text "OPTION: WHY", to WANT_OPTIONS */

	ATTR_ENV_ID = 16,	/* text */
	ATTR_SENDER = 17,	/* text */
	ATTR_RCPT = 18,		/* text: starts a recipient */
	ATTR_ORCPT = 19,	/* text, of the recipient before it */
	ATTR_NOTIFY = 20,	/* u8, of the recipient before it */
	ATTR_NEXTHOP = 21,	/* text */
	ATTR_SOURCE = 22,	/* text */
	ATTR_EHLO = 23,		/* text */
	ATTR_ENVID = 24,	/* text */
	ATTR_RET = 25,		/* u8 */
	ATTR_BODY_TYPE = 26,	/* u8 */
	ATTR_ENV_FLAGS = 27,	/* u32 */
	ATTR_CLIENT_IP = 28,	/* text; also the four below */
	ATTR_CLIENT_HOST = 29,
	ATTR_CLIENT_HELO = 30,
	ATTR_CLIENT_PROTO = 31,
	ATTR_CLIENT_AUTH = 32,
	ATTR_ARRIVAL = 33,	/* u64, ms since 1970 */
	ATTR_ATTEMPTS = 34,	/* u32 */
	ATTR_DEADLINE = 35,	/* u32, seconds */
	ATTR_BODY = 36,		/* bytes, at most FRAME_INLINE_BODY_MAX */
	ATTR_BODY_RANGE = 37,	/* u64 offset, u64 length; with FRAME_HAS_FD */
	ATTR_HOPS = 38,		/* u8: how often it was forwarded */
	ATTR_NO_WAIT = 39,	/* empty: a full queue is an answer */

	ATTR_STAGE = 48,	/* u8: enum stage */
	ATTR_RCPT_SET = 49,	/* u32 each, ascending indexes; absent = all */
	ATTR_INDEX = 50,	/* u32: recipient, from 0 */
	ATTR_REPLY = 51,	/* class u8, by u8, code u16, dsn 3 x u8, stage u8 */
	ATTR_TEXT = 52,		/* text; LF between lines */
	ATTR_HOST = 53,		/* text */
	ATTR_ADDRESS = 54,	/* text; in LISTEN "unix:/path", "inet:[::1]:24" */
	ATTR_PORT = 55,		/* u16 */
	ATTR_TLS = 56,		/* text: "TLSv1.3 TLS_AES_256_GCM_SHA384 ..." */
	ATTR_TIMES = 57,	/* u32 x 4, ms: waiting, connecting and greeting
				 * up to MAIL, transaction, all */
	ATTR_RETRY_AFTER = 58,	/* u32, seconds */

	ATTR_STAT_NAME = 64,	/* text */
	ATTR_STAT_VALUE = 65,	/* u64, of the name before it */
	ATTR_COMMAND = 66,	/* text */
	ATTR_ARGUMENT = 67,	/* text */
	ATTR_STATUS = 68,	/* u8: exit status */
	ATTR_STAT_HISTOGRAM = 69, /* u64 x (1 + HISTOGRAM_BUCKETS), of the name
				 * before it: sum in us, counts (metric.h) */
	ATTR_STAT_DESTINATION = 70, /* text: what follows is about this host */
	ATTR_STAT_ERROR = 71,	/* text, of the destination before it */

	ATTR_SKIPPABLE = 0x8000,
	ATTR_TAKES_LOG = 0x8001	/* empty, in HELO: LOG frames may come */
};

struct frame {
	uint32_t	 len;		/* whole frame */
	uint8_t		 type;
	uint16_t	 flags;
	uint64_t	 id;
	const uint8_t	*attrs;		/* borrowed */
	size_t		 attrs_len;
};

struct attr {
	uint16_t	 tag;
	uint32_t	 len;
	const uint8_t	*data;		/* borrowed from the frame */
};

/*
 * The frame at the start of n bytes.  1: f is filled; 0: more bytes needed
 * (f->len is set once the header is there, else 0); -1: not a frame, error
 * says why (length out of 16..1 MiB, version, type, unknown flags).
 */
int	frame_parse(const void *, size_t n, struct frame *f, const char **error_r);

/*
 * Walk the attributes: start with *at = 0.  1: a is filled; 0: end; -1: an
 * attribute runs over the end of the frame.  Knows no tags.
 */
int	frame_next(const struct frame *, size_t *at, struct attr *a);

/* A typed look at one attribute; -1 where the length is wrong (texts: over
 * FRAME_TEXT_MAX or with a NUL inside). attr_text copies into the arena. */
int	attr_u8(const struct attr *, uint8_t *);
int	attr_u16(const struct attr *, uint16_t *);
int	attr_u32(const struct attr *, uint32_t *);
int	attr_u64(const struct attr *, uint64_t *);
const char *attr_text(const struct attr *, struct arena *);

/*
 * Writing: frame_begin() appends a header and returns the frame's offset in
 * the buffer, frame_end() sets the length.  -1 from any of them (buffer full)
 * is remembered by the caller through frame_end(), which then takes the
 * half-written frame out again and returns -1.
 */
struct frame_out {
	struct buf	*buf;
	size_t		 at;		/* from buf_data() */
	bool		 failed;
};

void	frame_begin(struct frame_out *, struct buf *, enum frame_type,
	    uint64_t id, uint16_t flags);
void	frame_put(struct frame_out *, enum frame_attr, const void *, size_t);
void	frame_put_text(struct frame_out *, enum frame_attr, const char *);
void	frame_put_u8(struct frame_out *, enum frame_attr, uint8_t);
void	frame_put_u16(struct frame_out *, enum frame_attr, uint16_t);
void	frame_put_u32(struct frame_out *, enum frame_attr, uint32_t);
void	frame_put_u64(struct frame_out *, enum frame_attr, uint64_t);
/* One figure of STATS.  The first argument, a struct frame_out, is that of a
 * callback. */
void	frame_put_stat(void *frame_out, const char *name, uint64_t value);
int	frame_end(struct frame_out *);
/* A frame without attributes; -1 if the buffer is full. */
int	frame_put_bare(struct buf *, enum frame_type, uint64_t id);

/*
 * DELIVER.  Encode: the body goes inline if it lies in memory (at most
 * FRAME_INLINE_BODY_MAX), else as a range, and the caller sends env->body.fd
 * with the frame's first byte.  -1: buffer full or a text too long.
 * Decode: fills env, all strings copied into the arena, an inline body too;
 * fd is the descriptor that came with the frame, or -1, and belongs to env
 * afterwards also on failure.  -1 with a static text in error_r; addresses
 * with CR or LF are faults here, other address rules are the agent's.
 */
int	frame_put_deliver(struct buf *, uint64_t id, const struct envelope *);
int	frame_get_deliver(const struct frame *, int fd, struct arena *,
	    struct envelope *, const char **error_r);

/*
 * The few facts of a DELIVER that a router needs, without copying; texts are
 * not NUL-terminated.  Checks the structure of all attributes.
 */
struct deliver_facts {
	const char	*relay;
	size_t		 relay_len;
	const char	*id;
	size_t		 id_len;
	const char	*sender;
	size_t		 sender_len;
	uint32_t	 nrcpt;
	uint32_t	 names_len;	/* for frame_deliver_names() */
	uint64_t	 body_len;
	uint32_t	 deadline_s;
	uint8_t		 hops;
	bool		 no_wait;
};
int	frame_deliver_facts(const struct frame *, struct deliver_facts *,
	    const char **error_r);
/* Its id, its sender and its recipients, a NUL behind each: names_len bytes. */
void	frame_deliver_names(const struct frame *, const struct deliver_facts *,
	    char *to);

/* RESULT: an answer for one recipient. */
struct answer {
	struct reply	 reply;
	const char	*host;		/* "" where there was none */
	const char	*address;	/* "" and 0 also where the host is */
	uint16_t	 port;		/* the path of a UNIX socket */
	const char	*tls;		/* or NULL */
	uint32_t	 wait_ms;	/* for a free connection */
	uint32_t	 connect_ms;	/* up to MAIL; 0 on a kept connection */
	uint32_t	 transaction_ms;
	uint32_t	 total_ms;
	/* not in frames */
	uint32_t	 conn_use;	/* the n-th message of the connection */
	uint8_t		 handover;	/* enum handover */
};

enum handover {			/* what a delivery means for DSN (RFC 3461) */
	HANDOVER_FINAL = 0,	/* it has arrived */
	HANDOVER_RELAYED = 1,	/* to a host that does not know DSN */
	HANDOVER_DSN = 2	/* to one that will tell by itself */
};

int	frame_put_result(struct buf *, uint64_t id, uint32_t index,
	    const struct answer *);
/* Texts go into the arena; without one (NULL) they are checked and left "". */
int	frame_get_result(const struct frame *, struct arena *,
	    uint32_t *index_r, struct answer *, const char **error_r);
/* Only the index, for a router. */
int	frame_result_index(const struct frame *, uint32_t *index_r);

/* STAGE; set NULL = all recipients. */
int	frame_put_stage(struct buf *, uint64_t id, enum stage,
	    const uint32_t *set, size_t n);

/* FORWARD: recipients that another relay shall deliver. */
struct forward {
	const char	*relay;
	/* NULL: as the envelope has it; "": none, though it has one. */
	const char	*nexthop;
	const char	*source;
	const char	*ehlo;
};
/* Whether its texts can be sent: lengths, no control bytes, a relay. */
bool	frame_forward_fits(const struct forward *);
/* set NULL = all that have neither an answer nor a FORWARD. */
int	frame_put_forward(struct buf *, uint64_t id, const struct forward *,
	    const uint32_t *set, size_t n);
/*
 * Texts go into the arena; set_r is the attribute of the set, its length a
 * multiple of 4, its data NULL where there is none: the indexes are the
 * caller's to judge.
 */
int	frame_get_forward(const struct frame *, struct arena *,
	    struct forward *, struct attr *set_r, const char **error_r);

/*
 * The DELIVER that a FORWARD makes of the one it is about, which must have
 * passed frame_deliver_facts(): `chosen` has a byte for each of its
 * recipients.  The body stays what it was; a descriptor is the caller's to
 * send.  -1: too long for a frame, or the buffer is full.
 */
int	frame_put_forwarded(struct buf *, const struct frame *deliver,
	    const uint8_t *chosen, const struct forward *, uint8_t hops,
	    uint32_t deadline_s);

/*
 * LISTEN: the caller sends the socket with the frame's first byte.  Decode: the
 * address goes into the arena; -1: it is malformed, or came without a socket.
 */
int	frame_put_listen(struct buf *, const char *address);
int	frame_get_listen(const struct frame *, struct arena *,
	    const char **address_r, const char **error_r);

/* Change the id of an encoded frame, or the index of a RESULT, in place. */
void	frame_set_id(void *frame, uint64_t id);
void	frame_set_index(void *result, uint32_t index);

const char *frame_type_name(unsigned type);	/* "DELIVER"; "?" */

#endif
