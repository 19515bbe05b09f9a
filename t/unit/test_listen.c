/* test_listen.c - the listening sockets that an intake opens itself. */
#include "intake/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/addr.h"
#include "test.h"

static char dir[] = "/tmp/test_listen.XXXXXX";
static char path[64], address[80], error[512];

static int
listen_at(int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr a;

	if (fd == -1 || addr_unix(&a, path) == -1 ||
	    bind(fd, &a.u.sa, a.len) == -1 || listen(fd, backlog) == -1)
		abort();
	return fd;
}

/* Another client of it; -1 with errno. */
static int
connect_to(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct addr a;

	if (fd == -1 || addr_unix(&a, path) == -1)
		abort();
	if (connect(fd, &a.u.sa, a.len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
test_check(void)
{
	ok(listen_check("unix:/a/b") == NULL, "a path");
	ok(listen_check("inet:127.0.0.1:24") == NULL, "IPv4");
	ok(listen_check("inet:[::1]:24") == NULL, "IPv6");
	ok(listen_check("unix:a") != NULL, "a path that is not absolute");
	ok(listen_check("inet:127.0.0.1") != NULL, "no port");
	ok(listen_check("inet:mail.example:24") != NULL, "a name");
	ok(listen_check("127.0.0.1:24") != NULL, "no family");
	ok(listen_check("") != NULL, "nothing");
}

static void
test_stale(void)
{
	struct stat st;
	int fd;

	close(listen_at(1));
	ok(stat(path, &st) == 0, "a path that nobody listens at");
	fd = listen_bind(address, error, sizeof(error));
	ok(fd != -1, "makes room");
	close(connect_to());
	close(fd);
	listen_unlink(address);
	ok(stat(path, &st) == -1 && errno == ENOENT, "removed");
}

/* Whoever listens there may hang: we must not, which the alarm sees to. */
static void
test_full(void)
{
	int clients[64], fd = listen_at(1), n = 0;
	struct stat st;

	while (n < 64 && (clients[n] = connect_to()) != -1)
		n++;
	ok(n < 64 && errno == EAGAIN, "a queue that is full");
	alarm(20);
	is_int(listen_bind(address, error, sizeof(error)), -1, "is taken");
	alarm(0);
	ok(strstr(error, "Address already in use") != NULL, "%s", error);
	ok(stat(path, &st) == 0, "and stays");
	while (n > 0)
		close(clients[--n]);
	close(fd);
	unlink(path);
}

/* A file that is no socket is nobody's to remove. */
static void
test_file(void)
{
	FILE *f = fopen(path, "w");
	struct stat st;

	if (f == NULL)
		abort();
	fclose(f);
	is_int(listen_bind(address, error, sizeof(error)), -1, "a file");
	ok(stat(path, &st) == 0 && S_ISREG(st.st_mode), "stays");
	unlink(path);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(address, sizeof(address), "unix:%s", path);
	test_check();
	test_stale();
	test_full();
	test_file();
	rmdir(dir);
	return done_testing();
}
