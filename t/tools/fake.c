/*
 * fake.c - a scripted server that misbehaves to order.
 *
 *	fake [options] PORT STEP...
 *
 * Listens, plays the steps to whoever connects, appends all it reads to a
 * log.  README.md beside this file explains options, steps and log.  It knows
 * no protocol: what it says is what the script says.
 *
 * Input is taken octet by octet as far as a step asks for it, never more.  So
 * what a client sends early stays in the socket, where E finds it, where a
 * small window stays closed, and where TLS sees its first octet.
 *
 * LONG: a program by itself: the steps of a script, a function each
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/endpoint.h"
#include "lib/tls_server.h"

#define STATUS_FAILED	3	/* an assertion did not hold */
#define STATUS_IDLE	4	/* nothing came for --linger seconds */

#define LOOK_MAX	65536	/* octets looked at in one go */
#define LINE_KEPT	8192	/* of the last line, for A */
#define EARLY_MS	150	/* how long E waits */
#define LAST_WAIT_MS	5000	/* for the client's close after the last step */
#define FULL_MAX	16	/* connects that must fill a backlog of 0 */
#define FULL_MS		300	/* a connect that takes so long hangs */
#define CHILDREN_MAX	1024	/* --each: connections at once */

enum outcome {
	GO,			/* on to the next step */
	GONE,			/* the peer closed: on to the next + */
	IDLE,			/* waited in vain: end */
};

struct step {
	const struct verb	*verb;
	size_t			 count;
	double			 seconds;
	char			*text;	/* owned */
	size_t			 len;
};

/* What the processes of --each must agree on; in shared memory. */
struct common {
	int	status;
	int	writer;			/* connection that logged last */
	bool	is_mid_line;		/* the log does not end in LF */
};

struct fake {
	struct endpoint	 at;
	int		 fd;
	int		 log;		/* -1: none */
	int		 linger_ms;
	bool		 is_each;
	struct step	*steps;
	size_t		 nsteps;
	SSL_CTX		*tls;
	struct common	*common;
};

struct peer {
	struct fake	*fake;
	int		 fd;		/* -1: we closed it */
	SSL		*ssl;
	int		 number;
	size_t		 step;		/* its number, from 1 */
	const char	*why;		/* how the peer went; static text */
	char		 last[LINE_KEPT + 1];	/* line, without its end */
	size_t		 nlast;
	char		 look[LOOK_MAX];
};

enum args { NONE, TEXT, RAW, COUNT, SECONDS, COUNT_TEXT };

struct verb {
	char		 letter;
	bool		 needs_peer;	/* left out once we closed */
	enum args	 args;
	enum outcome	(*act)(struct peer *, const struct step *);
};

/* For the signal handler alone. */
static const struct fake *running;
static pid_t main_pid;

static void
usage(void)
{
	fprintf(stderr, "usage: fake [--listen=ADDR | --unix=PATH] "
	    "[--log=FILE] [--port-file=FILE]\n"
	    "            [--rcvbuf=N] [--sndbuf=N] [--linger=S] [--each] "
	    "[--full]\n"
	    "            [--cert=FILE [--key=FILE]] PORT STEP...\n");
	exit(EX_USAGE);
}

/*
 * Log
 */

static void
log_lock(const struct fake *f, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	if (f->is_each && f->log != -1)
		while (fcntl(f->log, F_SETLKW, &lock) == -1 && errno == EINTR)
			continue;
}

static void
log_write(struct fake *f, const char *p, size_t n)
{
	ssize_t done;

	if (n == 0)
		return;
	f->common->is_mid_line = p[n - 1] != '\n';
	for (; f->log != -1 && n > 0; p += done, n -= done) {
		done = write(f->log, p, n);
		if (done == -1 && errno != EINTR)
			err(EX_IOERR, "log");
		if (done == -1)
			done = 0;
	}
}

/* A line of our own starts a line, even after half a line of the client's. */
static void
log_line(struct fake *f, const char *line)
{
	if (f->common->is_mid_line)
		log_write(f, "\n", 1);
	log_write(f, line, strlen(line));
	log_write(f, "\n", 1);
}

static void
log_begin(struct fake *f, int number)
{
	char line[64];

	log_lock(f, F_WRLCK);
	snprintf(line, sizeof line, "--- connection %d", number);
	log_line(f, line);
	f->common->writer = number;
	log_lock(f, F_UNLCK);
}

/* Connections of --each take turns in the log: say whose it is now. */
static void
log_turn(struct peer *p)
{
	char line[64];

	if (p->fake->common->writer == p->number)
		return;
	snprintf(line, sizeof line, "--- from %d", p->number);
	log_line(p->fake, line);
	p->fake->common->writer = p->number;
}

static void
log_input(struct peer *p, const char *data, size_t n)
{
	log_lock(p->fake, F_WRLCK);
	log_turn(p);
	log_write(p->fake, data, n);
	log_lock(p->fake, F_UNLCK);
}

static void __attribute__((format(printf, 2, 3)))
log_mark(struct peer *p, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	log_lock(p->fake, F_WRLCK);
	log_turn(p);
	log_line(p->fake, line);
	log_lock(p->fake, F_UNLCK);
}

static void
printable(char *to, size_t size, const char *p, size_t n)
{
	size_t used = 0;

	for (; n > 0 && used + 5 < size; p++, n--) {
		if (*p == '\r')
			used += snprintf(to + used, size - used, "\\r");
		else if (*p == '\n')
			used += snprintf(to + used, size - used, "\\n");
		else if ((unsigned char)*p < ' ' || *p == '\x7f')
			used += snprintf(to + used, size - used, "\\x%02x",
			    (unsigned char)*p);
		else
			to[used++] = *p;
	}
	to[used] = '\0';
}

static void __attribute__((format(printf, 2, 3)))
assertion_failed(struct peer *p, const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	p->fake->common->status = STATUS_FAILED;
	log_mark(p, "%s", text);
	warnx("connection %d: %s", p->number, text);
}

/*
 * Input and output
 */

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static bool
wait_fd(int fd, short events, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int64_t end = now_ms() + ms, left = ms;
	int n;

	do {
		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
		left = end - now_ms();
	} while (n == -1 && errno == EINTR);
	return n > 0;
}

/* What poll must wait for after r; 0: the TLS stream is over. */
static short
tls_wants(struct peer *p, int r)
{
	switch (SSL_get_error(p->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return POLLIN;
	case SSL_ERROR_WANT_WRITE:
		return POLLOUT;
	default:
		return 0;
	}
}

/*
 * Look at what is there without taking it.  > 0: octets in p->look; 0: none
 * yet, *wants_r says what to wait for; -1: the peer is gone, p->why says how.
 */
static ssize_t
peer_look(struct peer *p, short *wants_r)
{
	ssize_t n;

	if (p->ssl != NULL) {
		ERR_clear_error();
		n = SSL_peek(p->ssl, p->look, sizeof p->look);
		if (n > 0)
			return n;
		*wants_r = tls_wants(p, n);
		p->why = "";
		return *wants_r != 0 ? 0 : -1;
	}
	*wants_r = POLLIN;
	n = recv(p->fd, p->look, sizeof p->look, MSG_PEEK);
	if (n > 0)
		return n;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	p->why = n == 0 ? "" : " (reset)";
	return -1;
}

/* Wait until *n_r octets can be seen in p->look. */
static enum outcome
peer_await(struct peer *p, int wait_ms, size_t *n_r)
{
	short wants;
	ssize_t n;

	while ((n = peer_look(p, &wants)) == 0)
		if (!wait_fd(p->fd, wants, wait_ms))
			return IDLE;
	*n_r = n > 0 ? n : 0;
	return n > 0 ? GO : GONE;
}

/* Take n octets that were seen in p->look. */
static void
peer_take(struct peer *p, size_t n)
{
	size_t done = 0;
	ssize_t r;

	do {
		if (p->ssl != NULL)
			r = SSL_read(p->ssl, p->look + done, n - done);
		else
			r = recv(p->fd, p->look + done, n - done, 0);
		done += r > 0 ? r : 0;
	} while (r > 0 && done < n);
	log_input(p, p->look, done);
}

static enum outcome
peer_send(struct peer *p, const char *data, size_t n)
{
	short wants = POLLOUT;
	ssize_t r;

	while (n > 0) {
		if (p->ssl != NULL) {
			ERR_clear_error();
			r = SSL_write(p->ssl, data, n < INT_MAX ? n : INT_MAX);
			wants = r > 0 ? 0 : tls_wants(p, r);
		} else {
			r = send(p->fd, data, n, MSG_NOSIGNAL);
			if (r == -1 && errno != EAGAIN && errno != EINTR)
				wants = 0;
		}
		if (r > 0) {
			data += r;
			n -= r;
		} else if (wants == 0) {
			p->why = " (while sending)";
			return GONE;
		} else if (!wait_fd(p->fd, wants, p->fake->linger_ms))
			return IDLE;
	}
	return GO;
}

static void
peer_close(struct peer *p)
{
	if (p->ssl != NULL) {
		SSL_shutdown(p->ssl);
		ERR_clear_error();
		SSL_free(p->ssl);
		p->ssl = NULL;
	}
	if (p->fd != -1)
		close(p->fd);
	p->fd = -1;
}

/*
 * What the steps are made of
 */

static enum outcome
read_octets(struct peer *p, uint64_t left)
{
	enum outcome o;
	size_t n;

	while (left > 0) {
		if ((o = peer_await(p, p->fake->linger_ms, &n)) != GO)
			return o;
		if (n > left)
			n = left;
		peer_take(p, n);
		left -= n;
	}
	return GO;
}

static void
last_add(struct peer *p, const char *data, size_t n)
{
	if (n > LINE_KEPT - p->nlast)
		n = LINE_KEPT - p->nlast;
	memcpy(p->last + p->nlast, data, n);
	p->nlast += n;
}

static enum outcome
read_line(struct peer *p)
{
	const char *lf = NULL;
	enum outcome o;
	size_t n;

	p->nlast = 0;
	while (lf == NULL) {
		if ((o = peer_await(p, p->fake->linger_ms, &n)) != GO)
			return o;
		if ((lf = memchr(p->look, '\n', n)) != NULL)
			n = lf + 1 - p->look;
		last_add(p, p->look, n);
		peer_take(p, n);
	}
	while (p->nlast > 0 && strchr("\r\n", p->last[p->nlast - 1]) != NULL)
		p->nlast--;
	p->last[p->nlast] = '\0';
	return GO;
}

static enum outcome
read_until_closed(struct peer *p, int64_t wait_ms)
{
	int64_t end = now_ms() + wait_ms, left = wait_ms;
	enum outcome o;
	size_t n;

	while ((o = peer_await(p, left > 0 ? left : 0, &n)) == GO) {
		peer_take(p, n);
		left = end - now_ms();
	}
	return o;
}

/* The value of the header in the last line, or NULL. */
static const char *
header_value(const struct peer *p, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(p->last, name, n) != 0 || p->last[n] != ':')
		return NULL;
	return p->last + n + 1 + strspn(p->last + n + 1, " \t");
}

/* RFC 9112 §7.1 */
static enum outcome
read_chunks(struct peer *p)
{
	unsigned long long n;
	enum outcome o;

	do {
		if ((o = read_line(p)) != GO)
			return o;
		n = strtoull(p->last, NULL, 16);
		if (n > 0 && n < ULLONG_MAX - 2 &&
		    (o = read_octets(p, n + 2)) != GO)
			return o;
	} while (n > 0);
	do {
		if ((o = read_line(p)) != GO)
			return o;
	} while (p->nlast > 0);
	return GO;
}

/*
 * Steps
 */

static enum outcome
do_send(struct peer *p, const struct step *s)
{
	return peer_send(p, s->text, s->len);
}

/* One line many times, in large writes: 100,000 lines must not take long. */
static enum outcome
do_send_many(struct peer *p, const struct step *s)
{
	size_t fit = LOOK_MAX / s->len + 1, left = s->count, n, i;
	enum outcome o = GO;
	char *block;

	if (fit > left)
		fit = left;
	if ((block = malloc(fit * s->len + 1)) == NULL)
		err(EX_OSERR, "malloc");
	for (i = 0; i < fit; i++)
		memcpy(block + i * s->len, s->text, s->len);
	for (; o == GO && left > 0; left -= n) {
		n = left < fit ? left : fit;
		o = peer_send(p, block, n * s->len);
	}
	free(block);
	return o;
}

static enum outcome
do_lines(struct peer *p, const struct step *s)
{
	enum outcome o = GO;
	size_t i;

	for (i = 0; o == GO && i < s->count; i++)
		o = read_line(p);
	return o;
}

static enum outcome
do_reply_each(struct peer *p, const struct step *s)
{
	enum outcome o = GO;
	size_t i;

	for (i = 0; o == GO && i < s->count; i++)
		if ((o = read_line(p)) == GO)
			o = peer_send(p, s->text, s->len);
	return o;
}

static enum outcome
do_octets(struct peer *p, const struct step *s)
{
	return read_octets(p, s->count);
}

/* To CR LF . CR LF; a message may also be nothing but the dot. */
static enum outcome
do_message(struct peer *p, const struct step *s)
{
	static const char end[] = "\r\n.\r\n";
	size_t matched = 2, n, i;
	enum outcome o;

	(void)s;
	while (matched < sizeof end - 1) {
		if ((o = peer_await(p, p->fake->linger_ms, &n)) != GO)
			return o;
		for (i = 0; i < n && matched < sizeof end - 1; i++)
			if (p->look[i] == end[matched])
				matched++;
			else
				matched = p->look[i] == '\r';
		peer_take(p, i);
	}
	return GO;
}

static enum outcome
do_http(struct peer *p, const struct step *s)
{
	bool is_chunked = false;
	uint64_t length = 0;
	const char *value;
	enum outcome o;

	(void)s;
	do {
		if ((o = read_line(p)) != GO)
			return o;
		if ((value = header_value(p, "content-length")) != NULL)
			length = strtoull(value, NULL, 10);
		value = header_value(p, "transfer-encoding");
		if (value != NULL && strcasestr(value, "chunked") != NULL)
			is_chunked = true;
	} while (p->nlast > 0);
	return is_chunked ? read_chunks(p) : read_octets(p, length);
}

static enum outcome
do_sleep(struct peer *p, const struct step *s)
{
	struct timespec t = { .tv_sec = s->seconds };

	(void)p;
	t.tv_nsec = (s->seconds - t.tv_sec) * 1e9;
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		continue;
	return GO;
}

static enum outcome
do_close(struct peer *p, const struct step *s)
{
	(void)s;
	peer_close(p);
	return GO;
}

static enum outcome
do_reset(struct peer *p, const struct step *s)
{
	struct linger reset = { .l_onoff = 1 };

	(void)s;
	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	if (p->ssl != NULL)	/* no close_notify before a reset */
		SSL_set_quiet_shutdown(p->ssl, 1);
	peer_close(p);
	return GO;
}

static enum outcome
do_tls(struct peer *p, const struct step *s)
{
	const char *sni;
	short wants;
	int r;

	(void)s;
	if (p->ssl != NULL || (p->ssl = SSL_new(p->fake->tls)) == NULL ||
	    SSL_set_fd(p->ssl, p->fd) != 1)
		errx(EX_SOFTWARE, "T: %s", tls_server_error());
	for (;;) {
		ERR_clear_error();
		if ((r = SSL_accept(p->ssl)) == 1)
			break;
		if ((wants = tls_wants(p, r)) == 0) {
			log_mark(p, "--- tls failed: %s",
			    ERR_peek_error() != 0 ? tls_server_error() :
			    "connection closed");
			p->why = NULL;	/* told already */
			return GONE;
		}
		if (!wait_fd(p->fd, wants, p->fake->linger_ms))
			return IDLE;
	}
	sni = SSL_get_servername(p->ssl, TLSEXT_NAMETYPE_host_name);
	log_mark(p, "--- tls %s sni=%s", SSL_get_version(p->ssl),
	    sni != NULL ? sni : "");
	return GO;
}

static enum outcome
do_expect_silence(struct peer *p, const struct step *s)
{
	int64_t end = now_ms() + EARLY_MS, left = EARLY_MS;
	char text[256];
	short wants;
	ssize_t n;

	(void)s;
	while ((n = peer_look(p, &wants)) == 0 && left > 0) {
		wait_fd(p->fd, wants, left);
		left = end - now_ms();
	}
	if (n > 0) {
		printable(text, sizeof text, p->look, n);
		assertion_failed(p, "EARLY step %zu: %zd octets: %s", p->step,
		    n, text);
	}
	return GO;	/* that the peer is gone is for the next step to say */
}

static enum outcome
do_assert(struct peer *p, const struct step *s)
{
	char text[256];

	if (fnmatch(s->text, p->last, FNM_CASEFOLD) != 0) {
		printable(text, sizeof text, p->last, p->nlast);
		assertion_failed(p, "MISMATCH step %zu: wanted %.400s, got %s",
		    p->step, s->text, text);
	}
	return GO;
}

static enum outcome
do_await_close(struct peer *p, const struct step *s)
{
	enum outcome o;
	size_t n;

	(void)s;
	while ((o = peer_await(p, p->fake->linger_ms, &n)) == GO)
		peer_take(p, n);
	if (o == IDLE)
		return IDLE;
	peer_close(p);
	return GO;
}

static const struct verb verbs[] = {
	{ 'S', true,	TEXT,		do_send },
	{ 'W', true,	RAW,		do_send },
	{ 'N', true,	COUNT_TEXT,	do_send_many },
	{ 'L', true,	NONE,		do_lines },
	{ 'G', true,	COUNT,		do_lines },
	{ 'M', true,	COUNT_TEXT,	do_reply_each },
	{ 'D', true,	NONE,		do_message },
	{ 'B', true,	COUNT,		do_octets },
	{ 'H', true,	NONE,		do_http },
	{ 'Z', false,	SECONDS,	do_sleep },
	{ 'P', false,	SECONDS,	do_sleep },
	{ 'X', true,	NONE,		do_close },
	{ 'R', true,	NONE,		do_reset },
	{ 'T', true,	NONE,		do_tls },
	{ 'E', true,	NONE,		do_expect_silence },
	{ 'A', false,	TEXT,		do_assert },
	{ 'C', true,	NONE,		do_await_close },
	{ '+', false,	NONE,		NULL },	/* the player's own */
};

/*
 * Script
 */

static void __attribute__((noreturn))
bad_step(const char *arg)
{
	errx(EX_USAGE, "bad step: %s", arg);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* C escapes; false for one that is not known. */
static bool
unescape(struct step *s, const char *p)
{
	static const char from[] = "rnt0\\", to[] = "\r\n\t\0\\";
	const char *k;

	for (; *p != '\0'; p++) {
		if (*p != '\\') {
			s->text[s->len++] = *p;
		} else if (*++p == 'x') {
			if (hex_digit(p[1]) == -1 || hex_digit(p[2]) == -1)
				return false;
			s->text[s->len++] = hex_digit(p[1]) << 4 |
			    hex_digit(p[2]);
			p += 2;
		} else {
			k = *p != '\0' ? strchr(from, *p) : NULL;
			if (k == NULL)
				return false;
			s->text[s->len++] = to[k - from];
		}
	}
	return true;
}

static void
set_text(struct step *s, const char *text, const char *end)
{
	if (asprintf(&s->text, "%s%s", text, end) == -1)
		err(EX_OSERR, "asprintf");
	s->len = strlen(s->text);
}

static void
set_count(struct step *s, const char *text, const char *arg)
{
	const char *error;

	s->count = strtonum(text, 0, 1LL << 40, &error);
	if (error != NULL)
		bad_step(arg);
}

static bool
parse_seconds(const char *text, double *seconds_r)
{
	char *end;

	*seconds_r = strtod(text, &end);
	return end != text && *end == '\0' && *seconds_r >= 0 &&
	    *seconds_r <= 86400;
}

static void
parse_count_text(struct step *s, const char *text, const char *arg)
{
	const char *colon = strchr(text, ':');
	char *count;

	if (colon == NULL || (count = strndup(text, colon - text)) == NULL)
		bad_step(arg);
	set_count(s, count, arg);
	free(count);
	set_text(s, colon + 1, "\r\n");
}

static void
parse_step(struct step *s, const char *arg)
{
	const char *text = arg + 2;
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (verbs[i].letter == arg[0])
			s->verb = &verbs[i];
	if (s->verb == NULL || arg[1] != (s->verb->args == NONE ? '\0' : ':'))
		bad_step(arg);
	switch (s->verb->args) {
	case NONE:
		s->count = 1;
		break;
	case TEXT:
		set_text(s, text, s->verb->act == do_send ? "\r\n" : "");
		break;
	case RAW:
		set_text(s, text, "");
		s->len = 0;
		if (!unescape(s, text))
			bad_step(arg);
		break;
	case COUNT:
		set_count(s, text, arg);
		break;
	case SECONDS:
		if (!parse_seconds(text, &s->seconds))
			bad_step(arg);
		break;
	case COUNT_TEXT:
		parse_count_text(s, text, arg);
		break;
	}
}

static void
parse_script(struct fake *f, int argc, char **argv)
{
	int i;

	if ((f->steps = calloc(argc + 1, sizeof *f->steps)) == NULL)
		err(EX_OSERR, "calloc");
	f->nsteps = argc;
	for (i = 0; i < argc; i++) {
		parse_step(&f->steps[i], argv[i]);
		if (f->is_each && argv[i][0] == '+')
			errx(EX_USAGE, "+ has no meaning with --each");
		if (argv[i][0] == 'T' && f->tls == NULL)
			f->tls = tls_server_new(NULL, NULL);
	}
}

/*
 * Player
 */

static enum outcome
peer_accept(struct peer *p)
{
	int one = 1;

	do {
		if (!wait_fd(p->fake->fd, POLLIN, p->fake->linger_ms))
			return IDLE;
		p->fd = accept4(p->fake->fd, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (p->fd == -1);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	p->number++;
	p->nlast = 0;
	p->last[0] = '\0';
	log_begin(p->fake, p->number);
	return GO;
}

/* Plays from step i to the next +, whose place it returns in *i. */
static enum outcome
play_connection(struct peer *p, size_t *i)
{
	const struct fake *f = p->fake;
	enum outcome o = GO;
	const struct step *s;

	for (; *i < f->nsteps && f->steps[*i].verb->act != NULL; ++*i) {
		s = &f->steps[*i];
		p->step = *i + 1;
		if (o != GO || (p->fd == -1 && s->verb->needs_peer))
			continue;
		o = s->verb->act(p, s);
		if (o == IDLE)
			return IDLE;
		if (o == GONE && p->why != NULL)
			log_mark(p, "--- eof%s", p->why);
	}
	if (o == GONE)
		peer_close(p);
	return GO;
}

static void
end_connection(struct peer *p)
{
	int ms = LAST_WAIT_MS;

	if (p->fd != -1) {
		if (ms > p->fake->linger_ms)
			ms = p->fake->linger_ms;
		if (read_until_closed(p, ms) == IDLE)
			log_mark(p, "--- still open");
	}
	peer_close(p);
}

static void
ended_idle(struct peer *p)
{
	log_mark(p, "--- idle");
	warnx("connection %d, step %zu: nothing happened for %g s", p->number,
	    p->step, p->fake->linger_ms / 1000.0);
	peer_close(p);
	if (p->fake->common->status == 0)
		p->fake->common->status = STATUS_IDLE;
}

static void
play(struct fake *f)
{
	struct peer *p;
	size_t i = 0;

	if ((p = calloc(1, sizeof *p)) == NULL)
		err(EX_OSERR, "calloc");
	p->fake = f;
	p->fd = -1;
	for (;; i++) {
		if (peer_accept(p) != GO || play_connection(p, &i) != GO) {
			ended_idle(p);
			break;
		}
		if (i == f->nsteps) {
			end_connection(p);
			break;
		}
		p->step = i + 1;
		peer_close(p);
	}
	free(p);
}

/* --each: one child plays the script to one connection. */
static void
play_child(struct fake *f, int fd, int number)
{
	struct peer *p;
	size_t i = 0;

	/* The parent may be killed in a way it cannot pass on. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != main_pid)
		_exit(0);
	if ((p = calloc(1, sizeof *p)) == NULL)
		err(EX_OSERR, "calloc");
	p->fake = f;
	p->fd = fd;
	p->number = number;
	if (play_connection(p, &i) == GO)
		end_connection(p);
	else
		ended_idle(p);
	free(p);
	_exit(0);
}

/* Returns the number of children left. */
static int
reap(struct fake *f, int children)
{
	int status;

	for (; children > 0 && waitpid(-1, &status, WNOHANG) > 0; children--)
		if (status != 0 && f->common->status == 0)
			f->common->status = EX_SOFTWARE;
	return children;
}

static void
play_each(struct fake *f)
{
	int64_t last = now_ms();
	int children = 0, number = 0, one = 1, fd;

	while (children > 0 || now_ms() - last < f->linger_ms) {
		children = reap(f, children);
		if (children > 0)
			last = now_ms();
		/* Short waits: an ended child must not wait long for us. */
		if (children == CHILDREN_MAX || !wait_fd(f->fd, POLLIN, 100)) {
			if (children == CHILDREN_MAX)
				usleep(10000);
			continue;
		}
		last = now_ms();
		fd = accept4(f->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			usleep(10000);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		log_begin(f, ++number);
		switch (fork()) {
		case -1:
			err(EX_OSERR, "fork");
		case 0:
			play_child(f, fd, number);
		}
		children++;
		close(fd);
	}
}

/*
 * --full: connects of our own fill the backlog.  From then on the kernel drops
 * every further SYN, and a connect hangs.  (A UNIX socket: connect blocks.)
 */
static void
fill_backlog(struct fake *f)
{
	int i, fd;

	for (i = 0; i < FULL_MAX; i++) {
		fd = socket(f->at.addr.ss_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd == -1)
			err(EX_OSERR, "socket");
		if (connect(fd, (struct sockaddr *)&f->at.addr,
		    f->at.len) == 0)
			continue;
		if (errno == EAGAIN)	/* UNIX socket */
			return;
		if (errno != EINPROGRESS)
			err(EX_OSERR, "connect");
		if (!wait_fd(fd, POLLOUT, FULL_MS))
			return;
	}
	errx(EX_OSERR, "the backlog does not fill");
}

/*
 * Start
 */

/* Nothing is buffered, so the log is whole whenever we go. */
static void
on_signal(int sig)
{
	(void)sig;
	if (getpid() == main_pid)
		endpoint_unlink(&running->at);
	_exit(running->common->status);
}

static void
catch_signals(const struct fake *f)
{
	struct sigaction sa = { .sa_handler = on_signal };

	running = f;
	main_pid = getpid();
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int
int_option(const char *name, const char *text)
{
	const char *error;
	int n = strtonum(text, 1, INT_MAX / 2, &error);

	if (error != NULL)
		errx(EX_USAGE, "--%s=%s: %s", name, text, error);
	return n;
}

static int
open_log(const char *path)
{
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd == -1)
		err(EX_CANTCREAT, "%s", path);
	return fd;
}

enum { LISTEN, UNIX, LOG, PORT_FILE, RCVBUF, SNDBUF, LINGER, EACH, FULL,
	CERT, KEY, OPTIONS };

static const struct option long_options[] = {
	{ "listen",	required_argument,	NULL, LISTEN },
	{ "unix",	required_argument,	NULL, UNIX },
	{ "log",	required_argument,	NULL, LOG },
	{ "port-file",	required_argument,	NULL, PORT_FILE },
	{ "rcvbuf",	required_argument,	NULL, RCVBUF },
	{ "sndbuf",	required_argument,	NULL, SNDBUF },
	{ "linger",	required_argument,	NULL, LINGER },
	{ "each",	no_argument,		NULL, EACH },
	{ "full",	no_argument,		NULL, FULL },
	{ "cert",	required_argument,	NULL, CERT },
	{ "key",	required_argument,	NULL, KEY },
	{ NULL,		0,			NULL, 0 },
};

/* The place to listen at; returns the number of arguments it took. */
static int
parse_place(struct fake *f, const char *opt[], int argc, char **argv)
{
	bool has_port = argc > 0 && argv[0][0] != '\0' &&
	    strspn(argv[0], "0123456789") == strlen(argv[0]);

	if (opt[UNIX] != NULL) {
		if (endpoint_unix(&f->at, opt[UNIX]) == -1)
			errx(EX_USAGE, "--unix=%s: bad path", opt[UNIX]);
		return has_port;
	}
	if (!has_port)
		usage();
	if (endpoint_tcp(&f->at, opt[LISTEN] != NULL ? opt[LISTEN] :
	    "127.0.0.1", argv[0]) == -1)
		errx(EX_USAGE, "bad address or port");
	return 1;
}

static void
set_options(struct fake *f, const char *opt[])
{
	double seconds = 60;

	if (opt[LINGER] != NULL && (!parse_seconds(opt[LINGER], &seconds) ||
	    seconds < 0.001))
		errx(EX_USAGE, "--linger=%s: want seconds", opt[LINGER]);
	f->linger_ms = seconds * 1000;
	f->is_each = opt[EACH] != NULL;
	if (opt[KEY] != NULL && opt[CERT] == NULL)
		errx(EX_USAGE, "--key without --cert");
	if (opt[CERT] != NULL)
		f->tls = tls_server_new(opt[CERT], opt[KEY]);
	f->common = mmap(NULL, sizeof *f->common, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->common == MAP_FAILED)
		err(EX_OSERR, "mmap");
}

static void
start_listening(struct fake *f, const char *opt[])
{
	int rcvbuf = 0, sndbuf = 0;

	if (opt[RCVBUF] != NULL)
		rcvbuf = int_option("rcvbuf", opt[RCVBUF]);
	if (opt[SNDBUF] != NULL)
		sndbuf = int_option("sndbuf", opt[SNDBUF]);
	f->log = opt[LOG] != NULL ? open_log(opt[LOG]) : -1;
	f->fd = endpoint_listen(&f->at, opt[FULL] != NULL ? 0 : SOMAXCONN,
	    rcvbuf, sndbuf);
	if (f->fd == -1)
		err(EX_OSERR, "listen");
	catch_signals(f);
	if (opt[FULL] != NULL)
		fill_backlog(f);
	if (opt[PORT_FILE] != NULL &&
	    endpoint_port_file(&f->at, opt[PORT_FILE]) == -1)
		err(EX_CANTCREAT, "%s", opt[PORT_FILE]);
}

static void
fake_clear(struct fake *f)
{
	size_t i;

	for (i = 0; i < f->nsteps; i++)
		free(f->steps[i].text);
	free(f->steps);
	SSL_CTX_free(f->tls);
	close(f->fd);
	endpoint_unlink(&f->at);
}

int
main(int argc, char **argv)
{
	static struct fake fake;	/* static: children end inside play */
	const char *opt[OPTIONS] = { NULL };
	int o, used;

	while ((o = getopt_long(argc, argv, "+", long_options, NULL)) != -1) {
		if (o < 0 || o >= OPTIONS)
			usage();
		opt[o] = optarg != NULL ? optarg : "";
	}
	argc -= optind;
	argv += optind;
	set_options(&fake, opt);
	used = parse_place(&fake, opt, argc, argv);
	parse_script(&fake, argc - used, argv + used);
	start_listening(&fake, opt);
	if (opt[FULL] != NULL)
		wait_fd(-1, 0, fake.linger_ms);
	else if (fake.is_each)
		play_each(&fake);
	else
		play(&fake);
	fake_clear(&fake);
	return fake.common->status;
}
