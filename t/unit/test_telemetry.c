/* test_telemetry.c - what an agent counts by destination, as a master sees
 * it. */
#include "agent/telemetry.h"

#include <stdio.h>

#include "base/buf.h"
#include "mail/tally.h"
#include "net_test.h"
#include "net/pool.h"

static struct telemetry t;

static void
told(struct tally *to)
{
	struct frame_out out;
	struct buf b;

	buf_init(&b, FRAME_BYTES_MAX);
	frame_begin(&out, &b, FRAME_STATS, 0, 0);
	telemetry_put(&t, &out);
	ok(frame_end(&out) == 0, "it fits a frame");
	buf_consume(&b, FRAME_HEADER_BYTES);
	memset(to, 0, sizeof(*to));
	tally_add_stats(to, &b, TALLY_ALL);
	tally_sort_destinations(to);
	buf_clear(&b);
}

static void
answer(const char *host, const char *address, uint16_t port, unsigned cls,
    const char *text)
{
	struct answer a = {
		.reply = { .code = cls == REPLY_DELIVERED ? 250 : 451,
		    .cls = (uint8_t)cls, .text = text },
		.host = host, .address = address, .port = port,
	};

	telemetry_answer(&t, &a);
}

static const struct tally_destination *
find(const struct tally *in, const char *name)
{
	size_t i;

	for (i = 0; i < in->ndestinations; i++)
		if (strcmp(in->destinations[i].name, name) == 0)
			return &in->destinations[i];
	return NULL;
}

static void
names(void)
{
	const struct tally_destination *d;
	struct tally got;

	answer("mx.test", "192.0.2.1", 25, REPLY_DELIVERED, "ok");
	answer("other.test", "192.0.2.1", 25, REPLY_TRANSIENT, "later\r\nx");
	answer("mx.test", "192.0.2.1", 2525, REPLY_PERMANENT, "no");
	answer("mx.test", "2001:db8::1", 25, REPLY_DELIVERED, "ok");
	answer("/run/lmtp", "", 0, REPLY_DELIVERED, "ok");
	answer("", "", 0, REPLY_TRANSIENT, "no host was found");
	told(&got);
	is_int(got.ndestinations, 4, "a destination is an address and a port");
	d = find(&got, "192.0.2.1:25");
	ok(d != NULL && d->delivered == 1 && d->transient == 1 &&
	    d->permanent == 0, "answers by class");
	is_str(d == NULL ? NULL : d->error, "451 later\\r\\nx",
	    "the last error, on one line");
	ok(d != NULL && d->error_s > 1700000000, "and when it was");
	ok(find(&got, "[2001:db8::1]:25") != NULL, "IPv6 in brackets");
	d = find(&got, "/run/lmtp");
	ok(d != NULL && d->error == NULL && d->error_s == 0, "a socket's path");
	tally_clear(&got);
}

static void
limits(void)
{
	char host[64], text[3000];
	struct tally got;
	int i;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (i = 0; i < DESTINATIONS_KEPT + 50; i++) {
		snprintf(host, sizeof(host), "10.0.%d.%d", i / 256, i % 256);
		answer("mx.test", host, 25, REPLY_TRANSIENT, text);
	}
	is_int(t.ndestinations, DESTINATIONS_KEPT, "so many are kept");
	told(&got);
	is_int(got.ndestinations, DESTINATIONS_SENT, "and so many told");
	ok(find(&got, "192.0.2.1:25") == NULL, "the oldest were forgotten");
	is_int(strlen(got.destinations[0].error), DESTINATION_ERROR_MAX,
	    "an error is cut");
	tally_clear(&got);
	answer(text, "", 0, REPLY_DELIVERED, "ok");
	is_int(t.ndestinations, DESTINATIONS_KEPT, "no name is that long");
}

static void
on_granted(struct pool_wait *w, struct pool_place *pl)
{
	(void)w;
	(void)pl;
}

static const struct pool_ops pool_ops = { .granted = on_granted };

/* Those that others wait for are told, however many hosts there are. */
static void
waiting(void)
{
	static struct pool_wait waits[DESTINATIONS_KEPT + 100];
	const struct pool_limits limits = { .per_host = 0 };
	struct loop *loop = loop_new();
	struct pool *pool = pool_new(loop, &limits, &pool_ops);
	struct tally got;
	struct addr a;
	char host[64];
	unsigned i;

	t.pool = pool;
	for (i = 0; i < 3; i++) {
		addr_parse(&a, "127.0.0.9", 25);
		waits[i].key = "";
		waits[i].until_ms = INT64_MAX;
		pool_ask(pool, &a, &waits[i]);
	}
	for (; i < DESTINATIONS_KEPT + 100; i++) {
		snprintf(host, sizeof(host), "127.1.%u.%u", i / 256, i % 256);
		addr_parse(&a, host, 25);
		waits[i].key = "";
		waits[i].until_ms = INT64_MAX;
		pool_ask(pool, &a, &waits[i]);
	}
	told(&got);
	is_int(t.ndestinations, DESTINATIONS_KEPT, "with a pool as many");
	is_int(got.destinations[0].waiting > 0, 1, "those waited for first");
	tally_clear(&got);
	for (i = 0; i < DESTINATIONS_KEPT + 100; i++)
		pool_take_back(pool, &waits[i]);
	t.pool = NULL;
	pool_free(pool);
	loop_turn(loop, 0);
	loop_free(loop);
}

static void
phases(void)
{
	struct tally got;

	phase_observe(&t.phases, PHASE_TLS, 1500);
	told(&got);
	is_int(got.n, 1, "only phases that there were");
	is_str(got.v[0].key, "phase{phase=\"tls\"}", "their name");
	is_int(got.v[0].h->sum_us, 1500, "their time");
	tally_clear(&got);
}

int
main(void)
{
	telemetry_init(&t);
	names();
	phases();
	limits();
	waiting();
	telemetry_clear(&t);
	is_int(t.ndestinations, 0, "nothing is left");
	return done_testing();
}
