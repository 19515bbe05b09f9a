/*
 * transaction.h - one mail transaction of a client: its envelope, its message,
 * and what becomes of its recipients.
 *
 * Every recipient that was accepted gets one reply, in the order of RCPT
 * (RFC 2033 §4.2).  Those of different relays go in DELIVERs of their own, and
 * so do those that one frame cannot hold.
 */
#ifndef INTAKE_TRANSACTION_H
#define INTAKE_TRANSACTION_H

#include "intake/spool.h"
#include "mail/envelope.h"

struct answer;
struct intake;
struct lmtp_command;
struct transaction;

struct transaction_ops {
	/* A reply, whole; replies come in the order of recipients, never inside
	 * a call of the owner's. */
	void	(*reply)(void *arg, const char *, size_t);
	/* What becomes of a recipient: for counters, in any order. */
	void	(*outcome)(void *arg, const struct answer *);
	/* All replies were given; the transaction is gone after this. */
	void	(*over)(void *arg);
};

/*
 * MAIL.  The envelope's client_* fields and id are borrowed from `env`.  NULL
 * with the reply in *say_r where the sender cannot be taken.
 */
struct transaction *transaction_new(struct intake *,
		    const struct lmtp_command *, const struct envelope *env,
		    const struct transaction_ops *, void *arg,
		    const char **say_r);
/* RCPT: the reply; a recipient was added if it begins with '2'.  It lives as
 * long as the transaction. */
const char	*transaction_rcpt(struct transaction *,
		    const struct lmtp_command *);
uint32_t	 transaction_nrcpt(const struct transaction *);
struct spool	*transaction_spool(struct transaction *);
bool		 transaction_is_binary(const struct transaction *);
/* The message is there: replies follow. */
void		 transaction_submit(struct transaction *);
/* The client is gone, or has given it up; no callback comes after this. */
void		 transaction_free(struct transaction *);

#endif
