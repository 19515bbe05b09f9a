/* test_dns_cache.c - answers kept; hosts and resolv.conf. */
#include "route/dns_cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "route/dns_file.h"
#include "route/dns_hosts.h"
#include "route/dns_servers.h"
#include "test.h"

static char folder[64], path[128];

static struct dns_name
name_of(const char *text)
{
	struct dns_name name;
	const char *error;

	if (dns_name_parse(&name, text, &error) == -1)
		diag("%s: %s", text, error);
	return name;
}

static void
put(struct dns_cache *c, const char *text, size_t txt_bytes, int64_t until_ms)
{
	struct dns_name name = name_of(text);
	char *bytes = xcalloc(1, txt_bytes + 1);
	struct dns_txt txt = { bytes, txt_bytes };
	struct dns_answer a = { .type = DNS_TXT, .status = DNS_OK,
	    .asked = text, .name = text, .server = "", .n = 1, .txt = &txt };
	struct dns_kept *k;

	k = dns_kept_new(&a, &name);
	dns_cache_put(c, k, until_ms);
	dns_kept_unref(k);
	free(bytes);
}

static struct dns_kept *
find(struct dns_cache *c, const char *text, int64_t now_ms)
{
	struct dns_name name = name_of(text);

	return dns_cache_find(c, &name, DNS_TXT, now_ms);
}

static void
test_cache(void)
{
	struct dns_cache *c = dns_cache_new(3);
	struct dns_name name = name_of("a.test");
	struct dns_kept *k;

	ok(find(c, "a.test", 0) == NULL, "empty");
	put(c, "a.test", 10, 10000);
	put(c, "b.test", 10, 20000);
	put(c, "c.test", 10, 30000);
	ok((k = find(c, "a.test", 4001)) != NULL, "found");
	is_int(k->a.ttl_s, 6, "what is left of its time, rounded up");
	is_str(k->a.asked, "a.test", "it is the right one");
	ok(dns_cache_find(c, &name, DNS_A, 0) == NULL, "another type is not");
	put(c, "d.test", 10, 40000);
	is_int(dns_cache_count(c), 3, "no more than its size");
	ok(find(c, "b.test", 0) == NULL, "the one not used for longest went");
	ok(find(c, "a.test", 9999) != NULL, "to the end of its time");
	ok(find(c, "a.test", 10000) == NULL, "no longer");
	is_int(dns_cache_count(c), 2, "and is dropped");
	put(c, "c.test", 50, 50000);
	is_int(dns_cache_count(c), 2, "a newer answer replaces the old");
	is_int(find(c, "c.test", 0)->a.txt[0].len, 50, "it is the newer one");
	k = dns_kept_ref(find(c, "c.test", 0));
	dns_cache_free(c);
	is_str(k->a.asked, "c.test", "one in use outlives the cache");
	dns_kept_unref(k);

	c = dns_cache_new(0);
	put(c, "a.test", 10, 10000);
	ok(find(c, "a.test", 0) == NULL, "size 0 keeps nothing");
	dns_cache_free(c);
}

static void
test_memory(void)
{
	struct dns_cache *c = dns_cache_new(20);
	char text[32];
	unsigned i;

	for (i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "n%u.test", i);
		put(c, text, 5000, 10000);
	}
	ok(dns_cache_bytes(c) <= (size_t)20 * DNS_CACHE_BYTES,
	    "large answers are fewer: %zu", dns_cache_count(c));
	ok(dns_cache_count(c) >= 6, "but as many as fit");
	ok(find(c, "n19.test", 0) != NULL, "the newest is there");
	put(c, "huge.test", 60000, 10000);
	ok(find(c, "huge.test", 0) == NULL && dns_cache_count(c) >= 6,
	    "one larger than all is not kept, and drives nobody out");
	dns_cache_free(c);

	c = dns_cache_new(50000);
	for (i = 0; i < 50000; i++) {
		snprintf(text, sizeof(text), "n%u.test", i);
		put(c, text, 1, 10000);
	}
	ok(find(c, "n0.test", 0) != NULL && find(c, "n49999.test", 0) != NULL,
	    "fifty thousand, all found");
	is_int(dns_cache_count(c), 50000, "all counted");
	dns_cache_free(c);
}

/* ---- files ---- */

static void
write_file(const char *text)
{
	char temporary[160];
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd == -1 || write(fd, text, strlen(text)) == -1 ||
	    close(fd) == -1 || rename(temporary, path) == -1)
		diag("cannot write %s", path);
}

static const char *
host(struct dns_hosts *h, const char *text, enum dns_type type, size_t i,
    int64_t now_ms)
{
	static char shown[ADDR_TEXT_MAX];
	struct dns_name name = name_of(text);
	struct dns_kept *k = dns_hosts_find(h, &name, type, now_ms);

	if (k == NULL)
		return "unknown";
	if (i >= k->a.n)
		return k->a.status == DNS_NO_DATA ? "no data" : "none";
	return addr_format(&k->a.addrs[i], shown, sizeof(shown));
}

static void
test_hosts(void)
{
	struct dns_hosts *h;

	write_file("# comment\n127.0.0.1\tlocalhost  Mail.Test. # more\n"
	    "192.0.2.1 mail.test\r\n\n::1 six.test mail.test\n"
	    "no.address x.test\n192.0.2.9\n192.0.2.8 a..b ok.test;y.test\n"
	    "192.0.2.7 last.test");
	h = dns_hosts_new(path);
	is_str(host(h, "mail.test", DNS_A, 0, 0), "127.0.0.1", "hosts: first");
	is_str(host(h, "MAIL.test", DNS_A, 1, 0), "192.0.2.1", "hosts: second");
	is_str(host(h, "mail.test", DNS_AAAA, 0, 0), "::1", "hosts: IPv6");
	is_str(host(h, "localhost", DNS_AAAA, 0, 0), "no data",
	    "hosts: a name that has the other family alone");
	is_str(host(h, "six.test", DNS_A, 0, 0), "no data", "hosts: IPv6 alone");
	is_str(host(h, "mail.test", DNS_MX, 0, 0), "unknown", "hosts: no MX");
	is_str(host(h, "x.test", DNS_A, 0, 0), "unknown", "hosts: no address");
	is_str(host(h, "ok.test", DNS_A, 0, 0), "192.0.2.8",
	    "hosts: behind a bad name");
	is_str(host(h, "y.test", DNS_A, 0, 0), "unknown", "hosts: a comment");
	is_str(host(h, "last.test", DNS_A, 0, 0), "192.0.2.7",
	    "hosts: without a last line end");

	write_file("192.0.2.3 mail.test\n");
	is_str(host(h, "mail.test", DNS_A, 0, 500), "127.0.0.1",
	    "hosts: not looked at all the time");
	is_str(host(h, "mail.test", DNS_A, 0, 1500), "192.0.2.3",
	    "hosts: read again when changed");
	is_str(host(h, "six.test", DNS_A, 0, 1500), "unknown",
	    "hosts: what is gone is gone");
	unlink(path);
	is_str(host(h, "mail.test", DNS_A, 0, 3000), "unknown",
	    "hosts: the file is gone");
	write_file("192.0.2.4 mail.test\n");
	is_str(host(h, "mail.test", DNS_A, 0, 5000), "192.0.2.4",
	    "hosts: and has come back");
	dns_hosts_free(h);
}

static void
parse(struct dns_resolv *r, const char *text)
{
	char *copy = xstrdup(text);

	dns_resolv_parse(r, copy, strlen(text));
	free(copy);
}

static void
test_resolv(void)
{
	struct dns_resolv r;
	char text[1024] = "";
	unsigned i;

	parse(&r, "");
	is_int(r.n, 0, "resolv.conf: empty");
	is_int(r.timeout_ms, 5000, "resolv.conf: five seconds");
	is_int(r.attempts, 2, "resolv.conf: two rounds");
	ok(!r.is_trusted && !r.is_rotated && !r.is_tcp, "resolv.conf: plain");
	parse(&r, "; comment\n#nameserver 192.0.2.66\ndomain x.test\n"
	    "search a b\nnameserver 192.0.2.1\n nameserver\t2001:db8::1\n"
	    "nameserver fe80::1%lo\nnameserver fe80::1%nosuch0\n"
	    "nameserver resolver.test\nnameserver\n"
	    "options timeout:3 attempts:4 edns0 ndots:2 trust-ad\n"
	    "options rotate use-vc\n");
	is_int(r.n, 3, "resolv.conf: those that are addresses");
	is_int(addr_port(&r.servers[0]), 53, "resolv.conf: port 53");
	is_int(addr_family(&r.servers[1]), AF_INET6, "resolv.conf: IPv6");
	ok(r.servers[2].u.in6.sin6_scope_id != 0, "resolv.conf: with a zone");
	is_int(r.timeout_ms, 3000, "resolv.conf: timeout");
	is_int(r.attempts, 4, "resolv.conf: attempts");
	ok(r.is_trusted && r.is_rotated && r.is_tcp, "resolv.conf: options");
	parse(&r, "options timeout:0 attempts:99999999 timeout: timeout:x\n");
	ok(r.timeout_ms == 1000 && r.attempts == 5, "resolv.conf: bounds");
	for (i = 1; i <= 20; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "nameserver 192.0.2.%u\n", i);
	parse(&r, text);
	is_int(r.n, DNS_SERVERS_MAX, "resolv.conf: no more than eight");
}

/* ---- servers ---- */

static char *option[2];

static struct dns_servers *
new_servers(struct dns_conf *conf, const char *server, const char *file,
    const char *want)
{
	struct dns_servers *s;
	char error[256] = "";

	memset(conf, 0, sizeof(*conf));
	option[0] = (char *)(uintptr_t)server;
	conf->resolver.v = option;
	conf->resolver.n = server != NULL;
	conf->resolv_conf = (char *)(uintptr_t)file;
	s = dns_servers_new(conf, error, sizeof(error));
	is_str(error, want, "servers: %s", server == NULL ? "by the file" :
	    server);
	return s;
}

static const char *
first_of(struct dns_servers *s, int64_t now_ms)
{
	static char text[128];
	struct dns_server *order[DNS_SERVERS_MAX];
	size_t n, i;

	n = dns_servers_order(s, now_ms, order);
	snprintf(text, sizeof(text), "%s of %zu", order[0]->text, n);
	for (i = 0; i < n; i++)
		dns_server_unref(order[i]);
	return text;
}

static void
test_servers(void)
{
	struct dns_servers *s;
	struct dns_conf conf;
	char error[200];

	s = new_servers(&conf, "[2001:db8::5]:5353", NULL, "");
	is_str(first_of(s, 0), "[2001:db8::5]:5353 of 1", "servers: IPv6");
	ok(!dns_servers_have_trusted(s), "servers: not trusted");
	dns_servers_free(s);
	s = new_servers(&conf, "::1", NULL, "");
	ok(dns_servers_have_trusted(s), "servers: IPv6 loopback is trusted");
	dns_servers_free(s);
	new_servers(&conf, "dns.test", NULL,
	    "resolver: \"dns.test\" is no address");
	new_servers(&conf, NULL, NULL, "resolver: no name server");
	unlink(path);
	snprintf(error, sizeof(error), "resolv_conf: %s: No such file or "
	    "directory", path);
	new_servers(&conf, NULL, path, error);
	write_file("# nobody\n");
	snprintf(error, sizeof(error), "resolv_conf: %s: no nameserver", path);
	new_servers(&conf, NULL, path, error);
	snprintf(error, sizeof(error), "resolv_conf: %s: Invalid argument",
	    folder);
	new_servers(&conf, NULL, folder, error);

	write_file("nameserver 192.0.2.1\noptions trust-ad\n");
	s = new_servers(&conf, NULL, path, "");
	ok(dns_servers_have_trusted(s), "servers: trust-ad");
	is_str(first_of(s, 0), "192.0.2.1:53 of 1", "servers: by the file");
	write_file("nameserver 192.0.2.2\nnameserver 192.0.2.1\n");
	is_str(first_of(s, 1500), "192.0.2.2:53 of 2",
	    "servers: read again when changed");
	ok(!dns_servers_have_trusted(s), "servers: trust-ad is gone");
	write_file("#\n");
	is_str(first_of(s, 3000), "192.0.2.2:53 of 2",
	    "servers: none in it: those before stay");
	unlink(path);
	is_str(first_of(s, 4500), "192.0.2.2:53 of 2",
	    "servers: file gone: those before stay");
	dns_servers_free(s);
}

static void
test_health(void)
{
	struct dns_server *order[DNS_SERVERS_MAX], *a;
	struct dns_servers *s;
	struct dns_conf conf;
	size_t i, n;

	write_file("nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
	s = new_servers(&conf, NULL, path, "");
	n = dns_servers_order(s, 1000, order);
	a = order[0];
	dns_server_missed(a, 1000, 2000);
	dns_server_missed(a, 1000, 2000);
	is_str(first_of(s, 2000), "192.0.2.1:53 of 2", "two misses: no harm");
	dns_server_answered(a, 2500);
	for (i = 0; i < 9; i++)
		dns_server_missed(a, 2400, 3000);
	is_str(first_of(s, 3000), "192.0.2.1:53 of 2",
	    "misses of what was sent before its last answer: no harm");
	for (i = 0; i < 3; i++)
		dns_server_missed(a, 3000, 4000);
	is_str(first_of(s, 4000), "192.0.2.2:53 of 2",
	    "three misses in a row: asked last");
	is_str(first_of(s, 4000 + DNS_DOWN_MS), "192.0.2.1:53 of 2",
	    "after a time one question tries it");
	is_str(first_of(s, 4001 + DNS_DOWN_MS), "192.0.2.2:53 of 2",
	    "the next one waits for that");
	dns_server_answered(a, 50000);
	is_str(first_of(s, 50000), "192.0.2.1:53 of 2", "it answers again");
	dns_server_is_down(a, 50000);
	is_str(first_of(s, 50000), "192.0.2.2:53 of 2",
	    "nobody is there: asked last at once");
	for (i = 0; i < n; i++)
		dns_server_unref(order[i]);

	write_file("nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
	    "nameserver 192.0.2.3\noptions rotate\n");
	is_str(first_of(s, 60000), "192.0.2.2:53 of 3",
	    "health stays when the file is read again");
	first_of(s, 90000);
	is_str(first_of(s, 90000), "192.0.2.3:53 of 3", "rotate: the next");
	write_file("nameserver 192.0.2.1\nnameserver 192.0.2.1\n");
	is_str(first_of(s, 100000), "192.0.2.1:53 of 1", "one said twice");
	write_file("nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
	    "nameserver 192.0.2.1\n");
	is_str(first_of(s, 130000), "192.0.2.1:53 of 2", "and again");
	dns_servers_free(s);
}

int
main(void)
{
	strcpy(folder, "/tmp/test_dns_cache.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/file", folder);
	test_cache();
	test_memory();
	test_hosts();
	test_resolv();
	test_servers();
	test_health();
	unlink(path);
	rmdir(folder);
	return done_testing();
}
