/*
 * maillog.h - the log as Postfix's own programs write it: to postlogd(8) where
 * maillog_file is set, else to syslog; and the line that tells what became of
 * a recipient, which log analysers know.
 */
#ifndef POSTFIX_MAILLOG_H
#define POSTFIX_MAILLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include "postfix/request.h"

#define PF_LINE_MAX	2000	/* Postfix cuts there */

/*
 * All of base/log.h goes there from now on.  The socket is opened at once: a
 * chroot may follow.  `tag` is "postfix/smtp-static"; facility a name like
 * "mail"; socket the path of postlogd's or NULL.
 */
void	pf_maillog_open(const char *tag, const char *facility,
	    const char *socket, const char *hostname, bool is_verbose);
/* After chroot the socket has another path. */
void	pf_maillog_chrooted(void);

/* What a line tells; none may be NULL. */
struct pf_line {
	const char	*queue_id;
	const struct pf_rcpt *rcpt;
	const char	*relay;
	unsigned	 conn_use;	/* > 1: shown */
	const struct pf_times *times;
	const char	*dsn;
	const char	*status;	/* "sent" */
	const char	*reason;
	bool		 is_external;	/* info_log_address_format */
	int		 resolution;	/* delay_logging_resolution_limit */
};

/* The line without its head; returns its length. */
size_t	pf_format_line(char *to, size_t size, const struct pf_line *);

/* "12", "1.3", "0.04", "0": two digits, at most `limit` decimals. */
void	pf_format_delay(char *to, size_t size, int64_t us, int limit);

/* One line without control characters: they become '?', line ends blanks. */
void	pf_printable(char *);

#endif
