/* dns_name.c - domain names: text to wire form and back. */
#include "route/dns_name.h"

#include <stdlib.h>

#define LABEL_MAX	63

static inline uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The byte behind a backslash; -1 if it is none. */
static int
escaped_byte(const char **text)
{
	const char *p = *text;
	int value;

	if (*p == '\0')
		return -1;
	if (!is_digit(*p)) {
		*text = p + 1;
		return (uint8_t)*p;
	}
	if (!is_digit(p[1]) || !is_digit(p[2]))
		return -1;
	value = (p[0] - '0') * 100 + (p[1] - '0') * 10 + p[2] - '0';
	*text = p + 3;
	return value <= 255 ? value : -1;
}

int
dns_name_parse(struct dns_name *name, const char *text, const char **error_r)
{
	size_t len = 1, label = 0;	/* label: where its length goes */
	int c;

	*error_r = "the name is empty";
	if (*text == '\0' || (text[0] == '.' && text[1] == '\0'))
		return -1;
	while (*text != '\0') {
		c = (uint8_t)*text++;
		if (c == '.') {
			*error_r = "a label is empty";
			if (len - label == 1)
				return -1;
			if (*text == '\0')
				break;		/* the last dot */
			name->wire[label] = (uint8_t)(len - label - 1);
			label = len++;
		} else {
			*error_r = "a byte that no name has";
			if (c <= ' ' || c >= 0x7f ||
			    (c == '\\' && (c = escaped_byte(&text)) == -1))
				return -1;
			*error_r = "a label is longer than 63 bytes";
			if (len - label > LABEL_MAX)
				return -1;
			name->wire[len++] = lower((uint8_t)c);
		}
		*error_r = "the name is longer than 255 bytes";
		if (len >= DNS_WIRE_MAX)
			return -1;
	}
	name->wire[label] = (uint8_t)(len - label - 1);
	name->wire[len++] = 0;
	name->len = (uint8_t)len;
	return 0;
}

static inline bool
is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	    c == '-' || c == '_';
}

size_t
dns_name_format(const struct dns_name *name, char *to)
{
	const uint8_t *p = name->wire, *end;
	char *start = to;

	while (*p != 0) {
		if (to != start)
			*to++ = '.';
		for (end = p + 1 + *p, p++; p < end; p++)
			if (is_plain(*p))
				*to++ = (char)*p;
			else {
				*to++ = '\\';
				*to++ = (char)('0' + *p / 100);
				*to++ = (char)('0' + *p / 10 % 10);
				*to++ = (char)('0' + *p % 10);
			}
	}
	*to = '\0';
	return (size_t)(to - start);
}

int
dns_name_read(struct dns_name *name, const uint8_t *packet, size_t size,
    size_t *pos)
{
	size_t at = *pos, behind = 0, len = 0, to, i;
	unsigned hops = 0;
	uint8_t c;

	for (;;) {
		if (at >= size)
			return -1;
		c = packet[at];
		if ((c & 0xc0) == 0xc0) {
			if (at + 1 >= size || ++hops > DNS_HOPS_MAX)
				return -1;
			to = (size_t)(c & 0x3f) << 8 | packet[at + 1];
			if (to >= at)
				return -1;
			if (behind == 0)
				behind = at + 2;
			at = to;
			continue;
		}
		if (c > LABEL_MAX || at + 1 + c > size ||
		    len + 1 + c > DNS_WIRE_MAX)
			return -1;
		name->wire[len++] = c;
		for (i = 1; i <= c; i++)
			name->wire[len++] = lower(packet[at + i]);
		at += (size_t)c + 1;
		if (c == 0)
			break;
	}
	name->len = (uint8_t)len;
	*pos = behind != 0 ? behind : at;
	return 0;
}

/* FNV-1a, begun at a number of this process's own: names come from strangers,
 * who must not know which of them meet in a bucket. */
uint32_t
dns_name_hash(const struct dns_name *name, unsigned type)
{
	static uint64_t seed;
	uint64_t h;
	unsigned i;

	while (seed == 0)
		arc4random_buf(&seed, sizeof(seed));
	h = (seed ^ type) * 1099511628211ULL;
	for (i = 0; i < name->len; i++)
		h = (h ^ name->wire[i]) * 1099511628211ULL;
	h *= seed | 1;
	return (uint32_t)(h >> 32);
}
