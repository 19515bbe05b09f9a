/* transcript.c - the dialogue with a next hop, line by line. */
#include "agent/transcript.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "base/str.h"
#include "net/addr_range.h"

#define LINE_SHOWN	4096
#define PATTERN_MAX	1024

/* ---- whose ---- */

static bool
is_word(const char *pattern, const char *word)
{
	return strcasecmp(pattern, word) == 0;
}

const char *
transcript_check(const char *pattern)
{
	if (strlen(pattern) < PATTERN_MAX && *pattern != '\0' &&
	    (*pattern == '/' || strpbrk(pattern, " /:@*\"<>[]") == NULL ||
	    addr_range_check(pattern) == NULL))
		return NULL;
	return "is neither on, off, a host, a domain, an address or a range "
	    "of them, nor the path of a socket";
}

/* "example.com" for itself, ".example.com" for what is below it. */
static bool
name_fits(const char *pattern, const char *name)
{
	size_t n = strlen(name), len = strlen(pattern);

	if (*pattern != '.')
		return strcasecmp(pattern, name) == 0;
	return n > len && strcasecmp(name + n - len, pattern) == 0;
}

static bool
any_domain_fits(const char *pattern, const struct envelope *env)
{
	const char *at;
	uint32_t i;

	for (i = 0; i < env->nrcpt; i++)
		if ((at = strrchr(env->rcpts[i].addr, '@')) != NULL &&
		    name_fits(pattern, at + 1))
			return true;
	return false;
}

static bool
pattern_fits(char *pattern, const char *host, const struct addr *addr,
    const struct envelope *env)
{
	const struct opt_list one = { &pattern, 1 };

	if (is_word(pattern, "on") || is_word(pattern, "yes"))
		return true;
	if (is_word(pattern, "off") || is_word(pattern, "no"))
		return false;
	if (*pattern == '/')
		return strcmp(pattern, host) == 0;
	if (addr_range_check(pattern) == NULL)
		return addr != NULL && addr_family(addr) != AF_UNIX &&
		    addr_range_has(&one, addr);
	return name_fits(pattern, host) || any_domain_fits(pattern, env);
}

void
transcript_choose(struct transcript *t, const struct transcript_conf *conf,
    const char *host, const struct addr *addr, const struct envelope *env)
{
	size_t i;

	t->to_log = false;
	for (i = 0; i < conf->what.n && !t->to_log; i++)
		t->to_log = pattern_fits(conf->what.v[i], host, addr, env);
}

void
transcript_init(struct transcript *t, const struct agent *agent,
    const struct transcript_conf *conf, uint64_t serial, bool is_numbered)
{
	t->serial = serial;
	t->is_numbered = is_numbered;
	t->to_stderr = agent_trace(agent);
	t->to_log = false;
	t->left = conf->limit;
}

/* ---- lines ---- */

static void
to_log(struct transcript *t, const struct envelope *env, const char *who,
    const char *line)
{
	struct event_line e;
	char text[LINE_SHOWN + 16];

	if (t->left < 0)
		return;
	if (t->left-- == 0)
		snprintf(text, sizeof(text), "-- more than transcript_limit "
		    "lines: the rest is not shown");
	else
		snprintf(text, sizeof(text), "%s %s", who, line);
	if (!event_begin(&e, EVENT_TRANSCRIPT, env == NULL ? NULL : env->id))
		return;
	event_int(&e, "session", (int64_t)t->serial);
	event_quoted(&e, "line", text);
	event_end(&e);
}

static void
one_line(struct transcript *t, const struct envelope *env, const char *who,
    const char *p, size_t n)
{
	char shown[LINE_SHOWN], line[LINE_SHOWN];

	while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		n--;
	if (t->to_stderr) {
		str_escape(shown, sizeof(shown), p, n);
		if (t->is_numbered)
			fprintf(stderr, "%llu ",
			    (unsigned long long)t->serial);
		fprintf(stderr, "%s %s\n", who, shown);
	}
	if (!t->to_log)
		return;
	if (n >= sizeof(line))
		n = sizeof(line) - 1;
	memcpy(line, p, n);
	line[n] = '\0';
	to_log(t, env, who, line);
}

void
transcript_lines(struct transcript *t, const struct envelope *env,
    const char *who, const char *p, size_t n)
{
	const char *lf;
	size_t len;

	if (!transcript_is_on(t))
		return;
	for (; n > 0; p += len, n -= len) {
		lf = memchr(p, '\n', n);
		len = lf == NULL ? n : (size_t)(lf - p) + 1;
		one_line(t, env, who, p, len);
	}
}

void
transcript_say(struct transcript *t, const struct envelope *env,
    const char *who, const char *fmt, ...)
{
	char line[LINE_SHOWN];
	va_list ap;

	if (!transcript_is_on(t))
		return;
	va_start(ap, fmt);
	if (vsnprintf(line, sizeof(line), fmt, ap) >= 0)
		one_line(t, env, who, line, strlen(line));
	va_end(ap);
}
