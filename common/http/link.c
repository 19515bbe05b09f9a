/* link.c - one connection to a web server, by libcurl on our own loop. */
#include "http/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/exchange.h"
#include "http/relay.h"
#include "net/addr_range.h"

/* ---- what libcurl tells ---- */

static void
on_ended(void *arg, CURL *easy, CURLcode result)
{
	(void)arg;
	exchange_ended(easy, result);
}

/* At rest: the server has closed, or says what nobody asked for. */
static bool
on_hears(void *arg)
{
	struct link *l = arg;

	if (l->nexchanges > 0)
		return true;
	l->why = "closed by the server";
	relay_link_lost(l);
	return false;
}

static void
on_closed(void *arg)
{
	struct link *l = arg;

	l->is_spoken = l->is_multiplex = false;
}

/* ---- sockets ---- */

/* Nothing that the operator does not want is ever connected to, whatever
 * libcurl may come up with. */
static bool
is_allowed(const struct link *l, const struct addr *a)
{
	const struct http_conf *conf = l->relay->conf;

	if (addr_family(a) == AF_UNIX || http_is_given(conf->proxy))
		return true;
	if (conf->target_deny.n > 0 && addr_range_has(&conf->target_deny, a))
		return false;
	return conf->target_allow.n == 0 ||
	    addr_range_has(&conf->target_allow, a);
}

static int
bind_source(struct link *l, int fd, int family)
{
	int on = 1;

	if (!l->has_source || family == AF_UNIX)
		return 0;
	if (family != addr_family(&l->source)) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, &l->source.u.sa, l->source.len);
}

static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct link *l = arg;
	struct addr a;
	int fd;

	(void)purpose;
	memset(&a, 0, sizeof(a));
	a.len = to->addrlen;
	if (to->addrlen <= sizeof(a.u))
		memcpy(&a.u, &to->addr, to->family == AF_UNIX ?
		    sizeof(to->addr) : to->addrlen);
	a.u.sa.sa_family = (sa_family_t)to->family;
	if (!is_allowed(l, &a)) {
		l->is_denied = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
	if (fd == -1 || bind_source(l, fd, to->family) == -1) {
		l->error = errno;
		if (fd != -1)
			close(fd);
		return CURL_SOCKET_BAD;
	}
	l->opened[l->nopened++ % LINK_RACE] = fd;
	return fd;
}

/* Of the sockets that raced for the host, which one is it? */
void
link_connected(struct link *l, int port)
{
	struct addr a;
	unsigned i;
	int fd;

	for (i = 0; !link_is_open(l) && i < LINK_RACE && i < l->nopened; i++) {
		fd = l->opened[(l->nopened - 1 - i) % LINK_RACE];
		memset(&a, 0, sizeof(a));
		a.len = sizeof(a.u);
		if (getsockname(fd, &a.u.sa, &a.len) == 0 &&
		    addr_port(&a) == port)
			curl_loop_keep(&l->curl, fd);
	}
}

/* ---- TLS ---- */

static CURLcode
on_ssl_ctx(CURL *easy, void *ssl_ctx, void *arg)
{
	struct link *l = arg;
	char why[256];

	(void)easy;
	return tls_guest_dress(&l->guest, ssl_ctx, why, sizeof(why)) == 0 ?
	    CURLE_OK : CURLE_SSL_CONNECT_ERROR;
}

/* ---- addresses ---- */

static bool
family_fits(const struct http_conf *conf, const struct addr *a)
{
	if (addr_family(a) == AF_INET)
		return conf->address_family != HTTP_FAMILY_IPV6;
	return conf->address_family != HTTP_FAMILY_IPV4;
}

/* Whose addresses are needed: the proxy's, or the server's own. */
static const struct target *
way(const struct link *l)
{
	return http_is_given(l->relay->conf->proxy) ? &l->relay->proxy :
	    l->target;
}

static void
become_ready(struct link *l)
{
	struct exchange *x, *next;

	l->is_ready = true;
	for (x = TAILQ_FIRST(&l->exchanges); x != NULL; x = next) {
		next = TAILQ_NEXT(x, next);
		exchange_link_ready(x);
	}
}

static void
fail_all(struct link *l, enum cause cause, const char *a, const char *b)
{
	struct exchange *x;

	/* The last one may end the link, whose memory stays until the end of
	 * the turn. */
	while ((x = TAILQ_FIRST(&l->exchanges)) != NULL)
		exchange_fail(x, STAGE_CONNECT, cause, a, b);
}

/* "host:port:address,address", as libcurl takes it. */
static void
take_addresses(struct link *l, const struct resolved *found)
{
	const struct target *t = way(l);
	const char *list = NULL, *denied = NULL;
	char text[ADDR_TEXT_MAX];
	size_t i;

	for (i = 0; i < found->n; i++) {
		if (!family_fits(l->relay->conf, &found->addrs[i]))
			continue;
		addr_format(&found->addrs[i], text, sizeof(text));
		if (!is_allowed(l, &found->addrs[i]))
			denied = arena_strdup(l->arena, text);
		else if (list == NULL)
			list = arena_strdup(l->arena, text);
		else
			list = arena_printf(l->arena, "%s,%s", list, text);
	}
	if (list != NULL) {
		l->addresses = curl_slist_append(NULL, arena_printf(l->arena,
		    "%s:%u:%s", t->host, t->port, list));
		become_ready(l);
	} else if (denied != NULL)
		fail_all(l, CAUSE_TARGET_DENIED, t->host, denied);
	else
		fail_all(l, CAUSE_NO_ADDRESS, t->host,
		    l->relay->conf->address_family == HTTP_FAMILY_IPV6 ?
		    "IPv6" : "IPv4");
}

static void
on_resolved(void *arg, const struct resolved *found)
{
	struct link *l = arg;

	l->query = NULL;
	if (found->n > 0)
		take_addresses(l, found);
	else
		fail_all(l, found->is_temporary ? CAUSE_DNS_FAILED :
		    CAUSE_HOST_UNKNOWN, way(l)->host, found->error);
}

static void
look_up(struct link *l)
{
	struct http_relay *r = l->relay;

	if (way(l)->socket != NULL || way(l)->is_literal) {
		l->is_ready = true;
		return;
	}
	if (r->resolver == NULL)
		r->resolver = resolver_new(r->loop, r->conf->timeout_ms);
	l->query = resolve(r->resolver, way(l)->host, on_resolved, l);
}

/* ---- the link ---- */

static const struct target *
copy_target(const struct target *from, struct arena *arena)
{
	struct target *t = arena_alloc(arena, sizeof(*t));

	*t = *from;
	t->url = arena_strdup(arena, from->url);
	t->host = arena_strdup(arena, from->host);
	t->origin = arena_strdup(arena, from->origin);
	if (from->socket != NULL)
		t->socket = arena_strdup(arena, from->socket);
	return t;
}

static int
init_curl(struct link *l)
{
	static const struct curl_loop_ops ops = {
		.ended = on_ended,
		.hears = on_hears,
		.closed = on_closed,
	};

	if (curl_loop_init(&l->curl, l->relay->loop, &ops, l) == -1)
		return -1;
	curl_multi_setopt(l->curl.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 1L);
	curl_multi_setopt(l->curl.multi, CURLMOPT_PIPELINING,
	    (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(l->curl.multi, CURLMOPT_MAX_CONCURRENT_STREAMS,
	    (long)l->relay->conf->http2_streams);
	return 0;
}

struct link *
link_open(struct http_relay *r, struct pool_wait *wait,
    const struct target *target, const char *key, const struct addr *source)
{
	struct link *l = xcalloc(1, sizeof(*l));

	l->relay = r;
	l->arena = arena_new(512);
	l->target = target == &r->target ? target :
	    copy_target(target, l->arena);
	l->key = arena_strdup(l->arena, key);
	l->has_source = source != NULL;
	if (source != NULL)
		l->source = *source;
	TAILQ_INIT(&l->exchanges);
	if (init_curl(l) == -1) {
		arena_free(l->arena);
		free(l);
		return NULL;
	}
	if (l->target->is_tls)
		tls_guest_init(&l->guest, r->tls_ctx,
		    http_tls_level(r->tls, true), l->target->host);
	l->serial = ++r->connections;
	l->opened_ms = loop_now_ms(r->loop);
	transcript_init(&l->trace, r->agent, &r->conf->transcript, l->serial,
	    false);
	LIST_INSERT_HEAD(&r->links, l, next);
	pool_enter(wait, &l->place, l->key);
	look_up(l);
	return l;
}

static void
on_free(void *arg)
{
	struct link *l = arg;

	curl_loop_clear(&l->curl);
	curl_slist_free_all(l->addresses);
	if (l->target->is_tls)
		tls_guest_clear(&l->guest);
	arena_free(l->arena);
	free(l);
}

void
link_count(struct link *l, const struct exchange *x)
{
	l->nrequests++;
	l->nrcpts += x->nrcpt;
	l->nbytes += x->body.len;
}

void
link_note_peer(struct link *l, const struct exchange *x)
{
	if (*x->address == '\0')
		return;
	strlcpy(l->address, x->address, sizeof(l->address));
	strlcpy(l->tls, x->tls, sizeof(l->tls));
	l->port = x->port;
}

static void
log_end(const struct link *l)
{
	const struct event_session facts = {
		.protocol = l->is_multiplex ? "http2" : "http",
		.serial = l->serial,
		.host = l->target->host,
		.address = l->address,
		.port = l->port,
		.tls = *l->tls == '\0' ? NULL : l->tls,
		.messages = l->nrequests,
		.recipients = l->nrcpts,
		.bytes = l->nbytes,
		.reused = l->nrequests > 1 ? l->nrequests - 1 : 0,
		.duration_ms = loop_now_ms(l->relay->loop) - l->opened_ms,
		.end = l->why == NULL ? "closed" : l->why,
	};

	event_session(EVENT_SESSION, &facts);
}

/* libcurl may be calling us: what it holds goes at the end of the turn, but
 * nothing of it is heard any more. */
void
link_close(struct link *l)
{
	struct http_relay *r = l->relay;

	if (l->is_closed)
		return;
	l->is_closed = true;
	log_end(l);
	resolve_cancel(l->query);
	curl_loop_stop(&l->curl);
	LIST_REMOVE(l, next);
	pool_leave(r->pool, &l->place);
	later_init(&l->free_later, on_free, l);
	loop_later(r->loop, &l->free_later);
	agent_touch_stats(r->agent);
	if (LIST_EMPTY(&r->links) && !r->is_over)
		agent_quiet(r->agent);
}

uint32_t
link_room(const struct link *l)
{
	uint32_t max = 1;

	if (l->is_multiplex || (l->relay->is_multiplex && !l->is_spoken &&
	    l->target->is_tls))
		max = (uint32_t)l->relay->conf->http2_streams;
	return l->nexchanges < max ? max - l->nexchanges : 0;
}

bool
link_is_open(const struct link *l)
{
	return l->curl.kept != -1;
}

bool
link_is_warm(const struct link *l)
{
	return link_is_open(l) && (l->is_multiplex || l->nexchanges <= 1);
}

static long
http_version(const struct link *l)
{
	bool is_open = l->is_multiplex && link_is_open(l);

	switch (l->relay->conf->http2) {
	case HTTP2_NO:
		return CURL_HTTP_VERSION_1_1;
	case HTTP2_YES:
		if (l->target->is_tls)
			return CURL_HTTP_VERSION_2TLS;
		/* libcurl 7.88 would say the preface once more. */
		return is_open ? CURL_HTTP_VERSION_2_0 :
		    CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
	default:
		return CURL_HTTP_VERSION_2TLS;
	}
}

void
link_dress(struct link *l, CURL *easy)
{
	const struct target *t = l->target;

	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, l);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, t->socket);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	    http_version(l));
	if (t->is_tls) {
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, l);
	}
	/* What is told once stays known to the multi handle. */
	curl_easy_setopt(easy, CURLOPT_RESOLVE, l->is_told ? NULL :
	    l->addresses);
	l->is_told = true;
	l->is_denied = false;
	l->error = 0;
}
