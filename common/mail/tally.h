/*
 * tally.h - what agents count, summed up: over the processes of a relay, and
 * over those that are gone.
 */
#ifndef MAIL_TALLY_H
#define MAIL_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"

struct buf;

#define TALLY_SERIES_MAX	512	/* of a relay; more are left out */
#define TALLY_KEY_MAX		256	/* bytes of a name with its labels */
#define TALLY_DESTINATIONS_MAX	1000

struct series {
	char		*key;		/* "phase{phase=\"dns\"}"; owned */
	size_t		 name_len;	/* of it, without labels */
	const struct metric_row *row;	/* NULL: no metric of ours */
	enum metric_kind kind;
	uint64_t	 value;
	struct histogram *h;		/* METRIC_HISTOGRAM; owned */
};

struct tally_destination {
	char		*name;		/* owned, as it came */
	char		*error;		/* owned, or NULL */
	uint64_t	 waiting, connections, idle;
	uint64_t	 delivered, transient, permanent;
	uint64_t	 error_s;	/* since 1970; 0 = none */
};

struct tally {			/* begins as zeros */
	const char	*part;		/* of the rows; NULL: "agent" */
	struct series	*v;
	size_t		 n, size;
	struct tally_destination *destinations;
	size_t		 ndestinations, destinations_size;
};

enum tally_what {
	TALLY_ALL,
	TALLY_PAST		/* what stays when its process has gone:
				 * counters and histograms */
};

/* The attributes of a STATS; what is not sound there is left out. */
void	tally_add_stats(struct tally *, const struct buf *, enum tally_what);
void	tally_add(struct tally *, const struct tally *);
/* Most waiting first, then most connections, then the last to fail. */
void	tally_sort_destinations(struct tally *);
void	tally_clear(struct tally *);

/* Whether it is NAME or NAME{LABEL="VALUE",...} that can be shown as it
 * stands; the length of the name in *name_len_r. */
bool	tally_key_is_sound(const char *key, size_t n, size_t *name_len_r);

#endif
