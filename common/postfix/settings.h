/*
 * settings.h - what Postfix's configuration says, asked of postconf(1): main.cf
 * is never parsed here.
 */
#ifndef POSTFIX_SETTINGS_H
#define POSTFIX_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_settings;

/*
 * Runs `postconf -x NAME...` for the parameters an agent needs and for those in
 * `more` (NULL ends it, may be NULL); MAIL_CONFIG selects the instance.  NULL
 * with a text in error.
 */
struct pf_settings *pf_settings_ask(const char *postconf,
		    const char *const *more, char *error, size_t);
/* What main.cf sets, with raw values. */
struct pf_settings *pf_settings_explicit(const char *postconf, char *error,
		    size_t);
/* From postconf's output, for tests. */
struct pf_settings *pf_settings_parse(const char *output);
void		 pf_settings_free(struct pf_settings *);

/* What a program prints, with a final NUL; -1 with a text where it fails. Its
 * stderr is thrown away. */
struct buf;
int		 pf_output_of(const char *path, char *const argv[],
		    struct buf *, char *error, size_t);

/* One that was asked for, or was set; "" where there is none. */
const char	*pf_setting(const struct pf_settings *, const char *name);
bool		 pf_setting_is(const struct pf_settings *, const char *name);
bool		 pf_setting_yes(const struct pf_settings *, const char *name);
/* A time with a unit: s, m, h, d, w. */
int64_t		 pf_setting_ms(const struct pf_settings *, const char *name,
		    int64_t otherwise);
int64_t		 pf_setting_int(const struct pf_settings *, const char *name,
		    int64_t otherwise);
/* Another value, as `-o name=value` of master.cf says; -1: not asked for. */
int		 pf_setting_set(struct pf_settings *, const char *name,
		    const char *value);
/* All that were asked for, with their values. */
void		 pf_settings_each(const struct pf_settings *,
		    void (*)(void *arg, const char *name, const char *value),
		    void *arg);

/* "3.7.11" as 3007; -1: no version. */
int		 pf_version(const char *);
#define PF_VERSION_MIN	3004
#define PF_VERSION_MAX	3012

#endif
