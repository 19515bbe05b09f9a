/*
 * fuzz_sts_policy.c - any policy file.  What is taken is within its bounds,
 * and written and read again it is the same.
 */
#include "route/sts_policy.h"

#include <stdlib.h>
#include <string.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct sts_policy *p)
{
	const char *host;
	char below[300];
	size_t i;

	if (p->max_age_s < 0 || p->max_age_s > STS_MAX_AGE_MAX ||
	    p->nmx > STS_MX_MAX ||
	    (p->nmx == 0 && p->mode != STS_MODE_NONE) ||
	    strcmp(p->id, "1") != 0)
		abort();
	for (i = 0; i < p->nmx; i++) {
		host = p->mx[i];
		if (strncmp(host, "*.", 2) == 0) {
			snprintf(below, sizeof(below), "q%s", host + 1);
			host = below;
		}
		if (strlen(p->mx[i]) > 256 || !sts_mx_matches(p, host))
			abort();
	}
	sts_mx_matches(p, "");
	sts_mx_matches(p, ".");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sts_policy *p, *again;
	char error[256];
	struct buf b;
	size_t i;

	p = sts_policy_parse((const char *)data, n, "1", error,
	    sizeof(error));
	if (p == NULL)
		return 0;
	check(p);
	buf_init(&b, STS_BODY_MAX);
	if (sts_policy_format(p, &b) == -1)
		abort();
	again = sts_policy_parse(buf_data(&b), buf_len(&b), "1", error,
	    sizeof(error));
	if (again == NULL || again->mode != p->mode ||
	    again->max_age_s != p->max_age_s || again->nmx != p->nmx)
		abort();
	for (i = 0; i < p->nmx; i++)
		if (strcmp(p->mx[i], again->mx[i]) != 0)
			abort();
	sts_policy_free(again);
	sts_policy_free(p);
	buf_clear(&b);
	return 0;
}
