/*
 * sasl_mech.h - the mechanisms of SASL as rows: for sasl*.c alone.
 */
#ifndef SMTP_SASL_MECH_H
#define SMTP_SASL_MECH_H

#include "smtp/sasl.h"

enum {
	NEEDS_PASSWORD = 0x01,	/* and a username */
	NEEDS_TOKEN = 0x02,
	NEEDS_USERNAME = 0x04,
	NEEDS_CERTIFICATE = 0x08,
	NEEDS_PROTECTION = 0x10,
	NEEDS_BINDING = 0x20,
	IS_CLIENT_FIRST = 0x40,	/* has an initial response */
	IS_TEXT = 0x80,		/* name and password are RFC 4013's */
	IS_SCRAM = 0x100,
	IS_NAMED_ONLY = 0x200	/* not used unless the operator names it */
};

struct sasl_mech {			/* a row */
	const char	*name;
	unsigned	 flags;
	/* A response put into s->message, or -1 with sasl_fail(). The first
	 * one of an IS_CLIENT_FIRST has no challenge. */
	int		(*respond)(struct sasl *, const char *challenge,
			    size_t n);
};

#define SASL_NMECHS	8

/* In order of preference. */
extern const struct sasl_mech sasl_mechs[SASL_NMECHS];

/* The row of a name of n bytes, whose case does not count; or NULL. */
const struct sasl_mech *sasl_mech_find(const char *name, size_t n);

#endif
