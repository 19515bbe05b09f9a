/* str.h - text: escaping for people and logs, numbers with bounds. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/*
 * Escape n bytes so that the result stays on one line and in one column:
 * control bytes as C escapes (\t \r \n, others \xHH), the backslash doubled.
 * Bytes from 0x80 up are kept when they form UTF-8, else shown as \xHH.
 * Writes at most size bytes with the final NUL and never cuts an escape;
 * returns the length written.
 */
size_t	str_escape(char *to, size_t size, const void *from, size_t n);

/*
 * The same with further bytes shown as escapes, for texts between others:
 * QUOTED the quote as \"; FIELD blanks and angle brackets as \xHH.
 */
enum str_shown { SHOWN_LINE = 1, SHOWN_QUOTED = 2, SHOWN_FIELD = 4 };
size_t	str_escape_as(enum str_shown, char *to, size_t size, const void *from,
	    size_t n);

/* It needs neither quotes nor an escape to be told from what follows it. */
bool	str_is_bare(const char *, size_t n);
/* n bytes of ASCII that a JSON string shows as they are. */
bool	str_is_json(const char *, size_t n);

/*
 * The inside of a JSON string (RFC 8259 §7) for n bytes of UTF-8, control
 * bytes as \u00HH.  Bounds and result as above.
 */
size_t	str_json(char *to, size_t size, const void *from, size_t n);

/* str_escape() into a buffer; -1 where its ceiling is reached. */
int	buf_escape(struct buf *, const void *from, size_t n);

/* A JSON string with its quotes; a text that is no UTF-8 is one with the
 * escapes of str_escape().  -1 likewise. */
int	buf_json(struct buf *, const char *text);

/*
 * A decimal number that takes the whole string; -1 where it is none or lies
 * outside min..max.
 */
int	str_to_int64(const char *, int64_t min, int64_t max, int64_t *value_r);

bool	str_is_ascii(const char *);
bool	str_is_utf8(const void *, size_t n);	/* RFC 3629 */
bool	str_has_control(const char *);		/* below 0x20, or 0x7f */

/* ASCII only, whatever the locale. */
void	str_lower(char *);

#endif
