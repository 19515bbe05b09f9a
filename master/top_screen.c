/*
 * top_screen.c - the picture of `nexthop top` as text: two lines on the whole,
 * a table, a line of keys.  On a terminal every line fits the window; else
 * there are no limits and no escapes.
 */
#include "top.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#define NAME_COLUMNS_MAX	60
#define WIDE_COLUMNS		1000	/* no window */
#define SHORT_BYTES		32

#define BOLD	"\033[1m"
#define REVERSE	"\033[7m"
#define PLAIN	"\033[0m"

static const char *const sort_names[TOP_SORTS] = {
	[TOP_BY_NAME] = "name",
	[TOP_BY_RATE] = "rate",
	[TOP_BY_WAITING] = "waiting",
	[TOP_BY_FAILURES] = "failures",
};

struct screen {
	struct buf	*b;
	struct top_model *m;
	struct top_look	*look;
	unsigned	 lines;		/* put so far */
	unsigned	 names;		/* columns of the first column */
	char		 line[2048];	/* under way */
	size_t		 len;
};

/* ---- lines ---- */

/* Characters of UTF-8, as many columns. */
static unsigned
columns_of(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Bytes of the first n characters. */
static size_t
bytes_of(const char *s, unsigned n)
{
	size_t i = 0;

	while (s[i] != '\0' && (n > 0 ||
	    ((unsigned char)s[i] & 0xc0) == 0x80)) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			n--;
		i++;
	}
	return i;
}

static void __attribute__((format(printf, 2, 3)))
add(struct screen *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->line + s->len, sizeof(s->line) - s->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		s->len += (size_t)n;
	if (s->len >= sizeof(s->line))
		s->len = sizeof(s->line) - 1;
}

/* A text from elsewhere in so many columns; 0: all of it. */
static void
add_text(struct screen *s, const char *text, unsigned columns)
{
	char shown[1024];
	unsigned n;

	if (text == NULL || *text == '\0')
		text = "-";
	str_escape(shown, sizeof(shown), text, strlen(text));
	n = columns_of(shown);
	if (columns > 0 && n > columns)
		shown[bytes_of(shown, columns)] = '\0';
	add(s, "%s", shown);
	for (; n < columns; n++)
		add(s, " ");
}

/* The line is done; style: escapes before it, or "". */
static void
end_line(struct screen *s, const char *style)
{
	const struct top_look *look = s->look;
	size_t n = s->len;

	s->line[n] = '\0';
	if (look->is_terminal)
		n = bytes_of(s->line, look->width);
	while (n > 0 && s->line[n - 1] == ' ' && *style == '\0')
		n--;
	s->lines++;
	s->len = 0;
	if (!look->is_terminal) {
		buf_add(s->b, s->line, n);
		buf_puts(s->b, "\n");
	} else if (s->lines <= look->height) {
		/* No line end behind the last line: it would scroll. */
		if (s->lines > 1)
			buf_puts(s->b, "\r\n");
		buf_printf(s->b, "%s%.*s%s\033[K", style, (int)n, s->line,
		    *style != '\0' ? PLAIN : "");
	}
}

/* ---- numbers ---- */

/* In at most 6 columns; a whole number has no point. */
static const char *
short_number(char to[SHORT_BYTES], double n)
{
	static const char units[] = "kMGTP";
	int i = 0;

	if (n < 10 && n != (double)(int)n)
		snprintf(to, SHORT_BYTES, "%.1f", n);
	else if (n < 100000)
		snprintf(to, SHORT_BYTES, "%.0f", n);
	else {
		for (n /= 1000; n >= 1000 && i < 4; i++)
			n /= 1000;
		snprintf(to, SHORT_BYTES, n < 100 ? "%.1f%c" : "%.0f%c", n, units[i]);
	}
	return to;
}

/* In at most 6 columns: "850us", "12ms", "1.5s", "250s"; "-" for none. */
static const char *
short_time(char to[SHORT_BYTES], const struct histogram *h, double share)
{
	int64_t us = histogram_quantile_us(h, share);

	if (histogram_count(h) == 0)
		snprintf(to, SHORT_BYTES, "-");
	else if (us < 1000)
		snprintf(to, SHORT_BYTES, "%jdus", (intmax_t)us);
	else if (us < 1000000)
		snprintf(to, SHORT_BYTES, us < 10000 ? "%.1fms" : "%.0fms",
		    (double)us / 1e3);
	else
		snprintf(to, SHORT_BYTES, us < 10000000 ? "%.1fs" : "%.0fs",
		    (double)us / 1e6);
	return to;
}

static const char *
short_age(char to[SHORT_BYTES], int64_t s)
{
	if (s < 0)
		s = 0;
	if (s < 60)
		snprintf(to, SHORT_BYTES, "%jds", (intmax_t)s);
	else if (s < 3600)
		snprintf(to, SHORT_BYTES, "%jdm", (intmax_t)(s / 60));
	else if (s < 172800)
		snprintf(to, SHORT_BYTES, "%jdh", (intmax_t)(s / 3600));
	else
		snprintf(to, SHORT_BYTES, "%jdd", (intmax_t)(s / 86400));
	return to;
}

static void
add_number(struct screen *s, double n, int width)
{
	char text[SHORT_BYTES];

	add(s, " %*s", width, short_number(text, n));
}

static void
add_time(struct screen *s, const struct histogram *h, double share)
{
	char text[SHORT_BYTES];

	add(s, " %6s", short_time(text, h, share));
}

static void
add_rates(struct screen *s, const struct top_item *i)
{
	add_number(s, i->rate[TOP_DELIVERED], 7);
	add_number(s, i->rate[TOP_TRANSIENT], 6);
	add_number(s, i->rate[TOP_PERMANENT], 6);
}

/* ---- the head ---- */

static void
put_totals(struct screen *s)
{
	const struct top_item *t = &s->m->total;
	char a[SHORT_BYTES], b[SHORT_BYTES], c[SHORT_BYTES];
	char d[SHORT_BYTES], e[SHORT_BYTES];

	add(s, "sent %s/s, deferred %s/s, bounced %s/s, median %s, 95%% %s",
	    short_number(a, t->rate[TOP_DELIVERED]),
	    short_number(b, t->rate[TOP_TRANSIENT]),
	    short_number(c, t->rate[TOP_PERMANENT]),
	    short_time(d, &t->recent, 0.5), short_time(e, &t->recent, 0.95));
	end_line(s, "");
}

static void
put_head(struct screen *s)
{
	const struct top_model *m = s->m;
	const struct top_item *t = &m->total;
	char a[SHORT_BYTES], b[SHORT_BYTES], c[SHORT_BYTES];
	char d[SHORT_BYTES], clock[16];
	time_t now = (time_t)s->look->now_s;
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	add(s, "nexthop %s, %s %s, pid %jd, up %s, %jd submitters%s",
	    m->version == NULL ? "?" : m->version,
	    m->state == NULL ? "?" : m->state, clock, (intmax_t)m->pid,
	    short_age(a, s->look->now_s - m->started_at),
	    (intmax_t)m->submitters, s->look->is_paused ? ", PAUSED" : "");
	end_line(s, s->look->is_terminal ? BOLD : "");
	if (s->look->trouble != NULL) {
		add(s, "%s", s->look->trouble);
		end_line(s, s->look->is_terminal ? REVERSE : "");
	} else
		put_totals(s);
	add(s, "open %s, queued %s (%s bytes), waiting %s, ",
	    short_number(a, (double)t->open),
	    short_number(b, (double)t->queued),
	    short_number(c, (double)m->queued_bytes),
	    short_number(d, (double)t->waiting));
	add(s, "connections %s, %s idle",
	    short_number(a, (double)t->connections),
	    short_number(b, (double)t->idle));
	end_line(s, "");
	end_line(s, "");
}

/* ---- tables ---- */

/* Columns for the names: what the others leave, and no more than is used. */
static void
fit_names(struct screen *s, const struct top_list *list, unsigned others,
    unsigned least)
{
	unsigned width = s->look->is_terminal ? s->look->width : WIDE_COLUMNS;
	unsigned room = width > others + least ? width - others : least;
	unsigned need = least, n;
	size_t i;

	for (i = 0; i < list->n; i++) {
		n = columns_of(list->v[i].name != NULL ? list->v[i].name :
		    list->v[i].relay);
		if (n > need)
			need = n;
	}
	s->names = need < room ? need : room;
	if (s->names > NAME_COLUMNS_MAX)
		s->names = NAME_COLUMNS_MAX;
}

static void
put_relay(struct screen *s, const struct top_item *r)
{
	add_text(s, r->relay, s->names);
	add(s, " ");
	add_text(s, r->state, 7);
	add_number(s, (double)r->open, 5);
	add_number(s, (double)r->queued, 6);
	add_number(s, (double)r->waiting, 5);
	add_number(s, (double)r->connections, 5);
	add_rates(s, r);
	add_time(s, &r->recent, 0.5);
	add_time(s, &r->recent, 0.95);
	end_line(s, "");
}

static void
put_destination(struct screen *s, const struct top_item *d)
{
	add_text(s, d->name, s->names);
	add(s, " ");
	add_text(s, d->relay, 10);
	add_number(s, (double)d->waiting, 6);
	add_number(s, (double)d->connections, 6);
	add_number(s, (double)d->idle, 6);
	add_rates(s, d);
	end_line(s, "");
}

static void
put_error(struct screen *s, const struct top_item *d)
{
	char age[SHORT_BYTES];

	add(s, "%5s ", short_age(age, s->look->now_s - d->error_at));
	add_text(s, d->relay, 10);
	add(s, " ");
	add_text(s, d->name, s->names);
	add(s, " ");
	add_text(s, d->error, 0);
	end_line(s, "");
}

/* Rows that there is room for, first being put into bounds; a line remains for
 * the keys. */
static size_t
room_for(struct screen *s, size_t n)
{
	struct top_look *look = s->look;
	size_t room = n;

	if (!look->is_terminal)
		return n;
	room = look->height > s->lines + 1 ? look->height - s->lines - 1 : 0;
	if (n <= room)
		look->first = 0;
	else if (look->first > n - room)
		look->first = (unsigned)(n - room);
	return room < n ? room : n;
}

static void
put_rows(struct screen *s, const struct top_list *list,
    void (*put)(struct screen *, const struct top_item *))
{
	size_t n = room_for(s, list->n), i;

	for (i = 0; i < n; i++)
		put(s, &list->v[s->look->first + i]);
}

static const char *
title_style(const struct screen *s)
{
	return s->look->is_terminal ? REVERSE : "";
}

static void
put_relays(struct screen *s)
{
	struct top_list *list = &s->m->relays;

	top_sort(list, s->look);
	fit_names(s, list, 71, 9);
	add(s, "%-*s %-7s %5s %6s %5s %5s %7s %6s %6s %6s %6s",
	    (int)s->names, "RELAY", "STATE", "OPEN", "QUEUED", "WAIT",
	    "CONNS", "SENT/S", "DEFER", "BOUNCE", "MEDIAN", "95%");
	end_line(s, title_style(s));
	put_rows(s, list, put_relay);
}

static void
put_destinations(struct screen *s)
{
	struct top_list *list = &s->m->destinations;

	top_sort(list, s->look);
	fit_names(s, list, 54, 12);
	add(s, "%-*s %-10s %6s %6s %6s %7s %6s %6s", (int)s->names,
	    "DESTINATION", "RELAY", "WAIT", "CONNS", "IDLE", "SENT/S",
	    "DEFER", "BOUNCE");
	end_line(s, title_style(s));
	put_rows(s, list, put_destination);
}

/* Of relays and destinations; those without one are left out. */
static void
put_errors(struct screen *s)
{
	struct top_list list = { .n = 0 };
	const struct top_list *from[] = { &s->m->relays,
	    &s->m->destinations };
	size_t i, k;

	list.v = calloc(from[0]->n + from[1]->n + 1, sizeof(*list.v));
	for (k = 0; list.v != NULL && k < 2; k++)
		for (i = 0; i < from[k]->n; i++)
			if (from[k]->v[i].error != NULL)
				list.v[list.n++] = from[k]->v[i];
	top_sort(&list, s->look);
	fit_names(s, &list, 48, 11);
	add(s, "%5s %-10s %-*s %s", "AGO", "RELAY", (int)s->names,
	    "DESTINATION", "LAST ERROR");
	end_line(s, title_style(s));
	put_rows(s, &list, put_error);
	free(list.v);
}

static void
put_keys(struct screen *s)
{
	while (s->lines + 1 < s->look->height)
		end_line(s, "");
	add(s, "q quit  p %s  s sort (%s)  r relays  d destinations  "
	    "e errors  j k scroll", s->look->is_paused ? "go on" :
	    "pause", s->look->view == TOP_ERRORS ? "time" :
	    sort_names[s->look->sort]);
	end_line(s, BOLD);
}

void
top_screen(struct buf *b, struct top_model *m, struct top_look *look)
{
	struct screen s = { .b = b, .m = m, .look = look };

	if (look->is_terminal)
		buf_puts(b, "\033[H");
	put_head(&s);
	switch (look->view) {
	case TOP_DESTINATIONS:
		put_destinations(&s);
		break;
	case TOP_ERRORS:
		put_errors(&s);
		break;
	default:
		put_relays(&s);
		break;
	}
	if (look->is_terminal) {
		put_keys(&s);
		buf_puts(b, "\033[J");
	}
}
