/* settings.c - Postfix's configuration, by postconf(1). */
#include "postfix/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#define OUTPUT_MAX	(1024 * 1024)
#define NAMES_MAX	128

struct setting {
	char		*name;
	char		*value;
};

struct pf_settings {
	struct setting	*v;
	size_t		 n;
};

/* What every agent needs to know. */
static const char *const needed[] = {
	"mail_version", "queue_directory", "mail_owner", "hash_queue_names",
	"hash_queue_depth", "soft_bounce", "bounce_service_name",
	"defer_service_name", "trace_service_name",
	"address_verify_service_name", "address_verify_negative_cache",
	"delay_logging_resolution_limit", "info_log_address_format",
	"syslog_facility", "syslog_name", "maillog_file", "myhostname",
	"postlog_service_name", "daemon_timeout", "max_idle",
};
#define NNEEDED	(sizeof(needed) / sizeof(needed[0]))

static struct setting *
find(const struct pf_settings *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->v[i].name, name) == 0)
			return &s->v[i];
	return NULL;
}

static void
add(struct pf_settings *s, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	s->v = xreallocarray(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = (struct setting){
		xasprintf("%.*s", (int)name_len, name),
		xasprintf("%.*s", (int)value_len, value),
	};
}

/* "name = value" a line; the value may be empty. */
struct pf_settings *
pf_settings_parse(const char *output)
{
	struct pf_settings *s = xcalloc(1, sizeof(*s));
	const char *p = output, *eq, *value;
	size_t len;

	for (; *p != '\0'; p += len + (p[len] == '\n')) {
		len = strcspn(p, "\n");
		eq = memmem(p, len, " =", 2);
		if (eq == NULL)
			continue;
		value = eq + 2;
		value += strspn(value, " ");
		if (value > p + len)
			value = p + len;
		add(s, p, (size_t)(eq - p), value, (size_t)(p + len - value));
	}
	return s;
}

void
pf_settings_free(struct pf_settings *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++) {
		free(s->v[i].name);
		free(s->v[i].value);
	}
	free(s->v);
	free(s);
}

/* ---- asking ---- */

static pid_t
run(const char *path, char *const argv[], int out)
{
	posix_spawn_file_actions_t act;
	pid_t pid;

	posix_spawn_file_actions_init(&act);
	posix_spawn_file_actions_adddup2(&act, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&act, STDERR_FILENO, "/dev/null",
	    O_WRONLY, 0);
	errno = posix_spawn(&pid, path, &act, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&act);
	return errno == 0 ? pid : -1;
}

int
pf_output_of(const char *path, char *const argv[], struct buf *b, char *error,
    size_t size)
{
	int fds[2], status;
	ssize_t n;
	char *room;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1 ||
	    (pid = run(path, argv, fds[1])) == -1) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	close(fds[1]);
	while ((room = buf_reserve(b, 4096)) != NULL &&
	    ((n = read(fds[0], room, 4096)) > 0 ||
	    (n == -1 && errno == EINTR)))
		buf_commit(b, n > 0 ? (size_t)n : 0);
	close(fds[0]);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (status != 0 || buf_add(b, "", 1) == -1) {
		snprintf(error, size, "%s failed with status %d", path,
		    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
		return -1;
	}
	return 0;
}

struct pf_settings *
pf_settings_ask(const char *postconf, const char *const *more, char *error,
    size_t size)
{
	const char *argv[NAMES_MAX] = { "postconf", "-x" };
	struct pf_settings *s = NULL;
	struct buf out;
	size_t i, n = 2;

	for (i = 0; i < NNEEDED; i++)
		argv[n++] = needed[i];
	for (i = 0; more != NULL && more[i] != NULL && n < NAMES_MAX - 1; i++)
		argv[n++] = more[i];
	buf_init(&out, OUTPUT_MAX);
	if (pf_output_of(postconf, (char *const *)(uintptr_t)argv, &out, error,
	    size) == 0)
		s = pf_settings_parse(buf_data(&out));
	if (s != NULL && find(s, "queue_directory") == NULL) {
		snprintf(error, size, "%s does not know queue_directory",
		    postconf);
		pf_settings_free(s);
		s = NULL;
	}
	buf_clear(&out);
	return s;
}

struct pf_settings *
pf_settings_explicit(const char *postconf, char *error, size_t size)
{
	const char *argv[] = { "postconf", "-n", NULL };
	struct pf_settings *s = NULL;
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	if (pf_output_of(postconf, (char *const *)(uintptr_t)argv, &out, error,
	    size) == 0)
		s = pf_settings_parse(buf_data(&out));
	buf_clear(&out);
	return s;
}

/* ---- values ---- */

const char *
pf_setting(const struct pf_settings *s, const char *name)
{
	const struct setting *one = find(s, name);

	return one == NULL ? "" : one->value;
}

bool
pf_setting_is(const struct pf_settings *s, const char *name)
{
	return find(s, name) != NULL;
}

bool
pf_setting_yes(const struct pf_settings *s, const char *name)
{
	return strcasecmp(pf_setting(s, name), "yes") == 0;
}

int64_t
pf_setting_int(const struct pf_settings *s, const char *name,
    int64_t otherwise)
{
	int64_t v;

	return str_to_int64(pf_setting(s, name), INT32_MIN, INT32_MAX, &v) == 0
	    ? v : otherwise;
}

int64_t
pf_setting_ms(const struct pf_settings *s, const char *name, int64_t otherwise)
{
	static const struct { char unit; int64_t ms; } units[] = {
		{ 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 },
		{ 'd', 86400000 }, { 'w', 604800000 },
	};
	const char *text = pf_setting(s, name);
	size_t i, n = strspn(text, "0123456789");
	char number[16];
	int64_t v;

	if (n == 0 || n >= sizeof(number))
		return otherwise;
	memcpy(number, text, n);
	number[n] = '\0';
	if (str_to_int64(number, 0, INT32_MAX, &v) == -1)
		return otherwise;
	if (text[n] == '\0')
		return v * 1000;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == text[n] && text[n + 1] == '\0')
			return v * units[i].ms;
	return otherwise;
}

int
pf_setting_set(struct pf_settings *s, const char *name, const char *value)
{
	struct setting *one = find(s, name);

	if (one == NULL)
		return -1;
	free(one->value);
	one->value = xstrdup(value);
	return 0;
}

void
pf_settings_each(const struct pf_settings *s,
    void (*each)(void *arg, const char *name, const char *value), void *arg)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		each(arg, s->v[i].name, s->v[i].value);
}

int
pf_version(const char *text)
{
	unsigned major, minor;

	if (sscanf(text, "%u.%u", &major, &minor) != 2 || major > 99 ||
	    minor > 999)
		return -1;
	return (int)(major * 1000 + minor);
}
