/* test_conn.c - a stream to a host: opening, writing, every way to end. */
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net_test.h"

enum action { NOTHING, FREE, ABORT, WRITE };

struct side {
	struct conn	*c;
	bool		 is_opened, is_closed, has_drained, has_data;
	unsigned	 nopened, nclosed, ndrained, nprogress;
	int		 error;
	size_t		 nbytes;
	char		 bytes[64];	/* the first ones */
	enum action	 on_opened, on_data, on_drained, on_progress,
			 on_closed;
};

static struct loop *loop;
static struct side s;
static char folder[] = "/tmp/test_conn.XXXXXX", path[64];

static void
act(struct side *x, enum action action)
{
	if (action == WRITE)
		conn_write(x->c, "again", 5);
	if (action == FREE)
		conn_free(x->c);
	if (action == ABORT)
		conn_abort(x->c);
	if (action == FREE || action == ABORT)
		x->c = NULL;
}

static void
on_opened(void *arg)
{
	struct side *x = arg;

	x->is_opened = true;
	x->nopened++;
	act(x, x->on_opened);
}

static void
on_data(void *arg, const char *p, size_t n)
{
	struct side *x = arg;
	size_t room = sizeof(x->bytes) - 1;

	x->has_data = true;
	if (x->nbytes < room)
		memcpy(x->bytes + x->nbytes, p,
		    n < room - x->nbytes ? n : room - x->nbytes);
	x->nbytes += n;
	act(x, x->on_data);
}

static void
on_drained(void *arg)
{
	struct side *x = arg;

	x->has_drained = true;
	x->ndrained++;
	act(x, x->on_drained);
}

static void
on_progress(void *arg)
{
	struct side *x = arg;

	x->nprogress++;
	act(x, x->on_progress);
}

static void
on_closed(void *arg, int error)
{
	struct side *x = arg;

	x->is_closed = true;
	x->nclosed++;
	x->error = error;
	act(x, x->on_closed);
}

static const struct conn_ops ops = {
	.opened = on_opened,
	.data = on_data,
	.drained = on_drained,
	.progress = on_progress,
	.closed = on_closed,
};

/* ---- the other side ---- */

/*
 * A listening socket of this family on the loopback, its address in *a.  A
 * UNIX socket where host is NULL: that has small buffers.
 */
static int
listen_on(const char *host, struct addr *a)
{
	int fd;

	if (host == NULL)
		addr_unix(a, path);
	else
		addr_parse(a, host, 0);
	fd = socket(addr_family(a), SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || bind(fd, &a->u.sa, a->len) == -1 ||
	    listen(fd, 8) == -1 || (host != NULL &&
	    getsockname(fd, &a->u.sa, &a->len) == -1)) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	return fd;
}

/* Connects s; the peer's end, as a blocking socket. */
static int
open_to(const char *host)
{
	struct addr a;
	int fd, peer;

	fd = listen_on(host, &a);
	memset(&s, 0, sizeof(s));
	s.c = conn_open(loop, &a, NULL, &ops, &s);
	if (s.nopened != 0)
		diag("opened inside the call");
	turn_until(loop, &s.is_opened);
	peer = accept(fd, NULL, NULL);
	close(fd);
	unlink(path);
	return peer;
}

static void
end(int peer)
{
	conn_free(s.c);
	s.c = NULL;
	turn_some(loop);
	if (peer != -1)
		close(peer);
}

/* ---- opening ---- */

static void
test_open(void)
{
	int before = count_fds(), peer = open_to("127.0.0.1");
	char text[ADDR_TEXT_MAX];
	struct addr local;

	is_int(s.nopened, 1, "opened once");
	is_int(conn_local(s.c, &local), 0, "local address");
	is_str(addr_format(&local, text, sizeof(text)), "127.0.0.1",
	    "that is it");
	ok(addr_port(&local) > 0, "with a port");
	ok(write(peer, "220 hi\r\n", 8) == 8 && turn_until(loop, &s.has_data),
	    "data comes");
	is_str(s.bytes, "220 hi\r\n", "as it was sent");
	end(peer);
	is_int(s.nclosed, 0, "freed: not told");
	is_int(count_fds(), before, "freed: nothing stays open");
	if ((peer = open_to("::1")) == -1)
		skip("no IPv6 here");
	else
		ok(s.nopened == 1, "opened, IPv6");
	end(peer);
}

static void
test_refused(void)
{
	int before = count_fds(), fd;
	struct addr a;

	fd = listen_on("127.0.0.1", &a);
	close(fd);
	memset(&s, 0, sizeof(s));
	s.c = conn_open(loop, &a, NULL, &ops, &s);
	ok(s.c != NULL && s.nclosed == 0, "refused: not inside the call");
	ok(turn_until(loop, &s.is_closed), "refused: closed");
	is_int(s.error, ECONNREFUSED, "refused: why");
	is_int(s.nopened, 0, "refused: never opened");
	turn_some(loop);
	is_int(s.nclosed, 1, "refused: told once");
	conn_write(s.c, "x", 1);
	is_int((intmax_t)conn_pending(s.c), 0, "refused: nothing is kept");
	end(-1);

	addr_unix(&a, "/nonexistent/socket");
	memset(&s, 0, sizeof(s));
	s.on_closed = FREE;
	s.c = conn_open(loop, &a, NULL, &ops, &s);
	ok(s.c != NULL && s.nclosed == 0, "no such path: not inside the call");
	turn_some(loop);
	is_int(s.error, ENOENT, "no such path: why");

	s.c = conn_open(loop, &a, NULL, &ops, &s);
	s.nclosed = 0;
	conn_free(s.c);
	turn_some(loop);
	is_int(s.nclosed, 0, "freed before it was told");
	is_int(count_fds(), before, "refused: nothing stays open");
}

static void
test_source(void)
{
	char text[ADDR_TEXT_MAX];
	struct addr a, source, local;
	int before = count_fds(), fd = listen_on("127.0.0.1", &a);

	memset(&s, 0, sizeof(s));
	addr_parse(&source, "127.0.0.2", 0);
	s.c = conn_open(loop, &a, &source, &ops, &s);
	ok(turn_until(loop, &s.is_opened), "from a source address");
	conn_local(s.c, &local);
	is_str(addr_format(&local, text, sizeof(text)), "127.0.0.2",
	    "that is the local one");
	end(-1);
	before++;		/* fd */
	addr_parse(&source, "192.0.2.1", 0);
	errno = 0;
	ok(conn_open(loop, &a, &source, &ops, &s) == NULL &&
	    errno == EADDRNOTAVAIL, "from one that is not ours");
	addr_parse(&source, "::1", 0);
	ok(conn_open(loop, &a, &source, &ops, &s) == NULL,
	    "from one of another family");
	is_int(count_fds(), before, "nothing stays open");
	close(fd);
}

/* ---- writing ---- */

/* Reads until n bytes are there; whether they are what write_much() wrote. */
static bool
read_much(int peer, size_t n)
{
	static char bytes[65536];
	size_t at = 0, i, room;
	ssize_t got;
	int64_t end_ms = clock_mono_ms() + 20000;

	fcntl(peer, F_SETFL, O_NONBLOCK);
	while (at < n && clock_mono_ms() < end_ms) {
		room = n - at < sizeof(bytes) ? n - at : sizeof(bytes);
		if ((got = read(peer, bytes, room)) <= 0) {
			loop_turn(loop, 1);
			continue;
		}
		for (i = 0; i < (size_t)got; i++, at++)
			if (bytes[i] != (char)(at % 251))
				return false;
	}
	return at == n;
}

static void
write_much(size_t n)
{
	static char bytes[1000];
	size_t at, i, piece;

	for (at = 0; at < n; at += piece) {
		piece = n - at < sizeof(bytes) ? n - at : sizeof(bytes);
		for (i = 0; i < piece; i++)
			bytes[i] = (char)((at + i) % 251);
		conn_write(s.c, bytes, piece);
	}
}

static void
test_write(void)
{
	int peer = open_to(NULL);
	size_t much = (size_t)3 * 1024 * 1024;
	char bytes[8];

	conn_write(s.c, "EHLO", 4);
	is_int((intmax_t)conn_pending(s.c), 0, "little leaves at once");
	is_int(read(peer, bytes, 8), 4, "and arrives");
	conn_write(s.c, "", 0);
	s.on_drained = WRITE;
	write_much(much);
	ok(conn_pending(s.c) > 0, "much is kept in part");
	is_int(s.ndrained, 0, "drained: not inside the call");
	ok(read_much(peer, much), "slow reader: all arrives in order");
	ok(turn_until(loop, &s.has_drained), "slow reader: drained");
	is_int(s.ndrained, 1, "slow reader: once");
	ok(s.nprogress > 0, "slow reader: progress was told");
	fcntl(peer, F_SETFL, 0);
	is_int(read(peer, bytes, 8), 5, "written by drained()");
	end(peer);
}

static void
test_write_ceiling(void)
{
	static char much[4 * 1024 * 1024 + 1];
	int peer, fd;
	struct addr a;

	/* Before it is open all is kept. */
	fd = listen_on("127.0.0.1", &a);
	memset(&s, 0, sizeof(s));
	s.c = conn_open(loop, &a, NULL, &ops, &s);
	conn_write(s.c, much, sizeof(much) - 1);
	is_int((intmax_t)conn_pending(s.c), sizeof(much) - 1,
	    "4 MiB are kept");
	conn_write(s.c, "x", 1);
	is_int(s.nclosed, 0, "one byte more: not inside the call");
	turn_some(loop);
	is_int(s.nclosed, 1, "one byte more: closed");
	is_int(s.error, ENOBUFS, "one byte more: why");
	end(-1);

	memset(&s, 0, sizeof(s));
	s.c = conn_open(loop, &a, NULL, &ops, &s);
	conn_write(s.c, "early", 5);
	ok(turn_until(loop, &s.has_drained), "written before it was open");
	while ((peer = accept(fd, NULL, NULL)) != -1) {
		if (read(peer, much, 5) == 5)
			break;
		close(peer);	/* of the first one */
	}
	is_mem(much, 5, "early", 5, "it arrives");
	end(peer);
	close(fd);
}

/* ---- the end ---- */

static void
reset(int peer)
{
	struct linger l = { 1, 0 };

	setsockopt(peer, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(peer);
}

static void
test_closed(void)
{
	int before = count_fds(), peer;

	peer = open_to("127.0.0.1");
	ok(write(peer, "421 bye", 7) == 7, "the peer says bye");
	close(peer);
	ok(turn_until(loop, &s.is_closed), "closed by the peer");
	is_str(s.bytes, "421 bye", "what it said came first");
	is_int(s.error, 0, "no error");
	end(-1);

	peer = open_to("127.0.0.1");
	reset(peer);
	ok(turn_until(loop, &s.is_closed), "reset by the peer");
	is_int(s.error, ECONNRESET, "that is the error");
	turn_some(loop);
	is_int(s.nclosed, 1, "told once");
	end(-1);
	is_int(count_fds(), before, "nothing stays open");
}

/* What the peer said before is read though writing fails. */
static void
test_cut(void)
{
	int peer = open_to("127.0.0.1");

	ok(write(peer, "421 bye", 7) == 7, "the peer says bye");
	close(peer);
	usleep(20000);
	conn_write(s.c, "DATA", 4);	/* makes the peer reset */
	usleep(20000);
	conn_write(s.c, "DATA", 4);	/* finds it */
	conn_write(s.c, "DATA", 4);
	is_int(s.nclosed, 0, "cut: not inside the call");
	ok(turn_until(loop, &s.is_closed), "cut: closed");
	is_str(s.bytes, "421 bye", "cut: what it said came first");
	turn_some(loop);
	is_int(s.nclosed, 1, "cut: told once");
	end(-1);

	peer = open_to("127.0.0.1");
	reset(peer);
	usleep(20000);
	conn_write(s.c, "DATA", 4);
	ok(turn_until(loop, &s.is_closed), "reset, found by writing: closed");
	is_int(s.error, ECONNRESET, "reset, found by writing: why");
	end(-1);

	/* While output is kept. */
	peer = open_to(NULL);
	write_much((size_t)3 * 1024 * 1024);
	reset(peer);
	ok(turn_until(loop, &s.is_closed), "reset with output kept: closed");
	is_int(s.nclosed, 1, "reset with output kept: once");
	end(-1);
}

/* The peer of a UNIX socket stops reading and says nothing: no end is read. */
static void
test_deaf(void)
{
	int peer = open_to(NULL);

	shutdown(peer, SHUT_RD);
	conn_write(s.c, "LHLO", 4);
	ok(turn_until(loop, &s.is_closed), "peer stopped reading: closed");
	turn_some(loop);
	is_int(s.nclosed, 1, "peer stopped reading: told once");
	end(peer);
}

static void
test_abort(void)
{
	char byte;
	int peer = open_to("127.0.0.1"), before = count_fds();
	ssize_t n;

	write_much((size_t)2 * 1024 * 1024);
	conn_abort(s.c);
	s.c = NULL;
	is_int(count_fds(), before - 1, "abort: closed at once");
	turn_some(loop);
	while ((n = read(peer, &byte, 1)) > 0)
		;
	ok(n == -1 && errno == ECONNRESET, "abort: the peer sees a reset");
	end(peer);
	is_int(s.nclosed, 0, "abort: the owner is not told");

	peer = open_to("127.0.0.1");
	end(-1);
	is_int(read(peer, &byte, 1), 0, "free: the peer sees an end");
	close(peer);
	conn_free(NULL);
	conn_abort(NULL);
}

/* Each callback may free its connection. */
static void
test_free_inside(void)
{
	struct addr a;
	int before = count_fds(), peer, fd = listen_on("127.0.0.1", &a);

	memset(&s, 0, sizeof(s));
	s.on_opened = FREE;
	s.c = conn_open(loop, &a, NULL, &ops, &s);
	turn_until(loop, &s.is_opened);
	ok(s.c == NULL, "freed by opened()");
	close(fd);

	peer = open_to("127.0.0.1");
	s.on_data = FREE;
	ok(write(peer, "x", 1) == 1 && turn_until(loop, &s.has_data),
	    "freed by data()");
	end(peer);

	peer = open_to("127.0.0.1");
	s.on_data = ABORT;
	ok(write(peer, "x", 1) == 1, "more than it takes");
	close(peer);
	turn_until(loop, &s.has_data);
	turn_some(loop);
	is_int(s.nclosed, 0, "aborted by data() with the end behind it");

	peer = open_to(NULL);
	s.on_progress = FREE;
	write_much((size_t)3 * 1024 * 1024);
	for (fd = 0; fd < 1000 && s.c != NULL; fd++) {
		static char sink[8192];

		if (read(peer, sink, sizeof(sink)) <= 0)
			break;
		loop_turn(loop, 1);
	}
	ok(s.c == NULL, "freed by progress()");
	end(peer);

	peer = open_to(NULL);
	s.on_drained = FREE;
	write_much((size_t)1024 * 1024 * 3);
	read_much(peer, (size_t)1024 * 1024 * 3);
	turn_until(loop, &s.has_drained);
	ok(s.c == NULL, "freed by drained()");
	end(peer);

	peer = open_to("127.0.0.1");
	s.on_closed = FREE;
	close(peer);
	ok(turn_until(loop, &s.is_closed) && s.c == NULL,
	    "freed by closed()");
	turn_some(loop);
	is_int(count_fds(), before, "nothing stays open");
}

/* ---- accepted ones ---- */

/* The one end of a pair is s, the other end is returned. */
static int
accept_one(void)
{
	int ends[2];

	memset(&s, 0, sizeof(s));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    ends) == -1)
		return -1;
	s.c = conn_accepted(loop, ends[0], &ops, &s);
	return ends[1];
}

static void
on_ended(void *arg)
{
	((struct side *)arg)->is_closed = true;
}

/* A peer that sends no more may still read; then it is gone. */
static void
test_half(void)
{
	static struct conn_ops half;
	int ends[2];
	char got[8] = "";

	half = ops;
	half.ended = on_ended;
	memset(&s, 0, sizeof(s));
	ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    ends) == 0, "a pair");
	s.c = conn_accepted(loop, ends[0], &half, &s);
	shutdown(ends[1], SHUT_WR);
	ok(turn_until(loop, &s.is_closed) && s.nclosed == 0,
	    "half closed: ended, not closed");
	conn_pause(s.c, true);
	conn_pause(s.c, false);
	turn_some(loop);
	conn_write(s.c, "bye", 3);
	ok(read(ends[1], got, sizeof(got)) == 3, "half closed: it can read");
	ok(!conn_is_gone(s.c), "half closed: not gone");
	close(ends[1]);
	ok(conn_is_gone(s.c), "closed: gone");
	s.is_closed = false;
	conn_write(s.c, "bye", 3);
	ok(turn_until(loop, &s.is_closed) && s.nclosed == 1,
	    "closed: told by the next write");
	end(-1);
}

static void
test_accepted(void)
{
	int before = count_fds(), peer = accept_one();
	char got[8] = "";

	conn_write(s.c, "220 hi", 6);
	ok(read(peer, got, sizeof(got)) == 6, "accepted: open at once");
	is_int(s.nopened, 0, "accepted: that is not told");
	ok(write(peer, "LHLO", 4) == 4 && turn_until(loop, &s.has_data),
	    "accepted: data comes");
	conn_pause(s.c, true);
	s.has_data = false;
	ok(write(peer, "MAIL", 4) == 4, "more comes");
	turn_some(loop);
	ok(!s.has_data, "paused: it is not read");
	ok(!conn_is_gone(s.c), "paused: the peer is there");
	conn_pause(s.c, false);
	ok(turn_until(loop, &s.has_data), "goes on: now it is");
	is_str(s.bytes, "LHLOMAIL", "nothing is lost");
	conn_pause(s.c, true);
	close(peer);
	turn_some(loop);
	is_int(s.nclosed, 0, "paused: an end is not told");
	ok(conn_is_gone(s.c), "but shows");
	conn_pause(s.c, false);
	ok(turn_until(loop, &s.is_closed), "goes on: the end is told");
	conn_pause(s.c, true);
	end(-1);

	peer = accept_one();
	conn_pause(s.c, true);
	end(peer);
	is_int(count_fds(), before, "accepted: nothing stays open");
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		diag("%s: %s", folder, strerror(errno));
	snprintf(path, sizeof(path), "%s/s", folder);
	loop = loop_new();
	test_open();
	test_refused();
	test_source();
	test_write();
	test_write_ceiling();
	test_closed();
	test_cut();
	test_deaf();
	test_abort();
	test_free_inside();
	test_accepted();
	test_half();
	turn_some(loop);
	loop_free(loop);
	rmdir(folder);
	return done_testing();
}
