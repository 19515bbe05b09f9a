/*
 * top.h - what the files of `nexthop top` share with each other.
 *
 *	top.c		asks the master, keys, the end
 *	top_model.c	two snapshots of the status, and what happened between
 *	top_screen.c	lines of text
 *	top_sort.c	the order of rows
 *	top_terminal.c	the terminal, and how it is given back
 */
#ifndef MASTER_TOP_H
#define MASTER_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/metric.h"

/* ---- top_model.c ---- */

enum { TOP_DELIVERED, TOP_TRANSIENT, TOP_PERMANENT, TOP_CLASSES };

struct top_item {		/* a relay, or a destination of one */
	char		*relay;
	char		*name;		/* destination; NULL for a relay */
	char		*type, *state;	/* of a relay */
	char		*error;		/* the last one, or NULL */
	int64_t		 error_at;	/* seconds since 1970 */
	int64_t		 open, queued;	/* queued: held, too */
	int64_t		 waiting, connections, idle;
	int64_t		 restarts;
	uint64_t	 answers[TOP_CLASSES];
	struct histogram delivery;	/* of a relay */
	/* against the snapshot before */
	double		 rate[TOP_CLASSES];	/* a second */
	struct histogram recent;
};

struct top_list {
	struct top_item	*v;
	size_t		 n, size;
};

struct top_model {
	char		*version, *state;
	int64_t		 pid, started_at, submitters, queued_bytes;
	int64_t		 taken_ms;	/* monotonic */
	struct top_list	 relays, destinations;
	struct top_item	 total;
};

/* From the status as JSON; -1: it is none. */
int	top_model_read(struct top_model *, const char *json, size_t,
	    int64_t now_ms);
/* What happened between the two; was may be empty (taken_ms 0). */
void	top_model_compare(struct top_model *, const struct top_model *was);
void	top_model_clear(struct top_model *);

/* ---- top_screen.c ---- */

enum top_view { TOP_RELAYS, TOP_DESTINATIONS, TOP_ERRORS, TOP_VIEWS };
enum top_sort { TOP_BY_NAME, TOP_BY_RATE, TOP_BY_WAITING, TOP_BY_FAILURES,
	TOP_SORTS };

struct top_look {
	enum top_view	 view;
	enum top_sort	 sort;
	bool		 is_paused;
	bool		 is_terminal;	/* colours, and lines that fit */
	unsigned	 width, height;
	unsigned	 first;		/* row that is shown first */
	const char	*trouble;	/* instead of fresh figures, or NULL */
	int64_t		 now_s;		/* wall clock */
};

/* The model's lists are sorted; first is put into bounds. */
void	top_screen(struct buf *, struct top_model *, struct top_look *);

/* ---- top_sort.c ---- */

/* As view and sort of the look say. */
void	top_sort(struct top_list *, const struct top_look *);

/* ---- top_terminal.c ---- */

/* stdin and stdout are one that can more than lines. */
bool	top_terminal_is_there(void);
/* -1: there is none.  From here on it is given back at exit, and by a fatal
 * signal. */
int	top_terminal_take(void);
void	top_terminal_give_back(void);
void	top_terminal_size(unsigned *width_r, unsigned *height_r);
int	top_terminal_show(const struct buf *);	/* -1 with errno */

#endif
