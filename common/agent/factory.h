/*
 * factory.h - a delivery agent as a shared object, which custom(8) loads.
 *
 * The object has FACTORY_ABI once, and a function of the type factory_make
 * under any name:
 *
 *	#include "agent/factory.h"
 *
 *	FACTORY_ABI;
 *
 *	const struct agent_ops *
 *	make(struct factory_options *options) { ... }
 *
 * It is compiled by
 *
 *	cc -shared -fPIC $(pkg-config --cflags nexthop-agent) -o x.so x.c
 *
 * and named by `factory = /path/x.so:make`.  What it calls of these headers is
 * in the program that loads it; nothing of nexthop is linked to it.
 */
#ifndef AGENT_FACTORY_H
#define AGENT_FACTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "mail/message.h"

#define FACTORY_ABI_VERSION	1

/*
 * What the object was compiled against.  custom(8) refuses one that differs
 * from what it is itself, also where only a struct has grown.
 */
struct factory_abi {
	uint32_t	 version;
	uint32_t	 ops_bytes;
	uint32_t	 delivery_bytes;
	uint32_t	 answer_bytes;
	uint32_t	 loop_bytes;	/* struct timer and struct later */
};

#define FACTORY_ABI_VALUE	{ FACTORY_ABI_VERSION,			\
	sizeof(struct agent_ops), sizeof(struct delivery),		\
	sizeof(struct answer), sizeof(struct timer) + sizeof(struct later) }
#define FACTORY_ABI							\
	const struct factory_abi nexthop_factory_abi = FACTORY_ABI_VALUE

extern const struct factory_abi nexthop_factory_abi;

struct factory_option {
	const char	*name;		/* as it was written */
	const char	*value;
};

/*
 * All options of the relay's section, `type` and `factory` first, the others
 * in their order; not those that are the master's own (nexthop.conf(5)).  They
 * live as long as the process.
 */
struct factory_options {
	const struct factory_option *v;
	size_t		 n;
	char		 error[512];	/* by factory_refuse() */
};

/*
 * Chooses an agent by the options; NULL after factory_refuse().  The operations
 * must stay valid; name, summary and table may be NULL, start, deliver and
 * cancel must be there.  start() and window() get the struct factory_options
 * as their values.
 */
typedef const struct agent_ops *factory_make(struct factory_options *);

/* `NAME: TEXT`, which leads an administrator to the line; name may be NULL.
 * The first refusal counts.  Always -1. */
int		 factory_refuse(struct factory_options *, const char *name,
		    const char *fmt, ...)
		    __attribute__((format(printf, 3, 4)));

/* The value, or NULL where it is not given; `_` and `-` are alike. */
const char	*factory_text(const struct factory_options *,
		    const char *name);
/*
 * The value as what the name of the function says, as nexthop.conf(5) writes
 * it, or the default where it is not given; -1 after factory_refuse() where it
 * makes no sense or is out of min..max.  Times are in ms, sizes in bytes.
 */
int		 factory_int(struct factory_options *, const char *name,
		    int64_t def, int64_t min, int64_t max, int64_t *value_r);
int		 factory_time(struct factory_options *, const char *name,
		    int64_t def, int64_t min, int64_t max, int64_t *value_r);
int		 factory_size(struct factory_options *, const char *name,
		    int64_t def, int64_t min, int64_t max, int64_t *value_r);
int		 factory_bool(struct factory_options *, const char *name,
		    bool def, bool *value_r);
/* -1 after factory_refuse() where an option is none of these and not type or
 * factory: a slip of the pen shall not go unseen.  NULL ends the list. */
int		 factory_only(struct factory_options *,
		    const char *const *names);

#endif
