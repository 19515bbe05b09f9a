/*
 * sts_fetch.c - the policy file of a domain over HTTPS.
 *
 * Names are looked up by our own resolver and handed to libcurl, which opens
 * one connection for each policy; nothing of the environment counts (proxies,
 * .netrc, certificates).
 */
#include "route/sts_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/tls.h"
#include "net/web.h"

#define ADDRS_MAX	8	/* of each family */
#define HEADERS_MAX	32768	/* bytes; 1xx answers included */
#define WHY_MAX		512

static const char fetch_error[] = "sts-policy-fetch-error";
static const char webpki_invalid[] = "sts-webpki-invalid";

struct sts_fetcher {
	struct loop	*loop;
	struct dns	*dns;
	const struct sts_conf *conf;
	struct web	*web;
	struct curl_slist *headers;
};

enum { FOR_A, FOR_AAAA, NFAMILIES };

struct sts_fetch {
	struct sts_fetcher *f;
	sts_fetch_cb	*cb;
	void		*arg;
	char		*host;		/* mta-sts.DOMAIN */
	struct timer	 timer;		/* for all of it */
	int64_t		 until_ms;

	struct family {
		struct sts_fetch *fetch;
		struct dns_query *query;
		char		 text[ADDRS_MAX * (ADDR_TEXT_MAX + 3)];
	} families[NFAMILIES];
	unsigned	 nawaited;
	char		 dns_error[128];	/* "": none */

	struct web_job	 job;
	CURL		*easy;
	struct curl_slist *resolve;
	struct buf	 body;
	size_t		 nheaders;
	bool		 has_long_body, has_long_headers;
	char		 error[CURL_ERROR_SIZE];
};

/* ---- the end ---- */

static void
fetch_free(struct sts_fetch *s)
{
	int i;

	for (i = 0; i < NFAMILIES; i++)
		if (s->families[i].query != NULL)
			dns_cancel(s->families[i].query);
	web_stop(&s->job);
	if (s->easy != NULL)
		curl_easy_cleanup(s->easy);
	curl_slist_free_all(s->resolve);
	timer_clear(&s->timer);
	buf_clear(&s->body);
	free(s->host);
	free(s);
}

static void
tell(struct sts_fetch *s, const struct sts_fetched *fetched)
{
	sts_fetch_cb *cb = s->cb;
	void *arg = s->arg;

	s->cb = NULL;
	cb(arg, fetched);
	fetch_free(s);
}

static void __attribute__((format(printf, 3, 4)))
fail(struct sts_fetch *s, const char *report, const char *fmt, ...)
{
	struct sts_fetched fetched = { .report = report };
	char why[WHY_MAX], shown[2 * WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	str_escape(shown, sizeof(shown), why, strlen(why));
	fetched.why = shown;
	tell(s, &fetched);
}

static void
on_timeout(void *arg)
{
	struct sts_fetch *s = arg;

	fail(s, fetch_error, "https://%s: no policy within %lld ms", s->host,
	    (long long)s->f->conf->mta_sts_timeout_ms);
}

/* ---- what comes ---- */

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct sts_fetch *s = arg;

	(void)p;
	s->nheaders += size * n;
	if (s->nheaders <= HEADERS_MAX)
		return size * n;
	s->has_long_headers = true;
	return 0;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct sts_fetch *s = arg;

	if (buf_add(&s->body, p, size * n) == 0)
		return size * n;
	s->has_long_body = true;
	return 0;
}

/* §3.3: the media type is text/plain, with any parameters. */
static bool
is_text_plain(const char *type)
{
	size_t n;

	if (type == NULL)
		return false;
	n = strcspn(type, "; \t");
	return n == 10 && strncasecmp(type, "text/plain", n) == 0;
}

static void
judge_answer(struct sts_fetch *s)
{
	struct sts_fetched fetched = { .why = "", .report = "" };
	char *type = NULL;
	long status = 0;

	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
	if (status >= 300 && status < 400)
		fail(s, fetch_error, "https://%s: HTTP %ld: a policy is not "
		    "looked for elsewhere", s->host, status);
	else if (status != 200)
		fail(s, fetch_error, "https://%s: HTTP %ld", s->host, status);
	else if (!is_text_plain(type))
		fail(s, fetch_error, "https://%s: Content-Type is %.80s, not "
		    "text/plain", s->host, type != NULL ? type : "missing");
	else {
		fetched.body = buf_len(&s->body) > 0 ? buf_data(&s->body) : "";
		fetched.len = buf_len(&s->body);
		tell(s, &fetched);
	}
}

static void
on_done(void *arg, CURLcode code)
{
	struct sts_fetch *s = arg;

	if (code == CURLE_OK)
		judge_answer(s);
	else if (s->has_long_headers)
		fail(s, fetch_error, "https://%s: more than %d bytes of "
		    "headers", s->host, HEADERS_MAX);
	else if (s->has_long_body || code == CURLE_FILESIZE_EXCEEDED)
		fail(s, fetch_error, "https://%s: more than %d bytes", s->host,
		    STS_BODY_MAX);
	else
		fail(s, code == CURLE_PEER_FAILED_VERIFICATION ?
		    webpki_invalid : fetch_error, "https://%s: %s", s->host,
		    s->error[0] != '\0' ? s->error :
		    curl_easy_strerror(code));
}

/* ---- the transfer ---- */

/* Ours, or the system's: from its folder, if there is one that is hashed:
 * to read them all takes longer than the rest. */
static CURLcode
set_trust(CURL *c, const struct sts_conf *conf)
{
	const char *own = conf->mta_sts_ca_certs, *folder;
	CURLcode rc = CURLE_OK;

	if (own != NULL && *own != '\0') {
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
		rc = curl_easy_setopt(c, CURLOPT_CAINFO, own);
	} else if ((folder = tls_system_ca_path()) != NULL) {
		curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
		rc = curl_easy_setopt(c, CURLOPT_CAPATH, folder);
	}
	return rc;
}

/* What libcurl must refuse if it does not know of it. */
static bool
set_safety(CURL *c, const struct sts_conf *conf)
{
	return curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") ==
	    CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_SSLVERSION,
	    (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) ==
	    CURLE_OK && set_trust(c, conf) == CURLE_OK;
}

static bool
set_options(struct sts_fetch *s, const char *url, int64_t left_ms)
{
	CURL *c = s->easy;

	if (!set_safety(c, s->f->conf))
		return false;
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
	    (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)left_ms);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)STS_BODY_MAX);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, s->f->headers);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "nexthop");
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
	return curl_easy_setopt(c, CURLOPT_RESOLVE, s->resolve) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK;
}

static void
start_transfer(struct sts_fetch *s)
{
	const char *a = s->families[FOR_A].text;
	const char *aaaa = s->families[FOR_AAAA].text;
	long port = (long)s->f->conf->mta_sts_port;
	int64_t left_ms = s->until_ms - loop_now_ms(s->f->loop);
	char *entry, url[DNS_NAME_MAX + 64], at[16] = "";

	entry = xasprintf("%s:%ld:%s%s%s", s->host, port, aaaa,
	    *aaaa != '\0' && *a != '\0' ? "," : "", a);
	s->resolve = curl_slist_append(NULL, entry);
	free(entry);
	if (port != 443)
		snprintf(at, sizeof(at), ":%ld", port);
	snprintf(url, sizeof(url), "https://%s%s/.well-known/mta-sts.txt",
	    s->host, at);
	s->easy = curl_easy_init();
	if (s->easy == NULL || s->resolve == NULL ||
	    !set_options(s, url, left_ms > 0 ? left_ms : 1) ||
	    web_start(s->f->web, &s->job, s->easy, on_done, s) == -1)
		fail(s, fetch_error, "https://%s: libcurl refuses", s->host);
}

/* ---- addresses ---- */

static void
take_addrs(struct family *family, const struct dns_answer *a)
{
	char one[ADDR_TEXT_MAX];
	bool is_ipv6 = a->type == DNS_AAAA;
	size_t i, n = 0;

	for (i = 0; i < a->n && i < ADDRS_MAX; i++) {
		addr_format(&a->addrs[i], one, sizeof(one));
		n += (size_t)snprintf(family->text + n,
		    sizeof(family->text) - n, "%s%s%s%s", i > 0 ? "," : "",
		    is_ipv6 ? "[" : "", one, is_ipv6 ? "]" : "");
	}
}

static void
on_addrs(void *arg, const struct dns_answer *a)
{
	struct family *family = arg;
	struct sts_fetch *s = family->fetch;

	family->query = NULL;
	if (a->status == DNS_OK)
		take_addrs(family, a);
	else if (a->status == DNS_FAILED)
		strlcpy(s->dns_error, a->error, sizeof(s->dns_error));
	if (--s->nawaited > 0)
		return;
	if (s->families[FOR_A].text[0] != '\0' ||
	    s->families[FOR_AAAA].text[0] != '\0')
		start_transfer(s);
	else
		fail(s, fetch_error, "https://%s: %s", s->host,
		    s->dns_error[0] != '\0' ? s->dns_error : "no address");
}

struct sts_fetch *
sts_fetch(struct sts_fetcher *f, const char *domain, sts_fetch_cb *cb,
    void *arg)
{
	static const enum dns_type types[NFAMILIES] = { DNS_A, DNS_AAAA };
	struct sts_fetch *s = xcalloc(1, sizeof(*s));
	int i;

	s->f = f;
	s->cb = cb;
	s->arg = arg;
	s->host = xasprintf("mta-sts.%s", domain);
	s->until_ms = loop_now_ms(f->loop) + f->conf->mta_sts_timeout_ms;
	buf_init(&s->body, STS_BODY_MAX);
	timer_init(&s->timer, f->loop, on_timeout, s);
	timer_set(&s->timer, f->conf->mta_sts_timeout_ms);
	s->nawaited = NFAMILIES;
	for (i = 0; i < NFAMILIES; i++) {
		s->families[i].fetch = s;
		s->families[i].query = dns_ask(f->dns, s->host, types[i],
		    on_addrs, &s->families[i]);
	}
	return s;
}

void
sts_fetch_cancel(struct sts_fetch *s)
{
	if (s != NULL)
		fetch_free(s);
}

/* ---- the fetcher ---- */

struct sts_fetcher *
sts_fetcher_new(struct loop *loop, struct dns *dns,
    const struct sts_conf *conf, char *error, size_t size)
{
	struct sts_fetcher *f;
	const char *own = conf->mta_sts_ca_certs;

	if (own != NULL && *own != '\0' && access(own, R_OK) == -1) {
		snprintf(error, size, "mta_sts_ca_certs: %s: %m", own);
		return NULL;
	}
	f = xcalloc(1, sizeof(*f));
	f->loop = loop;
	f->dns = dns;
	f->conf = conf;
	f->headers = curl_slist_append(NULL, "Accept: text/plain");
	if ((f->web = web_new(loop, 1)) == NULL) {
		snprintf(error, size, "mta_sts: libcurl cannot be used");
		sts_fetcher_free(f);
		return NULL;
	}
	return f;
}

void
sts_fetcher_free(struct sts_fetcher *f)
{
	if (f == NULL)
		return;
	web_free(f->web);
	curl_slist_free_all(f->headers);
	free(f);
}
