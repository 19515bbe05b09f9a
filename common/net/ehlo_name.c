/* ehlo_name.c - the name this host gives to others. */
#include "net/ehlo_name.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/address.h"
#include "net/addr.h"

bool
ehlo_name_is_sendable(const char *name)
{
	return *name != '\0' && strlen(name) <= DOMAIN_MAX &&
	    !str_has_control(name) && strpbrk(name, " <>") == NULL;
}

const char *
ehlo_name_check(const char *value)
{
	const char *p;

	if (*value == '\0')
		return "is empty";
	if (str_has_control(value) || strpbrk(value, " <>") != NULL)
		return "is not a host name";
	for (p = value; (p = strchr(p, '{')) != NULL; p++)
		if (strncmp(p, "{fqdn}", 6) != 0 &&
		    strncmp(p, "{hostname}", 10) != 0)
			return "has a macro other than {fqdn} and {hostname}";
	if (strspn(value, "0123456789") == strlen(value))
		return "is a number, not a host name";
	return NULL;
}

/* As `hostname -f`: asked of the system only where the name has no dot. */
static void
find_fqdn(char *name, size_t size)
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME,
	    .ai_socktype = SOCK_STREAM }, *list;

	if (strchr(name, '.') != NULL ||
	    getaddrinfo(name, NULL, &hints, &list) != 0)
		return;
	if (list->ai_canonname != NULL)
		strlcpy(name, list->ai_canonname, size);
	freeaddrinfo(list);
}

/* -1: too long, and no NUL is at the end. */
static int
expand(struct buf *b, const char *template)
{
	char host[256];
	const char *p = template;

	while (*p != '\0') {
		if (gethostname(host, sizeof(host)) == -1)
			strlcpy(host, "localhost", sizeof(host));
		host[sizeof(host) - 1] = '\0';
		if (strncmp(p, "{fqdn}", 6) == 0) {
			find_fqdn(host, sizeof(host));
			buf_puts(b, host);
			p += 6;
		} else if (strncmp(p, "{hostname}", 10) == 0) {
			host[strcspn(host, ".")] = '\0';
			buf_puts(b, host);
			p += 10;
		} else
			buf_add(b, p++, 1);
	}
	return buf_add(b, "", 1);
}

/* What may stand behind EHLO (RFC 5321 §4.1.1.1), A-labels made. */
static bool
is_domain(const char *name, struct arena *arena)
{
	struct address a;
	const char *error;

	return strchr(name, '@') == NULL && address_parse(arena_printf(arena,
	    "x@%s", name), arena, &a, &error) == 0;
}

const char *
ehlo_name_doubt(const char *name)
{
	const char *last = strrchr(name, '.');

	if (*name == '[')
		return "is an address";
	if (last == NULL)
		return "has no dot";
	if (strcasecmp(last, ".localdomain") == 0 ||
	    strcasecmp(last, ".localhost") == 0)
		return "is not known to any other host";
	return NULL;
}

char *
ehlo_name(const char *template, char *error, size_t size)
{
	struct arena *arena = arena_new(1024);
	const char *ascii, *doubt;
	struct addr a;
	struct buf b;
	char *name = NULL;

	buf_init(&b, 4096);
	if (expand(&b, template) == -1) {
		buf_clear(&b);
		buf_puts(&b, "...");
		buf_add(&b, "", 1);
	}
	if (addr_parse(&a, buf_data(&b), 0) == 0)	/* RFC 5321 §4.1.3 */
		name = xasprintf(addr_family(&a) == AF_INET6 ? "[IPv6:%s]" :
		    "[%s]", buf_data(&b));
	else if (*buf_data(&b) == '[' || str_is_ascii(buf_data(&b)))
		name = xstrdup(buf_data(&b));
	else if ((ascii = address_domain_ascii(buf_data(&b), arena)) != NULL)
		name = xstrdup(ascii);
	if (name == NULL || strlen(name) > DOMAIN_MAX ||
	    !is_domain(name, arena)) {
		snprintf(error, size, "ehlo_as: \"%.100s\" is not a host name",
		    buf_data(&b));
		free(name);
		name = NULL;
	} else if ((doubt = ehlo_name_doubt(name)) != NULL)
		log_warning("ehlo_as: %s %s; servers may refuse it", name,
		    doubt);
	buf_clear(&b);
	arena_free(arena);
	return name;
}
