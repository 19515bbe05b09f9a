/* dns_kept.c - copies an answer into one piece of memory. */
#include "route/dns_kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t
text_size(const char *s)
{
	return s == NULL ? 0 : strlen(s) + 1;
}

static size_t
record_size(enum dns_type type)
{
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		return sizeof(struct addr);
	case DNS_MX:
		return sizeof(struct dns_mx);
	case DNS_TLSA:
		return sizeof(struct dns_tlsa);
	case DNS_TXT:
		return sizeof(struct dns_txt);
	case DNS_CNAME:
		return sizeof(const char *);
	}
	return 0;
}

/* What a record has besides. */
static size_t
record_bytes(const struct dns_answer *a, size_t i)
{
	switch (a->type) {
	case DNS_A:
	case DNS_AAAA:
		break;
	case DNS_MX:
		return text_size(a->mx[i].host);
	case DNS_TLSA:
		return a->tlsa[i].len;
	case DNS_TXT:
		return a->txt[i].len + 1;
	case DNS_CNAME:
		return text_size(a->cnames[i]);
	}
	return 0;
}

static const void *
put(char **at, const void *from, size_t n)
{
	void *to = *at;

	if (from == NULL)
		return NULL;
	memcpy(to, from, n);
	*at += n;
	return to;
}

static const char *
put_text(char **at, const char *s)
{
	return put(at, s, text_size(s));
}

/* The records are copied flat before; here what they point to. */
static void
put_records(struct dns_answer *a, void *records, char **at)
{
	struct dns_mx *mx = records;
	struct dns_tlsa *tlsa = records;
	struct dns_txt *txt = records;
	const char **cnames = records;
	size_t i;

	for (i = 0; i < a->n; i++)
		switch (a->type) {
		case DNS_A:
		case DNS_AAAA:
			break;
		case DNS_MX:
			mx[i].host = put_text(at, mx[i].host);
			break;
		case DNS_TLSA:
			tlsa[i].data = put(at, tlsa[i].data, tlsa[i].len);
			break;
		case DNS_TXT:
			txt[i].text = put(at, txt[i].text, txt[i].len);
			*(*at)++ = '\0';
			break;
		case DNS_CNAME:
			cnames[i] = put_text(at, cnames[i]);
			break;
		}
	a->mx = records;		/* any member of the union */
}

struct dns_kept *
dns_kept_new(const struct dns_answer *a, const struct dns_name *asked)
{
	size_t flat = a->n * record_size(a->type), i, bytes;
	struct dns_kept *k;
	void *records;
	char *at;

	bytes = sizeof(*k) + flat + text_size(a->asked) + text_size(a->name) +
	    text_size(a->error) + text_size(a->server) +
	    (asked == NULL ? 0 : asked->len);
	for (i = 0; i < a->n; i++)
		bytes += record_bytes(a, i);
	k = xmalloc(bytes);
	memset(k, 0, sizeof(*k));
	k->refs = 1;
	k->bytes = bytes;
	k->a = *a;
	records = k->data;
	at = k->data + flat;
	if (a->n > 0)
		memcpy(records, a->mx, flat);
	put_records(&k->a, records, &at);
	k->a.asked = put_text(&at, a->asked);
	k->a.name = put_text(&at, a->name);
	k->a.error = put_text(&at, a->error);
	k->a.server = put_text(&at, a->server);
	if (asked != NULL) {
		k->hash = dns_name_hash(asked, a->type);
		k->wire = put(&at, asked->wire, asked->len);
		k->wire_len = asked->len;
	}
	return k;
}

void
dns_kept_unref(struct dns_kept *k)
{
	if (k != NULL && --k->refs == 0)
		free(k);
}
