/* dns_servers.c - name servers: where they are said, how they are. */
#include "route/dns_servers.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "route/dns_file.h"
#include "route/dns_tcp.h"

#define TIMEOUT_S	5		/* as resolv.conf(5) */
#define ATTEMPTS	2
#define WORDS_MAX	32		/* in a line */

struct dns_servers {
	const struct dns_conf *conf;
	struct dns_file	 file;
	struct dns_resolv resolv;
	struct dns_server *v[DNS_SERVERS_MAX];
	size_t		 n;
	unsigned	 turn;		/* rotate */
};

/* ---- resolv.conf ---- */

/* fe80::1%eth0 */
static int
parse_server(struct addr *a, char *text)
{
	char *zone = strchr(text, '%');
	unsigned index;

	if (zone != NULL)
		*zone++ = '\0';
	if (addr_parse(a, text, DNS_PORT) == -1)
		return -1;
	if (zone == NULL)
		return 0;
	if (addr_family(a) != AF_INET6 || (index = if_nametoindex(zone)) == 0)
		return -1;
	a->u.in6.sin6_scope_id = index;
	return 0;
}

/* "timeout:3" with name "timeout"; -1: another word. A number outside of
 * min..max is taken as the nearer of them. */
static int
parse_number(const char *word, const char *name, int64_t min, int64_t max,
    int64_t *value_r)
{
	size_t n = strlen(name);
	int64_t v;

	if (strncmp(word, name, n) != 0 || word[n] != ':' ||
	    str_to_int64(word + n + 1, 0, INT32_MAX, &v) == -1)
		return -1;
	*value_r = v < min ? min : v > max ? max : v;
	return 0;
}

static void
parse_option(struct dns_resolv *r, const char *word)
{
	int64_t v;

	if (parse_number(word, "timeout", 1, 30, &v) == 0)
		r->timeout_ms = v * 1000;
	else if (parse_number(word, "attempts", 1, 5, &v) == 0)
		r->attempts = (unsigned)v;
	else if (strcmp(word, "trust-ad") == 0)
		r->is_trusted = true;
	else if (strcmp(word, "rotate") == 0)
		r->is_rotated = true;
	else if (strcmp(word, "use-vc") == 0 || strcmp(word, "usevc") == 0)
		r->is_tcp = true;
	/* edns0 is always on; the others are about names as people type
	 * them, or about how glibc asks. */
}

static void
resolv_init(struct dns_resolv *r)
{
	memset(r, 0, sizeof(*r));
	r->timeout_ms = TIMEOUT_S * 1000;
	r->attempts = ATTEMPTS;
}

void
dns_resolv_parse(struct dns_resolv *r, char *text, size_t size)
{
	char *words[WORDS_MAX], *end = text + size;
	size_t n, i;

	resolv_init(r);
	while ((n = dns_file_words(&text, end, words, WORDS_MAX)) > 0)
		if (strcmp(words[0], "options") == 0)
			for (i = 1; i < n; i++)
				parse_option(r, words[i]);
		else if (strcmp(words[0], "nameserver") == 0 && n > 1 &&
		    r->n < DNS_SERVERS_MAX &&
		    parse_server(&r->servers[r->n], words[1]) == 0)
			r->n++;
}

/* ---- one server ---- */

static bool
is_loopback(const struct addr *a)
{
	const struct in6_addr *six = &a->u.in6.sin6_addr;

	if (addr_family(a) == AF_INET)
		return ntohl(a->u.in.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(six) ||
	    (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static struct dns_server *
server_new(const struct addr *a)
{
	struct dns_server *s = xcalloc(1, sizeof(*s));
	char text[ADDR_TEXT_MAX];

	s->refs = 1;
	s->addr = *a;
	snprintf(s->text, sizeof(s->text), addr_family(a) == AF_INET6 ?
	    "[%s]:%u" : "%s:%u", addr_format(a, text, sizeof(text)),
	    addr_port(a));
	return s;
}

void
dns_server_unref(struct dns_server *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	dns_tcp_close(s);
	free(s);
}

void
dns_server_answered(struct dns_server *s, int64_t now_ms)
{
	if (s->down_until_ms != 0)
		log_info("DNS server %s answers again", s->text);
	s->heard_ms = now_ms;
	s->missed = 0;
	s->down_until_ms = 0;
}

void
dns_server_is_down(struct dns_server *s, int64_t now_ms)
{
	if (s->down_until_ms == 0)
		log_warning("DNS server %s does not answer", s->text);
	s->missed = DNS_MISSES_MAX;
	s->down_until_ms = now_ms + DNS_DOWN_MS;
}

void
dns_server_missed(struct dns_server *s, int64_t sent_ms, int64_t now_ms)
{
	if (s->heard_ms < sent_ms && ++s->missed >= DNS_MISSES_MAX)
		dns_server_is_down(s, now_ms);
}

/* ---- all of them ---- */

static struct dns_server *
find_server(struct dns_server *const *v, size_t n, const struct addr *a)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (addr_equal(&v[i]->addr, a))
			return v[i];
	return NULL;
}

/* Those that stay keep their health and connection. One said twice is one. */
static void
take(struct dns_servers *s)
{
	struct dns_server *old[DNS_SERVERS_MAX], *server;
	const struct dns_resolv *r = &s->resolv;
	size_t nold = s->n, i;

	memcpy(old, s->v, sizeof(old));
	s->n = 0;
	for (i = 0; i < r->n; i++) {
		if (find_server(s->v, s->n, &r->servers[i]) != NULL)
			continue;
		server = find_server(old, nold, &r->servers[i]);
		server = server != NULL ? dns_server_ref(server) :
		    server_new(&r->servers[i]);
		server->is_trusted = s->conf->resolver_trusted ||
		    r->is_trusted || is_loopback(&server->addr);
		s->v[s->n++] = server;
	}
	for (i = 0; i < nold; i++)
		dns_server_unref(old[i]);
}

/* The servers of the option. */
static int
read_list(struct dns_resolv *r, const struct opt_list *list, char *error,
    size_t size)
{
	struct arena *arena = arena_new(1024);
	struct hostspec h;
	const char *why;
	size_t i;

	resolv_init(r);
	*error = '\0';
	for (i = 0; i < list->n && *error == '\0'; i++)
		if (r->n == DNS_SERVERS_MAX)
			snprintf(error, size, "resolver: more than %d",
			    DNS_SERVERS_MAX);
		else if (hostspec_parse(&h, list->v[i], DNS_PORT, arena,
		    &why) == -1 || !h.is_literal ||
		    addr_parse(&r->servers[r->n], h.host, h.port) == -1)
			snprintf(error, size, "resolver: \"%.100s\" is no "
			    "address", list->v[i]);
		else
			r->n++;
	arena_free(arena);
	return *error == '\0' ? 0 : -1;
}

/* -1 with a text; what was known stays. */
static int
read_file(struct dns_servers *s, char *error, size_t size)
{
	struct dns_resolv r;
	size_t n;
	char *text = dns_file_read(&s->file, DNS_RESOLV_BYTES_MAX, &n);

	if (text == NULL) {
		snprintf(error, size, "resolv_conf: %s: %s", s->file.path,
		    strerror(errno));
		return -1;
	}
	dns_resolv_parse(&r, text, n);
	free(text);
	if (r.n == 0) {
		snprintf(error, size, "resolv_conf: %s: no nameserver",
		    s->file.path);
		return -1;
	}
	s->resolv = r;
	return 0;
}

struct dns_servers *
dns_servers_new(const struct dns_conf *conf, char *error, size_t size)
{
	struct dns_servers *s = xcalloc(1, sizeof(*s));
	int status;

	s->conf = conf;
	s->file.path = conf->resolver.n > 0 ? NULL : conf->resolv_conf;
	status = s->file.path == NULL ?
	    read_list(&s->resolv, &conf->resolver, error, size) :
	    read_file(s, error, size);
	if (status == 0 && s->resolv.n == 0) {
		snprintf(error, size, "resolver: no name server");
		status = -1;
	}
	if (status == -1) {
		free(s);
		return NULL;
	}
	take(s);
	return s;
}

void
dns_servers_free(struct dns_servers *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++)
		dns_server_unref(s->v[i]);
	free(s);
}

const struct dns_resolv *
dns_servers_now(struct dns_servers *s, int64_t now_ms)
{
	char error[256];

	if (s->file.path == NULL || !dns_file_changed(&s->file, now_ms))
		return &s->resolv;
	if (read_file(s, error, sizeof(error)) == -1)
		log_warning("%s; the servers known before are kept", error);
	else {
		log_info("resolv_conf: %s: read again", s->file.path);
		take(s);
	}
	return &s->resolv;
}

size_t
dns_servers_order(struct dns_servers *s, int64_t now_ms,
    struct dns_server *order[DNS_SERVERS_MAX])
{
	const struct dns_resolv *r = dns_servers_now(s, now_ms);
	size_t first = r->is_rotated && s->n > 1 ? s->turn++ % s->n : 0;
	struct dns_server *server, *down[DNS_SERVERS_MAX];
	size_t i, n = 0, ndown = 0;

	for (i = 0; i < s->n; i++) {
		server = s->v[(first + i) % s->n];
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it has a hold */
		if (server->down_until_ms > now_ms)
			down[ndown++] = server;
		else {
			/* This question tries it; others wait for that. */
			if (server->down_until_ms != 0)
				server->down_until_ms = now_ms + DNS_DOWN_MS;
			order[n++] = dns_server_ref(server);
		}
	}
	for (i = 0; i < ndown; i++)
		order[n++] = dns_server_ref(down[i]);
	return n;
}

bool
dns_servers_have_trusted(const struct dns_servers *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i]->is_trusted)
			return true;
	return false;
}
