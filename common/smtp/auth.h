/*
 * auth.h - the options of AUTH, and the account that sessions use.
 */
#ifndef SMTP_AUTH_H
#define SMTP_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/option.h"
#include "smtp/sasl.h"
#include "smtp/secret.h"

enum auth_failure { AUTH_TRANSIENT, AUTH_PERMANENT };

struct auth_conf {
	char		*username, *authzid;
	char		*password, *password_file;
	char		*token_file;
	struct opt_list	 mechanisms;
	int		 failure;	/* enum auth_failure */
};

extern const struct opt_row auth_conf_rows[];

/* For the table's check(): faults of the whole. */
int	auth_conf_check(const struct auth_conf *, opt_report *, void *arg);

/* An account; one for a relay. */
struct auth {
	const struct auth_conf *conf;
	struct credentials credentials;
	struct scram_cache cache;
};

/* NULL where no credentials are configured; else files have been read once:
 * NULL with a text in error (not empty) where that fails. */
struct auth	*auth_new(const struct auth_conf *, bool has_certificate,
		    char *error, size_t);
void		 auth_free(struct auth *);

#endif
