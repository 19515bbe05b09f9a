/*
 * systemd.c - what systemd gives us at the start, and what it wants to hear:
 * sockets (sd_listen_fds(3)), the watchdog, reloads (sd_notify(3)).  Without
 * systemd nothing of this does anything.
 */
#include "master.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define FIRST_FD	3
#define FDS_MAX		1024

/* A number of the environment, if it is one. */
static bool
env_number(const char *name, int64_t max, int64_t *n_r)
{
	const char *text = getenv(name);

	return text != NULL && str_to_int64(text, 1, max, n_r) == 0;
}

/* Whether a variable that names a process, if it is there, means us. */
static bool
is_for_us(const char *name)
{
	int64_t pid;

	return getenv(name) == NULL ||
	    (env_number(name, INT32_MAX, &pid) && pid == getpid());
}

/* ---- sockets ---- */

unsigned
systemd_inherited(void)
{
	int64_t n;

	if (getenv("LISTEN_PID") == NULL || !is_for_us("LISTEN_PID") ||
	    !env_number("LISTEN_FDS", FDS_MAX, &n))
		return 0;
	return (unsigned)n;
}

void
systemd_adopt(struct sockets *sockets, unsigned n)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char *copy = names == NULL ? NULL : xstrdup(names), *rest = copy;
	char error[512], shown[256];
	const char *name;
	unsigned i;

	for (i = 0; i < n; i++) {
		name = strsep(&rest, ":");
		if (sockets_adopt(sockets, FIRST_FD + (int)i, SOCKET_GIVEN,
		    error, sizeof(error)) == 0)
			continue;
		if (name == NULL)
			name = "";
		str_escape(shown, sizeof(shown), name, strlen(name));
		log_warning("systemd: \"%s\": %s; closed", shown, error);
	}
	free(copy);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

/* ---- the watchdog ---- */

struct watchdog {
	struct timer	 timer;
	int64_t		 every_ms;
};

static void
on_watchdog(void *arg)
{
	struct watchdog *w = arg;

	daemon_notify("WATCHDOG=1");
	timer_set(&w->timer, w->every_ms);
}

struct watchdog *
systemd_watchdog(struct loop *loop)
{
	struct watchdog *w;
	int64_t usec;

	if (!is_for_us("WATCHDOG_PID") ||
	    !env_number("WATCHDOG_USEC", INT64_MAX, &usec))
		return NULL;
	w = xcalloc(1, sizeof(*w));
	/* Twice in the time, as it is asked for. */
	w->every_ms = usec / 2000 > 0 ? usec / 2000 : 1;
	timer_init(&w->timer, loop, on_watchdog, w);
	on_watchdog(w);
	return w;
}

void
systemd_watchdog_stop(struct watchdog *w)
{
	if (w == NULL)
		return;
	timer_clear(&w->timer);
	free(w);
}

/* ---- what we do ---- */

void
systemd_reloading(void)
{
	struct timespec now;
	char state[96];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
	    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	daemon_notify(state);
}

void
systemd_status(const char *state, const char *fmt, ...)
{
	char text[512], message[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(message, sizeof(message), "%s%sSTATUS=%s", state,
	    *state == '\0' ? "" : "\n", text);
	daemon_notify(message);
}
