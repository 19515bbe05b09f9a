/*
 * sendfile.c - how fast the kernel moves a file to a TCP connection on this
 * machine when nothing else is done, as lines of "name value unit": what
 * deliveries of large messages are measured against.
 *
 * A child reads to the end of each file and answers with a byte, as a server
 * answers a message; nothing is looked at.  Files differ, up to FILES_MAX of
 * them, so that they do not all lie in the processor's caches.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES	(256 * 1024)
#define FILES_MAX	40

static double
seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
make_file(off_t size)
{
	char block[4096];
	int fd = memfd_create("bench", MFD_CLOEXEC);
	off_t at;

	memset(block, 'x', sizeof(block));
	if (fd == -1 || ftruncate(fd, size) == -1)
		err(EX_OSERR, "memfd");
	for (at = 0; at < size; at += (off_t)sizeof(block))
		if (pwrite(fd, block, size - at < (off_t)sizeof(block) ?
		    (size_t)(size - at) : sizeof(block), at) == -1)
			err(EX_OSERR, "memfd");
	return fd;
}

/* Both ends of a connection over loopback. */
static void
connect_self(int s[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	s[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || s[0] == -1 ||
	    bind(fd, (struct sockaddr *)&a, len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) == -1 ||
	    listen(fd, 1) == -1 ||
	    connect(s[0], (struct sockaddr *)&a, len) == -1 ||
	    (s[1] = accept(fd, NULL, NULL)) == -1)
		err(EX_OSERR, "connect");
	close(fd);
}

static void
take_all(int fd, off_t size, long count)
{
	static char scratch[READ_BYTES];
	off_t left;
	ssize_t n;

	for (; count > 0; count--) {
		for (left = size; left > 0; left -= n) {
			n = read(fd, scratch, left < READ_BYTES ?
			    (size_t)left : READ_BYTES);
			if (n <= 0)
				_exit(EX_IOERR);
		}
		if (write(fd, "", 1) != 1)
			_exit(EX_IOERR);
	}
	_exit(0);
}

static void
send_all(int file, int fd, off_t size, long count)
{
	ssize_t n;
	off_t at, end;
	char c;

	for (; count > 0; count--) {
		at = count % FILES_MAX * size;
		for (end = at + size; at < end;) {
			n = sendfile(fd, file, &at, (size_t)(end - at));
			if (n <= 0)
				err(EX_IOERR, "sendfile");
		}
		if (read(fd, &c, 1) != 1)
			errx(EX_IOERR, "the reader is gone");
	}
}

static long
number(const char *text, long max)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 1 || n > max)
		errx(EX_USAGE, "%s: not a number from 1 to %ld", text, max);
	return n;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", 1, NULL, 's' }, { "count", 1, NULL, 'n' },
		{ NULL, 0, NULL, 0 }
	};
	long size = 5 << 20, count = 100;
	double wall, cpu, mib;
	int file, s[2], c, status;
	pid_t pid;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 's': size = number(optarg, 100L << 20); break;
		case 'n': count = number(optarg, 1000000); break;
		default:
			fputs("usage: sendfile [--size=BYTES] [--count=N]\n",
			    stderr);
			return EX_USAGE;
		}
	file = make_file(FILES_MAX * size);
	connect_self(s);
	if ((pid = fork()) == -1)
		err(EX_OSERR, "fork");
	if (pid == 0) {
		close(s[0]);
		take_all(s[1], size, count);
	}
	close(s[1]);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	send_all(file, s[0], size, count);
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (waitpid(pid, &status, 0) == -1 || status != 0)
		errx(EX_SOFTWARE, "the reader failed");
	mib = (double)size * (double)count / (1 << 20);
	printf("mib_per_s %.1f MiB/s\n", mib / wall);
	printf("cpu_us_per_mib %.2f us\n", cpu * 1e6 / mib);
	return 0;
}
