/*
 * intermediate.c - a delivery agent for nexthop as a shared object: the example
 * to copy.  See custom(8) and README beside this file.
 *
 *	[relay front]
 *	type = custom
 *	factory = /usr/local/lib/nexthop/intermediate.so:make
 *	relay = out
 *	reject = X-Spam-Flag: YES
 *	home_domain = example.net
 *	home_relay = inbox
 *
 * It is an intermediate relay: it looks at the header of a message and at its
 * recipients, and hands them on to other relays of the same nexthop-master,
 * which deliver and answer for it.  With the option `foo` the factory makes
 * another agent, which delivers nowhere and answers with its options.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/factory.h"

FACTORY_ABI;

#define HEADER_MAX	(64 * 1024)	/* bytes looked at */

struct intermediate {
	struct agent	*agent;
	struct forward	 out;		/* for everybody else */
	struct forward	 home;		/* for home_domain */
	const char	*home_domain;	/* or NULL */
	const char	*reject;	/* a header line's start, or NULL */
	uint64_t	 forwarded, rejected;	/* recipients */
};

/* ---- the intermediate relay ---- */

/* Reads the start of the message; -1 with errno. */
static int
read_header(const struct delivery *d, char *header, size_t size)
{
	struct body_reader r;
	const char *data;
	size_t n = 0;
	int64_t got;

	body_reader_init(&r, &d->env.body);
	while (n < size - 1) {
		got = body_read(&r, header + n, size - 1 - n, &data);
		if (got == -1)
			return -1;
		if (got == 0)
			break;
		memmove(header + n, data, (size_t)got);
		n += (size_t)got;
	}
	header[n] = '\0';
	return 0;
}

/* Whether a line of the header begins like this. */
static bool
has_line(const char *header, const char *start)
{
	const char *line = header;

	while (*line != '\0' && *line != '\n' && *line != '\r') {
		if (strncasecmp(line, start, strlen(start)) == 0)
			return true;
		if ((line = strchr(line, '\n')) == NULL)
			break;
		line++;
	}
	return false;
}

static bool
is_at(const char *addr, const char *domain)
{
	const char *at = strrchr(addr, '@');

	return at != NULL && strcasecmp(at + 1, domain) == 0;
}

/* Everybody gets the same answer. */
static void
answer(struct delivery *d, unsigned code, const char *text)
{
	struct answer a = { .host = "" };

	/* Code, enhanced code and class from the text, as of a server's. */
	reply_from_server(&a.reply, d->arena, code, text, strlen(text),
	    STAGE_NONE);
	a.reply.by = BY_AGENT;
	delivery_answer_rest(d, &a);
}

static void
deliver(void *state, struct delivery *d)
{
	struct intermediate *im = state;
	uint32_t i, n = 0, *home;
	char *header;

	/* A local file is read at once; whoever waits for a network or a
	 * database uses agent_loop() and answers later. */
	header = arena_alloc(d->arena, HEADER_MAX);
	if (im->reject != NULL) {
		if (read_header(d, header, HEADER_MAX) == -1) {
			answer(d, 451, arena_printf(d->arena,
			    "4.3.0 cannot read the message: %s",
			    strerror(errno)));
			return;
		}
		if (has_line(header, im->reject)) {
			im->rejected += d->env.nrcpt;
			agent_touch_stats(im->agent);
			answer(d, 550, "5.7.1 not this message");
			return;
		}
	}
	home = arena_alloc(d->arena, d->env.nrcpt * sizeof(*home));
	for (i = 0; im->home_domain != NULL && i < d->env.nrcpt; i++)
		if (is_at(d->env.rcpts[i].addr, im->home_domain))
			home[n++] = i;
	im->forwarded += d->env.nrcpt;
	agent_touch_stats(im->agent);
	i = d->env.nrcpt;
	if (n > 0)
		delivery_forward(d, home, n, &im->home);
	if (n < i)			/* else it is over */
		delivery_forward(d, NULL, 0, &im->out);
}

/* Whatever it got is settled in deliver(): there is nothing to cancel. */
static void
cancel(void *state, struct delivery *d)
{
	(void)state;
	answer(d, 451, "4.3.0 delivery cancelled");
}

static void *
start(struct agent *agent, void *values, char *error, size_t size)
{
	struct factory_options *options = values;
	struct intermediate *im = calloc(1, sizeof(*im));

	if (im == NULL) {
		snprintf(error, size, "no memory");
		return NULL;
	}
	im->agent = agent;
	agent_may_forward(agent);
	/* What is NULL here stays as the envelope has it. */
	im->out.relay = factory_text(options, "relay");
	im->out.nexthop = factory_text(options, "nexthop");
	im->out.source = factory_text(options, "source");
	im->out.ehlo = factory_text(options, "ehlo");
	im->home_domain = factory_text(options, "home_domain");
	im->home.relay = factory_text(options, "home_relay");
	im->reject = factory_text(options, "reject");
	return im;
}

static void
stats(void *state, agent_stat *put, void *arg)
{
	const struct intermediate *im = state;

	put(arg, "recipients_forwarded", im->forwarded);
	put(arg, "recipients_rejected", im->rejected);
}

static const struct agent_ops intermediate_ops = {
	.start = start,
	.deliver = deliver,
	.cancel = cancel,
	.stop = free,
	.stats = stats,
};

/* ---- the other one: answers with its options ---- */

static void
echo_deliver(void *state, struct delivery *d)
{
	answer(d, 250, state);
}

static void *
echo_start(struct agent *agent, void *values, char *error, size_t size)
{
	const struct factory_options *options = values;
	char *text = calloc(1, 1024);
	size_t i, n = 0;

	(void)agent;
	(void)error;
	(void)size;
	for (i = 0; text != NULL && i < options->n && n < 1024; i++)
		n += (size_t)snprintf(text + n, 1024 - n, "%s%s=%s",
		    i == 0 ? "2.0.0 " : " ", options->v[i].name,
		    options->v[i].value);
	return text;
}

static const struct agent_ops echo_ops = {
	.start = echo_start,
	.deliver = echo_deliver,
	.cancel = cancel,
	.stop = free,
};

/* ---- the factory ---- */

const struct agent_ops *make(struct factory_options *);

const struct agent_ops *
make(struct factory_options *options)
{
	static const char *const known[] = { "relay", "nexthop", "source",
		"ehlo", "home_domain", "home_relay", "reject", NULL };

	if (factory_text(options, "foo") != NULL)
		return &echo_ops;
	if (factory_only(options, known) == -1)
		return NULL;
	if (factory_text(options, "relay") == NULL)
		factory_refuse(options, "relay", "required, but not given");
	if ((factory_text(options, "home_domain") == NULL) !=
	    (factory_text(options, "home_relay") == NULL))
		factory_refuse(options, "home_domain",
		    "goes together with home_relay");
	return &intermediate_ops;
}
