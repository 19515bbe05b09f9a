/*
 * mime.c - the structure of a message: RFC 2045 §5 and §6, RFC 2046 §5.
 *
 * A body goes by whole pieces up to dashes at the start of a line; only such
 * a line is gathered, to be compared with the boundaries of all multiparts
 * that are open, the innermost first.  So a part ends at any boundary around
 * it, and a multipart whose last delimiter is missing ends with its parent.
 *
 * A delimiter is the whole line but for blanks behind it.  RFC 2046 §5.1.1
 * would have any line that begins like one; but then a boundary that begins
 * like that of an outer multipart, as some programs make them, ends the outer.
 */
#include "mail/mime.h"

#include <string.h>
#include <strings.h>

#include "mail/block.h"

#define LINE_MAX_BYTES	998	/* RFC 5321 §4.5.3.1.6; of a delimiter, too */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- the parts that are open ---- */

static struct mime_part *
top(struct mime *m)
{
	return &m->stack[m->depth - 1];
}

/* A new part begins with its header, here. */
static void
push(struct mime *m, bool is_message)
{
	unsigned number = 1;

	if (m->nparts == MIME_PARTS_MAX)
		m->error = "more than 1000 parts";
	else if (m->depth == MIME_DEPTH_MAX)
		m->error = "parts nested in over 100 levels";
	if (m->error != NULL)
		return;
	if (m->depth > 0)
		number = ++top(m)->nparts;
	m->stack[m->depth] = (struct mime_part){ .depth = m->depth,
	    .number = number, .is_message = is_message };
	m->first[m->depth++] = '\0';
	m->nparts++;
	m->mode = MIME_IN_HEADER;
	buf_consume(&m->line, buf_len(&m->line));
	m->line_at = m->at;
	m->field_len = 0;
	m->header_len = 0;
}

static void
pop(struct mime *m, uint64_t end)
{
	struct mime_part *part = top(m);

	part->body_end = end > part->body_start ? end : part->body_start;
	m->events->end(m->arg, part);
	m->depth--;
}

static void
begin_body(struct mime *m)
{
	m->mode = MIME_IN_BODY;
	m->at_bol = true;
	m->nheld = 0;
	buf_consume(&m->line, buf_len(&m->line));
}

/*
 * The multipart whose delimiter a line is, as an index into the stack; -1 if
 * it is none.
 */
static int
delimited(const struct mime *m, const char *line, size_t n, bool *is_last_r)
{
	const char	*boundary, *at;
	size_t		 i = m->depth, len;

	while (n > 0 && is_blank(line[n - 1]))
		n--;
	if (n < 3 || line[0] != '-' || line[1] != '-' || line[2] == '\0')
		return -1;
	while ((at = memrchr(m->first, line[2], i)) != NULL) {
		i = (size_t)(at - m->first);
		boundary = m->stack[i].type.boundary;
		len = strlen(boundary);
		*is_last_r = n == len + 4 && line[n - 1] == '-' &&
		    line[n - 2] == '-';
		if ((n == len + 2 || *is_last_r) &&
		    memcmp(line + 2, boundary, len) == 0)
			return (int)i;
	}
	return -1;
}

/* Behind a delimiter of the i-th part of the stack. */
static void
delimit(struct mime *m, int i, bool is_last, uint64_t end)
{
	while ((int)m->depth > i + 1)
		pop(m, end);
	if (is_last) {
		m->first[i] = '\0';
		begin_body(m);
	} else {
		push(m, false);
	}
}

/* ---- headers ---- */

/* The value of a field of that name, or NULL. */
static const char *
value_of(const char *field, size_t n, const char *name)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(field, name, len) != 0)
		return NULL;
	while (len < n && (field[len] == ' ' || field[len] == '\t'))
		len++;
	return len < n && field[len] == ':' ? field + len + 1 : NULL;
}

/* The field at the start of the buffer is complete. */
static void
end_field(struct mime *m, uint64_t end)
{
	const char	 *field = buf_data(&m->line), *v;
	struct mime_part *part = top(m);
	size_t		  n = m->field_len;

	if (n == 0)
		return;
	if ((v = value_of(field, n, "Content-Type")) != NULL) {
		if (part->ntypes++ == 0)
			mime_type_parse(&part->type, v,
			    (size_t)(field + n - v));
	} else if ((v = value_of(field, n, "Content-Transfer-Encoding"))
	    != NULL) {
		if (part->nencodings++ == 0) {
			part->encoding = mime_encoding_parse(v,
			    (size_t)(field + n - v));
			part->encoding_start = m->field_at;
			part->encoding_end = end;
			part->encoding_len = n + 2 * m->field_lines;
		}
	} else if (value_of(field, n, "MIME-Version") != NULL) {
		part->nversions++;
	} else if (value_of(field, n, "DKIM-Signature") != NULL) {
		part->has_dkim = true;
	}
	buf_consume(&m->line, n);
	m->field_len = 0;
}

/* Composite only where the content is as it stands (RFC 2045 §6.4). */
static enum mime_kind
kind_of(const struct mime_part *part)
{
	const char *name = part->type.name;

	if (!mime_is_identity(part->encoding))
		return MIME_LEAF;
	if (strcmp(name, "message/rfc822") == 0 ||
	    strcmp(name, "message/news") == 0)
		return MIME_MESSAGE;
	if (strncmp(name, "multipart/", 10) == 0 &&
	    part->type.boundary[0] != '\0')
		return MIME_MULTIPART;
	return MIME_LEAF;
}

static void
end_header(struct mime *m, bool has_body)
{
	struct mime_part *part = top(m);
	const char	 *name = "text/plain";

	part->header_end = m->line_at;
	part->body_start = has_body ? m->at : m->line_at;
	if (part->ntypes == 0) {	/* RFC 2045 §5.2, RFC 2046 §5.1.5 */
		if (part->depth > 0 && strcmp(part[-1].type.name,
		    "multipart/digest") == 0)
			name = "message/rfc822";
		memcpy(part->type.name, name, strlen(name) + 1);
	}
	part->kind = kind_of(part);
	m->first[part->depth] = part->kind == MIME_MULTIPART ?
	    part->type.boundary[0] : '\0';
	m->events->header(m->arg, part);
	begin_body(m);
	if (has_body && part->kind == MIME_MESSAGE)
		push(m, true);
}

static bool
is_8bit(const char *p, size_t n)
{
	char all = 0;

	for (size_t i = 0; i < n; i++)
		all |= p[i];
	return (all & 0x80) != 0;
}

/* A line of a header, which follows the field in the buffer. */
static void
end_header_line(struct mime *m)
{
	size_t		 n = buf_len(&m->line) - m->field_len;
	const char	*line = buf_data(&m->line);
	bool		 is_last = false;
	int		 i;

	if (line == NULL || n == 0) {
		end_field(m, m->line_at);
		end_header(m, true);
		return;
	}
	line += m->field_len;
	if ((i = delimited(m, line, n, &is_last)) != -1) {
		end_field(m, m->line_at);
		end_header(m, false);
		delimit(m, i, is_last, m->line_at);
		return;
	}
	if (is_8bit(line, n))
		top(m)->header_8bit = true;
	if (m->field_len == 0 || (line[0] != ' ' && line[0] != '\t')) {
		end_field(m, m->line_at);
		m->field_at = m->line_at;
		m->field_lines = 0;
	}
	m->field_len += n;
	m->field_lines++;
	m->line_at = m->at;
}

/* ---- lines and bodies ---- */

static void
pass(struct mime *m, const char *p, size_t n)
{
	if (m->nheld > 0)
		m->events->text(m->arg, top(m), m->held, m->nheld);
	m->nheld = 0;
	if (n > 0)
		m->events->text(m->arg, top(m), p, n);
}

/* A line that was gathered is none of ours. */
static void
pass_line(struct mime *m)
{
	pass(m, buf_data(&m->line), buf_len(&m->line));
	buf_consume(&m->line, buf_len(&m->line));
	m->mode = MIME_IN_BODY;
	m->at_bol = false;
}

static void
end_line(struct mime *m)
{
	bool	is_last = false;
	int	i;

	m->after_cr = false;
	if (m->mode == MIME_IN_HEADER) {
		end_header_line(m);
		return;
	}
	i = delimited(m, buf_data(&m->line), buf_len(&m->line), &is_last);
	if (i != -1) {
		delimit(m, i, is_last, m->line_at - m->nheld);
		return;
	}
	pass_line(m);
	memcpy(m->held, m->eol, sizeof(m->held));
	m->nheld = m->eol_len;
	m->at_bol = true;
}

/* How much of p comes before a CR or LF. */
static size_t
line_bytes(const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n), *cr;

	if (lf != NULL)
		n = (size_t)(lf - p);
	cr = memchr(p, '\r', n);
	return cr != NULL ? (size_t)(cr - p) : n;
}

/* One gathered so far that begins like a delimiter. */
static bool
is_dashed(const struct buf *line)
{
	const char *p = buf_data(line);

	return p[0] == '-' && (buf_len(line) < 2 || p[1] == '-') &&
	    buf_len(line) <= LINE_MAX_BYTES;
}

/* More of a line that is gathered; returns how much was taken. */
static size_t
add_line(struct mime *m, const char *p, size_t n)
{
	size_t len = line_bytes(p, n), room;

	room = m->mode == MIME_IN_LINE ?
	    LINE_MAX_BYTES + 1 - buf_len(&m->line) :
	    MIME_HEADER_MAX - m->header_len;
	if (m->mode == MIME_IN_HEADER && len >= room) {
		m->error = "a header of over 64 KiB";
		return 0;
	}
	if (len > room)
		len = room;
	buf_add(&m->line, p, len);
	m->header_len += len;
	m->at += len;
	if (m->mode == MIME_IN_LINE && !is_dashed(&m->line)) {
		pass_line(m);
		return len;
	}
	if (len == n)
		return len;
	m->eol[0] = p[len];
	m->eol_len = 1;
	m->header_len++;
	m->at++;
	if (p[len] == '\r')
		m->after_cr = true;
	else
		end_line(m);
	return len + 1;
}

/* Two dashes at the start of a line, or one at the end of all; or n. */
static size_t
find_dashes(const char *p, size_t n, bool at_bol)
{
	char		rest[BLOCK_BYTES];
	const char	*block;
	uint64_t	ends, dashes, last;

	for (size_t at = 0; at < n; at += BLOCK_BYTES) {
		block = p + at;
		last = UINT64_C(1) << (BLOCK_BYTES - 1);
		if (n - at < BLOCK_BYTES) {
			memset(rest, 0, sizeof(rest));
			memcpy(rest, block, n - at);
			block = rest;
			last = UINT64_C(1) << (n - at - 1);
		}
		ends = block_eq(block, '\n') | block_eq(block, '\r');
		dashes = block_eq(block, '-');
		dashes &= (ends << 1 | at_bol) & (dashes >> 1 | last);
		if (dashes != 0)
			return at + (size_t)__builtin_ctzll(dashes);
		at_bol = ends >> (BLOCK_BYTES - 1);
	}
	return n;
}

/* The line end at the end of n bytes. */
static size_t
eol_bytes(const char *p, size_t n)
{
	if (n >= 2 && p[n - 2] == '\r' && p[n - 1] == '\n')
		return 2;
	return n >= 1 && (p[n - 1] == '\n' || p[n - 1] == '\r') ? 1 : 0;
}

/* All up to a line that may be a delimiter; returns how much was taken. */
static size_t
add_body(struct mime *m, const char *p, size_t n)
{
	size_t len, eol;

	if (m->nheld == 1 && m->held[0] == '\r' && p[0] == '\n') {
		m->held[m->nheld++] = '\n';
		m->at++;
		return 1;
	}
	len = find_dashes(p, n, m->at_bol);
	if (len > 0) {
		eol = eol_bytes(p, len);
		pass(m, p, len - eol);
		memcpy(m->held, p + len - eol, eol);
		m->nheld = (uint8_t)eol;
		m->at_bol = eol > 0;
		m->at += len;
	}
	if (len < n) {
		m->mode = MIME_IN_LINE;
		m->line_at = m->at;
	}
	return len;
}

/* ---- the stream ---- */

void
mime_init(struct mime *m, const struct mime_events *events, void *arg)
{
	memset(m, 0, sizeof(*m));
	m->events = events;
	m->arg = arg;
	/* A field and a line behind it are less than a header. */
	buf_init(&m->line, MIME_HEADER_MAX);
	push(m, true);
}

void
mime_clear(struct mime *m)
{
	buf_clear(&m->line);
}

int
mime_add(struct mime *m, const char *p, size_t n)
{
	size_t taken;

	for (; n > 0 && m->error == NULL; p += taken, n -= taken) {
		taken = 0;
		if (m->after_cr) {
			if (*p == '\n') {
				m->eol[m->eol_len++] = '\n';
				m->at++;
				taken = 1;
			}
			end_line(m);
		} else if (m->mode == MIME_IN_BODY) {
			taken = add_body(m, p, n);
		} else {
			taken = add_line(m, p, n);
		}
	}
	return m->error == NULL ? 0 : -1;
}

int
mime_finish(struct mime *m)
{
	size_t gathered = buf_len(&m->line) -
	    (m->mode == MIME_IN_HEADER ? m->field_len : 0);

	if (m->error != NULL)
		return -1;
	if (m->after_cr) {
		end_line(m);
	} else if (m->mode != MIME_IN_BODY && gathered > 0) {
		m->eol_len = 0;
		end_line(m);
	}
	if (m->error != NULL)
		return -1;
	if (m->mode == MIME_IN_HEADER) {
		end_field(m, m->at);
		m->line_at = m->at;
		end_header(m, false);
	}
	pass(m, NULL, 0);
	while (m->depth > 0)
		pop(m, m->at);
	return 0;
}
