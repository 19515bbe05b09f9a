/*
 * sockets.c - listening sockets by address; see sockets.h.
 */
#include "sockets.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/acceptor.h"

#define BACKLOG		4096	/* the system has its own limit, too */

/* ---- addresses ---- */

static void
write_address(const struct addr *a, char text[SOCKET_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];

	addr_format(a, host, sizeof(host));
	if (addr_family(a) == AF_UNIX)
		snprintf(text, SOCKET_TEXT_MAX, "unix:%s", host);
	else
		snprintf(text, SOCKET_TEXT_MAX, addr_family(a) == AF_INET6 ?
		    "inet:[%s]:%u" : "inet:%s:%u", host,
		    (unsigned)addr_port(a));
}

const char *
socket_address(const char *text, struct addr *a, char text_r[SOCKET_TEXT_MAX])
{
	const char *error = NULL, *why;
	struct arena *arena;
	struct hostspec h;

	if (strncmp(text, "unix:", 5) == 0) {
		if (text[5] != '/')
			return "must have an absolute path behind unix:";
		if (addr_unix(a, text + 5) == -1)
			return "is too long for the path of a socket";
		write_address(a, text_r);
		return NULL;
	}
	if (strncmp(text, "inet:", 5) != 0)
		return "must begin with unix: or inet:";
	arena = arena_new(1024);
	if (hostspec_parse(&h, text, 0, arena, &why) == -1 || !h.is_literal)
		error = "must be an address and a port, as inet:127.0.0.1:24 "
		    "or inet:[::1]:24";
	else if (h.port == 0)
		error = "must have a port";
	else {
		addr_parse(a, h.host, h.port);
		write_address(a, text_r);
	}
	arena_free(arena);
	return error;
}

const char *
socket_address_of(int fd, char text_r[SOCKET_TEXT_MAX])
{
	int type = 0, listens = 0;
	socklen_t len = sizeof(type);
	struct addr a;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
		return "is no socket";
	len = sizeof(listens);
	if (type != SOCK_STREAM || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN,
	    &listens, &len) == -1 || !listens)
		return "is no listening stream socket";
	memset(&a, 0, sizeof(a));
	a.len = sizeof(a.u);
	if (getsockname(fd, &a.u.sa, &a.len) == -1)
		return "has no address";
	if (addr_family(&a) == AF_UNIX ? a.u.un.sun_path[0] != '/' :
	    addr_family(&a) != AF_INET && addr_family(&a) != AF_INET6)
		return "has an address of another kind than ours";
	write_address(&a, text_r);
	return NULL;
}

/* ---- UNIX sockets ---- */

static int
new_socket(int family, char *error, size_t size)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		snprintf(error, size, "socket: %s", strerror(errno));
	return fd;
}

/* Whether the path is free; a socket nobody listens on is removed. */
static int
clear_path(const struct addr *a, char *error, size_t size)
{
	const char *path = a->u.un.sun_path;
	struct stat st;
	int fd, taken;

	if (lstat(path, &st) == -1)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, size, "%s: is there already and no socket",
		    path);
		return -1;
	}
	if ((fd = new_socket(AF_UNIX, error, size)) == -1)
		return -1;
	taken = connect(fd, &a->u.sa, a->len) == 0 || errno != ECONNREFUSED;
	close(fd);
	if (taken) {
		snprintf(error, size, "%s: somebody listens there already; "
		    "is another nexthop-master running?", path);
		return -1;
	}
	unlink(path);
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

/* The socket itself, whatever the path leads to by now: its folder may be
 * somebody else's. */
static int
open_itself(const char *path, char *error, size_t size)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd == -1) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
		return fd;
	snprintf(error, size, "%s: is no socket any more", path);
	close(fd);
	return -1;
}

static int
set_look(const char *path, const struct socket_look *look, char *error,
    size_t size)
{
	struct passwd *pw = look->user == NULL ? NULL : getpwnam(look->user);
	struct group *gr = look->group == NULL ? NULL : getgrnam(look->group);
	int fd = open_itself(path, error, size), result = -1;
	char itself[40];

	if (fd == -1)
		return -1;
	snprintf(itself, sizeof(itself), "/proc/self/fd/%d", fd);
	if ((pw != NULL || gr != NULL) && fchownat(fd, "", pw == NULL ?
	    (uid_t)-1 : pw->pw_uid, gr == NULL ? (gid_t)-1 : gr->gr_gid,
	    AT_EMPTY_PATH) == -1)
		snprintf(error, size, "%s: chown: %s", path, strerror(errno));
	else if (chmod(itself, look->mode) == -1)
		snprintf(error, size, "%s: chmod: %s", path, strerror(errno));
	else
		result = 0;
	close(fd);
	return result;
}

static int
bind_unix(int fd, const struct addr *a, const struct socket_look *look,
    char *error, size_t size)
{
	const char *path = a->u.un.sun_path;
	mode_t old;
	int bound;

	old = umask(0177);	/* for its owner alone until set_look() */
	bound = acceptor_listen(fd, a, BACKLOG);
	umask(old);
	if (bound == -1) {
		snprintf(error, size, "%s: bind: %s", path, strerror(errno));
		return -1;
	}
	if (set_look(path, look, error, size) == 0)
		return 0;
	unlink(path);
	return -1;
}

static int
bind_inet(int fd, const struct addr *a, const char *text, char *error,
    size_t size)
{
	if (acceptor_listen(fd, a, BACKLOG) == 0)
		return 0;
	snprintf(error, size, "%s: %s", text, strerror(errno));
	return -1;
}

/* ---- the registry ---- */

void
sockets_init(struct sockets *s)
{
	TAILQ_INIT(&s->all);
	s->is_handed_over = false;
}

static struct listen_socket *
find(const struct sockets *s, const char *address)
{
	struct listen_socket *l;

	TAILQ_FOREACH(l, &s->all, next)
		if (strcmp(l->address, address) == 0)
			return l;
	return NULL;
}

static struct listen_socket *
add(struct sockets *s, const char *address, int fd)
{
	struct listen_socket *l = xcalloc(1, sizeof(*l));
	struct stat st;

	strlcpy(l->address, address, sizeof(l->address));
	l->fd = fd;
	if (strncmp(address, "unix:", 5) == 0 && lstat(address + 5, &st) == 0) {
		l->has_inode = true;
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	TAILQ_INSERT_TAIL(&s->all, l, next);
	return l;
}

/* Nobody else put a socket of his there. */
static bool
is_our_path(const struct listen_socket *l)
{
	struct stat st;

	return l->has_inode && lstat(l->address + 5, &st) == 0 &&
	    st.st_dev == l->dev && st.st_ino == l->ino;
}

static void
close_socket(struct sockets *s, struct listen_socket *l)
{
	close(l->fd);
	if (l->whose == SOCKET_OWN && !s->is_handed_over && is_our_path(l))
		unlink(l->address + 5);
	TAILQ_REMOVE(&s->all, l, next);
	free(l);
}

void
sockets_clear(struct sockets *s)
{
	struct listen_socket *l;

	while ((l = TAILQ_FIRST(&s->all)) != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): left the list */
		close_socket(s, l);
}

static struct listen_socket *
open_new(struct sockets *s, const char *address,
    const struct socket_look *look, char *error, size_t size, int *status_r)
{
	char text[SOCKET_TEXT_MAX];
	struct addr a;
	bool is_unix;
	int fd;

	*status_r = EX_CANTCREAT;
	if (socket_address(address, &a, text) != NULL) {
		snprintf(error, size, "%s: no address", address);
		return NULL;
	}
	is_unix = addr_family(&a) == AF_UNIX;
	if (is_unix) {
		make_folder(a.u.un.sun_path);
		if (clear_path(&a, error, size) == -1) {
			*status_r = EX_TEMPFAIL;
			return NULL;
		}
	}
	if ((fd = new_socket(addr_family(&a), error, size)) == -1)
		return NULL;
	if ((is_unix ? bind_unix(fd, &a, look, error, size) :
	    bind_inet(fd, &a, text, error, size)) == 0)
		return add(s, text, fd);
	if (errno == EADDRINUSE)
		*status_r = EX_TEMPFAIL;
	close(fd);
	return NULL;
}

struct listen_socket *
sockets_open(struct sockets *s, const char *address,
    const struct socket_look *look, char *error, size_t size, int *status_r)
{
	struct listen_socket *l = find(s, address);

	/* How a socket of systemd's looks is told in its unit. */
	if (l == NULL)
		l = open_new(s, address, look, error, size, status_r);
	else if (l->whose != SOCKET_GIVEN && is_our_path(l) &&
	    set_look(address + 5, look, error, size) == -1) {
		*status_r = EX_CANTCREAT;
		return NULL;
	}
	if (l != NULL)
		l->refs++;
	return l;
}

void
sockets_release(struct sockets *s, struct listen_socket *l)
{
	if (l != NULL && --l->refs == 0)
		close_socket(s, l);
}

int
sockets_adopt(struct sockets *s, int fd, enum socket_whose whose, char *error,
    size_t size)
{
	char text[SOCKET_TEXT_MAX] = "";
	const char *why = socket_address_of(fd, text);

	if (why == NULL && find(s, text) != NULL)
		why = "is one of two for the same address";
	if (why != NULL) {
		snprintf(error, size, "descriptor %d%s%s %s", fd,
		    *text == '\0' ? "" : ", ", text, why);
		close(fd);
		return -1;
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ||
	    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == -1) {
		snprintf(error, size, "descriptor %d: %s", fd,
		    strerror(errno));
		close(fd);
		return -1;
	}
	add(s, text, fd)->whose = whose;
	return 0;
}

void
sockets_keep(struct sockets *s)
{
	struct listen_socket *l;

	TAILQ_FOREACH(l, &s->all, next)
		if (l->whose == SOCKET_LENT)
			l->whose = SOCKET_OWN;
}

void
sockets_drop_unused(struct sockets *s)
{
	struct listen_socket *l, *next;

	for (l = TAILQ_FIRST(&s->all); l != NULL; l = next) {
		next = TAILQ_NEXT(l, next);
		if (l->refs > 0)
			continue;
		if (l->whose == SOCKET_GIVEN)
			log_warning("socket %s: handed to us by systemd, but "
			    "nothing of the configuration listens there; "
			    "closed", l->address);
		close_socket(s, l);
	}
}
