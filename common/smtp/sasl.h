/*
 * sasl.h - the client's side of SASL (RFC 4422) for SMTP and LMTP AUTH
 * (RFC 4954): which mechanism, and what it says.  No input or output.
 *
 *	mechanism		RFC		needs		channel
 *	SCRAM-SHA-256-PLUS	5802, 7677	password	TLS, binding
 *	SCRAM-SHA-256		5802, 7677	password	any
 *	OAUTHBEARER		7628		token		protected
 *	XOAUTH2			(Google)	token, username	protected
 *	PLAIN			4616		password	protected
 *	LOGIN			(draft)		password	protected
 *	CRAM-MD5		2195		password	any
 *	EXTERNAL		4422 §A		certificate	protected
 *
 * A password comes with a username.  This is also the order of preference, but
 * EXTERNAL is used only where the operator names it.
 *
 * The use of it: sasl_choose() after the last EHLO, sasl_new(), send what
 * sasl_start() gives, for each 334 what sasl_continue() gives, each as a line
 * of its own; upon 235 ask sasl_is_complete(), upon 4yz and 5yz look for
 * sasl_error(); sasl_free().  Waiting, the end of a session and the words of
 * the final reply are the caller's.
 *
 * Usernames and passwords (RFC 4013): ASCII without control characters passes
 * as it is.  Other text must be UTF-8, has no control characters either, and is
 * sent as it is: who configures it writes it in the form that the server
 * stored, which after normalisation is NFKC.  LOGIN and CRAM-MD5 know no
 * character set: they send any octets.
 * GAP: RFC 4013 §2.2 no normalisation to NFKC
 */
#ifndef SMTP_SASL_H
#define SMTP_SASL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/secret.h"
#include "conf/option.h"

#define SASL_LINE_MAX		12288	/* with CRLF; RFC 4954 §4 */
/* Bytes of a name, and of a password or token: choices, by which all that is
 * configured fits into a line. */
#define SASL_NAME_MAX		500
#define SASL_SECRET_MAX		7000
#define SASL_BINDING_MAX	64	/* bytes: a SHA-512 */
#define SASL_ERROR_MAX		400	/* bytes of an error text with NUL */

/* Of hashing a password.  Fewer are no protection (RFC 7677 §4); with more (so
 * many take 0.2 seconds) a server could keep the agent from its work. */
#define SCRAM_ROUNDS_MIN	4096
#define SCRAM_ROUNDS_MAX	600000

enum sasl_binding {		/* what the TLS connection is known by */
	SASL_BIND_NONE,
	SASL_BIND_TLS_EXPORTER,		/* RFC 9266; TLS 1.3 */
	SASL_BIND_TLS_SERVER_END_POINT	/* RFC 5929 §4 */
};

/* What the connection is. Borrowed until sasl_new() is back. */
struct sasl_channel {
	bool		 is_protected;	/* TLS, or a UNIX socket */
	enum sasl_binding binding;	/* NONE: SCRAM-SHA-256-PLUS is out */
	const void	*binding_data;
	size_t		 binding_len;	/* 1..SASL_BINDING_MAX */
	const char	*host;		/* for OAUTHBEARER; NULL: not told */
	uint16_t	 port;		/* likewise; 0 */
};

struct sasl_mech;

enum sasl_choosing {
	SASL_CHOSEN,
	SASL_NOT_OFFERED,	/* the server has no AUTH */
	SASL_NONE_USABLE,	/* none that is known, allowed and has what it
				 * needs */
	SASL_NOT_PROTECTED	/* there is one, but it must not be used over
				 * this channel */
};

struct sasl_choice {
	const struct sasl_mech *mech;	/* static */
	bool		 no_plus;	/* we can and may bind, the server did
					 * not offer it (RFC 5802 §6) */
};

/*
 * offer: the parameters of the server's AUTH, NULL where it has none; those of
 * several lines joined by a blank; "=PLAIN LOGIN" of the old form is fine.
 * allowed: the names to try in this order, NULL or empty: all but EXTERNAL in
 * the order above; names that are not known are skipped on both sides, case
 * does not count.  Unless SASL_CHOSEN, error holds a sentence without a full
 * stop for the operator: "no usable SASL mechanism offered (offered: ...)",
 * foreign bytes escaped, at most SASL_ERROR_MAX.  Credentials that are given as
 * files count without being read.
 */
enum sasl_choosing sasl_choose(const char *offer,
	    const struct opt_list *allowed, const struct credentials *,
	    const struct sasl_channel *, struct sasl_choice *choice_r,
	    char *error, size_t size);

const char *sasl_mech_name(const struct sasl_mech *);

/* For rows of options: NULL, or what is wrong with the name of a mechanism. */
const char *sasl_check_name(const char *);

/*
 * The work of the last password that was hashed, for SCRAM (RFC 5802 §5.1):
 * 64 bytes that stand for the password at one server, and a digest by which
 * they are found.  One belongs to each place that authenticates again and
 * again; it must outlive the exchanges.  All zero is empty.
 */
struct scram_cache {
	bool		 is_set;
	uint8_t		 of[32];
	uint8_t		 client_key[32];
	uint8_t		 server_key[32];
};

void	scram_cache_clear(struct scram_cache *);

struct sasl;

/*
 * An exchange, with copies of all it needs.  The credentials must have been
 * refreshed.  NULL with a text where they cannot be sent by this mechanism:
 * characters or lengths; the text does not show them.  The cache may be NULL.
 */
struct sasl *sasl_new(const struct sasl_choice *, const struct credentials *,
	    const struct sasl_channel *, struct scram_cache *, char *error,
	    size_t size);
void	sasl_free(struct sasl *);		/* NULL is fine; wipes */

/*
 * The line to send, without CRLF, at most SASL_LINE_MAX - 2 bytes: the AUTH
 * command, with an initial response if the mechanism has one and the line keeps
 * to 512 octets (RFC 4954 §4).  Borrowed until the next call; never NULL.
 */
const char *sasl_start(struct sasl *);

/*
 * The same for the text of a 334 reply, of any length: the answer, which may be
 * an empty line, or "*" to cancel.  Then sasl_error() says why, and the server
 * answers with 501 (RFC 4954 §4).
 */
const char *sasl_continue(struct sasl *, const char *text, size_t n);

/*
 * Upon 235: has everything been said, and the server shown that it knows the
 * password where the mechanism wants that?  If not, the session must not be
 * used, and sasl_error() says why.
 */
bool	sasl_is_complete(struct sasl *);

/* We have given up with "*": what the server says then is no refusal. */
bool	sasl_is_cancelled(const struct sasl *);

/*
 * What went wrong on our side, or what an OAuth server told in its challenge;
 * NULL if nothing is known.  Foreign bytes are escaped; no secrets.
 */
const char *sasl_error(const struct sasl *);

/*
 * What traces and logs show in place of the line that was last given:
 * "AUTH PLAIN [secret]", "[secret]", or the line itself where it says nothing.
 * Of the server's 334 they show SASL_TRACE_CHALLENGE: all lines of an exchange
 * together would allow guessing of the password.
 */
const char *sasl_trace(const struct sasl *);

#define SASL_TRACE_CHALLENGE	"334 [challenge]"

/* ---- for sasl*.c and tests ---- */

#define SASL_INITIAL_MAX	512	/* AUTH line, with CRLF */
#define SASL_RAW_MAX		(SASL_LINE_MAX / 4 * 3)
#define SCRAM_NONCE_LEN		24

/* The state of SCRAM. Nothing of it is secret by itself. */
struct scram {
	char		 nonce[SCRAM_NONCE_LEN + 1];
	struct buf	 gs2;		/* header: binding flag and authzid */
	struct buf	 auth;		/* AuthMessage, as it grows */
	uint8_t		 server_signature[32];
};

struct sasl {
	const struct sasl_mech *mech;
	struct scram_cache *cache;	/* borrowed; or NULL */
	char		*username, *authzid, *host;	/* owned; or NULL */
	char		*secret;	/* password or token; owned; or NULL */
	size_t		 secret_len;
	uint16_t	 port;
	enum sasl_binding binding;	/* NONE unless the mechanism binds */
	uint8_t		 binding_data[SASL_BINDING_MAX];
	size_t		 binding_len;
	bool		 no_plus;

	uint8_t		 nsaid;		/* responses given */
	bool		 is_owed;	/* first response, upon a 334 */
	bool		 is_done;	/* nothing is left to say */
	bool		 is_cancelled;
	bool		 is_too_long;	/* the response */
	struct scram	 scram;
	struct buf	 message;	/* response; has all its memory */
	char		 error[SASL_ERROR_MAX];
	char		 trace[64];	/* for the line */
	uint8_t		 challenge[SASL_RAW_MAX + 1];
	char		 line[SASL_LINE_MAX];
};

/*
 * Sets the text of sasl_error(), with what the server said behind it unless
 * that is NULL. Both return -1.
 */
int	sasl_fail(struct sasl *, const char *why, const void *what, size_t n);
int	sasl_fail_unexpected(struct sasl *);	/* challenge out of place */

/* Add to the response; too much of it is found in the end. */
void	sasl_put(struct sasl *, const void *, size_t);

/* A name with , and = written as =2C and =3D (RFC 5802 §7, saslname). */
void	sasl_put_name(struct buf *, const char *);

int	scram_init(struct sasl *);	/* -1: no random bytes */
void	scram_clear(struct sasl *);
/* The response to a challenge, which has a NUL behind it: 0, or -1. */
int	scram_respond(struct sasl *, const char *challenge, size_t n);

#endif
