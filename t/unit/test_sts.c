/*
 * test_sts.c - what MTA-STS says about a domain, over days: the resolver, the
 * fetching of policies and the clocks are the functions below.
 */
#include "route/sts.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "route/sts_fetch.h"
#include "route/sts_inner.h"
#include "route/sts_policy.h"
#include "test.h"

#define MIN	60000LL
#define HOUR	(60 * MIN)
#define DAY	(24 * HOUR)

static struct loop *loop;
static struct sts *sts;
static struct sts_conf conf;
static char folder[] = "/tmp/test_sts.XXXXXX";

/* ---- clocks ---- */

static int64_t passed_ms;

int64_t
clock_mono_us(void)
{
	return (1000000 + passed_ms) * 1000;
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t
clock_wall_ms(void)
{
	return 1800000000000LL + passed_ms;
}

/* ---- the resolver ---- */

struct dns_query {
	struct later	 later;
	dns_cb		*cb;
	void		*arg;
	char		 name[300];
};

static struct {
	enum dns_status	 status;
	const char	*text;
	bool		 is_cached;
} record;
static unsigned nasked, nstopped;
static struct dns_txt txt;
static struct dns_answer dns_answer;

static void
set_record(enum dns_status status, const char *text)
{
	record.status = status;
	record.text = text;
	record.is_cached = false;
}

static const struct dns_answer *
answer(const char *name)
{
	memset(&dns_answer, 0, sizeof(dns_answer));
	dns_answer.type = DNS_TXT;
	dns_answer.status = record.status;
	dns_answer.asked = dns_answer.name = name;
	dns_answer.error = record.status == DNS_FAILED ? "timed out" : "";
	dns_answer.server = "";
	if (record.status == DNS_OK) {
		txt.text = record.text;
		txt.len = strlen(record.text);
		dns_answer.txt = &txt;
		dns_answer.n = 1;
	}
	return &dns_answer;
}

const struct dns_answer *
dns_peek(struct dns *dns, const char *name, enum dns_type type)
{
	(void)dns;
	(void)type;
	return record.is_cached ? answer(name) : NULL;
}

static void
on_turn(void *arg)
{
	struct dns_query *q = arg;

	q->cb(q->arg, answer(q->name));
	free(q);
}

struct dns_query *
dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_cb *cb,
    void *arg)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));

	(void)dns;
	if (type != DNS_TXT || strncmp(name, "_mta-sts.", 9) != 0)
		diag("asked for %s", name);
	nasked++;
	q->cb = cb;
	q->arg = arg;
	snprintf(q->name, sizeof(q->name), "%s", name);
	later_init(&q->later, on_turn, q);
	loop_later(loop, &q->later);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	nstopped++;
	loop_forget(loop, &q->later);
	free(q);
}

/* ---- policy hosts ---- */

struct sts_fetch {
	TAILQ_ENTRY(sts_fetch) next;
	char		 domain[256];
	sts_fetch_cb	*cb;
	void		*arg;
};

static TAILQ_HEAD(, sts_fetch) fetches = TAILQ_HEAD_INITIALIZER(fetches);
static unsigned nfetches;	/* under way */
static unsigned nbegun;

struct sts_fetcher *
sts_fetcher_new(struct loop *l, struct dns *dns, const struct sts_conf *c,
    char *error, size_t size)
{
	(void)l;
	(void)dns;
	(void)c;
	(void)error;
	(void)size;
	return (struct sts_fetcher *)(void *)&fetches;
}

void
sts_fetcher_free(struct sts_fetcher *f)
{
	(void)f;
}

struct sts_fetch *
sts_fetch(struct sts_fetcher *f, const char *domain, sts_fetch_cb *cb,
    void *arg)
{
	struct sts_fetch *s = xcalloc(1, sizeof(*s));

	(void)f;
	snprintf(s->domain, sizeof(s->domain), "%s", domain);
	s->cb = cb;
	s->arg = arg;
	TAILQ_INSERT_TAIL(&fetches, s, next);
	nfetches++;
	nbegun++;
	return s;
}

void
sts_fetch_cancel(struct sts_fetch *s)
{
	if (s == NULL)
		return;
	TAILQ_REMOVE(&fetches, s, next);
	nfetches--;
	free(s);
}

/* The first fetch under way ends; NULL body: it failed. */
static void
fetched(const char *body)
{
	struct sts_fetch *s = TAILQ_FIRST(&fetches);
	struct sts_fetched f = { .body = body,
	    .len = body != NULL ? strlen(body) : 0, .why = "HTTP 404",
	    .report = "sts-policy-fetch-error" };

	if (s == NULL) {
		diag("nothing is being fetched");
		return;
	}
	TAILQ_REMOVE(&fetches, s, next);
	nfetches--;
	s->cb(s->arg, &f);
	free(s);
	loop_turn(loop, 0);
}

static const char *
body(const char *mode, int max_age_s)
{
	static char text[256];

	snprintf(text, sizeof(text), "version: STSv1\nmode: %s\n"
	    "mx: mail.example\nmax_age: %d\n", mode, max_age_s);
	return text;
}

/* ---- asking ---- */

struct outcome {
	bool		 is_there, is_kept;
	enum sts_result	 result;
	int		 mode;		/* -1: no policy */
	char		 id[64], why[600], report[64];
};

static void
on_answer(void *arg, const struct sts_answer *a)
{
	struct outcome *o = arg;

	o->is_there = true;
	o->result = a->result;
	o->is_kept = a->is_kept;
	o->mode = a->policy != NULL ? (int)a->policy->mode : -1;
	snprintf(o->id, sizeof(o->id), "%s",
	    a->policy != NULL ? a->policy->id : "");
	snprintf(o->why, sizeof(o->why), "%s", a->why);
	snprintf(o->report, sizeof(o->report), "%s", a->report);
}

static struct sts_query *
ask(struct outcome *o, const char *domain)
{
	struct sts_query *q;

	memset(o, 0, sizeof(*o));
	q = sts_ask(sts, domain, on_answer, o);
	if (o->is_there)
		diag("answered inside the call");
	loop_turn(loop, 0);
	return q;
}

static void
expect(const struct outcome *o, enum sts_result result, const char *why,
    const char *name)
{
	ok(o->is_there && o->result == result, "%s", name);
	is_str(o->why, why, "... as it says");
}

static void
begin(const char *cache)
{
	char error[256];

	conf = (struct sts_conf){ .mta_sts = true,
	    .mta_sts_cache = (char *)(uintptr_t)cache,
	    .mta_sts_cache_size = 1000, .mta_sts_timeout_ms = 1000,
	    .mta_sts_port = 443 };
	sts = sts_new(loop, NULL, &conf, error, sizeof(error));
	if (sts == NULL)
		diag("%s", error);
	while (sts_tend(sts))
		;
	loop_turn(loop, 0);
	nasked = nbegun = nstopped = 0;
}

static void
end(void)
{
	sts_free(sts);
	sts = NULL;
	loop_turn(loop, 0);
}

/* A minute after the other, as long as it takes. */
static void
let_pass(int64_t ms)
{
	int64_t until = passed_ms + ms;

	while (passed_ms < until) {
		passed_ms += until - passed_ms < 10 * MIN ?
		    until - passed_ms : 10 * MIN;
		loop_turn(loop, 0);
		while (sts_tend(sts))
			;
		loop_turn(loop, 0);
	}
}

/* ---- what happens ---- */

static void
test_none(void)
{
	struct outcome o;

	begin(NULL);
	set_record(DNS_NO_NAME, NULL);
	ask(&o, "example.com");
	expect(&o, STS_NONE, "no TXT record", "no record: no policy");
	set_record(DNS_OK, "v=spf1 -all");
	ask(&o, "example.com");
	expect(&o, STS_NONE, "no TXT record", "a record of others");
	set_record(DNS_OK, "v=STSv1;");
	ask(&o, "example.com");
	expect(&o, STS_NONE, "TXT record is no use: no id", "a bad record");
	set_record(DNS_FAILED, NULL);
	ask(&o, "example.com");
	expect(&o, STS_NONE, "TXT look-up failed: timed out", "no answer");
	is_int(nbegun, 0, "nothing is fetched for any of them");
	nasked = 0;
	ask(&o, "bad domain");
	expect(&o, STS_NONE, "not a domain that can have a policy",
	    "no domain");
	ask(&o, "../../etc/passwd");
	is_int(o.result, STS_NONE, "nor is that one");
	is_int(nasked, 0, "... nobody is asked");
	end();

	begin(NULL);
	conf.mta_sts = false;
	ask(&o, "example.com");
	expect(&o, STS_NONE, "mta_sts = no", "not wanted");
	end();
}

static void
test_fetch(void)
{
	struct outcome o, p;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "Example.COM");
	ok(!o.is_there && nfetches == 1, "a new policy is fetched first");
	is_str(TAILQ_FIRST(&fetches)->domain, "example.com",
	    "... in lower case");
	ask(&p, "example.com");
	is_int(nfetches, 1, "once for all who ask");
	fetched(body("enforce", 86400));
	expect(&o, STS_FOUND, "policy id 1 enforce, fetched", "there it is");
	ok(p.is_there && p.mode == STS_MODE_ENFORCE && !p.is_kept,
	    "for the second one too");
	ask(&o, "example.com");
	expect(&o, STS_FOUND, "policy id 1 enforce, kept", "the same id: "
	    "kept");
	ok(o.is_kept && nbegun == 1, "... not fetched again");
	ok(sts_peek(sts, "example.com") == NULL, "no record is known: ask");
	record.is_cached = true;
	ok(sts_peek(sts, "example.com") != NULL &&
	    sts_peek(sts, "example.com")->result == STS_FOUND,
	    "it is known: no question is needed");
	ok(sts_peek(sts, "other.example") == NULL,
	    "a record without its policy: ask");
	end();
}

static void
test_modes(void)
{
	struct outcome o;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "testing.example");
	fetched(body("testing", 86400));
	ok(o.result == STS_FOUND && o.mode == STS_MODE_TESTING, "testing");
	ask(&o, "none.example");
	fetched(body("none", 86400));
	ok(o.result == STS_NONE && o.mode == -1, "none is no policy");
	is_str(o.why, "policy id 1 none, fetched", "... as it says");
	ask(&o, "none.example");
	expect(&o, STS_NONE, "policy id 1 none, kept", "... and is kept");
	is_int(nbegun, 2, "... not fetched again");
	end();
}

/* RFC 8461 §3.1, §10.2: a kept policy holds until max_age. */
static void
test_kept(void)
{
	struct outcome o;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "example.com");
	fetched(body("enforce", 7200));
	set_record(DNS_NO_NAME, NULL);
	ask(&o, "example.com");
	expect(&o, STS_FOUND, "policy id 1 enforce, kept; no TXT record",
	    "3.1: a record that is gone does not undo it");
	set_record(DNS_FAILED, NULL);
	ask(&o, "example.com");
	expect(&o, STS_FOUND, "policy id 1 enforce, kept; TXT look-up failed: "
	    "timed out", "10.2: nor one that cannot be had");
	set_record(DNS_OK, "v=STSv1; id=1; id=2");
	ask(&o, "example.com");
	expect(&o, STS_FOUND, "policy id 1 enforce, kept; TXT record is no "
	    "use: two ids", "nor a bad one");
	set_record(DNS_NO_NAME, NULL);
	let_pass(2 * HOUR + 1000);
	ask(&o, "example.com");
	expect(&o, STS_NONE, "no TXT record", "after max_age it is over");
	end();
}

static void
test_new_id(void)
{
	struct outcome o;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "example.com");
	fetched(body("enforce", 86400));
	set_record(DNS_OK, "v=STSv1; id=2");
	ask(&o, "example.com");
	ok(!o.is_there && nfetches == 1, "a new id: fetched before the "
	    "answer");
	fetched(body("testing", 86400));
	ok(o.mode == STS_MODE_TESTING && strcmp(o.id, "2") == 0,
	    "... and that holds");
	set_record(DNS_OK, "v=STSv1; id=3");
	ask(&o, "example.com");
	fetched(NULL);
	expect(&o, STS_FOUND, "policy id 2 testing, kept; HTTP 404",
	    "5.1: where that fails the kept one holds");
	is_str(o.report, "sts-policy-fetch-error", "... with a report");
	end();
}

/* RFC 8461 §3.3: not more often than every five minutes. */
static void
test_failures(void)
{
	struct outcome o, p;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "example.com");
	ask(&p, "example.com");
	fetched(NULL);
	expect(&o, STS_UNAVAILABLE, "HTTP 404", "a policy that cannot be had");
	is_str(o.report, "sts-policy-fetch-error", "... with a report");
	ok(p.is_there && p.result == STS_UNAVAILABLE, "for all who wait");
	ask(&o, "example.com");
	expect(&o, STS_UNAVAILABLE, "HTTP 404", "asked again");
	is_int(nbegun, 1, "... without a second attempt");
	let_pass(5 * MIN - 1000);
	ask(&o, "example.com");
	is_int(nbegun, 1, "not before five minutes have passed");
	let_pass(2000);
	ask(&o, "example.com");
	is_int(nbegun, 2, "but then");
	fetched("<html>");
	expect(&o, STS_UNAVAILABLE, "policy of mta-sts.example.com: line 1: "
	    "not a name, a colon and a value", "a policy that is none");
	is_str(o.report, "sts-policy-invalid", "... with its own report");
	let_pass(5 * MIN);
	ask(&o, "example.com");
	fetched(body("enforce", 86400));
	expect(&o, STS_FOUND, "policy id 1 enforce, fetched",
	    "at last it is there");
	end();
}

static void
test_cancel(void)
{
	struct outcome o, p;
	struct sts_query *q;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	memset(&o, 0, sizeof(o));
	sts_cancel(sts_ask(sts, "example.com", on_answer, &o));
	loop_turn(loop, 0);
	is_int(nasked, 0, "taken back at once: nobody is asked");
	q = ask(&o, "example.com");
	ask(&p, "example.com");
	sts_cancel(q);
	fetched(body("enforce", 86400));
	ok(!o.is_there && p.is_there, "taken back: only the other is told");
	q = ask(&o, "lost.example");
	sts_cancel(q);
	fetched(body("enforce", 86400));
	ok(!o.is_there, "nobody waits any more");
	ask(&o, "lost.example");
	expect(&o, STS_FOUND, "policy id 1 enforce, kept",
	    "... the policy is kept all the same");
	sts_cancel(NULL);
	end();
}

/* Policies are fetched anew while nobody asks (§3.3, §10.2). */
static void
test_refresh(void)
{
	struct outcome o;
	int i;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "example.com");
	fetched(body("enforce", 604800));
	let_pass(17 * HOUR);
	is_int(nfetches, 0, "not in the first hours");
	let_pass(8 * HOUR);
	is_int(nfetches, 1, "within a day");
	ask(&o, "example.com");
	ok(o.is_there && o.is_kept, "who asks meanwhile gets the kept one");
	fetched(body("enforce", 604800));
	for (i = 0; i < 10; i++) {
		let_pass(DAY);
		if (nfetches > 0)
			fetched(body("enforce", 604800));
	}
	ask(&o, "example.com");
	ok(o.result == STS_FOUND && o.is_kept, "after ten days it is still "
	    "kept, though max_age is seven");

	let_pass(DAY);
	fetched(NULL);
	is_int(nfetches, 0, "one that fails");
	let_pass(50 * MIN);
	is_int(nfetches, 0, "... is not tried at once");
	let_pass(20 * MIN);
	is_int(nfetches, 1, "... but an hour later");
	fetched(body("testing", 604800));
	ask(&o, "example.com");
	is_int(o.mode, STS_MODE_TESTING, "the new one holds");

	set_record(DNS_NO_NAME, NULL);
	let_pass(8 * DAY);
	is_int(nfetches, 0, "a domain that takes its record away is not "
	    "fetched");
	ask(&o, "example.com");
	is_int(o.result, STS_NONE, "... and its policy runs out");
	end();
}

/* While a refresh looks at the record, or runs, everybody joins it. */
static void
test_refresh_joined(void)
{
	struct outcome o;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "example.com");
	fetched(body("enforce", 3600));
	let_pass(35 * MIN);
	is_int(nfetches, 1, "after half of max_age");
	set_record(DNS_OK, "v=STSv1; id=2");
	ask(&o, "example.com");
	ok(!o.is_there && nfetches == 1, "a new id meanwhile joins");
	fetched(body("enforce", 3600));
	ok(o.is_there && o.result == STS_FOUND, "... and is answered");
	let_pass(61 * MIN);
	ok(nfetches == 1, "the policy runs out while it is fetched");
	fetched(NULL);
	ask(&o, "example.com");
	is_int(o.result, STS_UNAVAILABLE, "... and that fails: none");
	end();
}

static void
test_cap(void)
{
	static struct outcome o[120];
	struct sts_query *queries[60];
	struct sts_stats stats;
	char name[32];
	unsigned i, n = 0;

	begin(NULL);
	set_record(DNS_OK, "v=STSv1; id=1");
	for (i = 0; i < 120; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		ask(&o[i], name);
	}
	is_int(nfetches, 50, "so many at once");
	while (nfetches > 0) {
		if (nfetches > 50)
			diag("%u", nfetches);
		fetched(body("enforce", 86400));
	}
	for (i = 0; i < 120; i++)
		if (o[i].is_there && o[i].result == STS_FOUND)
			n++;
	is_int(n, 120, "the others after them");
	sts_stats(sts, &stats);
	ok(stats.kept == 120 && stats.fetched == 120 && stats.failed == 0,
	    "counted");
	for (i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "e%u.example", i);
		queries[i] = ask(&o[i], name);
	}
	ok(nfetches == 50, "some run, some wait");
	for (i = 0; i < 60; i++)
		sts_cancel(queries[i]);
	end();
	is_int(nfetches, 0, "... and all end with the rest");
}

static void
remove_file(const char *domain)
{
	char file[64];

	snprintf(file, sizeof(file), "%s/%s", folder, domain);
	unlink(file);
}

static void
test_disk(void)
{
	struct outcome o;

	begin(folder);
	set_record(DNS_OK, "v=STSv1; id=1");
	ask(&o, "example.com");
	fetched(body("enforce", 604800));
	end();
	set_record(DNS_FAILED, NULL);
	begin(folder);
	ask(&o, "example.com");
	expect(&o, STS_FOUND, "policy id 1 enforce, kept; TXT look-up failed: "
	    "timed out", "10.2: it outlives a restart");
	set_record(DNS_OK, "v=STSv1; id=1");
	let_pass(25 * HOUR);
	is_int(nfetches, 1, "... and is refreshed without being asked for");
	end();
	is_int(nfetches, 0, "ended in the middle");
	remove_file("example.com");
}

/* Two processes with one folder: one fetches. */
static void
test_shared(void)
{
	struct sts *first, *second;
	struct outcome o;

	begin(folder);
	first = sts;
	begin(folder);
	second = sts;
	set_record(DNS_OK, "v=STSv1; id=1");
	sts = first;
	ask(&o, "shared.example");
	fetched(body("enforce", 604800));
	sts = second;
	nbegun = 0;
	ask(&o, "shared.example");
	expect(&o, STS_FOUND, "policy id 1 enforce, kept",
	    "what the other process has fetched");
	is_int(nbegun, 0, "... is not fetched again");
	end();
	sts = first;
	end();
	remove_file("shared.example");
}

static void
test_new(void)
{
	struct sts_conf bad = { .mta_sts = true, .mta_sts_cache_size = 1,
	    .mta_sts_cache = (char *)(uintptr_t)"/nonexistent" };
	char error[256] = "";

	ok(sts_new(loop, NULL, &bad, error, sizeof(error)) == NULL, "%s",
	    error);
	sts_free(NULL);
}

int
main(void)
{
	log_set(false, LOG_LEVEL_WARNING);
	if (mkdtemp(folder) == NULL)
		diag("mkdtemp");
	loop = loop_new();
	test_none();
	test_fetch();
	test_modes();
	test_kept();
	test_new_id();
	test_failures();
	test_cancel();
	test_refresh();
	test_refresh_joined();
	test_cap();
	test_disk();
	test_shared();
	test_new();
	loop_free(loop);
	if (rmdir(folder) == -1)
		diag("something is left in %s", folder);
	return done_testing();
}
