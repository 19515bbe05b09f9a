/* tx.c - the facts of one transaction, and its recipients' answers. */
#include "smtp/tx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mail/twins.h"

#define KEEP_BYTES	(16 * 1024)	/* a body so small is read once */

static void
on_go(void *arg)
{
	struct smtp_tx *tx = arg;

	tx->end = TAKEN;
	session_run(tx->session);
}

struct smtp_tx *
tx_new(struct smtp_job *job, const uint32_t *index, uint32_t n)
{
	struct smtp_tx *tx;
	uint32_t i;

	tx = xmalloc(sizeof(*tx) + n * sizeof(tx->rcpts[0]));
	memset(tx, 0, sizeof(*tx));
	tx->job = job;
	tx->nrcpt = tx->nhope = n;
	tx->source = job->d->env.body;
	crlf_init(&tx->crlf, true);
	later_init(&tx->go, on_go, tx);
	for (i = 0; i < n; i++)
		tx->rcpts[i] = (struct tx_rcpt){ index[i], RCPT_OPEN };
	return tx;
}

void
tx_free(struct smtp_tx *tx)
{
	if (tx == NULL)
		return;
	loop_forget(NULL, &tx->go);
	eightbit_writer_free(tx->writer);
	eightbit_plan_free(tx->plan);
	free(tx->kept);
	free(tx);
}

int
tx_by_index(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* A recipient and those with an equal address; how many the set has then. */
static uint32_t
add_twins(const struct smtp_job *job, uint32_t i, uint32_t *set, uint32_t n)
{
	for (; i != NO_TWIN; i = job->twin == NULL ? NO_TWIN : job->twin[i])
		set[n++] = i;
	return n;
}

void
tx_announce_end(struct smtp_session *s, struct smtp_tx *tx)
{
	struct delivery *d = tx->job->d;
	uint32_t *set = NULL, i, n = 0;

	tx->end = SAID;
	tx->session = s;
	if (tx->nhope != d->open) {
		set = arena_alloc(d->arena, d->env.nrcpt * sizeof(*set));
		for (i = 0; i < tx->nrcpt; i++)
			if (tx->rcpts[i].state <= RCPT_ACCEPTED)
				n = add_twins(tx->job, tx->rcpts[i].index,
				    set, n);
		qsort(set, n, sizeof(*set), tx_by_index);
	}
	delivery_before_end(d, set, n, &tx->go);
}

/* ---- answers ---- */

void
tx_answer(struct smtp_session *s, struct smtp_tx *tx, uint32_t i,
    const struct reply *r)
{
	struct tx_rcpt *rcpt = &tx->rcpts[i];
	struct answer a = {
		.reply = *r,
		.host = s->host,
		.address = s->address,
		.port = addr_port(&s->addr),
		.tls = s->tls_text,
		.wait_ms = tx->wait_ms,
		.conn_use = s->nmessages + 1,
		.handover = (s->offer.exts & EXT_DSN) != 0 ? HANDOVER_DSN :
		    s->is_lmtp ? HANDOVER_FINAL : HANDOVER_RELAYED,
	};
	int64_t now = loop_now_ms(s->loop);
	struct delivery *d;
	uint32_t who = rcpt->index;

	if (rcpt->state == RCPT_DONE || tx->job == NULL)
		return;
	if (rcpt->state == RCPT_ACCEPTED)
		tx->naccepted--;
	if (rcpt->state != RCPT_PUT_OFF)
		tx->nhope--;
	rcpt->state = RCPT_DONE;
	s->nrcpts += r->cls == REPLY_DELIVERED;
	if (!tx->is_reused && s->ready_ms != 0)
		a.connect_ms = (uint32_t)(s->ready_ms - s->opened_ms);
	if (tx->start_ms != 0)
		a.transaction_ms = (uint32_t)(now - tx->start_ms);
	d = tx->job->d;
	for (; who != NO_TWIN;
	    who = tx->job->twin == NULL ? NO_TWIN : tx->job->twin[who])
		delivery_answer(d, who, &a);
	if (--tx->job->open == 0)
		tx->job = NULL;		/* it may go at the end of the turn */
}

static void
answer_in(struct smtp_session *s, struct smtp_tx *tx, uint8_t state,
    const struct reply *r)
{
	uint32_t i;

	for (i = 0; i < tx->nrcpt; i++)
		if (tx->rcpts[i].state == state)
			tx_answer(s, tx, i, r);
}

void
tx_answer_accepted(struct smtp_session *s, struct smtp_tx *tx,
    const struct reply *r)
{
	answer_in(s, tx, RCPT_ACCEPTED, r);
}

void
tx_fail(struct smtp_session *s, struct smtp_tx *tx, const struct reply *r)
{
	answer_in(s, tx, RCPT_ACCEPTED, r);
	answer_in(s, tx, RCPT_SAID, r);
	answer_in(s, tx, RCPT_OPEN, r);
}

void
tx_in_doubt(struct smtp_session *s, struct smtp_tx *tx, const struct reply *r)
{
	struct reply doubt = *r;

	doubt.stage = STAGE_DOT;
	tx_answer_accepted(s, tx, &doubt);
	answer_in(s, tx, RCPT_SAID, &doubt);
}

bool
tx_any_done(const struct smtp_tx *tx)
{
	uint32_t i;

	for (i = 0; i < tx->nrcpt; i++)
		if (tx->rcpts[i].state == RCPT_DONE)
			return true;
	return false;
}

void
tx_put_off(struct smtp_tx *tx, uint32_t i)
{
	tx->rcpts[i].state = RCPT_PUT_OFF;
	tx->nhope--;
}

bool
tx_is_over(const struct smtp_tx *tx)
{
	return tx->nawaited == 0 && !tx_hope(tx) &&
	    !(tx->data == TAKEN && tx->dot == UNSAID);
}

/* ---- before MAIL ---- */

/* A small body is read once, for the look and for sending. */
static int
keep_body(struct smtp_tx *tx)
{
	struct body_reader in;
	const char *data;
	size_t at = 0;
	int64_t n;

	if (tx->source.mem != NULL || tx->source.len > KEEP_BYTES)
		return 0;
	tx->kept = xmalloc((size_t)tx->source.len + 1);
	body_reader_init(&in, &tx->source);
	while ((n = body_read(&in, tx->kept + at,
	    (size_t)tx->source.len - at, &data)) > 0)
		at += (size_t)n;
	if (n == -1)
		return -1;
	tx->source = (struct body){ .mem = tx->kept, .fd = -1, .len = at };
	return 0;
}

void
tx_drop_kept(struct smtp_tx *tx)
{
	free(tx->kept);
	tx->kept = NULL;
}

/*
 * A large body whose submitter vouches for its form need not be looked at,
 * where its bytes leave as they are and counted: what it holds cannot be taken
 * for anything else.
 */
static bool
is_vouched(const struct smtp_session *s, const struct smtp_tx *tx)
{
	const struct envelope *env = &tx->job->d->env;

	return (env->flags & ENV_WIRE_FORM) != 0 &&
	    (env->body_type == BODY_7BIT || env->body_type == BODY_8BITMIME) &&
	    (env->flags & ENV_SMTPUTF8) == 0 &&
	    tx->source.len > (tx->source.mem == NULL ? KEEP_BYTES :
	    EARLY_BYTES) && s->conf->chunking &&
	    (s->offer.exts & EXT_CHUNKING) != 0 &&
	    s->conf->nul_bytes == NUL_SEND;
}

static int
look_at_body(struct smtp_session *s, struct smtp_tx *tx)
{
	struct smtp_job *job = tx->job;
	struct reply r;

	if (!job->look->is_done && is_vouched(s, tx)) {
		/* Not for the next host, which may offer less. */
		job->look->facts = (struct body_facts){
			.is_clean = true,
			.has_8bit = job->d->env.body_type == BODY_8BITMIME,
			.wire_len = tx->source.len,
		};
		body_reader_init(&tx->reader, &tx->source);
		return 0;
	}
	if (keep_body(tx) == 0 &&
	    (job->look->is_done || body_look(&tx->source, &job->look->facts) == 0)) {
		job->look->is_done = true;
		body_reader_init(&tx->reader, &tx->source);
		return 0;
	}
	reply_cause(&r, job->d->arena, STAGE_NONE, CAUSE_BODY_READ,
	    errno == EIO ? "it is shorter than said" : strerror(errno));
	tx_fail(s, tx, &r);
	return -1;
}

static void
fail_peer(struct smtp_session *s, struct smtp_tx *tx, enum cause cause)
{
	char peer[512];
	struct reply r;

	reply_cause(&r, tx->job->d->arena, STAGE_MAIL, cause,
	    smtp_session_peer(s, peer, sizeof(peer)));
	tx_fail(s, tx, &r);
}

static bool
is_too_large(struct smtp_session *s, struct smtp_tx *tx)
{
	uint64_t limit = s->offer.size_limit, size = tx->wire_len;
	char peer[512];
	struct reply r;

	if (limit == 0 || size <= limit)
		return false;
	reply_cause(&r, tx->job->d->arena, STAGE_MAIL, CAUSE_TOO_LARGE,
	    (unsigned long long)size, (unsigned long long)limit,
	    smtp_session_peer(s, peer, sizeof(peer)));
	tx_fail(s, tx, &r);
	return true;
}

/* 8-bit text for a server that takes none (RFC 6152 §3); false: answered. */
static bool
convert(struct smtp_session *s, struct smtp_tx *tx)
{
	struct arena *arena = tx->job->d->arena;
	enum eightbit_result result;
	char peer[512];
	struct reply r;

	if (tx->is_binary || s->conf->eightbit != EIGHTBIT_CONVERTED)
		return true;
	if (tx->job->d->env.body_type != BODY_BINARYMIME &&
	    (!tx->job->look->facts.has_8bit ||
	    (s->offer.exts & EXT_8BITMIME) != 0))
		return true;
	result = eightbit_plan(&tx->source, &tx->plan);
	if (result == EIGHTBIT_CLEAN)
		return true;		/* only in the header */
	if (result == EIGHTBIT_CONVERT) {
		tx->writer = eightbit_writer_new(tx->plan, &tx->source);
		tx->wire_len = tx->plan->out_len;
		return true;
	}
	if (result == EIGHTBIT_ERROR)
		reply_cause(&r, arena, STAGE_NONE, CAUSE_BODY_READ,
		    strerror(errno));
	else
		reply_cause(&r, arena, STAGE_MAIL, CAUSE_NOT_CONVERTED,
		    smtp_session_peer(s, peer, sizeof(peer)), tx->plan->why);
	tx_fail(s, tx, &r);
	return false;
}

uint64_t
tx_left(const struct smtp_tx *tx)
{
	return tx->writer != NULL ? tx->wire_len - tx->written :
	    body_left(&tx->reader);
}

int64_t
tx_read(struct smtp_tx *tx, char *scratch, size_t max, const char **data_r)
{
	int64_t n;

	if (tx->writer == NULL)
		return body_read(&tx->reader, scratch, max, data_r);
	if ((n = eightbit_read(tx->writer, scratch, max)) > 0)
		tx->written += (uint64_t)n;
	*data_r = scratch;
	return n;
}

/* What the whole message needs and this server does not offer. */
static bool
lacks_for_message(struct smtp_session *s, struct smtp_tx *tx,
    enum cause *cause_r)
{
	const struct envelope *env = &tx->job->d->env;
	const struct body_facts *f = &tx->job->look->facts;
	bool has_utf8 = (s->offer.exts & EXT_SMTPUTF8) != 0;

	if (env->body_type == BODY_BINARYMIME && !tx->is_binary &&
	    s->conf->eightbit != EIGHTBIT_CONVERTED)
		*cause_r = CAUSE_NEED_BINARYMIME;
	else if (tx->job->sender.is_utf8 && !has_utf8)
		*cause_r = CAUSE_NEED_SMTPUTF8;
	else if ((env->flags & ENV_SMTPUTF8) != 0 && f->header_8bit &&
	    !has_utf8)
		*cause_r = CAUSE_NEED_SMTPUTF8_HEADER;
	else if (f->has_8bit && (s->offer.exts & EXT_8BITMIME) == 0 &&
	    s->conf->eightbit == EIGHTBIT_REFUSED)
		*cause_r = CAUSE_NEED_8BITMIME;
	else if (f->has_nul && s->conf->nul_bytes == NUL_REFUSE)
		*cause_r = CAUSE_BODY_NUL;
	else
		return false;
	return true;
}

/* Recipients that this server cannot be told (RFC 6531 §3.1). */
static void
check_recipients(struct smtp_session *s, struct smtp_tx *tx)
{
	char peer[512];
	struct reply r;
	uint32_t i;

	if ((s->offer.exts & EXT_SMTPUTF8) != 0)
		return;
	for (i = 0; i < tx->nrcpt && tx->job != NULL; i++)
		if (tx->job->rcpts[tx->rcpts[i].index].is_utf8) {
			reply_cause(&r, tx->job->d->arena, STAGE_RCPT,
			    CAUSE_NEED_SMTPUTF8,
			    smtp_session_peer(s, peer, sizeof(peer)));
			tx_answer(s, tx, i, &r);
		}
}

int
tx_prepare(struct smtp_session *s, struct smtp_tx *tx)
{
	enum cause cause;

	tx->start_ms = loop_now_ms(s->loop);
	if (look_at_body(s, tx) == -1)
		return -1;
	tx->is_binary = tx->job->d->env.body_type == BODY_BINARYMIME &&
	    (s->offer.exts & EXT_BINARYMIME) != 0 &&
	    (s->offer.exts & EXT_CHUNKING) != 0;
	tx->wire_len = tx->is_binary ? tx->source.len :
	    tx->job->look->facts.wire_len;
	if (lacks_for_message(s, tx, &cause)) {
		fail_peer(s, tx, cause);
		return -1;
	}
	if (!convert(s, tx) || is_too_large(s, tx))
		return -1;
	check_recipients(s, tx);
	return tx->nhope > 0 ? 0 : -1;
}
