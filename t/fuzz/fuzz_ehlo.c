/*
 * fuzz_ehlo.c - any answer to EHLO.  Lines in another order, and the same in
 * the other case, offer the same.
 */
#include "smtp/ehlo.h"

#include <stdlib.h>
#include <string.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
offered(const char *p, size_t n, struct smtp_offer *offer)
{
	struct reply_parser rp = { .at = 0 };
	struct raw_reply r;

	char auth[64];

	if (reply_parse(&rp, p, n, &r) != PARSE_DONE)
		return -1;
	ehlo_parse(&r, offer);
	if (ehlo_auth(&r, auth, sizeof(auth)) != (*auth != '\0') ||
	    strlen(auth) >= sizeof(auth))
		abort();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_offer offer, again;
	char *copy;
	size_t i;

	if (offered((const char *)data, n, &offer) == -1)
		return 0;
	if ((offer.exts & ~0xfffU) != 0 ||
	    (offer.size_limit != 0 && (offer.exts & EXT_SIZE) == 0) ||
	    offer.size_limit > 999999999999999999U)
		abort();
	if ((copy = malloc(n)) == NULL)
		abort();
	for (i = 0; i < n; i++)
		copy[i] = data[i] >= 'A' && data[i] <= 'Z' ?
		    (char)(data[i] + 'a' - 'A') : (char)data[i];
	if (offered(copy, n, &again) == -1 || again.exts != offer.exts ||
	    again.size_limit != offer.size_limit ||
	    again.rcpt_max != offer.rcpt_max ||
	    again.mail_max != offer.mail_max)
		abort();
	free(copy);
	return 0;
}
