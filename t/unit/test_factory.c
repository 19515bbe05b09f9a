/* test_factory.c - what a factory gets to see, and how it refuses. */
#include "agent/factory.h"

#include "test.h"

static const struct factory_option given[] = {
	{ "type", "custom" }, { "factory", "/x.so:make" }, { "foo", "bar" },
	{ "some-name", "7" }, { "wait", "1.5s" }, { "room", "2k" },
	{ "flag", "Yes" }, { "foo", "second" },
};

static struct factory_options o;

static void
fresh(void)
{
	o.v = given;
	o.n = sizeof(given) / sizeof(given[0]);
	o.error[0] = '\0';
}

static void
test_text(void)
{
	is_str(factory_text(&o, "type"), "custom", "type is there");
	is_str(factory_text(&o, "factory"), "/x.so:make", "factory is there");
	is_str(factory_text(&o, "foo"), "bar", "the first of a name");
	is_str(factory_text(&o, "some_name"), "7", "_ and - are alike");
	is_str(factory_text(&o, "fo"), NULL, "no beginning of a name");
	is_str(factory_text(&o, "fooo"), NULL, "no longer name");
}

static void
test_numbers(void)
{
	int64_t n;
	bool flag;

	is_int(factory_int(&o, "some_name", 3, 0, 7, &n), 0, "a number");
	is_int(n, 7, "its value");
	is_int(factory_int(&o, "none", 3, 5, 7, &n), 0, "not given");
	is_int(n, 3, "the default, whatever the range");
	is_int(factory_time(&o, "wait", 0, 0, 9000, &n), 0, "a time");
	is_int(n, 1500, "in ms");
	is_int(factory_size(&o, "room", 0, 0, 9000, &n), 0, "a size");
	is_int(n, 2048, "in bytes");
	is_int(factory_bool(&o, "flag", false, &flag), 0, "yes or no");
	ok(flag, "yes");
	is_int(factory_bool(&o, "none", true, &flag), 0, "not given");
	ok(flag, "the default");
	is_str(o.error, "", "no refusal so far");

	is_int(factory_int(&o, "some_name", 3, 8, 9, &n), -1, "too small");
	is_str(o.error, "some_name: 7 is out of range", "why");
	fresh();
	is_int(factory_int(&o, "some_name", 3, 0, 6, &n), -1, "too large");
	fresh();
	is_int(factory_int(&o, "foo", 3, 0, 6, &n), -1, "no number");
	is_str(o.error, "foo: \"bar\" is not a number", "why");
	is_int(factory_bool(&o, "foo", false, &flag), -1, "nor yes nor no");
	is_str(o.error, "foo: \"bar\" is not a number", "the first counts");
	fresh();
	is_int(factory_bool(&o, "foo", false, &flag), -1, "neither");
	is_str(o.error, "foo: \"bar\" is neither yes nor no", "why");
	fresh();
}

static void
test_only(void)
{
	const char *all[] = { "foo", "some_name", "wait", "room", "flag",
		NULL };
	const char *some[] = { "foo", "flag", NULL };

	is_int(factory_only(&o, all), 0, "all are known");
	is_int(factory_only(&o, some), -1, "some are not");
	is_str(o.error, "some-name: unknown option", "the first of them");
	fresh();
}

static void
test_refuse(void)
{
	char name[600];

	is_int(factory_refuse(&o, NULL, "no %s", "luck"), -1, "refused");
	is_str(o.error, "no luck", "without a name");
	fresh();
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	factory_refuse(&o, name, "%s", name);
	is_int((int)strlen(o.error), (int)sizeof(o.error) - 1,
	    "cut at the end");
	fresh();
}

int
main(void)
{
	fresh();
	test_text();
	test_numbers();
	test_only();
	test_refuse();
	return done_testing();
}
