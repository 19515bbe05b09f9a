/* addr_range.c - ranges of IP addresses. */
#include "net/addr_range.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct range {
	uint8_t		 bytes[16];	/* IPv4 as ::ffff:a.b.c.d */
	unsigned	 bits;		/* of the 128 */
};

static const char *const loopback[] = { "127.0.0.0/8", "::1", "0.0.0.0/8",
    "::", NULL };
static const char *const private[] = { "10.0.0.0/8", "172.16.0.0/12",
    "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7",
    "fe80::/10", NULL };

static int
to_bytes(const struct addr *a, uint8_t bytes[16])
{
	memset(bytes, 0, 16);
	switch (addr_family(a)) {
	case AF_INET:
		bytes[10] = bytes[11] = 0xff;
		memcpy(bytes + 12, &a->u.in.sin_addr, 4);
		return 0;
	case AF_INET6:
		memcpy(bytes, &a->u.in6.sin6_addr, 16);
		return 0;
	default:
		return -1;
	}
}

static int
parse(const char *text, struct range *r)
{
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	char literal[64];
	struct addr a;
	int64_t bits;
	unsigned width;

	if (n >= sizeof(literal))
		return -1;
	memcpy(literal, text, n);
	literal[n] = '\0';
	if (addr_parse(&a, literal, 0) == -1 || to_bytes(&a, r->bytes) == -1)
		return -1;
	width = addr_family(&a) == AF_INET ? 32 : 128;
	bits = width;
	if (slash != NULL && str_to_int64(slash + 1, 0, width, &bits) == -1)
		return -1;
	r->bits = (unsigned)bits + 128 - width;
	return 0;
}

static bool
has(const struct range *r, const uint8_t bytes[16])
{
	unsigned whole = r->bits / 8, rest = r->bits % 8;

	if (memcmp(r->bytes, bytes, whole) != 0)
		return false;
	return rest == 0 ||
	    ((r->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static const char *const *
named(const char *text)
{
	if (strcasecmp(text, "loopback") == 0)
		return loopback;
	return strcasecmp(text, "private") == 0 ? private : NULL;
}

const char *
addr_range_check(const char *text)
{
	struct range r;

	return named(text) != NULL || parse(text, &r) == 0 ? NULL :
	    "is no address, range (192.0.2.0/24, 2001:db8::/32), \"loopback\" "
	    "or \"private\"";
}

static bool
text_has(const char *text, const uint8_t bytes[16])
{
	const char *const *names = named(text);
	struct range r;

	if (names == NULL)
		return parse(text, &r) == 0 && has(&r, bytes);
	for (; *names != NULL; names++)
		if (parse(*names, &r) == 0 && has(&r, bytes))
			return true;
	return false;
}

bool
addr_range_has(const struct opt_list *list, const struct addr *a)
{
	uint8_t bytes[16];
	size_t i;

	if (to_bytes(a, bytes) == -1)
		return false;
	for (i = 0; i < list->n; i++)
		if (text_has(list->v[i], bytes))
			return true;
	return false;
}

bool
host_is_local(const char *spec)
{
	char *const words[] = { (char *)(uintptr_t)"loopback", NULL };
	const struct opt_list ranges = { (char **)(uintptr_t)words, 1 };
	struct arena *arena = arena_new(256);
	struct hostspec h;
	struct addr a;
	const char *error;
	bool is_local;

	if (hostspec_parse(&h, spec, 1, arena, &error) == -1)
		is_local = false;
	else if (h.is_unix || strcasecmp(h.host, "localhost") == 0)
		is_local = true;
	else
		is_local = addr_parse(&a, h.host, h.port) == 0 &&
		    addr_range_has(&ranges, &a);
	arena_free(arena);
	return is_local;
}
