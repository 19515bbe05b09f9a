/*
 * tls_dane.h - the TLSA records a server's certificate must match (RFC 6698,
 * as RFC 7671 and 7672 use it: usages DANE-TA(2) and DANE-EE(3) alone).
 *
 * A set is filled once and then shared by everybody who connects under it.
 * The order in which records come does not matter, nor that one comes twice.
 */
#ifndef NET_TLS_DANE_H
#define NET_TLS_DANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_DANE_RECORDS_MAX	64	/* in one set */
#define TLS_DANE_NAMES_MAX	8
#define TLS_DANE_DATA_MAX	16384	/* bytes of a record */

struct tls_tlsa {		/* RFC 6698 §2.1 */
	uint8_t		 usage, selector, matching;
	size_t		 len;
	uint8_t		*data;
};

struct tls_dane {
	unsigned	 refs;
	char		**names;	/* ended by NULL; the first is the TLSA
					 * base domain, which is the name told to
					 * the server (RFC 7672 §8.1) */
	struct tls_tlsa	*records;	/* sorted */
	size_t		 n;
	char		 digest[65];	/* "" until it is asked for */
};

/*
 * An empty set with one reference.  The names are what a certificate below a
 * DANE-TA(2) record may be for, the TLSA base domain first; at most
 * TLS_DANE_NAMES_MAX, further ones are left out.  They are copied.
 */
struct tls_dane	*tls_dane_new(const char *const *names);
struct tls_dane	*tls_dane_ref(struct tls_dane *);	/* NULL is fine */
void		 tls_dane_unref(struct tls_dane *);

/*
 * Adds a copy of a usable record.  False for one that cannot be used, with the
 * reason as static text: usages 0 and 1 (RFC 7672 §3.1.3), an unknown
 * parameter, a digest of the wrong length, data that is no certificate or key,
 * too many.  Only before the set is shared.
 */
bool		 tls_dane_add(struct tls_dane *, uint8_t usage,
		    uint8_t selector, uint8_t matching, const void *data,
		    size_t len, const char **why_not_r);

/*
 * 64 hexadecimal digits that are the same for the same names and records:
 * what keys of kept connections and sessions hold.
 */
const char	*tls_dane_digest(struct tls_dane *);

/* "3 1 1 2e4f..." for logs; long data is cut. */
const char	*tls_tlsa_text(const struct tls_tlsa *, char *, size_t);

#endif
