/*
 * Configuration files: any bytes are read without harm, and what is read
 * keeps what conf.h promises.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MUST(cond)	do { if (!(cond)) abort(); } while (0)

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static unsigned
check_section(const struct conf_section *s, unsigned line)
{
	const struct conf_entry *e;
	size_t n = strlen(s->name);

	MUST(*s->type != '\0' && strpbrk(s->type, " \t\n]") == NULL);
	MUST(strpbrk(s->name, "\n]") == NULL);
	MUST(n == 0 || (!is_blank(s->name[0]) && !is_blank(s->name[n - 1])));
	MUST(s->line > line);
	line = s->line;
	STAILQ_FOREACH(e, &s->entries, next) {
		MUST(*e->key != '\0' && strchr(e->key, '\n') == NULL);
		MUST(strchr(e->value, '\001') == NULL);
		MUST(strstr(e->value, "\n\n") == NULL);
		MUST(e->line > line);
		line = e->line;
	}
	return line;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct conf_section	*s;
	const struct conf_fault		*f;
	struct conf			*conf;
	unsigned			 line = 0, faults = 0;

	conf = conf_read_mem("fuzz", data, n);
	STAILQ_FOREACH(s, &conf->sections, next)
		line = check_section(s, line);
	line = 0;
	STAILQ_FOREACH(f, &conf->faults, next) {
		MUST(f->line >= line && !str_has_control(f->text));
		line = f->line;
		faults++;
	}
	MUST(faults == conf->nfaults);
	conf_free(conf);
	return 0;
}
