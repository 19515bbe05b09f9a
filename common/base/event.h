/*
 * event.h - a line of the log with a name and fields.
 *
 *	struct event_line e;
 *
 *	if (event_begin(&e, EVENT_SESSION, NULL)) {
 *		event_text(&e, "host", host);
 *		event_int(&e, "messages", n);
 *		event_end(&e);
 *	}
 *
 * is written in the form that the log has (nexthop-events(7)): a line of text,
 * a JSON object, or an entry of the journal.  Values may hold any bytes: they
 * are escaped so that no other field can be feigned, and each form can be
 * parsed back.  Keys are lower-case words, known at compile time.  What does
 * not fit is cut: values after about 1,000 bytes, an event after 16 KiB.
 *
 * One event is written at a time; nothing may be logged between its begin and
 * its end.
 */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"

enum event_name {
#define EVENT(name, ...)	EVENT_##name,
#define FINAL(name, ...)	EVENT_##name,
#include "base/events.h"
#undef EVENT
#undef FINAL
	EVENT_NAMES
};

#define EVENT_ESCAPED_MAX 8

struct event_out {
	char		*at;
	char		*end;		/* of the room; at stays below */
};

struct event_line {			/* private to event.c */
	uint8_t		 form;
	bool		 is_beside;	/* not in text from here on */
	bool		 want_blank;	/* before the next field of text */
	enum log_level	 level;
	char		*record;
	struct event_out text;		/* the line; the journal's MESSAGE */
	struct event_out data;		/* JSON; the journal's fields */
	const char	*escaped[EVENT_ESCAPED_MAX];
	unsigned	 nescaped;
};

/* false: its level is off, and the event must not be touched.  id: that of the
 * delivery; NULL or "": it is about none. */
bool	event_begin(struct event_line *, enum event_name, const char *id);
void	event_end(struct event_line *);

/* A key; its length is known when compiling. */
struct event_key {
	const char	*p;
	size_t		 n;
};
#define EVENT_KEY(key)	((struct event_key){ (key), __builtin_strlen(key) })

/* Bytes of a peer's, up to a NUL; NULL: no field. */
#define event_text(e, key, value) event_put_text(e, EVENT_KEY(key), value)
#define event_int(e, key, value) event_put_int(e, EVENT_KEY(key), value)
/* Milliseconds, shown as seconds: 1.250 */
#define event_seconds(e, key, ms) event_put_seconds(e, EVENT_KEY(key), ms)
#define event_bool(e, key, value) event_put_bool(e, EVENT_KEY(key), value)
/* For people, with what the fields say in words. */
void	event_message(struct event_line *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* The fields of FINAL events, which have a text of their own. */
#define event_address(e, key, value) \
	event_put_address(e, EVENT_KEY(key), value)
/* host, address and port; text: relay=host[address]:port.  Without a host
 * "none"; with port 0 the host alone. */
void	event_peer(struct event_line *, const char *host, const char *address,
	    unsigned port);
/* relay=NAME, where a recipient was forwarded to: next_relay. */
void	event_next_relay(struct event_line *, const char *);
#define event_times(e, key, ms, n) event_put_times(e, EVENT_KEY(key), ms, n)
void	event_dsn(struct event_line *, const uint8_t dsn[3]);
/* As event_text(), always in quotes. */
#define event_quoted(e, key, value) \
	event_put_quoted(e, EVENT_KEY(key), value)
/* code and reply; text: (250 text), the last of the line. */
void	event_reply(struct event_line *, unsigned code, const char *);
/* Fields from here on are left out of lines of text. */
void	event_beside(struct event_line *);

void	event_put_text(struct event_line *, struct event_key, const char *);
void	event_put_int(struct event_line *, struct event_key, int64_t);
void	event_put_seconds(struct event_line *, struct event_key, int64_t ms);
void	event_put_bool(struct event_line *, struct event_key, bool);
void	event_put_address(struct event_line *, struct event_key, const char *);
void	event_put_times(struct event_line *, struct event_key,
	    const uint32_t *ms, unsigned n);
void	event_put_quoted(struct event_line *, struct event_key, const char *);

/* ---- a connection that has ended ---- */

struct event_session {		/* texts may be NULL: not known */
	const char	*protocol;	/* "smtp", "lmtp", "http" */
	uint64_t	 serial;	/* in this process; as in transcripts */
	const char	*host;		/* the peer */
	const char	*address;
	unsigned	 port;		/* 0: none */
	const char	*tls;		/* "TLSv1.3 ..."; NULL: none */
	const char	*ehlo;		/* the name given by the client */
	uint64_t	 messages, recipients;	/* recipients: of those
						 * that were taken */
	uint64_t	 bytes;		/* of messages that were sent */
	uint64_t	 reused;	/* messages after the first */
	int64_t		 duration_ms;
	const char	*end;		/* why it has ended */
};

void	event_session(enum event_name, const struct event_session *);

/* The table as items of a manual page. */
void	event_table_mdoc(FILE *);
/* "delivered"; NULL beyond the last. */
const char *event_name_text(unsigned);

#endif
