/* relay.c - messages to a web server: the relay as a whole. */
#include "http/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/easy.h"
#include "net/ehlo_name.h"

void
http_relay_drain(void *state)
{
	struct http_relay *r = state;

	pool_drain(r->pool);
}

bool
http_relay_is_busy(void *state)
{
	return !LIST_EMPTY(&((struct http_relay *)state)->links);
}

void
http_relay_stats(void *state, agent_stat *put, void *arg)
{
	const struct http_relay *r = state;
	struct pool_stats p;

	pool_stats(r->pool, &p);
	put(arg, "requests", r->requests);
	put(arg, "connections_opened", r->connections);
	put(arg, "connections_reused", r->reused);
	put(arg, "connections_now", p.places);
	put(arg, "connections_idle", p.idle);
	put(arg, "deliveries_waiting", p.waiting);
}

/* ---- beginning and end ---- */

static void
set_secrets(struct http_relay *r)
{
	const struct http_conf *conf = r->conf;

	if (http_is_given(conf->token_file))
		secret_set_file(&r->token, conf->token_file);
	if (http_is_given(conf->hmac_secret_file))
		secret_set_file(&r->hmac, conf->hmac_secret_file);
	if (http_is_given(conf->password_file))
		secret_set_file(&r->password, conf->password_file);
	else if (http_is_given(conf->password))
		secret_set(&r->password, conf->password);
}

/* Where libcurl looks for the proxy, which is looked up as a host. */
static int
set_proxy(struct http_relay *r, char *error, size_t size)
{
	struct target_hints hints = { .socket = NULL };
	const char *colon;

	if (!http_is_given(r->conf->proxy))
		return 0;
	colon = strchr(r->conf->proxy, ':');
	return target_parse(&r->proxy, arena_printf(r->arena, "http%s", colon),
	    &hints, r->arena, error, size);
}

static int
set_up(struct http_relay *r, char *error, size_t size)
{
	set_secrets(r);
	if ((r->conf->url != NULL && http_conf_target(r->conf, r->tls,
	    &r->target, r->arena, error, size) == -1) || set_proxy(r, error, size) == -1 ||
	    (r->ehlo = ehlo_name(r->conf->ehlo_as, error, size)) == NULL ||
	    secret_refresh(&r->token, error, size) == -1 ||
	    secret_refresh(&r->password, error, size) == -1 ||
	    secret_refresh(&r->hmac, error, size) == -1 ||
	    (r->tls_ctx = tls_ctx_new(r->tls, error, size)) == NULL)
		return -1;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (r->sessions = curl_share_init()) == NULL) {
		snprintf(error, size, "libcurl: cannot be started");
		return -1;
	}
	curl_share_setopt(r->sessions, CURLSHOPT_SHARE,
	    CURL_LOCK_DATA_SSL_SESSION);
	return 0;
}

void *
http_relay_start(struct agent *agent, void *values, char *error, size_t size)
{
	const struct http_relay_conf *conf = values;
	struct http_relay *r = xcalloc(1, sizeof(*r));
	struct pool_limits limits = {
		.per_host = (uint32_t)conf->http.concurrent_connections,
		.idle_ms = conf->http.idle_timeout_ms,
		.share = agent_share(agent),
	};

	r->agent = agent;
	r->loop = agent_loop(agent);
	r->conf = &conf->http;
	r->tls = &conf->tls;
	r->arena = arena_new(2048);
	TAILQ_INIT(&r->waiting);
	if (set_up(r, error, size) == -1) {
		http_relay_free(r);
		return NULL;
	}
	r->pool = pool_new(r->loop, &limits, &http_pool_ops);
	agent_watch_pool(agent, r->pool);
	return r;
}

void
http_relay_free(void *state)
{
	struct http_relay *r = state;
	struct link *l;

	r->is_over = true;
	while ((l = LIST_FIRST(&r->links)) != NULL)
		link_close(l);
	loop_turn(r->loop, 0);		/* links go at the end of a turn */
	easy_free_all(r);
	if (r->pool != NULL)
		pool_free(r->pool);
	resolver_free(r->resolver);
	if (r->sessions != NULL) {
		curl_share_cleanup(r->sessions);
		curl_global_cleanup();
	}
	tls_ctx_free(r->tls_ctx);
	secret_clear(&r->token);
	secret_clear(&r->password);
	secret_clear(&r->hmac);
	arena_free(r->arena);
	free(r->ehlo);
	free(r);
}
