/* process.c - limits and standard files of this process. */
#include "base/process.h"

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define FILES_MAX	1048576

void
raise_files_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return;
	r.rlim_cur = r.rlim_max < FILES_MAX ? r.rlim_max : FILES_MAX;
	setrlimit(RLIMIT_NOFILE, &r);
}

void
hold_std_files(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null",
		    fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd)
			_exit(EX_OSERR);
}

void
ignore_write_signals(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

int
flush_stdout(int status)
{
	/* An earlier failure leaves its mark, but no reason. */
	if (fflush(stdout) == EOF)
		warn("writing to stdout");
	else if (ferror(stdout))
		warnx("writing to stdout failed");
	else
		return status;
	return EX_IOERR;
}
