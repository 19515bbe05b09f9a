/*
 * config_inner.h - what the files of the configuration share with each other:
 * config.c, config_section.c, config_relay.c, config_door.c.
 */
#ifndef MASTER_CONFIG_INNER_H
#define MASTER_CONFIG_INNER_H

#include "master.h"

#define CONFIG_NAME_MAX	255	/* bytes */

/* A table's complaint about a section, without a line of its own. */
struct complaint {
	struct config	*config;
	const struct conf_section *section;
	unsigned	 faults;
};

/* ---- config.c ---- */

const char	*config_check_mode(const char *value);

/* ---- config_section.c ---- */

void		 config_on_complaint(void *complaint, const char *name,
		    const char *text);
/* Whether the table has it: then it is the master's own. */
bool		 config_is_row(const struct opt_table *, const char *key);
int		 config_set_row(struct config *, struct opts *,
		    const struct conf_section *, const struct conf_entry *);
bool		 config_is_program(const char *path);
/* The value of a key, or NULL; and its line, or that of the section. */
const char	*config_entry_value(const struct conf_section *,
		    const char *key);
unsigned	 config_entry_line(const struct conf_section *,
		    const char *key);

struct relay_conf *relay_conf_new(struct config *,
		    const struct conf_section *, enum conf_kind,
		    const struct opt_table *);
void		 relay_conf_free(struct relay_conf *);
void		 relay_conf_fault(struct relay_conf *, const char *key,
		    const char *text);
void		 relay_conf_option(struct relay_conf *, const char *name,
		    const char *value, unsigned line);
/* Whom its program runs as, if we can choose. */
void		 relay_conf_identity(struct relay_conf *);

/* ---- config_relay.c, config_door.c ---- */

void		 config_read_relay(struct config *,
		    const struct conf_section *);
void		 config_read_intake(struct config *,
		    const struct conf_section *);
void		 config_read_metrics(struct config *,
		    const struct conf_section *);
/* Addresses that two of them would listen on. */
void		 config_check_doors(struct config *);

#endif
