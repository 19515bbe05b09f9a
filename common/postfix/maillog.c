/* maillog.c - Postfix's log. */
#include "postfix/maillog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

static struct {
	char		*tag;
	char		*host;		/* up to the first dot */
	char		*socket;	/* NULL: syslog */
	int		 fd;
	pid_t		 pid;
	time_t		 stamp_at;
	char		 stamp[32];
} maillog = { .fd = -1 };

/* ---- where lines go ---- */

static void
connect_socket(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (maillog.fd != -1)
		close(maillog.fd);
	maillog.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strlcpy(sun.sun_path, maillog.socket, sizeof(sun.sun_path));
	if (maillog.fd == -1 || connect(maillog.fd,
	    (struct sockaddr *)(void *)&sun, sizeof(sun)) == 0)
		return;
	close(maillog.fd);
	maillog.fd = -1;
}

/* "Nov 21 20:27:30 mx postfix/agent[7]: " as postlogd(8) wants it. */
static const char *
stamp(void)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != maillog.stamp_at) {
		localtime_r(&now, &tm);
		strftime(maillog.stamp, sizeof(maillog.stamp),
		    "%b %d %H:%M:%S", &tm);
		maillog.stamp_at = now;
	}
	return maillog.stamp;
}

static void
to_postlogd(const char *mark, const char *text)
{
	char line[PF_LINE_MAX + 256];
	int n;

	n = snprintf(line, sizeof(line), "%s %s %s[%d]: %s%.*s", stamp(),
	    maillog.host, maillog.tag, (int)maillog.pid, mark, PF_LINE_MAX, text);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = sizeof(line) - 1;
	if (maillog.fd == -1)
		connect_socket();
	/* postlogd has its master's socket: what waits there is not lost. */
	if (send(maillog.fd, line, (size_t)n, MSG_NOSIGNAL) == -1 &&
	    errno != EINTR) {
		connect_socket();
		send(maillog.fd, line, (size_t)n, MSG_NOSIGNAL);
	}
}

static void
on_line(enum log_level level, const char *text)
{
	const char *mark = level == LOG_LEVEL_ERROR ? "error: " :
	    level == LOG_LEVEL_WARNING ? "warning: " : "";

	if (maillog.socket != NULL)
		to_postlogd(mark, text);
	else
		syslog((int)level, "%s%.*s", mark, PF_LINE_MAX, text);
}

void
pf_maillog_open(const char *tag, const char *facility, const char *socket,
    const char *hostname, bool is_verbose)
{
	free(maillog.tag);
	free(maillog.host);
	free(maillog.socket);
	maillog.tag = xstrdup(tag);
	maillog.host = xasprintf("%.*s", (int)strcspn(hostname, "."),
	    hostname);
	maillog.socket = socket == NULL ? NULL : xstrdup(socket);
	maillog.pid = getpid();
	tzset();
	if (socket != NULL)
		connect_socket();
	else
		openlog(maillog.tag, LOG_PID | LOG_NDELAY,
		    log_facility(facility) == -1 ? LOG_MAIL :
		    log_facility(facility));
	log_set_sink(on_line, is_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

void
pf_maillog_chrooted(void)
{
	if (maillog.socket == NULL)
		return;
	free(maillog.socket);
	maillog.socket = xstrdup("public/postlog");
}

/* ---- the line ---- */

void
pf_printable(char *s)
{
	unsigned char *p;

	for (p = (unsigned char *)s; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
		else if (*p < 0x20 || *p == 0x7f)
			*p = '?';
}

/* Two digits that count, but not more decimals than the limit. */
void
pf_format_delay(char *to, size_t size, int64_t us, int limit)
{
	int64_t unit = 1000000, n;
	char fraction[8] = "";
	int decimals = 0, i;

	if (us < 0)
		us = 0;
	for (; decimals < limit && decimals < 6 && us < 10 * unit; decimals++)
		unit /= 10;
	n = (us + unit / 2) / unit;
	for (; decimals > 0 && n % 10 == 0; decimals--)
		n /= 10;
	for (i = decimals; i > 0; i--, n /= 10)
		fraction[i] = (char)('0' + n % 10);
	if (decimals > 0)
		fraction[0] = '.';
	snprintf(to, size, "%lld%s", (long long)n, fraction);
}

static int64_t
between(const struct timeval *from, const struct timeval *to)
{
	return (int64_t)(to->tv_sec - from->tv_sec) * 1000000 +
	    (to->tv_usec - from->tv_usec);
}

static bool
is_set(const struct timeval *t)
{
	return t->tv_sec != 0;
}

/* "delay=T, delays=A/B/C/D" */
static void
format_delays(char *to, size_t size, const struct pf_times *t, int limit)
{
	const struct timeval *setup = is_set(&t->setup) ? &t->setup :
	    &t->handoff;
	char all[24], a[24], b[24], c[24], d[24];

	pf_format_delay(all, sizeof(all), between(&t->arrival, &t->done),
	    limit);
	pf_format_delay(a, sizeof(a), between(&t->arrival, &t->active), limit);
	pf_format_delay(b, sizeof(b), between(&t->active, &t->handoff), limit);
	pf_format_delay(c, sizeof(c), between(&t->handoff, setup), limit);
	pf_format_delay(d, sizeof(d), between(setup, &t->done), limit);
	snprintf(to, size, "delay=%s, delays=%s/%s/%s/%s", all, a, b, c, d);
}

/* A local part that needs quotes gets them (RFC 5322 §3.4.1). */
static void
format_address(char *to, size_t size, const char *from, bool is_external)
{
	static const char special[] = " \t\"(),:;<>@[\\]";
	const char *at = strrchr(from, '@'), *p;
	size_t len = at == NULL ? strlen(from) : (size_t)(at - from), n = 0;
	bool is_plain = len > 0 && from[0] != '.' && from[len - 1] != '.' &&
	    strcspn(from, special) >= len && memmem(from, len, "..", 2) == NULL;

	if (!is_external || is_plain || *from == '\0') {
		strlcpy(to, from, size);
		return;
	}
	to[n++] = '"';
	for (p = from; p < from + len && n + 4 < size; p++) {
		if (*p == '"' || *p == '\\')
			to[n++] = '\\';
		to[n++] = *p;
	}
	to[n++] = '"';
	strlcpy(to + n, from + len, size - n);
}

size_t
pf_format_line(char *to, size_t size, const struct pf_line *l)
{
	char address[1024], original[1024], orig_to[1048] = "", use[32] = "";
	char delays[160];
	int n;

	format_address(address, sizeof(address), l->rcpt->address,
	    l->is_external);
	if (*l->rcpt->original != '\0' &&
	    strcasecmp(l->rcpt->original, l->rcpt->address) != 0) {
		format_address(original, sizeof(original), l->rcpt->original,
		    l->is_external);
		snprintf(orig_to, sizeof(orig_to), ", orig_to=<%s>", original);
	}
	if (l->conn_use > 1)
		snprintf(use, sizeof(use), ", conn_use=%u", l->conn_use);
	format_delays(delays, sizeof(delays), l->times, l->resolution);
	n = snprintf(to, size, "%s: to=<%s>%s, relay=%s%s, %s, dsn=%s, "
	    "status=%s (%s)", l->queue_id, address, orig_to, l->relay, use,
	    delays, l->dsn, l->status, l->reason);
	pf_printable(to);
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}
