/*
 * work.c - a delivery as a whole: what its envelope asks for, and the answers
 * that do not come from a transaction.
 */
#include "smtp/work.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/ehlo_name.h"

/* ---- answers ---- */

void
work_answer_rest(struct work *w, const struct answer *a)
{
	const uint32_t *twin = w->job.twin;
	uint32_t i, n = w->ntodo, who;

	/* The delivery outlives this turn, so all of it stays readable. */
	work_end_race(w);
	w->ntodo = 0;
	w->job.open -= n;
	for (i = 0; i < n; i++)
		for (who = w->todo[i]; who != NO_TWIN;
		    who = twin == NULL ? NO_TWIN : twin[who])
			delivery_answer(w->job.d, who, a);
}

void
work_answer_cause(struct work *w, enum cause cause, const char *detail)
{
	struct answer a = { .host = "", .address = "" };

	reply_cause(&a.reply, w->job.d->arena, STAGE_NONE, cause, detail);
	work_answer_rest(w, &a);
}

/*
 * Which failure is told when no host is left: a transient one before a
 * permanent one, because another host might still take the message; then the
 * one that got furthest in a dialogue; of equals the last.
 */
static bool
is_better(const struct reply *new, const struct reply *old)
{
	bool new_soft = new->cls == REPLY_TRANSIENT;
	bool old_soft = old->cls == REPLY_TRANSIENT;

	return new_soft != old_soft ? new_soft : new->stage >= old->stage;
}

void
work_remember(struct work *w, const struct reply *r, const char *host,
    const char *address, uint16_t port)
{
	struct arena *arena = w->job.d->arena;
	struct failure *best = &w->best;

	if (w->nfailed++ > 0 && !is_better(r, &best->reply))
		return;
	best->reply = *r;
	best->reply.text = arena_strdup(arena, r->text);
	best->host = arena_strdup(arena, host);
	best->address = arena_strdup(arena, address);
	best->port = port;
}

/* No host is left. */
void
work_give_up(struct work *w)
{
	struct failure *best = &w->best;
	struct answer a;

	work_forget_target(w);
	memset(&a, 0, sizeof(a));
	if (w->nfailed == 0) {
		work_answer_cause(w, CAUSE_INTERNAL, "no host to try");
		return;
	}
	a.reply = best->reply;
	a.host = best->host;
	a.address = best->address;
	a.port = best->port;
	if (w->nfailed > 1)
		a.reply.text = arena_printf(w->job.d->arena,
		    "%s (%u hosts or addresses tried)", best->reply.text,
		    w->nfailed);
	work_answer_rest(w, &a);
}

/* ---- an envelope comes in ---- */

static bool
bad_override(struct mail *m, const char *what, const char *value,
    const char *why)
{
	struct answer a = { .host = "", .address = "" };

	reply_cause(&a.reply, m->d->arena, STAGE_NONE, CAUSE_BAD_OVERRIDE,
	    what, value, why);
	delivery_answer_rest(m->d, &a);
	return false;
}

/* Source and EHLO name that the envelope asks for; false: answered. */
bool
mail_take_overrides(struct mail *m)
{
	const struct envelope *env = &m->d->env;

	if (env->source != NULL) {
		m->has_source = addr_parse(&m->source, env->source, 0) == 0;
		if (!m->has_source)
			return bad_override(m, "source address", env->source,
			    "not an IPv4 or IPv6 address");
	}
	if (env->envid != NULL && !xtext_is_valid(env->envid))
		return bad_override(m, "ENVID", env->envid, "not xtext");
	m->ehlo = env->ehlo != NULL ? env->ehlo : m->relay->ehlo;
	if (!ehlo_name_is_sendable(m->ehlo))
		return bad_override(m, "EHLO name", m->ehlo,
		    "not a host name");
	return true;
}

/* What a route is asked for: the recipient's domain; NULL with why not. */
static const char *
domain_of(struct mail *m, const struct address *rcpt, const char **error_r)
{
	const char *ascii;

	if (rcpt->domain == NULL) {
		*error_r = "it has no domain";
		return NULL;
	}
	if (rcpt->is_literal)
		return rcpt->domain;
	ascii = address_domain_ascii(rcpt->domain, m->d->arena);
	*error_r = "its domain cannot exist";
	return ascii;
}

static bool
take_addressee(struct mail *m, uint32_t i, const char **error_r)
{
	const struct rcpt *rcpt = &m->d->env.rcpts[i];

	*error_r = "its ORCPT is no xtext";
	if ((rcpt->orcpt != NULL && !xtext_is_valid(rcpt->orcpt)) ||
	    address_parse(rcpt->addr, m->d->arena, &m->rcpts[i],
	    error_r) == -1)
		return false;
	return m->domains == NULL || (m->domains[i] = domain_of(m,
	    &m->rcpts[i], error_r)) != NULL;
}

/* The sender, and the recipients that can be said at all. */
bool
mail_take_addressees(struct mail *m)
{
	struct delivery *d = m->d;
	struct answer a = { .host = "", .address = "" };
	uint32_t i, n = d->env.nrcpt;
	const char *error;

	if (*d->env.sender != '\0' && address_parse(d->env.sender, d->arena,
	    &m->sender, &error) == -1) {
		reply_cause(&a.reply, d->arena, STAGE_NONE, CAUSE_BAD_SENDER,
		    error);
		delivery_answer_rest(d, &a);
		return false;
	}
	m->todo = arena_alloc(d->arena, n * sizeof(*m->todo));
	m->rcpts = arena_calloc(d->arena, n, sizeof(*m->rcpts));
	if (m->relay->router.ops->by_domain)
		m->domains = arena_calloc(d->arena, n, sizeof(*m->domains));
	for (i = 0; i < n; i++) {
		if (take_addressee(m, i, &error)) {
			m->todo[m->ntodo++] = i;
			continue;
		}
		reply_cause(&a.reply, d->arena, STAGE_NONE, CAUSE_BAD_ADDRESS,
		    error);
		delivery_answer(d, i, &a);
	}
	m->ntodo = twins_join(d->env.rcpts, n, m->todo, m->ntodo, d->arena,
	    &m->twin);
	return m->ntodo > 0;
}

bool
mail_take_addressee(struct mail *m, const char **error_r)
{
	struct arena *arena = m->d->arena;

	m->todo = arena_calloc(arena, 1, sizeof(*m->todo));
	m->rcpts = arena_calloc(arena, 1, sizeof(*m->rcpts));
	if (m->relay->router.ops->by_domain)
		m->domains = arena_calloc(arena, 1, sizeof(*m->domains));
	m->ntodo = 1;
	return take_addressee(m, 0, error_r);
}

/* ---- the ways ---- */

static int
by_domain(const void *a, const void *b, void *arg)
{
	const struct mail *m = arg;
	int order = strcmp(m->domains[*(const uint32_t *)a],
	    m->domains[*(const uint32_t *)b]);

	return order != 0 ? order : tx_by_index(a, b);
}

static bool
is_same_way(const struct mail *m, uint32_t i, uint32_t j)
{
	return m->domains == NULL || strcmp(m->domains[m->todo[i]],
	    m->domains[m->todo[j]]) == 0;
}

static void
work_init(struct work *w, struct mail *m, uint32_t first, uint32_t n)
{
	w->mail = m;
	w->relay = m->relay;
	w->job = (struct smtp_job){
		.d = m->d,
		.look = &m->look,
		.open = n,
		.sender = m->sender,
		.rcpts = m->rcpts,
		.twin = m->twin,
	};
	w->domain = m->domains == NULL ? "" : m->domains[m->todo[first]];
	w->todo = m->todo + first;
	w->ntodo = n;
	w->until_ms = m->d->start_ms + m->relay->smtp->attempt_timeout_ms;
}

/* With an order from the envelope all go the same way. */
void
mail_divide(struct mail *m)
{
	uint32_t i, first = 0;

	if (m->d->env.nexthop != NULL)
		m->domains = NULL;
	if (m->domains != NULL && m->ntodo > 1)
		qsort_r(m->todo, m->ntodo, sizeof(*m->todo), by_domain, m);
	for (i = 1, m->nworks = 1; i < m->ntodo; i++)
		m->nworks += !is_same_way(m, i - 1, i);
	m->works = arena_calloc(m->d->arena, m->nworks, sizeof(*m->works));
	m->nworks = 0;
	for (i = 1; i <= m->ntodo; i++)
		if (i == m->ntodo || !is_same_way(m, i - 1, i)) {
			work_init(&m->works[m->nworks++], m, first, i - first);
			first = i;
		}
}
