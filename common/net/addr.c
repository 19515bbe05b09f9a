/* addr.c - socket addresses and host specifications. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int
addr_parse(struct addr *a, const char *text, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->u.in.sin_addr) == 1) {
		a->u.in.sin_family = AF_INET;
		a->len = sizeof(a->u.in);
	} else if (inet_pton(AF_INET6, text, &a->u.in6.sin6_addr) == 1) {
		a->u.in6.sin6_family = AF_INET6;
		a->len = sizeof(a->u.in6);
	} else
		return -1;
	addr_set_port(a, port);
	return 0;
}

int
addr_unix(struct addr *a, const char *path)
{
	memset(a, 0, sizeof(*a));
	a->u.un.sun_family = AF_UNIX;
	if (*path == '\0' || strlcpy(a->u.un.sun_path, path,
	    sizeof(a->u.un.sun_path)) >= sizeof(a->u.un.sun_path))
		return -1;
	a->len = sizeof(a->u.un);
	return 0;
}

const char *
addr_format(const struct addr *a, char *text, size_t size)
{
	switch (addr_family(a)) {
	case AF_INET:
		inet_ntop(AF_INET, &a->u.in.sin_addr, text, (socklen_t)size);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a->u.in6.sin6_addr, text, (socklen_t)size);
		break;
	default:
		strlcpy(text, a->u.un.sun_path, size);
		break;
	}
	return text;
}

uint16_t
addr_port(const struct addr *a)
{
	return addr_family(a) == AF_INET ? ntohs(a->u.in.sin_port) :
	    addr_family(a) == AF_INET6 ? ntohs(a->u.in6.sin6_port) : 0;
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	if (addr_family(a) == AF_INET)
		a->u.in.sin_port = htons(port);
	else if (addr_family(a) == AF_INET6)
		a->u.in6.sin6_port = htons(port);
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
}

/* FNV-1a. */
uint32_t
addr_hash(const struct addr *a)
{
	const unsigned char *p = (const unsigned char *)&a->u;
	uint32_t h = 2166136261U;
	socklen_t i;

	for (i = 0; i < a->len; i++)
		h = (h ^ p[i]) * 16777619U;
	return h;
}

/* "25" behind the last colon. */
static int
parse_port(const char *text, uint16_t *port_r)
{
	int64_t v;

	if (str_to_int64(text, 1, 65535, &v) == -1)
		return -1;
	*port_r = (uint16_t)v;
	return 0;
}

static bool
is_host_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 255 && strspn(s, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n &&
	    *s != '.' && *s != '-';
}

int
hostspec_parse(struct hostspec *h, const char *text, uint16_t default_port,
    struct arena *arena, const char **error_r)
{
	struct addr a;
	const char *colon, *close;

	memset(h, 0, sizeof(*h));
	h->port = default_port;
	if (strncmp(text, "unix:", 5) == 0) {
		h->is_unix = true;
		h->port = 0;
		h->host = arena_strdup(arena, text + 5);
		*error_r = "not a path that fits into a UNIX socket address";
		return addr_unix(&a, h->host);
	}
	if (strncmp(text, "inet:", 5) == 0)	/* as Postfix's lmtp(8) says */
		text += 5;
	*error_r = "port out of range (1..65535)";
	if (*text == '[') {
		if ((close = strchr(text, ']')) == NULL) {
			*error_r = "\"[\" without \"]\"";
			return -1;
		}
		h->host = arena_strndup(arena, text + 1,
		    (size_t)(close - text - 1));
		if (close[1] != '\0' && (close[1] != ':' ||
		    parse_port(close + 2, &h->port) == -1))
			return -1;
	} else if (addr_parse(&a, text, 0) == 0)
		h->host = arena_strdup(arena, text);	/* perhaps IPv6 */
	else if ((colon = strrchr(text, ':')) != NULL) {
		h->host = arena_strndup(arena, text, (size_t)(colon - text));
		if (parse_port(colon + 1, &h->port) == -1)
			return -1;
	} else
		h->host = arena_strdup(arena, text);
	if (strncasecmp(h->host, "IPv6:", 5) == 0)
		h->host += 5;
	h->is_literal = addr_parse(&a, h->host, 0) == 0;
	*error_r = "not a host name or address";
	return h->is_literal || is_host_name(h->host) ? 0 : -1;
}
