/*
 * dns.c - puts questions to name servers by common/route/dns.h and prints what
 * comes.
 *
 *	dns [-o option=value]... [-t seconds] [-p seconds] NAME TYPE...
 *	dns [-o option=value]... [-w window] -b COUNT NAME TYPE
 *
 * README.md beside this file explains options and output.
 */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/str.h"
#include "route/dns.h"
#include "lib/options.h"
#include "lib/procs.h"

#define PEEKS	1000000

static const struct opt_group groups[] = {
	{ dns_conf_rows, 0 },
	{ .rows = NULL }
};
static const struct opt_table table = {
	.name = "dns",
	.groups = groups,
	.size = sizeof(struct dns_conf),
};

/* Asks NAME by number: "%" in it stands for that. */
struct bench {
	struct loop	*loop;
	struct dns	*dns;
	const char	*name;
	enum dns_type	 type;
	int64_t		 count, window;
	int64_t		 nasked, nanswered, nfailed;
};

static bool is_waiting;

static void
usage(void)
{
	fprintf(stderr, "usage: dns [-o option=value]... [-t seconds] "
	    "[-p seconds] NAME TYPE...\n"
	    "       dns [-o option=value]... [-w window] -b COUNT NAME "
	    "TYPE\n");
	exit(EX_USAGE);
}

static enum dns_type
type_of(const char *text)
{
	enum dns_type type;

	for (type = DNS_A; type <= DNS_CNAME; type++)
		if (strcasecmp(dns_type_name(type), text) == 0)
			return type;
	errx(EX_USAGE, "%s: no type", text);
}

static void
print_record(const struct dns_answer *a, size_t i)
{
	char text[4096];
	size_t j;

	switch (a->type) {
	case DNS_A:
	case DNS_AAAA:
		printf("%s", addr_format(&a->addrs[i], text, sizeof(text)));
		break;
	case DNS_MX:
		printf("%u %s", a->mx[i].preference, *a->mx[i].host == '\0' ?
		    "." : a->mx[i].host);
		break;
	case DNS_TXT:
		str_escape(text, sizeof(text), a->txt[i].text, a->txt[i].len);
		printf("\"%s\"", text);
		break;
	case DNS_TLSA:
		printf("%u %u %u ", a->tlsa[i].usage, a->tlsa[i].selector,
		    a->tlsa[i].matching);
		for (j = 0; j < a->tlsa[i].len; j++)
			printf("%02x", a->tlsa[i].data[j]);
		break;
	case DNS_CNAME:
		printf("%s", a->cnames[i]);
		break;
	}
}

static void
on_answer(void *arg, const struct dns_answer *a)
{
	static const char *const words[] = {
		[DNS_OK] = "ok",
		[DNS_NO_DATA] = "nodata",
		[DNS_NO_NAME] = "noname",
		[DNS_BAD_NAME] = "badname",
		[DNS_FAILED] = "failed",
	};
	size_t i;

	(void)arg;
	printf("%s %s %s %s ttl=%u", a->asked, dns_type_name(a->type),
	    words[a->status], a->is_secure ? "secure" : "insecure", a->ttl_s);
	if (a->is_alias)
		printf(" alias=%s", a->name);
	if (*a->server != '\0')
		printf(" server=%s", a->server);
	printf("%s%s", a->error != NULL || a->n > 0 ? ": " : "",
	    a->error == NULL ? "" : a->error);
	for (i = 0; i < a->n; i++) {
		printf("%s", i == 0 ? "" : ", ");
		print_record(a, i);
	}
	putchar('\n');
	fflush(stdout);
	is_waiting = false;
}

static void
ask(struct loop *loop, struct dns *dns, const char *name, const char *type)
{
	is_waiting = true;
	dns_ask(dns, name, type_of(type), on_answer, NULL);
	while (is_waiting)
		loop_turn(loop, -1);
}

/* ---- measuring ---- */

static double
wall_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
name_of(const struct bench *b, int64_t i, char *to, size_t size)
{
	size_t before = strcspn(b->name, "%");

	snprintf(to, size, "%.*s%lld%s", (int)before, b->name, (long long)i,
	    b->name[before] == '\0' ? "" : b->name + before + 1);
}

static void	ask_next(struct bench *);

static void
on_bench(void *arg, const struct dns_answer *a)
{
	struct bench *b = arg;

	b->nanswered++;
	b->nfailed += a->status != DNS_OK;
	ask_next(b);
}

static void
ask_next(struct bench *b)
{
	char name[512];

	while (b->nasked < b->count && b->nasked - b->nanswered < b->window) {
		name_of(b, b->nasked++, name, sizeof(name));
		dns_ask(b->dns, name, b->type, on_bench, b);
	}
}

static void
run_bench(struct bench *b)
{
	double cpu = procs_own_cpu_s(), wall = wall_seconds();
	struct dns_stats stats;
	char (*names)[64] = xcalloc(1000, sizeof(*names));
	int64_t i, known = 0;

	ask_next(b);
	while (b->nanswered < b->count)
		loop_turn(b->loop, -1);
	cpu = procs_own_cpu_s() - cpu;
	wall = wall_seconds() - wall;
	dns_stats(b->dns, &stats);
	printf("questions %lld\nfailed %lld\nsent %llu\nseconds %.3f\n"
	    "questions_per_s %.0f\ncpu_us_per_question %.2f\n",
	    (long long)b->count, (long long)b->nfailed,
	    (unsigned long long)stats.sent, wall, (double)b->count / wall,
	    cpu * 1e6 / (double)b->count);
	for (i = 0; i < 1000; i++)
		name_of(b, i * b->count / 1000, names[i], sizeof(names[i]));
	cpu = procs_own_cpu_s();
	for (i = 0; i < PEEKS; i++)
		known += dns_peek(b->dns, names[i % 1000], b->type) != NULL;
	cpu = procs_own_cpu_s() - cpu;
	printf("peeks_known %lld\ncpu_us_per_peek %.3f\n", (long long)known,
	    cpu * 1e6 / PEEKS);
	free(names);
}

/* ---- all of it ---- */

int
main(int argc, char **argv)
{
	struct bench bench = { .window = 500 };
	struct opts *opts = opts_new(&table);
	struct dns_conf *conf = opts_values(opts);
	int64_t timeout_ms = 10000, pause_ms = 0;
	char error[512];
	int c;

	log_open("dns");
	while ((c = getopt(argc, argv, "o:t:p:b:w:")) != -1)
		if (c == 'o' ? options_set(opts, optarg) :
		    c == 't' ? opt_parse_time(optarg, &timeout_ms) == 0 :
		    c == 'p' ? opt_parse_time(optarg, &pause_ms) == 0 :
		    c == 'b' ? str_to_int64(optarg, 1000, 10000000,
		    &bench.count) == 0 :
		    c == 'w' ? str_to_int64(optarg, 1, 100000,
		    &bench.window) == 0 : false)
			continue;
		else
			usage();
	argc -= optind;
	argv += optind;
	if (argc < 2 || argc % 2 != 0 || (bench.count > 0 && argc != 2))
		usage();
	options_finish(opts);
	conf->dns_timeout_ms = timeout_ms;
	raise_files_limit();
	bench.loop = loop_new();
	if ((bench.dns = dns_new(bench.loop, conf, error,
	    sizeof(error))) == NULL)
		errx(EX_CONFIG, "%s", error);
	if (bench.count > 0) {
		bench.name = argv[0];
		bench.type = type_of(argv[1]);
		run_bench(&bench);
	} else
		for (; argc > 0; argc -= 2, argv += 2) {
			ask(bench.loop, bench.dns, argv[0], argv[1]);
			if (argc > 2)
				options_pause(bench.loop, pause_ms);
		}
	dns_free(bench.dns);
	loop_turn(bench.loop, 0);
	loop_free(bench.loop);
	opts_free(opts);
	return 0;
}
