/*
 * log_head.c - what stands before each record of the log: when, who, how bad.
 * Made once a second, or when the name or the target has changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log_inner.h"
#include "base/mem.h"

#define HEAD_BYTES	512
#define LEVELS		8
#define MARK_BYTES	8		/* "<191>" */

static struct {
	char		*ident;		/* "smtp-static/out" */
	char		*program;	/* its part before the slash */
	const char	*unit;		/* what the part behind it is */
	int		 pid;
	struct log_conf	 conf;

	time_t		 stamp_at;
	char		 stamp[32];	/* "2026-11-21T22:10:00" */
	char		 line[HEAD_BYTES];	/* before a line of text */
	size_t		 line_len;
	char		 entry[HEAD_BYTES];	/* before one of the journal */
	size_t		 entry_len;
	char		 stream[HEAD_BYTES];	/* before all lines of it */
	char		 marks[LEVELS][MARK_BYTES];	/* by level: "<22>" */
} head = { .unit = "relay" };

static const char *
ident(void)
{
	return head.ident == NULL ? "nexthop" : head.ident;
}

/* ---- who ---- */

void
log_head_name(const char *name)
{
	free(head.ident);
	free(head.program);
	head.ident = xstrdup(name);
	head.program = xstrdup(name);
	head.program[strcspn(name, "/")] = '\0';
}

void
log_set_unit(const char *key)
{
	head.unit = key;
}

const char *
log_program(void)
{
	return head.program == NULL ? "nexthop" : head.program;
}

const char *
log_unit(const char **key_r)
{
	const char *slash = strchr(ident(), '/');

	*key_r = head.unit;
	return slash == NULL ? NULL : slash + 1;
}

int
log_pid(void)
{
	return head.pid;
}

/* ---- what lasts ---- */

static size_t
fit(int n)
{
	return n < 0 ? 0 : n < HEAD_BYTES ? (size_t)n : HEAD_BYTES - 1;
}

void
log_head_make(const struct log_conf *c)
{
	const char *slash = *c->tag == '\0' ? "" : "/";
	/* The facility of a stream's lines is said once. */
	int facility = c->target == LOG_TO_JOURNALD_TEXT ? 0 : c->facility;
	int level;

	head.conf = *c;
	head.pid = (int)getpid();
	head.stamp_at = 0;
	tzset();
	for (level = 0; level < LEVELS; level++)
		snprintf(head.marks[level], MARK_BYTES, "<%d>",
		    facility | level);
	head.entry_len = fit(snprintf(head.entry, HEAD_BYTES,
	    "PRIORITY=0\nSYSLOG_FACILITY=%d\nSYSLOG_PID=%d\n"
	    "SYSLOG_IDENTIFIER=%s%s%s\n", c->facility >> 3, head.pid, c->tag,
	    slash, ident()));
	/* Name, unit, facility and level; each line has a level; nothing is
	 * handed on to syslog, the kernel's log or the console. */
	snprintf(head.stream, HEAD_BYTES, "%s%s%s\n\n%d\n1\n0\n0\n0\n",
	    c->tag, slash, ident(), c->facility | LOG_LEVEL_INFO);
}

const char *
log_head_stream(void)
{
	return head.stream;
}

/* ---- when ---- */

/* As local time without a year for syslogd, else as in RFC 3339; for the
 * journal nothing, which knows when and who. */
static void
make_line(time_t now)
{
	const struct log_conf *c = &head.conf;
	char old[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(head.stamp, sizeof(head.stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	if (c->target == LOG_TO_JOURNALD_TEXT)
		head.line_len = 0;
	else if (c->target != LOG_TO_SYSLOG)
		head.line_len = fit(snprintf(head.line, HEAD_BYTES,
		    "%sZ %s[%d]: ", head.stamp, ident(), head.pid));
	else {
		localtime_r(&now, &tm);
		strftime(old, sizeof(old), "%b %e %H:%M:%S", &tm);
		head.line_len = fit(snprintf(head.line, HEAD_BYTES,
		    "%s %s%s%s[%d]: ", old, c->tag,
		    *c->tag == '\0' ? "" : "/", ident(), head.pid));
	}
	head.stamp_at = now;
}

static void
check_time(time_t now)
{
	if (now != head.stamp_at)
		make_line(now);
}

const char *
log_stamp_ms(void)
{
	static char text[40];
	struct timespec ts;
	unsigned ms;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	check_time(ts.tv_sec);
	ms = (unsigned)(ts.tv_nsec / 1000000);
	n = strlen(head.stamp);
	memcpy(text, head.stamp, n);
	text[n++] = '.';
	text[n++] = (char)('0' + ms / 100);
	text[n++] = (char)('0' + ms / 10 % 10);
	text[n++] = (char)('0' + ms % 10);
	text[n++] = 'Z';
	text[n] = '\0';
	return text;
}

size_t
log_head_put(char *to, enum log_form form, enum log_level level,
    bool has_mark)
{
	size_t n = 0;

	if (form == FORM_JOURNAL) {
		memcpy(to, head.entry, head.entry_len);
		to[strlen("PRIORITY=")] = (char)('0' + (int)level);
		return head.entry_len;
	}
	if (form == FORM_JSON && !has_mark)
		return 0;
	if (has_mark)
		n = strlcpy(to, head.marks[level], MARK_BYTES);
	check_time(time(NULL));
	memcpy(to + n, head.line, head.line_len);
	n += head.line_len;
	if (form == FORM_JSON || level > LOG_LEVEL_WARNING)
		return n;
	return n + strlcpy(to + n, level == LOG_LEVEL_ERROR ? "error: " :
	    "warning: ", sizeof("warning: "));
}
