/*
 * dnsd.c - a name server that knows every name, and answers each question the
 * same time after it came: for benches of smtp-mx.
 *
 *	NAME MX		mx.NAME, or --mx
 *	NAME A		--address, or by --many one of many addresses
 *	_mta-sts.* TXT	--txt
 *	else		no such record (RFC 2308: with a SOA record)
 *
 * UDP at a loopback port alone; the first question of a packet.  Ends at
 * SIGTERM with lines of "name value unit".
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "../tools/lib/endpoint.h"

#define PACKET_MAX	512
#define HEAD_BYTES	12
#define NAME_BYTES	256
#define TEXT_BYTES	255		/* of a TXT record's one string */
#define QUEUE_MAX	65536		/* answers that wait; a power of two */
#define SOCKET_BYTES	(16 << 20)
#define READ_MAX	256		/* questions before answers are due */
#define TTL_S		3600
#define MS		1000000LL

enum { A = 1, SOA = 6, MX = 15, TXT = 16, OPT = 41 };

struct packet {
	int64_t		 due_ns;
	struct sockaddr_in to;
	size_t		 len;
	uint8_t		 bytes[PACKET_MAX];
};

struct dnsd {
	/* what is asked for */
	int64_t		 delay_ns;
	const char	*mx, *txt, *port, *port_file, *many;
	struct in_addr	 address, first;	/* first of the many */

	int		 fd;
	struct packet	*queue;
	uint32_t	 head, tail;
	uint64_t	 questions, dropped;
	int64_t		 late_ns;	/* the latest answer */
};

static volatile sig_atomic_t is_over;

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

/* ---- packets ---- */

static void
put_u16(struct packet *p, unsigned v)
{
	p->bytes[p->len++] = (uint8_t)(v >> 8);
	p->bytes[p->len++] = (uint8_t)v;
}

static void
put_u32(struct packet *p, uint32_t v)
{
	put_u16(p, v >> 16);
	put_u16(p, v & 0xffff);
}

static void
put_bytes(struct packet *p, const void *bytes, size_t n)
{
	memcpy(p->bytes + p->len, bytes, n);
	p->len += n;
}

/* Of the name that was asked for. */
static void
put_record(struct packet *p, unsigned type, size_t rdata)
{
	put_u16(p, 0xc000 | HEAD_BYTES);
	put_u16(p, type);
	put_u16(p, 1);
	put_u32(p, TTL_S);
	put_u16(p, (unsigned)rdata);
}

/* The root's, whom all names are below. */
static void
put_soa(struct packet *p)
{
	int i;

	put_bytes(p, "", 1);
	put_u16(p, SOA);
	put_u16(p, 1);
	put_u32(p, TTL_S);
	put_u16(p, 2 + 5 * 4);
	put_bytes(p, "\0", 2);
	for (i = 0; i < 5; i++)
		put_u32(p, TTL_S);
}

static void
put_mx(const struct dnsd *d, struct packet *p)
{
	const char *label = d->mx;
	size_t n;

	if (label == NULL) {
		put_record(p, MX, 2 + 3 + 2);
		put_u16(p, 10);
		put_bytes(p, "\2mx", 3);
		put_u16(p, 0xc000 | HEAD_BYTES);
		return;
	}
	put_record(p, MX, 2 + strlen(label) + 2);
	put_u16(p, 10);
	for (; *label != '\0'; label += n + (label[n] == '.')) {
		n = strcspn(label, ".");
		p->bytes[p->len++] = (uint8_t)n;
		put_bytes(p, label, n);
	}
	put_bytes(p, "", 1);
}

static bool
is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), m = strlen(domain);

	return n > m && name[n - m - 1] == '.' &&
	    strcmp(name + n - m, domain) == 0;
}

static void
put_a(const struct dnsd *d, struct packet *p, const char *name)
{
	struct in_addr a = d->address;
	const char *digits = name + strcspn(name, "0123456789");

	if (d->many != NULL && is_below(name, d->many))
		a.s_addr = htonl(ntohl(d->first.s_addr) +
		    (uint32_t)strtoul(digits, NULL, 10));
	put_record(p, A, sizeof(a));
	put_bytes(p, &a, sizeof(a));
}

static void
put_txt(struct packet *p, const char *text)
{
	size_t n = strlen(text);

	put_record(p, TXT, 1 + n);
	p->bytes[p->len++] = (uint8_t)n;
	put_bytes(p, text, n);
}

/* The answer, over the question. */
static void
answer(const struct dnsd *d, struct packet *p, const char *name,
    unsigned type, bool has_opt)
{
	bool is_known = true;

	if (type == MX)
		put_mx(d, p);
	else if (type == A)
		put_a(d, p, name);
	else if (type == TXT && d->txt != NULL &&
	    strncmp(name, "_mta-sts.", 9) == 0)
		put_txt(p, d->txt);
	else {
		is_known = false;
		put_soa(p);
	}
	if (has_opt) {
		put_bytes(p, "", 1);
		put_u16(p, OPT);
		put_u16(p, 1232);
		put_u32(p, 0);
		put_u16(p, 0);
	}
	memcpy(p->bytes + 2, "\x81\x80\0\1\0\0\0\0\0", 9);
	p->bytes[7] = is_known;
	p->bytes[9] = !is_known;
	p->bytes[11] = has_opt;
}

/* A question's name as text in lower case, and its type; the packet is cut
 * behind it.  False: none. */
static bool
take_question(struct packet *p, char name[NAME_BYTES], unsigned *type_r)
{
	size_t at = HEAD_BYTES, n, to = 0;

	while (at < p->len && (n = p->bytes[at++]) != 0) {
		if (n > 63 || at + n > p->len || to + n + 2 > NAME_BYTES)
			return false;
		if (to > 0)
			name[to++] = '.';
		memcpy(name + to, p->bytes + at, n);
		to += n;
		at += n;
	}
	if (at + 4 > p->len)
		return false;
	name[to] = '\0';
	str_lower(name);
	*type_r = (unsigned)p->bytes[at] << 8 | p->bytes[at + 1];
	p->len = at + 4;
	return true;
}

/* ---- the run ---- */

/* False: there is nothing to read. */
static bool
read_one(struct dnsd *d)
{
	struct packet *p = &d->queue[d->tail % QUEUE_MAX];
	socklen_t len = sizeof(p->to);
	char name[NAME_BYTES];
	unsigned type;
	bool has_opt;
	ssize_t n;

	n = recvfrom(d->fd, p->bytes, sizeof(p->bytes), MSG_DONTWAIT,
	    (struct sockaddr *)&p->to, &len);
	if (n == -1)
		return false;
	d->questions++;
	p->len = (size_t)n;
	if (n < HEAD_BYTES || !take_question(p, name, &type) ||
	    d->tail - d->head == QUEUE_MAX - 1) {
		d->dropped++;
		return true;
	}
	has_opt = p->bytes[11] != 0;
	answer(d, p, name, type, has_opt);
	p->due_ns = now_ns() + d->delay_ns;
	d->tail++;
	return true;
}

static void
send_due(struct dnsd *d)
{
	struct packet *p;
	int64_t late;

	while (d->head != d->tail) {
		p = &d->queue[d->head % QUEUE_MAX];
		if ((late = now_ns() - p->due_ns) < 0)
			return;
		if (late > d->late_ns)
			d->late_ns = late;
		d->head++;
		/* Who has closed the port meanwhile has lost interest. */
		sendto(d->fd, p->bytes, p->len, 0, (struct sockaddr *)&p->to,
		    sizeof(p->to));
	}
}

static void
serve(struct dnsd *d, const sigset_t *while_waiting)
{
	struct pollfd fd = { .fd = d->fd, .events = POLLIN };
	struct timespec wait;
	int64_t left;
	unsigned i;

	while (!is_over) {
		left = d->head == d->tail ? 1000 * MS :
		    d->queue[d->head % QUEUE_MAX].due_ns - now_ns();
		if (left < 0)
			left = 0;
		wait = (struct timespec){ left / (1000 * MS),
		    left % (1000 * MS) };
		if (ppoll(&fd, 1, &wait, while_waiting) == -1 &&
		    errno != EINTR)
			err(EX_OSERR, "ppoll");
		for (i = 0; i < READ_MAX && read_one(d); i++)
			;
		send_due(d);
	}
}

static void
on_signal(int sig)
{
	(void)sig;
	is_over = 1;
}

/* ---- the command line ---- */

static void
usage(void)
{
	fputs("usage: dnsd [option...] --port-file=FILE\n"
	    "  --delay=MS           from question to answer (0)\n"
	    "  --mx=HOST            of all domains (mx.DOMAIN of each)\n"
	    "  --address=ADDRESS    of all hosts (127.0.0.1)\n"
	    "  --many=DOMAIN=FIRST  below DOMAIN: FIRST and the name's number\n"
	    "  --txt=TEXT           of all _mta-sts.DOMAIN (none)\n"
	    "  --port=PORT          listen there (any that is free)\n", stderr);
	exit(EX_USAGE);
}

static void
take_address(struct in_addr *a, const char *text)
{
	if (inet_pton(AF_INET, text, a) != 1)
		errx(EX_USAGE, "%s: no IPv4 address", text);
}

static void
take_many(struct dnsd *d, char *arg)
{
	char *first = strchr(arg, '=');

	if (first == NULL)
		usage();
	*first++ = '\0';
	d->many = arg;
	take_address(&d->first, first);
}

static const char *
take_text(const char *arg)
{
	if (*arg == '\0' || strlen(arg) > TEXT_BYTES - 2)
		usage();
	return arg;
}

static void
take_options(struct dnsd *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "delay", 1, NULL, 'd' }, { "mx", 1, NULL, 'm' },
		{ "address", 1, NULL, 'a' }, { "many", 1, NULL, 'n' },
		{ "txt", 1, NULL, 't' }, { "port", 1, NULL, 'p' },
		{ "port-file", 1, NULL, 'P' }, { NULL, 0, NULL, 0 }
	};
	int64_t ms;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'd':
			if (str_to_int64(optarg, 0, 10000, &ms) == -1)
				usage();
			d->delay_ns = ms * MS;
			break;
		case 'm': d->mx = take_text(optarg); break;
		case 'a': take_address(&d->address, optarg); break;
		case 'n': take_many(d, optarg); break;
		case 't': d->txt = take_text(optarg); break;
		case 'p': d->port = optarg; break;
		case 'P': d->port_file = optarg; break;
		default: usage();
		}
	if (optind < argc || d->port_file == NULL)
		usage();
}

static void
listen_at_loopback(struct dnsd *d)
{
	int bytes = SOCKET_BYTES;
	struct endpoint e;

	if (endpoint_tcp(&e, "127.0.0.1", d->port) == -1)
		errx(EX_USAGE, "%s: no port", d->port);
	d->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (d->fd == -1 ||
	    bind(d->fd, (struct sockaddr *)&e.addr, e.len) == -1 ||
	    getsockname(d->fd, (struct sockaddr *)&e.addr, &e.len) == -1)
		err(EX_OSERR, "bind");
	/* By force only root may; without it the kernel's ceiling holds. */
	if (setsockopt(d->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
	    sizeof(bytes)) == -1)
		setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &bytes,
		    sizeof(bytes));
	if (endpoint_port_file(&e, d->port_file) == -1)
		err(EX_CANTCREAT, "%s", d->port_file);
}

int
main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct dnsd d = { .port = "0" };
	sigset_t blocked, before;

	d.address.s_addr = htonl(INADDR_LOOPBACK);
	take_options(&d, argc, argv);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	d.queue = xcalloc(QUEUE_MAX, sizeof(*d.queue));
	listen_at_loopback(&d);
	serve(&d, &before);
	printf("questions %ju questions\n", (uintmax_t)d.questions);
	printf("dropped %ju questions\n", (uintmax_t)d.dropped);
	printf("latest %.1f ms\n", (double)d.late_ns / (double)MS);
	free(d.queue);
	return 0;
}
