/*
 * fuzz_dns.c - any answer to a question.  The first byte chooses the question;
 * id and question are then made to fit, so that the rest is read.  What was
 * read is kept and found again as it was.
 *
 * With a first byte from 0xf0 the rest is a resolv.conf or a hosts file, or a
 * name.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "route/dns_cache.h"
#include "route/dns_hosts.h"
#include "route/dns_packet.h"
#include "route/dns_servers.h"

#define PACKET_MAX	65535

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool held)
{
	if (!held)
		abort();
}

/* Text of a name is read as that name. */
static void
check_text(const char *text)
{
	struct dns_name name;
	const char *error;
	char again[DNS_TEXT_MAX];

	if (text == NULL)
		abort();
	must(strlen(text) < DNS_TEXT_MAX);
	if (*text == '\0')
		return;
	must(dns_name_parse(&name, text, &error) == 0);
	must(dns_name_format(&name, again) == strlen(text));
	must(strcmp(text, again) == 0);
}

/* All that an answer points to can be read, and is alike in both. */
static void
compare(const struct dns_answer *a, const struct dns_answer *b)
{
	size_t i;

	must(a->type == b->type && a->n == b->n && a->n <= DNS_RECORDS_MAX);
	for (i = 0; i < a->n; i++)
		switch (a->type) {
		case DNS_A:
		case DNS_AAAA:
			must(addr_equal(&a->addrs[i], &b->addrs[i]));
			break;
		case DNS_MX:
			check_text(b->mx[i].host);
			must(strcmp(a->mx[i].host, b->mx[i].host) == 0);
			break;
		case DNS_TXT:
			must(a->txt[i].len == b->txt[i].len &&
			    memcmp(a->txt[i].text, b->txt[i].text,
			    a->txt[i].len + 1) == 0);
			break;
		case DNS_TLSA:
			must(a->tlsa[i].len == b->tlsa[i].len &&
			    memcmp(a->tlsa[i].data, b->tlsa[i].data,
			    a->tlsa[i].len) == 0);
			break;
		case DNS_CNAME:
			check_text(b->cnames[i]);
			must(strcmp(a->cnames[i], b->cnames[i]) == 0);
			break;
		}
}

static void
check_answer(const struct dns_reply *r, const struct dns_name *asked)
{
	struct dns_answer a = r->a;
	struct dns_cache *cache = dns_cache_new(1000);
	char text[DNS_TEXT_MAX];
	struct dns_kept *k;

	must((r->a.status == DNS_OK) == (r->a.n > 0));
	must(r->ncnames <= DNS_CNAMES_MAX);
	must(r->ncnames > 0 || dns_name_equal(&r->name, asked));
	must(!r->has_ttl || r->a.ttl_s <= INT32_MAX);
	dns_name_format(&r->name, text);
	check_text(text);
	a.asked = a.name = text;
	k = dns_kept_new(&a, asked);
	compare(&a, &k->a);
	dns_cache_put(cache, k, 1000);
	must(dns_cache_find(cache, asked, r->a.type, 999) == k);
	dns_kept_unref(k);
	dns_cache_free(cache);
}

static void
fuzz_answer(uint8_t first, const uint8_t *data, size_t n)
{
	enum dns_type type = first % (DNS_CNAME + 1);
	uint8_t packet[PACKET_MAX], question[DNS_QUESTION_MAX];
	struct arena *arena = arena_new(1024);
	struct dns_reply r;
	struct dns_name asked;
	const char *error;
	size_t size;

	dns_name_parse(&asked, "a.test", &error);
	if (first & 0x40) {		/* as it is */
		dns_packet_read(&r, data, n, 0, &asked, type, DNS_CNAMES_MAX,
		    arena);
	} else if (n >= 10) {
		size = dns_packet_build(question, 0, &asked, type, 0);
		memcpy(packet, question, size);
		memcpy(packet + 2, data, 2);	/* flags */
		packet[2] = (uint8_t)((packet[2] | 0x80) & 0x87);
		memcpy(packet + 6, data + 4, 6);
		if (n > PACKET_MAX - size)
			n = PACKET_MAX - size;
		memcpy(packet + size, data + 10, n - 10);
		dns_packet_read(&r, packet, size + n - 10, 0, &asked, type,
		    DNS_CNAMES_MAX, arena);
		must(r.kind != DNS_REPLY_FOREIGN);
	} else
		r.kind = DNS_REPLY_FOREIGN;
	if (r.kind == DNS_REPLY_ANSWER)
		check_answer(&r, &asked);
	arena_free(arena);
}

static void
fuzz_text(uint8_t first, const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1), formatted[DNS_TEXT_MAX];
	struct dns_resolv resolv;
	struct dns_hosts *hosts;
	struct dns_name name;
	const char *error = NULL;

	must(text != NULL);
	if (n > 0)
		memcpy(text, data, n);
	text[n] = '\0';
	switch (first % 3) {
	case 0:
		dns_resolv_parse(&resolv, text, n);
		must(resolv.n <= DNS_SERVERS_MAX && resolv.attempts >= 1 &&
		    resolv.attempts <= 5 && resolv.timeout_ms >= 1000 &&
		    resolv.timeout_ms <= 30000);
		break;
	case 1:
		hosts = dns_hosts_new("/nonexistent");
		dns_hosts_parse(hosts, text, n);
		dns_hosts_free(hosts);
		break;
	case 2:
		if (dns_name_parse(&name, text, &error) == 0) {
			dns_name_format(&name, formatted);
			check_text(formatted);
		} else
			must(error != NULL);
		break;
	}
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	if (data[0] >= 0xf0)
		fuzz_text(data[0], data + 1, n - 1);
	else
		fuzz_answer(data[0], data + 1, n - 1);
	return 0;
}
