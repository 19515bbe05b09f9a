/*
 * sasl_mech.c - the mechanisms of SASL, one row and one function each; SCRAM's
 * is in sasl_scram.c.
 */
#include "smtp/sasl_mech.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

static void
put(struct sasl *s, const char *text)
{
	sasl_put(s, text, strlen(text));
}

static void
put_secret(struct sasl *s)
{
	sasl_put(s, s->secret, s->secret_len);
}

/* ---- PLAIN (RFC 4616 §2) ---- */

static int
plain_respond(struct sasl *s, const char *challenge, size_t n)
{
	(void)challenge;
	if (s->nsaid > 0 || n > 0)
		return sasl_fail_unexpected(s);
	if (s->authzid != NULL)
		put(s, s->authzid);
	sasl_put(s, "", 1);
	put(s, s->username);
	sasl_put(s, "", 1);
	put_secret(s);
	s->is_done = true;
	return 0;
}

/* ---- LOGIN: what the challenges say is for people ---- */

static int
login_respond(struct sasl *s, const char *challenge, size_t n)
{
	(void)challenge;
	(void)n;
	switch (s->nsaid) {
	case 0:
		put(s, s->username);
		return 0;
	case 1:
		put_secret(s);
		s->is_done = true;
		return 0;
	default:
		return sasl_fail_unexpected(s);
	}
}

/* ---- CRAM-MD5 (RFC 2195 §2) ---- */

static int
cram_md5_respond(struct sasl *s, const char *challenge, size_t n)
{
	uint8_t		digest[EVP_MAX_MD_SIZE];
	char		hex[3];
	unsigned	len = 0, i;

	if (s->nsaid > 0)
		return sasl_fail_unexpected(s);
	if (n == 0)	/* the digest of nothing would serve for ever */
		return sasl_fail(s, "the server sent an empty challenge",
		    NULL, 0);
	if (HMAC(EVP_md5(), s->secret, (int)s->secret_len,
	    (const uint8_t *)challenge, n, digest, &len) == NULL)
		return sasl_fail(s, "MD5 is not available here", NULL, 0);
	put(s, s->username);
	put(s, " ");
	for (i = 0; i < len; i++) {
		snprintf(hex, sizeof(hex), "%02x", digest[i]);
		put(s, hex);
	}
	s->is_done = true;
	return 0;
}

/* ---- XOAUTH2, OAUTHBEARER (RFC 7628) ---- */

/*
 * A challenge after the token is JSON that says why it was refused; the answer
 * has no meaning, and makes the server end the exchange (RFC 7628 §3.2.3).
 */
static int
take_refusal(struct sasl *s, const char *challenge, size_t n,
    const char *answer)
{
	if (s->nsaid > 1)
		return sasl_fail_unexpected(s);
	sasl_fail(s, "the server refuses the token", challenge, n);
	s->is_done = false;
	put(s, answer);
	return 0;
}

static void
put_bearer(struct sasl *s)
{
	put(s, "\001auth=Bearer ");
	put_secret(s);
	put(s, "\001\001");
	s->is_done = true;
}

static int
xoauth2_respond(struct sasl *s, const char *challenge, size_t n)
{
	if (s->nsaid > 0)
		return take_refusal(s, challenge, n, "");
	if (n > 0)
		return sasl_fail_unexpected(s);
	put(s, "user=");
	put(s, s->username);
	put_bearer(s);
	return 0;
}

/* RFC 7628 §3.1; the gs2 header is that of RFC 5801 §4, without binding. */
static int
oauthbearer_respond(struct sasl *s, const char *challenge, size_t n)
{
	const char *name = s->authzid != NULL ? s->authzid : s->username;
	char port[16];

	if (s->nsaid > 0)
		return take_refusal(s, challenge, n, "\001");
	if (n > 0)
		return sasl_fail_unexpected(s);
	put(s, "n,");
	if (name != NULL) {
		put(s, "a=");
		sasl_put_name(&s->message, name);
	}
	put(s, ",");
	if (s->host != NULL) {
		put(s, "\001host=");
		put(s, s->host);
	}
	if (s->port != 0) {
		snprintf(port, sizeof(port), "\001port=%u", s->port);
		put(s, port);
	}
	put_bearer(s);
	return 0;
}

/* ---- EXTERNAL (RFC 4422 §A.1): the name to act for, or nothing ---- */

static int
external_respond(struct sasl *s, const char *challenge, size_t n)
{
	(void)challenge;
	if (s->nsaid > 0 || n > 0)
		return sasl_fail_unexpected(s);
	if (s->authzid != NULL)
		put(s, s->authzid);
	s->is_done = true;
	return 0;
}

/* ---- the rows, in order of preference ---- */

const struct sasl_mech sasl_mechs[SASL_NMECHS] = {
	{ "SCRAM-SHA-256-PLUS", NEEDS_PASSWORD | NEEDS_BINDING | IS_TEXT |
	    IS_CLIENT_FIRST | IS_SCRAM, scram_respond },
	{ "SCRAM-SHA-256", NEEDS_PASSWORD | IS_TEXT | IS_CLIENT_FIRST |
	    IS_SCRAM, scram_respond },
	{ "OAUTHBEARER", NEEDS_TOKEN | NEEDS_PROTECTION | IS_TEXT |
	    IS_CLIENT_FIRST, oauthbearer_respond },
	{ "XOAUTH2", NEEDS_TOKEN | NEEDS_USERNAME | NEEDS_PROTECTION |
	    IS_TEXT | IS_CLIENT_FIRST, xoauth2_respond },
	{ "PLAIN", NEEDS_PASSWORD | NEEDS_PROTECTION | IS_TEXT |
	    IS_CLIENT_FIRST, plain_respond },
	{ "LOGIN", NEEDS_PASSWORD | NEEDS_PROTECTION, login_respond },
	{ "CRAM-MD5", NEEDS_PASSWORD, cram_md5_respond },
	{ "EXTERNAL", NEEDS_CERTIFICATE | NEEDS_PROTECTION | IS_NAMED_ONLY |
	    IS_TEXT | IS_CLIENT_FIRST, external_respond },
};

const struct sasl_mech *
sasl_mech_find(const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < SASL_NMECHS; i++)
		if (strlen(sasl_mechs[i].name) == n &&
		    strncasecmp(sasl_mechs[i].name, name, n) == 0)
			return &sasl_mechs[i];
	return NULL;
}

const char *
sasl_mech_name(const struct sasl_mech *mech)
{
	return mech->name;
}

const char *
sasl_check_name(const char *name)
{
	return sasl_mech_find(name, strlen(name)) != NULL ? NULL :
	    "is not a SASL mechanism known here";
}
