/*
 * front_postfix_answer.c - what became of recipients, as Postfix is told it.
 *
 * In this order: the services that keep record of it, the line in the log, the
 * mark in the queue file, and when all recipients are through, the reply to
 * qmgr.  A recipient is marked only after a service has what must be told
 * about it, so that whatever dies, nothing is lost.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/front_postfix.h"
#include "base/log.h"
#include "postfix/maillog.h"

#define GOOD_MS		10000	/* so long a next hop that took mail is well */
#define REPLY_MAX	(64 * 1024)

enum step { TELL_BOUNCE, TELL_DEFER, TELL_TRACE, TELL_VERIFY_ORIGINAL,
    TELL_VERIFY };

static void	report_next(struct outcome *);

static int32_t
trace_flags(const struct job *j)
{
	return j->req.flags & PF_FLAGS_TRACE;
}

/* ---- in words ---- */

static const char *
relay_text(const struct job *j, const struct answer *a)
{
	if (a->reply.stage == STAGE_RUN && *a->host == '\0')
		return j->f->args.name;
	if (*a->host == '\0' || (a->reply.cls != REPLY_DELIVERED &&
	    a->reply.stage <= STAGE_CONNECT))
		return "none";
	if (a->port == 0)
		return arena_printf(j->arena, "%s[%s]", j->f->myhostname,
		    a->host);
	return arena_printf(j->arena, "%s[%s]:%u", a->host, a->address,
	    a->port);
}

static const char *
words_of(const struct job *j, const struct reply *r)
{
	char *text = arena_printf(j->arena, "%u " DSN_FMT " %s", r->code,
	    DSN_ARG(r), r->text);

	pf_printable(text);
	return text;
}

static const char *
reason_text(const struct job *j, const struct answer *a)
{
	const struct reply *r = &a->reply;
	char *text;

	if (r->by != BY_REMOTE && (r->cls != REPLY_DELIVERED ||
	    r->stage == STAGE_NONE))
		text = arena_strdup(j->arena, r->text);
	else if (r->cls == REPLY_DELIVERED)
		return words_of(j, r);
	else if (r->stage == STAGE_RUN)
		text = arena_printf(j->arena, "%s%s%s", a->host,
		    *a->host == '\0' ? "" : " said: ", r->text);
	else
		text = arena_printf(j->arena, "host %s[%s] said: %s (in reply "
		    "to %s%s)", a->port == 0 ? j->f->myhostname : a->host,
		    a->address, words_of(j, r), stage_name(r->stage), r->stage >= STAGE_EHLO ?
		    " command" : "");
	pf_printable(text);
	return text;
}

/* What the next hop itself said stands in the bounce. */
static void
take_diagnostic(struct outcome *o, const struct answer *a)
{
	const struct reply *r = &a->reply;

	if (r->by != BY_REMOTE || r->cls == REPLY_DELIVERED)
		return;
	o->dsn.diag_type = r->stage != STAGE_RUN ? "smtp" :
	    *a->host == '\0' ? "x-unix" : "x-http";
	o->dsn.diag_text = words_of(o->job, r);
	if (*a->host == '\0')
		return;
	o->dsn.mta_type = "dns";
	o->dsn.mta_name = a->port == 0 ? o->job->f->myhostname :
	    arena_strdup(o->job->arena, a->host);
}

/* ---- times ---- */

static struct timeval
earlier(struct timeval t, uint32_t ms)
{
	struct timeval d = { ms / 1000, (suseconds_t)(ms % 1000 * 1000) }, r;

	timersub(&t, &d, &r);
	return r;
}

/*
 * Of the stages that Postfix shows the agent knows how long the last one took,
 * the transaction; what was before it since the hand-off was the way there.
 */
static void
take_times(struct outcome *o, const struct answer *a)
{
	struct pf_times *t = &o->times;

	*t = o->job->req.times;
	gettimeofday(&t->done, NULL);
	if (a->transaction_ms > 0) {
		t->setup = earlier(t->done, a->transaction_ms);
		if (timercmp(&t->setup, &t->handoff, <))
			t->setup = t->handoff;
	} else if (a->reply.cls != REPLY_DELIVERED &&
	    a->reply.stage <= STAGE_AUTH)
		t->setup = t->done;
	else
		t->setup = t->handoff;
}

/* ---- who is to be told ---- */

static void
add_step(struct outcome *o, enum step step)
{
	o->steps[o->nsteps++] = (uint8_t)step;
}

static void
set_status(struct outcome *o, uint8_t cls, const uint8_t dsn[3],
    const char *word, const char *action)
{
	o->cls = cls;
	o->word = word;
	o->dsn.action = action;
	o->dsn.status = arena_printf(o->job->arena, "%u.%u.%u",
	    cls == REPLY_DELIVERED ? 2 : cls == REPLY_TRANSIENT ? 4 : 5,
	    dsn[1], dsn[2]);
}

static void
plan_probe(struct outcome *o, const struct reply *r)
{
	const struct pf_rcpt *rcpt = o->rcpt;
	bool is_good = r->cls == REPLY_DELIVERED;
	const char *word = is_good ? "deliverable" : "undeliverable";

	set_status(o, r->cls, r->dsn, word, word);
	if ((trace_flags(o->job) & PF_FLAG_MTA_VRFY) == 0)
		add_step(o, TELL_TRACE);
	else if (!is_good && !o->job->f->negative_cache)
		o->word = "undeliverable-but-not-cached";
	else {
		if (*rcpt->original != '\0' &&
		    strcmp(rcpt->original, rcpt->address) != 0)
			add_step(o, TELL_VERIFY_ORIGINAL);
		add_step(o, TELL_VERIFY);
	}
}

static void
plan_sent(struct outcome *o, const struct answer *a)
{
	int32_t flags = trace_flags(o->job), notify = o->rcpt->notify;

	if (a->handover == HANDOVER_DSN)
		notify &= ~NOTIFY_SUCCESS;	/* the next hop will */
	set_status(o, REPLY_DELIVERED, a->reply.dsn, "sent",
	    a->handover == HANDOVER_FINAL ? "delivered" : "relayed");
	if ((flags & PF_FLAG_RECORD) != 0 ||
	    ((flags & PF_FLAG_DELAY_SENT) != 0 &&
	    (notify == 0 || (notify & NOTIFY_DELAY) != 0)))
		add_step(o, TELL_TRACE);
	if ((notify & NOTIFY_SUCCESS) != 0)
		add_step(o, TELL_TRACE);
}

static void
plan_failed(struct outcome *o, const struct reply *r)
{
	bool is_soft = r->cls == REPLY_PERMANENT && o->job->f->soft_bounce;

	if (r->cls == REPLY_PERMANENT && !is_soft)
		set_status(o, REPLY_PERMANENT, r->dsn, "bounced", "failed");
	else
		set_status(o, REPLY_TRANSIENT, r->dsn, is_soft ? "SOFTBOUNCE" :
		    "deferred", "delayed");
	add_step(o, o->cls == REPLY_PERMANENT ? TELL_BOUNCE : TELL_DEFER);
	if ((trace_flags(o->job) & PF_FLAG_RECORD) != 0)
		add_step(o, TELL_TRACE);
}

/* ---- the next hop as a whole ---- */

/* Only where it takes nobody's mail: of many connections to a host that is
 * well one may be refused. */
static void
judge_hop(struct outcome *o, const struct answer *a)
{
	struct job *j = o->job;
	int64_t *good = postfix_good(j->f, j->req.nexthop);
	int64_t now = loop_now_ms(j->f->agent->loop);

	if ((j->req.flags & PF_FLAGS_PROBE) != 0)
		return;
	if (a->reply.cls == REPLY_DELIVERED) {
		*good = now;
		return;
	}
	if (o->cls != REPLY_TRANSIENT || !reply_blames_host(&a->reply) ||
	    *o->dsn.reason == '\0' || (*good != 0 && now - *good < GOOD_MS))
		return;
	j->hop = o->dsn;
}

/* ---- the end of a recipient ---- */

static void
log_outcome(const struct outcome *o)
{
	const struct postfix_front *f = o->job->f;
	char line[PF_LINE_MAX + 1];

	pf_format_line(line, sizeof(line), &(struct pf_line){
		.queue_id = o->job->req.queue_id,
		.rcpt = o->rcpt,
		.relay = o->relay,
		.conn_use = o->conn_use,
		.times = &o->times,
		.dsn = o->dsn.status,
		.status = o->word,
		.reason = o->dsn.reason,
		.is_external = f->is_external,
		.resolution = f->resolution,
	});
	log_info("%s", line);
}

/* qmgr deletes the message when all requests for it ended well: -1 keeps it. */
static void
mark(const struct outcome *o)
{
	struct job *j = o->job;
	bool is_sent = o->cls == REPLY_DELIVERED &&
	    (j->req.flags & PF_FLAGS_PROBE) == 0;

	if (is_sent && (j->req.flags & PF_FLAG_SUCCESS) == 0)
		return;
	if (pf_queue_mark(j->queue_fd, o->rcpt->offset) == -1) {
		/* It is delivered, or told; better twice than never. */
		log_error("%s: marking the recipient at offset %lld: %s",
		    j->req.queue_id, (long long)o->rcpt->offset,
		    strerror(errno));
		j->is_unfinished = true;
	}
}

/*
 * The mark comes first: whoever is killed between the two leaves a message
 * that was delivered once and not logged, not one that was logged and comes
 * again.
 */
static void
finish(struct outcome *o, bool is_final)
{
	struct job *j = o->job;

	if (is_final)
		mark(o);
	else
		j->is_unfinished = true;
	log_outcome(o);
	if (--j->nopen == 0)
		job_reply(j);
	job_release(j);
}

/* ---- telling ---- */

static bool
is_probe(const struct outcome *o)
{
	return (o->job->req.flags & PF_FLAGS_PROBE) != 0;
}

/* A service failed, and the recipient must not be lost for it: once more from
 * the queue, even if that makes a duplicate. */
static void
fall_back(struct outcome *o)
{
	static const uint8_t local[3] = { 4, 3, 0 };
	uint8_t was = o->cls;

	set_status(o, REPLY_TRANSIENT, local, "deferred", "delayed");
	o->dsn.reason = arena_printf(o->job->arena, "%.1500s; %s",
	    o->dsn.reason, was == REPLY_DELIVERED ? "trace service failed" :
	    "bounce or trace service failure");
	o->is_fallback = true;
	o->nsteps = o->step = 0;
	add_step(o, TELL_DEFER);
	report_next(o);
}

static void
on_reported(void *arg, bool is_ok)
{
	struct outcome *o = arg;

	if (is_ok) {
		o->step++;
		report_next(o);
	} else if (is_probe(o))
		finish(o, false);
	else if (o->cls != REPLY_TRANSIENT)
		fall_back(o);
	else {
		/* Without a record it is kept all the same. */
		o->step++;
		report_next(o);
	}
}

static void
tell_trace(struct outcome *o)
{
	struct job *j = o->job;
	struct pf_dsn dsn = o->dsn;

	if (strcmp(o->relay, "none") != 0)
		dsn.reason = arena_printf(j->arena, "delivery via %s: %s",
		    o->relay, dsn.reason);
	pf_report_append(j->f->reporter, PF_TRACE, trace_flags(j),
	    j->req.queue_id, o->rcpt, &dsn, on_reported, o);
}

static void
tell_verify(struct outcome *o, const char *address)
{
	enum pf_verdict v = o->cls == REPLY_DELIVERED ? PF_DELIVERABLE :
	    o->cls == REPLY_TRANSIENT ? PF_DEFERRED : PF_UNDELIVERABLE;

	pf_report_verify(o->job->f->reporter, address, v, o->dsn.reason,
	    on_reported, o);
}

static void
report_next(struct outcome *o)
{
	struct job *j = o->job;
	struct pf_reporter *rep = j->f->reporter;

	if (o->step == o->nsteps) {
		finish(o, is_probe(o) || o->cls != REPLY_TRANSIENT);
		return;
	}
	switch ((enum step)o->steps[o->step]) {
	case TELL_BOUNCE:
	case TELL_DEFER:
		pf_report_append(rep, o->steps[o->step] == TELL_BOUNCE ?
		    PF_BOUNCE : PF_DEFER, trace_flags(j), j->req.queue_id,
		    o->rcpt, &o->dsn, on_reported, o);
		break;
	case TELL_TRACE:
		tell_trace(o);
		break;
	case TELL_VERIFY_ORIGINAL:
		tell_verify(o, o->rcpt->original);
		break;
	case TELL_VERIFY:
		tell_verify(o, o->rcpt->address);
		break;
	}
}

void
job_answer(struct job *j, uint32_t i, const struct answer *a)
{
	struct outcome *o = &j->outcomes[i];

	if (o->has_answer)
		return;			/* the front was first: job_sweep() */
	o->has_answer = true;
	o->job = j;
	o->rcpt = &j->req.rcpts[i];
	o->relay = relay_text(j, a);
	o->conn_use = a->conn_use;
	o->dsn = pf_no_dsn;
	o->dsn.reason = reason_text(j, a);
	take_diagnostic(o, a);
	take_times(o, a);
	if (is_probe(o))
		plan_probe(o, &a->reply);
	else if (a->reply.cls == REPLY_DELIVERED)
		plan_sent(o, a);
	else
		plan_failed(o, &a->reply);
	judge_hop(o, a);
	j->nuses++;
	report_next(o);
}

/* ---- the reply ---- */

void
job_reply(struct job *j)
{
	static struct buf b = { .max = REPLY_MAX };
	bool has_hop = j->is_unfinished && *j->hop.status != '\0';

	if (j->state == JOB_OVER)
		return;
	j->state = JOB_OVER;
	pf_final_reply(&b, has_hop ? &j->hop : &pf_no_dsn, !j->is_unfinished);
	/* qmgr may be gone, after a reload: it will see the marks. */
	send(j->fd, buf_data(&b), buf_len(&b), MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_consume(&b, buf_len(&b));
	event_del(&j->ev);
	close(j->fd);
	j->fd = -1;
	if (j->queue_fd != -1)
		close(j->queue_fd);
	j->queue_fd = -1;
	postfix_served(j->f);
}

/* The agent, or qmgr, keeps us waiting for longer than can be. */
void
job_sweep(struct job *j, int64_t now_ms)
{
	struct answer a = { .host = "", .address = "" };
	uint32_t i, n = (uint32_t)j->req.nrcpt;

	if (j->due_ms > now_ms)
		return;
	if (j->state == JOB_READING) {
		job_abandon(j);
		return;
	}
	if (j->state != JOB_DELIVERING)
		return;
	reply_cause(&a.reply, j->arena, STAGE_NONE, CAUSE_HUNG);
	j->nuses++;
	for (i = 0; i < n; i++)
		job_answer(j, i, &a);
	job_release(j);
}
