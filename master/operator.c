/*
 * operator.c - the nexthop command's side of the control socket.
 */
#include "master.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <err.h>
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define ANSWER_LIMIT_MS	10000	/* for what the master has not to wait for */

struct conversation {
	const char	*path;
	bool		 ends_by_close;	/* drain and stop */
	bool		 is_quick;	/* answered at once */
	struct timer	 limit;
	int		 status;
	bool		 is_over;
	struct channel	*channel;
};

static void
take_exit(struct conversation *c, const struct frame *f)
{
	struct attr a;
	size_t at = 0;
	uint8_t status = EX_PROTOCOL;

	while (frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_STATUS)
			attr_u8(&a, &status);
	c->status = status;
	c->is_over = true;
}

static void
on_frame(void *arg, const struct frame *f, const void *bytes, int fd)
{
	struct conversation *c = arg;
	struct attr a;
	size_t at = 0;

	(void)bytes;
	if (fd != -1)
		close(fd);
	if (c->is_quick)
		timer_set(&c->limit, ANSWER_LIMIT_MS);
	if (f->type == FRAME_EXIT)
		take_exit(c, f);
	else if (f->type == FRAME_OUTPUT)
		while (frame_next(f, &at, &a) == 1)
			if (a.tag == ATTR_TEXT)
				fwrite(a.data, 1, a.len, stdout);
	fflush(stdout);
}

static void
on_closed(void *arg, const char *error)
{
	struct conversation *c = arg;

	if (c->is_over)
		return;
	c->is_over = true;
	if (c->ends_by_close && error == NULL)
		c->status = EX_OK;
	else {
		warnx("%s: connection lost%s%s", c->path,
		    error != NULL ? ": " : "", error != NULL ? error : "");
		c->status = EX_UNAVAILABLE;
	}
}

/* One that hangs shall not hold up a script, or cron, for ever. */
static void
on_limit(void *arg)
{
	struct conversation *c = arg;

	warnx("%s: nexthop-master has not answered for %d seconds", c->path,
	    ANSWER_LIMIT_MS / 1000);
	c->status = EX_UNAVAILABLE;
	c->is_over = true;
}

static const struct channel_ops channel_ops = { on_frame, on_closed, NULL };

int
operator_connect(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)(void *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

int
operator_command(const char *path, const char *command,
    const char *const *args, size_t nargs)
{
	struct conversation c = { .path = path };
	struct loop *loop;
	struct frame_out o;
	size_t i;
	int fd;

	if ((fd = operator_connect(path)) == -1) {
		c.status = errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE;
		warn("no nexthop-master answers at %s", path);
		return c.status;
	}
	c.ends_by_close = strcmp(command, "stop") == 0 ||
	    strcmp(command, "drain") == 0;
	c.is_quick = strcmp(command, "status") == 0 ||
	    strcmp(command, "metrics") == 0 || strcmp(command, "reopen") == 0;
	loop = loop_new();
	timer_init(&c.limit, loop, on_limit, &c);
	if (c.is_quick)
		timer_set(&c.limit, ANSWER_LIMIT_MS);
	c.channel = channel_new(loop, fd, FRAME_BYTES_MAX, &channel_ops, &c);
	frame_begin(&o, channel_out(c.channel), FRAME_COMMAND, 0, 0);
	frame_put_text(&o, ATTR_COMMAND, command);
	for (i = 0; i < nargs; i++)
		frame_put_text(&o, ATTR_ARGUMENT, args[i]);
	if (frame_end(&o) == -1)
		errx(EX_USAGE, "arguments too long");
	channel_queued(c.channel, 0, -1);
	while (!c.is_over)
		loop_turn(loop, -1);
	timer_clear(&c.limit);
	channel_free(c.channel);
	loop_turn(loop, 0);
	loop_free(loop);
	return c.status;
}
