/* test_intake_spool.c - where the body of a message is kept. */
#include "intake/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mail/frame.h"
#include "test.h"

static struct spool_store store;

/* n bytes in pieces: whole lines of 64. */
static int
fill(struct spool *s, size_t n, size_t step, struct body *body)
{
	static const char line[] =
	    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789\r\n";
	char *all = malloc(n + 64);
	size_t at;
	int result;

	for (at = 0; at < n; at += 64)
		memcpy(all + at, line, 64);
	for (at = 0; at < n; at += step)
		spool_add(s, all + at, n - at < step ? n - at : step);
	result = spool_finish(s, body);
	free(all);
	return result;
}

static bool
is_whole(const struct body *b)
{
	struct body_facts f;

	return body_look(b, &f) == 0 && f.is_clean && f.wire_len == b->len;
}

static void
test_places(void)
{
	static const struct {
		size_t		 len;
		const char	*where;
	} rows[] = {
		{ 0, "memory" },
		{ 64, "memory" },
		{ FRAME_INLINE_BODY_MAX, "memory" },
		{ FRAME_INLINE_BODY_MAX + 64, "memfd" },
		{ 128 * 1024, "memfd" },
		{ 1024 * 1024, "memfd" },
		{ 1024 * 1024 + 64, "file" },
		{ 5 * 1024 * 1024, "file" },
	};
	static const size_t steps[] = { 64, 1000, 65536, 1 << 20 };
	struct spool s;
	struct body b;
	const char *where;
	struct stat st;
	size_t i, k;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (k = 0; k < 4; k++) {
			spool_init(&s, &store, 0, false);
			is_int(fill(&s, rows[i].len, steps[k], &b), 0,
			    "%zu bytes by %zu", rows[i].len, steps[k]);
			where = b.mem != NULL ? "memory" :
			    body_is_sealed(&b) ? "memfd" : "file";
			is_str(where, rows[i].where, "... kept where it "
			    "belongs");
			ok(b.len == rows[i].len && is_whole(&b),
			    "... and whole");
			if (strcmp(where, "file") == 0)
				ok(fstat(b.fd, &st) == 0 && st.st_nlink == 0,
				    "... without a name");
			spool_clear(&s);
			ok(store.memory_used == 0, "... nothing is left");
		}
}

static void
test_limits(void)
{
	struct spool s, t;
	struct body b;

	spool_init(&s, &store, 1000 * 64, false);
	is_int(fill(&s, 1000 * 64, 1000, &b), 0, "as long as allowed");
	ok(!spool_is_too_large(&s), "... is not too large");
	spool_clear(&s);
	spool_init(&s, &store, 1000 * 64 - 1, false);
	fill(&s, 1000 * 64, 1000, &b);
	ok(spool_is_too_large(&s), "one byte more is");
	spool_clear(&s);

	store.memory_total = 100 * 1024;
	spool_init(&s, &store, 0, false);
	spool_init(&t, &store, 0, false);
	fill(&s, 96 * 1024, 4096, &b);
	ok(!s.is_file, "the first stays in memory");
	fill(&t, 96 * 1024, 4096, &b);
	ok(t.is_file && is_whole(&b), "all memory taken: the second does not");
	spool_clear(&t);
	spool_clear(&s);
	store.memory_total = 256 << 20;

	spool_init(&s, &store, 0, false);
	spool_expect(&s, store.memory_limit + 1);
	fill(&s, 64, 64, &b);
	ok(s.is_file && is_whole(&b), "a large one goes to a file at once");
	spool_clear(&s);
}

static void
test_bare(void)
{
	static const struct {
		const char	*in;
		bool		 is_bare;
		const char	*normal;
	} rows[] = {
		{ "a\r\nb\r\n", false, "a\r\nb\r\n" },
		{ "a\r\nb", false, "a\r\nb" },
		{ "", false, "" },
		{ "a\nb\r\n", true, "a\r\nb\r\n" },
		{ "a\rb\r\n", true, "a\r\nb\r\n" },
		{ "a\r\r\n", true, "a\r\n\r\n" },
		{ "a\r\nb\n", true, "a\r\nb\r\n" },
		{ "a\r\nb\r", true, "a\r\nb\r\n" },
		{ "a\n.\nb\r\n", true, "a\r\n.\r\nb\r\n" },
	};
	size_t i, step, n;
	struct spool s;
	struct body b;
	bool good;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = strlen(rows[i].in);
		good = true;
		for (step = 1; step <= n + 1; step++) {
			spool_init(&s, &store, 0, step % 2 == 0);
			for (size_t at = 0; at < n; at += step)
				spool_add(&s, rows[i].in + at,
				    n - at < step ? n - at : step);
			good &= spool_finish(&s, &b) == 0;
			if (step % 2 == 0)
				good &= b.len == strlen(rows[i].normal) &&
				    memcmp(b.mem, rows[i].normal, b.len) == 0;
			else
				good &= s.has_bare == rows[i].is_bare;
			spool_clear(&s);
		}
		ok(good, "bare CR and LF, row %zu", i);
	}
}

static void
test_faults(void)
{
	struct spool_store bad = { .memory_total = 1 << 20 };
	struct spool s;
	struct body b;
	char error[256];

	is_int(spool_store_open(&bad, "/nowhere", error, sizeof(error)), -1,
	    "a folder that is not there");
	ok(strstr(error, "/nowhere") != NULL, "... is named");
	bad.folder = open("/proc/self", O_RDONLY | O_DIRECTORY);
	spool_init(&s, &bad, 0, false);
	is_int(fill(&s, 100 * 1024, 4096, &b), -1, "no file can be made");
	ok(s.error != 0, "... and why");
	spool_clear(&s);
	spool_store_close(&bad);
}

int
main(void)
{
	char error[256], folder[] = "/tmp/spool.XXXXXX";

	if (mkdtemp(folder) == NULL)
		return 1;
	store.memory_limit = 1 << 20;
	store.memory_total = 256 << 20;
	is_int(spool_store_open(&store, folder, error, sizeof(error)), 0,
	    "the folder");
	test_places();
	test_limits();
	test_bare();
	test_faults();
	spool_store_close(&store);
	is_int(rmdir(folder), 0, "nothing is left in the folder");
	return done_testing();
}
