/* conf_warn.c - options of the http agent that are legal, but dangerous. */
#include "base/mem.h"
#include "http/conf.h"

void
http_conf_warn(const struct http_conf *conf, const struct tls_conf *tls,
    opt_report *report, void *arg)
{
	struct arena *arena = arena_new(1024);
	bool has_secret = http_is_given(conf->token_file) ||
	    http_is_given(conf->username);
	struct target t = { .url = NULL };
	char error[512];

	if (conf->url != NULL && http_conf_target(conf, tls, &t, arena, error,
	    sizeof(error)) == 0 && has_secret && target_is_exposed(&t))
		report(arg, "credentials.allow_cleartext", "the password or "
		    "token goes in clear text over the network; use https:");
	if (t.is_tls && http_tls_level(tls, true) != TLS_VERIFY)
		report(arg, "tls_mode", has_secret ? "the password or token "
		    "goes to whoever answers: the certificate is not verified" :
		    "messages go to whoever answers: the certificate is not "
		    "verified");
	/* As a service of Postfix, where each message may name its own. */
	if (conf->url == NULL && conf->target_allow.n == 0)
		report(arg, "target_allow", "without url and this a message "
		    "can name any address of your own network");
	arena_free(arena);
}
