/*
 * dns_test.h - what the tests of the resolver share: a loop, one or two
 * servers, a resolver that asks them, questions that keep what came.
 */
#ifndef DNS_TEST_H
#define DNS_TEST_H

#include "route/dns.h"

#include <stdlib.h>

#include "dns_server.h"
#include "net_test.h"

#define SOA	"test. 300 IN SOA a. b. 1 2 3 4 60"

/* What came, copied: the answer itself is gone after the callback. */
struct question {
	struct dns_query *q;
	unsigned	 nanswers;
	bool		 is_answered;
	enum dns_status	 status;
	bool		 is_secure, is_alias;
	char		 asked[256], name[256], error[64], server[64];
	uint32_t	 ttl_s;
	size_t		 n;
	char		 first[256];	/* record, as text */
	struct question	*cancel;	/* when it is answered */
	const char	*ask;		/* the next, into `then` */
	struct question	*then;
};

static struct loop *loop;
static struct dns *dns;
static struct dns_conf conf;
static struct test_dns_server one, two;
static char servers[4][64];
static char *server_list[4];

static inline void ask(struct question *, const char *, enum dns_type);

static inline void
show_first(const struct dns_answer *a, char *to, size_t size)
{
	size_t i, at;

	*to = '\0';
	if (a->n == 0)
		return;
	switch (a->type) {
	case DNS_A:
	case DNS_AAAA:
		addr_format(&a->addrs[0], to, size);
		break;
	case DNS_MX:
		snprintf(to, size, "%u %s", a->mx[0].preference, a->mx[0].host);
		break;
	case DNS_TXT:
		snprintf(to, size, "%zu %s", a->txt[0].len, a->txt[0].text);
		break;
	case DNS_CNAME:
		snprintf(to, size, "%s", a->cnames[0]);
		break;
	case DNS_TLSA:
		at = (size_t)snprintf(to, size, "%u %u %u ", a->tlsa[0].usage,
		    a->tlsa[0].selector, a->tlsa[0].matching);
		for (i = 0; i < a->tlsa[0].len && at + 3 < size; i++, at += 2)
			snprintf(to + at, size - at, "%02x",
			    a->tlsa[0].data[i]);
		break;
	}
}

static inline void
on_answer(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;

	q->nanswers++;
	q->is_answered = true;
	q->status = a->status;
	q->is_secure = a->is_secure;
	q->is_alias = a->is_alias;
	snprintf(q->asked, sizeof(q->asked), "%s", a->asked);
	snprintf(q->name, sizeof(q->name), "%s", a->name);
	snprintf(q->error, sizeof(q->error), "%s",
	    a->error == NULL ? "" : a->error);
	snprintf(q->server, sizeof(q->server), "%s", a->server);
	q->ttl_s = a->ttl_s;
	q->n = a->n;
	show_first(a, q->first, sizeof(q->first));
	if (q->cancel != NULL) {
		dns_cancel(q->cancel->q);
		q->cancel->q = NULL;
	}
	if (q->then != NULL)
		ask(q->then, q->ask, DNS_A);
}

static inline void
ask(struct question *q, const char *name, enum dns_type type)
{
	memset(q, 0, sizeof(*q));
	q->q = dns_ask(dns, name, type, on_answer, q);
	if (q->nanswers != 0)
		diag("answered inside the call");
}

static inline void
ask_wait(struct question *q, const char *name, enum dns_type type)
{
	ask(q, name, type);
	ok(turn_until(loop, &q->is_answered), "%s: answered", name);
}

/* A resolver that asks these ports of 127.0.0.1. */
static inline void
start_dns(size_t n, const uint16_t *ports)
{
	char error[256] = "";
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(servers[i], sizeof(servers[i]), "127.0.0.1:%u",
		    ports[i]);
		server_list[i] = servers[i];
	}
	memset(&conf, 0, sizeof(conf));
	conf.resolver.v = server_list;
	conf.resolver.n = n;
	conf.dns_timeout_ms = 4000;
	conf.dns_cache_size = 1000;
	conf.dns_ttl_max_ms = 86400000;
	conf.dns_negative_ttl_max_ms = 300000;
	if ((dns = dns_new(loop, &conf, error, sizeof(error))) == NULL)
		errx(1, "%s", error);
}

static inline void
start(const struct dns_server_row *rows)
{
	dns_server_start(&one, loop, rows);
	start_dns(1, &one.port);
}

static inline void
start_two(const struct dns_server_row *first,
    const struct dns_server_row *second)
{
	uint16_t ports[2];

	dns_server_start(&one, loop, first);
	dns_server_start(&two, loop, second);
	ports[0] = one.port;
	ports[1] = two.port;
	start_dns(2, ports);
}

static inline void
stop(void)
{
	dns_free(dns);
	turn_some(loop);
	dns_server_stop(&one);
	if (two.loop != NULL)
		dns_server_stop(&two);
	memset(&two, 0, sizeof(two));
}

#endif
