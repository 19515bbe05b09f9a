/* tls_conf_warn.c - options of TLS that are legal, but weak. */
#include "net/tls_conf.h"

#include <stdio.h>
#include <string.h>

/* What no list of ciphers should let in, as OpenSSL writes it. */
static const char *const weak[] = { "aNULL", "eNULL", "NULL", "EXP", "LOW",
    "RC4", "ADH", "AECDH", "MD5", "DES-CBC", "3DES", "SECLEVEL=0" };

static bool
is_weak(const char *word, size_t n)
{
	char text[64];
	size_t i;

	if (*word == '!' || *word == '-' || n >= sizeof(text))
		return false;
	memcpy(text, word, n);
	text[n] = '\0';
	for (i = 0; i < sizeof(weak) / sizeof(weak[0]); i++)
		if (strstr(text, weak[i]) != NULL)
			return true;
	return false;
}

void
tls_conf_warn(const struct tls_conf *conf, enum tls_agent agent,
    opt_report *report, void *arg)
{
	const char *p = conf->ciphers == NULL ? "" : conf->ciphers;
	char text[160];
	size_t n;

	for (; *p != '\0'; p += n + (p[n] != '\0')) {
		n = strcspn(p, ":, ");
		if (!is_weak(p, n))
			continue;
		snprintf(text, sizeof(text), "%.*s lets in ciphers that can "
		    "be broken", (int)n, p);
		report(arg, "tls.ciphers", text);
	}
	/* For MX hosts may is what holds without any option as well. */
	if (agent == TLS_FOR_HOST && conf->mode == TLS_MODE_AUTO &&
	    (conf->cert_reqs == TLS_REQS_NONE ||
	    conf->cert_reqs == TLS_REQS_OPTIONAL))
		report(arg, "tls.cert_reqs", "TLS is not required so: where "
		    "it is not offered mail goes in clear text; tls_mode = "
		    "require says that it must be there");
}
