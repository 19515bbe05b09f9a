/*
 * twins.h - equal recipients of an envelope: one is delivered to, and its
 * answer is that of all.
 */
#ifndef MAIL_TWINS_H
#define MAIL_TWINS_H

#include <stdint.h>

#include "mail/envelope.h"

struct arena;

#define NO_TWIN	UINT32_MAX

/*
 * Of those in todo (n indexes of rcpts) that are equal in address, NOTIFY and
 * ORCPT only the first stays there; the new number is returned.  The others
 * hang on it: twin_r becomes an array of nrcpt indexes, each that of the next
 * twin or NO_TWIN, or stays as it was where there are none.
 */
uint32_t twins_join(const struct rcpt *rcpts, uint32_t nrcpt, uint32_t *todo,
	    uint32_t n, struct arena *, uint32_t **twin_r);

#endif
