/*
 * sink.c - a fast receiving end for benches, tests and the demo.
 *
 * One process, one thread, epoll.  Takes mail by SMTP or LMTP on a loopback
 * TCP port or a UNIX socket and throws it away, or stores it with -M.  It
 * keeps just enough to tell whether every message came exactly once and
 * unchanged (lib/tally.h) and ends with a report.  README.md beside this file
 * explains the options and the report.
 *
 * Input goes through one shared buffer and is framed by conn_consume: lines,
 * a message that ends in a dot, or so many octets.  A protocol is a row of
 * struct protocol: what it says first, how it takes a line, what follows a
 * run of octets.
 *
 * RFC 5321, RFC 2033 (LMTP), 1870 (SIZE), 2920 (PIPELINING), 3030 (CHUNKING,
 * without BINARYMIME), 3207 (STARTTLS).  Other extensions are announced so
 * that clients use them: their parameters are taken and have no effect.
 *
 * LONG: a program by itself; what others may use is in t/tools/lib/
 */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/endpoint.h"
#include "lib/maildir.h"
#include "lib/tally.h"
#include "lib/tls_server.h"

#define NAME		"sink.test"	/* in greeting and EHLO reply */
#define READ_MAX	(256 * 1024)	/* octets per read, all connections' */
#define LINE_LEN_MAX	(64 * 1024)	/* longest command */
#define RCPT_MAX	100000		/* recipients per message */
#define RCPT_BYTES_MAX	(8 * 1024 * 1024)	/* their addresses, with -M */
#define SIZE_DEFAULT	(256ULL * 1024 * 1024)	/* -s */
#define SPARE_MAX	64		/* transactions kept for use again */
#define EVENTS_MAX	256
#define ACCEPT_MAX	64		/* connections taken per turn */
#define GRACE_NS	300000000u	/* for QUIT, once -e is reached */
#define FD_RESERVE	32		/* descriptors not for connections */

enum ext {
	PIPELINING, SIZE, EIGHTBITMIME, ENHANCEDSTATUSCODES, SMTPUTF8, DSN,
	CHUNKING, STARTTLS, EXTS
};

static const char *const ext_names[EXTS] = {
	"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8",
	"DSN", "CHUNKING", "STARTTLS"
};

enum stage { CONNECT, HELO, MAIL, RCPT, DATA, DOT, STAGES };

static const char *const stage_names[STAGES] = {
	"connect", "helo", "mail", "rcpt", "data", "dot"
};

enum verdict { FINE, REFUSED, HANG_UP };

enum framing {
	LINES,
	DOTTED,			/* a message up to CR LF . CR LF */
	COUNTED,		/* conn.left octets */
};

/* Where in a dotted message we are. */
enum dot {
	MID_LINE,
	LINE_START,		/* after CR LF */
	AFTER_DOT,		/* after CR LF . */
	AFTER_DOT_CR,		/* after CR LF . CR */
};

enum tls {
	CLEAR,
	ASKED,			/* STARTTLS taken; its reply comes first */
	LATE,			/* the first flight is to be delayed (-d) */
	SHAKING,
	SECURE,
};

/* From MAIL to the end of the message: an idle connection has none. */
struct tx {
	SLIST_ENTRY(tx)		 spare;
	struct tally_msg	 msg;
	char			*sender;	/* only with -M */
	char			*rcpts;		/* only with -J, -M; NUL-ended */
	size_t			 rcpt_bytes;
	uint32_t		 nrcpt;
	bool			 is_begun;	/* content has come */
	bool			 is_judged;	/* a first BDAT was, as DATA */
	bool			 is_broken;	/* a BDAT failed */
	bool			 is_unstored;	/* no file could be made */
	struct maildir_draft	*draft;		/* only with -M */
};

struct buffer {
	char		*data;
	uint32_t	 len, size;
};

struct conn {
	struct sink		*sink;
	LIST_ENTRY(conn)	 all;
	TAILQ_ENTRY(conn)	 late;		/* while is_held */
	uint64_t		 due_ns;
	uint64_t		 left;		/* octets to come, COUNTED */
	struct tx		*tx;
	SSL			*ssl;
	struct buffer		 in, out;	/* half a line; replies */
	uint32_t		 sent;		/* of out */
	uint32_t		 number;
	uint32_t		 msgs;
	uint32_t		 events;	/* what epoll waits for */
	int			 fd;
	uint8_t			 framing;	/* enum framing */
	uint8_t			 dot;		/* enum dot */
	uint8_t			 tls;		/* enum tls */
	char			 prev;		/* octet before, DOTTED */
	bool			 is_held;	/* replies wait for due_ns */
	bool			 is_closing;	/* once all is sent */
	bool			 is_final;	/* a reply to a message, -D */
	bool			 is_last_chunk;
	bool			 is_unheard;	/* -J: since the last message */
};
_Static_assert(sizeof(struct conn) <= 512, "idle connections must be small");

TAILQ_HEAD(late_queue, conn);

struct protocol {
	const char	*name;
	const char	*hello;			/* its verb */
	const char	*greeting;
	bool		 is_lmtp;
	/* A line without its end, changeable; may hold NUL. */
	void		(*line)(struct conn *, char *, size_t);
	/* conn.left octets have come. */
	void		(*counted)(struct conn *);
};

struct refusal {
	double	percent;
	int	code;			/* 0: hang up */
};

struct sink {
	/* options */
	const struct protocol	*protocol;
	const char		*place, *port_file, *pem, *maildir_path;
	bool			 offers_tls, wraps_tls;
	bool			 is_quiet, is_verbose, is_synced, tells_whose;
	bool			 offers[EXTS];
	int			 reply_ms, final_ms;
	uint32_t		 msgs_max, conns_max;	/* 0: no limit */
	uint64_t		 expected, size_max;	/* 0: none, no limit */
	double			 run_s, idle_s;		/* 0: no limit */
	struct refusal		 refusals[STAGES];
	FILE			*commands;		/* -a */

	/* state */
	struct tally		 tally;
	struct maildir		*maildir;
	struct endpoint		 at;
	SSL_CTX			*tls;
	int			 epoll, fd;
	bool			 is_complete;		/* -e reached */
	uint64_t		 random;
	uint64_t		 start_ns, complete_ns;
	LIST_HEAD(, conn)	 conns;
	SLIST_HEAD(, tx)	 spares;
	int			 nspares;
	/*
	 * Held connections by their delay: replies, replies to a message.
	 * One delay per queue, so each is in order of due_ns.
	 */
	struct late_queue	 late[2];
	char			 input[READ_MAX];
};

static volatile sig_atomic_t stop_asked, report_asked;

/*
 * Output
 */

static void
buffer_add(struct buffer *b, const char *p, size_t n)
{
	if (n > b->size - b->len) {
		b->size = (b->len + n) * 2 > 256 ? (b->len + n) * 2 : 256;
		if ((b->data = realloc(b->data, b->size)) == NULL)
			err(EX_OSERR, "realloc");
	}
	memcpy(b->data + b->len, p, n);
	b->len += n;
}

static void
buffer_clear(struct buffer *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

static void
say(struct conn *c, const char *text)
{
	buffer_add(&c->out, text, strlen(text));
}

/* code, enhanced code unless left out with -x, text */
static void
reply(struct conn *c, const char *code, const char *enhanced, const char *text)
{
	say(c, code);
	say(c, " ");
	if (c->sink->offers[ENHANCEDSTATUSCODES]) {
		say(c, enhanced);
		say(c, " ");
	}
	say(c, text);
	say(c, "\r\n");
}

/* Control characters as \xHH: a client must not forge a line. */
static void
put_escaped(FILE *f, const char *p, size_t n)
{
	for (; n > 0; p++, n--)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			fprintf(f, "\\x%02x", (unsigned char)*p);
		else
			putc(*p, f);
}

static void
log_command(const struct conn *c, const char *line, size_t n)
{
	FILE *commands = c->sink->commands;

	if (c->sink->is_verbose) {
		fprintf(stderr, "%" PRIu32 " C: ", c->number);
		put_escaped(stderr, line, n);
		fputc('\n', stderr);
	}
	if (commands != NULL) {
		fprintf(commands, "%" PRIu32 " ", c->number);
		put_escaped(commands, line, n);
		fputc('\n', commands);
	}
}

static void
log_event(const struct conn *c, const char *text)
{
	if (c->sink->is_verbose)
		fprintf(stderr, "%" PRIu32 " %s\n", c->number, text);
}

/*
 * Refusals to order (-r)
 */

/* xorshift64: the same seed gives the same run */
static double
random_percent(struct sink *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return (s->random >> 11) / 9007199254740992.0 * 100;
}

/* Whether this stage goes well; if not, the reply is given. */
static enum verdict
judge(struct conn *c, enum stage stage)
{
	const struct refusal *r = &c->sink->refusals[stage];
	char code[16], enhanced[16], text[64];

	if (r->percent <= 0 || random_percent(c->sink) >= r->percent)
		return FINE;
	c->sink->tally.rejects++;
	if (r->code == 0) {
		c->is_closing = true;
		return HANG_UP;
	}
	snprintf(code, sizeof code, "%d", r->code);
	snprintf(enhanced, sizeof enhanced, "%d.7.1", r->code / 100);
	snprintf(text, sizeof text, "refused by sink at %s",
	    stage_names[stage]);
	reply(c, code, enhanced, text);
	if (stage == CONNECT || r->code == 421)
		c->is_closing = true;
	return REFUSED;
}

/*
 * Transactions
 */

static struct tx *
tx_new(struct sink *s)
{
	struct tx *tx = SLIST_FIRST(&s->spares);

	if (tx != NULL) {
		SLIST_REMOVE_HEAD(&s->spares, spare);
		s->nspares--;
	} else if ((tx = calloc(1, sizeof *tx)) == NULL) {
		err(EX_OSERR, "calloc");
	}
	return tx;
}

static void
tx_free(struct sink *s, struct tx *tx)
{
	maildir_draft_free(tx->draft);
	free(tx->sender);
	free(tx->rcpts);
	tx->sender = tx->rcpts = NULL;
	tx->draft = NULL;
	tx->rcpt_bytes = tx->nrcpt = 0;
	tx->is_begun = tx->is_judged = tx->is_broken = tx->is_unstored = false;
	if (s->nspares < SPARE_MAX) {
		SLIST_INSERT_HEAD(&s->spares, tx, spare);
		s->nspares++;
	} else {
		tally_msg_clear(&tx->msg);
		free(tx);
	}
}

static void
conn_end_tx(struct conn *c)
{
	if (c->tx != NULL)
		tx_free(c->sink, c->tx);
	c->tx = NULL;
}

/* Remember a recipient; false if there are too many. */
static bool
tx_add_rcpt(struct sink *s, struct tx *tx, const char *address, size_t n)
{
	char *grown;

	if (tx->nrcpt == RCPT_MAX)
		return false;
	if (s->maildir != NULL || s->tells_whose) {
		if (n + 1 > RCPT_BYTES_MAX - tx->rcpt_bytes)
			return false;
		grown = realloc(tx->rcpts, tx->rcpt_bytes + n + 1);
		if (grown == NULL)
			return false;
		memcpy(grown + tx->rcpt_bytes, address, n);
		grown[tx->rcpt_bytes + n] = '\0';
		tx->rcpts = grown;
		tx->rcpt_bytes += n + 1;
	}
	tx->nrcpt++;
	return true;
}

/*
 * Content
 */

static bool
is_lmtp(const struct conn *c)
{
	return c->sink->protocol->is_lmtp;
}

/* The file's envelope; in LMTP that of the first recipient. */
static void
draft_begin(struct conn *c)
{
	struct tx *tx = c->tx;
	const char *rcpt = tx->rcpts;
	char *path;
	uint32_t i;

	if ((tx->draft = maildir_draft_new(c->sink->maildir)) == NULL ||
	    asprintf(&path, "<%s>", tx->sender) == -1) {
		tx->is_unstored = true;
		return;
	}
	maildir_draft_header(tx->draft, "Return-Path", path);
	free(path);
	if (is_lmtp(c)) {
		maildir_draft_header(tx->draft, "Delivered-To", rcpt);
		return;
	}
	for (i = 0; i < tx->nrcpt; i++, rcpt += strlen(rcpt) + 1)
		maildir_draft_header(tx->draft, "X-Envelope-To", rcpt);
}

static void
content_begin(struct conn *c)
{
	c->tx->is_begun = true;
	tally_msg_begin(&c->sink->tally, &c->tx->msg);
	if (c->sink->maildir != NULL)
		draft_begin(c);
}

static bool
is_too_big(const struct conn *c)
{
	return c->sink->size_max > 0 && c->tx->msg.bytes > c->sink->size_max;
}

static void
content_feed(struct conn *c, const char *p, size_t n)
{
	struct tx *tx = c->tx;

	tally_msg_feed(&c->sink->tally, &tx->msg, p, n);
	if (tx->draft == NULL)
		return;
	if (is_too_big(c)) {	/* will be refused: spare the disk */
		maildir_draft_free(tx->draft);
		tx->draft = NULL;
	} else {
		maildir_draft_text(tx->draft, p, n);
	}
}

/* Store the message for one recipient; in SMTP for all. */
static bool
content_store(struct conn *c, uint32_t index, const char *rcpt)
{
	struct tx *tx = c->tx;
	struct maildir_draft *d;
	char *path;
	bool is_stored;

	if (c->sink->maildir == NULL)
		return true;
	if (tx->is_unstored)
		return false;
	if (index == 0)
		return maildir_draft_publish(tx->draft) == 0;
	if (asprintf(&path, "<%s>", tx->sender) == -1)
		return false;
	if ((d = maildir_draft_new(c->sink->maildir)) != NULL) {
		maildir_draft_header(d, "Return-Path", path);
		maildir_draft_header(d, "Delivered-To", rcpt);
		maildir_draft_copy(d, tx->draft);
	}
	free(path);
	is_stored = d != NULL && maildir_draft_publish(d) == 0;
	maildir_draft_free(d);
	return is_stored;
}

/*
 * The fate of the message for one recipient; in SMTP for all.  Returns whether
 * it was accepted.  Once hung up on, a client gets no more replies, but the
 * message is accepted: that is the case where it cannot know.
 */
static bool
content_judge(struct conn *c, uint32_t index, const char *rcpt, bool *is_mute)
{
	enum verdict v;
	bool is_stored;

	if (is_too_big(c)) {
		reply(c, "552", "5.3.4", "message too big");
		return false;
	}
	if (!*is_mute) {
		if ((v = judge(c, DOT)) == REFUSED)
			return false;
		*is_mute = v == HANG_UP;
		c->sink->tally.lost_replies += *is_mute;
	}
	is_stored = content_store(c, index, rcpt);
	if (!*is_mute && is_stored)
		reply(c, "250", "2.0.0", "Ok: queued");
	else if (!*is_mute)
		reply(c, "451", "4.3.0", "cannot store the message");
	return is_stored;
}

/* -J: the connection, as no other in this file, and for whom. */
static char *
whose(const struct conn *c)
{
	const char *rcpt = c->tx->rcpts;
	char *text = NULL;
	size_t size;
	uint32_t i;
	FILE *f;

	if ((f = open_memstream(&text, &size)) == NULL)
		err(EX_OSERR, "open_memstream");
	fprintf(f, "%d.%" PRIu32, (int)getpid(), c->number);
	for (i = 0; i < c->tx->nrcpt; i++, rcpt += strlen(rcpt) + 1) {
		putc(i == 0 ? ' ' : ',', f);
		put_escaped(f, rcpt, strlen(rcpt));
	}
	if (fclose(f) == EOF)
		err(EX_OSERR, "open_memstream");
	return text;
}

/* -J: it has our reply to its message, and goes on. */
static void
conn_heard(struct conn *c)
{
	FILE *listing = c->sink->tally.listing;

	if (!c->is_unheard || c->out.len > 0)
		return;
	c->is_unheard = false;
	if (listing != NULL)
		fprintf(listing, "heard %d.%" PRIu32 "\n", (int)getpid(),
		    c->number);
}

static void
content_end(struct conn *c)
{
	char *words = c->sink->tells_whose ? whose(c) : NULL;
	struct sink *s = c->sink;
	struct tx *tx = c->tx;
	const char *rcpt = tx->rcpts;
	uint32_t accepted = 0, i;
	bool is_mute = false;

	if (is_lmtp(c)) {	/* one reply each: RFC 2033 §4.2 */
		for (i = 0; i < tx->nrcpt; i++) {
			if (c->is_closing && !is_mute)
				break;		/* a 421 was the last word */
			accepted += content_judge(c, i, rcpt, &is_mute);
			if (rcpt != NULL)
				rcpt += strlen(rcpt) + 1;
		}
	} else if (content_judge(c, 0, NULL, &is_mute)) {
		accepted = tx->nrcpt;
	}
	if (accepted > 0)
		tally_msg_count(&s->tally, &tx->msg, accepted, words);
	c->is_unheard = accepted > 0 && s->tells_whose;
	free(words);
	if (s->expected > 0 && tally_distinct(&s->tally) >= s->expected)
		s->is_complete = true;
	conn_end_tx(c);
	c->msgs++;
	c->is_final = true;
}

/*
 * Mid-line: content up to the next dot that starts a line.  Only CR LF starts
 * one; a dot after a bare LF is content, or mail could be smuggled.
 */
static size_t
feed_mid_line(struct conn *c, const char *p, size_t n)
{
	const char *end = p + n, *q = p;
	char before;

	while ((q = memchr(q, '.', end - q)) != NULL) {
		if (q > p && q[-1] == '\n')
			break;
		q++;
	}
	if (q != NULL)
		end = q;
	before = end - p >= 2 ? end[-2] : c->prev;
	content_feed(c, p, end - p);
	c->prev = end[-1];
	c->dot = c->prev == '\n' && before == '\r' ? LINE_START : MID_LINE;
	return end - p;
}

/* RFC 5321 §4.5.2.  Returns the octets used, those of the end included. */
static size_t
feed_dotted(struct conn *c, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		switch (c->dot) {
		case MID_LINE:
			i += feed_mid_line(c, p + i, n - i);
			break;
		case LINE_START:
			c->dot = p[i] == '.' ? AFTER_DOT : MID_LINE;
			i += p[i] == '.';
			break;
		case AFTER_DOT:
			c->dot = p[i] == '\r' ? AFTER_DOT_CR : MID_LINE;
			i += p[i] == '\r';
			break;
		case AFTER_DOT_CR:
			if (p[i] == '\n') {
				c->framing = LINES;
				content_end(c);
				return i + 1;
			}
			content_feed(c, "\r", 1);
			c->prev = '\r';
			c->dot = MID_LINE;
			break;
		}
	}
	return n;
}

static size_t
feed_counted(struct conn *c, const char *p, size_t n)
{
	if (n > c->left)
		n = c->left;
	if (c->tx != NULL && c->tx->is_begun && !c->tx->is_broken)
		content_feed(c, p, n);
	c->left -= n;
	return n;
}

/*
 * The verbs of SMTP and LMTP, in the order of RFC 5321 §4.1.1.  Each takes
 * what follows the verb, without leading blanks, and replies.
 */

static bool
may_hello(struct conn *c, const char *arg)
{
	if (*arg == '\0') {
		reply(c, "501", "5.5.4", "want a name");
		return false;
	}
	conn_end_tx(c);		/* RFC 5321 §4.1.4 */
	return judge(c, HELO) == FINE;
}

static void
do_hello(struct conn *c, const char *arg)
{
	const struct sink *s = c->sink;
	size_t last;
	char text[64];
	int i;

	if (!may_hello(c, arg))
		return;
	last = c->out.len;
	say(c, "250-" NAME "\r\n");
	for (i = 0; i < EXTS; i++) {
		if (!s->offers[i] || (i == STARTTLS &&
		    (!s->offers_tls || c->tls != CLEAR)))
			continue;
		last = c->out.len;
		snprintf(text, sizeof text, "250-%s\r\n", ext_names[i]);
		if (i == SIZE)
			snprintf(text, sizeof text, "250-SIZE %" PRIu64 "\r\n",
			    s->size_max);
		say(c, text);
	}
	c->out.data[last + 3] = ' ';
}

static void
do_helo(struct conn *c, const char *arg)
{
	if (may_hello(c, arg))
		say(c, "250 " NAME "\r\n");
}

/*
 * <address> after FROM: or TO:, and what follows it.  Quoted parts may hold
 * anything.  Returns the address, or NULL for bad syntax.
 */
static const char *
parse_path(const char *arg, const char *prefix, size_t *len_r,
    const char **params_r)
{
	const char *p = arg + strlen(prefix), *start;
	bool is_quoted = false;

	if (strncasecmp(arg, prefix, strlen(prefix)) != 0)
		return NULL;
	p += strspn(p, " ");	/* not allowed, but seen everywhere */
	if (*p++ != '<')
		return NULL;
	for (start = p; *p != '\0' && (is_quoted || *p != '>'); p++)
		if (*p == '"')
			is_quoted = !is_quoted;
		else if (*p == '\\' && p[1] != '\0')
			p++;
	if (*p != '>' || (p[1] != '\0' && p[1] != ' '))
		return NULL;
	*len_r = p - start;
	*params_r = p + 1 + strspn(p + 1, " ");
	return start;
}

static const struct param {
	const char	*name;
	enum ext	 ext;
	bool		 is_rcpt;
} params[] = {
	{ "SIZE",	SIZE,		false },
	{ "BODY",	EIGHTBITMIME,	false },
	{ "SMTPUTF8",	SMTPUTF8,	false },
	{ "RET",	DSN,		false },
	{ "ENVID",	DSN,		false },
	{ "NOTIFY",	DSN,		true },
	{ "ORCPT",	DSN,		true },
};

static const struct param *
find_param(const struct conn *c, const char *p, size_t n, bool is_rcpt)
{
	size_t i;

	for (i = 0; i < sizeof params / sizeof params[0]; i++)
		if (strlen(params[i].name) == n &&
		    strncasecmp(params[i].name, p, n) == 0 &&
		    params[i].is_rcpt == is_rcpt &&
		    c->sink->offers[params[i].ext])
			return &params[i];
	return NULL;
}

/* Only what was offered may be asked for.  Replies if it returns false. */
static bool
check_params(struct conn *c, const char *p, bool is_rcpt)
{
	const struct param *param;
	size_t n;

	for (; *p != '\0'; p += strcspn(p, " "), p += strspn(p, " ")) {
		n = strcspn(p, "= ");
		if ((param = find_param(c, p, n, is_rcpt)) == NULL) {
			reply(c, "555", "5.5.4", "parameter not offered");
			return false;
		}
		if (param->ext == EIGHTBITMIME &&
		    strncasecmp(p + n, "=7BIT", 5) != 0 &&
		    strncasecmp(p + n, "=8BITMIME", 9) != 0) {
			reply(c, "501", "5.5.4", "bad BODY");
			return false;
		}
		if (param->ext == SIZE && c->sink->size_max > 0 &&
		    p[n] == '=' &&
		    strtoull(p + n + 1, NULL, 10) > c->sink->size_max) {
			reply(c, "552", "5.3.4", "message too big");
			return false;
		}
	}
	return true;
}

static void
do_mail(struct conn *c, const char *arg)
{
	struct sink *s = c->sink;
	const char *address, *rest;
	size_t n;

	if (s->msgs_max > 0 && c->msgs >= s->msgs_max) {
		reply(c, "421", "4.7.0",
		    "too many messages on this connection");
		c->is_closing = true;
		return;
	}
	if (c->tx != NULL) {
		reply(c, "503", "5.5.1", "nested MAIL");
		return;
	}
	if ((address = parse_path(arg, "FROM:", &n, &rest)) == NULL) {
		reply(c, "501", "5.5.4", "want MAIL FROM:<address>");
		return;
	}
	if (!check_params(c, rest, false) || judge(c, MAIL) != FINE)
		return;
	c->tx = tx_new(s);
	if (s->maildir != NULL &&
	    (c->tx->sender = strndup(address, n)) == NULL)
		err(EX_OSERR, "strndup");
	reply(c, "250", "2.1.0", "Ok");
}

static void
do_rcpt(struct conn *c, const char *arg)
{
	const char *address, *rest;
	size_t n;

	if (c->tx == NULL || c->tx->is_begun) {
		reply(c, "503", "5.5.1", "need MAIL first");
		return;
	}
	if ((address = parse_path(arg, "TO:", &n, &rest)) == NULL || n == 0) {
		reply(c, "501", "5.5.4", "want RCPT TO:<address>");
		return;
	}
	if (!check_params(c, rest, true) || judge(c, RCPT) != FINE)
		return;
	if (tx_add_rcpt(c->sink, c->tx, address, n))
		reply(c, "250", "2.1.5", "Ok");
	else
		reply(c, "452", "4.5.3", "too many recipients");
}

static void
refuse_without_rcpt(struct conn *c)
{
	if (c->tx == NULL || is_lmtp(c))	/* RFC 2033 §4.2 */
		reply(c, "503", "5.5.1", "no valid recipients");
	else
		reply(c, "554", "5.5.1", "no valid recipients");
}

static void
do_data(struct conn *c, const char *arg)
{
	(void)arg;
	if (c->tx == NULL || c->tx->nrcpt == 0) {
		refuse_without_rcpt(c);
	} else if (c->tx->is_begun) {		/* RFC 3030 §2 */
		reply(c, "503", "5.5.1", "DATA after BDAT");
	} else if (judge(c, DATA) == FINE) {
		content_begin(c);
		c->framing = DOTTED;
		c->prev = '\n';
		c->dot = LINE_START;
		say(c, "354 go ahead\r\n");
	}
}

/* The last chunk has a reply per recipient in LMTP, even now. */
static void
refuse_chunk(struct conn *c)
{
	uint32_t n = is_lmtp(c) && c->is_last_chunk ? c->tx->nrcpt : 1;

	for (; n > 0; n--)
		reply(c, "503", "5.5.1", "an earlier BDAT failed");
}

/* A first chunk is refused where DATA would be. */
static bool
judge_chunk(struct conn *c)
{
	struct tx *tx = c->tx;

	if (tx->is_judged || (is_lmtp(c) && c->is_last_chunk))
		return true;
	tx->is_judged = true;
	tx->is_broken = judge(c, DATA) != FINE;
	return !tx->is_broken;
}

/* The reply to a chunk: RFC 3030 §2 */
static void
end_chunk(struct conn *c)
{
	struct tx *tx = c->tx;

	c->framing = LINES;
	if (tx == NULL || tx->nrcpt == 0) {
		refuse_without_rcpt(c);
	} else if (tx->is_broken) {
		refuse_chunk(c);
	} else if (!judge_chunk(c)) {
		return;
	} else if (c->is_last_chunk) {
		content_end(c);
	} else if (is_too_big(c)) {
		tx->is_broken = true;
		reply(c, "552", "5.3.4", "message too big");
	} else {
		reply(c, "250", "2.0.0", "chunk");
	}
}

static void
do_bdat(struct conn *c, const char *arg)
{
	char *end;

	c->left = strtoull(arg, &end, 10);
	c->is_last_chunk = strcasecmp(end, " LAST") == 0;
	if (end == arg || (*end != '\0' && !c->is_last_chunk)) {
		/* What follows may be a chunk: it must not be obeyed. */
		reply(c, "501", "5.5.4", "want BDAT octets [LAST]");
		c->is_closing = true;
		return;
	}
	if (c->tx != NULL && c->tx->nrcpt > 0 && !c->tx->is_begun)
		content_begin(c);
	c->framing = COUNTED;
	if (c->left == 0)
		end_chunk(c);
}

static void
do_rset(struct conn *c, const char *arg)
{
	(void)arg;
	conn_end_tx(c);
	reply(c, "250", "2.0.0", "Ok");
}

static void
do_noop(struct conn *c, const char *arg)
{
	(void)arg;
	reply(c, "250", "2.0.0", "Ok");
}

static void
do_vrfy(struct conn *c, const char *arg)
{
	(void)arg;
	reply(c, "252", "2.0.0", "try it");
}

static void
do_quit(struct conn *c, const char *arg)
{
	(void)arg;
	reply(c, "221", "2.0.0", "Bye");
	c->is_closing = true;
}

static void
do_starttls(struct conn *c, const char *arg)
{
	(void)arg;
	if (c->tls != CLEAR) {
		reply(c, "503", "5.5.1", "TLS already");
		return;
	}
	reply(c, "220", "2.0.0", "go ahead");
	c->tls = ASKED;
}

static const struct verb {
	char	name[12];
	int	ext;			/* only where offered; -1: always */
	void	(*act)(struct conn *, const char *);
} verbs[] = {				/* the frequent ones first */
	{ "RCPT",	-1,		do_rcpt },
	{ "MAIL",	-1,		do_mail },
	{ "DATA",	-1,		do_data },
	{ "BDAT",	CHUNKING,	do_bdat },
	{ "QUIT",	-1,		do_quit },
	{ "RSET",	-1,		do_rset },
	{ "NOOP",	-1,		do_noop },
	{ "VRFY",	-1,		do_vrfy },
	{ "STARTTLS",	STARTTLS,	do_starttls },
};

static const struct verb hello_verb = { "", -1, do_hello };
static const struct verb helo_verb = { "", -1, do_helo };

static const struct verb *
find_verb(const struct conn *c, const char *line, size_t n)
{
	const struct sink *s = c->sink;
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strncasecmp(verbs[i].name, line, n) == 0 &&
		    verbs[i].name[n] == '\0') {
			if (verbs[i].act == do_starttls && !s->offers_tls)
				return NULL;
			return verbs[i].ext == -1 || s->offers[verbs[i].ext] ?
			    &verbs[i] : NULL;
		}
	if (n != 4)
		return NULL;
	if (strncasecmp(line, s->protocol->hello, 4) == 0)
		return &hello_verb;
	/* RFC 2033 §4.1: no HELO in LMTP */
	return !is_lmtp(c) && strncasecmp(line, "HELO", 4) == 0 ?
	    &helo_verb : NULL;
}

static void
smtp_line(struct conn *c, char *line, size_t n)
{
	size_t k = strcspn(line, " \t");
	const struct verb *v;

	if (c->sink->is_verbose || c->sink->commands != NULL)
		log_command(c, line, n);
	conn_heard(c);
	if (strlen(line) != n) {
		reply(c, "500", "5.5.2", "NUL in command");
	} else if (k >= sizeof v->name ||
	    (v = find_verb(c, line, k)) == NULL) {
		reply(c, "500", "5.5.1", "what?");
	} else {
		while (n > k && strchr(" \t", line[n - 1]) != NULL)
			line[--n] = '\0';
		v->act(c, line + k + strspn(line + k, " \t"));
	}
}

static const struct protocol protocols[] = {
	{
		.name = "smtp", .hello = "EHLO",
		.greeting = "220 " NAME " ESMTP\r\n",
		.line = smtp_line, .counted = end_chunk,
	},
	{
		.name = "lmtp", .hello = "LHLO", .is_lmtp = true,
		.greeting = "220 " NAME " LMTP\r\n",
		.line = smtp_line, .counted = end_chunk,
	},
};

/*
 * Input
 */

/* Take one line, or keep the half of one.  Returns the octets used. */
static size_t
consume_line(struct conn *c, char *p, size_t n)
{
	char *lf = memchr(p, '\n', n), *line = p;
	struct buffer half = c->in;
	size_t used = lf != NULL ? (size_t)(lf - p) + 1 : n, len = used;

	if (used > LINE_LEN_MAX - c->in.len) {
		reply(c, "500", "5.5.6", "line too long");
		c->is_closing = true;
		return used;
	}
	if (lf == NULL || c->in.len > 0) {
		buffer_add(&c->in, p, used);
		if (lf == NULL)
			return used;
		half = c->in;
		line = half.data;
		len = half.len;
		memset(&c->in, 0, sizeof c->in);
	}
	len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	c->sink->protocol->line(c, line, len);
	buffer_clear(&half);
	return used;
}

static void
conn_consume(struct conn *c, char *p, size_t n)
{
	size_t used = 0;

	/* In clear after STARTTLS: discarded, RFC 3207 §4.2 */
	while (n > 0 && !c->is_closing && c->tls != ASKED) {
		switch (c->framing) {
		case LINES:
			used = consume_line(c, p, n);
			break;
		case DOTTED:
			used = feed_dotted(c, p, n);
			break;
		case COUNTED:
			used = feed_counted(c, p, n);
			if (c->left == 0)
				c->sink->protocol->counted(c);
			break;
		}
		p += used;
		n -= used;
	}
}

/*
 * Connections
 */

static void
conn_free(struct conn *c)
{
	struct sink *s = c->sink;

	if (c->framing != LINES)
		s->tally.truncated++;
	log_event(c, "close");
	if (c->is_held)
		TAILQ_REMOVE(&s->late[c->is_final], c, late);
	conn_end_tx(c);
	SSL_free(c->ssl);
	close(c->fd);
	buffer_clear(&c->in);
	buffer_clear(&c->out);
	LIST_REMOVE(c, all);
	free(c);
	s->tally.open--;
}

/*
 * All is sent: close, and leave nothing unread, because the kernel would
 * answer that with a reset, which may overtake the last reply.
 */
static void
conn_close(struct conn *c)
{
	int i;

	if (c->ssl != NULL && c->tls == SECURE) {
		ERR_clear_error();
		SSL_shutdown(c->ssl);
	}
	for (i = 0; i < 8; i++)
		if (recv(c->fd, c->sink->input, READ_MAX, 0) <= 0)
			break;
	conn_free(c);
}

static void
conn_want(struct conn *c, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (c->events == events)
		return;
	c->events = events;
	if (epoll_ctl(c->sink->epoll, EPOLL_CTL_MOD, c->fd, &e) == -1)
		err(EX_OSERR, "epoll_ctl");
}

static int
late_ms(const struct sink *s, bool is_final)
{
	return s->reply_ms + (is_final ? s->final_ms : 0);
}

/* Nothing happens on this connection until its delay is over. */
static void
conn_hold(struct conn *c)
{
	struct sink *s = c->sink;

	c->is_held = true;
	c->due_ns = tally_clock_ns() +
	    late_ms(s, c->is_final) * UINT64_C(1000000);
	TAILQ_INSERT_TAIL(&s->late[c->is_final], c, late);
	conn_want(c, 0);
}

static void
conn_start_tls(struct conn *c)
{
	if ((c->ssl = SSL_new(c->sink->tls)) == NULL ||
	    SSL_set_fd(c->ssl, c->fd) != 1)
		errx(EX_SOFTWARE, "TLS: %s", tls_server_error());
	SSL_set_accept_state(c->ssl);
	c->tls = c->sink->reply_ms > 0 ? LATE : SHAKING;
}

/* The steps of conn_ready.  false: the connection waits, or is gone. */

static bool
conn_send(struct conn *c)
{
	const char *p = c->out.data + c->sent;
	size_t n = c->out.len - c->sent;
	ssize_t r;
	int e;

	if (c->tls == SECURE) {
		ERR_clear_error();
		r = SSL_write(c->ssl, p, n);
		e = SSL_get_error(c->ssl, r);
		if (r <= 0)
			errno = e == SSL_ERROR_WANT_WRITE ||
			    e == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
	} else {
		r = send(c->fd, p, n, MSG_NOSIGNAL);
	}
	if (r > 0) {
		c->sent += r;
		return true;
	}
	if (errno == EAGAIN)
		conn_want(c, EPOLLOUT);
	else
		conn_free(c);
	return false;
}

static bool
conn_flush(struct conn *c)
{
	while (c->sent < c->out.len)
		if (!conn_send(c))
			return false;
	buffer_clear(&c->out);
	c->sent = 0;
	if (c->is_closing) {
		conn_close(c);
		return false;
	}
	if (c->tls == ASKED) {
		/* RFC 3207 §4.2: back to the initial state */
		conn_end_tx(c);
		conn_start_tls(c);
	}
	conn_want(c, EPOLLIN);
	return true;
}

static bool
conn_greet(struct conn *c)
{
	if (judge(c, CONNECT) == FINE)
		say(c, c->sink->protocol->greeting);
	if (c->sink->reply_ms > 0) {
		conn_hold(c);
		return false;
	}
	return conn_flush(c);
}

static bool
conn_shake(struct conn *c)
{
	int r, e;

	if (c->tls == LATE) {	/* the client's first flight is there */
		c->tls = SHAKING;
		conn_hold(c);
		return false;
	}
	ERR_clear_error();
	r = SSL_accept(c->ssl);
	e = SSL_get_error(c->ssl, r);
	if (r == 1) {
		c->tls = SECURE;
		c->sink->tally.tls++;
		c->sink->tally.resumed += SSL_session_reused(c->ssl);
		log_event(c, SSL_get_version(c->ssl));
		conn_want(c, EPOLLIN);
		return c->sink->wraps_tls ? conn_greet(c) : true;
	}
	if (e == SSL_ERROR_WANT_READ)
		conn_want(c, EPOLLIN);
	else if (e == SSL_ERROR_WANT_WRITE)
		conn_want(c, EPOLLOUT);
	else
		conn_free(c);
	return false;
}

/* Octets read; 0 if there are none now, -1 if it is over. */
static ssize_t
conn_recv(struct conn *c)
{
	ssize_t r;
	int e;

	if (c->tls == SECURE) {
		ERR_clear_error();
		r = SSL_read(c->ssl, c->sink->input, READ_MAX);
		if (r > 0)
			return r;
		e = SSL_get_error(c->ssl, r);
		return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ?
		    0 : -1;
	}
	r = recv(c->fd, c->sink->input, READ_MAX, 0);
	if (r > 0)
		return r;
	return r == -1 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static bool
conn_read(struct conn *c)
{
	struct sink *s = c->sink;
	ssize_t r = conn_recv(c);

	if (r == -1)
		conn_free(c);
	if (r <= 0)
		return false;
	if (s->tally.first_ns == 0)
		s->tally.first_ns = tally_clock_ns();
	c->is_final = false;
	conn_consume(c, s->input, r);
	if (c->out.len > 0 || c->is_closing) {
		if (late_ms(s, c->is_final) > 0) {
			conn_hold(c);
			return false;
		}
		if (!conn_flush(c))
			return false;
	}
	/* A short read emptied the socket; OpenSSL may hold more. */
	return c->tls != CLEAR || r == READ_MAX;
}

static void
conn_ready(struct conn *c)
{
	do {
		if ((c->out.len > 0 || c->is_closing) && !conn_flush(c))
			return;
		conn_want(c, EPOLLIN);	/* a hold may have just ended */
		if ((c->tls == LATE || c->tls == SHAKING) && !conn_shake(c))
			return;
	} while (conn_read(c));
}

static void
conn_new(struct sink *s, int fd)
{
	struct conn *c;
	struct epoll_event e = { .events = EPOLLIN };
	int one = 1;

	if ((c = calloc(1, sizeof *c)) == NULL)
		err(EX_OSERR, "calloc");
	c->sink = s;
	c->fd = fd;
	c->events = e.events;
	c->number = ++s->tally.connections;
	if (++s->tally.open > s->tally.peak)
		s->tally.peak = s->tally.open;
	LIST_INSERT_HEAD(&s->conns, c, all);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	e.data.ptr = c;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) == -1)
		err(EX_OSERR, "epoll_ctl");
	log_event(c, "connect");
	if (s->wraps_tls)
		conn_start_tls(c);
	else
		conn_greet(c);
}

static void
on_connect(struct sink *s)
{
	static const char over[] = "421 too many connections\r\n";
	int i, fd;

	for (i = 0; i < ACCEPT_MAX; i++) {
		fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1)
			return;
		if (s->tally.open < s->conns_max) {
			conn_new(s, fd);
			continue;
		}
		s->tally.over++;
		if (!s->wraps_tls &&
		    send(fd, over, sizeof over - 1, MSG_NOSIGNAL) == -1)
			s->tally.lost_replies++;
		close(fd);
	}
}

/*
 * The loop
 */

static void
release_due(struct sink *s)
{
	uint64_t now = tally_clock_ns();
	struct conn *c;
	int i;

	for (i = 0; i < 2; i++)
		while ((c = TAILQ_FIRST(&s->late[i])) != NULL &&
		    c->due_ns <= now) {
			TAILQ_REMOVE(&s->late[i], c, late);
			c->is_held = false;
			conn_ready(c);
		}
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When something happens by itself; UINT64_MAX: never. */
static uint64_t
next_deadline(const struct sink *s)
{
	uint64_t next = UINT64_MAX;
	int i;

	for (i = 0; i < 2; i++)
		if (!TAILQ_EMPTY(&s->late[i]))
			next = earlier(next, TAILQ_FIRST(&s->late[i])->due_ns);
	if (s->run_s > 0)
		next = earlier(next, s->start_ns + s->run_s * 1e9);
	if (s->idle_s > 0 && s->tally.last_ns > 0)
		next = earlier(next, s->tally.last_ns + s->idle_s * 1e9);
	if (s->complete_ns > 0)
		next = earlier(next, s->complete_ns + GRACE_NS);
	return next;
}

static int
wait_ms(const struct sink *s)
{
	uint64_t next = next_deadline(s), now = tally_clock_ns(), ms;

	if (next == UINT64_MAX)
		return -1;
	ms = next > now ? (next - now + 999999) / 1000000 : 0;
	return ms < INT_MAX ? ms : INT_MAX;
}

static bool
is_over(struct sink *s)
{
	uint64_t now = tally_clock_ns();

	if (stop_asked)
		return true;
	if (s->is_complete && s->complete_ns == 0)
		s->complete_ns = now;
	if (s->is_complete && (s->tally.open == 0 ||
	    now >= s->complete_ns + GRACE_NS))
		return true;
	if (s->run_s > 0 && now >= s->start_ns + s->run_s * 1e9)
		return true;
	return s->idle_s > 0 && s->tally.last_ns > 0 &&
	    now >= s->tally.last_ns + s->idle_s * 1e9;
}

static void
sink_run(struct sink *s, const sigset_t *mask)
{
	struct epoll_event events[EVENTS_MAX];
	struct conn *c;
	int n, i;

	s->start_ns = tally_clock_ns();
	while (!is_over(s)) {
		/* Signals come here and nowhere else, so none is missed. */
		n = epoll_pwait(s->epoll, events, EVENTS_MAX, wait_ms(s),
		    mask);
		if (report_asked) {
			report_asked = 0;
			tally_report(&s->tally, stderr);
		}
		/* Each connection occurs once, so none is freed twice. */
		for (i = 0; i < n; i++) {
			c = events[i].data.ptr;
			if (c == NULL)
				on_connect(s);
			else if (c->is_held)	/* reset by the client */
				conn_free(c);
			else
				conn_ready(c);
		}
		release_due(s);
	}
}

/*
 * Start and end
 */

static void
on_signal(int sig)
{
	if (sig == SIGUSR1)
		report_asked = 1;
	else
		stop_asked = 1;
}

/* Block the signals; *mask_r lets them in again. */
static void
catch_signals(sigset_t *mask_r)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGUSR1);
	sigprocmask(SIG_BLOCK, &ours, mask_r);
	sigdelset(mask_r, SIGTERM);
	sigdelset(mask_r, SIGINT);
	sigdelset(mask_r, SIGUSR1);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/*
 * All descriptors there are, and never more connections than that: an accept
 * that fails for want of one would turn the loop into a spin.
 */
static void
limit_connections(struct sink *s)
{
	rlim_t files = 1024, room;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		files = limit.rlim_cur;
	}
	room = files > 2 * FD_RESERVE ? files - FD_RESERVE : FD_RESERVE;
	if (s->maildir_path != NULL)
		room /= 2;		/* each may have a file open */
	if (room > UINT32_MAX)
		room = UINT32_MAX;
	if (s->conns_max == 0 || s->conns_max > room)
		s->conns_max = room;
}

static void
sink_start(struct sink *s)
{
	struct epoll_event e = { .events = EPOLLIN };

	limit_connections(s);
	if (s->offers_tls || s->wraps_tls)
		s->tls = tls_server_new(s->pem, NULL);
	if (s->maildir_path != NULL && (s->maildir =
	    maildir_open(s->maildir_path, s->is_synced)) == NULL)
		err(EX_CANTCREAT, "%s", s->maildir_path);
	if (endpoint_parse(&s->at, s->place) == -1)
		errx(EX_USAGE, "-l %s: want HOST:PORT, [V6]:PORT or unix:PATH",
		    s->place);
	if (!endpoint_is_loopback(&s->at))
		errx(EX_USAGE, "-l %s: only a loopback address will do",
		    s->place);
	if ((s->fd = endpoint_listen(&s->at, SOMAXCONN, 0, 0)) == -1)
		err(EX_OSERR, "%s", s->place);
	if ((s->epoll = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->fd, &e) == -1)
		err(EX_OSERR, "epoll");
	if (s->is_verbose)	/* or each octet were a system call */
		setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	if (s->port_file != NULL &&
	    endpoint_port_file(&s->at, s->port_file) == -1)
		err(EX_CANTCREAT, "%s", s->port_file);
	if (!s->is_quiet)
		fprintf(stderr, "sink: listening on %s, port %u, pid %d\n",
		    s->place, endpoint_port(&s->at), (int)getpid());
}

static void
sink_clear(struct sink *s)
{
	struct conn *c, *next;
	struct tx *tx;

	LIST_FOREACH_SAFE(c, &s->conns, all, next)
		conn_free(c);
	while ((tx = SLIST_FIRST(&s->spares)) != NULL) {
		SLIST_REMOVE_HEAD(&s->spares, spare);
		tally_msg_clear(&tx->msg);
		free(tx);
	}
	tally_clear(&s->tally);
	maildir_close(s->maildir);
	SSL_CTX_free(s->tls);
	if (s->commands != NULL)
		fclose(s->commands);
	close(s->epoll);
	close(s->fd);
	endpoint_unlink(&s->at);
}

/*
 * Options
 */

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr, "usage: sink [-FHJTUWkpqv] [-C PEM] [-D MS] [-I NAME] "
	    "[-M DIR] [-P FILE] [-S SEED]\n"
	    "            [-a FILE] [-c N] [-d MS] [-e N] [-i S] [-j FILE] "
	    "[-l PLACE]\n"
	    "            [-m smtp|lmtp] [-n N] [-o FILE] "
	    "[-r STAGE:PERCENT:CODE]...\n"
	    "            [-s OCTETS] [-t S] [-x KEYWORD]...\n");
	exit(EX_USAGE);
}

static long long
number(int option, const char *text, long long max)
{
	const char *error;
	long long n = strtonum(text, 0, max, &error);

	if (error != NULL)
		errx(EX_USAGE, "-%c %s: %s", option, text, error);
	return n;
}

static double
number_of_seconds(int option, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != '\0' || !(s >= 0 && s <= 1e9))
		errx(EX_USAGE, "-%c %s: want seconds", option, text);
	return s;
}

static FILE *
open_file(const char *path, const char *mode)
{
	FILE *f = fopen(path, mode);

	if (f == NULL)
		err(EX_CANTCREAT, "%s", path);
	return f;
}

static const struct protocol *
find_protocol(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
		if (strcmp(protocols[i].name, name) == 0)
			return &protocols[i];
	errx(EX_USAGE, "-m %s: no such protocol", name);
}

static void
leave_out(struct sink *s, const char *keyword)
{
	int i;

	for (i = 0; i < EXTS; i++)
		if (strcasecmp(ext_names[i], keyword) == 0) {
			s->offers[i] = false;
			return;
		}
	errx(EX_USAGE, "-x %s: not announced anyway", keyword);
}

static void
set_refusal(struct sink *s, const char *text)
{
	char stage[16];
	double percent;
	int code, end = 0, i;

	if (sscanf(text, "%15[a-z]:%lf:%d%n", stage, &percent, &code,
	    &end) < 3 || text[end] != '\0' || !(percent >= 0) ||
	    (code != 0 && (code < 400 || code > 599)))
		errx(EX_USAGE, "-r %s: want STAGE:PERCENT:CODE", text);
	for (i = 0; i < STAGES; i++)
		if (strcmp(stage, stage_names[i]) == 0) {
			s->refusals[i].percent = percent;
			s->refusals[i].code = code;
			return;
		}
	errx(EX_USAGE, "-r %s: no such stage", text);
}

/* Line by line: for whoever waits for a command to appear, and so that what a
 * message leaves here is there before its reply, whatever kills us. */
static FILE *
open_lines(const char *path)
{
	FILE *f = open_file(path, "ae");

	setvbuf(f, NULL, _IOLBF, BUFSIZ);
	return f;
}

static bool
set_flag(struct sink *s, int o)
{
	switch (o) {
	case 'F': s->is_synced = true; break;
	case 'H': s->tally.is_hashing = false; break;
	case 'J': s->tells_whose = true; break;
	case 'T': s->offers_tls = true; break;
	case 'U': s->tally.ignores_ids = true; break;
	case 'W': s->wraps_tls = true; break;
	case 'k': s->offers[CHUNKING] = false; break;
	case 'p': s->offers[PIPELINING] = false; break;
	case 'q': s->is_quiet = true; break;
	case 'v': s->is_verbose = true; break;
	default: return false;
	}
	return true;
}

static void
set_option(struct sink *s, int o, const char *arg)
{
	switch (o) {
	case 'C': s->pem = arg; break;
	case 'D': s->final_ms = number(o, arg, INT_MAX / 2); break;
	case 'I': s->tally.id_header = arg; break;
	case 'M': s->maildir_path = arg; break;
	case 'P': s->port_file = arg; break;
	case 'S':
		s->random = s->random * 31 + number(o, arg, LLONG_MAX);
		/* xorshift would never leave 0 */
		s->random += s->random == 0;
		break;
	case 'a': s->commands = open_lines(arg); break;
	case 'c': s->conns_max = number(o, arg, UINT32_MAX); break;
	case 'd': s->reply_ms = number(o, arg, INT_MAX / 2); break;
	case 'e': s->expected = number(o, arg, LLONG_MAX); break;
	case 'i': s->idle_s = number_of_seconds(o, arg); break;
	case 'j': s->tally.listing = open_lines(arg); break;
	case 'l': s->place = arg; break;
	case 'm': s->protocol = find_protocol(arg); break;
	case 'n': s->msgs_max = number(o, arg, UINT32_MAX); break;
	case 'o': s->tally.listing = open_file(arg, "we"); break;
	case 'r': set_refusal(s, arg); break;
	case 's': s->size_max = number(o, arg, LLONG_MAX); break;
	case 't': s->run_s = number_of_seconds(o, arg); break;
	case 'x': leave_out(s, arg); break;
	default: usage();
	}
}

static void
sink_init(struct sink *s)
{
	int i;

	tally_init(&s->tally);
	s->protocol = &protocols[0];
	s->place = "127.0.0.1:2525";
	s->size_max = SIZE_DEFAULT;
	s->random = UINT64_C(0x9e3779b97f4a7c15);
	LIST_INIT(&s->conns);
	SLIST_INIT(&s->spares);
	TAILQ_INIT(&s->late[0]);
	TAILQ_INIT(&s->late[1]);
	for (i = 0; i < EXTS; i++)
		s->offers[i] = true;
}

int
main(int argc, char **argv)
{
	static struct sink sink;
	sigset_t mask;
	int o, status;

	sink_init(&sink);
	while ((o = getopt(argc, argv, "C:D:FHI:JM:P:S:TUWa:c:d:e:i:j:kl:m:n:"
	    "o:pqr:s:t:vx:")) != -1)
		if (!set_flag(&sink, o))
			set_option(&sink, o, optarg);
	if (optind < argc)
		usage();
	catch_signals(&mask);
	sink_start(&sink);
	sink_run(&sink, &mask);
	tally_report(&sink.tally, stdout);
	status = tally_distinct(&sink.tally) < sink.expected;
	sink_clear(&sink);
	return status;
}
