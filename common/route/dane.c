/*
 * dane.c - what DANE says about one SMTP host.
 *
 * The steps of RFC 7672 §2.2: the host's addresses, of both families at once;
 * where they are not secure though the name is an alias, whether the alias is;
 * then the TLSA records at the end of the aliases, and if there are none at
 * the name itself.
 */
#include "route/dane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WHY_MAX		1024
#define NAME_SIZE	1024		/* with \\DDD for what is no letter */
#define TLSA_NAME_MAX	(NAME_SIZE + 16)	/* "_65535._tcp." before it */
#define BASES_MAX	2
#define USAGE_DANE_TA	2		/* RFC 7218 */

enum { FOR_A, FOR_AAAA, FOR_NEXT, NSLOTS };

struct dane_query {
	struct dns	*dns;
	struct loop	*loop;
	struct dane_question q;
	dane_cb		*cb;
	void		*arg;
	struct later	 later;		/* the plan */

	struct slot {			/* a question under way */
		struct dane_query *query;
		struct dns_query *asked;	/* NULL: not under way */
	} slots[NSLOTS];

	/* The addresses, of both families. */
	unsigned	 nawaited;
	bool		 has_addrs, is_secure, is_alias, has_failed;
	char		 end[NAME_SIZE];	/* of the aliases */
	char		 error[256];

	/* Candidates for the TLSA base domain, in order. */
	const char	*bases[BASES_MAX];
	size_t		 nbases, base;

	struct dane_plan plan;
	char		 why[WHY_MAX];
};

static void	on_addrs(void *, const struct dns_answer *);
static void	on_alias(void *, const struct dns_answer *);
static void	on_tlsa(void *, const struct dns_answer *);

/* ---- the end ---- */

static void
query_free(struct dane_query *d)
{
	tls_dane_unref(d->plan.records);
	free(d);
}

static void
tell(void *arg)
{
	struct dane_query *d = arg;

	d->plan.why = d->why;
	d->cb(d->arg, &d->plan);
	query_free(d);
}

static void __attribute__((format(printf, 3, 4)))
finish(struct dane_query *d, enum dane_result result, const char *fmt, ...)
{
	va_list ap;

	d->plan.result = result;
	va_start(ap, fmt);
	vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
	loop_later(d->loop, &d->later);
}

/* ---- questions ---- */

/* What is known is taken at once, without a query. */
static void
ask(struct dane_query *d, int at, const char *name, enum dns_type type,
    dns_cb *cb)
{
	struct slot *slot = &d->slots[at];
	const struct dns_answer *known = dns_peek(d->dns, name, type);

	if (known != NULL)
		cb(slot, known);
	else
		slot->asked = dns_ask(d->dns, name, type, cb, slot);
}

static void
ask_tlsa(struct dane_query *d)
{
	char name[TLSA_NAME_MAX];

	snprintf(name, sizeof(name), "_%u._tcp.%s", d->q.port,
	    d->bases[d->base]);
	ask(d, FOR_NEXT, name, DNS_TLSA, on_tlsa);
}

/* ---- TLSA records ---- */

static void
add_name(const char **names, size_t *n, const char *name)
{
	size_t i;

	if (name == NULL)
		return;
	for (i = 0; i < *n; i++)
		if (strcasecmp(names[i], name) == 0)
			return;
	names[(*n)++] = name;
}

/*
 * Whom a certificate below a DANE-TA(2) record may be for (§3.2.2).  The
 * host's own name leads to the base domain securely, or is it.  What an
 * insecure MX answer has led to cannot vouch for the domain.  With DANE-EE(3)
 * alone names do not count (§3.1.1), and without them all domains of a host
 * share its connections.
 */
static struct tls_dane *
new_records(const struct dane_query *d, const struct dns_answer *a)
{
	const char *names[5] = { NULL };
	bool has_ta = false;
	size_t n = 0, i;

	for (i = 0; i < a->n; i++)
		has_ta = has_ta || a->tlsa[i].usage == USAGE_DANE_TA;
	add_name(names, &n, d->plan.base);
	if (!has_ta)
		return tls_dane_new(names);
	add_name(names, &n, d->q.host);
	if (d->q.is_mx_secure) {
		add_name(names, &n, d->q.domain);
		add_name(names, &n, d->q.expanded);
	}
	return tls_dane_new(names);
}

static void
take_records(struct dane_query *d, const struct dns_answer *a)
{
	const char *why_not = "", *first_why = NULL;
	size_t i;

	d->plan.base = d->bases[d->base];
	d->plan.records = new_records(d, a);
	d->plan.n = a->n;
	for (i = 0; i < a->n; i++) {
		if (tls_dane_add(d->plan.records, a->tlsa[i].usage,
		    a->tlsa[i].selector, a->tlsa[i].matching, a->tlsa[i].data,
		    a->tlsa[i].len, &why_not))
			continue;
		d->plan.nunusable++;
		if (first_why == NULL)
			first_why = why_not;
	}
	if (d->plan.nunusable == a->n) {
		tls_dane_unref(d->plan.records);
		d->plan.records = NULL;
		if (a->n == 1)
			finish(d, DANE_UNUSABLE, "the TLSA record at %s "
			    "cannot be used: %s", a->asked, first_why);
		else
			finish(d, DANE_UNUSABLE, "none of the %zu TLSA "
			    "records at %s can be used: %s", a->n, a->asked,
			    first_why);
	} else if (d->plan.nunusable > 0)
		finish(d, DANE_USABLE, "%zu TLSA records at %s, %zu of them "
		    "cannot be used: %s", a->n, a->asked, d->plan.nunusable,
		    first_why);
	else
		finish(d, DANE_USABLE, "%zu TLSA record%s at %s", a->n,
		    a->n == 1 ? "" : "s", a->asked);
}

/* Nothing at this candidate. */
static void
try_next_base(struct dane_query *d, const struct dns_answer *a)
{
	if (++d->base < d->nbases) {
		ask_tlsa(d);
		return;
	}
	finish(d, DANE_NONE, a->status == DNS_OK ?
	    "TLSA records at %s are not signed" : "no TLSA records at %s",
	    a->asked);
}

static void
on_tlsa(void *arg, const struct dns_answer *a)
{
	struct slot *slot = arg;
	struct dane_query *d = slot->query;

	slot->asked = NULL;
	if (a->status == DNS_FAILED)		/* §2.1.1, §2.1.3 */
		finish(d, DANE_FAILED, "TLSA look-up of %s failed: %s",
		    a->asked, a->error);
	else if (a->status == DNS_OK && a->is_secure)
		take_records(d, a);
	else
		try_next_base(d, a);
}

/* ---- the host ---- */

/* Addresses are not signed, but the alias itself may be (§2.2.2). */
static void
on_alias(void *arg, const struct dns_answer *a)
{
	struct slot *slot = arg;
	struct dane_query *d = slot->query;

	slot->asked = NULL;
	if (a->status == DNS_FAILED)
		finish(d, DANE_FAILED, "CNAME look-up of %s failed: %s",
		    d->q.host, a->error);
	else if (a->status != DNS_OK || !a->is_secure)
		finish(d, DANE_NONE, "addresses of %s are not signed",
		    d->q.host);
	else {
		d->bases[d->nbases++] = d->q.host;
		ask_tlsa(d);
	}
}

static void
judge_addrs(struct dane_query *d)
{
	if (!d->has_addrs && d->has_failed)
		finish(d, DANE_FAILED, "address look-up of %s failed: %s",
		    d->q.host, d->error);
	else if (!d->has_addrs)
		finish(d, DANE_NONE, "%s has no addresses", d->q.host);
	else if (d->is_secure) {
		if (d->is_alias)
			d->bases[d->nbases++] = d->end;
		d->bases[d->nbases++] = d->q.host;
		ask_tlsa(d);
	} else if (d->is_alias)
		ask(d, FOR_NEXT, d->q.host, DNS_CNAME, on_alias);
	else
		finish(d, DANE_NONE, "addresses of %s are not signed",
		    d->q.host);
}

/*
 * A family that cannot be asked for matters only where the other one has
 * nothing: both are of one zone, so the name is as secure as the addresses that
 * came ("not signed" is an answer that was proved, too), and no others will be
 * used.  Who can spoil one question gains nothing: TLSA records are asked for
 * as before.
 */
static void
on_addrs(void *arg, const struct dns_answer *a)
{
	struct slot *slot = arg;
	struct dane_query *d = slot->query;

	slot->asked = NULL;
	if (a->status == DNS_FAILED) {
		d->has_failed = true;
		strlcpy(d->error, a->error, sizeof(d->error));
	} else if (a->status == DNS_OK) {
		/* Should they differ, the secure one is right. */
		if (!d->has_addrs || (a->is_secure && !d->is_secure)) {
			d->is_alias = a->is_alias;
			strlcpy(d->end, a->name, sizeof(d->end));
		}
		d->is_secure = d->is_secure || a->is_secure;
		d->has_addrs = true;
	}
	if (--d->nawaited == 0)
		judge_addrs(d);
}

struct dane_query *
dane_ask(struct dns *dns, struct loop *loop, const struct dane_question *q,
    dane_cb *cb, void *arg)
{
	struct dane_query *d = xcalloc(1, sizeof(*d));
	size_t i;

	d->dns = dns;
	d->loop = loop;
	d->q = *q;
	d->cb = cb;
	d->arg = arg;
	d->plan.base = "";
	later_init(&d->later, tell, d);
	for (i = 0; i < NSLOTS; i++)
		d->slots[i].query = d;
	if (!dns_can_be_secure(dns))
		finish(d, DANE_NONE, "no DNS server is trusted to check "
		    "signatures");
	else if (!q->is_mx_secure && !q->wants_insecure_mx)
		finish(d, DANE_NONE, "the MX records that name %s are not "
		    "signed", q->host);
	else {
		d->nawaited = 2;
		ask(d, FOR_A, q->host, DNS_A, on_addrs);
		ask(d, FOR_AAAA, q->host, DNS_AAAA, on_addrs);
	}
	return d;
}

void
dane_cancel(struct dane_query *d)
{
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < NSLOTS; i++)
		if (d->slots[i].asked != NULL)
			dns_cancel(d->slots[i].asked);
	loop_forget(d->loop, &d->later);
	query_free(d);
}

const char *
dane_result_name(enum dane_result result)
{
	static const char *const names[] = { "none", "usable", "unusable",
	    "failed" };

	return names[result];
}
