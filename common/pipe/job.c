/*
 * job.c - one run for recipients of a delivery: what the program is given, and
 * what its end means.
 *
 * Before it starts the asker is told that the outcome is in doubt from now on:
 * an agent that dies with the program running has its recipients answered
 * "may have been delivered".  Runs of one delivery start and end one by one,
 * so the mark for the whole delivery, is_past_end, does not hold here: it is
 * taken back at once, and a cancel is sorted out recipient by recipient.
 */
#include "pipe/job.h"

#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include "agent/telemetry.h"
#include "base/event.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/twins.h"

/* ---- once for a delivery ---- */

static bool
give_up(struct work *w, enum cause cause, const char *detail)
{
	const uint32_t *rest = w->todo + w->at;
	uint32_t n = w->ntodo - w->at;

	w->at = w->ntodo;
	relay_answer_cause(w, rest, n, cause, detail);
	return false;
}

/* What the message says of itself. */
static bool
look(struct work *w)
{
	const struct pipe_command *c = w->relay->command;
	struct envelope *env = &w->d->env;
	struct arena *arena = w->d->arena;
	const char *error, *id;

	w->is_looked = true;
	if (macro_set_message(&w->values, env, c->null_sender, c->macro_how,
	    arena, &error) == -1)
		return give_up(w, CAUSE_BAD_SENDER, error);
	if (content_is_as_is(&env->body, env->flags, c->content_how,
	    &w->is_as_is) == -1)
		return give_up(w, CAUSE_BODY_READ, strerror(errno));
	if (c->uses & 1U << MACRO_SIZE)
		w->values.v[MACRO_SIZE] = arena_printf(arena, "%llu",
		    (unsigned long long)env->body.len);
	if (!(c->uses & 1U << MACRO_MESSAGE_ID) &&
	    !(c->content_how & CONTENT_DELIVERED_TO))
		return true;
	if (header_read(&w->header, &env->body, HEADER_LF, arena) == -1)
		return give_up(w, CAUSE_BODY_READ, strerror(errno));
	if ((id = header_get(&w->header, "Message-Id", arena)) != NULL)
		w->values.v[MACRO_MESSAGE_ID] = id;
	return true;
}

/* ---- what the program is given ---- */

struct builder {
	struct job	*job;
	const struct pipe_command *command;
	struct macro_values *values;	/* for each of its recipients */
	char		**argv;
	size_t		 argc;
};

static void
add_arg(struct builder *b, const struct macro_word *word, uint32_t i)
{
	const char *text = macro_expand(word, &b->values[i], b->job->arena);

	b->argv[b->argc++] = (char *)(uintptr_t)text;
}

/* A word of a recipient's is there once for each of them. */
static size_t
count_of(const struct builder *b, const struct macro_word *word)
{
	return word->uses & MACRO_OF_RCPT ? b->job->nrcpts : 1;
}

static void
build_argv(struct builder *b)
{
	const struct pipe_command *c = b->command;
	const struct envelope *env = &b->job->work->d->env;
	bool has_original = env->rcpts[b->job->rcpts[0]].orcpt != NULL;
	size_t i, n, room = 1;

	for (i = 0; i < c->nwords; i++)
		room += count_of(b, &c->words[i]);
	b->argv = arena_calloc(b->job->arena, room, sizeof(*b->argv));
	for (i = 0; i < c->nwords; i++) {
		if ((int)i == c->original_at && !has_original) {
			i++;
			continue;
		}
		for (n = 0; n < count_of(b, &c->words[i]); n++)
			add_arg(b, &c->words[i], (uint32_t)n);
	}
}

static char **
build_env(const struct builder *b)
{
	const struct pipe_command *c = b->command;
	struct arena *arena = b->job->arena;
	char **env = arena_calloc(arena, c->nenv + 1, sizeof(*env));
	size_t i;

	for (i = 0; i < c->nenv; i++)
		env[i] = arena_printf(arena, "%s=%s", c->env[i].name,
		    macro_expand(&c->env[i].value, &b->values[0], arena));
	return env;
}

/* Addresses in the lines before the message are always quoted as they have
 * to be. */
static const char *
build_prefix(const struct builder *b)
{
	const unsigned any = CONTENT_FROM_LINE | CONTENT_RETURN_PATH |
	    CONTENT_ORIGINAL_TO | CONTENT_DELIVERED_TO;
	const struct pipe_command *c = b->command;
	const struct envelope *env = &b->job->work->d->env;
	struct arena *arena = b->job->arena;
	struct macro_values v;
	const char *error;

	if (!(c->content_how & any))
		return "";
	/* They have been parsed before: neither fails. */
	if (macro_set_message(&v, env, c->null_sender, MACRO_QUOTE, arena,
	    &error) == -1 || macro_set_rcpt(&v, &env->rcpts[b->job->rcpts[0]],
	    "", MACRO_QUOTE, arena, &error) == -1)
		return "";
	return content_prefix(c->content_how, v.v[MACRO_SENDER],
	    v.v[MACRO_RECIPIENT], v.v[MACRO_ORIGINAL_RECIPIENT], time(NULL),
	    arena);
}

static void
trace(struct job *j)
{
	char line[4096], word[512];
	size_t i, at = 0;

	line[0] = '\0';
	for (i = 0; j->spec.process.argv[i] != NULL && at < sizeof(line); i++) {
		str_escape(word, sizeof(word), j->spec.process.argv[i],
		    strlen(j->spec.process.argv[i]));
		at += (size_t)snprintf(line + at, sizeof(line) - at,
		    "%s[%s]", i == 0 ? "" : " ", word);
	}
	transcript_say(&j->trace, &j->work->d->env, "run", "%s", line);
}

static void
build(struct builder *b)
{
	struct job *j = b->job;
	struct run_spec *spec = &j->spec;
	const struct pipe_conf *conf = j->relay->conf;

	build_argv(b);
	spec->process = b->command->process;
	/* Whoever started us may have taken the rights away since; then the
	 * program runs as we do, unless it was to be somebody's. */
	if (conf->user == NULL && conf->group == NULL && geteuid() != 0)
		spec->process.has_identity = false;
	spec->process.path = b->argv[0];
	spec->process.argv = b->argv;
	spec->process.env = build_env(b);
	spec->feed = (struct feed_spec){
		.body = &j->work->d->env.body,
		.prefix = build_prefix(b),
		.how = b->command->content_how,
		.is_as_is = j->work->is_as_is,
	};
	spec->timeout_ms = conf->timeout_ms;
	spec->grace_ms = conf->kill_timeout_ms;
}

/* ---- what became of it ---- */

static const char *
in_doubt(const struct run_outcome *o)
{
	return o->result.has_all ? "; message may have been delivered" : "";
}

static void
make_reply(const struct job *j, const struct run_outcome *o, struct reply *r)
{
	const struct pipe_command *c = j->relay->command;
	struct arena *arena = j->arena;
	unsigned long long len = j->work->d->env.body.len;

	switch (o->end) {
	case RUN_EXITED:
		result_reply(r, &c->rules, &o->result, c->name, arena);
		break;
	case RUN_TIMED_OUT:
		reply_cause(r, arena, STAGE_RUN, CAUSE_PROGRAM_TIMEOUT,
		    in_doubt(o));
		break;
	case RUN_BODY_FAILED:
		if (o->error == 0)
			reply_cause(r, arena, STAGE_RUN, CAUSE_BODY_SHORT,
			    (unsigned long long)o->body_read, len);
		else
			reply_cause(r, arena, STAGE_RUN, CAUSE_BODY_READ,
			    strerror(o->error));
		break;
	case RUN_NOT_STARTED:
		if (o->start.what == NULL)
			reply_cause(r, arena, STAGE_RUN, CAUSE_PROGRAM_FAILED,
			    j->spec.process.path, strerror(o->start.code));
		else
			reply_cause(r, arena, STAGE_RUN, CAUSE_PROGRAM_SETUP,
			    j->spec.process.path, o->start.what,
			    strerror(o->start.code));
		break;
	}
}

static void
log_run(const struct job *j, const struct run_outcome *o)
{
	static const char *const ends[] = {
		[RUN_EXITED] = "exited", [RUN_TIMED_OUT] = "timed out",
		[RUN_BODY_FAILED] = "the message could not be read",
		[RUN_NOT_STARTED] = "not started",
	};
	int status = o->result.wait_status;
	struct event_line e;

	if (!event_begin(&e, EVENT_RUN, j->work->d->env.id))
		return;
	event_int(&e, "session", (int64_t)j->serial);
	event_text(&e, "command", j->relay->command->name);
	event_int(&e, "recipients", j->nrcpts);
	if (o->end == RUN_EXITED && WIFEXITED(status))
		event_int(&e, "exit", WEXITSTATUS(status));
	if (o->end == RUN_EXITED && WIFSIGNALED(status))
		event_int(&e, "signal", WTERMSIG(status));
	event_seconds(&e, "duration", loop_now_ms(j->relay->loop) -
	    j->start_ms);
	event_quoted(&e, "end", ends[o->end]);
	event_end(&e);
}

static void
on_done(void *arg, const struct run_outcome *o)
{
	struct job *j = arg;
	struct pipe_relay *r = j->relay;
	struct answer a = { .host = r->command->name };

	log_run(j, o);
	make_reply(j, o, &a.reply);
	a.wait_ms = (uint32_t)(j->start_ms - j->work->d->start_ms);
	a.transaction_ms = (uint32_t)(loop_now_ms(r->loop) - j->start_ms);
	phase_observe(agent_phases(r->agent), PHASE_WAIT,
	    (int64_t)a.wait_ms * 1000);
	phase_observe(agent_phases(r->agent), PHASE_RUN,
	    loop_now_us(r->loop) - j->start_us);
	if (a.reply.cls != REPLY_DELIVERED)
		r->failures++;
	if (o->end == RUN_TIMED_OUT)
		r->timeouts++;
	relay_answer(j->work, j->rcpts, j->nrcpts, &a);
}

static void
on_free(void *arg)
{
	struct job *j = arg;

	arena_free(j->arena);
}

static void
job_gone(struct job *j)
{
	LIST_REMOVE(j, next);
	j->relay->njobs--;
	loop_later(j->relay->loop, &j->free_later);
	relay_job_gone(j->relay);
}

static void
on_gone(void *arg)
{
	job_gone(arg);
}

static const struct run_ops run_ops = { on_done, on_gone };

void
job_cancel(struct job *j)
{
	loop_forget(j->relay->loop, &j->go);
	relay_answer_cause(j->work, j->rcpts, j->nrcpts, CAUSE_CANCELLED, NULL);
	job_gone(j);
}

/* ---- the start ---- */

/* The doubt is out of our hands: now it may run. */
static void
on_go(void *arg)
{
	struct job *j = arg;
	struct pipe_relay *r = j->relay;
	const struct delivery *d = j->work->d;
	int64_t left;

	j->is_started = true;
	j->start_ms = loop_now_ms(r->loop);
	j->start_us = loop_now_us(r->loop);
	if (d->deadline_ms != 0) {
		left = d->deadline_ms - j->start_ms;
		if (left < j->spec.timeout_ms)
			j->spec.timeout_ms = left > 0 ? left : 0;
	}
	r->runs++;
	j->serial = r->runs;
	transcript_init(&j->trace, r->agent, &r->conf->transcript, j->serial,
	    false);
	transcript_choose(&j->trace, &r->conf->transcript, r->command->name,
	    NULL, &d->env);
	j->spec.trace = &j->trace;
	j->spec.env = &d->env;
	if (transcript_is_on(&j->trace))
		trace(j);
	j->run = run_start(r->loop, &j->spec, &run_ops, j);
}

/* In the order of their numbers, twins and all. */
static void
tell_doubt(struct job *j)
{
	struct work *w = j->work;
	struct delivery *d = w->d;
	uint32_t i, n = 0, who, *set;
	uint8_t *is_ours;

	if (w->twin == NULL)
		delivery_before_end(d, j->rcpts, j->nrcpts, &j->go);
	else {
		set = arena_alloc(j->arena, d->env.nrcpt * sizeof(*set));
		is_ours = arena_calloc(j->arena, d->env.nrcpt, 1);
		for (i = 0; i < j->nrcpts; i++)
			for (who = j->rcpts[i]; who != NO_TWIN;
			    who = w->twin[who])
				is_ours[who] = 1;
		for (i = 0; i < d->env.nrcpt; i++)
			if (is_ours[i])
				set[n++] = i;
		delivery_before_end(d, set, n, &j->go);
	}
	d->is_past_end = false;
}

/* Whether the recipient can have a run; answered if not. */
static bool
take_rcpt(struct job *j, struct macro_values *v, uint32_t who)
{
	struct work *w = j->work;
	const struct pipe_command *c = w->relay->command;
	const char *error;

	*v = w->values;
	if (macro_set_rcpt(v, &w->d->env.rcpts[who], c->delimiter,
	    c->macro_how, j->arena, &error) == -1)
		relay_answer_cause(w, &who, 1, CAUSE_BAD_ADDRESS, error);
	else if ((c->content_how & CONTENT_DELIVERED_TO) &&
	    header_has_delivered_to(&w->header, w->d->env.rcpts[who].addr,
	    j->arena))
		relay_answer_cause(w, &who, 1, CAUSE_PROGRAM_LOOP,
		    v->v[MACRO_RECIPIENT]);
	else if (macro_adds_slash(&c->words[0], v))
		relay_answer_cause(w, &who, 1, CAUSE_PROGRAM_NAME, NULL);
	else
		return true;
	return false;
}

static struct job *
job_new(struct work *w)
{
	struct arena *arena = arena_new(4096);
	struct job *j = arena_calloc(arena, 1, sizeof(*j));

	j->arena = arena;
	j->work = w;
	j->relay = w->relay;
	later_init(&j->go, on_go, j);
	later_init(&j->free_later, on_free, j);
	return j;
}

bool
job_start(struct work *w)
{
	uint32_t i, n = w->relay->conf->per_recipient ? 1 : w->ntodo - w->at;
	struct builder b = { .command = w->relay->command };
	struct job *j;

	if (!w->is_looked && !look(w))
		return false;
	b.job = j = job_new(w);
	j->rcpts = arena_alloc(j->arena, n * sizeof(*j->rcpts));
	b.values = arena_alloc(j->arena, n * sizeof(*b.values));
	for (i = 0; i < n; i++, w->at++)
		if (take_rcpt(j, &b.values[j->nrcpts], w->todo[w->at]))
			j->rcpts[j->nrcpts++] = w->todo[w->at];
	if (j->nrcpts == 0) {
		arena_free(j->arena);
		return false;
	}
	build(&b);
	LIST_INSERT_HEAD(&w->relay->jobs, j, next);
	w->relay->njobs++;
	tell_doubt(j);
	return true;
}
