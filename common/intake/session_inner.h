/* session_inner.h - what session.c and dialogue.c share; private to them. */
#ifndef INTAKE_SESSION_INNER_H
#define INTAKE_SESSION_INNER_H

#include "base/buf.h"
#include "intake/command.h"
#include "intake/data.h"
#include "intake/intake.h"
#include "intake/session.h"
#include "intake/transaction.h"
#include "net/conn.h"

#define NAME_MAX_BYTES	64

enum session_phase {
	PHASE_COMMAND,		/* a command is awaited */
	PHASE_DATA,		/* the message, up to its dot */
	PHASE_CHUNK,		/* the bytes of a BDAT */
	PHASE_ANSWERS,		/* the master's, for each recipient */
	PHASE_END		/* the last line was said */
};

struct session {
	TAILQ_ENTRY(session) next;
	struct intake	*intake;
	struct conn	*conn;
	struct addr	 from;		/* the peer */
	uint64_t	 serial;	/* in this process */
	char		 name[NAME_MAX_BYTES];	/* of the message, from MAIL on */
	char		 ip[ADDR_TEXT_MAX];	/* "": a UNIX socket */
	bool		 is_trusted;	/* for XCLIENT, XFORWARD */
	enum session_phase phase;

	struct buf	 in;		/* what came and is not taken yet */
	struct buf	 out;		/* replies of this turn */
	bool		 is_paused;	/* nothing is read */
	bool		 is_skipping;	/* the rest of a line that is too long */
	bool		 is_ended;	/* the client sends no more */
	bool		 is_freed;
	struct later	 flush_later, go_on_later, free_later;
	struct timer	 timer;
	int64_t		 start_ms;	/* of the session; all monotonic */
	int64_t		 since_ms;	/* of the wait for a command or a chunk,
					 * or of the end */
	int64_t		 message_ms;	/* of the message, from DATA or the
					 * first BDAT on */
	int64_t		 heard_ms;	/* bytes came */
	int64_t		 took_ms;	/* the peer took bytes */

	char		*helo;		/* of LHLO; NULL: not said */
	char		*facts[CLIENT_FACTS];	/* XCLIENT: of the session */
	char		*forwarded[CLIENT_FACTS];	/* XFORWARD: of the
						 * next message alone */
	bool		 is_forwarded;
	struct transaction *tx;		/* from MAIL on */
	struct lmtp_data data;
	bool		 in_chunks;	/* there was a BDAT */
	bool		 chunk_lost;	/* ... that was refused */
	bool		 is_last_chunk;
	uint64_t	 chunk_left;
	const char	*chunk_fault;	/* NULL: the chunk is good */

	uint32_t	 nerrors, njunk;	/* since the last message */
	uint64_t	 nmails;	/* MAILs taken */
	uint64_t	 transactions, bytes;
	uint64_t	 delivered, transient, permanent, refused;
};

/* session.c, for the dialogue */
void	session_say(struct session *, const char *line);
void	session_wait(struct session *, enum session_phase);
/* All bytes of the message are there. */
void	session_message_end(struct session *);

/*
 * dialogue.c: one command, n bytes without the line end; has_more: bytes
 * behind it have come already.
 */
void	dialogue_line(struct session *, const char *line, size_t n,
	    bool has_more);
/* A command that was refused before it was looked at. */
void	dialogue_fault(struct session *, const char *say);
/* The last byte of a BDAT has come. */
void	dialogue_chunk_end(struct session *);
void	dialogue_greet(struct session *, const char *code);

#endif
