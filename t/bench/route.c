/*
 * route.c - what the router of smtp-mx costs when all of it is known: for a
 * domain the route and the terms of its first host, in an arena of their own,
 * as a delivery has them.  Lines of "name value unit".
 *
 *	route [-p] [-o option=value]... COUNT DOMAIN
 *
 * The domains, COUNT numbers in the place of % in DOMAIN, are asked for once;
 * then they are looked up in turn, all in all LOOKS times.  With -p each has
 * an MTA-STS policy of id 1 that names the host mx.DOMAIN, put into the folder
 * of mta_sts_cache before.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "route/mx.h"
#include "route/sts_cache.h"
#include "route/sts_policy.h"
#include "../tools/lib/options.h"
#include "../tools/lib/procs.h"

#define LOOKS		1000000
#define ARENA_BYTES	512		/* as for a small envelope */
#define ASKED_MAX	100		/* at once, the first time */
#define NAME_BYTES	256

struct conf {
	struct mx_conf	 mx;
	struct dns_conf	 dns;
	struct sts_conf	 sts;
	struct tls_conf	 tls;
};

static const struct opt_group groups[] = {
	{ mx_conf_rows, offsetof(struct conf, mx) },
	{ dns_conf_rows, offsetof(struct conf, dns) },
	{ sts_conf_rows, offsetof(struct conf, sts) },
	{ tls_conf_rows, offsetof(struct conf, tls) },
	{ .rows = NULL }
};
static const struct opt_table table = {
	.name = "route",
	.groups = groups,
	.size = sizeof(struct conf),
};

struct bench {
	struct loop	*loop;
	struct router	 router;
	char		(*names)[NAME_BYTES];
	int64_t		 count, nasked, nknown;
};

/* A domain that is asked for; in its arena. */
struct look {
	struct bench	*b;
	struct arena	*arena;
};

static void
usage(void)
{
	fprintf(stderr, "usage: route [-p] [-o option=value]... COUNT DOMAIN\n");
	exit(EX_USAGE);
}

/* ---- the first time ---- */

static void	ask_next(struct bench *);

static void
on_target(void *arg, struct route_target *target)
{
	struct look *l = arg;
	struct bench *b = l->b;

	if (target->n == 0)
		errx(EX_UNAVAILABLE, "%s", target->failure.text);
	arena_free(l->arena);
	b->nknown++;
	ask_next(b);
}

static void
on_route(void *arg, struct route *route)
{
	struct look *l = arg;
	struct bench *b = l->b;

	if (route->n == 0)
		errx(EX_UNAVAILABLE, "%s: %s", route->domain,
		    route->failure.text);
	b->router.ops->ask_host(b->router.state, route, 0, l->arena,
	    on_target, l);
}

static void
ask_next(struct bench *b)
{
	struct arena *arena;
	struct look *l;

	while (b->nasked < b->count && b->nasked - b->nknown < ASKED_MAX) {
		arena = arena_new(ARENA_BYTES);
		l = arena_alloc(arena, sizeof(*l));
		*l = (struct look){ .b = b, .arena = arena };
		b->router.ops->ask(b->router.state, b->names[b->nasked++],
		    NULL, arena, on_route, l);
	}
}

/* ---- from then on ---- */

static const struct route_target *
look_up(struct bench *b, const char *domain, struct arena *arena,
    struct route **route_r)
{
	const struct route_ops *ops = b->router.ops;

	*route_r = ops->peek(b->router.state, domain, NULL, arena);
	return *route_r == NULL || (*route_r)->n == 0 ? NULL :
	    ops->peek_host(b->router.state, *route_r, 0, arena);
}

static void
measure(struct bench *b)
{
	const struct route_target *target;
	struct route *route;
	struct arena *arena;
	double cpu_s = procs_own_cpu_s();
	int64_t i;

	for (i = 0; i < LOOKS; i++) {
		arena = arena_new(ARENA_BYTES);
		target = look_up(b, b->names[i % b->count], arena, &route);
		if (target == NULL || target->n == 0)
			errx(EX_SOFTWARE, "%s: not known",
			    b->names[i % b->count]);
		if (i == LOOKS - 1)
			printf("addresses %zu addresses\n"
			    "tls_asked %d level\n", target->n, target->asked);
		arena_free(arena);
	}
	cpu_s = procs_own_cpu_s() - cpu_s;
	printf("cpu_us_per_look %.3f us\n", cpu_s * 1e6 / LOOKS);
}

/* ---- all of it ---- */

static struct router
make_router(struct loop *loop, struct conf *conf)
{
	struct mx_router_conf r = {
		.mx = &conf->mx, .tls = &conf->tls, .ehlo = "bench.example",
		.want_ipv4 = true, .want_ipv6 = true,
	};
	struct router router;
	char error[512];

	if ((r.dns = dns_new(loop, &conf->dns, error, sizeof(error))) == NULL)
		errx(EX_CONFIG, "%s", error);
	if (conf->sts.mta_sts && (r.sts = sts_new(loop, r.dns, &conf->sts,
	    error, sizeof(error))) == NULL)
		errx(EX_CONFIG, "%s", error);
	router = mx_router(loop, &r, error, sizeof(error));
	if (router.state == NULL)
		errx(EX_CONFIG, "%s", error);
	return router;
}

/* As if they had been fetched just now. */
static void
keep_policies(const struct bench *b, const struct sts_conf *conf)
{
	struct sts_cache *cache;
	struct sts_policy *p;
	char text[NAME_BYTES + 100], error[512];
	int64_t i;

	cache = sts_cache_new(conf->mta_sts_cache, (size_t)b->count, error,
	    sizeof(error));
	if (cache == NULL)
		errx(EX_CONFIG, "%s", error);
	for (i = 0; i < b->count; i++) {
		snprintf(text, sizeof(text), "version: STSv1\nmode: enforce\n"
		    "max_age: 86400\nmx: mx.%s\n", b->names[i]);
		p = sts_policy_parse(text, strlen(text), "1", error,
		    sizeof(error));
		if (p == NULL || sts_cache_put(cache, sts_cache_need(cache,
		    b->names[i]), p, time(NULL)) == -1)
			errx(EX_CANTCREAT, "%s: no policy", b->names[i]);
	}
	sts_cache_free(cache);
}

static void
make_names(struct bench *b, const char *pattern)
{
	size_t before = strcspn(pattern, "%");
	int64_t i;

	if (strlen(pattern) > NAME_BYTES - 16 ||
	    (b->count > 1 && pattern[before] == '\0'))
		usage();
	b->names = xcalloc((size_t)b->count, sizeof(*b->names));
	for (i = 0; i < b->count; i++)
		if (pattern[before] == '\0')
			strlcpy(b->names[i], pattern, NAME_BYTES);
		else
			snprintf(b->names[i], NAME_BYTES, "%.*s%jd%s",
			    (int)before, pattern, (intmax_t)i,
			    pattern + before + 1);
}

int
main(int argc, char **argv)
{
	struct bench b = { .loop = loop_new() };
	struct opts *opts = opts_new(&table);
	struct conf *conf = opts_values(opts);
	bool has_policies = false;
	int c;

	log_open("route");
	while ((c = getopt(argc, argv, "o:p")) != -1)
		if (c == 'p')
			has_policies = true;
		else if (c != 'o' || !options_set(opts, optarg))
			usage();
	if (optind + 2 != argc ||
	    str_to_int64(argv[optind], 1, 1000000, &b.count) == -1)
		usage();
	make_names(&b, argv[optind + 1]);
	options_finish(opts);
	if (has_policies)
		keep_policies(&b, &conf->sts);
	b.router = make_router(b.loop, conf);
	ask_next(&b);
	while (b.nknown < b.count)
		loop_turn(b.loop, -1);
	measure(&b);
	b.router.ops->free(b.router.state);
	loop_turn(b.loop, 0);
	loop_free(b.loop);
	opts_free(opts);
	free(b.names);
	return 0;
}
