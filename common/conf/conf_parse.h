/* conf_parse.h - the bytes of a configuration file into a conf. */
#ifndef CONF_CONF_PARSE_H
#define CONF_CONF_PARSE_H

#include <stddef.h>

struct conf;

#define CONF_BYTES_MAX	(1024 * 1024)
#define CONF_LINES_MAX	10000
#define CONF_VALUE_MAX	(64 * 1024)	/* with its continuation lines */

/* Adds sections and faults; the caller has checked the size. */
void	conf_parse(struct conf *, const void *, size_t);

#endif
