/* source.h - which local address a connection is made from. */
#ifndef SMTP_SOURCE_H
#define SMTP_SOURCE_H

#include "mail/envelope.h"
#include "net/addr.h"
#include "smtp/conf.h"

struct source_set;

struct source_set *source_set_new(const struct smtp_conf *);
void	source_set_free(struct source_set *);

/*
 * The address for a connection of this family; NULL: the system's choice,
 * because the list has none of the family.
 */
const struct addr *source_pick(struct source_set *, int family,
	    const struct envelope *);

#endif
