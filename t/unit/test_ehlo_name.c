/* test_ehlo_name.c - options of the SMTP client, and the name for EHLO. */
#include "net/ehlo_name.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/option.h"
#include "mail/address.h"
#include "smtp/conf.h"
#include "test.h"

static void
test_names(void)
{
	static const struct {
		const char	*template, *name;	/* NULL = refused */
	} rows[] = {
		{ "mail.example", "mail.example" },
		{ "Mail.Example", "Mail.Example" },
		{ "localhost", "localhost" },
		{ "a_b.example", "a_b.example" },
		{ "192.0.2.1", "[192.0.2.1]" },
		{ "2001:db8::1", "[IPv6:2001:db8::1]" },
		{ "[192.0.2.1]", "[192.0.2.1]" },
		{ "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]" },
		{ "m\303\274ller.example", "xn--mller-kva.example" },
		{ "", NULL }, { "[", NULL }, { "[mail.example]", NULL },
		{ "[192.0.2.1", NULL }, { "a..b", NULL }, { ".a", NULL },
		{ "a;b.example", NULL }, { "a b", NULL }, { "a>b", NULL },
		{ "a@b.example", NULL }, { "\"a\"@b", NULL },
		{ "a\r\nMAIL", NULL }, { "\377.example", NULL },
	};
	char error[256], *name;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		*error = '\0';
		name = ehlo_name(rows[i].template, error, sizeof(error));
		is_str(name, rows[i].name, "name %zu", i);
		ok((*error == '\0') == (name != NULL),
		    "name %zu: a reason if there is none", i);
		free(name);
	}
}

static void
test_replaced(void)
{
	char host[256] = "", error[256], *name, *want;
	size_t n;

	gethostname(host, sizeof(host) - 1);
	name = ehlo_name("{fqdn}", error, sizeof(error));
	ok(name != NULL && strlen(name) > 0 && strchr(name, '{') == NULL,
	    "{fqdn} is replaced");
	if (strchr(host, '.') != NULL)
		is_str(name, host, "{fqdn} of a host that has one");
	free(name);
	n = strcspn(host, ".");
	if (asprintf(&want, "x-%.*s.example", (int)n, host) == -1)
		return;
	name = ehlo_name("x-{hostname}.example", error, sizeof(error));
	is_str(name, want, "{hostname} is the short name");
	free(name);
	free(want);
}

static void
test_ceiling(void)
{
	char long_name[5000], error[256], *name;
	size_t i;

	for (i = 0; i < sizeof(long_name); i++)
		long_name[i] = i % 64 == 63 ? '.' : 'a';
	long_name[255] = '\0';
	name = ehlo_name(long_name, error, sizeof(error));
	ok(name != NULL, "name of 255 bytes");
	free(name);
	long_name[255] = 'a';
	long_name[256] = '\0';
	ok(ehlo_name(long_name, error, sizeof(error)) == NULL,
	    "name of 256 bytes");
	long_name[256] = 'a';
	for (i = 4094; i < 4098; i++) {
		long_name[i] = '\0';
		ok(ehlo_name(long_name, error, sizeof(error)) == NULL,
		    "name of %zu bytes", i);
		long_name[i] = 'a';
	}
	long_name[4999] = '\0';
	ok(ehlo_name(long_name, error, sizeof(error)) == NULL,
	    "name of 4,999 bytes");
	for (i = 0; i + 6 < 4000; i += 6)
		memcpy(long_name + i, "{fqdn}", 6);
	long_name[i] = '\0';
	ok(ehlo_name(long_name, error, sizeof(error)) == NULL,
	    "much to be replaced");
}

static void
test_doubts(void)
{
	ok(ehlo_name_doubt("mail.example") == NULL, "no doubt");
	ok(ehlo_name_doubt("localhost") != NULL, "no dot");
	ok(ehlo_name_doubt("box.localdomain") != NULL, "localdomain");
	ok(ehlo_name_doubt("box.LocalDomain") != NULL, "in any case");
	ok(ehlo_name_doubt("box.localhost") != NULL, "localhost below");
	ok(ehlo_name_doubt("[192.0.2.1]") != NULL, "a literal");
	ok(ehlo_name_doubt("localdomain.example") == NULL, "at the start");
}

/* ---- the table ---- */

static void
on_fault(void *arg, const char *name, const char *text)
{
	unsigned *n = arg;

	diag("%s: %s", name == NULL ? "-" : name, text);
	(*n)++;
}

/* LONG: a table */
static void
test_options(void)
{
	static const struct {
		const char	*name, *value;
		bool		 is_taken;
	} rows[] = {
		{ "connect_timeout", "0", false },
		{ "connect_timeout", "1ms", true },
		{ "connect_timeout", "3600s", true },
		{ "connect_timeout", "3601s", false },
		{ "idle_timeout", "0", true },
		{ "concurrent_connections", "0", false },
		{ "concurrent_connections", "60000", true },
		{ "concurrent_connections", "60001", false },
		{ "max_recipients", "1000", true },
		{ "max_recipients", "1001", false },
		{ "window", "65535", true },
		{ "window", "65536", false },
		{ "ehlo_as", "{fqdn}", true },
		{ "ehlo_as", "x{hostname}.example", true },
		{ "ehlo_as", "{host}", false },
		{ "ehlo_as", "{fqdn", false },
		{ "ehlo_as", "", false },
		{ "ehlo_as", "a b", false },
		{ "ehlo_as", "a>b", false },
		{ "ehlo_as", "123", false },
		{ "address_family", "ipv6", true },
		{ "address_family", "ipx", false },
		{ "source_addresses", "192.0.2.1, 2001:db8::1", true },
		{ "source_addresses", "mail.example", false },
		{ "source_addresses", "[192.0.2.1]", false },
		{ "source_policy", "sender-domain", true },
		{ "eightbit", "refuse", true },
		{ "nul_bytes", "refuse", true },
	};
	static const struct opt_group groups[] = {
		{ smtp_conf_rows, 0 }, { NULL, 0 }
	};
	static const struct opt_table table = {
		"test", groups, sizeof(struct smtp_conf), NULL
	};
	const struct smtp_conf *conf;
	unsigned i, nfaults = 0;
	struct opts *opts;
	char error[512];

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		opts = opts_new(&table);
		is_int(opts_set(opts, rows[i].name, rows[i].value, OPTS_ONCE,
		    error, sizeof(error)), rows[i].is_taken ? 0 : -1,
		    "%s = %s", rows[i].name, rows[i].value);
		opts_free(opts);
	}
	opts = opts_new(&table);
	opts_finish(opts, on_fault, &nfaults);
	is_int(nfaults, 0, "the defaults are sound");
	conf = opts_values(opts);
	is_int(conf->connect_timeout_ms, 30000, "default: connecting");
	is_int(conf->idle_timeout_ms, 10000, "default: idle");
	is_int(conf->concurrent_connections, 5, "default: connections");
	is_int(conf->max_connection_time_ms, 300000, "default: their age");
	is_str(conf->ehlo_as, "{fqdn}", "default: name");
	opts_free(opts);
}

static void
test_sendable(void)
{
	char name[DOMAIN_MAX + 2];

	ok(ehlo_name_is_sendable("a.example"), "a name");
	ok(ehlo_name_is_sendable("[192.0.2.1]"), "a literal");
	ok(!ehlo_name_is_sendable(""), "none");
	ok(!ehlo_name_is_sendable("a b"), "a blank");
	ok(!ehlo_name_is_sendable("a>"), "a bracket");
	ok(!ehlo_name_is_sendable("a\r\nMAIL FROM:<>"), "a line end");
	ok(!ehlo_name_is_sendable("a\001"), "a control character");
	memset(name, 'x', sizeof(name));
	name[DOMAIN_MAX] = '\0';
	ok(ehlo_name_is_sendable(name), "255 bytes");
	name[DOMAIN_MAX] = 'x';
	name[DOMAIN_MAX + 1] = '\0';
	ok(!ehlo_name_is_sendable(name), "256 bytes");
}

int
main(void)
{
	test_sendable();
	log_set(false, LOG_LEVEL_ERROR);	/* doubts are no news here */
	test_names();
	test_replaced();
	test_ceiling();
	test_doubts();
	test_options();
	return done_testing();
}
