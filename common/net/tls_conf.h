/*
 * tls_conf.h - the options of TLS, and what they mean for one connection.
 *
 * The rows join an agent's table; their names are "tls", "tls_mode" and
 * "tls.*".  That any of the tls options is given means that TLS is wanted;
 * hence none of them has a default that could be mistaken for a given value.
 */
#ifndef NET_TLS_CONF_H
#define NET_TLS_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/option.h"
#include "net/addr.h"

#define TLS_SESSION_CACHE	1000	/* default number of sessions kept */

enum tls_ask { TLS_ASK_AUTO, TLS_ASK_NO, TLS_ASK_YES };
enum tls_mode { TLS_MODE_AUTO, TLS_MODE_NONE, TLS_MODE_MAY, TLS_MODE_REQUIRE,
    TLS_MODE_VERIFY, TLS_MODE_FINGERPRINT, TLS_MODE_WRAPPER, TLS_MODE_DANE,
    TLS_MODE_DANE_ONLY };
enum tls_reqs { TLS_REQS_UNSET, TLS_REQS_NONE, TLS_REQS_OPTIONAL,
    TLS_REQS_REQUIRED };
enum tls_version { TLS_VERSION_UNSET, TLS_VERSION_ANY, TLS_VERSION_1_2_ONLY,
    TLS_VERSION_1_2, TLS_VERSION_1_3 };
/* Of "TLS-Required: No" (RFC 8689 §3) in a message. */
enum tls_header { TLS_HEADER_AUTO, TLS_HEADER_HONOUR, TLS_HEADER_IGNORE };
/* A word that may be given without meaning anything new. */
enum tls_said { TLS_UNSAID, TLS_SAID_NO, TLS_SAID_YES };

struct tls_conf {
	int		 ask;		/* enum tls_ask */
	int		 mode;		/* enum tls_mode */
	int		 required_header;	/* enum tls_header */
	char		*ca_certs, *ca_path;	/* NULL or "": not given */
	char		*certfile, *keyfile;
	int		 cert_reqs;	/* enum tls_reqs */
	int		 ssl_version;	/* enum tls_version */
	char		*ciphers, *ciphersuites;
	struct opt_list	 match;		/* names, .domains, addresses */
	struct opt_list	 fingerprints;
	int		 server_side;		/* enum tls_said */
	int		 do_handshake_on_connect;
	int		 suppress_ragged_eofs;
	int		 ktls;
	int64_t		 session_cache;
};

extern const struct opt_row tls_conf_rows[];

enum tls_agent {
	TLS_FOR_HOST,		/* the administrator has named the host */
	TLS_FOR_MX		/* the DNS names it */
};

/*
 * For the table's check(): options that contradict each other, files that
 * cannot be used, modes that are not for this agent.  Returns the number of
 * faults.
 */
int	tls_conf_check(const struct tls_conf *, enum tls_agent, opt_report *,
	    void *arg);

/*
 * What is legal but weak: reports each by the name of its option; the texts
 * say why.  So do the other *_warn() of option tables.
 */
void	tls_conf_warn(const struct tls_conf *, enum tls_agent, opt_report *,
	    void *arg);

/* Is any of the tls options given? tls_mode is not one of them. */
bool	tls_conf_is_given(const struct tls_conf *);

enum tls_level {
	TLS_NONE,		/* clear text */
	TLS_MAY,		/* if offered, else in clear; RFC 7435 */
	TLS_REQUIRE,		/* or not at all; whoever the server is */
	TLS_VERIFY		/* and only with the right server */
};

enum tls_dane_use {
	TLS_DANE_OFF,		/* TLSA records are not looked for */
	TLS_DANE_MAY,		/* what they say, where there are any */
	TLS_DANE_MUST		/* no delivery without usable ones */
};

struct tls_policy {
	enum tls_level	 level;
	bool		 is_wrapper;	/* TLS from the first byte */
	enum tls_dane_use dane;		/* level holds where it finds nothing */
};

/*
 * What holds for a connection to this address.  UNIX sockets: never TLS.
 * tls_mode decides where it is given.  Else without any tls option: may; with
 * one: verify for a named host, may for MX hosts; tls.cert_reqs says otherwise
 * (CERT_NONE and CERT_OPTIONAL: may, CERT_REQUIRED: verify).
 *
 * DANE is for who knows the records of a host: dane gives TLS_MAY with
 * TLS_DANE_MAY; dane-only gives TLS_VERIFY with TLS_DANE_MUST, so that nobody
 * who overlooks the second is let in without a verified certificate.
 */
struct tls_policy tls_policy_of(const struct tls_conf *, enum tls_agent,
	    const struct addr *);

/*
 * What holds for one message: `asked` is what the recipient's domain asks for
 * (DANE, MTA-STS; TLS_NONE: nothing), the stronger of the two counts, unless
 * there is never to be TLS.  A message that waives TLS is not bound by what the
 * domain asks for, and with tls_required_header = honour not by tls_mode
 * either; TLS is tried all the same.
 */
void	tls_policy_join(struct tls_policy *, enum tls_level asked,
	    const struct tls_conf *, bool waives_tls);
/* Could the message's waiver change anything?  Else it is not looked for. */
bool	tls_policy_hears_waiver(const struct tls_policy *, enum tls_level asked,
	    const struct tls_conf *);

/* "verify", "require wrapper": for logs and keys. */
const char *tls_policy_text(const struct tls_policy *);

/* SHA-256 as 64 hexadecimal digits, with or without colons; -1: it is none. */
int	tls_fingerprint_parse(const char *, uint8_t bytes[32]);

#endif
