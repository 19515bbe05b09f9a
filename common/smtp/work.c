/*
 * work.c - a delivery as a whole: what its envelope asks for, and the answers
 * that do not come from a transaction.
 */
#include "smtp/work.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- answers ---- */

void
work_answer_rest(struct work *w, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };

	delivery_answer_rest(w->job.d, &a);
}

void
work_answer_cause(struct work *w, enum cause cause, const char *detail)
{
	struct reply r;

	reply_cause(&r, w->job.d->arena, STAGE_NONE, cause, detail);
	work_answer_rest(w, &r);
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
	delivery_answer_rest(w->job.d, &a);
}

/* ---- an envelope comes in ---- */

/* "host, [host]:port, unix:/path"; the array lies in the arena. */
static int
parse_hosts(const char *text, uint16_t default_port, struct arena *arena,
    struct work *w, const char **error_r)
{
	struct hostspec *hosts = arena_calloc(arena, RELAY_HOSTS_MAX,
	    sizeof(*hosts));
	const char *p = text, *one;
	size_t len;

	w->hosts = hosts;
	w->nhosts = 0;
	for (; *p != '\0'; p += len + strspn(p + len, ", ")) {
		len = strcspn(p, ", ");
		one = arena_strndup(arena, p, len);
		*error_r = "more hosts than are allowed";
		if (w->nhosts == RELAY_HOSTS_MAX ||
		    hostspec_parse(&hosts[w->nhosts++], one, default_port,
		    arena, error_r) == -1)
			return -1;
	}
	*error_r = "no host";
	return w->nhosts == 0 ? -1 : 0;
}

/* next hop, source, EHLO name that the envelope asks for; false: answered. */
bool
work_take_overrides(struct work *w)
{
	struct delivery *d = w->job.d;
	const struct envelope *env = &d->env;
	const char *error;
	struct reply r;

	if (env->nexthop != NULL && parse_hosts(env->nexthop,
	    w->relay->conf.default_port, d->arena, w, &error) == -1) {
		reply_cause(&r, d->arena, STAGE_NONE, CAUSE_BAD_NEXTHOP,
		    env->nexthop, error);
		work_answer_rest(w, &r);
		return false;
	}
	if (env->source != NULL) {
		w->has_source = addr_parse(&w->source, env->source, 0) == 0;
		if (!w->has_source) {
			reply_cause(&r, d->arena, STAGE_NONE,
			    CAUSE_BAD_OVERRIDE, "source address", env->source,
			    "not an IPv4 or IPv6 address");
			work_answer_rest(w, &r);
			return false;
		}
	}
	if (env->envid != NULL && !xtext_is_valid(env->envid)) {
		reply_cause(&r, d->arena, STAGE_NONE, CAUSE_BAD_OVERRIDE,
		    "ENVID", env->envid, "not xtext");
		work_answer_rest(w, &r);
		return false;
	}
	w->ehlo = env->ehlo != NULL ? env->ehlo : w->relay->ehlo;
	if (strlen(w->ehlo) > DOMAIN_MAX || strpbrk(w->ehlo, " \t<>") != NULL ||
	    *w->ehlo == '\0') {
		reply_cause(&r, d->arena, STAGE_NONE, CAUSE_BAD_OVERRIDE,
		    "EHLO name", w->ehlo, "not a host name");
		work_answer_rest(w, &r);
		return false;
	}
	return true;
}

static uint32_t
text_hash(const char *s)
{
	uint32_t h = 2166136261U;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619U;
	return h;
}

static bool
is_equal(const struct rcpt *a, const struct rcpt *b)
{
	return strcmp(a->addr, b->addr) == 0 && a->notify == b->notify &&
	    (a->orcpt == NULL) == (b->orcpt == NULL) &&
	    (a->orcpt == NULL || strcmp(a->orcpt, b->orcpt) == 0);
}

/*
 * Of equal recipients only the first is to be done; the others hang on it as
 * twins and get its answer.  A table of twice their number, open addressing.
 */
static void
join_twins(struct work *w)
{
	const struct rcpt *rcpts = w->job.d->env.rcpts;
	uint32_t i, n = 0, who, at, size = 2 * w->ntodo, *table, *twin;
	struct arena *arena = w->job.d->arena;

	table = arena_alloc(arena, size * sizeof(*table));
	twin = arena_alloc(arena, w->job.d->env.nrcpt * sizeof(*twin));
	memset(table, 0xff, size * sizeof(*table));
	memset(twin, 0xff, w->job.d->env.nrcpt * sizeof(*twin));
	for (i = 0; i < w->ntodo; i++) {
		who = w->todo[i];
		at = text_hash(rcpts[who].addr) % size;
		while (table[at] != NO_TWIN &&
		    !is_equal(&rcpts[table[at]], &rcpts[who]))
			at = (at + 1) % size;
		if (table[at] == NO_TWIN)
			w->todo[n++] = table[at] = who;
		else {
			twin[who] = twin[table[at]];
			twin[table[at]] = who;
			w->job.twin = twin;
		}
	}
	w->ntodo = n;
}

/* The sender, and the recipients that can be said at all. */
bool
work_take_addressees(struct work *w)
{
	struct delivery *d = w->job.d;
	struct answer a = { .host = "", .address = "" };
	uint32_t i, n = d->env.nrcpt;
	const char *error;

	if (*d->env.sender != '\0' && address_parse(d->env.sender, d->arena,
	    &w->job.sender, &error) == -1) {
		work_answer_cause(w, CAUSE_BAD_SENDER, error);
		return false;
	}
	w->todo = arena_alloc(d->arena, n * sizeof(*w->todo));
	w->job.rcpts = arena_calloc(d->arena, n, sizeof(*w->job.rcpts));
	for (i = 0; i < n; i++) {
		error = "its ORCPT is no xtext";
		if ((d->env.rcpts[i].orcpt == NULL ||
		    xtext_is_valid(d->env.rcpts[i].orcpt)) &&
		    address_parse(d->env.rcpts[i].addr, d->arena,
		    &w->job.rcpts[i], &error) == 0) {
			w->todo[w->ntodo++] = i;
			continue;
		}
		reply_cause(&a.reply, d->arena, STAGE_NONE, CAUSE_BAD_ADDRESS,
		    error);
		delivery_answer(d, i, &a);
	}
	if (w->ntodo > 1)
		join_twins(w);
	return w->ntodo > 0;
}
