/*
 * conf.c - the configuration file: its sections, and what is wrong with it.
 * The lines are taken apart in conf_parse.c.
 */
#include "conf/conf.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_parse.h"

#define READ_BYTES	8192

static struct conf *
conf_new(const char *path)
{
	struct conf *conf;

	conf = xcalloc(1, sizeof(*conf));
	conf->path = xstrdup(path);
	STAILQ_INIT(&conf->sections);
	STAILQ_INIT(&conf->faults);
	return conf;
}

static void
section_free(struct conf_section *section)
{
	struct conf_entry *entry;

	while ((entry = STAILQ_FIRST(&section->entries)) != NULL) {
		STAILQ_REMOVE_HEAD(&section->entries, next);
		free(entry->key);
		free(entry->value);
		free(entry);
	}
	free(section->type);
	free(section->name);
	free(section);
}

void
conf_free(struct conf *conf)
{
	struct conf_section	*section;
	struct conf_fault	*fault;

	if (conf == NULL)
		return;
	while ((section = STAILQ_FIRST(&conf->sections)) != NULL) {
		STAILQ_REMOVE_HEAD(&conf->sections, next);
		section_free(section);
	}
	while ((fault = STAILQ_FIRST(&conf->faults)) != NULL) {
		STAILQ_REMOVE_HEAD(&conf->faults, next);
		free(fault->text);
		free(fault);
	}
	free(conf->path);
	free(conf);
}

/*
 * All there is of the file, or a little more than a configuration may have;
 * NUL bytes included, since it is for the parser to find fault with them.
 */
static int
read_all(int fd, struct buf *b)
{
	struct stat	 st;
	char		*room;
	ssize_t		 n;

	if (fstat(fd, &st) == -1)
		return -1;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	while (buf_len(b) <= CONF_BYTES_MAX) {
		if ((room = buf_reserve(b, READ_BYTES)) == NULL)
			return -1;
		n = read(fd, room, READ_BYTES);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		buf_commit(b, (size_t)n);
	}
	return 0;
}

struct conf *
conf_read(const char *path)
{
	struct conf	*conf;
	struct buf	 b;
	int		 fd, error = 0;

	buf_init(&b, CONF_BYTES_MAX + READ_BYTES);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		error = errno;
	else {
		if (read_all(fd, &b) == -1)
			error = errno;
		close(fd);
	}
	if (error == 0)
		conf = conf_read_mem(path, buf_data(&b), buf_len(&b));
	else {
		conf = conf_new(path);
		conf_fault(conf, 0, NULL, NULL, "%s", strerror(error));
	}
	buf_clear(&b);
	return conf;
}

struct conf *
conf_read_mem(const char *name, const void *data, size_t n)
{
	struct conf *conf;

	conf = conf_new(name);
	if (n > CONF_BYTES_MAX)
		conf_fault(conf, 0, NULL, NULL, "larger than %d bytes",
		    CONF_BYTES_MAX);
	else
		conf_parse(conf, data, n);
	return conf;
}

/* "[relay a] port: ", as far as it is known. */
static char *
fault_place(const struct conf_section *section, const char *key)
{
	char type[128], name[128], k[128];

	str_escape(type, sizeof(type), section == NULL ? "" : section->type,
	    section == NULL ? 0 : strlen(section->type));
	str_escape(name, sizeof(name), section == NULL ? "" : section->name,
	    section == NULL ? 0 : strlen(section->name));
	str_escape(k, sizeof(k), key == NULL ? "" : key,
	    key == NULL ? 0 : strlen(key));
	return xasprintf("%s%s%s%s%s%s%s", section == NULL ? "" : "[", type,
	    name[0] == '\0' ? "" : " ", name, section == NULL ? "" : "] ",
	    k, key == NULL ? "" : ": ");
}

void
conf_fault(struct conf *conf, unsigned line, const struct conf_section *section,
    const char *key, const char *fmt, ...)
{
	struct conf_fault	*fault, *at, *after = NULL;
	char			*place, *text;
	va_list			 ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		text = xstrdup("out of memory");
	va_end(ap);
	place = fault_place(section, key);
	fault = xcalloc(1, sizeof(*fault));
	fault->line = line;
	fault->text = xasprintf("%s%s", place, text);
	free(place);
	free(text);

	/* By line; those of one line stay in the order they were found. */
	at = STAILQ_LAST(&conf->faults, conf_fault, next);
	if (at != NULL && at->line <= line)
		after = at;
	else
		STAILQ_FOREACH(at, &conf->faults, next) {
			if (at->line > line)
				break;
			after = at;
		}
	if (after == NULL)
		STAILQ_INSERT_HEAD(&conf->faults, fault, next);
	else
		STAILQ_INSERT_AFTER(&conf->faults, after, fault, next);
	conf->nfaults++;
}

unsigned
conf_print_faults(const struct conf *conf, FILE *to)
{
	const struct conf_fault *fault;

	STAILQ_FOREACH(fault, &conf->faults, next) {
		if (fault->line == 0)
			fprintf(to, "%s: %s\n", conf->path, fault->text);
		else
			fprintf(to, "%s:%u: %s\n", conf->path, fault->line,
			    fault->text);
	}
	return conf->nfaults;
}
