/*
 * auth.h - the options of AUTH, and the account that sessions use.
 */
#ifndef SMTP_AUTH_H
#define SMTP_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/secret.h"
#include "conf/option.h"
#include "mail/reply.h"
#include "net/tls_conf.h"
#include "smtp/memo.h"
#include "smtp/sasl.h"

enum auth_failure { AUTH_TRANSIENT, AUTH_PERMANENT };

struct auth_conf {
	char		*username, *authzid;
	char		*password, *password_file;
	char		*token_file;
	struct opt_list	 mechanisms;
	int		 failure;	/* enum auth_failure */
	int64_t		 retry_delay_ms;	/* 0: remember no refusal */
};

extern const struct opt_row auth_conf_rows[];

/* For the table's check(): faults of the whole. */
int	auth_conf_check(const struct auth_conf *, opt_report *, void *arg);

/* What is legal but dangerous of a login at these hosts. */
void	auth_conf_warn(const struct auth_conf *, const struct tls_conf *,
	    const struct opt_list *hosts, opt_report *, void *arg);

/* An account; one for a relay. */
struct auth {
	const struct auth_conf *conf;
	struct credentials credentials;
	struct scram_cache cache;
	struct memo	 refusals;	/* by host; of these credentials */
	uint32_t	 changes;	/* ... as they were then */
};

/* One login, from its begin. */
struct auth_try {
	int64_t		 at_ms;
	uint32_t	 changes;	/* of the credentials */
};

/* NULL where no credentials are configured; else files have been read once:
 * NULL with a text in error (not empty) where that fails. */
struct auth	*auth_new(const struct auth_conf *, bool has_certificate,
		    char *error, size_t);
void		 auth_free(struct auth *);

/*
 * Logins that a host refused for good: who tries a wrong password again with
 * every message is soon locked out.  A refusal holds for auth_retry_delay, or
 * until a file of the credentials changes; then one login tries anew and the
 * others wait for what becomes of it, up to a minute.
 */

/* The refusal that holds; NULL: log in.  Good until the next call of these. */
const struct memo_row *auth_refusal(struct auth *, const struct addr *,
		    int64_t now_ms);
/* A login begins; its end is told by one of the others, if there is one. */
void		 auth_begins(struct auth *, const struct addr *,
		    int64_t now_ms, struct auth_try *);
/* Refused with these words; code 0: not the server's own. */
void		 auth_refused(struct auth *, const struct addr *,
		    int64_t now_ms, const struct auth_try *, unsigned code,
		    const char *text);
/* It is not known whether the server would take it. */
void		 auth_undecided(struct auth *, const struct addr *,
		    const struct auth_try *);
void		 auth_taken(struct auth *, const struct addr *);

/* What a refused login means for a message; peer: "host[address]:port". */
void		 auth_answer(const struct auth *, struct arena *,
		    const char *peer, unsigned code, const char *text,
		    struct reply *);
/* The same of a refusal that is remembered. */
void		 auth_refusal_answer(const struct auth *, struct arena *,
		    const char *peer, const struct memo_row *, int64_t now_ms,
		    struct reply *);

#endif
