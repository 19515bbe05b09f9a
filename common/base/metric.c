/* metric.c - the rows of what is measured, and histograms. */
#include "base/metric.h"

#include <string.h>

const struct metric_row metric_rows[] = {
	{ "master", "info", METRIC_GAUGE, "version",
	    "Always 1; the label tells the version." },
	{ "master", "start_time_seconds", METRIC_GAUGE, "",
	    "When the master started, since 1970." },
	{ "master", "up", METRIC_GAUGE, "",
	    "1 while deliveries are taken, 0 during the start and the stop." },
	{ "master", "submitters", METRIC_GAUGE, "",
	    "Connections of submitters." },
	{ "master", "deliveries_open", METRIC_GAUGE, "",
	    "Deliveries that were taken and not all of whose recipients are "
	    "answered." },
	{ "master", "queued_bytes", METRIC_GAUGE, "",
	    "Memory held by deliveries that wait." },
	{ "master", "recipients_refused", METRIC_COUNTER, "",
	    "Recipients answered that came to no relay: there is none of that "
	    "name, or no more is taken." },

	{ "relay", "up", METRIC_GAUGE, "relay",
	    "1 if at least one agent is ready." },
	{ "relay", "agents", METRIC_GAUGE, "relay",
	    "Agents that should be ready." },
	{ "relay", "agents_ready", METRIC_GAUGE, "relay",
	    "Agents that are ready." },
	{ "relay", "generation", METRIC_GAUGE, "relay",
	    "How often agents were started with new options." },
	{ "relay", "restarts", METRIC_COUNTER, "relay",
	    "Agents that ended unasked and were started again." },
	{ "relay", "last_error_timestamp_seconds", METRIC_GAUGE, "relay",
	    "When an agent last failed, since 1970; 0 if none did." },
	{ "relay", "window", METRIC_GAUGE, "relay",
	    "Deliveries that the ready agents take at once." },
	{ "relay", "deliveries_open", METRIC_GAUGE, "relay",
	    "Deliveries at the agents." },
	{ "relay", "deliveries_queued", METRIC_GAUGE, "relay",
	    "Deliveries that wait for an agent." },
	{ "relay", "deliveries_held", METRIC_GAUGE, "relay",
	    "Deliveries beyond the backlog, whose submitters are not read." },
	{ "relay", "recipients", METRIC_COUNTER, "relay, class, stage",
	    "Recipients answered, by what became of them (delivered, "
	    "transient, permanent) and how far the delivery was." },
	{ "relay", "recipients_forwarded", METRIC_COUNTER, "relay",
	    "Recipients handed to another relay, which answers for them." },
	{ "relay", "queue", METRIC_HISTOGRAM, "relay",
	    "Time that a delivery waited in the master for an agent." },
	{ "relay", "delivery", METRIC_HISTOGRAM, "relay, class",
	    "Time from the submitter's delivery to the answer of a "
	    "recipient." },

	{ "agent", "phase", METRIC_HISTOGRAM, "relay, phase",
	    "Where the time of deliveries goes: dns (policies too), "
	    "wait (for a connection or a process), connect, tls (handshake), "
	    "hello (greeting, EHLO, AUTH), commands (MAIL, RCPT, DATA), body, "
	    "reply (end of data to its answer), run (a program). What a kept "
	    "connection or a cache saves is not counted." },
	{ "agent", "connections_opened", METRIC_COUNTER, "relay",
	    "Connections begun." },
	{ "agent", "connections_reused", METRIC_COUNTER, "relay",
	    "Deliveries over a kept connection." },
	{ "agent", "connections_now", METRIC_GAUGE, "relay",
	    "Connections, idle ones and those being opened or closed too." },
	{ "agent", "connections_idle", METRIC_GAUGE, "relay",
	    "Connections kept for the next delivery." },
	{ "agent", "deliveries_waiting", METRIC_GAUGE, "relay",
	    "Deliveries that wait for a connection or a process." },
	{ "agent", "hosts_now", METRIC_GAUGE, "relay",
	    "Hosts there are connections to, or deliveries waiting for." },
	{ "agent", "tls_sessions", METRIC_COUNTER, "relay, result",
	    "Connections that were to have TLS: verified, unverified "
	    "(encrypted, to whoever it is), failed, not_offered." },
	{ "agent", "tls_report_sessions", METRIC_COUNTER,
	    "relay, policy, result",
	    "Sessions by policy (tlsa, sts, no_policy_found) and result in "
	    "the words of RFC 8460; of relays of type mx." },
	{ "agent", "routes_asked", METRIC_COUNTER, "relay",
	    "Routes looked for." },
	{ "agent", "dns_asked", METRIC_COUNTER, "relay",
	    "Questions that the DNS or its cache answered." },
	{ "agent", "dns_cached", METRIC_COUNTER, "relay",
	    "Questions answered from the cache." },
	{ "agent", "dns_sent", METRIC_COUNTER, "relay",
	    "Questions sent to a server." },
	{ "agent", "dns_failed", METRIC_COUNTER, "relay",
	    "Questions that had no answer." },
	{ "agent", "dns_timed_out", METRIC_COUNTER, "relay",
	    "Tries that a server did not answer in time." },
	{ "agent", "dns_cache_entries", METRIC_GAUGE, "relay",
	    "Answers in the cache." },
	{ "agent", "sts_policies", METRIC_GAUGE, "relay",
	    "MTA-STS policies kept." },
	{ "agent", "sts_fetched", METRIC_COUNTER, "relay",
	    "MTA-STS policies asked for over HTTPS." },
	{ "agent", "sts_failed", METRIC_COUNTER, "relay",
	    "MTA-STS policies that could not be had." },
	{ "agent", "sts_disk_errors", METRIC_COUNTER, "relay",
	    "MTA-STS policies that could not be kept on disk." },
	{ "agent", "requests", METRIC_COUNTER, "relay",
	    "Requests to a web server." },
	{ "agent", "runs", METRIC_COUNTER, "relay",
	    "Programs run." },
	{ "agent", "runs_failed", METRIC_COUNTER, "relay",
	    "Programs that did not exit with 0." },
	{ "agent", "runs_timed_out", METRIC_COUNTER, "relay",
	    "Programs ended because they took too long." },
	{ "agent", "runs_now", METRIC_GAUGE, "relay",
	    "Programs running." },
	{ "agent", "recipients_delivered", METRIC_COUNTER, "relay",
	    "Recipients that a blackhole took." },

	{ "destination", "waiting", METRIC_GAUGE, "relay, destination",
	    "Deliveries that wait for a connection to this host. Only the "
	    "destinations with most waiting, then with most connections, are "
	    "there." },
	{ "destination", "connections", METRIC_GAUGE, "relay, destination",
	    "Connections to this host." },
	{ "destination", "connections_idle", METRIC_GAUGE,
	    "relay, destination", "Idle ones among them." },
	{ "destination", "last_error_timestamp_seconds", METRIC_GAUGE,
	    "relay, destination",
	    "When a recipient was last not delivered, since 1970; 0 if "
	    "each was." },

	{ "door", "up", METRIC_GAUGE, "door, kind",
	    "1 if at least one process of an intake, or of the server of "
	    "metrics, is ready." },
	{ "door", "processes", METRIC_GAUGE, "door, kind",
	    "Processes that should be ready." },
	{ "door", "processes_ready", METRIC_GAUGE, "door, kind",
	    "Processes that are ready." },
	{ "door", "restarts", METRIC_COUNTER, "door, kind",
	    "Processes that ended unasked and were started again." },
	{ "door", "deliveries", METRIC_COUNTER, "door, kind",
	    "Deliveries it handed to the master." },
	{ "door", "deliveries_open", METRIC_GAUGE, "door, kind",
	    "Those not all of whose recipients are answered." },

	{ "intake", "connections_opened", METRIC_COUNTER, "intake",
	    "Connections of clients." },
	{ "intake", "connections_now", METRIC_GAUGE, "intake",
	    "Those there are." },
	{ "intake", "connections_refused", METRIC_COUNTER, "intake",
	    "Connections refused for a limit." },
	{ "intake", "messages", METRIC_COUNTER, "intake",
	    "Messages taken and submitted." },
	{ "intake", "bytes", METRIC_COUNTER, "intake",
	    "Bytes of them." },
	{ "intake", "recipients_delivered", METRIC_COUNTER, "intake",
	    "Recipients answered with a 2yz reply after the message." },
	{ "intake", "recipients_deferred", METRIC_COUNTER, "intake",
	    "Recipients answered with a 4yz reply." },
	{ "intake", "recipients_bounced", METRIC_COUNTER, "intake",
	    "Recipients answered with a 5yz reply." },
	{ "intake", "recipients_refused", METRIC_COUNTER, "intake",
	    "Recipients refused at RCPT." },
	{ "intake", "protocol_errors", METRIC_COUNTER, "intake",
	    "Commands that were refused." },
	{ "intake", "spool_files", METRIC_GAUGE, "intake",
	    "Messages that lie in files of their own." },
	{ "intake", "spool_memory_bytes", METRIC_GAUGE, "intake",
	    "Memory of messages under way." },
	{ "intake", "deliveries_open", METRIC_GAUGE, "intake",
	    "Deliveries to the master, those not sent yet included." },

	{ "metrics_http", "connections_opened", METRIC_COUNTER, "",
	    "Connections to the server of metrics." },
	{ "metrics_http", "connections_now", METRIC_GAUGE, "",
	    "Those there are." },
	{ "metrics_http", "requests", METRIC_COUNTER, "",
	    "Requests it answered." },
	{ "metrics_http", "requests_refused", METRIC_COUNTER, "",
	    "Those answered with a status from 400 up." },
	{ NULL, NULL, METRIC_GAUGE, NULL, NULL }
};

static const char *const kind_names[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
};

static const char *const phase_names[PHASES] = {
	[PHASE_DNS] = "dns",
	[PHASE_WAIT] = "wait",
	[PHASE_CONNECT] = "connect",
	[PHASE_TLS] = "tls",
	[PHASE_HELLO] = "hello",
	[PHASE_COMMANDS] = "commands",
	[PHASE_BODY] = "body",
	[PHASE_REPLY] = "reply",
	[PHASE_RUN] = "run",
};

const struct metric_row *
metric_find(const char *part, const char *name, size_t n)
{
	const struct metric_row *r;

	for (r = metric_rows; r->part != NULL; r++)
		if (strncmp(r->name, name, n) == 0 && r->name[n] == '\0' &&
		    strcmp(r->part, part) == 0)
			return r;
	return NULL;
}

const char *
metric_full_name(const struct metric_row *r, char to[METRIC_NAME_MAX])
{
	snprintf(to, METRIC_NAME_MAX, "nexthop_%s_%s%s", r->part, r->name,
	    r->kind == METRIC_COUNTER ? "_total" :
	    r->kind == METRIC_HISTOGRAM ? "_seconds" : "");
	return to;
}

const char *
metric_kind_name(enum metric_kind kind)
{
	return kind_names[kind];
}

const char *
phase_name(enum phase phase)
{
	return phase_names[phase];
}

/* A page's line must not begin with a dot, and sentences begin lines. */
static void
put_text(const char *text, FILE *fp)
{
	const char *end;

	while ((end = strstr(text, ". ")) != NULL) {
		fprintf(fp, "%.*s.\n", (int)(end - text), text);
		text = end + 2;
	}
	fprintf(fp, "%s\n", text);
}

void
metric_mdoc(FILE *fp)
{
	const struct metric_row *r;
	char name[METRIC_NAME_MAX];

	for (r = metric_rows; r->part != NULL; r++) {
		fprintf(fp, ".It Ic %s\n", metric_full_name(r, name));
		fprintf(fp, "(%s%s%s)\n", metric_kind_name(r->kind),
		    *r->labels != '\0' ? "; " : "", r->labels);
		put_text(r->text, fp);
	}
}

/* ---- histograms ---- */

#define MS	1000
#define S	(1000 * MS)

const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
	500, 1 * MS, 2500, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS,
	250 * MS, 500 * MS, 1 * S, 2500 * MS, 5 * S, 10 * S, 25 * S, 50 * S,
	100 * S, 250 * S, 500 * S, 1000 * S
};

void
histogram_observe(struct histogram *h, int64_t us)
{
	unsigned i = 0;

	if (us < 0)
		us = 0;
	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i])
		i++;
	h->n[i]++;
	h->sum_us += (uint64_t)us;
}

void
histogram_add(struct histogram *to, const struct histogram *h)
{
	unsigned i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->n[i] += h->n[i];
	to->sum_us += h->sum_us;
}

uint64_t
histogram_count(const struct histogram *h)
{
	uint64_t count = 0;
	unsigned i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += h->n[i];
	return count;
}

int64_t
histogram_quantile_us(const struct histogram *h, double share)
{
	double rank = share * (double)histogram_count(h), seen = 0;
	int64_t low = 0, high;
	unsigned i;

	if (rank <= 0)
		return 0;
	for (i = 0; i < HISTOGRAM_BOUNDS; i++) {
		high = histogram_bounds_us[i];
		if (seen + (double)h->n[i] >= rank)
			return low + (int64_t)((double)(high - low) *
			    (rank - seen) / (double)h->n[i]);
		seen += (double)h->n[i];
		low = high;
	}
	return low;
}
