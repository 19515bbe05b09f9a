/* dns_hosts.c - hosts(5) as answers. */
#include "route/dns_hosts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "route/dns_cache.h"
#include "route/dns_file.h"

struct host {
	struct dns_name	 name;
	struct addr	 addr;
	size_t		 line;		/* their order is the file's */
};

struct host_list {
	struct host	*v;
	size_t		 n, cap;
};

struct dns_hosts {
	struct dns_file	 file;
	struct dns_cache *names;
};

struct dns_hosts *
dns_hosts_new(const char *path)
{
	struct dns_hosts *h = xcalloc(1, sizeof(*h));

	h->file.path = path;
	h->names = dns_cache_new(2 * DNS_HOSTS_NAMES_MAX);
	/* One that cannot be read is seen as changed, not as missing. */
	h->file.look_ms = INT64_MIN;
	h->file.seen.st_size = -1;
	return h;
}

void
dns_hosts_free(struct dns_hosts *h)
{
	if (h == NULL)
		return;
	dns_cache_free(h->names);
	free(h);
}

static void
add_host(struct host_list *list, const struct addr *a, const char *text)
{
	const char *error;
	struct host *h;

	if (list->n == DNS_HOSTS_NAMES_MAX)
		return;
	if (list->n == list->cap) {
		list->cap = list->cap == 0 ? 64 : list->cap * 2;
		list->v = xreallocarray(list->v, list->cap, sizeof(*list->v));
	}
	h = &list->v[list->n];
	if (dns_name_parse(&h->name, text, &error) == -1)
		return;
	h->addr = *a;
	h->line = list->n++;
}

static int
compare(const void *pa, const void *pb)
{
	const struct host *a = pa, *b = pb;
	int order;

	if (a->name.len != b->name.len)
		return a->name.len < b->name.len ? -1 : 1;
	order = memcmp(a->name.wire, b->name.wire, a->name.len);
	return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* The answers of one name, of which there are n rows. */
static void
keep_name(struct dns_hosts *hosts, const struct host *rows, size_t n,
    enum dns_type type)
{
	int family = type == DNS_A ? AF_INET : AF_INET6;
	struct addr addrs[DNS_RECORDS_MAX];
	char text[DNS_TEXT_MAX];
	struct dns_answer a = { .type = type, .server = "" };
	struct dns_kept *k;
	size_t i;

	for (i = 0; i < n && a.n < DNS_RECORDS_MAX; i++)
		if (addr_family(&rows[i].addr) == family)
			addrs[a.n++] = rows[i].addr;
	dns_name_format(&rows->name, text);
	a.status = a.n > 0 ? DNS_OK : DNS_NO_DATA;
	a.asked = a.name = text;
	a.addrs = addrs;
	k = dns_kept_new(&a, &rows->name);
	dns_cache_put(hosts->names, k, INT64_MAX);
	dns_kept_unref(k);
}

void
dns_hosts_parse(struct dns_hosts *hosts, char *text, size_t size)
{
	struct host_list list = { .n = 0 };
	char *words[DNS_HOSTS_WORDS_MAX], *end = text + size;
	size_t n, i, next;
	struct addr a;

	while ((n = dns_file_words(&text, end, words,
	    DNS_HOSTS_WORDS_MAX)) > 0)
		if (addr_parse(&a, words[0], 0) == 0)
			for (i = 1; i < n; i++)
				add_host(&list, &a, words[i]);
	dns_cache_free(hosts->names);
	hosts->names = dns_cache_new(2 * DNS_HOSTS_NAMES_MAX);
	if (list.n > 0)
		qsort(list.v, list.n, sizeof(*list.v), compare);
	for (i = 0; i < list.n; i = next) {
		for (next = i + 1; next < list.n && dns_name_equal(
		    &list.v[i].name, &list.v[next].name); next++)
			;
		keep_name(hosts, &list.v[i], next - i, DNS_A);
		keep_name(hosts, &list.v[i], next - i, DNS_AAAA);
	}
	free(list.v);
}

static void
read_again(struct dns_hosts *h)
{
	size_t size;
	char *text = dns_file_read(&h->file, DNS_HOSTS_BYTES_MAX, &size);

	if (text == NULL) {
		log_warning("hosts_file: %s: %s", h->file.path,
		    strerror(errno));
		dns_hosts_parse(h, NULL, 0);
		return;
	}
	dns_hosts_parse(h, text, size);
	free(text);
}

struct dns_kept *
dns_hosts_find(struct dns_hosts *h, const struct dns_name *name,
    enum dns_type type, int64_t now_ms)
{
	if (type != DNS_A && type != DNS_AAAA)
		return NULL;
	if (dns_file_changed(&h->file, now_ms))
		read_again(h);
	return dns_cache_find(h->names, name, type, now_ms);
}
