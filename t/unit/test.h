/*
 * Unit tests that print TAP. A test is a program: it calls ok() and the is_*()
 * checks, each with the name of what holds, and ends with
 *
 *	return done_testing();
 *
 * Every check returns whether it held. Arguments are (got, wanted, name...).
 */
#ifndef TEST_H
#define TEST_H

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ok(cond, ...)							\
	test_result((cond) ? true : false, __FILE__, __LINE__, #cond, __VA_ARGS__)
#define is_int(got, want, ...)						\
	test_int((got), (want), __FILE__, __LINE__, #got, __VA_ARGS__)
/* Strings may be NULL, which equals only NULL. */
#define is_str(got, want, ...) __extension__({				\
	const char *got_ = (got), *want_ = (want);			\
	test_mem(got_, got_ == NULL ? 0 : strlen(got_), want_,		\
	    want_ == NULL ? 0 : strlen(want_), __FILE__, __LINE__,	\
	    #got, __VA_ARGS__);						\
})
#define is_mem(got, got_len, want, want_len, ...)			\
	test_mem((got), (got_len), (want), (want_len), __FILE__, __LINE__,	\
	    #got, __VA_ARGS__)
#define diag(...)	test_diag(__FILE__, __LINE__, __VA_ARGS__)

static int test_count, test_failed;

static inline bool __attribute__((format(printf, 5, 0)))
test_vresult(bool held, const char *file, int line, const char *expr,
    const char *fmt, va_list ap)
{
	/* Line by line: nothing is lost in a crash, or said twice by a fork. */
	if (test_count++ == 0)
		setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%sok %d - ", held ? "" : "not ", test_count);
	vprintf(fmt, ap);
	putchar('\n');
	if (!held) {
		test_failed++;
		printf("# %s:%d: %s\n", file, line, expr);
	}
	return held;
}

static inline bool __attribute__((format(printf, 5, 6)))
test_result(bool held, const char *file, int line, const char *expr,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	test_vresult(held, file, line, expr, fmt, ap);
	va_end(ap);
	return held;
}

/* A value in a diagnostic, on one line. */
static inline void
test_show(const char *what, const void *data, size_t len)
{
	const unsigned char *p = data;

	printf("# %8s: ", what);
	if (p == NULL)
		printf("NULL");
	for (size_t i = 0; p != NULL && i < len; i++)
		printf(isprint(p[i]) && p[i] != '\\' ? "%c" : "\\x%02x", p[i]);
	printf(" (%zu)\n", len);
}

static inline bool __attribute__((format(printf, 6, 7)))
test_int(intmax_t got, intmax_t want, const char *file, int line,
    const char *expr, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	test_vresult(got == want, file, line, expr, fmt, ap);
	va_end(ap);
	if (got != want)
		printf("#      got: %jd\n#   wanted: %jd\n", got, want);
	return got == want;
}

static inline bool __attribute__((format(printf, 8, 9)))
test_mem(const void *got, size_t got_len, const void *want, size_t want_len,
    const char *file, int line, const char *expr, const char *fmt, ...)
{
	bool held = got_len == want_len && (got == NULL) == (want == NULL) &&
	    (got == NULL || memcmp(got, want, want_len) == 0);
	va_list ap;

	va_start(ap, fmt);
	test_vresult(held, file, line, expr, fmt, ap);
	va_end(ap);
	if (!held) {
		test_show("got", got, got_len);
		test_show("wanted", want, want_len);
	}
	return held;
}

/* A remark below the last result. */
static inline void __attribute__((format(printf, 3, 4)))
test_diag(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* Counts a check that cannot be made here. */
static inline void
skip(const char *why)
{
	printf("ok %d # skip %s\n", ++test_count, why);
}

/* The exit status of main(). */
static inline int
done_testing(void)
{
	printf("1..%d\n", test_count);
	return test_failed > 0 ? 1 : 0;
}

#endif
