/* log_inner.h - what log.c, log_socket.c and event.c share; private to them. */
#ifndef BASE_LOG_INNER_H
#define BASE_LOG_INNER_H

#include <stdarg.h>
#include <stdint.h>

#include "base/log.h"

#define LOG_LINE_MAX	4096		/* a line of text, with its end */
#define LOG_RECORD_MAX	(16 * 1024)	/* a JSON object, an entry of the
					 * journal */

/* ---- log.c: records ---- */

enum log_form { FORM_TEXT, FORM_JSON, FORM_JOURNAL };

/* What a record has to look like now. */
enum log_form	 log_form(void);
/* Room for a record of LOG_RECORD_MAX bytes; its head is there already, of
 * *head_r bytes. log_record() follows. */
char		*log_room(enum log_level, size_t *head_r);
/* n bytes of that, head included, are the record. */
void		 log_record(enum log_level, size_t n);

/* ---- log_head.c: what stands before a record ---- */

/* "smtp-static/out"; log_head_make() follows. */
void		 log_head_name(const char *);
/* For what is written there from now on, by this process. */
void		 log_head_make(const struct log_conf *);
/* At most 600 bytes; has_mark: with the level, for a daemon. */
size_t		 log_head_put(char *to, enum log_form, enum log_level,
		    bool has_mark);
/* What a stream to the journal begins with, each time it is connected. */
const char	*log_head_stream(void);
/* For JSON: "2026-11-21T22:10:00.123Z"; who we are. */
const char	*log_stamp_ms(void);
const char	*log_program(void);		/* "smtp-static" */
/* The relay, or NULL; *key_r: or what it is called instead. */
const char	*log_unit(const char **key_r);
int		 log_pid(void);

/* ---- log_conf.c ---- */

const char	*log_level_name(enum log_level);

/* As log_set_text() takes it; -1: it is none, and conf is as it was. */
int		 log_conf_parse(const char *, struct log_conf *);
const char	*log_conf_text(const struct log_conf *);

/* ---- log_socket.c: records to a daemon ---- */

struct log_socket {
	const char	*path;
	const char	*header;	/* it is a stream and begins so; NULL:
					 * datagrams, where it takes them */
	int		 fd;		/* -1: not connected */
	bool		 is_stream;
	bool		 is_stuck;	/* it takes nothing: not waited for */
	bool		 has_memfd;	/* the journal takes a large one in one */
	int64_t		 tried_ms;	/* when connecting was last tried */
};

#define LOG_SYSLOG_PATH	"/dev/log"
#define LOG_JOURNAL_PATH "/run/systemd/journal/socket"
#define LOG_JOURNAL_STREAM_PATH "/run/systemd/journal/stdout"

/* -1 with errno. */
int		 log_socket_connect(struct log_socket *);
void		 log_socket_close(struct log_socket *);
/*
 * n records one behind the other, each followed by the byte that ends it in a
 * stream; ends are theirs, without it.  How many could not be sent.
 */
unsigned	 log_socket_send(struct log_socket *, const char *bytes,
		    const uint32_t *ends, unsigned n);

/* ---- event.c ---- */

/* A line that is no event, where it is not text. */
void		 event_note(enum log_level, const char *fmt, va_list);

#endif
