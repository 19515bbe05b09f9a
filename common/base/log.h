/*
 * log.h - one line per event, to stderr or syslog.
 *
 * Lines are kept and written together by log_flush(), which the event loop
 * calls at the end of each turn and exit() at the end; warnings and worse
 * leave at once.  Arguments that come from outside must be escaped by the
 * caller (str_escape()); the line itself never holds a line end.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level {		/* as in syslog(3) */
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

#define LOG_ENV	"NEXTHOP_LOG"	/* "stderr" or "syslog", ":" and a level */

/* ident: "smtp-static[relay]"; kept. Reads LOG_ENV; without it: stderr, warning. */
void	log_open(const char *ident);
void	log_set_ident(const char *ident);
void	log_set(bool use_syslog, enum log_level);
/* Lines up to this level go there instead, without line end, as soon as they are
 * said. */
typedef void log_sink(enum log_level, const char *);
void	log_set_sink(log_sink *, enum log_level);
bool	log_is_on(enum log_level);
/* "syslog:info" and the like; -1 if it is none. */
int	log_set_text(const char *);
/* What LOG_ENV must hold for a child to log alike. */
const char *log_text(void);

void	log_error(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_warning(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_debug(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_flush(void);

#endif
