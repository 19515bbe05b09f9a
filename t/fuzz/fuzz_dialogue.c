/*
 * fuzz_dialogue.c - a scripted server against the whole client: relay, pool,
 * sessions, transactions, AUTH; two messages at most.  Sockets, TLS and time
 * are played here, so that hours of waiting take no time.
 *
 * The first bytes choose what is delivered and how (enum choice); the rest is
 * what the server does: bytes that it sends, and steps (enum step), each a
 * control byte and some with an argument behind it.  When the script is at its
 * end servers hang up or are silent, and refuse new connections.
 *
 * What must hold whatever the server does: each recipient is answered once, and
 * "delivered" if and only if dialogue_model.h says that a server has taken the
 * message for him, which no two servers have; all comes to an end.
 *
 * With FUZZ_TRACE in the environment the dialogue is shown, to read a
 * reproducer.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/front.h"
#include "base/base64.h"
#include "base/mem.h"
#include "dialogue_model.h"
#include "route/fixed.h"
#include "smtp/relay.h"
#include "virtual_conn.h"
#include "virtual_loop.h"

#define USER		"user"
#define PASSWORD	"pencil-0123456789"
#define STEPS_MAX	20000		/* more is a loop without end */
#define ARENA_MAX	(2 * 1024 * 1024)
#define SECRETS		3

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum choice { HOW, OFFER, WHO, WHAT, ENVELOPE, CHOICES };
enum {				/* HOW */
	HOW_LMTP = 0x01, HOW_NO_CHUNKING = 0x02, HOW_AUTH = 0x04,
	HOW_TLS = 0x38, HOW_BY_LINE = 0x40, HOW_SILENT = 0x80
};
enum {				/* OFFER; the server says EHLO's answer itself */
	OFFER_NOTHING = 0x80
};
enum {				/* WHO */
	WHO_COUNT = 0x07, WHO_TWINS = 0x08, WHO_TWO_MAILS = 0x10,
	WHO_TWO_CONNECTIONS = 0x20, WHO_TWO_HOSTS = 0x40, WHO_NO_REUSE = 0x80
};
enum {				/* WHAT */
	WHAT_BODY = 0x03, WHAT_EIGHTBIT = 0x0c, WHAT_NO_NUL = 0x10,
	WHAT_RCPT_MAX = 0x60, WHAT_ANSWERS_LATE = 0x80
};
enum {				/* ENVELOPE */
	ENVELOPE_BODY = 0x03, ENVELOPE_UTF8 = 0x04, ENVELOPE_REQUIRETLS = 0x08,
	ENVELOPE_DSN = 0x10, ENVELOPE_DEADLINE = 0x20,
	ENVELOPE_UNVERIFIED = 0x40, ENVELOPE_FILE = 0x80
};
enum step {
	STEP_WAIT = 0x01,	/* until the client waits too */
	STEP_CLOSE = 0x02, STEP_RESET = 0x03,
	STEP_TIME = 0x04,	/* so many half seconds pass */
	STEP_ROOM = 0x05,	/* 16 times so many bytes are taken; 255: all */
	STEP_TLS_FAILS = 0x06, STEP_TLS_STALLS = 0x07,	/* the next time */
	STEP_OTHER = 0x0b,	/* the next connection */
	STEP_REFUSE = 0x0c,	/* the next connection */
	STEP_CANCEL = 0x0e,	/* of the message with this number */
	STEP_DRAIN = 0x0f
};

struct mail {			/* a delivery */
	struct delivery	*d;
	uint32_t	 nrcpt;
	bool		 is_done;
	int		 answer[2 * MODEL_RCPTS];	/* enum reply_class */
};

static struct run {
	uint8_t		 choice[CHOICES];
	const uint8_t	*p, *end;
	bool		 is_confused;	/* a server answered commands that were
					 * kept: nobody can tell which */
	struct agent	 agent;
	struct smtp_relay *relay;
	struct mail	 mails[MODEL_MAILS];
	struct model_mail model[MODEL_MAILS];
	struct later_list held;		/* answers that come late */
	unsigned	 nsteps;
} run;

static const char *const rcpts[MODEL_RCPTS] = { "r0@x.test", "r1@x.test",
    "r2@y.test", "r\xc3\xa9@x.test", "r4@x.test", "r5@x.test", "r6@x.test",
    "r7@x.test" };
static char *secrets[SECRETS];	/* in the forms that go over a line */
static char *large;			/* in the form that goes over a line */
static struct { int fd; size_t len; } files[4];	/* of bodies */

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static bool
chosen(enum choice c, unsigned bits)
{
	return (run.choice[c] & bits) != 0;
}

static bool
shows_secret(const void *p, size_t n)
{
	for (size_t i = 0; i < SECRETS; i++)
		if (memmem(p, n, secrets[i], strlen(secrets[i])) != NULL)
			return true;
	return false;
}

/* ---- servers ---- */

static void *
server_new(void)
{
	struct model *m = model_new();

	m->is_lmtp = chosen(HOW, HOW_LMTP);
	m->must_hide = (run.choice[HOW] & HOW_TLS) >= 0x18;
	m->mails = run.model;
	m->rcpts = rcpts;
	return m;
}

static void
server_free(void *server)
{
	model_free(server);
}

/* Bytes reach the server; no secret does in clear. */
static void
server_said(void *server, const char *p, size_t n)
{
	struct model *m = server;

	check(m->is_tls || !shows_secret(p, n));
	if (!m->is_dead)
		model_said(m, p, n);
}

static void
server_secured(void *server)
{
	model_secured(server);
}

static const struct virtual_server servers = {
	.new = server_new,
	.free = server_free,
	.said = server_said,
	.secured = server_secured,
};

static void
give_bytes(struct conn *c, const char *p, size_t n)
{
	struct model *m = c->server;

	if (!c->is_open || c->is_shaking || c->will_close)
		return;
	model_heard(m, p, n);
	run.is_confused |= m->is_dead && conn_pending(c) > 0 && !m->in_body &&
	    !m->in_bdat;
	c->ops->data(c->arg, p, n);
}

/* The server's own answer to EHLO. */
static void
say_hello(struct conn *c)
{
	static const char *const words[] = { "PIPELINING", "8BITMIME",
	    "CHUNKING", "SIZE 100000", "STARTTLS", "AUTH PLAIN LOGIN CRAM-MD5",
	    "SMTPUTF8\r\n250-BINARYMIME\r\n250-DSN\r\n250-REQUIRETLS" };
	struct model *m = c->server;
	char text[256] = "250-x\r\n";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (chosen(OFFER, 1U << i) && !(i == 4 && m->is_tls)) {
			strlcat(text, "250-", sizeof(text));
			strlcat(text, words[i], sizeof(text));
			strlcat(text, "\r\n", sizeof(text));
		}
	strlcat(text, "250 HELP\r\n", sizeof(text));
	m->wants_hello = false;
	give_bytes(c, text, strlen(text));
}

static bool
happens(struct conn *c)
{
	struct model *m = c->server;
	bool will_open = c->will_open;

	if (virtual_happens(c)) {
		if (will_open && !c->is_over && !chosen(OFFER, OFFER_NOTHING))
			give_bytes(c, "220 x\r\n", 7);
	} else if (m->wants_hello && !chosen(OFFER, OFFER_NOTHING))
		say_hello(c);
	else
		return false;
	return true;
}

/* Until nothing happens by itself. */
static void
settle(void)
{
	size_t i;

	for (;;) {
		check(run.nsteps++ < STEPS_MAX);
		virtual_run_later();
		for (i = 0; i < virtual_net.nconns && !happens(virtual_net.conns[i]); i++)
			;
		if (i == virtual_net.nconns && TAILQ_EMPTY(&virtual_loop.later))
			return;
	}
}

/* ---- who asks: agent/front.h ---- */

static struct mail *
mail_of(const struct delivery *d)
{
	return d->front_data;
}

static int
rcpt_of(const struct delivery *d, uint32_t i)
{
	for (int k = 0; k < MODEL_RCPTS; k++)
		if (strcmp(d->env.rcpts[i].addr, rcpts[k]) == 0)
			return k;
	abort();
}

static void
on_stage(struct delivery *d, enum stage stage, const uint32_t *set, uint32_t n)
{
	struct model_mail *m = &run.model[mail_of(d) - run.mails];

	if (stage != STAGE_DOT)
		return;
	for (uint32_t i = 0; i < (set == NULL ? d->env.nrcpt : n); i++) {
		check(set == NULL || !delivery_is_answered(d, set[i]));
		m->is_doubtful[rcpt_of(d, set == NULL ? i : set[i])] = true;
	}
}

static void
on_after_said(struct delivery *d, struct later *go)
{
	(void)d;
	if (chosen(WHAT, WHAT_ANSWERS_LATE))
		later_hold(&run.held, go);
	else
		loop_later(&virtual_loop, go);
}

static void
release_held(void)
{
	struct later *go;

	while ((go = TAILQ_FIRST(&run.held)) != NULL) {
		loop_forget(&virtual_loop, go);
		loop_later(&virtual_loop, go);
	}
}

static void
on_answer(struct delivery *d, uint32_t i, const struct answer *a)
{
	struct mail *mail = mail_of(d);

	check(i < mail->nrcpt && mail->answer[i] == 0 && !mail->is_done);
	check(a->reply.cls >= REPLY_DELIVERED &&
	    a->reply.cls <= REPLY_PERMANENT && a->reply.text != NULL);
	mail->answer[i] = a->reply.cls;
	if (run.agent.want_trace)
		fprintf(stderr, "-- s%d to %s: %u %s\n", (int)(mail - run.mails),
		    d->env.rcpts[i].addr, a->reply.code, a->reply.text);
}

static void
on_done(struct delivery *d)
{
	struct mail *mail = mail_of(d);
	const struct model_mail *m = &run.model[mail - run.mails];
	unsigned n;

	check(!mail->is_done && arena_size(d->arena) < ARENA_MAX);
	mail->is_done = true;
	for (uint32_t i = 0; i < mail->nrcpt; i++) {
		n = m->ntaken[rcpt_of(d, i)];
		check(n <= 1 && mail->answer[i] != 0);
		check(run.is_confused ||
		    (mail->answer[i] == REPLY_DELIVERED) == (n == 1));
	}
	mail->d = NULL;
}

static const struct front_ops front = {
	.stage = on_stage,
	.after_said = on_after_said,
	.answer = on_answer,
	.done = on_done,
};

static void
on_idle(struct agent *a)
{
	check(a->is_draining && a->nopen == 0);
}

/* ---- what is delivered ---- */

#define TEXT(s)	(s), sizeof(s) - 1

static const struct {
	const char	*text;
	size_t		 len;
	const char	*wire;		/* NULL: whatever a conversion makes */
} bodies[] = {
	{ TEXT("From: a\nSubject: b\n\n.\n..x\r\n\rend\n.\r\n."),
	  "From: a\r\nSubject: b\r\n\r\n.\r\n..x\r\n\r\nend\r\n.\r\n.\r\n" },
	{ TEXT("From: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
	  "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	  "gr\xc3\xbcn\r\n.\r\n"), NULL },
	{ NULL, 0, NULL },		/* large */
	{ TEXT("Subject: \xc3\xbc\n\nMAIL FROM:<evil@x.test>\r.\n\r.\0\r\rQUIT"),
	  NULL }
};

/* A descriptor, or with one of the small ones memory. */
static void
set_body(struct envelope *env, struct model_mail *m)
{
	unsigned kind = run.choice[WHAT] & WHAT_BODY;
	bool is_file = chosen(ENVELOPE, ENVELOPE_FILE) || bodies[kind].len == 0;

	env->body = (struct body){ .fd = -1, .mem = bodies[kind].text,
	    .len = files[kind].len };
	if (is_file) {
		env->body.mem = NULL;
		env->body.fd = fcntl(files[kind].fd, F_DUPFD_CLOEXEC, 0);
		if (bodies[kind].len == 0 &&
		    chosen(ENVELOPE, ENVELOPE_FILE))
			env->flags |= ENV_WIRE_FORM;
	}
	env->body_type = run.choice[ENVELOPE] & ENVELOPE_BODY;
	m->wire = bodies[kind].len == 0 ? large : bodies[kind].wire;
	m->wire_len = bodies[kind].len == 0 ? files[kind].len :
	    m->wire == NULL ? 0 : strlen(m->wire);
	if (is_file && (run.choice[WHAT] & WHAT_EIGHTBIT) == WHAT_EIGHTBIT) {
		env->body.len += 100;	/* it ends before: none of it is sent */
		m->wire = "";
		m->wire_len = 0;
	} else if (env->body_type == BODY_BINARYMIME)
		m->wire = NULL;
}

static void
submit(struct mail *mail)
{
	struct delivery *d = delivery_new(&run.agent, 1024, &front, mail);
	struct envelope *env = &d->env;
	unsigned n = 1 + (run.choice[WHO] & WHO_COUNT);
	bool is_first = mail == run.mails;

	env->id = env->relay = "";
	env->sender = is_first ? "s0@x.test" : "s1@x.test";
	env->nrcpt = mail->nrcpt = chosen(WHO, WHO_TWINS) ? n + n / 2 : n;
	env->rcpts = arena_calloc(d->arena, env->nrcpt, sizeof(*env->rcpts));
	for (uint32_t i = 0; i < env->nrcpt; i++) {
		env->rcpts[i].addr = rcpts[i % n];
		if (chosen(ENVELOPE, ENVELOPE_DSN)) {
			env->rcpts[i].notify = NOTIFY_FAILURE | NOTIFY_DELAY;
			env->rcpts[i].orcpt = "rfc822;x+20y@x.test";
		}
	}
	if (chosen(ENVELOPE, ENVELOPE_DSN)) {
		env->envid = "QQ+3D1";
		env->ret = RET_HDRS;
	}
	if (chosen(ENVELOPE, ENVELOPE_UTF8))
		env->flags |= ENV_SMTPUTF8;
	if (chosen(ENVELOPE, ENVELOPE_REQUIRETLS) && is_first)
		env->flags |= ENV_REQUIRETLS;
	if (chosen(ENVELOPE, ENVELOPE_DEADLINE))
		env->deadline_s = 40;
	set_body(env, &run.model[mail - run.mails]);
	d->id = (uint64_t)(mail - run.mails) + 1;
	mail->d = d;
	agent_deliver(&run.agent, d);
}

static void
start_relay(void)
{
	static const int modes[] = { TLS_MODE_NONE, TLS_MODE_NONE,
	    TLS_MODE_MAY, TLS_MODE_REQUIRE, TLS_MODE_VERIFY,
	    TLS_MODE_WRAPPER, TLS_MODE_REQUIRE, TLS_MODE_REQUIRE };
	static const int64_t rcpt_max[] = { 1000, 1, 2, 3 };
	static char one[] = "127.0.0.1:25", two[] = "127.0.0.2:25";
	static char cram[] = "CRAM-MD5", plain[] = "PLAIN", login[] = "LOGIN";
	static char ehlo[] = "client.test", user[] = USER, word[] = PASSWORD;
	static char *hosts[] = { one, two }, *mechanisms[] = { cram, plain,
	    login };
	static struct smtp_conf conf;
	static struct tls_conf tls;
	static struct auth_conf auth;
	static struct opt_list list = { .v = hosts };
	char error[512];

	list.n = chosen(WHO, WHO_TWO_HOSTS) ? 2 : 1;
	conf = (struct smtp_conf){
		.connect_timeout_ms = 30000,
		.command_timeout_ms = 30000,
		.data_timeout_ms = 60000,
		.idle_timeout_ms = chosen(WHO, WHO_NO_REUSE) ? 0 : 10000,
		.queue_timeout_ms = 300000,
		.dns_timeout_ms = 30000,
		.concurrent_connections =
		    chosen(WHO, WHO_TWO_CONNECTIONS) ? 2 : 1,
		.max_connection_time_ms = 300000,
		.attempt_timeout_ms = 300000,
		.address_limit = 20,
		.session_limit = 5,
		.max_recipients = rcpt_max[(run.choice[WHAT] &
		    WHAT_RCPT_MAX) >> 5],
		.window = 100,
		.ehlo_as = ehlo,
		.chunking = !chosen(HOW, HOW_NO_CHUNKING),
		.eightbit = (run.choice[WHAT] & WHAT_EIGHTBIT) >> 2 > 2 ? 2 :
		    (run.choice[WHAT] & WHAT_EIGHTBIT) >> 2,
		.nul_bytes = chosen(WHAT, WHAT_NO_NUL) ? NUL_REFUSE : NUL_SEND,
	};
	tls = (struct tls_conf){
		.mode = modes[(run.choice[HOW] & HOW_TLS) >> 3],
		.session_cache = TLS_SESSION_CACHE,
	};
	auth = (struct auth_conf){ .mechanisms = { mechanisms, 3 } };
	if (chosen(HOW, HOW_AUTH)) {
		auth.username = user;
		auth.password = word;
	}
	run.relay = smtp_relay_new(&run.agent, &(struct smtp_relay_conf){
		.smtp = &conf,
		.tls = &tls,
		.auth = &auth,
		.is_lmtp = chosen(HOW, HOW_LMTP),
		.router = fixed_router(run.agent.loop, &list, 25, 1000, error,
		    sizeof(error)),
	}, error, sizeof(error));
	check(run.relay != NULL);
	run.agent.state = run.relay;
}

/* ---- the script ---- */

static void
pass_time(int64_t until_ms)
{
	do {
		settle();
		release_held();
		settle();
	} while (virtual_fire(until_ms));
}

static unsigned
argument(void)
{
	return run.p < run.end ? *run.p++ : 0;
}

static void
cut(struct conn *c, int error)
{
	if (c->is_open && !c->will_close && !c->will_secure) {
		c->error = error;
		c->will_close = true;
	}
}

static void
do_step(enum step step, struct conn *c)
{
	unsigned n;

	switch (step) {
	case STEP_CLOSE:
		cut(c, 0);
		break;
	case STEP_RESET:
		cut(c, ECONNRESET);
		break;
	case STEP_TIME:
		pass_time(virtual_loop.now_ms + argument() * 500);
		break;
	case STEP_ROOM:
		n = argument();
		c->room = n == 255 ? SIZE_MAX : n * 16;
		break;
	case STEP_TLS_FAILS:
		virtual_net.tls_fails = true;
		break;
	case STEP_TLS_STALLS:
		virtual_net.tls_stalls = true;
		break;
	case STEP_OTHER:
		virtual_net.at++;
		break;
	case STEP_REFUSE:
		virtual_net.refuses = true;
		break;
	case STEP_CANCEL:
		n = argument() % MODEL_MAILS;
		if (run.mails[n].d != NULL)
			agent_cancel(&run.agent, run.mails[n].d);
		break;
	case STEP_DRAIN:
		agent_drain(&run.agent);
		break;
	default:
		release_held();
		break;
	}
}

static bool
is_step(uint8_t b)
{
	return b < 0x10 && b != '\0' && b != '\t' && b != '\n' && b != '\r' &&
	    b != 0x08;
}

/* Bytes to send, up to a step or, so chosen, the end of a line. */
static size_t
bytes_here(void)
{
	const uint8_t *p = run.p;

	while (p < run.end && !is_step(*p))
		if (*p++ == '\n' && chosen(HOW, HOW_BY_LINE))
			break;
	return (size_t)(p - run.p);
}

static void
play(void)
{
	struct conn *c;
	size_t n;

	while (run.p < run.end && virtual_net.nconns > 0) {
		c = virtual_net.conns[virtual_net.at % virtual_net.nconns];
		if ((n = bytes_here()) > 0) {
			run.p += n;
			give_bytes(c, (const char *)run.p - n, n);
		} else
			do_step(*run.p++, c);
		settle();
	}
	virtual_net.is_ended = true;
	for (size_t i = 0; i < virtual_net.nconns && !chosen(HOW, HOW_SILENT); i++)
		cut(virtual_net.conns[i], 0);
}

/* ---- all of it ---- */

static void
make_fixtures(void)
{
	static const char plain[] = "\0" USER "\0" PASSWORD;
	const char *text;
	size_t at = 0;

	secrets[0] = xstrdup(PASSWORD);
	secrets[1] = xcalloc(1, BASE64_LEN(sizeof(plain)) + 1);
	base64_encode(secrets[1], plain, sizeof(plain) - 1);
	secrets[2] = xcalloc(1, BASE64_LEN(sizeof(PASSWORD)) + 1);
	base64_encode(secrets[2], PASSWORD, sizeof(PASSWORD) - 1);
	large = xmalloc(80 * 1024);
	at += (size_t)sprintf(large, "From: a\r\n\r\n");
	while (at < 70 * 1024)
		at += (size_t)sprintf(large + at, ".%zu\r\n", at);
	for (size_t i = 0; i < 4; i++) {
		text = bodies[i].len == 0 ? large : bodies[i].text;
		files[i].len = bodies[i].len == 0 ? at : bodies[i].len;
		files[i].fd = memfd_create("body",
		    MFD_CLOEXEC | MFD_ALLOW_SEALING);
		check(write(files[i].fd, text, files[i].len) ==
		    (ssize_t)files[i].len &&
		    fcntl(files[i].fd, F_ADD_SEALS,
		    F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
	}
}

static void
finish(void)
{
	pass_time(INT64_MAX);
	for (size_t i = 0; i < MODEL_MAILS; i++)
		check(run.mails[i].nrcpt == 0 || run.mails[i].is_done);
	check(run.agent.nopen == 0);
	agent_drain(&run.agent);
	pass_time(INT64_MAX);
	check(!smtp_relay_is_busy(run.relay) && virtual_net.nconns == 0);
	smtp_relay_free(run.relay);
	timer_clear(&run.agent.rest);
	timer_clear(&run.agent.quiet);
	virtual_run_later();
	check(virtual_loop.ntimers == 0 && TAILQ_EMPTY(&run.held));
}

static void
no_timer(void *arg)
{
	(void)arg;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct agent_ops ops = {
		.name = "fuzz",
		.deliver = smtp_relay_deliver,
		.cancel = smtp_relay_cancel,
		.has_parts = true,
		.over = smtp_relay_over,
		.drain = smtp_relay_drain,
		.is_busy = smtp_relay_is_busy,
	};

	if (size < CHOICES)
		return 0;
	if (large == NULL)
		make_fixtures();
	run = (struct run){ .p = data + CHOICES, .end = data + size };
	memcpy(run.choice, data, CHOICES);
	TAILQ_INIT(&run.held);
	virtual_start();
	virtual_net = (struct virtual_net){ .server = &servers,
	    .is_unverified = chosen(ENVELOPE, ENVELOPE_UNVERIFIED) };
	run.agent = (struct agent){ .ops = &ops, .loop = &virtual_loop,
	    .on_idle = on_idle, .want_trace = getenv("FUZZ_TRACE") != NULL };
	TAILQ_INIT(&run.agent.open);
	timer_init(&run.agent.quiet, &virtual_loop, no_timer, NULL);
	timer_init(&run.agent.rest, &virtual_loop, no_timer, NULL);
	start_relay();
	submit(&run.mails[0]);
	if (chosen(WHO, WHO_TWO_MAILS))
		submit(&run.mails[1]);
	settle();
	play();
	finish();
	return 0;
}
