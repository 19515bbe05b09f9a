/*
 * tls.h - TLS for a connection, by OpenSSL on our own event loop.
 *
 * One tls_ctx for each set of tls options: trust, client certificate, ciphers
 * and the sessions kept for resumption.  Each connection has its level and
 * the host it must be, so that policies that come later than the options (of
 * a recipient's domain) need no context of their own.
 *
 * An EOF inside a handshake, an alert, a bad record: closed() comes with
 * EPROTO and conn_tls_fault() says why.  The private key of a client and what
 * OpenSSL holds are in this process only; SIGPIPE must be ignored in it.
 *
 * Implements RFC 8446 and 5246 as a client; RFC 6125 §6 (names), RFC 5929 and
 * 9266 (channel binding), RFC 7435 (level may), RFC 7671 and 7672 §3 (DANE).
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/conn.h"
#include "net/tls_conf.h"
#include "net/tls_dane.h"

struct tls_ctx;

/*
 * NULL with a text where an option cannot be used: no such cipher, a key that
 * does not fit its certificate.  Where the options give nothing to load,
 * nothing of OpenSSL is touched until the first handshake.  The options must
 * stay as long as the context; connections hold on to the context.
 */
struct tls_ctx	*tls_ctx_new(const struct tls_conf *, char *error, size_t);
void		 tls_ctx_free(struct tls_ctx *);

/*
 * The folder where the system's trusted certificates are looked up one by one
 * as they are needed: the file that has them all costs 16 ms and 900 kB to
 * read.  NULL: only that file is there, or the environment names one.
 */
const char	*tls_system_ca_path(void);

/* Whom the connection must reach; nothing of it is kept. */
struct tls_peer {
	/*
	 * The name looked for, or an address: what the certificate must be
	 * for where neither `names` nor tls.match says otherwise, and, for a
	 * name, what the server is told (SNI).
	 */
	const char	*host;
	const struct addr *addr;
	enum tls_level	 level;		/* not TLS_NONE */
	const char *const *names;	/* NULL, or ended by NULL; as tls.match,
					 * and before it */
	/*
	 * Not NULL: one of these records must match, whatever the level says,
	 * and nothing else counts: not the trusted certificates, `names`,
	 * tls.match or tls.fingerprints.  A set without records lets nobody
	 * in.  A reference is taken.
	 */
	struct tls_dane	*dane;
};

/*
 * Turns an open connection into TLS: after the answer to STARTTLS, or at once
 * in opened().  What has come in clear and was not used yet is the caller's to
 * refuse; what comes from now on is TLS.  secured() follows, or closed(); how
 * long that may take is the owner's business.
 */
void	conn_start_tls(struct conn *, struct tls_ctx *,
	    const struct tls_peer *);

enum tls_cert_fault {		/* why a certificate is not verified */
	TLS_CERT_GOOD,		/* it is, or nobody has looked */
	TLS_CERT_NAME,		/* of somebody else */
	TLS_CERT_EXPIRED,	/* or not valid yet; also of those above it */
	TLS_CERT_UNTRUSTED,	/* no way up to what is trusted */
	TLS_CERT_DANE,		/* no TLSA record matches */
	TLS_CERT_BAD		/* anything else */
};

/* A server's certificate; shared by the connections that resume a session. */
struct tls_cert {
	unsigned	 refs;
	bool		 is_verified;
	enum tls_cert_fault fault;
	char		*verified_as;	/* "mail.example.net", "fingerprint",
					 * "dane" (by DANE-EE), "dane-ta:NAME";
					 * "": not verified */
	char		*why_not;	/* "": verified */
	char		*subject, *issuer;	/* common names, escaped */
	int64_t		 not_after_s;	/* wall clock */
	uint8_t		 fingerprint[32];	/* SHA-256 */
	uint8_t		 key_fingerprint[32];	/* of the public key's DER */
};

struct tls_facts {
	const char	*version;	/* "TLSv1.3" */
	const char	*cipher;	/* "TLS_AES_256_GCM_SHA384" */
	int		 bits;
	bool		 is_resumed;
	const struct tls_cert *cert;	/* NULL: the server has none */
};

/* From secured() on, else NULL; goes with the connection. */
const struct tls_facts *conn_tls(const struct conn *);
bool	tls_is_verified(const struct tls_facts *);
/*
 * "TLSv1.3 TLS_AES_256_GCM_SHA384 verified=mail.example.net", or
 * "verified=fingerprint", "verified=dane", "verified=dane-ta:NAME",
 * "verified=no"; " resumed" behind it.  Why it is not verified is in
 * cert->why_not.
 */
const char *tls_facts_text(const struct tls_facts *, char *, size_t);

enum tls_fault {
	TLS_FAULT_NONE,
	TLS_FAULT_CERT,		/* "Server certificate not verified: TEXT" */
	TLS_FAULT_HANDSHAKE,	/* "TLS handshake with H failed: TEXT" */
	TLS_FAULT_BROKEN,	/* after the handshake */
	TLS_FAULT_TRUNCATED	/* an end without close_notify: closed() has
				 * EPROTO only if suppress_ragged_eofs is no */
};

/* For closed(): what TLS has to say about the end, and its text. */
enum tls_fault	conn_tls_fault(const struct conn *, const char **text_r);
/* What was wrong with the certificate, for TLS_FAULT_CERT: TLS_CERT_BAD if
 * there was none. */
enum tls_cert_fault conn_tls_cert_fault(const struct conn *);

#define TLS_BINDING_MAX	64

/*
 * Channel binding for SASL (RFC 5802 §6): the bytes and their name,
 * "tls-exporter" (RFC 9266) from TLS 1.3 on, "tls-server-end-point" (RFC 5929
 * §4) before.  How many bytes, or -1 where there is none.
 */
int	conn_tls_binding(const struct conn *, uint8_t bytes[TLS_BINDING_MAX],
	    const char **name_r);

#endif
