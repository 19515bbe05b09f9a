/* conf.c - the options of the http agent. */
#include "http/conf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/body.h"
#include "http/header_value.h"
#include "mail/envelope.h"
#include "mail/frame.h"
#include "net/addr_range.h"
#include "net/ehlo_name.h"

#define SEC	1000LL
#define AT(field)	offsetof(struct http_conf, field)

static const struct opt_word format_words[] = {
	{ "rfc822", FORMAT_RFC822, "the message as it is, message/rfc822; the "
	    "envelope in the header" },
	{ "json", FORMAT_JSON, "one object with envelope, header fields and "
	    "message, application/json" },
	{ .word = NULL }
};

static const struct opt_word http2_words[] = {
	{ "auto", HTTP2_AUTO, "with TLS where the server takes it" },
	{ "no", HTTP2_NO, "HTTP/1.1 only" },
	{ "yes", HTTP2_YES, "as auto, and in clear text without asking first" },
	{ .word = NULL }
};

static const struct opt_word family_words[] = {
	{ "any", HTTP_FAMILY_ANY, "IPv6 and IPv4" },
	{ "ipv4", HTTP_FAMILY_IPV4, "IPv4 only" },
	{ "ipv6", HTTP_FAMILY_IPV6, "IPv6 only" },
	{ "all", HTTP_FAMILY_ANY, NULL },
	{ .word = NULL }
};

static const struct opt_word failure_words[] = {
	{ "permanent", HTTP_AUTH_PERMANENT, "the refusal holds for the "
	    "message" },
	{ "transient", HTTP_AUTH_TRANSIENT, "messages are kept and tried "
	    "again" },
	{ .word = NULL }
};

const struct opt_row http_conf_rows[] = {
	{ "url", OPT_STRING, AT(url), NULL, 0, 0, NULL, NULL, OPT_REQUIRED,
	    "Where requests go: http://host:port/path?query, https://..., or "
	    "unix:/path/of/socket:/path. With any tls option http: means "
	    "https:." },
	{ "socket", OPT_STRING, AT(socket), NULL, 0, 0, NULL, NULL, 0,
	    "Connect to this UNIX socket instead of the host of url, which is "
	    "only named in the request." },
	{ "ehlo_as", OPT_STRING, AT(ehlo_as), "{fqdn}", 0, 0, NULL,
	    ehlo_name_check, 0, "The value of X-Ehlo. {fqdn} is this host's "
	    "full name, {hostname} its short one." },
	{ "format", OPT_ENUM, AT(format), "rfc822", 0, 0, format_words, NULL,
	    0, "The body of a request." },
	{ "timeout", OPT_TIME, AT(timeout_ms), "60s", 1, 3600 * SEC, NULL,
	    NULL, 0, "Time for a whole exchange: connection, request, "
	    "response. The wait for a free connection is not in it." },
	{ "idle_timeout", OPT_TIME, AT(idle_timeout_ms), "0", 0, 3600 * SEC,
	    NULL, NULL, 0, "Keep a connection open after a delivery for the "
	    "next message. 0: only for a message that waits already; "
	    "where messages come one by one, set it to as long as the server "
	    "keeps connections." },
	{ "queue_timeout", OPT_TIME, AT(queue_timeout_ms), "300s", 1,
	    86400 * SEC, NULL, NULL, 0, "Wait for a free connection when "
	    "concurrent_connections is reached; then 451 4.4.5." },
	{ "concurrent_connections", OPT_INT, AT(concurrent_connections), "5",
	    1, 60000, NULL, NULL, 0, "Connections at once to one host and "
	    "port, idle ones included." },
	{ "http2", OPT_ENUM, AT(http2), "auto", 0, 0, http2_words, NULL, 0,
	    "Whether HTTP/2 is spoken." },
	{ "http2_streams", OPT_INT, AT(http2_streams), "100", 1, 1000, NULL,
	    NULL, 0, "Requests at once over one connection of HTTP/2; the "
	    "server may allow fewer." },
	{ "max_recipients", OPT_INT, AT(max_recipients), "100", 1,
	    ENVELOPE_RCPT_MAX, NULL, NULL, 0, "Recipients in one request; "
	    "more make further ones. With format = rfc822 also what makes 16 "
	    "KiB of header lines, the most that usual servers take." },
	{ "window", OPT_INT, AT(window), "5000", 1, FRAME_WINDOW_MAX, NULL,
	    NULL, 0, "Deliveries the agent accepts at once." },
	{ "address_family", OPT_ENUM, AT(address_family), "any", 0, 0,
	    family_words, NULL, 0, "Which addresses of a host are used." },
	{ "target_allow", OPT_LIST, AT(target_allow), NULL, 0, 1000, NULL,
	    addr_range_check, 0, "Connect to these addresses only, whatever "
	    "the name of the host says: ranges like 192.0.2.0/24, \"loopback\", "
	    "\"private\". Without it to all." },
	{ "target_deny", OPT_LIST, AT(target_deny), NULL, 0, 1000, NULL,
	    addr_range_check, 0, "Never connect to these addresses; goes "
	    "before target_allow." },
	{ "credentials.username", OPT_STRING, AT(username), NULL, 0, 0, NULL,
	    NULL, 0, "Authenticate as this user (Basic, RFC 7617)." },
	{ "credentials.password", OPT_STRING, AT(password), NULL, 0, 0, NULL,
	    NULL, OPT_SECRET, "The password. Better in a file." },
	{ "credentials.password_file", OPT_STRING, AT(password_file), NULL, 0,
	    0, NULL, NULL, 0, "A file with nothing but the password, which "
	    "nobody else can read. It is read again when it changes." },
	{ "credentials.allow_cleartext", OPT_BOOL, AT(allow_cleartext), "no",
	    0, 0, NULL, NULL, 0, "Whether a password or token may be sent "
	    "without TLS to another host." },
	{ "token_file", OPT_STRING, AT(token_file), NULL, 0, 0, NULL, NULL, 0,
	    "A file with a bearer token (RFC 6750), which nobody else can "
	    "read. It is read again when it changes." },
	{ "hmac_secret_file", OPT_STRING, AT(hmac_secret_file), NULL, 0, 0,
	    NULL, NULL, 0, "A file with a secret to sign requests with, which "
	    "nobody else can read. It is read again when it changes." },
	{ "idempotency_key", OPT_BOOL, AT(idempotency_key), "yes", 0, 0, NULL,
	    NULL, 0, "Send the header Idempotency-Key, the same each time the "
	    "same message goes to the same recipients. Without it a request "
	    "that was sent whole is never sent again by itself." },
	{ "header", OPT_DICT, AT(header), NULL, 0, 32, NULL, header_value_check, 0,
	    "Further header lines: header.X-Name = value, with macros like "
	    "{sender}." },
	{ "follow_redirects", OPT_BOOL, AT(follow_redirects), "no", 0, 0,
	    NULL, NULL, 0, "Whether 307 and 308 are followed, within the same "
	    "host and port." },
	{ "auth_failure", OPT_ENUM, AT(auth_failure), "permanent", 0, 0,
	    failure_words, NULL, 0, "What 401, 403 and 407 without "
	    "X-Smtp-Reply mean for messages." },
	{ "proxy", OPT_STRING, AT(proxy), NULL, 0, 0, NULL, NULL, 0,
	    "Go through this proxy: http://host:port or socks5h://host:port. "
	    "Proxies of the environment are not used." },
	TRANSCRIPT_ROWS(AT(transcript)),
	{ .name = NULL }
};

/* ---- TLS ---- */

enum tls_level
http_tls_level(const struct tls_conf *conf, bool is_https)
{
	bool is_lax = conf->cert_reqs == TLS_REQS_NONE ||
	    conf->cert_reqs == TLS_REQS_OPTIONAL;

	switch (conf->mode) {
	case TLS_MODE_NONE:
		return TLS_NONE;
	case TLS_MODE_MAY:
		return is_https ? TLS_REQUIRE : TLS_NONE;
	case TLS_MODE_REQUIRE:
		return TLS_REQUIRE;
	case TLS_MODE_VERIFY:
	case TLS_MODE_FINGERPRINT:
		return TLS_VERIFY;
	case TLS_MODE_WRAPPER:
		return is_lax ? TLS_REQUIRE : TLS_VERIFY;
	default:
		break;
	}
	if (conf->ask == TLS_ASK_NO || (!is_https && !tls_conf_is_given(conf)))
		return TLS_NONE;
	return is_lax ? TLS_REQUIRE : TLS_VERIFY;
}

int
http_conf_target(const struct http_conf *conf, const struct tls_conf *tls,
    struct target *t, struct arena *arena, char *error, size_t size)
{
	struct target_hints hints = {
		.want_tls = http_tls_level(tls, false) != TLS_NONE,
		.socket = http_is_given(conf->socket) ? conf->socket : NULL,
	};

	return target_parse(t, conf->url, &hints, arena, error, size);
}

/* ---- faults of the whole ---- */

struct checking {
	opt_report	*report;
	void		*arg;
	int		 nfaults;
};

static void
fault(struct checking *c, const char *name, const char *text)
{
	c->report(c->arg, name, text);
	c->nfaults++;
}

static void
check_target(struct checking *c, const struct http_conf *conf,
    const struct tls_conf *tls)
{
	struct arena *arena = arena_new(1024);
	bool has_secret = http_is_given(conf->token_file) ||
	    http_is_given(conf->username);
	char error[512];
	struct target t;

	if (http_conf_target(conf, tls, &t, arena, error, sizeof(error)) == -1)
		fault(c, "url", error);
	else if (t.is_tls && http_tls_level(tls, true) == TLS_NONE)
		fault(c, "url", "https: asks for TLS, the tls options forbid "
		    "it");
	else if (has_secret && !conf->allow_cleartext && target_is_exposed(&t))
		fault(c, "credentials", "would be sent in clear text; use "
		    "https:, or say credentials.allow_cleartext = yes");
	arena_free(arena);
}

static void
check_credentials(struct checking *c, const struct http_conf *conf)
{
	bool has_password = http_is_given(conf->password) ||
	    http_is_given(conf->password_file);

	if (http_is_given(conf->password) && http_is_given(conf->password_file))
		fault(c, "credentials.password",
		    "given together with credentials.password_file");
	if (has_password && !http_is_given(conf->username))
		fault(c, "credentials.username",
		    "required with a password, but not given");
	if (!has_password && http_is_given(conf->username))
		fault(c, "credentials.password",
		    "required with a username, but not given");
	if (http_is_given(conf->token_file) && http_is_given(conf->username))
		fault(c, "token_file",
		    "given together with credentials.username");
	if (http_is_given(conf->username) && (strchr(conf->username, ':') !=
	    NULL || str_has_control(conf->username)))
		fault(c, "credentials.username",
		    "a colon or control character cannot be sent");
}

/* RFC 9110 §5.6.2, and none that says what the agent says itself. */
static const char *
check_header_name(const char *name)
{
	static const char *const ours[] = { "Host", "Content-Length",
	    "Content-Type", "Transfer-Encoding", "Connection", "Expect", "TE",
	    "Upgrade", "Trailer", "X-Ehlo", "X-Envelope-Sender",
	    "X-Envelope-Recipient", "Idempotency-Key", "X-Nexthop-Timestamp",
	    "X-Nexthop-Signature", NULL };
	const char *const *one;

	if (*name == '\0' || strlen(name) > 128 || strspn(name,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "!#$%&'*+-.^_`|~") != strlen(name))
		return "is no name of a header";
	if (strcasecmp(name, "Authorization") == 0)
		return "would be seen by all; use token_file or credentials";
	for (one = ours; *one != NULL; one++)
		if (strcasecmp(name, *one) == 0)
			return "is set by the agent itself";
	return NULL;
}

static void
check_headers(struct checking *c, const struct http_conf *conf)
{
	char name[256];
	const char *why;
	size_t i;

	for (i = 0; i < conf->header.n; i++) {
		snprintf(name, sizeof(name), "header.%.128s",
		    conf->header.v[i].key);
		if ((why = check_header_name(conf->header.v[i].key)) != NULL)
			fault(c, name, why);
		else if (str_has_control(conf->header.v[i].value))
			fault(c, name, "has a control character");
	}
}

static void
check_proxy(struct checking *c, const struct http_conf *conf)
{
	struct target_hints hints = { .socket = NULL };
	struct arena *arena;
	const char *rest;
	char error[512];
	struct target t;

	if (!http_is_given(conf->proxy))
		return;
	if (conf->target_allow.n > 0 || conf->target_deny.n > 0)
		fault(c, "proxy", "the proxy looks up names, so target_allow "
		    "and target_deny cannot be kept");
	if (http_is_given(conf->socket) ||
	    (conf->url != NULL && strncasecmp(conf->url, "unix:", 5) == 0))
		fault(c, "proxy", "cannot be used with a UNIX socket");
	if (strncasecmp(conf->proxy, "http://", 7) == 0)
		rest = conf->proxy + 7;
	else if (strncasecmp(conf->proxy, "socks5h://", 10) == 0)
		rest = conf->proxy + 10;
	else {
		fault(c, "proxy", "is neither http:// nor socks5h://");
		return;
	}
	arena = arena_new(1024);
	if (target_parse(&t, arena_printf(arena, "http://%s", rest), &hints,
	    arena, error, sizeof(error)) == -1)
		fault(c, "proxy", error);
	arena_free(arena);
}

int
http_conf_check(const struct http_conf *conf, const struct tls_conf *tls,
    opt_report *report, void *arg)
{
	struct checking c = { .report = report, .arg = arg };

	c.nfaults = tls_conf_check(tls, TLS_FOR_HOST, report, arg);
	/* Without one, each envelope brings its own; else it was told already
	 * that it is required. */
	if (conf->url != NULL)
		check_target(&c, conf, tls);
	else if (http_is_given(conf->token_file) ||
	    http_is_given(conf->username))
		fault(&c, "credentials", "are for the host of url, which is "
		    "not given");
	check_credentials(&c, conf);
	check_headers(&c, conf);
	check_proxy(&c, conf);
	return c.nfaults;
}
