/* test_message.c - line ends, dots and facts, against message_reference.h. */
#include "mail/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mail/block.h"
#include "message_reference.h"
#include "test.h"

/* A fixed sequence (Knuth's MMIX), so that a failure comes again. */
static uint32_t
draw(uint32_t below)
{
	static uint64_t state = 42;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(state >> 33) % below;
}

/*
 * Noise of the bytes that matter.  Mostly 'a' where they are rare, so that
 * clean blocks and all mixtures with them occur.
 */
static void
make_noise(char *to, size_t n, unsigned rarity)
{
	static const char bytes[] = { '.', '\r', '\n', '\0', '\x80', '\n' };
	size_t		  i = 0;

	while (i < n) {
		if (draw(rarity) != 0) {
			to[i++] = 'a';
		} else if (draw(3) == 0 && i + 2 <= n) {
			to[i++] = '\r';
			to[i++] = '\n';
		} else {
			to[i++] = bytes[draw(sizeof(bytes))];
		}
	}
}

/* Converts in pieces of at most `piece` bytes (random ones). */
static size_t
convert(char *to, const char *from, size_t n, bool stuff, size_t piece)
{
	struct crlf	c;
	size_t		at = 0, out = 0, one;

	crlf_init(&c, stuff);
	while (at < n) {
		one = 1 + draw((uint32_t)piece);
		if (one > n - at)
			one = n - at;
		out += crlf_convert(&c, to + out, from + at, one);
		at += one;
	}
	return out + crlf_finish(&c, to + out);
}

static struct body_facts
scan(const char *from, size_t n, size_t piece)
{
	struct body_scan	s;
	size_t			at = 0, one;

	body_scan_init(&s);
	while (at < n) {
		one = 1 + draw((uint32_t)piece);
		if (one > n - at)
			one = n - at;
		body_scan_add(&s, from + at, one);
		at += one;
	}
	body_scan_finish(&s);
	return s.facts;
}

static void
is_converted(const char *from, size_t n, bool stuff, const char *want,
    size_t want_n, const char *name)
{
	char	got[1024];
	size_t	got_n;

	got_n = convert(got, from, n, stuff, n + 1);
	is_mem(got, got_n, want, want_n, "%s", name);
	got_n = convert(got, from, n, stuff, 1);
	is_mem(got, got_n, want, want_n, "%s, byte by byte", name);
}

#define CONVERTED(from, stuff, want, name)				\
	is_converted(from, sizeof(from) - 1, stuff, want, sizeof(want) - 1, \
	    name)

static void
test_examples(void)
{
	CONVERTED("", true, "", "an empty message stays empty");
	CONVERTED("\r\n", true, "\r\n", "an empty line stays");
	CONVERTED("one", true, "one\r\n", "a last line gets its end");
	CONVERTED("one\r\ntwo", true, "one\r\ntwo\r\n", "only the last one");
	CONVERTED("a\nb\n", true, "a\r\nb\r\n", "LF becomes CRLF");
	CONVERTED("a\rb\r", true, "a\r\nb\r\n", "CR becomes CRLF");
	CONVERTED("a\r\r\nb", true, "a\r\n\r\nb\r\n", "CR CR LF is two ends");
	CONVERTED("a\n\rb", true, "a\r\n\r\nb\r\n", "LF CR is two ends");
	CONVERTED("a\n\n", true, "a\r\n\r\n", "LF LF is two ends");
	CONVERTED(".", true, "..\r\n", "a dot at the start is doubled");
	CONVERTED(".\r\n..a\r\na.\r\n", true, "..\r\n...a\r\na.\r\n",
	    "dots at line starts are doubled");
	CONVERTED("a\n.\nb", true, "a\r\n..\r\nb\r\n", "a dot after LF");
	CONVERTED("a\r.\rb", true, "a\r\n..\r\nb\r\n", "a dot after CR");
	CONVERTED("a\n.\r\nb", true, "a\r\n..\r\nb\r\n",
	    "no end of data comes of LF . CRLF");
	CONVERTED("a\r\n.\r\n", false, "a\r\n.\r\n", "no dots if not asked");
	CONVERTED("\0\x80\0", true, "\0\x80\0\r\n", "other bytes pass");
}

/* One input at one place: both directions of the test, all facts. */
static bool
holds(const char *from, size_t n, char *got, char *want, size_t piece)
{
	struct body_facts	facts, want_facts;
	size_t			got_n, want_n;
	bool			stuff = draw(2) != 0;

	got_n = convert(got, from, n, stuff, piece);
	want_n = reference_convert(want, from, n, stuff);
	if (got_n != want_n || memcmp(got, want, got_n) != 0)
		return false;
	facts = scan(from, n, piece);
	want_facts = reference_facts(from, n);
	return facts_are_equal(&facts, &want_facts) &&
	    want_facts.wire_len == reference_convert(want, from, n, false);
}

/* Memory of exactly the size, so that a sanitizer sees a byte too far. */
static bool
round_holds(size_t n, size_t align, unsigned rarity, size_t piece)
{
	char	*from = malloc(n + align + 1), *got = malloc(crlf_room(n));
	char	*want = malloc(crlf_room(n) + 2);
	bool	 held;

	make_noise(from + align, n, rarity);
	held = holds(from + align, n, got, want, piece);
	if (!held)
		diag("n %zu align %zu rarity %u piece %zu", n, align, rarity,
		    piece);
	free(from);
	free(got);
	free(want);
	return held;
}

static void
test_random(void)
{
	static const unsigned	rarities[] = { 1, 2, 8, 40, 300 };
	static const size_t	pieces[] = { 1, 3, 63, 64, 65, 200, 5000 };
	bool			held;
	unsigned		rarity;

	for (size_t r = 0; r < 5; r++) {
		rarity = rarities[r];
		held = true;
		for (size_t align = 0; align < 64; align++)
			for (size_t p = 0; p < 7; p++)
				held &= round_holds(draw(600), align, rarity,
				    pieces[p]);
		for (int i = 0; i < 100; i++)
			held &= round_holds(draw(6000), draw(64), rarity, 700);
		ok(held, "like the reference, 1 of %u bytes special", rarity);
	}
}

/* All inputs up to 7 bytes around the border of two blocks. */
static void
test_borders(void)
{
	static const char	bytes[] = { 'a', '.', '\r', '\n', '\x80' };
	char			from[80], got[200], want[200];
	bool			held = true;
	unsigned		n;

	for (unsigned i = 0; i < 5 * 5 * 5 * 5 * 5 * 5; i++) {
		memset(from, 'a', sizeof(from));
		n = i;
		for (int k = 0; k < 6; k++, n /= 5)
			from[61 + k] = bytes[n % 5];
		held &= holds(from, 67, got, want, 67);
		held &= holds(from + 60, 7, got, want, 7);
	}
	ok(held, "like the reference at the border of two blocks");
}

/* Lines about as long as they may be, behind short ones, in all places. */
static void
test_line_lengths(void)
{
	char	from[1200], got[2500], want[2500];
	size_t	before, len;
	bool	held = true;

	for (int i = 0; i < 4000; i++) {
		before = draw(150);
		len = 997 + draw(3);
		memset(from, 'a', sizeof(from));
		from[before] = "\r\n"[draw(2)];
		from[before + len + 1] = "\r\n"[draw(2)];
		held &= holds(from, before + len + draw(4), got, want,
		    1 + draw(100));
	}
	ok(held, "like the reference with lines of 997 to 999 bytes");
}

static void
test_masks(void)
{
	static const char	bytes[] = { '\r', '\n', '.', '\0', 'a', '\x80',
	    '\x7f' };
	char			block[BLOCK_BYTES];
	uint64_t		want, high;
	bool			word = true, best = true;

	for (int round = 0; round < 20000; round++) {
		char c = bytes[draw(sizeof(bytes))];

		if (round % 2 == 0)
			make_noise(block, sizeof(block), 1 + draw(5));
		else
			for (int i = 0; i < BLOCK_BYTES; i++)
				block[i] = (char)(c ^ (char)(1 << draw(8)));
		want = high = 0;
		for (int i = 0; i < BLOCK_BYTES; i++) {
			want |= (uint64_t)(block[i] == c) << i;
			high |= (uint64_t)((block[i] & 0x80) != 0) << i;
		}
		word &= block_eq_word(block, c) == want;
		word &= block_high_word(block) == high;
		best &= block_eq(block, c) == want;
		best &= block_high(block) == high;
	}
	ok(word, "masks made by words");
	ok(best, "masks made as this machine can");
}

/* Two bytes that go together, in all places of a run and on its borders. */
static void
test_run_pairs(void)
{
	static const char	pairs[][3] = { "\n.", "\r\n", "\r.", "\ra",
	    "\n\n", "\r\r", "\n\r", ".\n" };
	char			buf[RUN_BYTES + 2], *p = buf + 1;
	struct run		want;
	bool			held = true;

	for (size_t k = 0; k < sizeof(pairs) / sizeof(pairs[0]); k++)
		for (size_t i = 0; i < RUN_BYTES + 1; i++) {
			memset(buf, 'a', sizeof(buf));
			memcpy(buf + i, pairs[k], 2);
			want = reference_run(p);
			held &= runs_are_equal(run_look_word(p), want);
			held &= runs_are_equal(run_look(p), want);
		}
	ok(held, "pairs of bytes in a run");
}

/* Also runs full of one byte, where counts are highest. */
static void
test_runs(void)
{
	static const char	bytes[] = { 'a', '\n', '\r', '.', '\0',
	    '\xff', '\x8a', '\x8d' };
	char			buf[RUN_BYTES + 2], *p = buf + 1;
	struct run		want;
	bool			word = true, best = true;

	for (int round = 0; round < 20000; round++) {
		if (round < 8)
			memset(buf, bytes[round], sizeof(buf));
		else if (round % 2 == 0)
			make_noise(buf, sizeof(buf), 1 + draw(400));
		else
			buf[draw(sizeof(buf))] = bytes[draw(sizeof(bytes))];
		want = reference_run(p);
		word &= runs_are_equal(run_look_word(p), want);
		best &= runs_are_equal(run_look(p), want);
	}
	ok(word, "runs looked at by words");
	ok(best, "runs looked at as this machine can");
}

/* Lines of `max` bytes at most; ends as asked, or both. */
static void
make_text(char *to, size_t n, size_t max, const char *ends)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		to[i] = 'a';
		if (len++ < draw((uint32_t)max))
			continue;
		len = 0;
		if ((ends[draw(2)] == '\r' || i == 0) && i + 1 < n)
			to[i++] = '\r';
		to[i] = '\n';
	}
}

static void
put_line_end(char *to)
{
	to[0] = '\r';
	to[1] = '\n';
}

/*
 * Text of which no more than a few bytes are out of place, in the body from
 * its first byte or after a header.
 */
static void
test_text(void)
{
	static const char	 odd[] = { '\r', '\n', '.', '\0', '\x80' };
	static const char	*ends[] = { "\r\r", "\n\n", "\r\n" };
	static char		 from[6000], got[12010], want[12010];
	size_t			 n, at;
	bool			 held;

	for (int e = 0; e < 3; e++) {
		held = true;
		for (int i = 0; i < 3000; i++) {
			n = 1500 + draw(4500);
			make_text(from, n, 2 + draw(900), ends[e]);
			if (draw(4) != 0)
				put_line_end(from);
			for (unsigned k = draw(4); k > 0; k--)
				from[draw((uint32_t)n)] = odd[draw(5)];
			at = draw((uint32_t)n - 1000);
			if (draw(4) == 0)	/* a line about too long */
				memset(from + at, 'a', 990 + draw(10));
			held &= holds(from, n, got, want, 500 + draw(12000));
		}
		ok(held, "like the reference with nearly plain text %d", e);
	}
}

/*
 * A lone CR anywhere in plain text, also as the last byte of a run, and about
 * the longest line behind it.  The memory ends with the text.
 */
static void
test_lone_cr(void)
{
	char	*from, got[8000], want[8000];
	size_t	 n, whole = 1 << 20;	/* mostly in one piece */
	bool	 held = true;

	for (size_t at = 900; at < 2500; at++) {
		n = at + 1 + 997 + draw(4);
		from = malloc(n);
		make_text(from, n, 80, "\r\r");
		put_line_end(from);
		put_line_end(from + n - at);
		held &= holds(from + n - at, at, got, want, whole);
		from[at] = '\r';
		memset(from + at + 1, 'a', n - at - 1);
		held &= holds(from, n, got, want, whole);
		from[n - 1] = '\n';
		held &= holds(from, n, got, want, whole);
		free(from);
	}
	ok(held, "like the reference with a lone CR in plain text");
}

static struct body_facts
facts_of(const char *s)
{
	return scan(s, strlen(s), strlen(s) + 1);
}

static void
test_facts(void)
{
	char			line[1100];
	struct body_facts	f;

	f = facts_of("");
	ok(f.is_clean && f.wire_len == 0, "an empty message is clean");
	f = facts_of("a: b\r\n\r\nc\r\n");
	ok(f.is_clean && !f.has_8bit && !f.has_nul && !f.has_dot_line &&
	    !f.has_long_line, "nothing to say of a plain message");
	is_int(f.wire_len, 11, "its length");
	f = facts_of("a: b\n\nc");
	ok(!f.is_clean, "LF is not clean");
	is_int(f.wire_len, 11, "its length on the wire");
	ok(!facts_of("a").is_clean, "without its last end not clean");
	f = facts_of("a: b\r\n\r\n\xc3\xa4\r\n");
	ok(f.has_8bit && !f.header_8bit, "8 bit in the body");
	f = facts_of("a: \xc3\xa4\r\n\r\nb\r\n");
	ok(f.has_8bit && f.header_8bit, "8 bit in the header");
	ok(facts_of("\r\n\xc3\xa4").header_8bit == false, "no header at all");
	ok(facts_of("a: b\r\r\xc3\xa4").header_8bit == false,
	    "a header that ends in lone CRs");
	ok(facts_of("a\r\n.").has_dot_line, "a line with a dot");
	memset(line, 'x', sizeof(line));
	memcpy(line + 998, "\r\n", 3);
	ok(!facts_of(line).has_long_line, "a line of 998 bytes is not long");
	memcpy(line + 998, "x\r\n", 4);
	ok(facts_of(line).has_long_line, "a line of 999 bytes is long");
	memcpy(line + 998, "x", 2);
	ok(facts_of(line).has_long_line, "so it is without an end");
}

static void
test_read(void)
{
	FILE			*tmp = tmpfile();
	struct body		 body = { .fd = fileno(tmp), .offset = 3,
	    .len = 100000 };
	struct body		 mem = { .mem = "a\nb", .fd = -1, .len = 3 };
	struct body_reader	 r;
	struct body_facts	 f;
	char			 scratch[512];
	const char		*data;
	int64_t			 n;
	uint64_t		 sum = 0;

	for (int i = 0; i < 100003; i++)
		putc(i < 3 ? 'x' : "01234567\r\n"[(i - 3) % 10], tmp);
	fflush(tmp);
	body_reader_init(&r, &body);
	n = body_read(&r, scratch, 10, &data);
	is_mem(data, (size_t)n, "01234567\r\n", 10, "the start of a file");
	is_int(body_left(&r), 99990, "what is left");
	while ((n = body_read(&r, scratch, sizeof(scratch), &data)) > 0)
		sum += (uint64_t)n;
	is_int(sum, 99990, "the rest of a file");
	is_int(n, 0, "then the end");
	is_int(lseek(body.fd, 0, SEEK_CUR), 100003, "the position stays");
	is_int(body_look(&body, &f), 0, "a look at a file");
	ok(f.is_clean && f.wire_len == 100000, "finds what there is");

	body.len++;
	errno = 0;
	is_int(body_look(&body, &f), -1, "a file that ends early");
	is_int(errno, EIO, "is an error of its own");
	fclose(tmp);
	body.fd = -1;
	is_int(body_look(&body, &f), -1, "no file at all");
	is_int(errno, EBADF, "is one of the system");

	body_reader_init(&r, &mem);
	is_int(body_read(&r, NULL, 2, &data), 2, "memory, at most as asked");
	ok(data == mem.mem, "memory is not copied");
	is_int(body_read(&r, NULL, 2, &data), 1, "its rest");
	ok(data == mem.mem + 2, "which follows");
	is_int(body_read(&r, NULL, 2, &data), 0, "its end");
	body_look(&mem, &f);
	is_int(f.wire_len, 6, "a look at memory");
}

/* A memfd of n bytes behind 5 others. */
static struct body
make_memfd(const char *from, size_t n, int seals)
{
	struct body	 body = { .offset = 5, .len = n };

	body.fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (body.fd == -1 || pwrite(body.fd, "xxxxx", 5, 0) != 5 ||
	    pwrite(body.fd, from, n, 5) != (ssize_t)n ||
	    (seals != 0 && fcntl(body.fd, F_ADD_SEALS, seals) == -1))
		diag("memfd: %s", strerror(errno));
	return body;
}

static void
test_sealed(void)
{
	static const struct {
		int		 seals;
		bool		 sealed;
		const char	*name;
	} all[] = {
		{ 0, false, "none" },
		{ F_SEAL_SHRINK, false, "SHRINK" },
		{ F_SEAL_WRITE, false, "WRITE" },
		{ F_SEAL_GROW | F_SEAL_SEAL, false, "GROW and SEAL" },
		{ F_SEAL_SHRINK | F_SEAL_WRITE, true, "SHRINK and WRITE" },
		{ F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL,
		    true, "all of them" },
	};
	struct body	 mem = { .mem = "a", .fd = 0, .len = 1 };
	struct body	 none = { .fd = -1, .len = 1 }, body;
	FILE		*tmp = tmpfile();
	int		 ends[2];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		body = make_memfd("a\r\n", 3, all[i].seals);
		is_int(body_is_sealed(&body), all[i].sealed, "seals: %s",
		    all[i].name);
		close(body.fd);
	}
	ok(!body_is_sealed(&mem), "memory is not sealed");
	ok(!body_is_sealed(&none), "what is not open is not");
	none.fd = fileno(tmp);
	ok(!body_is_sealed(&none), "a file is not");
	fclose(tmp);
	if (pipe(ends) == -1)
		diag("pipe: %s", strerror(errno));
	none.fd = ends[0];
	ok(!body_is_sealed(&none), "a pipe is not");
	close(ends[0]);
	close(ends[1]);
}

/* Ranges of a memfd that begin and end anywhere, sealed or not. */
static void
test_look(void)
{
	const int		 seals[] = { 0, F_SEAL_SHRINK,
	    F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_GROW };
	const size_t		 n = 3 << 20;
	char			*from = malloc(n);
	struct body		 body;
	struct body_facts	 f, want;
	size_t			 at;
	bool			 held;

	make_text(from, n, 80, "\r\r");
	for (int s = 0; s < 3; s++) {
		body = make_memfd(from, n, seals[s]);
		held = true;
		for (int i = 0; i < 30; i++) {
			at = i == 0 ? 0 : draw(200000);
			body.offset = 5 + at;
			body.len = i == 0 ? n : draw(n - 200000);
			want = reference_facts(from + at, body.len);
			held &= body_look(&body, &f) == 0 &&
			    facts_are_equal(&f, &want);
		}
		ok(held, "a look at ranges of a memfd, seals %#x", seals[s]);
		body.offset = 6;
		body.len = n;
		errno = 0;
		is_int(body_look(&body, &f), -1, "one that ends early");
		is_int(errno, EIO, "is an error");
		body.offset = n * 2;
		errno = 0;
		is_int(body_look(&body, &f), -1, "one that ends far before");
		is_int(errno, EIO, "is one, too");
		close(body.fd);
	}
	free(from);
}

int
main(void)
{
	test_examples();
	test_masks();
	test_runs();
	test_run_pairs();
	test_borders();
	test_line_lengths();
	test_random();
	test_text();
	test_lone_cr();
	test_facts();
	test_read();
	test_sealed();
	test_look();
	return done_testing();
}
