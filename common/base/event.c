/*
 * event.c - a line of the log with a name and fields, in the form that the log
 * has.  The journal gets both: fields, and the line of text as its MESSAGE.
 *
 * LONG: each field as text, as JSON and for the journal, side by side
 */
#include "base/event.h"

#include <stdarg.h>
#include <string.h>

#include "base/event_out.h"
#include "base/log_inner.h"
#include "base/str.h"

#define VALUE_SHOWN	1024	/* of a value, in text */
#define DATA_SHOWN	2048	/* in JSON; in the journal, where it is raw */
#define ADDRESS_SHOWN	512
#define HOST_SHOWN	256
#define FIELD_MIN	48	/* less room than key and this: no field */
#define TAIL_BYTES	256	/* for the end of an object */

static const struct {
	const char	*name;
	enum log_level	 level;
	bool		 is_final;
	const char	*text;
} events[] = {
#define EVENT(id, name, level, text) \
	[EVENT_##id] = { name, LOG_LEVEL_##level, false, text },
#define FINAL(id, name, level, text) \
	[EVENT_##id] = { name, LOG_LEVEL_##level, true, text },
#include "base/events.h"
#undef EVENT
#undef FINAL
};

static char message[LOG_LINE_MAX];	/* of the journal, while it is made */

const char *
event_name_text(unsigned name)
{
	return name < EVENT_NAMES ? events[name].name : NULL;
}

/* ---- bytes ---- */

/* At most max bytes of the escaped value; a NUL takes one more. */
static void
put_shown(struct event_out *o, enum str_shown how, const char *s, size_t max)
{
	if (max > room(o))
		max = room(o);
	if (max > 0)
		o->at += str_escape_as(how, o->at, max, s, strlen(s));
}

/* ---- fields ---- */

/* "key=" in text; false: not there. */
static bool
text_key(struct event_line *e, struct event_key key)
{
	if (e->form == FORM_JSON || e->is_beside ||
	    room(&e->text) < key.n + FIELD_MIN)
		return false;
	/* There is room for it. */
	if (e->want_blank)
		*e->text.at++ = ' ';
	e->want_blank = true;
	memcpy(e->text.at, key.p, key.n);
	e->text.at[key.n] = '=';
	e->text.at += key.n + 1;
	return true;
}

/* The field of a number or the like; in JSON the value stands as it is. */
static bool
data_key(struct event_line *e, struct event_key key)
{
	size_t i;

	if (e->form == FORM_TEXT || room(&e->data) < key.n + FIELD_MIN)
		return false;
	if (e->form == FORM_JSON) {
		put_lit(&e->data, ",\"");
		put(&e->data, key.p, key.n);
		put_lit(&e->data, "\":");
		return true;
	}
	put_lit(&e->data, "NEXTHOP_");
	for (i = 0; i < key.n; i++)
		put_char(&e->data, key.p[i] >= 'a' ? key.p[i] - 'a' + 'A' :
		    key.p[i]);
	put_char(&e->data, '=');
	return true;
}

static void
data_end(struct event_line *e)
{
	if (e->form == FORM_JOURNAL)
		put_char(&e->data, '\n');
}

/* What is no UTF-8 is shown with escapes, and the key is noted. */
static void
json_value(struct event_line *e, const char *key, const char *s)
{
	size_t n = strlen(s), max = DATA_SHOWN;
	char shown[DATA_SHOWN];

	if (n < max && n + 2 <= room(&e->data) && str_is_json(s, n)) {
		*e->data.at++ = '"';
		memcpy(e->data.at, s, n);
		e->data.at[n] = '"';
		e->data.at += n + 1;
		return;
	}
	if (!str_is_utf8(s, n)) {
		n = str_escape(shown, sizeof(shown), s, n);
		s = shown;
		if (e->nescaped < EVENT_ESCAPED_MAX)
			e->escaped[e->nescaped++] = key;
	}
	put_char(&e->data, '"');
	if (max > room(&e->data))
		max = room(&e->data);
	if (max > 0)
		e->data.at += str_json(e->data.at, max, s, n);
	put_char(&e->data, '"');
}

/* Raw; with a line end inside its length goes before it (systemd's "native
 * journal protocol"). */
static void
journal_value(struct event_line *e, const char *s)
{
	size_t n = strnlen(s, DATA_SHOWN), i;

	if (n + 16 > room(&e->data))
		n = room(&e->data) < 16 ? 0 : room(&e->data) - 16;
	if (memchr(s, '\n', n) != NULL) {
		e->data.at[-1] = '\n';		/* for "=" */
		for (i = 0; i < 64; i += 8)
			put_char(&e->data, (char)(n >> i & 0xff));
	}
	put(&e->data, s, n);
	put_char(&e->data, '\n');
}

static void
data_text(struct event_line *e, struct event_key key, const char *s)
{
	if (!data_key(e, key))
		return;
	if (e->form == FORM_JSON)
		json_value(e, key.p, s);
	else
		journal_value(e, s);
}

static void
text_quoted(struct event_line *e, const char *s)
{
	put_char(&e->text, '"');
	put_shown(&e->text, SHOWN_QUOTED, s, VALUE_SHOWN);
	put_char(&e->text, '"');
}

void
event_put_text(struct event_line *e, struct event_key key, const char *value)
{
	size_t n;

	if (value == NULL)
		return;
	if (text_key(e, key)) {
		n = strlen(value);
		if (n < VALUE_SHOWN && str_is_bare(value, n))
			put(&e->text, value, n);
		else
			text_quoted(e, value);
	}
	data_text(e, key, value);
}

void
event_put_quoted(struct event_line *e, struct event_key key, const char *value)
{
	if (text_key(e, key))
		text_quoted(e, value);
	data_text(e, key, value);
}

void
event_put_int(struct event_line *e, struct event_key key, int64_t value)
{
	if (text_key(e, key))
		put_int(&e->text, value);
	if (data_key(e, key)) {
		put_int(&e->data, value);
		data_end(e);
	}
}

void
event_put_seconds(struct event_line *e, struct event_key key, int64_t ms)
{
	if (text_key(e, key))
		put_seconds(&e->text, ms);
	if (data_key(e, key)) {
		put_seconds(&e->data, ms);
		data_end(e);
	}
}

void
event_put_bool(struct event_line *e, struct event_key key, bool value)
{
	if (text_key(e, key))
		put_str(&e->text, value ? "yes" : "no");
	if (data_key(e, key)) {
		put_str(&e->data, e->form != FORM_JSON ? value ? "yes" : "no" :
		    value ? "true" : "false");
		data_end(e);
	}
}

void
event_message(struct event_line *e, const char *fmt, ...)
{
	char text[DATA_SHOWN];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) >= 0)
		event_quoted(e, "message", text);
	va_end(ap);
}

/* ---- what became of a recipient ---- */

void
event_put_address(struct event_line *e, struct event_key key, const char *value)
{
	if (text_key(e, key)) {
		put_char(&e->text, '<');
		put_shown(&e->text, SHOWN_FIELD, value, ADDRESS_SHOWN);
		put_char(&e->text, '>');
	}
	data_text(e, key, value);
}

void
event_peer(struct event_line *e, const char *host, const char *address,
    unsigned port)
{
	const char *shown = *host == '\0' ? "none" : host;

	if (text_key(e, EVENT_KEY("relay"))) {
		put_shown(&e->text, SHOWN_FIELD, shown, HOST_SHOWN);
		if (port != 0) {
			put_char(&e->text, '[');
			put_str(&e->text, address);
			put_lit(&e->text, "]:");
			put_int(&e->text, port);
		}
	}
	if (e->form == FORM_TEXT || *host == '\0')
		return;
	data_text(e, EVENT_KEY("host"), host);
	if (port == 0)
		return;
	data_text(e, EVENT_KEY("address"), address);
	if (data_key(e, EVENT_KEY("port"))) {
		put_int(&e->data, port);
		data_end(e);
	}
}

void
event_next_relay(struct event_line *e, const char *name)
{
	if (text_key(e, EVENT_KEY("relay")))
		put_shown(&e->text, SHOWN_FIELD, name, HOST_SHOWN);
	data_text(e, EVENT_KEY("next_relay"), name);
}

void
event_put_times(struct event_line *e, struct event_key key, const uint32_t *ms, unsigned n)
{
	bool is_json = e->form == FORM_JSON;
	unsigned i;

	if (text_key(e, key))
		for (i = 0; i < n; i++) {
			if (i > 0)
				put_char(&e->text, '/');
			put_seconds(&e->text, ms[i]);
		}
	if (!data_key(e, key))
		return;
	for (i = 0; i < n; i++) {
		put_str(&e->data, i > 0 ? is_json ? "," : "/" :
		    is_json ? "[" : "");
		put_seconds(&e->data, ms[i]);
	}
	if (is_json)
		put_char(&e->data, ']');
	data_end(e);
}

void
event_dsn(struct event_line *e, const uint8_t dsn[3])
{
	char text[16], *p = text;
	int i;

	for (i = 0; i < 3; i++) {
		if (i > 0)
			*p++ = '.';
		if (dsn[i] >= 100)
			*p++ = (char)('0' + dsn[i] / 100);
		if (dsn[i] >= 10)
			*p++ = (char)('0' + dsn[i] / 10 % 10);
		*p++ = (char)('0' + dsn[i] % 10);
	}
	*p = '\0';
	event_text(e, "dsn", text);
}

void
event_reply(struct event_line *e, unsigned code, const char *text)
{
	if (e->form != FORM_JSON && !e->is_beside) {
		put_lit(&e->text, " (");
		put_int(&e->text, code);
		put_char(&e->text, ' ');
		put_shown(&e->text, SHOWN_LINE, text, VALUE_SHOWN);
		put_char(&e->text, ')');
	}
	if (data_key(e, EVENT_KEY("code"))) {
		put_int(&e->data, code);
		data_end(e);
	}
	data_text(e, EVENT_KEY("reply"), text);
}

void
event_beside(struct event_line *e)
{
	e->is_beside = true;
}

/* ---- begin and end ---- */

/* Before the fields of a line of text: "Q1: session". */
static void
begin_text(struct event_line *e, enum event_name name, const char *id)
{
	bool has_name = !events[name].is_final;

	if (*id != '\0' || !has_name) {
		put_shown(&e->text, SHOWN_FIELD, *id == '\0' ? "-" : id,
		    HOST_SHOWN);
		put_str(&e->text, has_name ? ": " : ":");
	}
	if (has_name)
		put_str(&e->text, events[name].name);
	e->want_blank = true;
}

static void
begin_json(struct event_line *e, enum event_name name)
{
	put_lit(&e->data, "{\"time\":\"");
	put_str(&e->data, log_stamp_ms());
	put_lit(&e->data, "\",\"level\":\"");
	put_str(&e->data, log_level_name(e->level));
	put_lit(&e->data, "\",\"program\":\"");
	put_str(&e->data, log_program());
	put_lit(&e->data, "\",\"pid\":");
	put_int(&e->data, log_pid());
	data_text(e, EVENT_KEY("event"), events[name].name);
}

static void
begin(struct event_line *e, enum event_name name, enum log_level level,
    const char *id)
{
	const char *unit, *key;
	size_t head;

	e->form = (uint8_t)log_form();
	e->level = level;
	e->is_beside = e->want_blank = false;
	e->nescaped = 0;
	e->record = log_room(level, &head);
	e->data.at = e->text.at = e->record + head;
	e->text.end = e->record + LOG_LINE_MAX - 1;
	e->data.end = e->record + LOG_RECORD_MAX - TAIL_BYTES;
	if (e->form == FORM_JOURNAL) {
		e->data.end -= LOG_LINE_MAX;
		e->text.at = message;
		e->text.end = message + sizeof(message) - 1;
	}
	if (e->form == FORM_JSON)
		begin_json(e, name);
	else
		begin_text(e, name, id);
	if (e->form == FORM_JOURNAL)
		data_text(e, EVENT_KEY("event"), events[name].name);
	if (e->form != FORM_TEXT && *id != '\0')
		data_text(e, EVENT_KEY("id"), id);
	if (e->form != FORM_TEXT && (unit = log_unit(&key)) != NULL)
		data_text(e, EVENT_KEY(key), unit);
}

bool
event_begin(struct event_line *e, enum event_name name, const char *id)
{
	if (!log_is_on(events[name].level))
		return false;
	begin(e, name, events[name].level, id == NULL ? "" : id);
	return true;
}

static void
end_json(struct event_line *e)
{
	unsigned i;

	e->data.end = e->record + LOG_RECORD_MAX - 2;
	if (e->nescaped > 0)
		put_lit(&e->data, ",\"escaped\":[\"");
	for (i = 0; i < e->nescaped; i++) {
		if (i > 0)
			put_lit(&e->data, "\",\"");
		put_str(&e->data, e->escaped[i]);
	}
	if (e->nescaped > 0)
		put_lit(&e->data, "\"]");
	put_char(&e->data, '}');
}

void
event_end(struct event_line *e)
{
	if (e->form == FORM_TEXT) {
		log_record(e->level, (size_t)(e->text.at - e->record));
		return;
	}
	if (e->form == FORM_JSON)
		end_json(e);
	else {
		e->data.end = e->record + LOG_RECORD_MAX - 2;
		put_lit(&e->data, "MESSAGE=");
		put(&e->data, message, (size_t)(e->text.at - message));
		put_char(&e->data, '\n');
	}
	log_record(e->level, (size_t)(e->data.at - e->record));
}

void
event_note(enum log_level level, const char *fmt, va_list ap)
{
	static char text[LOG_LINE_MAX - 256];
	struct event_line e;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	begin(&e, EVENT_NOTE, level, "");
	if (e.form == FORM_JSON)
		data_text(&e, EVENT_KEY("message"), text);
	else {
		e.text.at = message;
		put_str(&e.text, text);
	}
	event_end(&e);
}

/* ---- connections ---- */

void
event_session(enum event_name name, const struct event_session *s)
{
	struct event_line e;

	if (!event_begin(&e, name, NULL))
		return;
	event_int(&e, "session", (int64_t)s->serial);
	event_text(&e, "protocol", s->protocol);
	event_text(&e, "host", s->host);
	if (s->port != 0) {
		event_text(&e, "address", s->address);
		event_int(&e, "port", s->port);
	}
	event_text(&e, "tls", s->tls == NULL ? "none" : s->tls);
	event_text(&e, "ehlo", s->ehlo);
	event_int(&e, "messages", (int64_t)s->messages);
	event_int(&e, "recipients", (int64_t)s->recipients);
	event_int(&e, "bytes", (int64_t)s->bytes);
	event_int(&e, "reused", (int64_t)s->reused);
	event_seconds(&e, "duration", s->duration_ms);
	if (s->end != NULL)
		event_quoted(&e, "end", s->end);
	event_end(&e);
}

/* ---- the manual ---- */

/* Each sentence begins a line. */
void
event_table_mdoc(FILE *fp)
{
	const char *p, *end;
	size_t i;

	for (i = 0; i < EVENT_NAMES; i++) {
		fprintf(fp, ".It Cm %s Pq %s\n", events[i].name,
		    log_level_name(events[i].level));
		for (p = events[i].text; (end = strstr(p, "  ")) != NULL;
		    p = end + 2)
			fprintf(fp, "%.*s\n", (int)(end - p), p);
		fprintf(fp, "%s\n", p);
	}
}
