/* admit.h - which clients an intake takes, and which it trusts. */
#ifndef INTAKE_ADMIT_H
#define INTAKE_ADMIT_H

#include <stdbool.h>

#include "net/addr.h"

struct intake;

/* NULL, or what a client is told that is one too many. */
const char	*admit_fault(const struct intake *, const struct addr *from);
/* Says so, as far as the socket takes it at once, and closes. */
void		 admit_refuse(struct intake *, int fd, const char *say);
/* May it say XCLIENT and XFORWARD?  A UNIX socket is as near as loopback. */
bool		 admit_trusts(const struct intake *, const struct addr *from);

#endif
