/* transaction.c - one mail transaction of a client. */
#include "intake/transaction.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "intake/answer.h"
#include "intake/command.h"
#include "intake/intake.h"
#include "intake/replies.h"
#include "intake/upstream.h"
#include "mail/address.h"

#define ARENA_BYTES	2048	/* enough for most */
#define RCPTS_FIRST	4
#define REFUSED_MAX	1000	/* recipients of a message */
#define RCPT_BYTES	64	/* attributes of a recipient, without texts */
/* What recipients may take of a frame that also has texts and a body. */
#define PART_BYTES_MAX	(FRAME_BYTES_MAX - FRAME_INLINE_BODY_MAX - \
			    16 * FRAME_TEXT_MAX)

struct tx_rcpt {
	struct rcpt	 rcpt;
	const char	*relay;
	const char	*reply;		/* NULL: not known yet */
	size_t		 reply_len;
	bool		 is_placed;	/* it is in a part */
};

struct transaction {
	struct intake	*intake;
	struct upstream	*upstream;	/* that has its parts */
	struct arena	*arena;
	const struct transaction_ops *ops;
	void		*arg;
	struct envelope	 env;
	struct tx_rcpt	*rcpts;
	uint32_t	 nrcpt, size;
	uint32_t	 nasked;	/* RCPTs, also those refused */
	uint32_t	 nreplied;	/* of the recipients, from the first */
	struct spool	 spool;
	struct part	**parts;	/* NULL: over */
	uint32_t	 nparts;
	uint32_t	 nunsent, nopen;
	bool		 is_free;
	struct later	 reply_later, free_later;
};

/* ---- the end ---- */

static void
on_free(void *arg)
{
	struct transaction *tx = arg;

	spool_clear(&tx->spool);
	arena_free(tx->arena);
}

void
transaction_free(struct transaction *tx)
{
	uint32_t i;

	if (tx == NULL || tx->is_free)
		return;
	tx->is_free = true;
	loop_forget(tx->intake->loop, &tx->reply_later);
	for (i = 0; i < tx->nparts; i++)
		if (tx->parts[i] != NULL)
			upstream_abandon(tx->upstream, tx->parts[i]);
	loop_later(tx->intake->loop, &tx->free_later);
}

/* ---- replies ---- */

/* As many replies as are known in a row. */
static void
on_reply(void *arg)
{
	struct transaction *tx = arg;
	const struct tx_rcpt *r;

	while (tx->nreplied < tx->nrcpt && !tx->is_free) {
		r = &tx->rcpts[tx->nreplied];
		if (r->reply == NULL)
			return;
		tx->nreplied++;
		tx->ops->reply(tx->arg, r->reply, r->reply_len);
	}
	if (tx->is_free || tx->nopen > 0)
		return;
	transaction_free(tx);
	tx->ops->over(tx->arg);
}

static void
answer(struct transaction *tx, uint32_t i, const struct answer *a)
{
	struct tx_rcpt *r = &tx->rcpts[i];

	r->reply_len = answer_format(a, (tx->env.flags & ENV_SMTPUTF8) != 0,
	    tx->arena, &r->reply);
	tx->ops->outcome(tx->arg, a);
	loop_later(tx->intake->loop, &tx->reply_later);
}

static void
answer_all(struct transaction *tx, const struct reply *r)
{
	struct answer a = { .reply = *r, .host = "", .address = "" };
	uint32_t i;

	for (i = 0; i < tx->nrcpt; i++)
		answer(tx, i, &a);
}

static struct arena *
part_arena(void *owner)
{
	return ((struct transaction *)owner)->arena;
}

static void
part_answer(void *owner, uint32_t rcpt, const struct answer *a)
{
	answer(owner, rcpt, a);
}

/* The memory of a message that was copied into its frames is not needed while
 * the answer is waited for. */
static void
part_sent(void *owner)
{
	struct transaction *tx = owner;

	if (--tx->nunsent == 0 && tx->spool.fd == -1)
		spool_clear(&tx->spool);
}

static void
part_over(void *owner, const struct part *p)
{
	struct transaction *tx = owner;
	uint32_t i;

	for (i = 0; i < tx->nparts; i++)
		if (tx->parts[i] == p)
			tx->parts[i] = NULL;
	if (--tx->nopen == 0)
		loop_later(tx->intake->loop, &tx->reply_later);
}

static const struct part_ops part_ops = {
	.arena = part_arena,
	.answer = part_answer,
	.sent = part_sent,
	.over = part_over,
};

/* ---- MAIL and RCPT ---- */

/* "553 5.1.7 Bad sender address: " and why. */
static const char *
say_why(struct intake *in, const char *say, const char *why)
{
	snprintf(in->said, sizeof(in->said), "%s%s", say, why);
	return in->said;
}

/*
 * An address as it goes on: without route and brackets, quoted where it must
 * be (address.h).  NULL with the reply.
 */
static const char *
take_address(struct transaction *tx, const char *path, struct address *a,
    const char *say, const char *say_utf8, const char **say_r)
{
	const char *why, *text;

	if (address_parse(path, tx->arena, a, &why) == -1) {
		*say_r = say_why(tx->intake, say, why);
		return NULL;
	}
	/* RFC 6531 §3.5 */
	if ((a->is_utf8 || a->is_idn) &&
	    (tx->env.flags & ENV_SMTPUTF8) == 0) {
		*say_r = say_utf8;
		return NULL;
	}
	if ((text = address_wire(a, true, tx->arena, &why)) == NULL)
		*say_r = say_why(tx->intake, say, why);
	return text;
}

static void
fill_envelope(struct transaction *tx, const struct lmtp_command *c,
    const struct envelope *env)
{
	const struct intake_conf *conf = tx->intake->conf;

	tx->env = *env;
	tx->env.relay = "";
	tx->env.sender = "";
	tx->env.body.fd = -1;
	tx->env.ret = c->ret;
	tx->env.body_type = c->body;
	tx->env.flags = c->is_smtputf8 ? ENV_SMTPUTF8 : 0;
	tx->env.arrival_ms = clock_wall_ms();
	tx->env.deadline_s = (uint32_t)(conf->delivery_timeout_ms / 1000);
	tx->env.no_wait = true;
	if (c->envid != NULL)
		tx->env.envid = arena_strdup(tx->arena, c->envid);
}

struct transaction *
transaction_new(struct intake *in, const struct lmtp_command *c,
    const struct envelope *env, const struct transaction_ops *ops, void *arg,
    const char **say_r)
{
	const struct intake_conf *conf = in->conf;
	struct arena *arena = arena_new(ARENA_BYTES);
	struct transaction *tx = arena_calloc(arena, 1, sizeof(*tx));
	struct address a;

	tx->arena = arena;
	tx->intake = in;
	tx->ops = ops;
	tx->arg = arg;
	later_init(&tx->reply_later, on_reply, tx);
	later_init(&tx->free_later, on_free, tx);
	spool_init(&tx->spool, &in->store,
	    (uint64_t)conf->message_size_limit,
	    conf->bare_newline == BARE_NORMALIZE && c->body != BODY_BINARYMIME);
	fill_envelope(tx, c, env);
	if (*c->path != '\0' && (tx->env.sender = take_address(tx, c->path, &a,
	    SAY_BAD_SENDER, SAY_SENDER_UTF8, say_r)) == NULL) {
		on_free(tx);
		return NULL;
	}
	tx->size = RCPTS_FIRST;
	tx->rcpts = arena_alloc(arena, tx->size * sizeof(*tx->rcpts));
	spool_expect(&tx->spool, c->size);
	return tx;
}

/* The relay for a domain (NULL: an address without one); NULL: none. */
static const char *
find_relay(struct transaction *tx, const struct address *a)
{
	const struct intake_conf *conf = tx->intake->conf;
	const char *domain = a->domain;
	long pair = -1;

	if (conf->relays.n > 0 && domain != NULL) {
		if (!a->is_literal)
			domain = address_domain_ascii(domain, tx->arena);
		if (domain != NULL)
			pair = domain_map_find(&tx->intake->patterns, domain);
	} else if (conf->relays.n > 0)
		pair = domain_map_find(&tx->intake->patterns, "[]");
	if (pair != -1)
		return conf->relays.v[pair].value;
	if (conf->relay != NULL)
		return conf->relay;
	return conf->relays.n == 0 ? "" : NULL;
}

/* An ORCPT as it goes on, in xtext whatever the next hops offer; NULL: it is
 * not as it should be, or not without SMTPUTF8 (RFC 6533 §3). */
static const char *
take_orcpt(struct transaction *tx, const char *orcpt)
{
	const char *address = strchr(orcpt, ';') + 1, *text;

	if (str_is_ascii(orcpt))
		return arena_strdup(tx->arena, orcpt);
	if ((tx->env.flags & ENV_SMTPUTF8) == 0 ||
	    (text = utf8_address_encode(address, tx->arena)) == NULL)
		return NULL;
	text = arena_printf(tx->arena, "utf-8;%s", text);
	return strlen(text) > LMTP_ORCPT_MAX ? NULL : text;
}

static struct tx_rcpt *
add_rcpt(struct transaction *tx)
{
	struct tx_rcpt *more;

	if (tx->nrcpt == tx->size) {
		more = arena_alloc(tx->arena, 2 * tx->size * sizeof(*more));
		memcpy(more, tx->rcpts, tx->size * sizeof(*more));
		tx->rcpts = more;
		tx->size *= 2;
	}
	return memset(&tx->rcpts[tx->nrcpt++], 0, sizeof(*more));
}

const char *
transaction_rcpt(struct transaction *tx, const struct lmtp_command *c)
{
	const struct intake_conf *conf = tx->intake->conf;
	const char *relay, *text, *say, *orcpt = NULL;
	struct address a;
	struct tx_rcpt *r;

	/* The refused ones take memory, too. */
	if (tx->nrcpt >= conf->max_recipients ||
	    tx->nasked++ >= conf->max_recipients + REFUSED_MAX)
		return SAY_TOO_MANY_RCPTS;
	if ((text = take_address(tx, c->path, &a, SAY_BAD_RCPT, SAY_RCPT_UTF8,
	    &say)) == NULL)
		return say;
	if ((relay = find_relay(tx, &a)) == NULL)
		return conf->no_route == NO_ROUTE_DEFER ? SAY_NO_ROUTE_YET :
		    SAY_NO_ROUTE;
	if (c->orcpt != NULL && (orcpt = take_orcpt(tx, c->orcpt)) == NULL)
		return SAY_BAD_ORCPT;
	r = add_rcpt(tx);
	r->rcpt.addr = text;
	r->rcpt.notify = c->notify;
	r->rcpt.orcpt = orcpt;
	r->relay = relay;
	return SAY_RCPT_OK;
}

uint32_t
transaction_nrcpt(const struct transaction *tx)
{
	return tx->nrcpt;
}

struct spool *
transaction_spool(struct transaction *tx)
{
	return &tx->spool;
}

bool
transaction_is_binary(const struct transaction *tx)
{
	return tx->env.body_type == BODY_BINARYMIME;
}

/* ---- the message ---- */

static size_t
rcpt_bytes(const struct rcpt *r)
{
	return RCPT_BYTES + strlen(r->addr) +
	    (r->orcpt == NULL ? 0 : strlen(r->orcpt));
}

/* A part of those from `first` on that go to the same relay, as far as they
 * fit. */
static struct part *
make_part(struct transaction *tx, uint32_t first)
{
	uint32_t i, n = 0, left = tx->nrcpt - first;
	uint32_t *index = arena_alloc(tx->arena, left * sizeof(*index));
	struct rcpt *rcpts = arena_alloc(tx->arena, left * sizeof(*rcpts));
	const char *relay = tx->rcpts[first].relay;
	size_t bytes = 0;
	struct tx_rcpt *r;
	struct part *p;

	for (i = first; i < tx->nrcpt; i++) {
		r = &tx->rcpts[i];
		if (r->is_placed || strcmp(r->relay, relay) != 0)
			continue;
		bytes += rcpt_bytes(&r->rcpt);
		if (bytes > PART_BYTES_MAX)
			break;
		r->is_placed = true;
		rcpts[n] = r->rcpt;
		index[n++] = i;
	}
	p = part_new(&part_ops, tx, index, n);
	p->env = tx->env;
	p->env.relay = relay;
	p->env.rcpts = rcpts;
	p->env.nrcpt = n;
	return p;
}

/* What keeps the message from going on; false where nothing does. */
static bool
is_refused(struct transaction *tx, struct reply *r)
{
	const struct spool *s = &tx->spool;
	bool is_kept = spool_finish(&tx->spool, &tx->env.body) == 0;

	if (spool_is_too_large(s))
		reply_cause(r, tx->arena, STAGE_NONE, CAUSE_BODY_OVER_LIMIT,
		    (unsigned long long)s->len, (unsigned long long)s->max);
	else if (!is_kept)
		reply_cause(r, tx->arena, STAGE_NONE, CAUSE_BODY_NOT_KEPT,
		    strerror(s->error));
	else if (s->has_bare && !transaction_is_binary(tx))
		reply_cause(r, tx->arena, STAGE_NONE, CAUSE_BODY_BARE);
	else
		return false;
	return true;
}

/* What the bytes are, whatever was said of them. */
static void
judge_body(struct transaction *tx)
{
	const struct body_facts *f = &tx->spool.scan.facts;

	if (transaction_is_binary(tx))
		return;
	tx->env.body_type = f->has_8bit ? BODY_8BITMIME : BODY_7BIT;
	if (f->is_clean && !f->has_nul && !f->has_long_line)
		tx->env.flags |= ENV_WIRE_FORM;
}

void
transaction_submit(struct transaction *tx)
{
	struct reply refusal;
	uint32_t i, n = 0;

	if (is_refused(tx, &refusal)) {
		answer_all(tx, &refusal);
		return;
	}
	judge_body(tx);
	/* At most one for each recipient. */
	tx->parts = arena_calloc(tx->arena, tx->nrcpt,
	    sizeof(struct part *));
	for (i = 0; i < tx->nrcpt; i++)
		if (!tx->rcpts[i].is_placed)
			tx->parts[n++] = make_part(tx, i);
	tx->nparts = tx->nunsent = tx->nopen = n;
	tx->upstream = tx->intake->upstream;
	for (i = 0; i < n; i++)
		upstream_submit(tx->upstream, tx->parts[i]);
}
