/*
 * address.c - mail addresses and the xtext of DSN parameters.
 *
 * An address made of ASCII never reaches libidn2: it would be the slowest
 * part of a delivery.
 */
#include "mail/address.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

#define LABEL_MAX	63	/* RFC 1035 §2.3.4 */
#define NAME_BYTES_MAX	253	/* 255 on the wire, as text */

enum {
	ATOM = 0x01,		/* in a local part without quotes */
	HOST = 0x02,		/* in a domain */
	CONTROL = 0x04,
	HIGH = 0x08
};

static const uint8_t byte_class[256] = {
	[0 ... 0x1f] = CONTROL,
	[0x7f] = CONTROL,
	[0x80 ... 0xff] = ATOM | HOST | HIGH,	/* RFC 6531 §3.3 */
	['0' ... '9'] = ATOM | HOST,
	['A' ... 'Z'] = ATOM | HOST,
	['a' ... 'z'] = ATOM | HOST,
	['-'] = ATOM | HOST,
	['_'] = ATOM | HOST,	/* seen in domains, RFC 5321 has it not */
	['.'] = ATOM | HOST,
	['!'] = ATOM, ['#'] = ATOM, ['$'] = ATOM, ['%'] = ATOM,
	['&'] = ATOM, ['\''] = ATOM, ['*'] = ATOM, ['+'] = ATOM,
	['/'] = ATOM, ['='] = ATOM, ['?'] = ATOM, ['^'] = ATOM,
	['`'] = ATOM, ['{'] = ATOM, ['|'] = ATOM, ['}'] = ATOM,
	['~'] = ATOM,
};

struct span {
	const char	*s;
	size_t		 n;
};

/* Every class that occurs. */
static unsigned
classes(struct span a)
{
	unsigned seen = 0;

	for (size_t i = 0; i < a.n; i++)
		seen |= byte_class[(uint8_t)a.s[i]];
	return seen;
}

/* RFC 5321 §4.1.2 Dot-string: atoms with single dots between them. */
static bool
is_dot_string(struct span a)
{
	uint8_t all = ATOM;
	char	last = '.';

	for (size_t i = 0; i < a.n; i++) {
		if (a.s[i] == '.' && last == '.')
			return false;
		all &= byte_class[(uint8_t)a.s[i]];
		last = a.s[i];
	}
	return all == ATOM && last != '.';
}

/* The length of the quoted string at the start; 0 if it has no end. */
static size_t
quoted_len(struct span a)
{
	for (size_t i = 1; i < a.n; i++) {
		if (a.s[i] == '"')
			return i + 1;
		if (a.s[i] == '\\')
			i++;
	}
	return 0;
}

/* RFC 5321 §4.1.3; other tags than IPv6 are not in use. */
static bool
is_literal(struct span a)
{
	unsigned char	bin[sizeof(struct in6_addr)];
	char		text[INET6_ADDRSTRLEN];
	int		family = AF_INET;

	if (a.n < 2 || a.s[a.n - 1] != ']')
		return false;
	a.s++;
	a.n -= 2;
	if (a.n > 5 && strncasecmp(a.s, "IPv6:", 5) == 0) {
		family = AF_INET6;
		a.s += 5;
		a.n -= 5;
	}
	if (a.n >= sizeof(text))
		return false;
	memcpy(text, a.s, a.n);
	text[a.n] = '\0';
	return inet_pton(family, text, bin) == 1;
}

/*
 * The fault of a domain name, or NULL.  How long a label of UTF-8 may be shows
 * only when it is an A-label.
 */
static const char *
name_fault(struct span a)
{
	uint8_t	all = HOST, seen = 0, class;
	size_t	len = 0;

	for (size_t i = 0; i < a.n; i++) {
		class = byte_class[(uint8_t)a.s[i]];
		all &= class;
		if (a.s[i] != '.') {
			seen |= class;
			len++;
			continue;
		}
		if (len == 0)
			return "empty label in the domain";
		if (len > LABEL_MAX && (seen & HIGH) == 0)
			return "label of the domain too long";
		len = seen = 0;
	}
	if (len == 0)
		return a.n == 0 ? "empty domain" : "empty label in the domain";
	if (len > LABEL_MAX && (seen & HIGH) == 0)
		return "label of the domain too long";
	return all == HOST ? NULL : "bad character in the domain";
}

static struct span
without_dot(struct span a)
{
	if (a.n > 0 && a.s[a.n - 1] == '.')
		a.n--;
	return a;
}

/* Takes off angle brackets and a source route; the fault, or NULL. */
static const char *
unwrap(struct span *a)
{
	bool in_literal = false;

	if (a->n > 0 && (a->s[0] == '<') != (a->s[a->n - 1] == '>'))
		return "unbalanced angle brackets";
	if (a->n > 1 && a->s[0] == '<') {
		a->s++;
		a->n -= 2;
	}
	if (a->n == 0 || a->s[0] != '@')
		return NULL;
	/* RFC 5321 Appendix C: a route is accepted and ignored. */
	for (; a->n > 0; a->s++, a->n--) {
		if (*a->s == '[')
			in_literal = true;
		else if (*a->s == ']')
			in_literal = false;
		else if (*a->s == ':' && !in_literal)
			break;
	}
	if (a->n == 0)
		return "empty local part";
	a->s++;
	a->n--;
	return NULL;
}

/* Local part and domain (s NULL if there is none); the fault, or NULL. */
static const char *
split(struct span a, struct span *local, struct span *domain)
{
	const char	*at;
	size_t		 n;

	if (a.n > 0 && a.s[0] == '"') {
		if ((n = quoted_len(a)) == 0)
			return "unbalanced quotes";
		if (n < a.n && a.s[n] != '@')
			return "text after the quoted local part";
	} else {
		at = memrchr(a.s, '@', a.n);
		n = at == NULL ? a.n : (size_t)(at - a.s);
		if (n == 0)
			return "empty local part";
		if (memchr(a.s, '"', n) != NULL)
			return "quote inside the local part";
	}
	*local = (struct span){ a.s, n };
	*domain = (struct span){ NULL, 0 };
	if (n < a.n) {
		*domain = (struct span){ a.s + n + 1, a.n - n - 1 };
		*domain = without_dot(*domain);
	}
	return NULL;
}

/* The local part in a Quoted-string (RFC 5321 §4.1.2). */
static struct span
quote(struct span a, struct arena *arena)
{
	char *to = arena_alloc(arena, 2 * a.n + 3), *p = to;

	*p++ = '"';
	for (size_t i = 0; i < a.n; i++) {
		if (a.s[i] == '"' || a.s[i] == '\\')
			*p++ = '\\';
		*p++ = a.s[i];
	}
	*p++ = '"';
	*p = '\0';
	return (struct span){ to, (size_t)(p - to) };
}

static const char *
domain_parse(struct span domain, struct arena *arena, struct address *a)
{
	const char *fault;

	if (domain.n > DOMAIN_MAX)
		return "domain too long";
	if (domain.n > 0 && domain.s[0] == '[') {
		a->is_literal = true;
		fault = is_literal(domain) ? NULL : "bad address literal";
	} else {
		a->is_idn = (classes(domain) & HIGH) != 0;
		fault = name_fault(domain);
	}
	if (fault == NULL)
		a->domain = arena_strndup(arena, domain.s, domain.n);
	return fault;
}

int
address_parse(const char *s, struct arena *arena, struct address *a,
    const char **error_r)
{
	struct span	all = { s, strlen(s) }, local, domain;
	unsigned	seen;

	memset(a, 0, sizeof(*a));
	if (all.n > ADDRESS_MAX + 2) {
		*error_r = "address too long";
		return -1;
	}
	seen = classes(all);
	if (seen & CONTROL) {
		*error_r = "control character in the address";
		return -1;
	}
	if ((seen & HIGH) != 0 && !str_is_utf8(all.s, all.n)) {
		*error_r = "address is not UTF-8";
		return -1;
	}
	if ((*error_r = unwrap(&all)) != NULL ||
	    (*error_r = split(all, &local, &domain)) != NULL)
		return -1;
	if (local.s[0] != '"' && !is_dot_string(local))
		local = quote(local, arena);
	else
		local.s = arena_strndup(arena, local.s, local.n);
	if (local.n + 1 + domain.n > ADDRESS_MAX) {
		*error_r = "address too long";
		return -1;
	}
	a->local = local.s;
	a->is_utf8 = (seen & HIGH) != 0 && (classes(local) & HIGH) != 0;
	if (domain.s != NULL)
		*error_r = domain_parse(domain, arena, a);
	return *error_r == NULL ? 0 : -1;
}

/*
 * IDNA2008 as RFC 5891 §5 has it for look-ups, with the mapping of UTS 46.
 * That mapping can bring forth '@' or '>' (from their full-width forms), so
 * what comes out is judged like a domain that came in.
 */
static const char *
to_a_labels(const char *domain, struct arena *arena)
{
	uint8_t		*u8;
	struct span	 name;
	const char	*ascii = NULL;

	if (idn2_lookup_u8((const uint8_t *)domain, &u8,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return NULL;
	name = without_dot((struct span){ (char *)u8, strlen((char *)u8) });
	if (name.n <= NAME_BYTES_MAX && (classes(name) & HIGH) == 0 &&
	    name_fault(name) == NULL)
		ascii = arena_strndup(arena, name.s, name.n);
	idn2_free(u8);
	return ascii;
}

const char *
address_wire(const struct address *a, bool has_smtputf8, struct arena *arena,
    const char **error_r)
{
	const char	*domain = a->domain;
	size_t		 local_len = strlen(a->local), domain_len;
	char		*wire;

	*error_r = NULL;
	if (!has_smtputf8 && a->is_utf8) {
		*error_r = "SMTPUTF8";
		return NULL;
	}
	if (domain == NULL)
		return a->local;
	if (!has_smtputf8 && a->is_idn &&
	    (domain = to_a_labels(domain, arena)) == NULL) {
		*error_r = "domain has no ASCII form";
		return NULL;
	}
	domain_len = strlen(domain);
	wire = arena_alloc(arena, local_len + domain_len + 2);
	memcpy(wire, a->local, local_len);
	wire[local_len] = '@';
	memcpy(wire + local_len + 1, domain, domain_len + 1);
	return wire;
}

const char *
address_domain_ascii(const char *domain, struct arena *arena)
{
	struct span	 name = without_dot((struct span){ domain,
	    strlen(domain) });
	const char	*ascii;
	char		*lower;

	if ((classes(name) & HIGH) != 0) {
		if (name.n > DOMAIN_MAX || !str_is_utf8(name.s, name.n) ||
		    (ascii = to_a_labels(domain, arena)) == NULL)
			return NULL;
		name = (struct span){ ascii, strlen(ascii) };
	} else if (name.n > NAME_BYTES_MAX || name_fault(name) != NULL) {
		return NULL;
	}
	lower = arena_strndup(arena, name.s, name.n);
	str_lower(lower);
	return lower;
}

/* RFC 3461 §4: xchar. */
static bool
is_xchar(char c)
{
	return c >= '!' && c <= '~' && c != '+' && c != '=';
}

const char *
xtext_encode(const char *s, struct arena *arena)
{
	static const char	 hex[] = "0123456789ABCDEF";
	size_t			 n = 1;
	char			*to, *p;

	for (size_t i = 0; s[i] != '\0'; i++)
		n += is_xchar(s[i]) ? 1 : 3;
	p = to = arena_alloc(arena, n);
	for (; *s != '\0'; s++) {
		if (is_xchar(*s)) {
			*p++ = *s;
			continue;
		}
		*p++ = '+';
		*p++ = hex[(uint8_t)*s >> 4];
		*p++ = hex[*s & 0x0f];
	}
	*p = '\0';
	return to;
}

static bool
is_hex_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

bool
xtext_is_valid(const char *s)
{
	for (; *s != '\0'; s++) {
		if (is_xchar(*s))
			continue;
		if (*s != '+' || !is_hex_digit(s[1]) || !is_hex_digit(s[2]))
			return false;
		s += 2;
	}
	return true;
}

/* ---- RFC 6533 §3 ---- */

/* The character at p, of valid UTF-8; its bytes in *len_r. */
static uint32_t
character(const char *p, size_t *len_r)
{
	const uint8_t *u = (const uint8_t *)p;
	uint32_t c;

	*len_r = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	c = *len_r == 1 ? u[0] : u[0] & (0xffU >> (*len_r + 1));
	for (size_t i = 1; i < *len_r; i++)
		c = c << 6 | (u[i] & 0x3f);
	return c;
}

const char *
utf8_address_encode(const char *s, struct arena *arena)
{
	size_t n = strlen(s), len;
	char *to = arena_alloc(arena, 5 * n + 1), *p = to;

	if (!str_is_utf8(s, n))
		return NULL;
	for (; *s != '\0'; s += len) {
		uint32_t c = character(s, &len);

		if (c >= 0x80)
			p += sprintf(p, "\\x{%X}", (unsigned)c);
		else if (is_xchar(*s))
			*p++ = *s;
		else
			return NULL;
	}
	*p = '\0';
	return to;
}

/* "\x{10FFFF}" at *p, which goes behind it; 0: no character of an address. */
static uint32_t
embedded(const char **p)
{
	const char *s = *p + 3;
	uint32_t c = 0;
	int n;

	for (n = 0; is_hex_digit(*s) && n < 6; n++, s++)
		c = c << 4 | (uint32_t)(*s <= '9' ? *s - '0' : *s - 'A' + 10);
	if (n < 2 || *s != '}' || c < 0x20 || c == 0x7f || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*p = s + 1;
	return c;
}

static char *
put_character(char *to, uint32_t c)
{
	int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;

	*to++ = (char)(more == 0 ? c : (0xff00U >> (more + 1) & 0xff) |
	    c >> (6 * more));
	while (more-- > 0)
		*to++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
	return to;
}

const char *
utf8_address_decode(const char *s, struct arena *arena)
{
	char *start = arena_alloc(arena, strlen(s) + 1), *to = start;
	uint32_t c;

	while (*s != '\0') {
		if (strncmp(s, "\\x{", 3) != 0) {
			*to++ = *s++;
			continue;
		}
		if ((c = embedded(&s)) == 0)
			return NULL;
		to = put_character(to, c);
	}
	*to = '\0';
	return start;
}
