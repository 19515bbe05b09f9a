/* log.c - lines to stderr or syslog, kept for a turn of the loop. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define LINE_BYTES	4096
#define KEPT_BYTES	(64 * 1024)

static const struct {
	const char	*word;
	enum log_level	 level;
} levels[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warning", LOG_LEVEL_WARNING },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};
#define NLEVELS	(sizeof(levels) / sizeof(levels[0]))

static struct {
	char		*ident;
	enum log_level	 level;
	bool		 use_syslog;
	log_sink	*sink;
	char		 kept[KEPT_BYTES];
	size_t		 nkept;
	time_t		 stamp_at;
	char		 stamp[32];
} logger = { .level = LOG_LEVEL_WARNING };

void
log_set_ident(const char *ident)
{
	free(logger.ident);
	logger.ident = xstrdup(ident);
	if (logger.use_syslog)
		openlog(logger.ident, LOG_PID, LOG_MAIL);
}

void
log_set(bool use_syslog, enum log_level level)
{
	logger.level = level;
	logger.use_syslog = use_syslog;
	if (use_syslog && logger.ident != NULL)
		openlog(logger.ident, LOG_PID, LOG_MAIL);
}

void
log_set_sink(log_sink *sink, enum log_level level)
{
	log_flush();
	logger.sink = sink;
	logger.level = level;
}

int
log_set_text(const char *text)
{
	const char *colon = strchr(text, ':');
	size_t i, n = colon == NULL ? strlen(text) : (size_t)(colon - text);
	bool use_syslog = n == 6 && strncmp(text, "syslog", n) == 0;

	if (!use_syslog && (n != 6 || strncmp(text, "stderr", n) != 0))
		return -1;
	if (colon == NULL) {
		log_set(use_syslog, LOG_LEVEL_INFO);
		return 0;
	}
	for (i = 0; i < NLEVELS; i++)
		if (strcmp(colon + 1, levels[i].word) == 0) {
			log_set(use_syslog, levels[i].level);
			return 0;
		}
	return -1;
}

const char *
log_text(void)
{
	static char text[32];
	size_t i;

	for (i = 0; i < NLEVELS - 1 && levels[i].level != logger.level; i++)
		;
	snprintf(text, sizeof(text), "%s:%s",
	    logger.use_syslog ? "syslog" : "stderr", levels[i].word);
	return text;
}

/* Where a standard descriptor is closed no socket shall take its place and get
 * our lines; stdin stays unreadable, which is not the same as empty. */
static void
hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_WRONLY);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

void
log_open(const char *ident)
{
	const char *env = getenv(LOG_ENV);
	static bool is_open;

	hold_standard_descriptors();
	log_set_ident(ident);
	if (env != NULL && log_set_text(env) == -1)
		log_warning("%s=%s: not stderr or syslog, \":\" and a level",
		    LOG_ENV, env);
	if (!is_open)
		atexit(log_flush);
	is_open = true;
}

bool
log_is_on(enum log_level level)
{
	return level <= logger.level;
}

void
log_flush(void)
{
	size_t at = 0;
	ssize_t n;

	while (at < logger.nkept) {
		n = write(STDERR_FILENO, logger.kept + at, logger.nkept - at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;		/* nowhere to say so */
		at += (size_t)n;
	}
	logger.nkept = 0;
}

/* "2026-11-21T22:10:00Z ", made once a second. */
static const char *
stamp(void)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != logger.stamp_at) {
		gmtime_r(&now, &tm);
		strftime(logger.stamp, sizeof(logger.stamp),
		    "%Y-%m-%dT%H:%M:%SZ", &tm);
		logger.stamp_at = now;
	}
	return logger.stamp;
}

static void
to_stderr(enum log_level level, const char *fmt, va_list ap)
{
	char *line;
	int head, n;

	if (KEPT_BYTES - logger.nkept < LINE_BYTES)
		log_flush();
	line = logger.kept + logger.nkept;
	head = snprintf(line, LINE_BYTES, "%s %s[%d]: %s", stamp(),
	    logger.ident == NULL ? "nexthop" : logger.ident, (int)getpid(),
	    level == LOG_LEVEL_ERROR ? "error: " :
	    level == LOG_LEVEL_WARNING ? "warning: " : "");
	if (head < 0 || head >= LINE_BYTES / 2)
		return;
	n = vsnprintf(line + head, (size_t)(LINE_BYTES - head - 1), fmt, ap);
	if (n < 0)
		return;
	n += head;
	if (n > LINE_BYTES - 2)
		n = LINE_BYTES - 2;
	line[n] = '\n';
	logger.nkept += (size_t)n + 1;
	if (level <= LOG_LEVEL_WARNING)
		log_flush();
}

static void
to_sink(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_BYTES];

	if (vsnprintf(line, sizeof(line), fmt, ap) >= 0)
		logger.sink(level, line);
}

static void
log_line(enum log_level level, const char *fmt, va_list ap)
{
	if (!log_is_on(level))
		return;
	if (logger.sink != NULL)
		to_sink(level, fmt, ap);
	else if (logger.use_syslog)
		vsyslog((int)level, fmt, ap);
	else
		to_stderr(level, fmt, ap);
}

#define LOG_FUNCTION(name, level)		\
void						\
name(const char *fmt, ...)			\
{						\
	va_list ap;				\
						\
	va_start(ap, fmt);			\
	log_line(level, fmt, ap);		\
	va_end(ap);				\
}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
