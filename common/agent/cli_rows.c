/*
 * cli_rows.c - the answers of a run as rows.  Messages may end in any order;
 * what cannot be printed yet is kept as finished text.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "agent/cli.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/address.h"
#include "mail/reply.h"

/* The longest argument (MAX_ARG_STRLEN) with every byte as \u00xx, and the
 * texts of an answer. */
#define ROW_BYTES_MAX	(1024 * 1024)

struct row {
	char		*text;		/* NULL until answered */
	uint8_t		 cls;
};

struct message {
	uint32_t	 left;
	struct row	*rows;		/* NULL before the first answer */
};

struct cli_rows {
	const struct cli *cli;
	FILE		*out;
	struct message	*messages;
	uint32_t	 next;		/* first one not printed, from 0 */
	bool		 any_transient, any_permanent;
};

/* ---- one row ---- */

static void
add_json(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "\"%s\":", name);
	if (value == NULL)
		buf_puts(b, "null");
	else
		buf_json(b, value);
	buf_puts(b, ",");
}

static void
format_json(struct buf *b, const char *rcpt, uint32_t m,
    const struct answer *a)
{
	const struct reply *r = &a->reply;

	buf_puts(b, "{");
	add_json(b, "recipient", rcpt);
	add_json(b, "class", reply_class_name(r->cls));
	buf_printf(b, "\"code\":%u,\"enhanced_code\":\"" DSN_FMT "\",",
	    r->code, DSN_ARG(r));
	add_json(b, "text", r->text);
	add_json(b, "host", a->host);
	add_json(b, "address", a->address);
	buf_printf(b, "\"port\":%u,", a->port);
	add_json(b, "stage", stage_name(r->stage));
	buf_printf(b, "\"message\":%u,", m);
	add_json(b, "by", reply_by_name(r->by));
	add_json(b, "tls", a->tls);
	if (r->retry_after_s != 0)
		buf_printf(b, "\"retry_after\":%u,", r->retry_after_s);
	buf_printf(b, "\"times\":{\"wait\":%u.%03u,\"connect\":%u.%03u,"
	    "\"transaction\":%u.%03u,\"total\":%u.%03u}}\n",
	    a->wait_ms / 1000, a->wait_ms % 1000,
	    a->connect_ms / 1000, a->connect_ms % 1000,
	    a->transaction_ms / 1000, a->transaction_ms % 1000,
	    a->total_ms / 1000, a->total_ms % 1000);
}

static void
add_escaped(struct buf *b, const char *s)
{
	buf_escape(b, s, strlen(s));
}

static void
format_tsv(struct buf *b, const char *rcpt, uint32_t m, const struct answer *a)
{
	const struct reply *r = &a->reply;

	add_escaped(b, rcpt);
	buf_printf(b, "\t%s\t%u\t" DSN_FMT "\t", reply_class_name(r->cls),
	    r->code, DSN_ARG(r));
	add_escaped(b, r->text);
	buf_puts(b, "\t");
	add_escaped(b, a->host);
	buf_puts(b, "\t");
	add_escaped(b, a->address);
	buf_printf(b, "\t%u\t%s\t%u\n", a->port, stage_name(r->stage), m);
}

/* For people, and for Postfix's pipe(8): the enhanced code comes first. */
static void
format_text(struct buf *b, const char *rcpt, uint32_t m,
    const struct answer *a)
{
	const struct reply *r = &a->reply;

	(void)m;
	buf_printf(b, DSN_FMT " <", DSN_ARG(r));
	add_escaped(b, rcpt);
	buf_printf(b, "> %s: ", reply_class_name(r->cls));
	if (r->by == BY_REMOTE && *a->host != '\0') {
		buf_puts(b, "host ");
		add_escaped(b, a->host);
		if (a->port != 0) {	/* else the path of a socket */
			buf_puts(b, "[");
			add_escaped(b, a->address);
			buf_printf(b, "]:%u", a->port);
		}
		buf_puts(b, " said: ");
	}
	buf_printf(b, "%u ", r->code);
	add_escaped(b, r->text);
	if (r->cls != REPLY_DELIVERED && r->by == BY_REMOTE)
		buf_printf(b, " (in reply to %s)", stage_name(r->stage));
	buf_puts(b, "\n");
}

static char *
format_row(const struct cli *c, uint32_t m, uint32_t i, const struct answer *a)
{
	static void (*const formats[])(struct buf *, const char *, uint32_t,
	    const struct answer *) = {
		[CLI_TEXT] = format_text,
		[CLI_TSV] = format_tsv,
		[CLI_JSON] = format_json,
	};
	struct buf b;
	char *text;

	buf_init(&b, ROW_BYTES_MAX);
	formats[c->output](&b, c->rcpts[i], m + 1, a);
	buf_add(&b, "", 1);
	text = xstrdup(buf_data(&b));
	buf_clear(&b);
	return text;
}

/* ---- messages ---- */

static void
set_row(struct cli_rows *rows, uint32_t m, uint32_t i, const struct answer *a)
{
	struct row *row = &rows->messages[m].rows[i];

	row->text = format_row(rows->cli, m, i, a);
	row->cls = a->reply.cls;
	rows->messages[m].left--;
	if (row->cls == REPLY_TRANSIENT)
		rows->any_transient = true;
	if (row->cls == REPLY_PERMANENT)
		rows->any_permanent = true;
}

/* Recipients that were never put into an envelope. */
static void
answer_bad(struct cli_rows *rows, uint32_t m)
{
	const struct cli *c = rows->cli;
	struct answer a = { .host = "", .address = "" };
	struct arena *arena = arena_new(512);
	struct address parsed;
	const char *error;
	uint32_t i, g = 0;

	for (i = 0; i < c->nrcpt; i++) {
		if (g < c->ngood && c->good[g] == i) {
			g++;
			continue;
		}
		if (address_parse(c->rcpts[i], arena, &parsed, &error) == 0)
			error = "cannot be sent";
		reply_cause(&a.reply, arena, STAGE_NONE, CAUSE_BAD_ADDRESS,
		    error);
		set_row(rows, m, i, &a);
	}
	arena_free(arena);
}

static struct message *
message_of(struct cli_rows *rows, uint32_t m)
{
	struct message *msg = &rows->messages[m];

	if (msg->rows == NULL) {
		msg->rows = xcalloc(rows->cli->nrcpt, sizeof(*msg->rows));
		msg->left = rows->cli->nrcpt;
		if (rows->cli->ngood != rows->cli->nrcpt)
			answer_bad(rows, m);
	}
	return msg;
}

/*
 * As text the recipients that decide the exit status come first: who reads
 * only the first line, as Postfix's pipe(8) does, must not bounce mail that
 * can still be delivered.
 */
static void
print_message(struct cli_rows *rows, struct message *msg)
{
	static const uint8_t worst[] = { REPLY_TRANSIENT, REPLY_PERMANENT,
	    REPLY_DELIVERED };
	uint32_t i, n = rows->cli->nrcpt;
	size_t k;

	if (rows->cli->output == CLI_TEXT) {
		for (k = 0; k < sizeof(worst); k++)
			for (i = 0; i < n; i++)
				if (msg->rows[i].cls == worst[k])
					fputs(msg->rows[i].text, rows->out);
	} else
		for (i = 0; i < n; i++)
			fputs(msg->rows[i].text, rows->out);
	for (i = 0; i < n; i++)
		free(msg->rows[i].text);
	free(msg->rows);
	msg->rows = NULL;
}

static void
print_ready(struct cli_rows *rows)
{
	struct message *msg;

	for (; rows->next < rows->cli->count; rows->next++) {
		msg = &rows->messages[rows->next];
		if (msg->rows == NULL || msg->left > 0)
			break;
		print_message(rows, msg);
	}
}

struct cli_rows *
cli_rows_new(const struct cli *c, FILE *out)
{
	struct cli_rows *rows = xcalloc(1, sizeof(*rows));
	uint32_t m;

	rows->cli = c;
	rows->out = out;
	rows->messages = xcalloc(c->count, sizeof(*rows->messages));
	if (c->ngood == 0) {
		for (m = 0; m < c->count; m++)
			message_of(rows, m);
		print_ready(rows);
	}
	return rows;
}

void
cli_rows_answer(struct cli_rows *rows, uint32_t m, uint32_t r,
    const struct answer *a)
{
	if (cli_rows_has(rows, m, r))
		return;
	if (message_of(rows, m - 1)->rows[r].text != NULL)
		return;
	set_row(rows, m - 1, r, a);
	print_ready(rows);
}

bool
cli_rows_has(const struct cli_rows *rows, uint32_t m, uint32_t r)
{
	const struct message *msg = &rows->messages[m - 1];

	return m - 1 < rows->next ||
	    (msg->rows != NULL && msg->rows[r].text != NULL);
}

bool
cli_rows_complete(const struct cli_rows *rows)
{
	return rows->next == rows->cli->count;
}

int
cli_rows_finish(struct cli_rows *rows)
{
	int status = rows->any_transient ? EX_TEMPFAIL :
	    rows->any_permanent ? EX_UNAVAILABLE : EX_OK;
	uint32_t m, i;

	for (m = rows->next; m < rows->cli->count; m++) {
		if (rows->messages[m].rows == NULL)
			continue;
		for (i = 0; i < rows->cli->nrcpt; i++)
			free(rows->messages[m].rows[i].text);
		free(rows->messages[m].rows);
	}
	free(rows->messages);
	free(rows);
	return status;
}
