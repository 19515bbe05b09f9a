/*
 * tx.h - one transaction: the facts of MAIL, RCPT, DATA for some recipients of
 * one delivery.
 */
#ifndef SMTP_TX_H
#define SMTP_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "mail/address.h"
#include "mail/eightbit.h"
#include "mail/message.h"
#include "mail/twins.h"
#include "net/loop.h"
#include "smtp/session.h"

/* A message in memory that is no larger may go with its commands in one piece;
 * a larger one goes to the socket from where it is. */
#define EARLY_BYTES	(32 * 1024)

enum waiver { WAIVER_UNKNOWN, WAIVER_NONE, WAIVER_GIVEN };

/* What a look at a delivery's message has shown. */
struct smtp_look {
	struct body_facts facts;
	bool		 is_done;
	uint8_t		 waives_tls;	/* its header does (RFC 8689): enum
					 * waiver */
};

/*
 * What is known of the recipients that go one way, whichever host takes them;
 * in the delivery's arena.
 */
struct smtp_job {
	struct delivery	*d;
	struct smtp_look *look;		/* shared by all jobs of the delivery */
	uint32_t	 open;		/* recipients without an answer, of equal
					 * ones one; at 0 the job is over */
	struct address	 sender;	/* local NULL: null reverse-path */
	struct address	*rcpts;		/* those that parsed */
	uint32_t	*twin;		/* the next recipient with an equal
					 * address, which is not said again but
					 * gets the same answer; NO_TWIN; NULL:
					 * all differ */
};

enum tx_rcpt_state {
	RCPT_OPEN,		/* not said */
	RCPT_SAID,
	RCPT_ACCEPTED,
	RCPT_PUT_OFF,		/* 452: another transaction (RFC 5321
				 * §4.5.3.1.10) */
	RCPT_DONE		/* answered */
};

struct tx_rcpt {
	uint32_t	 index;		/* in the envelope */
	uint8_t		 state;
};

struct smtp_tx {
	struct smtp_job	*job;		/* NULL once the job is over */
	uint8_t		 prepared, mail, data, body, end, dot;	/* enum said */
	bool		 is_delivered;	/* the server took the message */
	bool		 is_reused;	/* on a kept connection ... */
	bool		 is_rested;	/* ... that was idle for a while */
	bool		 is_chunked;	/* by BDAT (RFC 3030) */
	bool		 is_early;	/* ... without waiting for any answer */
	bool		 is_raw;	/* the file's bytes as they are */
	bool		 is_binary;	/* BINARYMIME: no byte is changed */
	uint32_t	 nrcpt, nsaid, naccepted;
	uint32_t	 nasked;	/* RCPT commands sent */
	uint32_t	 nhope;		/* open, said or accepted */
	uint32_t	 nawaited;	/* answers to its commands */
	uint32_t	 wait_ms;	/* for a place at the host */
	int64_t		 start_ms;
	int64_t		 begun_us;	/* the present phase */
	struct body	 source;	/* of reader: the envelope's, or kept */
	char		*kept;		/* a small body, read once */
	struct eightbit_plan *plan;	/* what a conversion will change */
	struct eightbit_writer *writer;	/* ... instead of reader */
	uint64_t	 written;	/* by it */
	uint64_t	 wire_len;	/* without dots stuffed */
	struct body_reader reader;
	struct crlf	 crlf;
	struct later	 go;		/* end-of-data may be sent */
	struct smtp_session *session;	/* for go */
	struct tx_rcpt	 rcpts[];
};

/* For n recipients given by their indexes. */
struct smtp_tx	*tx_new(struct smtp_job *, const uint32_t *index, uint32_t n);
void		 tx_free(struct smtp_tx *);

/* The server can take this message as it is: 0. Else recipients have been
 * answered, perhaps all: -1 if none is left. */
int	tx_prepare(struct smtp_session *, struct smtp_tx *);

/* The body as it is to be sent, in order: as body_left() and body_read(). */
uint64_t tx_left(const struct smtp_tx *);
int64_t	tx_read(struct smtp_tx *, char *scratch, size_t max,
	    const char **data_r);

/* The whole body was said: its bytes are not needed any more. */
void	tx_drop_kept(struct smtp_tx *);

/* The asker shall know that the accepted recipients (all hopeful ones, before
 * anything is said) are in doubt from now on; tx->end becomes TAKEN when it
 * does. */
void	tx_announce_end(struct smtp_session *, struct smtp_tx *);

/* One recipient's answer; all hopeful ones; all accepted ones. */
void	tx_answer(struct smtp_session *, struct smtp_tx *, uint32_t i,
	    const struct reply *);
void	tx_fail(struct smtp_session *, struct smtp_tx *, const struct reply *);
void	tx_answer_accepted(struct smtp_session *, struct smtp_tx *,
	    const struct reply *);
/* After end of data without a clear reply: all who may have been accepted. */
void	tx_in_doubt(struct smtp_session *, struct smtp_tx *,
	    const struct reply *);
void	tx_put_off(struct smtp_tx *, uint32_t i);

/* For qsort(): recipients' indexes, ascending. */
int	tx_by_index(const void *, const void *);

/* Some recipient of it has an answer. */
bool	tx_any_done(const struct smtp_tx *);

/* Nothing more will be said or heard of it. */
bool	tx_is_over(const struct smtp_tx *);
/* Recipients are asked for, the message is not sent. */
static inline bool
tx_is_probe(const struct smtp_tx *tx)
{
	return tx->job != NULL && (tx->job->d->env.flags & ENV_PROBE) != 0;
}

/* Someone may still get the message. */
static inline bool
tx_hope(const struct smtp_tx *tx)
{
	return tx->mail != REFUSED && tx->data != REFUSED && tx->nhope > 0;
}

#endif
