/*
 * postfix_setup.c - an agent as a service of Postfix: the lines that master.cf
 * and main.cf need.
 */
#include "master.h"

#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "postfix.h"

#define OUTPUT_MAX	(1024 * 1024)
#define ARGS_MAX	64
#define NPARAMETERS	3

struct transport {
	const char	*name;
	const char	*type;		/* of relay */
	const char	*config_dir;
	const char	*options[ARGS_MAX];
	size_t		 noptions;
	int64_t		 concurrency;
	bool		 want_apply, want_undo;
	const char	*program;
	const char	*preset;
};

/* Every transport of Postfix has such parameters, named after it. */
static const char *const suffixes[NPARAMETERS] = {
	"destination_concurrency_limit", "initial_destination_concurrency",
	"destination_recipient_limit",
};

/* ---- setup ---- */

static bool
is_service_name(const char *s)
{
	return *s != '\0' && *s != '-' && strlen(s) <= 64 &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789_-") == strlen(s);
}

/* daemon_directory is where commands are looked for, and absolute ones are not
 * understood: the way from there. */
static char *
relative(const char *from, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	size_t i, common = 0;
	struct buf out;
	char *path;

	if (realpath(from, a) == NULL || realpath(to, b) == NULL) {
		warn("%s", realpath(from, a) == NULL ? from : to);
		return NULL;
	}
	for (i = 0; a[i] != '\0' && a[i] == b[i]; i++)
		if (a[i] == '/')
			common = i;
	if (a[i] == '\0' && b[i] == '/')
		common = i;
	buf_init(&out, 2 * PATH_MAX);
	for (i = common; a[i] != '\0'; i++)
		if (a[i] == '/')
			buf_puts(&out, "../");
	buf_add(&out, b + common + 1, strlen(b + common));
	path = xstrdup(buf_data(&out));
	buf_clear(&out);
	return path;
}

static bool
is_given(const struct transport *s, const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; i < s->noptions; i++)
		if (strncmp(s->options[i], name, n) == 0 &&
		    (s->options[i][n] == '=' || s->options[i][n] == ' '))
			return true;
	return false;
}

/* What Postfix begins at once the agent shall have connections for. */
static bool
wants_connections(const struct transport *s)
{
	return (strncmp(s->program, "smtp-", 5) == 0 ||
	    strcmp(s->program, "lmtp") == 0) &&
	    !is_given(s, "concurrent_connections");
}

/* The line of master.cf; NULL: it is said why. */
static char *
master_line(const struct transport *s)
{
	char *dir = postfix_parameter(s->config_dir, "daemon_directory"), *line = NULL;
	char *folder = config_agents_folder(), *program, *command = NULL;
	struct buf b;
	size_t i;

	program = xasprintf("%s/%s", folder, s->program);
	if (dir != NULL && access(program, X_OK) == -1)
		warn("%s", program);
	else if (dir != NULL)
		command = relative(dir, program);
	if (command != NULL) {
		buf_init(&b, OUTPUT_MAX);
		/* A program may have to be run as another user. */
		buf_printf(&b, "%s unix - %s n - 1 %s", s->name,
		    strcmp(s->program, "pipe") == 0 ? "n" : "-", command);
		if (s->preset != NULL)
			buf_printf(&b, " -o preset=%s", s->preset);
		if (wants_connections(s))
			buf_printf(&b, " -o concurrent_connections=%lld",
			    (long long)s->concurrency);
		for (i = 0; i < s->noptions; i++)
			buf_printf(&b, strpbrk(s->options[i], " \t") == NULL ?
			    " -o %s" : " -o { %s }", s->options[i]);
		buf_add(&b, "", 1);
		line = xstrdup(buf_data(&b));
		buf_clear(&b);
	}
	free(command);
	free(program);
	free(folder);
	free(dir);
	return line;
}

static char *
parameter_line(const struct transport *s, size_t i)
{
	int64_t value = i < 2 ? s->concurrency : 50;

	return xasprintf("%s_%s = %lld", s->name, suffixes[i],
	    (long long)value);
}

static int
print_setup(const struct transport *s, const char *line)
{
	size_t i;
	char *text;

	printf("# master.cf\n%s\n\n# main.cf\n", line);
	for (i = 0; i < NPARAMETERS; i++) {
		text = parameter_line(s, i);
		puts(text);
		free(text);
	}
	printf("\n# Mail goes there where transport(5), or default_transport,\n"
	    "# relay_transport, ... name it:\n#   example.org    %s:\n",
	    s->name);
	return EX_OK;
}

/* The line that master.cf has for this service, or ""; NULL: it is said why. */
static char *
present_line(const struct transport *s)
{
	char *text, *line, *next;
	size_t n = strlen(s->name);
	char *found = NULL;

	text = postfix_postconf(s->config_dir, (const char *const[]){ "-M", NULL });
	if (text == NULL)
		return NULL;
	for (line = text; line != NULL && *line != '\0'; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		if (strncmp(line, s->name, n) == 0 && line[n] == ' ') {
			found = xstrdup(line);
			break;
		}
	}
	free(text);
	return found == NULL ? xstrdup("") : found;
}

/* Another's service of this name is not to be touched. */
static int
check_owner(const struct transport *s)
{
	char *line = present_line(s);
	int result = 0;

	if (line == NULL)
		result = -1;
	else if (*line != '\0' && strstr(line, "nexthop/") == NULL) {
		warnx("master.cf has a service %s that is not nexthop's: %s",
		    s->name, line);
		result = -1;
	}
	free(line);
	return result;
}

static int
tell(const struct transport *s, const char *const *args)
{
	char *text = postfix_postconf(s->config_dir, args);

	free(text);
	return text == NULL ? -1 : 0;
}

static int
apply(const struct transport *s, const char *line)
{
	char *texts[NPARAMETERS], *key;
	int result;
	size_t i;

	if (check_owner(s) == -1)
		return EX_CONFIG;
	key = xasprintf("%s/unix=%s", s->name, line);
	result = tell(s, (const char *const[]){ "-M", key, NULL });
	free(key);
	for (i = 0; i < NPARAMETERS; i++)
		texts[i] = parameter_line(s, i);
	if (result == 0)
		result = tell(s, (const char *const[]){ "-e", texts[0],
		    texts[1], texts[2], NULL });
	for (i = 0; i < NPARAMETERS; i++)
		free(texts[i]);
	if (result == 0)
		printf("%s is set up; `postfix reload` makes it known\n",
		    s->name);
	return result == 0 ? EX_OK : EX_CONFIG;
}

static int
undo(const struct transport *s)
{
	char *names[NPARAMETERS], *key, *line = present_line(s);
	int result = 0;
	size_t i;

	if (line == NULL || check_owner(s) == -1) {
		free(line);
		return EX_CONFIG;
	}
	key = xasprintf("%s/unix", s->name);
	if (*line != '\0')
		result = tell(s, (const char *const[]){ "-MX", key, NULL });
	free(key);
	free(line);
	for (i = 0; i < NPARAMETERS; i++)
		names[i] = xasprintf("%s_%s", s->name, suffixes[i]);
	if (result == 0)
		result = tell(s, (const char *const[]){ "-X", names[0],
		    names[1], names[2], NULL });
	for (i = 0; i < NPARAMETERS; i++)
		free(names[i]);
	if (result == 0)
		printf("%s is gone; `postfix reload` makes it known\n",
		    s->name);
	return result == 0 ? EX_OK : EX_CONFIG;
}

static int
take_option(struct transport *s, const char *value)
{
	if (strchr(value, '=') == NULL || str_has_control(value) ||
	    strpbrk(value, "{}") != NULL) {
		warnx("-o %s: name=value without braces expected", value);
		return -1;
	}
	if (s->noptions == ARGS_MAX) {
		warnx("more than %d options", ARGS_MAX);
		return -1;
	}
	s->options[s->noptions++] = value;
	return 0;
}

static int
parse_setup(struct transport *s, int argc, char **argv)
{
	const char *value;
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--apply") == 0)
			s->want_apply = true;
		else if (strcmp(argv[i], "--undo") == 0)
			s->want_undo = true;
		else if ((value = postfix_value(argv[i], "--config-dir")) != NULL)
			s->config_dir = value;
		else if ((value = postfix_value(argv[i], "--concurrency")) != NULL) {
			if (str_to_int64(value, 1, 10000,
			    &s->concurrency) == -1) {
				warnx("--concurrency=%s: 1 to 10000 expected",
				    value);
				return -1;
			}
		} else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
			if (take_option(s, argv[++i]) == -1)
				return -1;
		} else if (argv[i][0] == '-') {
			warnx("postfix-setup: unknown option %s", argv[i]);
			return -1;
		} else if (s->name == NULL)
			s->name = argv[i];
		else if (s->type == NULL)
			s->type = argv[i];
		else {
			warnx("postfix-setup: one word too many: %s", argv[i]);
			return -1;
		}
	}
	return 0;
}

int
postfix_setup(int argc, char **argv)
{
	struct transport s = { .concurrency = 100 };
	char *line;
	int status;

	if (parse_setup(&s, argc, argv) == -1)
		return EX_USAGE;
	if (s.name == NULL || (s.type == NULL && !s.want_undo) ||
	    (s.want_apply && s.want_undo)) {
		warnx("postfix-setup: a service and a type of relay are "
		    "needed, and not both --apply and --undo");
		return EX_USAGE;
	}
	if (!is_service_name(s.name)) {
		warnx("%s: a service is named by letters, digits, - and _",
		    s.name);
		return EX_USAGE;
	}
	if (s.want_undo)
		return undo(&s);
	s.program = config_type_program(s.type, &s.preset);
	if (s.program == NULL) {
		warnx("%s: no type of relay", s.type);
		return EX_USAGE;
	}
	if ((line = master_line(&s)) == NULL)
		return EX_CONFIG;
	status = s.want_apply ? apply(&s, line) : print_setup(&s, line);
	free(line);
	return status;
}
