/* test_domain_map.c - options by domain, .domain and *. */
#include "route/domain_map.h"

#include "test.h"

static char keys[][24] = { "Example.ORG", ".example.org", ".sub.example.org",
    "*", "b\303\274cher.test.", ".org" };
#define NKEYS	(sizeof(keys) / sizeof(keys[0]))
static struct opt_pair pairs[NKEYS];

static long
find(struct domain_map *m, const char *domain)
{
	return domain_map_find(m, domain);
}

static void
test_patterns(void)
{
	struct opt_dict dict = { .v = pairs, .n = NKEYS };
	struct domain_map m;

	ok(domain_map_init(&m, &dict) == NULL, "all are domains");
	is_int(find(&m, "example.org"), 0, "the domain itself");
	is_int(find(&m, "mail.example.org"), 1, "below it");
	is_int(find(&m, "a.b.example.org"), 1, "far below it");
	is_int(find(&m, "sub.example.org"), 1, ".sub is not sub");
	is_int(find(&m, "x.sub.example.org"), 2, "the longest that fits");
	is_int(find(&m, "notexample.org"), 5, "whole labels alone");
	is_int(find(&m, "org"), 3, "the rest");
	is_int(find(&m, "xn--bcher-kva.test"), 4, "A-labels of U-labels");
	is_int(find(&m, "[192.0.2.1]"), 3, "a literal is of no domain");
	is_int(find(&m, ""), 3, "nothing");
	domain_map_clear(&m);
}

static void
test_few(void)
{
	struct opt_dict none = { .n = 0 }, one = { .v = pairs, .n = 1 };
	struct domain_map m;

	ok(domain_map_init(&m, &none) == NULL, "an empty one");
	is_int(find(&m, "example.org"), -1, "has nothing");
	domain_map_clear(&m);
	ok(domain_map_init(&m, &one) == NULL, "one pair");
	is_int(find(&m, "example.org"), 0, "is found");
	is_int(find(&m, "a.example.org"), -1, "not below it");
	is_int(find(&m, "[192.0.2.1]"), -1, "nor a literal without *");
	domain_map_clear(&m);
}

static void
test_bad(void)
{
	static const char *const bad[] = { ".", "a..b", "", "*.example.org",
	    "a b" };
	struct opt_pair two[] = { { keys[0], NULL }, { NULL, NULL } };
	struct opt_dict dict = { .v = two, .n = 2 };
	struct domain_map m;
	char key[32];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strlcpy(key, bad[i], sizeof(key));
		two[1].key = key;
		ok(domain_map_init(&m, &dict) == two[1].key, "\"%s\" is none",
		    bad[i]);
	}
}

int
main(void)
{
	size_t i;

	for (i = 0; i < NKEYS; i++)
		pairs[i].key = keys[i];
	test_patterns();
	test_few();
	test_bad();
	return done_testing();
}
