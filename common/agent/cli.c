/*
 * cli.c - the arguments of a delivery asked for on a command line; its message
 * is cli_message.c, the rows of its answers are cli_rows.c.
 */
#include "agent/cli.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/option.h"
#include "mail/address.h"

#define COUNT_MAX	100000000
#define GAP_MAX_MS	(86400 * 1000LL)

void
cli_init(struct cli *c)
{
	memset(c, 0, sizeof(*c));
	c->from = "";
	c->count = c->parallel = 1;
	c->body.fd = -1;
	c->env.body.fd = -1;
	c->env.id = c->env.relay = c->env.sender = "";
}

void
cli_clear(struct cli *c)
{
	free(c->good);
	if (c->body.mem != NULL)
		free((char *)(uintptr_t)c->body.mem);
	if (c->body.fd > STDERR_FILENO)
		close(c->body.fd);
}

/* ---- options ---- */

static int
set_number(const char *value, int64_t max, uint32_t *to)
{
	int64_t v;

	if (str_to_int64(value, 1, max, &v) == -1)
		return -1;
	*to = (uint32_t)v;
	return 0;
}

static int
set_from(struct cli *c, const char *v)
{
	/* "<>" is how the null reverse-path is written. */
	c->from = strcmp(v, "<>") == 0 ? "" : v;
	return str_has_control(v) || !str_is_utf8(v, strlen(v)) ||
	    strlen(v) > ADDRESS_MAX ? -1 : 0;
}

static int
set_output(struct cli *c, const char *v)
{
	static const char *const words[] = { "text", "tsv", "json" };
	int i;

	for (i = 0; i < 3; i++)
		if (strcmp(v, words[i]) == 0) {
			c->output = (enum cli_output)i;
			return 0;
		}
	return -1;
}

static int
set_count(struct cli *c, const char *v)
{
	return set_number(v, COUNT_MAX, &c->count);
}

static int
set_parallel(struct cli *c, const char *v)
{
	return set_number(v, 65535, &c->parallel);
}

static int
set_gap(struct cli *c, const char *v)
{
	return opt_parse_time(v, &c->gap_ms) == -1 || c->gap_ms < 0 ||
	    c->gap_ms > GAP_MAX_MS ? -1 : 0;
}

static int
set_ret(struct cli *c, const char *v)
{
	c->env.ret = strcasecmp(v, "FULL") == 0 ? RET_FULL :
	    strcasecmp(v, "HDRS") == 0 ? RET_HDRS : RET_NONE;
	return c->env.ret == RET_NONE ? -1 : 0;
}

static int
set_notify(struct cli *c, const char *v)
{
	static const struct {
		const char	*word;
		uint8_t		 bit;
	} words[] = {
		{ "NEVER", NOTIFY_NEVER }, { "SUCCESS", NOTIFY_SUCCESS },
		{ "FAILURE", NOTIFY_FAILURE }, { "DELAY", NOTIFY_DELAY },
	};
	size_t i, n;

	for (; *v != '\0'; v += n + (v[n] == ',')) {
		n = strcspn(v, ",");
		for (i = 0; i < 4; i++)
			if (strlen(words[i].word) == n &&
			    strncasecmp(v, words[i].word, n) == 0)
				break;
		if (i == 4)
			return -1;
		c->notify |= words[i].bit;
	}
	/* RFC 3461 §4.1: NEVER stands alone. */
	return c->notify == 0 || ((c->notify & NOTIFY_NEVER) != 0 &&
	    c->notify != NOTIFY_NEVER) ? -1 : 0;
}

static int
set_body(struct cli *c, const char *v)
{
	static const char *const words[] = { "", "7BIT", "8BITMIME",
	    "BINARYMIME" };
	uint8_t i;

	for (i = 1; i < 4; i++)
		if (strcasecmp(v, words[i]) == 0) {
			c->env.body_type = i;
			return 0;
		}
	return -1;
}

static int
set_deadline(struct cli *c, const char *v)
{
	int64_t ms;

	if (opt_parse_time(v, &ms) == -1 || ms < 1000 ||
	    ms / 1000 > UINT32_MAX)
		return -1;
	c->env.deadline_s = (uint32_t)(ms / 1000);
	return 0;
}

static int
set_attempts(struct cli *c, const char *v)
{
	return set_number(v, INT32_MAX, &c->env.attempts);
}

static int
set_orcpt(struct cli *c, const char *v)
{
	c->orcpt = v;
	return xtext_is_valid(v) && strchr(v, ';') != NULL ? 0 : -1;
}

static int
set_envid(struct cli *c, const char *v)
{
	c->env.envid = v;
	return xtext_is_valid(v) && strlen(v) <= 100 ? 0 : -1;
}

static int
set_smtputf8(struct cli *c, const char *v)
{
	(void)v;
	c->env.flags |= ENV_SMTPUTF8;
	return 0;
}

static int
set_requiretls(struct cli *c, const char *v)
{
	(void)v;
	c->env.flags |= ENV_REQUIRETLS;
	return 0;
}

static int
set_trace(struct cli *c, const char *v)
{
	(void)v;
	c->trace = true;
	return 0;
}

static int
set_explain(struct cli *c, const char *v)
{
	(void)v;
	c->explain = true;
	return 0;
}

static int
set_probe(struct cli *c, const char *v)
{
	(void)v;
	c->env.flags |= ENV_PROBE;
	return 0;
}

/* The options of a delivery: those with set, and texts of the envelope. */
static const struct cli_row {
	const char	*name;
	const char	*what;		/* NULL: takes no value */
	int		(*set)(struct cli *, const char *);
	size_t		 text;		/* offset in struct envelope, if !set */
	const char	*help;
} rows[] = {
	{ "from", "ADDR", set_from, 0, "envelope sender; empty or <> is the "
	    "null sender" },
	{ "output", "text|tsv|json", set_output, 0, "how the answers are "
	    "printed" },
	{ "trace", NULL, set_trace, 0, "the dialogue on stderr, secrets "
	    "masked" },
	{ "explain", NULL, set_explain, 0, "tell where each recipient's mail "
	    "would go, and under which TLS policy; no message is read" },
	{ "probe", NULL, set_probe, 0, "ask the hosts whether they take the "
	    "recipients; nothing is sent" },
	{ "count", "N", set_count, 0, "send the message N times" },
	{ "parallel", "N", set_parallel, 0, "N of them at once" },
	{ "gap", "TIME", set_gap, 0, "from the start of one to the next" },
	{ "id", "TEXT", NULL, offsetof(struct envelope, id), "name of the "
	    "envelope in logs" },
	{ "nexthop", "HOST", NULL, offsetof(struct envelope, nexthop),
	    "deliver there instead" },
	{ "source", "ADDRESS", NULL, offsetof(struct envelope, source),
	    "connect from this address" },
	{ "ehlo", "NAME", NULL, offsetof(struct envelope, ehlo), "name in "
	    "EHLO" },
	{ "envid", "XTEXT", set_envid, 0, "DSN envelope id (RFC 3461)" },
	{ "ret", "FULL|HDRS", set_ret, 0, "DSN: what a bounce returns" },
	{ "notify", "LIST", set_notify, 0, "DSN: NEVER or SUCCESS, FAILURE, "
	    "DELAY" },
	{ "orcpt", "TYPE;XTEXT", set_orcpt, 0, "DSN: original recipient" },
	{ "body", "7BIT|8BITMIME|BINARYMIME", set_body, 0, "what the message "
	    "is; looked at where not given" },
	{ "smtputf8", NULL, set_smtputf8, 0, "ask for SMTPUTF8 (RFC 6531)" },
	{ "requiretls", NULL, set_requiretls, 0, "ask for REQUIRETLS "
	    "(RFC 8689)" },
	{ "deadline", "TIME", set_deadline, 0, "give up after" },
	{ "attempts", "N", set_attempts, 0, "earlier attempts" },
	{ "client-ip", "ADDRESS", NULL, offsetof(struct envelope, client_ip),
	    "the client that submitted the message" },
	{ "client-host", "NAME", NULL, offsetof(struct envelope, client_host),
	    "its host name" },
	{ "client-helo", "NAME", NULL, offsetof(struct envelope, client_helo),
	    "its HELO name" },
	{ "client-proto", "TEXT", NULL, offsetof(struct envelope,
	    client_proto), "the protocol it used" },
	{ "client-auth", "TEXT", NULL, offsetof(struct envelope, client_auth),
	    "the user it authenticated as" },
};
#define NROWS	(sizeof(rows) / sizeof(rows[0]))

static bool
name_is(const char *arg, size_t n, const char *name)
{
	size_t i;

	if (strlen(name) != n)
		return false;
	for (i = 0; i < n; i++)
		if ((arg[i] == '_' ? '-' : arg[i]) != name[i])
			return false;
	return true;
}

static int
set_text(struct cli *c, const struct cli_row *row, const char *value)
{
	const char **to = (const char **)(void *)((char *)&c->env + row->text);

	*to = value;
	return str_has_control(value) || !str_is_utf8(value, strlen(value)) ||
	    strlen(value) > FRAME_TEXT_MAX ? -1 : 0;
}

int
cli_option(struct cli *c, const char *arg)
{
	const struct cli_row *row;
	const char *name = arg + 2, *value;
	size_t n = strcspn(name, "=");
	char shown[128];

	for (row = rows; row < rows + NROWS; row++)
		if (name_is(name, n, row->name))
			break;
	if (row == rows + NROWS)
		return 0;
	value = name[n] == '=' ? name + n + 1 : NULL;
	if ((value == NULL) != (row->what == NULL)) {
		warnx("--%s takes %s", row->name,
		    row->what == NULL ? "no value" : "a value");
		return -1;
	}
	if (value == NULL) {		/* a flag; it cannot be wrong */
		row->set(c, NULL);
		return 1;
	}
	if ((row->set != NULL ? row->set(c, value) :
	    set_text(c, row, value)) == -1) {
		str_escape(shown, sizeof(shown), value, strlen(value));
		warnx("--%s: \"%s\" is not %s", row->name, shown, row->what);
		return -1;
	}
	return 1;
}

void
cli_help(FILE *fp)
{
	const struct cli_row *row;
	char left[64];

	for (row = rows; row < rows + NROWS; row++) {
		snprintf(left, sizeof(left), "--%s%s%s", row->name,
		    row->what == NULL ? "" : "=",
		    row->what == NULL ? "" : row->what);
		fprintf(fp, "  %-32s %s\n", left, row->help);
	}
}

void
cli_mdoc(FILE *fp)
{
	const struct cli_row *row;
	const char *p;

	for (row = rows; row < rows + NROWS; row++) {
		fprintf(fp, ".It Fl Fl %s", row->name);
		if (row->what != NULL) {
			fprintf(fp, " Ns = Ns Ar ");
			for (p = row->what; *p != '\0'; p++)
				fputs(*p == '|' ? " Ns | Ns Ar " :
				    (char[]){ *p, '\0' }, fp);
		}
		fprintf(fp, "\n%c%s.\n", row->help[0] >= 'a' &&
		    row->help[0] <= 'z' ? row->help[0] - 32 : row->help[0],
		    row->help + 1);
	}
}

/* ---- recipients ---- */

int
cli_check_rcpts(char *const *argv, int first, int argc)
{
	int i;

	if (strcmp(argv[first - 1], "--") == 0)
		return 0;
	for (i = first; i < argc; i++)
		if (argv[i][0] == '-' && argv[i][1] != '\0') {
			warnx("%s: options come before the recipients, and -- "
			    "before recipients that look like one", argv[i]);
			return -1;
		}
	return 0;
}

void
cli_set_rcpts(struct cli *c, const char **rcpts, uint32_t n)
{
	uint32_t i;

	c->rcpts = rcpts;
	c->nrcpt = n;
	c->good = xreallocarray(NULL, n, sizeof(*c->good));
	c->ngood = 0;
	for (i = 0; i < n; i++)
		if (!str_has_control(rcpts[i]) &&
		    strlen(rcpts[i]) <= ADDRESS_MAX &&
		    str_is_utf8(rcpts[i], strlen(rcpts[i])))
			c->good[c->ngood++] = i;
}

uint32_t
cli_parts(const struct cli *c)
{
	return (c->ngood + ENVELOPE_RCPT_MAX - 1) / ENVELOPE_RCPT_MAX;
}

void
cli_envelope(const struct cli *c, uint32_t part, struct envelope *env,
    struct rcpt *to, const uint32_t **index_r)
{
	uint32_t i, first = part * ENVELOPE_RCPT_MAX, n = c->ngood - first;

	if (n > ENVELOPE_RCPT_MAX)
		n = ENVELOPE_RCPT_MAX;
	*env = c->env;
	env->sender = c->from;
	env->rcpts = to;
	env->nrcpt = n;
	env->body = c->body;
	for (i = 0; i < n; i++)
		to[i] = (struct rcpt){ c->rcpts[c->good[first + i]], c->orcpt,
		    c->notify };
	*index_r = c->good + first;
}
