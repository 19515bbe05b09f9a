/* test_tally.c - statistics of agents, sound or not, summed up. */
#include "mail/tally.h"

#include <stdio.h>

#include "base/buf.h"
#include "mail/frame.h"
#include "test.h"

static struct buf stats;
static struct frame_out out;

/* Attributes without a header, as the master keeps them. */
static void
begin(void)
{
	buf_init(&stats, FRAME_BYTES_MAX);
	frame_begin(&out, &stats, FRAME_STATS, 0, 0);
}

static void
value(const char *name, uint64_t n)
{
	frame_put_text(&out, ATTR_STAT_NAME, name);
	frame_put_u64(&out, ATTR_STAT_VALUE, n);
}

static void
histogram(const char *name, uint64_t sum, size_t bytes)
{
	uint8_t data[(2 + HISTOGRAM_BUCKETS) * 8] = { 0 };

	put_be64(data, sum);
	put_be64(data + 8, 3);
	put_be64(data + 8 * HISTOGRAM_BUCKETS, 4);
	frame_put_text(&out, ATTR_STAT_NAME, name);
	frame_put(&out, ATTR_STAT_HISTOGRAM, data, bytes);
}

static void
end(struct tally *t, enum tally_what what)
{
	frame_end(&out);
	buf_consume(&stats, FRAME_HEADER_BYTES);
	tally_add_stats(t, &stats, what);
	buf_clear(&stats);
}

static const struct series *
find(const struct tally *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->v[i].key, key) == 0)
			return &t->v[i];
	return NULL;
}

static int64_t
value_of(const struct tally *t, const char *key)
{
	const struct series *s = find(t, key);

	return s == NULL ? -1 : (int64_t)s->value;
}

static void
keys(void)
{
	static const struct {
		const char *key;
		bool is_sound;
	} rows[] = {
		{ "runs", true }, { "a_1", true }, { "", false },
		{ "1a", false }, { "Runs", false }, { "a b", false },
		{ "a{", false }, { "a{}", false }, { "a{b}", false },
		{ "a{b=\"c\"}", true }, { "a{b=\"\"}", true },
		{ "a{b=\"c\",d=\"e\"}", true }, { "a{b=\"c\",}", false },
		{ "a{b=\"c\"", false }, { "a{b=\"c\"}x", false },
		{ "a{b=\"c\"d=\"e\"}", false }, { "a{b=\"c\\\"}", false },
		{ "a{b=\"c\nd\"}", false }, { "a{relay=\"x\"}", false },
		{ "a{le=\"x\"}", false }, { "a{lee=\"x\"}", true },
		{ "a{b=\"1\",c=\"2\",d=\"3\",e=\"4\"}", true },
		{ "a{b=\"1\",c=\"2\",d=\"3\",e=\"4\",f=\"5\"}", false },
	};
	char longest[TALLY_KEY_MAX + 1];
	size_t i, len;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_int(tally_key_is_sound(rows[i].key, strlen(rows[i].key),
		    &len), rows[i].is_sound, "key %zu", i);
	memset(longest, 'a', sizeof(longest));
	ok(tally_key_is_sound(longest, 64, &len), "a name of 64 bytes");
	ok(!tally_key_is_sound(longest, 65, &len), "but not of 65");
}

static void
sums(void)
{
	struct tally one = { .n = 0 }, past = { .n = 0 };

	begin();
	value("connections_opened", 5);
	value("connections_now", 2);
	value("mine_total", 7);
	value("mine", 8);
	value("tls_sts_certificate_expired", 3);
	value("tls_session_verified", 4);
	histogram("phase{phase=\"dns\"}", 9, (1 + HISTOGRAM_BUCKETS) * 8);
	end(&one, TALLY_ALL);
	is_int(value_of(&one, "connections_opened"), 5, "a counter");
	is_int(value_of(&one, "connections_now"), 2, "a gauge");
	is_int(value_of(&one, "tls_report_sessions{policy=\"sts\","
	    "result=\"certificate_expired\"}"), 3, "names that are labels");
	is_int(value_of(&one, "tls_sessions{result=\"verified\"}"), 4,
	    "and the others");
	is_int(find(&one, "phase{phase=\"dns\"}")->h->sum_us, 9,
	    "a histogram's sum");
	is_int(find(&one, "phase{phase=\"dns\"}")->h->n[0], 3, "its first");
	is_int(find(&one, "phase{phase=\"dns\"}")->h->n[20], 4, "and last");
	is_int(find(&one, "phase{phase=\"dns\"}")->h->n[19], 0,
	    "none between");

	begin();
	value("connections_opened", 10);
	value("connections_now", 20);
	value("mine_total", 30);
	value("mine", 40);
	histogram("phase{phase=\"dns\"}", 1, (1 + HISTOGRAM_BUCKETS) * 8);
	end(&past, TALLY_PAST);
	tally_add(&one, &past);
	is_int(value_of(&one, "connections_opened"), 15,
	    "counters of one that is gone stay");
	is_int(value_of(&one, "connections_now"), 2, "its gauges do not");
	is_int(value_of(&one, "mine_total"), 37,
	    "unknown names: counters by their end");
	is_int(value_of(&one, "mine"), 8, "else gauges");
	is_int(find(&one, "phase{phase=\"dns\"}")->h->sum_us, 10,
	    "histograms stay");
	tally_clear(&past);
	tally_clear(&one);
}

static void
lies(void)
{
	struct tally t = { .n = 0 };
	char name[64];
	int i;

	begin();
	frame_put_u64(&out, ATTR_STAT_VALUE, 1);	/* of no name */
	value("evil\"} 1\nx", 1);
	histogram("phase", 9, HISTOGRAM_BUCKETS * 8);
	histogram("phase", 9, (2 + HISTOGRAM_BUCKETS) * 8);
	value("phase", 1);
	histogram("requests", 9, (1 + HISTOGRAM_BUCKETS) * 8);
	frame_put_text(&out, ATTR_STAT_NAME, "requests");
	frame_put_u32(&out, ATTR_STAT_VALUE, 1);
	end(&t, TALLY_ALL);
	is_int(t.n, 0, "what is not sound is left out");

	begin();
	for (i = 0; i < TALLY_SERIES_MAX + 10; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		value(name, 1);
	}
	value("n0", 1);
	end(&t, TALLY_ALL);
	is_int(t.n, TALLY_SERIES_MAX, "no more series than the limit");
	is_int(value_of(&t, "n0"), 2, "those there still count");
	tally_clear(&t);
}

static void
destinations(void)
{
	struct tally t = { .n = 0 };
	char name[300];
	int i;

	begin();
	value("runs", 1);
	frame_put_text(&out, ATTR_STAT_DESTINATION, "a:25");
	frame_put_text(&out, ATTR_STAT_ERROR, "451 later");
	value("waiting", 1);
	value("runs", 5);
	value("last_error_timestamp_seconds", 100);
	frame_put_text(&out, ATTR_STAT_DESTINATION, "b:25");
	value("waiting", 3);
	value("connections_idle", 4);
	value("last_error_timestamp_seconds", 0);
	end(&t, TALLY_ALL);
	begin();
	frame_put_text(&out, ATTR_STAT_DESTINATION, "a:25");
	frame_put_text(&out, ATTR_STAT_ERROR, "451 earlier");
	value("waiting", 1);
	value("last_error_timestamp_seconds", 50);
	end(&t, TALLY_ALL);
	tally_sort_destinations(&t);
	is_int(t.ndestinations, 2, "destinations of two agents join");
	is_str(t.destinations[0].name, "b:25", "most waiting first");
	is_int(t.destinations[0].idle, 4, "its connections");
	ok(t.destinations[0].error == NULL, "it has no error");
	is_int(t.destinations[1].waiting, 2, "the sum");
	is_str(t.destinations[1].error, "451 later", "the last error");
	is_int(t.destinations[1].error_s, 100, "and when");
	is_int(value_of(&t, "runs"), 1, "a destination's are no series");

	begin();
	frame_put(&out, ATTR_STAT_DESTINATION, "a:25\0b", 6);
	value("waiting", 9);
	end(&t, TALLY_ALL);
	is_int(t.ndestinations, 2, "a name with NUL is none");
	begin();
	memset(name, 'x', 256);
	name[256] = '\0';
	frame_put_text(&out, ATTR_STAT_DESTINATION, name);
	value("waiting", 1);
	for (i = 0; i < TALLY_DESTINATIONS_MAX + 10; i++) {
		snprintf(name, sizeof(name), "h%d", i);
		frame_put_text(&out, ATTR_STAT_DESTINATION, name);
		value("waiting", 1);
	}
	end(&t, TALLY_ALL);
	is_int(t.ndestinations, TALLY_DESTINATIONS_MAX, "a limit to them");
	tally_clear(&t);
	begin();
	frame_put_text(&out, ATTR_STAT_DESTINATION, "a:25");
	value("waiting", 1);
	end(&t, TALLY_PAST);
	is_int(t.ndestinations, 0, "those of agents that are gone go");
	tally_clear(&t);
}

int
main(void)
{
	keys();
	sums();
	lies();
	destinations();
	return done_testing();
}
