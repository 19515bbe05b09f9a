/*
 * front_postfix_job.c - a delivery request of qmgr's: read, and given to the
 * agent as envelopes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/front_postfix.h"
#include "base/log.h"
#include "base/str.h"
#include "mail/address.h"

#define READ_BYTES	(64 * 1024)
#define REQUEST_MAX	((size_t)32 * 1024 * 1024)
#define WORK_BYTES	768
#define READING_MS	(300 * 1000)

static char scratch[READ_BYTES];	/* nothing stays in it over a turn */

/* One of the envelopes of a request: recipients beyond ENVELOPE_RCPT_MAX make
 * further ones. */
struct part {
	struct job	*job;
	uint32_t	*index;		/* of its recipients in the request */
};

/* ---- a connection ---- */

static void	on_readable(evutil_socket_t, short, void *);

static void
close_connection(struct job *j)
{
	if (j->fd == -1)
		return;
	event_del(&j->ev);
	close(j->fd);
	j->fd = -1;
}

void
job_release(struct job *j)
{
	struct postfix_front *f = j->f;

	if (--j->nuses > 0)
		return;
	close_connection(j);
	if (j->step.loop != NULL)
		timer_clear(&j->step);
	TAILQ_REMOVE(&f->jobs, j, next);
	f->njobs--;
	job_free_copy(j);
	if (j->queue_fd != -1)
		close(j->queue_fd);
	if (j->body_fd != -1)
		close(j->body_fd);
	buf_clear(&j->in);
	arena_free(j->arena);
	free(j);
	postfix_job_over(f);
}

/* Nothing was asked for, or nothing can be answered any more. */
void
job_abandon(struct job *j)
{
	j->state = JOB_OVER;
	job_release(j);
}

static const char *
announcement(const struct postfix_front *f, size_t *len_r)
{
	static struct buf b = { .max = 256 };

	if (buf_is_empty(&b))
		pf_announce(&b, f->is_old);
	*len_r = buf_len(&b);
	return buf_data(&b);
}

void
job_new(struct postfix_front *f, int fd)
{
	struct job *j;
	const char *hello;
	size_t n;

	hello = announcement(f, &n);
	if (send(fd, hello, n, MSG_NOSIGNAL) != (ssize_t)n) {
		close(fd);		/* qmgr did not wait */
		return;
	}
	j = xcalloc(1, sizeof(*j));
	j->f = f;
	j->fd = fd;
	j->queue_fd = j->body_fd = -1;
	j->nuses = 1;
	j->hop = pf_no_dsn;
	j->due_ms = loop_now_ms(f->agent->loop) + READING_MS;
	buf_init(&j->in, REQUEST_MAX);
	event_assign(&j->ev, loop_base(f->agent->loop), fd, EV_READ,
	    on_readable, j);
	event_add(&j->ev, NULL);
	TAILQ_INSERT_TAIL(&f->jobs, j, next);
	f->njobs++;
}

/* ---- what cannot be delivered ---- */

void
job_refuse(struct job *j)
{
	j->is_unfinished = true;
	job_reply(j);
	job_release(j);
}

static void
cannot_open(struct job *j, const char *path)
{
	if (errno == ENOENT)
		log_info("%s: the message is gone", j->req.queue_id);
	else
		log_warning("%s: %s: %s", j->req.queue_id, path, errno ==
		    EPERM ? "no finished message" : strerror(errno));
	job_refuse(j);
}

void
job_fail(struct job *j, enum cause cause, const char *detail)
{
	struct answer a = { .host = "", .address = "" };
	uint32_t i;

	reply_cause(&a.reply, j->arena, STAGE_NONE, cause, detail);
	for (i = 0; i < (uint32_t)j->req.nrcpt; i++)
		job_answer(j, i, &a);
	job_release(j);
}

/* ---- envelopes ---- */

static const char *
or_null(const char *s)
{
	return *s == '\0' || !str_is_utf8(s, strlen(s)) ||
	    str_has_control(s) ? NULL : s;
}

/* "type;address" with the address as xtext (RFC 3461 §4.2). */
static const char *
orcpt_of(const char *s, struct arena *arena)
{
	const char *semicolon = strchr(s, ';');

	if (semicolon == NULL || or_null(s) == NULL)
		return NULL;
	return arena_printf(arena, "%.*s;%s", (int)(semicolon - s), s,
	    xtext_encode(semicolon + 1, arena));
}

static bool
is_text(const char *s)
{
	return strlen(s) <= ADDRESS_MAX && !str_has_control(s) &&
	    str_is_utf8(s, strlen(s));
}

/*
 * The next hop of transport(5).  Where none is named there qmgr says the
 * domain of the recipients, which means the agent's own, if it has one.
 */
static const char *
nexthop_of(const struct job *j)
{
	const char *at = strrchr(j->req.rcpts[0].address, '@');

	if (*j->req.nexthop == '\0' || !is_text(j->req.nexthop))
		return NULL;
	if (!j->f->wants_nexthop && at != NULL &&
	    strcasecmp(at + 1, j->req.nexthop) == 0)
		return NULL;
	return j->req.nexthop;
}

static void
fill_envelope(const struct job *j, struct envelope *e, struct arena *arena)
{
	const struct pf_request *r = &j->req;
	int64_t left = (j->due_ms - j->f->hard_ms) + j->f->conf->deadline_ms -
	    loop_now_ms(j->f->agent->loop);

	e->id = r->queue_id;
	e->relay = j->f->args.name;
	e->sender = r->sender;
	e->nexthop = nexthop_of(j);
	e->envid = or_null(r->envid) == NULL ? NULL :
	    xtext_encode(r->envid, arena);
	e->ret = r->ret == RET_FULL || r->ret == RET_HDRS ? (uint8_t)r->ret :
	    RET_NONE;
	if ((r->sendopts & PF_OPT_SMTPUTF8) != 0)
		e->flags |= ENV_SMTPUTF8;
	if ((r->sendopts & PF_OPT_REQUIRETLS) != 0)
		e->flags |= ENV_REQUIRETLS;
	if ((r->flags & PF_FLAGS_PROBE) != 0)
		e->flags |= ENV_PROBE;
	e->client_ip = or_null(r->client_address);
	e->client_host = or_null(r->client_name);
	e->client_helo = or_null(r->client_helo);
	e->client_proto = or_null(r->client_proto);
	e->client_auth = or_null(r->sasl_username);
	e->arrival_ms = (int64_t)r->times.arrival.tv_sec * 1000 +
	    r->times.arrival.tv_usec / 1000;
	e->deadline_s = left < 1000 ? 1 : (uint32_t)(left / 1000);
}

/* The body: a copy, or a descriptor of its own. */
static int
fill_body(const struct job *j, struct envelope *e, const char *mem)
{
	const struct body_facts *facts = &j->scan.facts;

	e->body.len = j->body_len;
	if (mem != NULL) {
		e->body.mem = mem;
		return 0;
	}
	if (j->copy != NULL)
		e->body.mem = j->copy->bytes;
	else if ((e->body.fd = fcntl(j->body_fd, F_DUPFD_CLOEXEC, 3)) == -1)
		return -1;
	e->body_type = facts->has_8bit ? BODY_8BITMIME : BODY_7BIT;
	if (facts->is_clean)
		e->flags |= ENV_WIRE_FORM;
	return 0;
}

/* ---- from the agent ---- */

static void
front_stage(struct delivery *d, enum stage stage, const uint32_t *rcpts,
    uint32_t n)
{
	(void)d;
	(void)stage;
	(void)rcpts;
	(void)n;
}

/* The doubt is in the queue file: a recipient that is not marked. */
static void
front_after_said(struct delivery *d, struct later *go)
{
	struct part *p = d->front_data;

	loop_later(p->job->f->agent->loop, go);
}

static void
front_answer(struct delivery *d, uint32_t i, const struct answer *a)
{
	struct part *p = d->front_data;

	job_answer(p->job, p->index[i], a);
}

static void
front_done(struct delivery *d)
{
	job_release(((struct part *)d->front_data)->job);
}

static const struct front_ops postfix_front_ops = {
	.stage = front_stage,
	.after_said = front_after_said,
	.answer = front_answer,
	.done = front_done,
	.logs_itself = true,
};

/* ---- to the agent ---- */

/* Recipients first..: those that can be said at all; the others are answered
 * here. Returns where the next part begins. */
static uint32_t
fill_rcpts(struct job *j, uint32_t first, struct envelope *e, struct part *p,
    struct arena *arena)
{
	struct answer a = { .host = "", .address = "" };
	const struct pf_rcpt *r;
	uint32_t i;

	for (i = first; i < (uint32_t)j->req.nrcpt &&
	    e->nrcpt < ENVELOPE_RCPT_MAX; i++) {
		r = &j->req.rcpts[i];
		if (!is_text(r->address) || *r->address == '\0') {
			reply_cause(&a.reply, j->arena, STAGE_NONE,
			    CAUSE_BAD_ADDRESS, "it cannot be sent");
			job_answer(j, i, &a);
			continue;
		}
		p->index[e->nrcpt] = i;
		e->rcpts[e->nrcpt++] = (struct rcpt){
			.addr = r->address,
			.orcpt = orcpt_of(r->orcpt, arena),
			.notify = (uint8_t)(r->notify & 0x0f),
		};
	}
	return i;
}

/* The next part; returns where the one after it begins. */
static uint32_t
deliver_part(struct job *j, uint32_t first, const char *bytes)
{
	uint32_t n = (uint32_t)j->req.nrcpt - first, next;
	struct answer a = { .host = "", .address = "" };
	struct delivery *d;
	struct part *p;
	char *mem = NULL;

	if (n > ENVELOPE_RCPT_MAX)
		n = ENVELOPE_RCPT_MAX;
	d = delivery_new(j->f->agent, WORK_BYTES + sizeof(*p) +
	    n * (sizeof(struct rcpt) + 64) +
	    (bytes == NULL ? 0 : (size_t)j->body_len), &postfix_front_ops, NULL);
	p = arena_alloc(d->arena, sizeof(*p));
	p->job = j;
	p->index = arena_alloc(d->arena, n * sizeof(*p->index));
	d->front_data = p;
	d->env.rcpts = arena_alloc(d->arena, n * sizeof(struct rcpt));
	next = fill_rcpts(j, first, &d->env, p, d->arena);
	fill_envelope(j, &d->env, d->arena);
	if (bytes != NULL) {
		mem = arena_alloc(d->arena, (size_t)j->body_len + 1);
		memcpy(mem, bytes, (size_t)j->body_len);
	}
	if (d->env.nrcpt == 0) {
		delivery_discard(d);
		return next;
	}
	if (fill_body(j, &d->env, mem) == -1) {
		reply_cause(&a.reply, j->arena, STAGE_NONE, CAUSE_LOCAL_ERROR,
		    strerror(errno));
		for (n = 0; n < d->env.nrcpt; n++)
			job_answer(j, p->index[n], &a);
		delivery_discard(d);
		return next;
	}
	j->nuses++;
	agent_deliver(j->f->agent, d);
	return next;
}

void
job_deliver(struct job *j, const char *bytes)
{
	uint32_t next = 0;

	j->state = JOB_DELIVERING;
	if (!is_text(j->req.sender)) {
		job_fail(j, CAUSE_BAD_SENDER, "it cannot be sent");
		return;
	}
	while (next < (uint32_t)j->req.nrcpt)
		next = deliver_part(j, next, bytes);
	if (j->body_fd != -1) {
		close(j->body_fd);	/* each part has its own */
		j->body_fd = -1;
	}
	job_release(j);
}

/* An agent that knows no probes: what it would be given it would take. */
static void
answer_probe(struct job *j)
{
	struct answer a = { .host = "", .address = "", .reply = {
		.code = 250, .cls = REPLY_DELIVERED, .by = BY_AGENT,
		.dsn = { 2, 0, 0 },
	} };
	uint32_t i;

	j->state = JOB_DELIVERING;
	a.reply.text = arena_printf(j->arena, "%s takes mail for any address",
	    j->f->args.name);
	for (i = 0; i < (uint32_t)j->req.nrcpt; i++)
		job_answer(j, i, &a);
	job_release(j);
}

/* ---- the request has come ---- */

static void
begin(struct job *j)
{
	struct postfix_front *f = j->f;
	char path[PF_PATH_MAX];

	j->due_ms = loop_now_ms(f->agent->loop) + f->hard_ms;
	j->nopen = (uint32_t)j->req.nrcpt;
	j->outcomes = arena_calloc(j->arena, j->nopen, sizeof(*j->outcomes));
	if (j->req.times.handoff.tv_sec == 0)
		gettimeofday(&j->req.times.handoff, NULL);
	pf_queue_path(path, j->req.queue_name, j->req.queue_id, f->hashed,
	    f->hash_depth);
	j->queue_fd = pf_queue_open(path);
	if (j->queue_fd == -1)
		cannot_open(j, path);
	else if ((j->req.flags & PF_FLAGS_PROBE) != 0 &&
	    !f->agent->ops->can_probe)
		answer_probe(j);
	else
		job_read_message(j);
}

static void
refuse_request(struct job *j, const char *error, const char *at)
{
	log_error("a delivery request that nexthop does not understand: %s%s%s; "
	    "the message stays in the queue", at, *at == '\0' ? "" : ": ",
	    error);
	job_refuse(j);
}

/* What has come is whole, or is kept until more has. */
static void
got_bytes(struct job *j, const char *p, size_t n)
{
	const char *error = "", *at = "";
	enum pf_scan r;
	size_t took;

	if (j->arena == NULL)
		j->arena = arena_new(2 * n + 1024);
	r = pf_request_read(&j->req, p, n, j->arena, &took, &error, &at);
	if (r == PF_DONE && took == n)
		begin(j);
	else if (r == PF_DONE)
		refuse_request(j, "bytes behind its end", "");
	else if (r == PF_BAD)
		refuse_request(j, error, at);
	else if (!buf_is_empty(&j->in)) {
		buf_consume(&j->in, took);
		event_add(&j->ev, NULL);
	} else if (buf_add(&j->in, p + took, n - took) == 0)
		event_add(&j->ev, NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct job *j = arg;
	ssize_t n = recv(fd, scratch, sizeof(scratch), 0);

	(void)what;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		event_add(&j->ev, NULL);
	else if (n <= 0)
		job_abandon(j);		/* qmgr has changed its mind */
	else if (buf_is_empty(&j->in))
		got_bytes(j, scratch, (size_t)n);
	else if (buf_add(&j->in, scratch, (size_t)n) == -1)
		refuse_request(j, "is too long", "");
	else
		got_bytes(j, buf_data(&j->in), buf_len(&j->in));
}
