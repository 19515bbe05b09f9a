/*
 * postfix_check.c - what is wrong with services of Postfix that are agents.
 */
#include "master.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/front.h"
#include "base/buf.h"
#include "base/mem.h"
#include "postfix.h"
#include "postfix/settings.h"

#define OUTPUT_MAX	(64 * 1024)
#define WORDS_MAX	200

struct check {
	const char	*config_dir;
	char		*daemon_directory;
	char		*queue_directory;
	unsigned	 nfound, nfaults;
};

struct columns {		/* of master.cf */
	char		*v[8];		/* the last is the command */
	char		*rest;
};

static void __attribute__((format(printf, 3, 4)))
fault(struct check *c, const char *service, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("%s: ", service);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	c->nfaults++;
}

static bool
split(char *line, struct columns *c)
{
	size_t i;

	for (i = 0; i < 8; i++) {
		line += strspn(line, " \t");
		if (*line == '\0')
			return false;
		c->v[i] = line;
		line += strcspn(line, " \t");
		if (*line != '\0')
			*line++ = '\0';
	}
	c->rest = line;
	return true;
}

/* The path of a command is one of an agent of ours. */
static bool
is_agent(const char *command)
{
	const char *slash = strrchr(command, '/'), *preset;
	static const char *const types[] = { "mx", "static", "lmtp", "pipe",
	    "http", "blackhole", "custom" };
	size_t i;

	if (slash == NULL || slash - command < 7 ||
	    strncmp(slash - 7, "nexthop", 7) != 0)
		return false;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(config_type_program(types[i], &preset),
		    slash + 1) == 0)
			return true;
	return false;
}

/* Whether it can be started. */
static bool
check_command(struct check *c, const struct columns *l)
{
	char *path = xasprintf("%s/%s", c->daemon_directory, l->v[7]);
	unsigned before = c->nfaults;
	struct stat st;

	if (l->v[7][0] == '/')
		fault(c, l->v[0], "the command is an absolute path, which "
		    "Postfix looks for below %s: write it with ../",
		    c->daemon_directory);
	else if (stat(path, &st) == -1)
		fault(c, l->v[0], "%s does not exist: the way from %s is wrong",
		    l->v[7], c->daemon_directory);
	else if (!S_ISREG(st.st_mode) || access(path, X_OK) == -1)
		fault(c, l->v[0], "%s cannot be executed", path);
	else if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		fault(c, l->v[0], "%s is started by root, and others than root "
		    "can write to it", path);
	free(path);
	return c->nfaults == before;
}

/* Words of master.cf: "{ a b }" is one. */
static size_t
split_words(char *text, const char **words, size_t max)
{
	size_t n = 0;
	char *end;

	for (;;) {
		text += strspn(text, " \t");
		if (*text == '\0' || n == max)
			return n;
		if (*text == '{' && (end = strchr(text, '}')) != NULL) {
			words[n++] = ++text;
			*end = '\0';
			text = end + 1;
			continue;
		}
		words[n++] = text;
		text += strcspn(text, " \t");
		if (*text != '\0')
			*text++ = '\0';
	}
}

/* The agent itself knows best what is wrong with its options. */
static void
check_options(struct check *c, const struct columns *l)
{
	char *path = xasprintf("%s/%s", c->daemon_directory, l->v[7]);
	const char *argv[WORDS_MAX + 3] = { path, FRONT_CHECK };
	char error[512], *line, *next;
	struct buf out;

	split_words(l->rest, argv + 2, WORDS_MAX);
	if (c->config_dir != NULL)
		setenv("MAIL_CONFIG", c->config_dir, 1);
	buf_init(&out, OUTPUT_MAX);
	if (pf_output_of(path, (char *const *)(uintptr_t)argv, &out, error,
	    sizeof(error)) == -1)
		fault(c, l->v[0], "%s", error);
	else
		for (line = buf_data(&out); line != NULL && *line != '\0';
		    line = next) {
			if ((next = strchr(line, '\n')) != NULL)
				*next++ = '\0';
			if (strncmp(line, FRONT_CHECK_WARNING,
			    strlen(FRONT_CHECK_WARNING)) == 0)
				printf("%s: %s\n", l->v[0], line);
			else
				fault(c, l->v[0], "%s", line);
		}
	buf_clear(&out);
	free(path);
}

static void
check_columns(struct check *c, const struct columns *l)
{
	char *missing;

	if (strcmp(l->v[1], "unix") != 0)
		fault(c, l->v[0], "type %s; only unix can be served", l->v[1]);
	if (strcmp(l->v[2], "n") == 0)
		fault(c, l->v[0], "private is n; qmgr looks for it below "
		    "private/");
	if (strcmp(l->v[4], "y") == 0) {
		missing = xasprintf("%s/etc/resolv.conf", c->queue_directory);
		if (access(missing, R_OK) == -1)
			fault(c, l->v[0], "chroot is y, and %s is missing: no "
			    "host name can be found", missing);
		free(missing);
	}
	if (strcmp(l->v[6], "-") == 0 || strcmp(l->v[6], "0") == 0)
		fault(c, l->v[0], "maxproc is %s; one process serves hundreds "
		    "of deliveries: write 1, or one for each core", l->v[6]);
}

/* A parameter that is named after a service: postconf knows of it only where
 * the command is one of Postfix's own, but takes it as another's value. */
static char *
service_parameter(const struct check *c, const char *name)
{
	char *option = xasprintf("mail_name=$%s", name), *text;

	text = postfix_postconf(c->config_dir, (const char *const[]){ "-xh", "-o",
	    option, "mail_name", NULL });
	free(option);
	if (text != NULL)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

static void
check_limits(struct check *c, const char *service)
{
	char *name = xasprintf("%s_destination_recipient_limit", service);
	char *value = service_parameter(c, name);

	if (value != NULL && strcmp(value, "1") == 0)
		fault(c, service, "%s is 1: the limit of concurrency then "
		    "counts for each recipient alone, not for the next hop",
		    name);
	free(value);
	free(name);
	name = xasprintf("%s_destination_concurrency_limit", service);
	value = service_parameter(c, name);
	if (value != NULL && strcmp(value, "1") == 0)
		fault(c, service, "%s is 1: one delivery at a time", name);
	free(value);
	free(name);
}

static void
check_version(struct check *c)
{
	char *text = postfix_parameter(c->config_dir, "mail_version");
	int version = text == NULL ? -1 : pf_version(text);

	if (version < PF_VERSION_MIN || version > PF_VERSION_MAX)
		fault(c, "Postfix", "version %s is not known; 3.4 to 3.12 are, "
		    "others are tried with -o assume_postfix=3.12",
		    text == NULL ? "?" : text);
	free(text);
}

static bool
is_asked(const char *service, char **names, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], service) == 0)
			return true;
	return n == 0;
}

static void
check_services(struct check *c, char *text, char **names, int n)
{
	struct columns l;
	char *line, *next;

	for (line = text; line != NULL && *line != '\0'; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		if (!split(line, &l) || !is_agent(l.v[7]) ||
		    !is_asked(l.v[0], names, n))
			continue;
		c->nfound++;
		if (check_command(c, &l))
			check_options(c, &l);
		check_columns(c, &l);
		check_limits(c, l.v[0]);
	}
}

int
postfix_check(int argc, char **argv)
{
	struct check c = { .config_dir = NULL };
	char *text;
	int i = 1;

	if (argc > 1 && (c.config_dir = postfix_value(argv[1],
	    "--config-dir")) != NULL)
		i++;
	if (i < argc && argv[i][0] == '-') {
		warnx("postfix-check: unknown option %s", argv[i]);
		return EX_USAGE;
	}
	c.daemon_directory = postfix_parameter(c.config_dir, "daemon_directory");
	c.queue_directory = postfix_parameter(c.config_dir, "queue_directory");
	text = postfix_postconf(c.config_dir, (const char *const[]){ "-M", NULL });
	if (text != NULL && c.daemon_directory != NULL &&
	    c.queue_directory != NULL) {
		check_version(&c);
		check_services(&c, text, argv + i, argc - i);
		if (c.nfound == 0)
			fault(&c, "master.cf", "no service is an agent of "
			    "nexthop%s", i < argc ? " with such a name" : "");
		else if (c.nfaults == 0)
			printf("%u service%s, no fault\n", c.nfound,
			    c.nfound == 1 ? "" : "s");
	} else
		c.nfaults++;
	free(text);
	free(c.daemon_directory);
	free(c.queue_directory);
	return c.nfaults == 0 ? EX_OK : EX_CONFIG;
}
