/*
 * explain.c - what a delivery to a recipient would do, in words: its route,
 * the hosts in their order, and for each address the source and the TLS it is
 * connected to with.  The answers are those of the functions that deliver.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "smtp/work.h"

struct explanation {
	struct smtp_relay *relay;
	const struct agent_explain *ask;
	size_t		 rcpt;		/* the present one */
	struct arena	*arena;		/* of it */
	struct delivery	*d;		/* never leaves here */
	struct work	*w;
	struct later	 next_later;
};

static void	next_host(struct explanation *);

static void
say(struct explanation *e, const char *name, const char *text)
{
	char shown[4096];

	str_escape(shown, sizeof(shown), text, strlen(text));
	fprintf(e->ask->out, "  %-9s %s\n", name, shown);
}

static void
say_reply(struct explanation *e, const char *name, const struct reply *r)
{
	say(e, name, arena_printf(e->arena, "%u " DSN_FMT " %s (%s)", r->code,
	    DSN_ARG(r), r->text, reply_class_name(r->cls)));
}

static void
next_rcpt(struct explanation *e)
{
	e->rcpt++;
	loop_later(e->relay->loop, &e->next_later);
}

/* ---- a host ---- */

static void
say_address(struct explanation *e, const struct addr *a)
{
	struct work *w = e->w;
	char text[ADDR_TEXT_MAX], source[ADDR_TEXT_MAX];
	bool is_dead = memo_is_live(memo_find(&w->relay->dead, a),
	    loop_now_ms(w->relay->loop));

	addr_format(a, text, sizeof(text));
	w->addrs = arena_alloc(e->arena, sizeof(*w->addrs));
	w->addrs[0] = *a;
	w->addr = 0;
	w->naddrs = 1;
	work_set_terms(w);
	say(e, "address", arena_printf(e->arena,
	    "%s port %u, from %s, EHLO %s, TLS %s%s", text, addr_port(a),
	    w->has_bind ? addr_format(&w->source, source, sizeof(source)) :
	    "any address", w->mail->ehlo, tls_policy_text(&w->policy),
	    is_dead ? "; failed a moment ago: tried last" : ""));
}

static void
on_target(void *arg, struct route_target *t)
{
	struct explanation *e = arg;
	const struct smtp_conf *conf = e->relay->smtp;
	size_t i, n = 0;

	e->w->query = NULL;
	e->w->target = t;
	if (t->is_last)
		work_end_route(e->w);
	if (t->n == 0)
		say_reply(e, "not used", &t->failure);
	else if (*t->why != '\0')
		say(e, "TLS by", t->why);
	for (i = 0; i < t->n; i++)
		if (work_may_use(conf, &t->addrs[i])) {
			say_address(e, &t->addrs[i]);
			n++;
		}
	if (t->n > 0 && n == 0)
		say(e, "not used", "no address of a wanted family");
	work_forget_target(e->w);
	e->w->host++;
	next_host(e);
}

static void
next_host(struct explanation *e)
{
	struct router *router = &e->relay->router;
	struct work *w = e->w;
	struct route_host *h;
	struct route_target *t;

	if (w->host >= w->route->n) {
		next_rcpt(e);
		return;
	}
	h = &w->route->hosts[w->host];
	say(e, "host", w->route->kind != ROUTE_MX || h->is_fallback ?
	    arena_printf(e->arena, "%s%s", h->name, h->is_fallback ?
	    ", a fallback" : "") : arena_printf(e->arena, "%s, preference %u",
	    h->name, h->preference));
	t = router->ops->peek_host(router->state, w->route, w->host,
	    e->arena);
	if (t != NULL)
		on_target(e, t);
	else
		w->query = router->ops->ask_host(router->state, w->route,
		    w->host, e->arena, on_target, e);
}

/* ---- a recipient ---- */

static void
on_route(void *arg, struct route *route)
{
	struct explanation *e = arg;

	e->w->query = NULL;
	e->w->route = route;
	if (*route->why != '\0')
		say(e, "route", route->why);
	if (*route->policy != '\0')
		say(e, "policy", route->policy);
	if (route->n == 0) {
		say_reply(e, "answer", &route->failure);
		next_rcpt(e);
	} else
		next_host(e);
}

/* A delivery that nobody asked for, with this one recipient. */
static bool
make_work(struct explanation *e)
{
	struct delivery *d = arena_calloc(e->arena, 1, sizeof(*d));
	struct mail *m = arena_calloc(e->arena, 1, sizeof(*m));
	struct rcpt *rcpt = arena_calloc(e->arena, 1, sizeof(*rcpt));
	const char *error;
	struct reply r;

	d->arena = e->arena;
	d->env = *e->ask->env;
	d->env.body = (struct body){ .mem = "", .fd = -1 };
	rcpt->addr = e->ask->rcpts[e->rcpt];
	d->env.rcpts = rcpt;
	d->env.nrcpt = 1;
	d->start_ms = loop_now_ms(e->relay->loop);
	m->d = d;
	m->relay = e->relay;
	m->ehlo = d->env.ehlo != NULL ? d->env.ehlo : e->relay->ehlo;
	m->has_source = d->env.source != NULL &&
	    addr_parse(&m->source, d->env.source, 0) == 0;
	if (!mail_take_addressee(m, &error)) {
		reply_cause(&r, e->arena, STAGE_NONE, CAUSE_BAD_ADDRESS,
		    error);
		say_reply(e, "answer", &r);
		return false;
	}
	mail_divide(m);
	e->d = d;
	e->w = &m->works[0];
	return true;
}

static void
on_next(void *arg)
{
	struct explanation *e = arg;
	struct router *router = &e->relay->router;
	char shown[2048];
	struct route *route;

	arena_free(e->arena);
	e->arena = NULL;
	if (e->rcpt == e->ask->n) {
		e->ask->done(e->ask->arg);
		free(e);
		return;
	}
	e->arena = arena_new(16 * 1024);
	str_escape(shown, sizeof(shown), e->ask->rcpts[e->rcpt],
	    strlen(e->ask->rcpts[e->rcpt]));
	fprintf(e->ask->out, "%s\n", shown);
	if (!make_work(e)) {
		next_rcpt(e);
		return;
	}
	route = router->ops->peek(router->state, e->w->domain,
	    e->d->env.nexthop, e->arena);
	if (route != NULL)
		on_route(e, route);
	else
		e->w->query = router->ops->ask(router->state, e->w->domain,
		    e->d->env.nexthop, e->arena, on_route, e);
}

void
smtp_relay_explain(void *state, const struct agent_explain *ask)
{
	struct explanation *e = xcalloc(1, sizeof(*e));

	e->relay = state;
	e->ask = ask;
	later_init(&e->next_later, on_next, e);
	loop_later(e->relay->loop, &e->next_later);
}
