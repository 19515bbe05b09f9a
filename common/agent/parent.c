/* parent.c - the channel to nexthop-master, as each of its children has it. */
#include "agent/parent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/str.h"
#include "paths.h"

int
parent_open(const char *env)
{
	socklen_t len = sizeof(int);
	int family;
	int64_t fd;

	if (str_to_int64(env, 3, 65535, &fd) == -1) {
		log_error("%s=%s: not a descriptor", CHANNEL_ENV, env);
		return -1;
	}
	if (getsockopt((int)fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == -1 ||
	    family != AF_UNIX) {
		log_error("%s=%s: not a UNIX socket", CHANNEL_ENV, env);
		return -1;
	}
	unsetenv(CHANNEL_ENV);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	raise_files_limit();
	return (int)fd;
}

int
parent_put_hello(struct buf *out, const char *program)
{
	struct frame_out o;

	frame_begin(&o, out, FRAME_HELO, 0, 0);
	frame_put_u8(&o, ATTR_VERSION_MIN, FRAME_VERSION);
	frame_put_u8(&o, ATTR_VERSION_MAX, FRAME_VERSION);
	frame_put_text(&o, ATTR_AGENT, program);
	frame_put_text(&o, ATTR_PROGRAM, "nexthop " NEXTHOP_VERSION);
	frame_put(&o, ATTR_TAKES_LOG, "", 0);
	return frame_end(&o);
}

int
parent_frame(const struct frame *f, int fd, enum frame_type takes_fd,
    const char **error_r)
{
	bool has_fd = (f->flags & FRAME_HAS_FD) != 0;

	if (f->type == FRAME_LOG && has_fd) {
		if (fd == -1)
			log_warning("no descriptor is left for the log's new "
			    "file: the log goes on where it was");
		else
			log_set_file(fd);
		return 0;
	}
	if (f->type == FRAME_LOG)
		*error_r = "LOG without a descriptor";
	else if (has_fd && f->type != takes_fd)
		*error_r = "descriptor with a frame that takes none";
	else if (has_fd && fd == -1 && f->type == FRAME_LISTEN)
		*error_r = "no descriptor is left for a listening socket";
	else
		return 1;
	if (fd != -1)
		close(fd);
	return -1;
}

/* ---- CONFIG ---- */

void
parent_config_fault(struct parent_config *c, const char *text)
{
	frame_put_text(&c->ready, ATTR_ERROR, text);
	c->nfaults++;
}

static void
on_table_fault(void *arg, const char *name, const char *text)
{
	char line[1024];

	if (name == NULL)
		strlcpy(line, text, sizeof(line));
	else
		snprintf(line, sizeof(line), "%s: %s", name, text);
	parent_config_fault(arg, line);
}

static void
set_option(struct parent_config *c, const char *name, const char *value)
{
	char error[512];

	if (opts_set(c->opts, name, value, OPTS_ONCE, error,
	    sizeof(error)) == -1) {
		frame_put_u32(&c->ready, ATTR_OPTION_INDEX, c->noptions);
		parent_config_fault(c, error);
	}
	c->noptions++;
}

/* 0, or -1 where the frame itself is wrong. */
static int
take_attrs(struct parent_config *c, const struct frame *f, struct arena *arena)
{
	const char *name = NULL, *text;
	struct attr a;
	size_t at = 0;
	int n;

	while ((n = frame_next(f, &at, &a)) == 1) {
		if (a.tag == ATTR_WANT_OPTIONS) {
			c->want_options = true;
			continue;
		}
		if ((a.tag & ATTR_SKIPPABLE) != 0)
			continue;
		if ((text = attr_text(&a, arena)) == NULL)
			break;
		if (a.tag == ATTR_RELAY)
			strlcpy(c->section, text, sizeof(c->section));
		else if (a.tag == ATTR_OPTION_NAME)
			name = text;
		else if (a.tag == ATTR_OPTION_VALUE && name != NULL) {
			set_option(c, name, text);
			name = NULL;
		} else
			break;
	}
	return n == 0 ? 0 : -1;
}

int
parent_config_take(struct parent_config *c, struct opts *opts,
    const struct frame *f, struct buf *ready)
{
	struct arena *arena = arena_new(f->len);
	int result;

	*c = (struct parent_config){ .opts = opts, .section = "-" };
	frame_begin(&c->ready, ready, FRAME_READY, 0, 0);
	result = take_attrs(c, f, arena);
	arena_free(arena);
	if (result == 0 && c->nfaults == 0)
		opts_finish(opts, on_table_fault, c);
	return result;
}

void
parent_config_set_ident(const struct parent_config *c, const char *program)
{
	char ident[192];

	snprintf(ident, sizeof(ident), "%s/%s", program, c->section);
	log_set_ident(ident);
}

static void
put_option(void *arg, const char *name, const char *value, bool is_default)
{
	(void)is_default;
	if (value == NULL)
		return;
	frame_put_text(arg, ATTR_OPTION_NAME, name);
	frame_put_text(arg, ATTR_OPTION_VALUE, value);
}

void
parent_config_put_options(struct parent_config *c)
{
	opts_each(c->opts, put_option, &c->ready);
}

int
parent_config_status(const struct parent_config *c)
{
	if (c->nfaults > 0)
		return EX_CONFIG;
	return c->want_options ? EX_OK : -1;
}
