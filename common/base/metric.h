/*
 * metric.h - what is measured: one row each, and histograms.
 *
 * A metric is a row of metric_rows[]: its part, name, kind, labels and text.
 * nexthop-metrics(7) and what is printed for Prometheus come from the row.  An
 * agent sends its own as STATS, under the name of the row; what the master
 * prints is made of it by metric_full_name(): "connections_opened" of an agent
 * becomes "nexthop_agent_connections_opened_total".
 *
 * Counters only grow, and begin at 0 with the process that counts.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_row {
	const char	*part;		/* "master", "relay", "agent" ... */
	const char	*name;		/* that of STATS where part is "agent" */
	enum metric_kind kind;
	const char	*labels;	/* "relay, class"; "" for none */
	const char	*text;		/* one sentence or more */
};

#define METRIC_NAME_MAX	128		/* a full name with its NUL */

extern const struct metric_row metric_rows[];	/* part NULL ends them */

/* NULL: there is none. n: bytes of the name. */
const struct metric_row *metric_find(const char *part, const char *name,
		    size_t n);
/* nexthop_PART_NAME with _total for a counter, _seconds for a histogram. */
const char	*metric_full_name(const struct metric_row *,
		    char[METRIC_NAME_MAX]);
const char	*metric_kind_name(enum metric_kind);	/* "counter" */
/* The rows as .It of a manual page. */
void		 metric_mdoc(FILE *);

/* ---- histograms of times ---- */

#define HISTOGRAM_BOUNDS	20
#define HISTOGRAM_BUCKETS	(HISTOGRAM_BOUNDS + 1)

/* Upper bounds, which belong to their bucket; the last bucket has none. */
extern const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

struct histogram {		/* begins as zeros */
	uint64_t	 n[HISTOGRAM_BUCKETS];	/* each for itself */
	uint64_t	 sum_us;
};

void		 histogram_observe(struct histogram *, int64_t us);
void		 histogram_add(struct histogram *, const struct histogram *);
uint64_t	 histogram_count(const struct histogram *);
/*
 * The time that a share (0..1) of what was observed did not pass, within its
 * bucket by rule of three; beyond the last bound that bound.  0 for none.
 */
int64_t		 histogram_quantile_us(const struct histogram *, double share);

/* ---- where a delivery's time goes ---- */

enum phase {
	PHASE_DNS,		/* hosts, addresses, policies */
	PHASE_WAIT,		/* for a free connection or process */
	PHASE_CONNECT,
	PHASE_TLS,		/* the handshake */
	PHASE_HELLO,		/* greeting, EHLO, AUTH */
	PHASE_COMMANDS,		/* MAIL, RCPT, DATA */
	PHASE_BODY,
	PHASE_REPLY,		/* end of data to its answer; a response */
	PHASE_RUN,		/* a program, start to end */
	PHASES
};

struct phases {			/* begins as zeros */
	struct histogram h[PHASES];
};

const char	*phase_name(enum phase);	/* "connect" */
/* NULL: nobody wants to know. */
static inline void
phase_observe(struct phases *p, enum phase phase, int64_t us)
{
	if (p != NULL)
		histogram_observe(&p->h[phase], us);
}

#endif
