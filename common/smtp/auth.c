/* auth.c - the options of AUTH, and the account that sessions use. */
#include "smtp/auth.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define AT(field)	offsetof(struct auth_conf, field)
#define TRY_MS		(60 * 1000)	/* what a login may take */

static const struct opt_word failure_words[] = {
	{ "transient", AUTH_TRANSIENT, "messages are kept and tried again" },
	{ "permanent", AUTH_PERMANENT, "the server's refusal holds for the "
	    "messages" },
	{ .word = NULL }
};

const struct opt_row auth_conf_rows[] = {
	{ "credentials.username", OPT_STRING, AT(username), NULL, 0, 0, NULL,
	    NULL, 0, "Authenticate as this user (RFC 4954)." },
	{ "credentials.password", OPT_STRING, AT(password), NULL, 0, 0, NULL,
	    NULL, OPT_SECRET, "The password. Better in a file." },
	{ "credentials.password_file", OPT_STRING, AT(password_file), NULL, 0,
	    0, NULL, NULL, 0, "A file with nothing but the password, which "
	    "nobody else can read. It is read again when it changes." },
	{ "credentials.token_file", OPT_STRING, AT(token_file), NULL, 0, 0,
	    NULL, NULL, 0, "A file with an OAuth 2.0 access token, for "
	    "OAUTHBEARER and XOAUTH2. It is read again when it changes." },
	{ "credentials.authzid", OPT_STRING, AT(authzid), NULL, 0, 0, NULL,
	    NULL, 0, "Act for this user, where the mechanism can say so." },
	{ "auth_mechanisms", OPT_LIST, AT(mechanisms), NULL, 0, 16, NULL,
	    sasl_check_name, 0, "The mechanisms to use, best first. Without "
	    "it SCRAM-SHA-256-PLUS, SCRAM-SHA-256, OAUTHBEARER, XOAUTH2, "
	    "PLAIN, LOGIN, CRAM-MD5; those that tell the secret only over "
	    "TLS." },
	{ "auth_failure", OPT_ENUM, AT(failure), "transient", 0, 0,
	    failure_words, NULL, 0, "What a refused login means for "
	    "messages." },
	{ "auth_retry_delay", OPT_TIME, AT(retry_delay_ms), "300s", 0,
	    86400000, NULL, NULL, 0, "After a host refused the login for good "
	    "(5yz), answer messages for it with that refusal for so long, "
	    "instead of trying until the account is locked. A changed "
	    "password or token file ends it at once. 0: each new connection "
	    "tries." },
	{ .name = NULL }
};

static bool
is_given(const char *s)
{
	return s != NULL && *s != '\0';
}

/* EXTERNAL needs nothing but to be named. */
static bool
is_external(const struct auth_conf *conf)
{
	size_t i;

	for (i = 0; i < conf->mechanisms.n; i++)
		if (strcasecmp(conf->mechanisms.v[i], "EXTERNAL") == 0)
			return true;
	return false;
}

int
auth_conf_check(const struct auth_conf *conf, opt_report *report, void *arg)
{
	bool has_secret = is_given(conf->password) ||
	    is_given(conf->password_file) || is_given(conf->token_file);
	int nfaults = 0;

	if (is_given(conf->password) && is_given(conf->password_file)) {
		report(arg, "credentials.password",
		    "given together with credentials.password_file");
		nfaults++;
	}
	if (has_secret && !is_given(conf->username)) {
		report(arg, "credentials.username", "required with a password "
		    "or token, but not given");
		nfaults++;
	}
	if (is_given(conf->username) && !has_secret && !is_external(conf)) {
		report(arg, "credentials.password", "required with a "
		    "username, but not given");
		nfaults++;
	}
	return nfaults;
}

struct auth *
auth_new(const struct auth_conf *conf, bool has_certificate, char *error,
    size_t size)
{
	struct auth *a;

	*error = '\0';
	if (!is_given(conf->username) && !is_external(conf))
		return NULL;
	a = xcalloc(1, sizeof(*a));
	a->conf = conf;
	a->credentials.has_certificate = has_certificate;
	if (is_given(conf->username))
		a->credentials.username = xstrdup(conf->username);
	if (is_given(conf->authzid))
		a->credentials.authzid = xstrdup(conf->authzid);
	if (is_given(conf->password))
		secret_set(&a->credentials.password, conf->password);
	if (is_given(conf->password_file))
		secret_set_file(&a->credentials.password, conf->password_file);
	if (is_given(conf->token_file))
		secret_set_file(&a->credentials.token, conf->token_file);
	if (credentials_refresh(&a->credentials, error, size) == -1) {
		auth_free(a);
		return NULL;
	}
	return a;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	credentials_clear(&a->credentials);
	scram_cache_clear(&a->cache);
	memo_clear(&a->refusals);
	free(a);
}

/* ---- refused logins ---- */

/* What was refused to other credentials is void. */
static void
drop_outdated(struct auth *a)
{
	uint32_t changes = credentials_changes(&a->credentials);

	if (a->changes != changes)
		memo_clear(&a->refusals);
	a->changes = changes;
}

const struct memo_row *
auth_refusal(struct auth *a, const struct addr *addr, int64_t now_ms)
{
	char error[SASL_ERROR_MAX];
	struct memo_row *row;

	if (!memo_is_live(memo_find(&a->refusals, addr), now_ms))
		return NULL;
	/* Of a file that cannot be read the login itself will tell. */
	if (credentials_refresh(&a->credentials, error, sizeof(error)) == -1)
		return NULL;
	drop_outdated(a);
	row = memo_find(&a->refusals, addr);
	return memo_is_live(row, now_ms) ? row : NULL;
}

void
auth_begins(struct auth *a, const struct addr *addr, int64_t now_ms,
    struct auth_try *try)
{
	struct memo_row *row;
	int64_t wait = a->conf->retry_delay_ms;

	drop_outdated(a);
	*try = (struct auth_try){ now_ms, a->changes };
	if ((row = memo_find(&a->refusals, addr)) != NULL)
		row->until_ms = now_ms + (wait < TRY_MS ? wait : TRY_MS);
}

void
auth_refused(struct auth *a, const struct addr *addr, int64_t now_ms,
    const struct auth_try *try, unsigned code, const char *text)
{
	if (a->conf->retry_delay_ms > 0 &&
	    try->changes == credentials_changes(&a->credentials))
		memo_note(&a->refusals, addr, now_ms,
		    a->conf->retry_delay_ms, code, text);
}

/* What another connection has learnt meanwhile still holds. */
void
auth_undecided(struct auth *a, const struct addr *addr,
    const struct auth_try *try)
{
	const struct memo_row *row = memo_find(&a->refusals, addr);

	if (row != NULL && row->since_ms < try->at_ms)
		memo_forget(&a->refusals, addr);
}

void
auth_taken(struct auth *a, const struct addr *addr)
{
	memo_forget(&a->refusals, addr);
}

void
auth_answer(const struct auth *a, struct arena *arena, const char *peer,
    unsigned code, const char *text, struct reply *r)
{
	if (code / 100 == 5 && a->conf->failure == AUTH_PERMANENT)
		reply_from_server(r, arena, code, text, strlen(text),
		    STAGE_AUTH);
	else
		reply_cause(r, arena, STAGE_AUTH, CAUSE_AUTH_FAILED, peer,
		    code == 0 ? text : arena_printf(arena, "%u %s", code,
		    text));
}

void
auth_refusal_answer(const struct auth *a, struct arena *arena,
    const char *peer, const struct memo_row *row, int64_t now_ms,
    struct reply *r)
{
	auth_answer(a, arena, peer, row->code, arena_printf(arena,
	    "%s (%lld seconds ago)", row->text,
	    (long long)(now_ms - row->since_ms) / 1000), r);
}
