/* sts_inner.h - of sts.c, for its test. */
#ifndef ROUTE_STS_INNER_H
#define ROUTE_STS_INNER_H

#include "route/sts.h"

/*
 * What is done once a minute: reads what other processes have written, and if
 * there is no more of that (false) fetches policies that are due anew.
 */
bool	sts_tend(struct sts *);

#endif
