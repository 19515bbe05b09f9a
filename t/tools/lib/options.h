/*
 * options.h - what tools that ask the resolver share.  Options of relays are
 * `-o name=value`; what is wrong with one ends the program with EX_USAGE.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/option.h"
#include "net/loop.h"

/* "name=value", which is cut in two; false: it has no "=". */
bool	options_set(struct opts *, char *text);
/* After the last one: all of them together. */
void	options_finish(struct opts *);
/* Between two questions: the loop goes on, for so long. */
void	options_pause(struct loop *, int64_t ms);

#endif
