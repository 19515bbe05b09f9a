/* test_base64.c - base64, both ways. */
#include "base/base64.h"

#include <stdlib.h>

#include "test.h"

/* RFC 4648 §10, and bytes beyond text. */
static const struct {
	const char	*bytes;
	size_t		 n;
	const char	*text;
} pairs[] = {
	{ "", 0, "" },
	{ "f", 1, "Zg==" },
	{ "fo", 2, "Zm8=" },
	{ "foo", 3, "Zm9v" },
	{ "foob", 4, "Zm9vYg==" },
	{ "fooba", 5, "Zm9vYmE=" },
	{ "foobar", 6, "Zm9vYmFy" },
	{ "\0", 1, "AA==" },
	{ "\0\0\0", 3, "AAAA" },
	{ "\xff", 1, "/w==" },
	{ "\xff\xff\xff", 3, "////" },
	{ "\xfb\xef\xbe", 3, "++++" },
	{ "\x01", 1, "AQ==" },
};

static const char *const bad[] = {
	"A", "AA", "AAA", "AAAAA", "=", "====", "A===", "AA=A", "=AAA",
	"A=AA", "A=A=", "AA==AAAA", "AAA=AAAA",		/* padding */
	"AB==", "Zh==", "AAB=", "Zm9=",			/* left-over bits */
	"AA A", "AAA\n", " AAAA", "AAAA ", "AAAA\r\n", "AA-A", "AA_A",
	"AA.A", "\xc3\xa4\xc3\xa4", "\x80\x80\x80\x80",
};

static void
test_pairs(void)
{
	uint8_t bytes[16];
	char text[16];
	size_t i, n;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		memset(text, 'x', sizeof(text));
		n = base64_encode(text, pairs[i].bytes, pairs[i].n);
		is_str(text, pairs[i].text, "encode %zu", i);
		is_int((intmax_t)n, (intmax_t)BASE64_LEN(pairs[i].n),
		    "encode %zu: length", i);
		is_int(base64_decode(bytes, pairs[i].text, n, &n), 0,
		    "decode %zu", i);
		is_mem(bytes, n, pairs[i].bytes, pairs[i].n, "decode %zu: "
		    "bytes", i);
	}
}

static void
test_bad(void)
{
	uint8_t bytes[16];
	size_t i, n = 77;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(base64_decode(bytes, bad[i], strlen(bad[i]), &n), -1,
		    "not base64: %zu", i);
	is_int((intmax_t)n, 77, "a failure gives no length");
	is_int(base64_decode(bytes, "AA\0A", 4, &n), -1, "NUL is none of it");
}

/* All lengths, in place, with a byte behind that stays. */
static void
test_all(void)
{
	uint8_t bytes[256];
	char text[BASE64_LEN(256) + 2];
	size_t i, n, len, wrong = 0;

	for (n = 0; n <= sizeof(bytes); n++) {
		for (i = 0; i < n; i++)
			bytes[i] = (uint8_t)(i * 37 + n);
		memset(text, '~', sizeof(text));
		len = base64_encode(text, bytes, n);
		if (len != BASE64_LEN(n) || text[len] != '\0' ||
		    text[len + 1] != '~' || BASE64_BYTES(len) < n ||
		    base64_decode(text, text, len, &len) == -1 || len != n ||
		    memcmp(text, bytes, n) != 0)
			wrong++;
	}
	is_int((intmax_t)wrong, 0, "0 to 256 bytes, decoded in place");
}

int
main(void)
{
	test_pairs();
	test_bad();
	test_all();
	return done_testing();
}
