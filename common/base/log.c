/*
 * log.c - where lines go: kept and written together.
 *
 * To a file or stderr they go at the end of a turn of the loop.  A daemon is
 * woken each time, at our cost: it gets them LOG_HOLD_MS after the last time,
 * or once there are HOLD_RECORDS.
 */
#include "base/log.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log_inner.h"

#define KEPT_BYTES	(64 * 1024)
#define RECORDS_MAX	512
#define HOLD_RECORDS	64		/* what one system call sends */

static struct {
	struct log_conf	 conf;
	log_sink	*sink;
	int		 fd;		/* the file; -1: none yet */
	struct log_socket socket;
	uint64_t	 lost;		/* records, not told of yet */
	bool		 is_flushing;
	bool		 is_torn;	/* the last line written has no end */

	char		 kept[KEPT_BYTES];
	size_t		 nkept;
	uint32_t	 ends[RECORDS_MAX];	/* for the socket */
	unsigned	 nrecords;
	int64_t		 sent_ms;	/* when the socket last got some */
} logger = { .conf.level = LOG_LEVEL_WARNING, .fd = -1, .socket.fd = -1 };

static bool
has_socket(void)
{
	return logger.sink == NULL && (logger.conf.target == LOG_TO_SYSLOG ||
	    logger.conf.target == LOG_TO_JOURNALD ||
	    logger.conf.target == LOG_TO_JOURNALD_TEXT);
}

/* ---- settings ---- */

/* The socket is made now: what follows may leave no way to its path. */
static void
open_socket(void)
{
	enum log_target target = logger.conf.target;

	log_socket_close(&logger.socket);
	logger.socket = (struct log_socket){
		.fd = -1,
		.path = target == LOG_TO_JOURNALD ? LOG_JOURNAL_PATH :
		    target == LOG_TO_JOURNALD_TEXT ? LOG_JOURNAL_STREAM_PATH :
		    LOG_SYSLOG_PATH,
		.has_memfd = target == LOG_TO_JOURNALD,
		.header = target == LOG_TO_JOURNALD_TEXT ? log_head_stream() :
		    NULL,
	};
	if (has_socket())
		log_socket_connect(&logger.socket);
}

void
log_set_ident(const char *ident)
{
	log_flush();
	log_head_name(ident);
	log_head_make(&logger.conf);
	if (logger.socket.header != NULL)
		open_socket();		/* which has the name */
}

void
log_configure(const struct log_conf *conf)
{
	log_flush();
	logger.conf = *conf;
	if (logger.conf.facility == 0)
		logger.conf.facility = LOG_MAIL;
	log_head_make(&logger.conf);
	open_socket();
}

void
log_set(enum log_target target, enum log_level level)
{
	struct log_conf conf = { .target = target, .level = level };

	log_configure(&conf);
}

void
log_set_file(int fd)
{
	struct stat was, is;

	log_flush();
	if (logger.fd != -1) {
		if (fstat(logger.fd, &was) == -1 || fstat(fd, &is) == -1 ||
		    was.st_dev != is.st_dev || was.st_ino != is.st_ino)
			logger.is_torn = false;
		close(logger.fd);
	}
	logger.fd = fd;
}

int
log_file(void)
{
	return logger.conf.target == LOG_TO_FILE ? logger.fd : -1;
}

void
log_set_sink(log_sink *sink, enum log_level level)
{
	log_flush();
	logger.sink = sink;
	logger.conf.level = level;
}

bool
log_is_journal_stream(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return env != NULL && sscanf(env, "%llu:%llu", &device, &inode) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
	    st.st_ino == inode;
}

int
log_set_text(const char *text)
{
	struct log_conf conf;

	if (log_conf_parse(text, &conf) == -1)
		return -1;
	log_configure(&conf);
	return 0;
}

const char *
log_text(void)
{
	return log_conf_text(&logger.conf);
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
		log_warning("%s=%s: not stderr, syslog, journald or file, "
		    "\":\" and a level", LOG_ENV, env);
	if (!is_open)
		atexit(log_flush);
	is_open = true;
}

bool
log_is_stream(void)
{
	return logger.socket.is_stream || logger.socket.header != NULL;
}

const char *
log_unheard(void)
{
	return has_socket() && logger.socket.fd == -1 ? logger.socket.path :
	    NULL;
}

bool
log_is_on(enum log_level level)
{
	return level <= logger.conf.level;
}

/* ---- writing ---- */

/* What could not be written is nowhere to be told of now. */
static void
flush_stream(void)
{
	int fd = logger.conf.target == LOG_TO_FILE && logger.fd != -1 ?
	    logger.fd : STDERR_FILENO;
	size_t at = 0;
	ssize_t n;

	/* What follows shall not look like its rest. */
	if (logger.is_torn && write(fd, "\n", 1) == 1)
		logger.is_torn = false;
	while (at < logger.nkept && !logger.is_torn) {
		n = write(fd, logger.kept + at, logger.nkept - at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	if (at > 0)
		logger.is_torn = logger.kept[at - 1] != '\n';
	for (; at < logger.nkept; at++)
		logger.lost += logger.kept[at] == '\n';
	logger.nkept = 0;
	logger.nrecords = 0;
}

static void
flush_socket(void)
{
	logger.lost += log_socket_send(&logger.socket, logger.kept,
	    logger.ends, logger.nrecords);
	logger.sent_ms = clock_mono_ms();
	logger.nkept = 0;
	logger.nrecords = 0;
}

static void
flush_once(void)
{
	if (logger.nkept == 0)
		return;
	if (has_socket())
		flush_socket();
	else
		flush_stream();
}

static void
tell_lost(uint64_t lost)
{
	struct event_line e;

	if (!event_begin(&e, EVENT_LOG_LOST, NULL))
		return;
	event_int(&e, "lines", (int64_t)lost);
	event_end(&e);
}

/* The first lines that get through again bring with them how many did not. */
void
log_flush(void)
{
	uint64_t was = logger.lost;

	if (logger.is_flushing || logger.nkept == 0)
		return;
	logger.is_flushing = true;
	flush_once();
	if (was > 0 && logger.lost == was) {
		tell_lost(was);
		flush_once();
		logger.lost = logger.lost == was ? 0 : was;
	}
	logger.is_flushing = false;
}

int
log_turn(void)
{
	int64_t wait_ms;

	if (logger.nkept == 0)
		return 0;
	if (has_socket() && logger.nrecords < HOLD_RECORDS) {
		wait_ms = logger.sent_ms + LOG_HOLD_MS - clock_mono_ms();
		if (wait_ms > 0)
			return (int)wait_ms;
	}
	log_flush();
	return 0;
}

/* ---- records ---- */

enum log_form
log_form(void)
{
	if (logger.sink != NULL)
		return FORM_TEXT;
	if (logger.conf.target == LOG_TO_JOURNALD)
		return FORM_JOURNAL;
	return logger.conf.format == LOG_AS_JSON ? FORM_JSON : FORM_TEXT;
}

static char sink_line[LOG_LINE_MAX];

char *
log_room(enum log_level level, size_t *head_r)
{
	*head_r = 0;
	if (logger.sink != NULL)
		return sink_line;
	if ((KEPT_BYTES - logger.nkept < LOG_RECORD_MAX ||
	    logger.nrecords == RECORDS_MAX) && !logger.is_flushing)
		log_flush();
	*head_r = log_head_put(logger.kept + logger.nkept, log_form(), level,
	    has_socket());
	return logger.kept + logger.nkept;
}

void
log_record(enum log_level level, size_t n)
{
	char *line;

	if (logger.sink != NULL) {
		sink_line[n] = '\0';
		logger.sink(level, sink_line);
		return;
	}
	line = logger.kept + logger.nkept;
	line[n] = has_socket() && logger.socket.header == NULL ? '\0' : '\n';
	logger.nkept += n;
	logger.ends[logger.nrecords++] = (uint32_t)logger.nkept;
	logger.nkept++;
	if (level <= LOG_LEVEL_WARNING)
		log_flush();
}

/* ---- lines ---- */

static void
log_line(enum log_level level, const char *fmt, va_list ap)
{
	size_t head;
	char *line;
	int n;

	if (!log_is_on(level))
		return;
	if (log_form() != FORM_TEXT) {
		event_note(level, fmt, ap);
		return;
	}
	line = log_room(level, &head);
	n = vsnprintf(line + head, LOG_LINE_MAX - head - 1, fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n > LOG_LINE_MAX - head - 2)
		n = (int)(LOG_LINE_MAX - head - 2);
	log_record(level, head + (size_t)n);
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
