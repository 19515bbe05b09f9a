/*
 * log.h - the log: to stderr, syslog, the journal of systemd, or a file.
 *
 * Lines are kept and written together: to stderr and files at the end of each
 * turn of the event loop, to a daemon not before LOG_HOLD_MS after the last
 * time, but for the lines of a busy process, by the dozen; all of them at
 * exit().  Warnings and worse leave at once, behind what was kept.  Arguments
 * that come from outside must be escaped by the caller (str_escape()); the line
 * itself never holds a line end.
 *
 * What tells of a delivery, a connection or a process is an event of event.h,
 * with a name and fields; what goes through here is the event "note".
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {		/* as in syslog(3) */
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

enum log_target {
	LOG_TO_STDERR,
	LOG_TO_SYSLOG,
	LOG_TO_JOURNALD,
	LOG_TO_JOURNALD_TEXT,	/* lines without fields, by its stream */
	LOG_TO_FILE,		/* stderr until log_set_file() has given one */
	LOG_TO_AUTO		/* for options only: one of the others */
};

enum log_format { LOG_AS_TEXT, LOG_AS_JSON };	/* fields in the journal are
						 * neither */

#define LOG_TAG_MAX	32

struct log_conf {
	enum log_target	 target;
	enum log_level	 level;
	enum log_format	 format;
	int		 facility;	/* LOG_MAIL of syslog(3); 0: that */
	char		 tag[LOG_TAG_MAX + 1];	/* before the name in syslog and
						 * the journal; "": none */
};

#define LOG_ENV	"NEXTHOP_LOG"	/* as log_set_text() takes it */

/* ident: "smtp-static/relay"; kept. Reads LOG_ENV; without it: stderr,
 * warning. */
void	log_open(const char *ident);
void	log_set_ident(const char *ident);
/* The field that what stands behind the slash of it is; static. Without it:
 * "relay". */
void	log_set_unit(const char *key);
void	log_set(enum log_target, enum log_level);
void	log_configure(const struct log_conf *);
/* The file of LOG_TO_FILE from now on, opened for appending; owned. */
void	log_set_file(int fd);
int	log_file(void);		/* that; -1: there is none, or no such target */
/* Lines up to this level go there instead, without line end, as soon as they are
 * said. */
typedef void log_sink(enum log_level, const char *);
void	log_set_sink(log_sink *, enum log_level);
bool	log_is_on(enum log_level);
/*
 * TARGET[:LEVEL[:json][:facility=NAME][:tag=TEXT]], target one of stderr,
 * syslog, journald, journald-text, file; -1 if it is none of that, and nothing
 * is changed.
 */
int	log_set_text(const char *);
/* What LOG_ENV must hold for a child to log alike. */
const char *log_text(void);
/* LOG_MAIL for "mail"; -1: there is none of that name. */
int	log_facility(const char *name);
/* NULL, or what is wrong with a tag. */
const char *log_check_tag(const char *);
/* stderr is a stream of the journal that systemd gave us (JOURNAL_STREAM). */
bool	log_is_journal_stream(void);
/* Lines go by a stream socket: to the journal as text, or to one of the few
 * syslogds that listen so. */
bool	log_is_stream(void);
/* The socket of the daemon that should have our lines, where nobody listens;
 * or NULL. */
const char *log_unheard(void);

void	log_error(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_warning(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_debug(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_flush(void);
/* At the end of a turn of the loop: log_flush(), now, or once so many
 * milliseconds have passed it must be called again; 0: nothing is kept. */
int	log_turn(void);

#define LOG_HOLD_MS	5

#endif
