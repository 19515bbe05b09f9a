/* source.c - source addresses, one list per family. */
#include "smtp/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct family {
	struct addr	*addrs;
	size_t		 n;
	size_t		 next;
};

struct source_set {
	struct family	 v4, v6;
	int		 policy;
};

static void
add(struct family *f, const struct addr *a)
{
	f->addrs = xreallocarray(f->addrs, f->n + 1, sizeof(*a));
	f->addrs[f->n++] = *a;
}

struct source_set *
source_set_new(const struct smtp_conf *conf)
{
	struct source_set *set = xcalloc(1, sizeof(*set));
	struct addr a;
	size_t i;

	set->policy = conf->source_policy;
	for (i = 0; i < conf->source_addresses.n; i++)
		if (addr_parse(&a, conf->source_addresses.v[i], 0) == 0)
			add(addr_family(&a) == AF_INET ? &set->v4 : &set->v6,
			    &a);
	return set;
}

void
source_set_free(struct source_set *set)
{
	if (set == NULL)
		return;
	free(set->v4.addrs);
	free(set->v6.addrs);
	free(set);
}

/* Of the domain, letters alike; FNV-1a. */
static uint32_t
domain_hash(const char *address)
{
	const char *at = strrchr(address, '@');
	uint32_t h = 2166136261U;

	for (at = at == NULL ? address : at + 1; *at != '\0'; at++)
		h = (h ^ (unsigned char)(*at >= 'A' && *at <= 'Z' ?
		    *at + 32 : *at)) * 16777619U;
	return h;
}

const struct addr *
source_pick(struct source_set *set, int family, const struct envelope *env)
{
	struct family *f = family == AF_INET ? &set->v4 :
	    family == AF_INET6 ? &set->v6 : NULL;
	size_t i = 0;

	if (f == NULL || f->n == 0)
		return NULL;
	switch (set->policy) {
	case SOURCE_ROUND_ROBIN:
		i = f->next++;
		break;
	case SOURCE_RANDOM:
		i = arc4random();
		break;
	case SOURCE_BY_SENDER:
		i = domain_hash(env->sender);
		break;
	case SOURCE_BY_RECIPIENT:
		i = domain_hash(env->rcpts[0].addr);
		break;
	default:
		break;
	}
	return &f->addrs[i % f->n];
}
