/*
 * domain_map.h - options by domain: "example.com" for itself, ".example.com"
 * for what is below it, "*" for all; the nearest one holds.
 */
#ifndef ROUTE_DOMAIN_MAP_H
#define ROUTE_DOMAIN_MAP_H

#include <stddef.h>

#include "conf/option.h"

struct domain_map {
	struct domain_row {
		char	*pattern;	/* lower-case A-labels, owned */
		size_t	 pair;		/* which of the dictionary's */
	} *rows;			/* sorted */
	size_t	 n;
};

/* NULL, or the key that is no domain (of the dictionary's memory). */
const char *domain_map_init(struct domain_map *, const struct opt_dict *);
void	 domain_map_clear(struct domain_map *);

/* The number of the pair that holds for a domain in lower-case A-labels (or an
 * address literal in brackets, which only "*" fits); -1: none. */
long	 domain_map_find(const struct domain_map *, const char *domain);

#endif
