/*
 * listener.c - a listening UNIX socket at a path with mode and owner.  A stale
 * socket is replaced; one that somebody listens on is not.
 */
#include "master.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"

#define BACKLOG		1024
#define ACCEPT_MAX	16		/* in one turn */
#define NO_FILES_MS	200		/* pause after EMFILE */

struct listener {
	int		 fd;
	char		*path;
	dev_t		 dev;
	ino_t		 ino;
	struct event	 ev;
	struct timer	 retry;
	bool		 is_paused;
	void		(*accepted)(void *, int);
	void		*arg;
};

static void
listener_watch(struct listener *l)
{
	if (l->is_paused)
		event_del(&l->ev);
	else
		event_add(&l->ev, NULL);
}

static void
on_retry(void *arg)
{
	listener_watch(arg);
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	int i, got;

	(void)what;
	for (i = 0; i < ACCEPT_MAX && !l->is_paused; i++) {
		got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (got != -1) {
			l->accepted(l->arg, got);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS) {
			log_error("%s: accept: %s", l->path, strerror(errno));
			event_del(&l->ev);
			timer_set(&l->retry, NO_FILES_MS);
		}
		return;
	}
}

/* Whether the path is free; a socket nobody listens on is removed. */
static int
clear_path(const struct sockaddr_un *sun, char *error, size_t size)
{
	struct stat st;
	int fd, taken;

	if (lstat(sun->sun_path, &st) == -1)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, size, "%s: is there already and no socket",
		    sun->sun_path);
		return -1;
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0)) == -1) {
		snprintf(error, size, "socket: %s", strerror(errno));
		return -1;
	}
	taken = connect(fd, (const struct sockaddr *)(const void *)sun,
	    sizeof(*sun)) == 0 || errno != ECONNREFUSED;
	close(fd);
	if (taken) {
		snprintf(error, size, "%s: somebody listens there already; "
		    "is another nexthop-master running?", sun->sun_path);
		return -1;
	}
	unlink(sun->sun_path);
	return 0;
}

/* The folder of a socket is made where only its last part is missing. */
static void
make_folder(const char *path)
{
	char *copy = xstrdup(path);

	mkdir(dirname(copy), 0755);
	free(copy);
}

static int
set_owner(const char *path, mode_t mode, const char *user, const char *group,
    char *error, size_t size)
{
	struct passwd *pw = user == NULL ? NULL : getpwnam(user);
	struct group *gr = group == NULL ? NULL : getgrnam(group);

	if ((pw != NULL || gr != NULL) && chown(path, pw == NULL ?
	    (uid_t)-1 : pw->pw_uid, gr == NULL ? (gid_t)-1 :
	    gr->gr_gid) == -1)
		snprintf(error, size, "%s: chown: %s", path, strerror(errno));
	else if (chmod(path, mode) == -1)
		snprintf(error, size, "%s: chmod: %s", path, strerror(errno));
	else
		return 0;
	return -1;
}

/* The bound socket, not listening; -1 with a text. */
static int
bind_path(const struct sockaddr_un *sun, char *error, size_t size)
{
	mode_t old;
	int fd, bound;

	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0)) == -1) {
		snprintf(error, size, "socket: %s", strerror(errno));
		return -1;
	}
	old = umask(0177);	/* for its owner alone until set_owner() */
	bound = bind(fd, (const struct sockaddr *)(const void *)sun,
	    sizeof(*sun));
	umask(old);
	if (bound == 0)
		return fd;
	snprintf(error, size, "%s: bind: %s", sun->sun_path, strerror(errno));
	close(fd);
	return -1;
}

struct listener *
listener_open(struct loop *loop, const char *path, mode_t mode,
    const char *user, const char *group, void (*accepted)(void *, int),
    void *arg, char *error, size_t size, int *status_r)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct listener *l;
	struct stat st;
	int fd;

	*status_r = EX_CANTCREAT;
	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	make_folder(path);
	if (clear_path(&sun, error, size) == -1) {
		*status_r = EX_TEMPFAIL;
		return NULL;
	}
	if ((fd = bind_path(&sun, error, size)) == -1)
		return NULL;
	snprintf(error, size, "%s: cannot listen", path);
	if (lstat(path, &st) == -1 || listen(fd, BACKLOG) == -1 ||
	    set_owner(path, mode, user, group, error, size) == -1) {
		unlink(path);
		close(fd);
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	l->fd = fd;
	l->path = xstrdup(path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->accepted = accepted;
	l->arg = arg;
	timer_init(&l->retry, loop, on_retry, l);
	event_assign(&l->ev, loop_base(loop), fd, EV_READ | EV_PERSIST,
	    on_connection, l);
	event_add(&l->ev, NULL);
	return l;
}

void
listener_pause(struct listener *l, bool pause)
{
	if (l == NULL || l->is_paused == pause)
		return;
	l->is_paused = pause;
	listener_watch(l);
}

void
listener_close(struct listener *l)
{
	struct stat st;

	if (l == NULL)
		return;
	event_del(&l->ev);
	timer_clear(&l->retry);
	close(l->fd);
	/* Unless somebody else put a socket of his there. */
	if (lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->path);
	free(l->path);
	free(l);
}
