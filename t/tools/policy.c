/*
 * policy.c - prints what DANE says about a host and MTA-STS about a domain,
 * by common/route/dane.h and sts.h.
 *
 *	policy [-o option=value]... [-p seconds] sts:DOMAIN | dane:HOST[:PORT]
 *	    ...
 *
 * README.md beside this file explains the output.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "route/dane.h"
#include "route/sts.h"
#include "lib/options.h"

struct conf {
	struct dns_conf	 dns;
	struct sts_conf	 sts;
};

static const struct opt_group groups[] = {
	{ dns_conf_rows, offsetof(struct conf, dns) },
	{ sts_conf_rows, offsetof(struct conf, sts) },
	{ .rows = NULL }
};
static const struct opt_table table = {
	.name = "policy",
	.groups = groups,
	.size = sizeof(struct conf),
};

static struct loop *loop;
static struct dns *dns;
static struct sts *sts;
static bool is_waiting;

static void
usage(void)
{
	fprintf(stderr, "usage: policy [-o option=value]... [-p seconds] "
	    "sts:DOMAIN | dane:HOST[:PORT]...\n");
	exit(EX_USAGE);
}

static void
on_sts(void *arg, const struct sts_answer *a)
{
	static const char *const words[] = { "none", "found", "unavailable" };
	static const char *const modes[] = { "none", "testing", "enforce" };
	size_t i;

	printf("%s %s", (const char *)arg, words[a->result]);
	if (a->policy != NULL) {
		printf(" %s mx=", modes[a->policy->mode]);
		for (i = 0; i < a->policy->nmx; i++)
			printf("%s%s", i > 0 ? "," : "", a->policy->mx[i]);
	}
	if (a->is_kept)
		printf(" kept");
	if (*a->report != '\0')
		printf(" %s", a->report);
	printf(": %s\n", a->why);
	is_waiting = false;
}

static void
ask_sts(const char *domain)
{
	const struct sts_answer *known = sts_peek(sts, domain);

	is_waiting = true;
	if (known != NULL)
		on_sts((void *)(uintptr_t)domain, known);
	else
		sts_ask(sts, domain, on_sts, (void *)(uintptr_t)domain);
}

static void
on_dane(void *arg, const struct dane_plan *plan)
{
	char text[128];
	size_t i;

	printf("%s %s", (const char *)arg, dane_result_name(plan->result));
	if (*plan->base != '\0')
		printf(" base=%s", plan->base);
	for (i = 0; plan->records != NULL && i < plan->records->n; i++)
		printf(" [%s]", tls_tlsa_text(&plan->records->records[i],
		    text, sizeof(text)));
	printf(": %s\n", plan->why);
	is_waiting = false;
}

static void
ask_dane(char *host)
{
	char *colon = strrchr(host, ':');
	struct dane_question q = { .host = host, .port = 25,
	    .is_mx_secure = true, .domain = host };
	int64_t port;

	if (colon != NULL) {
		if (str_to_int64(colon + 1, 1, 65535, &port) == -1)
			usage();
		q.port = (uint16_t)port;
		*colon = '\0';
	}
	is_waiting = true;
	dane_ask(dns, loop, &q, on_dane, host);
	while (is_waiting)		/* q must stay */
		loop_turn(loop, -1);
}

static void
ask(char *what)
{
	if (strncmp(what, "sts:", 4) == 0)
		ask_sts(what + 4);
	else if (strncmp(what, "dane:", 5) == 0)
		ask_dane(what + 5);
	else
		usage();
	while (is_waiting)
		loop_turn(loop, -1);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct opts *opts = opts_new(&table);
	struct conf *conf = opts_values(opts);
	int64_t pause_ms = 0;
	char error[512];
	int c;

	log_open("policy");
	while ((c = getopt(argc, argv, "o:p:")) != -1)
		if (c == 'o' ? !options_set(opts, optarg) :
		    c != 'p' || opt_parse_time(optarg, &pause_ms) == -1)
			usage();
	argc -= optind;
	argv += optind;
	if (argc == 0)
		usage();
	options_finish(opts);
	loop = loop_new();
	if ((dns = dns_new(loop, &conf->dns, error, sizeof(error))) == NULL ||
	    (sts = sts_new(loop, dns, &conf->sts, error, sizeof(error))) ==
	    NULL)
		errx(EX_CONFIG, "%s", error);
	for (; argc > 0; argc--, argv++) {
		ask(*argv);
		if (argc > 1)
			options_pause(loop, pause_ms);
	}
	sts_free(sts);
	dns_free(dns);
	loop_turn(loop, 0);
	loop_free(loop);
	opts_free(opts);
	return 0;
}
