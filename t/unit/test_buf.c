/* test_buf.c - buffers with a ceiling, big-endian numbers. */
#include "base/buf.h"

#include <errno.h>

#include "test.h"

static void
test_add(void)
{
	struct buf b;

	buf_init(&b, 1000);
	ok(buf_is_empty(&b) && buf_len(&b) == 0, "empty at first");
	is_int(buf_add(&b, "ab", 2), 0, "bytes");
	is_int(buf_add(&b, NULL, 0), 0, "no bytes");
	is_int(buf_puts(&b, "cd"), 0, "a string");
	is_int(buf_printf(&b, "%d%s", 5, "e"), 0, "formatted");
	is_mem(buf_data(&b), buf_len(&b), "abcd5e", 6, "all of it");
	buf_consume(&b, 2);
	is_mem(buf_data(&b), buf_len(&b), "cd5e", 4, "consumed in front");
	memcpy(buf_reserve(&b, 3), "xyz", 3);
	is_int(buf_len(&b), 4, "reserved is not yet there");
	buf_commit(&b, 2);
	is_mem(buf_data(&b), buf_len(&b), "cd5exy", 6, "committed is");
	buf_shrink(&b);
	is_int(buf_len(&b), 6, "shrinking keeps what is there");
	buf_consume(&b, 6);
	ok(buf_is_empty(&b), "consumed whole");
	buf_shrink(&b);
	ok(b.mem == NULL, "holds no memory");
	ok(buf_data(&b) == NULL, "and has no data");
	is_int(buf_puts(&b, "again"), 0, "can be used again");
	buf_clear(&b);
	is_int(b.max, 1000, "the ceiling stays");
}

static void
test_ceiling(void)
{
	struct buf b;

	buf_init(&b, 10);
	is_int(buf_puts(&b, "0123456"), 0, "below the ceiling");
	errno = 0;
	is_int(buf_puts(&b, "7890"), -1, "above it");
	is_int(errno, ENOBUFS, "with its errno");
	is_mem(buf_data(&b), buf_len(&b), "0123456", 7, "nothing is added");
	errno = 0;
	is_int(buf_printf(&b, "%s", "7890"), -1, "formatted above it");
	is_int(errno, ENOBUFS, "with its errno");
	is_int(buf_len(&b), 7, "nothing is added");
	is_int(buf_printf(&b, "%s", "789"), 0, "formatted just up to it");
	is_mem(buf_data(&b), buf_len(&b), "0123456789", 10, "all is there");
	ok(buf_reserve(&b, 1) == NULL, "no room for more");
	ok(buf_reserve(&b, SIZE_MAX) == NULL, "nor for all there is");
	buf_consume(&b, 4);
	is_int(buf_puts(&b, "abcd"), 0, "room comes back in front");
	is_mem(buf_data(&b), buf_len(&b), "456789abcd", 10, "in order");
	buf_clear(&b);

	buf_init(&b, 0);
	is_int(buf_puts(&b, "a"), -1, "a ceiling of nothing");
	is_int(buf_puts(&b, ""), 0, "holds nothing");
	buf_clear(&b);
}

/* A stream through a buffer: what comes out is what went in. */
static void
test_stream(void)
{
	struct buf	b;
	unsigned	in = 0, out = 0, step = 1;
	bool		same = true;
	char		bytes[97];

	buf_init(&b, 5000);
	for (int i = 0; i < 20000; i++) {
		step = step * 1103515245 + 12345;
		size_t n = step >> 16 & 63, taken = step >> 8 & 63;

		for (size_t k = 0; k < n; k++)
			bytes[k] = (char)((in + k) % 251);
		if (buf_add(&b, bytes, n) == 0)
			in += (unsigned)n;
		for (; taken > 0 && !buf_is_empty(&b); taken--, out++) {
			same &= *buf_data(&b) == (char)(out % 251);
			buf_consume(&b, 1);
		}
	}
	ok(same, "a stream comes out as it went in");
	is_int(buf_len(&b), in - out, "nothing is lost");
	ok(b.cap <= b.max, "the ceiling holds");
	buf_clear(&b);
}

static void
test_numbers(void)
{
	uint8_t p[8];

	put_be16(p, 0x0102);
	is_mem(p, 2, "\1\2", 2, "16 bits");
	is_int(get_be16("\xfe\xdc"), 0xfedc, "back");
	put_be32(p, 0x81020304);
	is_mem(p, 4, "\x81\2\3\4", 4, "32 bits");
	ok(get_be32("\xfe\xdc\xba\x98") == 0xfedcba98, "back");
	put_be64(p, 0x8102030405060708);
	is_mem(p, 8, "\x81\2\3\4\5\6\7\x08", 8, "64 bits");
	ok(get_be64("\xfe\xdc\xba\x98\x76\x54\x32\x10") ==
	    0xfedcba9876543210, "back");
}

int
main(void)
{
	test_add();
	test_ceiling();
	test_stream();
	test_numbers();
	return done_testing();
}
