/* target.c - where requests go: a URL taken apart. */
#include "http/target.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/option.h"
#include "http/sign.h"
#include "mail/address.h"
#include "net/addr_range.h"

#define URL_MAX		8000

/*
 * The pool counts by address; an origin is many addresses, or none yet.  A
 * path that no socket of ours has stands for it.
 */
static void
make_place(struct target *t)
{
	uint8_t digest[DIGEST_BYTES];
	char hex[DIGEST_HEX];
	struct digest *d = digest_new();

	digest_add(d, t->origin, strlen(t->origin));
	digest_finish(d, digest);
	digest_free(d);
	digest_hex(digest, sizeof(digest), hex);
	addr_unix(&t->place, hex);
}

static const char *
part(CURLU *u, CURLUPart what, unsigned flags, struct arena *arena)
{
	const char *text = NULL;
	char *value;

	if (curl_url_get(u, what, &value, flags) == CURLUE_OK) {
		text = arena_strdup(arena, value);
		curl_free(value);
	}
	return text;
}

/* "unix:/run/app.sock:/path" gives the URL and the socket. */
static const char *
split_unix(const char *url, const char **socket_r, struct arena *arena)
{
	const char *path = url + 5, *colon = strchr(path, ':');

	*socket_r = colon == NULL ? path :
	    arena_strndup(arena, path, (size_t)(colon - path));
	return arena_printf(arena, "http://localhost%s",
	    colon == NULL ? "/" : colon + 1);
}

static int
set_host(struct target *t, CURLU *u, struct arena *arena)
{
	const char *host = part(u, CURLUPART_HOST, 0, arena);
	char literal[256];
	struct addr a;
	size_t n;

	if (host == NULL || (n = strlcpy(literal, *host == '[' ? host + 1 :
	    host, sizeof(literal))) >= sizeof(literal))
		return -1;
	if (*host == '[' && n > 0)
		literal[n - 1] = '\0';
	t->is_literal = addr_parse(&a, literal, 0) == 0;
	if (t->is_literal)
		t->host = arena_strdup(arena, literal);
	else if (*host == '[' || (t->host = address_domain_ascii(host,
	    arena)) == NULL ||
	    curl_url_set(u, CURLUPART_HOST, t->host, 0) != CURLUE_OK)
		return -1;
	return 0;
}

/* The parts of a URL that is complete. */
static const char *
take_parts(struct target *t, CURLU *u, bool want_tls, struct arena *arena)
{
	const char *scheme = part(u, CURLUPART_SCHEME, 0, arena), *port;
	int64_t number;

	if (scheme == NULL || (strcmp(scheme, "http") != 0 &&
	    strcmp(scheme, "https") != 0))
		return "is neither http: nor https:";
	t->is_tls = want_tls || strcmp(scheme, "https") == 0;
	if (t->is_tls)
		curl_url_set(u, CURLUPART_SCHEME, "https", 0);
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	if (set_host(t, u, arena) == -1)
		return "has no good host name";
	port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, arena);
	if (port == NULL || str_to_int64(port, 1, 65535, &number) == -1)
		return "has no good port";
	t->port = (uint16_t)number;
	if ((t->url = part(u, CURLUPART_URL, 0, arena)) == NULL)
		return "is no URL";
	if (t->socket != NULL)
		t->origin = arena_printf(arena, "unix:%s %s://%s", t->socket,
		    t->is_tls ? "https" : "http", t->host);
	else
		t->origin = arena_printf(arena, "%s://%s:%u", t->is_tls ?
		    "https" : "http", t->host, t->port);
	make_place(t);
	return NULL;
}

/* A password in it is not shown: such texts go to the log. */
static int
refuse(char *error, size_t size, const char *url, const char *why)
{
	const char *user = strstr(url, "//"), *host = NULL;
	char masked[512], shown[256];

	if (user != NULL)
		host = memrchr(user + 2, '@', strcspn(user + 2, "/?#"));
	if (host != NULL)
		snprintf(masked, sizeof(masked), "%.*s****%s",
		    (int)(user + 2 - url), url, host);
	else
		strlcpy(masked, url, sizeof(masked));
	str_escape(shown, sizeof(shown), masked, strlen(masked));
	snprintf(error, size, "\"%s\" %s", shown, why);
	return -1;
}

int
target_parse(struct target *t, const char *url,
    const struct target_hints *hints, struct arena *arena, char *error,
    size_t size)
{
	const char *why, *whole = url;
	struct addr a;
	CURLUcode rc;
	CURLU *u;

	memset(t, 0, sizeof(*t));
	t->socket = hints->socket;
	if (strlen(url) > URL_MAX)
		return refuse(error, size, url, "is too long");
	if (strncasecmp(url, "unix:", 5) == 0) {
		if (t->socket != NULL)
			return refuse(error, size, url,
			    "names a socket, and so does socket");
		whole = split_unix(url, &t->socket, arena);
	}
	if (t->socket != NULL && (*t->socket != '/' ||
	    addr_unix(&a, t->socket) == -1))
		return refuse(error, size, t->socket,
		    "is no absolute path of a socket, or too long for one");
	if ((u = curl_url()) == NULL)
		return refuse(error, size, url, "cannot be read: no memory");
	rc = curl_url_set(u, CURLUPART_URL, whole, CURLU_DISALLOW_USER |
	    CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);
	if (rc == CURLUE_USER_NOT_ALLOWED)
		why = "has user information; use credentials.username";
	else if (rc != CURLUE_OK)
		why = rc == CURLUE_BAD_SCHEME ?
		    "has no scheme (http://, https://, unix:/)" :
		    "is no URL";
	else
		why = take_parts(t, u, hints->want_tls, arena);
	curl_url_cleanup(u);
	return why == NULL ? 0 : refuse(error, size, url, why);
}

int
target_follow(struct target *t, const struct target *from,
    const char *location, struct arena *arena)
{
	const char *why = "is no URL";
	CURLU *u = curl_url();

	memset(t, 0, sizeof(*t));
	t->socket = from->socket;
	if (u != NULL && curl_url_set(u, CURLUPART_URL, from->url,
	    CURLU_PATH_AS_IS) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location, CURLU_DISALLOW_USER |
	    CURLU_PATH_AS_IS) == CURLUE_OK)
		why = take_parts(t, u, false, arena);
	curl_url_cleanup(u);
	return why == NULL && strcmp(t->origin, from->origin) == 0 ? 0 : -1;
}

bool
target_is_exposed(const struct target *t)
{
	static char word[] = "loopback";
	static char *words[] = { word, NULL };
	static const struct opt_list loopback = { words, 1 };
	struct addr a;

	if (t->is_tls || t->socket != NULL ||
	    strcasecmp(t->host, "localhost") == 0)
		return false;
	return !t->is_literal || addr_parse(&a, t->host, 0) == -1 ||
	    !addr_range_has(&loopback, &a);
}
