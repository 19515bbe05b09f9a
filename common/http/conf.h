/* conf.h - the options of the http agent. */
#ifndef HTTP_CONF_H
#define HTTP_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/transcript.h"
#include "conf/option.h"
#include "http/target.h"
#include "net/tls_conf.h"

enum http2 { HTTP2_AUTO, HTTP2_NO, HTTP2_YES };
enum http_auth_failure { HTTP_AUTH_PERMANENT, HTTP_AUTH_TRANSIENT };
enum http_family { HTTP_FAMILY_ANY, HTTP_FAMILY_IPV4, HTTP_FAMILY_IPV6 };

struct http_conf {
	char		*url, *socket;
	char		*ehlo_as;
	int		 format;	/* enum body_format */
	int64_t		 timeout_ms;
	int64_t		 idle_timeout_ms;
	int64_t		 queue_timeout_ms;
	int64_t		 concurrent_connections;
	int64_t		 max_recipients;
	int64_t		 window;
	int		 http2;		/* enum http2 */
	int64_t		 http2_streams;
	int		 address_family;	/* enum http_family */
	char		*username, *password, *password_file;
	char		*token_file;
	bool		 allow_cleartext;
	char		*hmac_secret_file;
	bool		 idempotency_key;
	struct opt_dict	 header;
	struct opt_list	 target_allow, target_deny;
	bool		 follow_redirects;
	int		 auth_failure;
	char		*proxy;
	struct transcript_conf transcript;
};

extern const struct opt_row http_conf_rows[];

/* For the table's check(): the number of faults of the whole. */
int	http_conf_check(const struct http_conf *, const struct tls_conf *,
	    opt_report *, void *arg);

/* What is legal but dangerous; see tls_conf_warn(). */
void	http_conf_warn(const struct http_conf *, const struct tls_conf *,
	    opt_report *, void *arg);

/* What TLS must be to a server of this kind: TLS_MAY never, there is no
 * asking first. */
enum tls_level http_tls_level(const struct tls_conf *, bool is_https);

/* Is an option given, and not empty? */
static inline bool
http_is_given(const char *s)
{
	return s != NULL && *s != '\0';
}

/* The target of `url` and `socket`. */
int	http_conf_target(const struct http_conf *, const struct tls_conf *,
	    struct target *, struct arena *, char *error, size_t);

#endif
