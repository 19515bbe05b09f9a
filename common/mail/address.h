/*
 * address.h - mail addresses as they stand in MAIL FROM and RCPT TO
 * (RFC 5321 §4.1.2, RFC 6531 §3.3), without the angle brackets.
 *
 * nexthop passes addresses on; it judges them only as far as the wire and the
 * routing need: nothing that could break out of `<...>`, lengths, a form that
 * a server can parse.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

#define ADDRESS_MAX	1000	/* bytes; more than RFC 5321's 254 is seen */
#define DOMAIN_MAX	255

struct address {
	const char	*local;		/* as given (maybe quoted); "" never */
	const char	*domain;	/* NULL: there is none ("postmaster") */
	bool		 is_literal;	/* domain is "[...]" */
	bool		 is_utf8;	/* bytes >= 0x80 in the local part */
	bool		 is_idn;	/* bytes >= 0x80 in the domain */
};

/*
 * Takes an address apart; strings go into the arena.  A source route
 * ("@a,@b:user@c", RFC 5321 Appendix C) is stripped, angle brackets around
 * the whole are too, one trailing dot of the domain is removed.  A local part
 * that needs quotes and has none is quoted (RFC 5321 §4.1.2), up to the last
 * '@'; one that is quoted stays as it is.  -1 with a static text: CR, LF, other
 * control bytes, quotes or brackets that are unbalanced or in the middle, empty
 * local part, bytes that are not UTF-8, over ADDRESS_MAX or DOMAIN_MAX; a
 * domain with anything but letters, digits, '-', '_', '.' and UTF-8, with an
 * empty label or one over 63; a literal that is no address.
 */
int	address_parse(const char *, struct arena *, struct address *,
	    const char **error_r);

/*
 * The form for the wire: with SMTPUTF8 as it is, else with the domain as
 * A-labels (RFC 5891; libidn2).  NULL if that cannot be: a non-ASCII local
 * part without SMTPUTF8 (error "SMTPUTF8") or a domain that has no A-labels.
 */
const char *address_wire(const struct address *, bool has_smtputf8,
	    struct arena *, const char **error_r);

/*
 * The domain (not a literal) as A-labels, lower case, without a trailing dot,
 * for look-ups; NULL: cannot exist.
 */
const char *address_domain_ascii(const char *domain, struct arena *);

/* xtext (RFC 3461 §4); encode: into the arena. */
const char *xtext_encode(const char *, struct arena *);
bool	xtext_is_valid(const char *);

/*
 * The address of an ORCPT of type utf-8 (RFC 6533 §3): with characters that
 * are not ASCII, and maybe some as "\x{E9}"; encoded, all of them are so, which
 * is xtext.  NULL: it is neither that nor UTF-8.  Decoded, none is; NULL: one
 * is no character, or not for an address.
 */
const char *utf8_address_encode(const char *, struct arena *);
const char *utf8_address_decode(const char *, struct arena *);

#endif
