/* sts_policy.h - the policy file of MTA-STS (RFC 8461 §3.2). */
#ifndef ROUTE_STS_POLICY_H
#define ROUTE_STS_POLICY_H

#include "base/buf.h"
#include "route/sts.h"

/*
 * A policy with the id of the TXT record it came with; NULL with a text.
 * Lines end in CRLF or LF; fields that are not known are left out; of those
 * that may be there once the first counts; max_age beyond a year is a year.
 */
struct sts_policy *sts_policy_parse(const char *text, size_t len,
	    const char *id, char *error, size_t);
void		 sts_policy_free(struct sts_policy *);

/* The same policy as text, for sts_policy_parse(); -1: the ceiling. */
int		 sts_policy_format(const struct sts_policy *, struct buf *);

const char	*sts_mode_name(enum sts_mode);

#endif
