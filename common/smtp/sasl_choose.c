/* sasl_choose.c - which mechanism of SASL, of those a server offers. */
#include "smtp/sasl_mech.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define BLANKS		" \t\r\n"

/* The known words of an offer as bits, by row. */
static unsigned
offered_bits(const char *offer)
{
	const struct sasl_mech	*mech;
	unsigned		 bits = 0;
	size_t			 n;

	for (;; offer += n) {
		offer += strspn(offer, BLANKS "=");	/* "AUTH=PLAIN" */
		if ((n = strcspn(offer, BLANKS)) == 0)
			return bits;
		if ((mech = sasl_mech_find(offer, n)) != NULL)
			bits |= 1U << (mech - sasl_mechs);
	}
}

/* Is there all that it needs, the protection of the channel aside? */
static bool
is_possible(const struct sasl_mech *mech, const struct credentials *c,
    const struct sasl_channel *channel)
{
	if ((mech->flags & (NEEDS_PASSWORD | NEEDS_USERNAME)) != 0 &&
	    c->username == NULL)
		return false;
	if ((mech->flags & NEEDS_PASSWORD) != 0 &&
	    !secret_is_set(&c->password))
		return false;
	if ((mech->flags & NEEDS_TOKEN) != 0 && !secret_is_set(&c->token))
		return false;
	if ((mech->flags & NEEDS_CERTIFICATE) != 0 && !c->has_certificate)
		return false;
	return (mech->flags & NEEDS_BINDING) == 0 ||
	    channel->binding != SASL_BIND_NONE;
}

/* The i-th row to try, or NULL beyond the last; rows may be skipped. */
static bool
nth_wanted(const struct opt_list *allowed, size_t i,
    const struct sasl_mech **mech_r)
{
	if (allowed != NULL && allowed->n > 0) {
		if (i >= allowed->n)
			return false;
		*mech_r = sasl_mech_find(allowed->v[i], strlen(allowed->v[i]));
		return true;
	}
	if (i >= SASL_NMECHS)
		return false;
	*mech_r = (sasl_mechs[i].flags & IS_NAMED_ONLY) == 0 ? &sasl_mechs[i] : NULL;
	return true;
}

static enum sasl_choosing
refuse(enum sasl_choosing why, const char *text, const char *offer,
    char *error, size_t size)
{
	char shown[SASL_ERROR_MAX - 100];

	offer += strspn(offer, BLANKS);
	str_escape(shown, sizeof(shown), offer, strlen(offer));
	snprintf(error, size, "%s (offered: %s)", text, shown);
	return why;
}

enum sasl_choosing
sasl_choose(const char *offer, const struct opt_list *allowed,
    const struct credentials *c, const struct sasl_channel *channel,
    struct sasl_choice *choice_r, char *error, size_t size)
{
	const struct sasl_mech	*mech;
	bool			 is_bare = false;	/* not protected */
	unsigned		 bits;
	size_t			 i;

	memset(choice_r, 0, sizeof(*choice_r));
	if (offer == NULL || offer[strspn(offer, BLANKS "=")] == '\0') {
		snprintf(error, size, "SASL authentication not offered");
		return SASL_NOT_OFFERED;
	}
	bits = offered_bits(offer);
	for (i = 0; nth_wanted(allowed, i, &mech); i++) {
		if (mech == NULL || !is_possible(mech, c, channel))
			continue;
		if ((bits & 1U << (mech - sasl_mechs)) == 0) {
			if ((mech->flags & NEEDS_BINDING) != 0)
				choice_r->no_plus = true;
		} else if ((mech->flags & NEEDS_PROTECTION) != 0 &&
		    !channel->is_protected)
			is_bare = true;
		else if (choice_r->mech == NULL)
			choice_r->mech = mech;
	}
	if (choice_r->mech != NULL)
		return SASL_CHOSEN;
	if (is_bare)
		return refuse(SASL_NOT_PROTECTED, "no SASL mechanism offered "
		    "that is fit for a channel without protection", offer,
		    error, size);
	return refuse(SASL_NONE_USABLE, "no usable SASL mechanism offered",
	    offer, error, size);
}
