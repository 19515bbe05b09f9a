/* tls_conf.c - the options of TLS, and what they mean. */
#include "net/tls_conf.h"

#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "net/tls.h"

#define AT(field)	offsetof(struct tls_conf, field)

static const struct opt_word ask_words[] = {
	{ "auto", TLS_ASK_AUTO, "wanted if any tls.* option is given" },
	{ "yes", TLS_ASK_YES, "wanted" },
	{ "no", TLS_ASK_NO, "not used, unless tls_mode says so" },
	{ "{}", TLS_ASK_YES, NULL },
	{ "true", TLS_ASK_YES, NULL },
	{ "on", TLS_ASK_YES, NULL },
	{ "1", TLS_ASK_YES, NULL },
	{ "false", TLS_ASK_NO, NULL },
	{ "off", TLS_ASK_NO, NULL },
	{ "0", TLS_ASK_NO, NULL },
	{ .word = NULL }
};

static const struct opt_word mode_words[] = {
	{ "auto", TLS_MODE_AUTO, "what the tls options say: none of them: "
	    "may; with one: verify where the host is configured, may for MX "
	    "hosts" },
	{ "none", TLS_MODE_NONE, "never TLS" },
	{ "may", TLS_MODE_MAY, "TLS if the server offers it and it works, "
	    "else clear text" },
	{ "require", TLS_MODE_REQUIRE, "TLS or no delivery; the server's "
	    "certificate is not looked at" },
	{ "verify", TLS_MODE_VERIFY, "TLS with a certificate that is valid "
	    "and the host's, or no delivery" },
	{ "fingerprint", TLS_MODE_FINGERPRINT, "TLS with a certificate of "
	    "tls.fingerprints, or no delivery" },
	{ "wrapper", TLS_MODE_WRAPPER, "TLS from the first byte, without "
	    "STARTTLS; the certificate is verified with tls.cert_reqs = "
	    "CERT_REQUIRED, or where that is not given but something to "
	    "verify it by is" },
	{ "dane", TLS_MODE_DANE, "what the TLSA records of the host say (RFC "
	    "7672): a certificate that matches one of them, or no delivery; "
	    "TLS, whoever the server is, if none of them can be used; may if "
	    "there are none, or the DNS is not signed. Only of smtp-mx" },
	{ "dane-only", TLS_MODE_DANE_ONLY, "TLS with a certificate that "
	    "matches a TLSA record, or no delivery. Only of smtp-mx" },
	{ "encrypt", TLS_MODE_REQUIRE, NULL },
	{ "secure", TLS_MODE_VERIFY, NULL },
	{ "opportunistic", TLS_MODE_MAY, NULL },
	{ .word = NULL }
};

static const struct opt_word reqs_words[] = {
	{ "CERT_NONE", TLS_REQS_NONE, "not looked at" },
	{ "CERT_OPTIONAL", TLS_REQS_OPTIONAL, "looked at and reported" },
	{ "CERT_REQUIRED", TLS_REQS_REQUIRED, "must be valid and the host's" },
	{ "0", TLS_REQS_NONE, NULL },
	{ "1", TLS_REQS_OPTIONAL, NULL },
	{ "2", TLS_REQS_REQUIRED, NULL },
	{ "", TLS_REQS_UNSET, NULL },
	{ .word = NULL }
};

static const struct opt_word header_words[] = {
	{ "auto", TLS_HEADER_AUTO, "waives what the recipient's domain asks "
	    "for by DANE or MTA-STS, but not tls_mode" },
	{ "honour", TLS_HEADER_HONOUR, "waives tls_mode too" },
	{ "ignore", TLS_HEADER_IGNORE, "means nothing" },
	{ "honor", TLS_HEADER_HONOUR, NULL },
	{ .word = NULL }
};

static const struct opt_word version_words[] = {
	{ "PROTOCOL_TLS", TLS_VERSION_ANY, "1.2 or later" },
	{ "PROTOCOL_TLSv1_2", TLS_VERSION_1_2_ONLY, "1.2, no other" },
	{ "TLSv1.2", TLS_VERSION_1_2, "1.2 or later" },
	{ "TLSv1.3", TLS_VERSION_1_3, "1.3 or later" },
	{ "PROTOCOL_TLS_CLIENT", TLS_VERSION_ANY, NULL },
	{ "PROTOCOL_SSLv23", TLS_VERSION_ANY, NULL },
	{ "PROTOCOL_TLSv1_3", TLS_VERSION_1_3, NULL },
	{ "", TLS_VERSION_UNSET, NULL },
	{ .word = NULL }
};

static const struct opt_word yes_words[] = {
	{ "yes", TLS_SAID_YES, "the default" },
	{ "no", TLS_SAID_NO, "not" },
	{ "true", TLS_SAID_YES, NULL },
	{ "on", TLS_SAID_YES, NULL },
	{ "1", TLS_SAID_YES, NULL },
	{ "false", TLS_SAID_NO, NULL },
	{ "off", TLS_SAID_NO, NULL },
	{ "0", TLS_SAID_NO, NULL },
	{ "", TLS_UNSAID, NULL },
	{ .word = NULL }
};

static const struct opt_word no_words[] = {
	{ "no", TLS_SAID_NO, "the only value" },
	{ "false", TLS_SAID_NO, NULL },
	{ "off", TLS_SAID_NO, NULL },
	{ "0", TLS_SAID_NO, NULL },
	{ "", TLS_UNSAID, NULL },
	{ .word = NULL }
};

static const struct opt_word ktls_words[] = {
	{ "no", TLS_SAID_NO, "the default" },
	{ "yes", TLS_SAID_YES, "where it can" },
	{ "true", TLS_SAID_YES, NULL },
	{ "on", TLS_SAID_YES, NULL },
	{ "1", TLS_SAID_YES, NULL },
	{ "false", TLS_SAID_NO, NULL },
	{ "off", TLS_SAID_NO, NULL },
	{ "0", TLS_SAID_NO, NULL },
	{ "", TLS_UNSAID, NULL },
	{ .word = NULL }
};

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
tls_fingerprint_parse(const char *s, uint8_t bytes[32])
{
	int high, low, i;

	for (i = 0; i < 32; i++) {
		if (i > 0 && *s == ':')
			s++;
		if ((high = hex(s[0])) == -1 || (low = hex(s[1])) == -1)
			return -1;
		bytes[i] = (uint8_t)(high << 4 | low);
		s += 2;
	}
	return *s == '\0' ? 0 : -1;
}

static const char *
check_fingerprint(const char *value)
{
	uint8_t bytes[32];

	return tls_fingerprint_parse(value, bytes) == 0 ? NULL :
	    "is not a SHA-256 fingerprint of 64 hexadecimal digits";
}

static const char *
check_match(const char *value)
{
	struct addr a;

	if (addr_parse(&a, value, 0) == 0)
		return NULL;
	if (*value == '.')
		value++;
	if (*value == '\0' || *value == '.' || !str_is_ascii(value) ||
	    str_has_control(value) || strpbrk(value, " */:@[]") != NULL)
		return "is not a host name, a .domain or an address";
	return NULL;
}

const struct opt_row tls_conf_rows[] = {
	{ "tls_mode", OPT_ENUM, AT(mode), "auto", 0, 0, mode_words, NULL, 0,
	    "Whether TLS is used. UNIX sockets never use it." },
	{ "tls_required_header", OPT_ENUM, AT(required_header), "auto", 0, 0,
	    header_words, NULL, 0, "A message with the field \"TLS-Required: "
	    "No\" (RFC 8689), which prefers clear text to no delivery." },
	{ "tls", OPT_ENUM, AT(ask), "auto", 0, 0, ask_words, NULL, 0,
	    "Whether TLS is wanted, for tls_mode = auto; yes is the same as "
	    "to give any tls.* option." },
	{ "tls.ca_certs", OPT_STRING, AT(ca_certs), NULL, 0, 0, NULL, NULL,
	    OPT_FILE, "Certificates that are trusted, in PEM, instead of "
	    "those of the system." },
	{ "tls.ca_path", OPT_STRING, AT(ca_path), NULL, 0, 0, NULL, NULL, 0,
	    "The same as a folder, prepared by openssl rehash." },
	{ "tls.certfile", OPT_STRING, AT(certfile), NULL, 0, 0, NULL, NULL,
	    OPT_FILE, "The certificate shown to servers that ask for one, "
	    "with those that sign it, in PEM." },
	{ "tls.keyfile", OPT_STRING, AT(keyfile), NULL, 0, 0, NULL, NULL,
	    OPT_FILE, "Its private key, in PEM, not encrypted. Default: in "
	    "the file of tls.certfile." },
	{ "tls.cert_reqs", OPT_ENUM, AT(cert_reqs), NULL, 0, 0, reqs_words,
	    NULL, 0, "The server's certificate. With tls_mode = auto, "
	    "CERT_NONE and CERT_OPTIONAL also mean may." },
	{ "tls.ssl_version", OPT_ENUM, AT(ssl_version), NULL, 0, 0,
	    version_words, NULL, 0, "Versions of TLS. Default: 1.2 or later; "
	    "where TLS is only a may, what the library allows." },
	{ "tls.ciphers", OPT_STRING, AT(ciphers), NULL, 0, 0, NULL, NULL, 0,
	    "Ciphers up to TLS 1.2, as OpenSSL writes them." },
	{ "tls.ciphersuites", OPT_STRING, AT(ciphersuites), NULL, 0, 0, NULL,
	    NULL, 0, "Cipher suites of TLS 1.3, as OpenSSL writes them." },
	{ "tls.match", OPT_LIST, AT(match), NULL, 0, 100, NULL, check_match, 0,
	    "Names one of which the certificate must hold, instead of the "
	    "host's: a host name, .domain for all names below it, or an "
	    "address." },
	{ "tls.fingerprints", OPT_LIST, AT(fingerprints), NULL, 0, 100, NULL,
	    check_fingerprint, 0, "SHA-256 of certificates or of their public "
	    "keys. Given, they alone say whether a certificate is verified." },
	{ "tls.suppress_ragged_eofs", OPT_ENUM, AT(suppress_ragged_eofs), NULL,
	    0, 0, yes_words, NULL, 0, "Whether a server may close the "
	    "connection without the end that TLS asks for." },
	{ "tls.server_side", OPT_ENUM, AT(server_side), NULL, 0, 0, no_words,
	    NULL, 0, "For compatibility: an agent is always the client." },
	{ "tls.do_handshake_on_connect", OPT_ENUM,
	    AT(do_handshake_on_connect), NULL, 0, 0, yes_words, NULL, 0,
	    "For compatibility: has no effect." },
	{ "tls.ktls", OPT_ENUM, AT(ktls), NULL, 0, 0, ktls_words, NULL, 0,
	    "Whether the kernel encrypts, so that messages are sent from "
	    "their file without a copy." },
	{ "tls.session_cache", OPT_INT, AT(session_cache), "1000", 0, 100000,
	    NULL, NULL, 0, "Sessions kept to make the next handshake with "
	    "the same server cheap. 0: none." },
	{ .name = NULL }
};

static bool
has(const char *s)
{
	return s != NULL && *s != '\0';
}

/* Something that only a verification can use. */
static bool
has_anchor(const struct tls_conf *conf)
{
	return has(conf->ca_certs) || has(conf->ca_path) ||
	    conf->match.n > 0 || conf->fingerprints.n > 0;
}

bool
tls_conf_is_given(const struct tls_conf *conf)
{
	return conf->ask == TLS_ASK_YES || has_anchor(conf) ||
	    conf->certfile != NULL || conf->keyfile != NULL ||
	    conf->ca_certs != NULL || conf->ca_path != NULL ||
	    conf->cert_reqs != TLS_REQS_UNSET ||
	    conf->ssl_version != TLS_VERSION_UNSET ||
	    conf->ciphers != NULL || conf->ciphersuites != NULL ||
	    conf->server_side != TLS_UNSAID ||
	    conf->do_handshake_on_connect != TLS_UNSAID ||
	    conf->suppress_ragged_eofs != TLS_UNSAID ||
	    conf->ktls != TLS_UNSAID ||
	    conf->session_cache != TLS_SESSION_CACHE;
}

/* Where the options are looked at, which is once; contexts are made again. */
static void
warn_if_open(const struct tls_conf *conf)
{
	bool is_apart = has(conf->keyfile);
	const char *path = is_apart ? conf->keyfile : conf->certfile;
	struct stat st;

	if (has(path) && stat(path, &st) == 0 && (st.st_mode & S_IROTH))
		log_warning("%s: %s: everybody can read this private key "
		    "(mode %04o)", is_apart ? "tls.keyfile" : "tls.certfile",
		    path, st.st_mode & 07777);
}

static bool
is_dane(const struct tls_conf *conf)
{
	return conf->mode == TLS_MODE_DANE || conf->mode == TLS_MODE_DANE_ONLY;
}

/* What would be left without effect. */
static int
check_dane(const struct tls_conf *conf, enum tls_agent agent,
    opt_report *report, void *arg)
{
	if (!is_dane(conf))
		return 0;
	if (agent != TLS_FOR_MX) {
		report(arg, "tls_mode", "dane and dane-only need smtp-mx (type "
		    "= mx): no other agent looks for TLSA records; verify "
		    "needs a certificate of a trusted authority");
		return 1;
	}
	if (conf->fingerprints.n > 0) {
		report(arg, "tls.fingerprints", "tls_mode = dane takes the "
		    "certificates from the DNS");
		return 1;
	}
	if (conf->cert_reqs == TLS_REQS_REQUIRED) {
		report(arg, "tls.cert_reqs", "CERT_REQUIRED asks for a "
		    "verified certificate, tls_mode = dane for TLSA records");
		return 1;
	}
	return 0;
}

int
tls_conf_check(const struct tls_conf *conf, enum tls_agent agent,
    opt_report *report, void *arg)
{
	int n = check_dane(conf, agent, report, arg);
	struct tls_ctx *ctx;
	char error[512];

	if (conf->mode == TLS_MODE_FINGERPRINT && conf->fingerprints.n == 0) {
		report(arg, "tls_mode", "fingerprint needs tls.fingerprints");
		n++;
	}
	if ((conf->mode == TLS_MODE_VERIFY ||
	    conf->mode == TLS_MODE_FINGERPRINT) &&
	    (conf->cert_reqs == TLS_REQS_NONE ||
	    conf->cert_reqs == TLS_REQS_OPTIONAL)) {
		report(arg, "tls.cert_reqs", "tls_mode asks for a verified "
		    "certificate, tls.cert_reqs does not");
		n++;
	}
	if ((conf->mode == TLS_MODE_MAY || conf->mode == TLS_MODE_REQUIRE) &&
	    conf->cert_reqs == TLS_REQS_REQUIRED) {
		report(arg, "tls.cert_reqs", "CERT_REQUIRED asks for a "
		    "verified certificate, tls_mode does not");
		n++;
	}
	if (n == 0 && tls_conf_is_given(conf)) {
		ctx = tls_ctx_new(conf, error, sizeof(error));
		if (ctx == NULL) {
			report(arg, "tls", error);
			n++;
		} else
			warn_if_open(conf);
		tls_ctx_free(ctx);
	}
	return n;
}

static enum tls_level
level_auto(const struct tls_conf *conf, enum tls_agent agent)
{
	if (conf->ask == TLS_ASK_NO)
		return TLS_NONE;
	switch (conf->cert_reqs) {
	case TLS_REQS_REQUIRED:
		return TLS_VERIFY;
	case TLS_REQS_NONE:
	case TLS_REQS_OPTIONAL:
		return TLS_MAY;
	default:
		break;
	}
	return tls_conf_is_given(conf) && agent == TLS_FOR_HOST ? TLS_VERIFY :
	    TLS_MAY;
}

static enum tls_level
level_wrapper(const struct tls_conf *conf)
{
	if (conf->cert_reqs == TLS_REQS_UNSET)
		return has_anchor(conf) ? TLS_VERIFY : TLS_REQUIRE;
	return conf->cert_reqs == TLS_REQS_REQUIRED ? TLS_VERIFY : TLS_REQUIRE;
}

struct tls_policy
tls_policy_of(const struct tls_conf *conf, enum tls_agent agent,
    const struct addr *addr)
{
	struct tls_policy p = { .level = TLS_NONE };

	if (addr_family(addr) == AF_UNIX)
		return p;
	switch (conf->mode) {
	case TLS_MODE_NONE:
		break;
	case TLS_MODE_MAY:
		p.level = TLS_MAY;
		break;
	case TLS_MODE_REQUIRE:
		p.level = TLS_REQUIRE;
		break;
	case TLS_MODE_VERIFY:
	case TLS_MODE_FINGERPRINT:
		p.level = TLS_VERIFY;
		break;
	case TLS_MODE_DANE:
		p.level = TLS_MAY;
		p.dane = TLS_DANE_MAY;
		break;
	case TLS_MODE_DANE_ONLY:
		p.level = TLS_VERIFY;
		p.dane = TLS_DANE_MUST;
		break;
	case TLS_MODE_WRAPPER:
		p.level = level_wrapper(conf);
		p.is_wrapper = true;
		break;
	default:
		p.level = level_auto(conf, agent);
		break;
	}
	return p;
}

bool
tls_policy_hears_waiver(const struct tls_policy *p, enum tls_level asked,
    const struct tls_conf *conf)
{
	if (p->level == TLS_NONE)
		return false;
	switch (conf->required_header) {
	case TLS_HEADER_IGNORE:
		return false;
	case TLS_HEADER_HONOUR:
		return asked > TLS_MAY || p->level > TLS_MAY;
	default:
		return asked > TLS_MAY && asked > p->level;
	}
}

void
tls_policy_join(struct tls_policy *p, enum tls_level asked,
    const struct tls_conf *conf, bool waives_tls)
{
	/* TLS from the first byte cannot be left out, only who it is with. */
	enum tls_level least = p->is_wrapper ? TLS_REQUIRE : TLS_MAY;

	if (waives_tls && conf->required_header != TLS_HEADER_IGNORE) {
		asked = asked > TLS_MAY ? TLS_MAY : asked;
		if (conf->required_header == TLS_HEADER_HONOUR &&
		    p->level > least)
			p->level = least;
	}
	if (p->level != TLS_NONE && asked > p->level)
		p->level = asked;
}

const char *
tls_policy_text(const struct tls_policy *p)
{
	static const char *const text[][2] = {
		{ "none", "none" },
		{ "may", "may wrapper" },
		{ "require", "require wrapper" },
		{ "verify", "verify wrapper" }
	};

	if (p->dane != TLS_DANE_OFF)
		return p->dane == TLS_DANE_MUST ? "dane-only" : "dane";
	return text[p->level][p->is_wrapper];
}
