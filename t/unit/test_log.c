/* test_log.c - lines to stderr: what, when, how long. */
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "test.h"

static char got[256 * 1024];
static int out, real_stderr;

/* From here on stderr is a file. */
static void
capture(void)
{
	out = memfd_create("log", 0);
	real_stderr = dup(STDERR_FILENO);
	dup2(out, STDERR_FILENO);
}

/* What has been written since the last look. */
static const char *
written(void)
{
	off_t n = lseek(out, 0, SEEK_CUR);

	if (n >= (off_t)sizeof(got))
		n = sizeof(got) - 1;
	if (pread(out, got, (size_t)n, 0) != n)
		n = 0;
	got[n] = '\0';
	if (ftruncate(out, 0) == -1)
		got[0] = '\0';
	lseek(out, 0, SEEK_SET);
	return got;
}

/* "2026-11-21T22:10:00Z " and the rest, with our pid. */
static bool
is_line(const char *line, const char *rest)
{
	char want[8192];
	size_t i;
	static const char form[] = "dddd-dd-ddTdd:dd:ddZ ";

	for (i = 0; form[i] != '\0'; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)line[i]) :
		    line[i] != form[i])
			return false;
	snprintf(want, sizeof(want), "%s", rest);
	return strcmp(line + i, want) == 0;
}

static void
test_lines(void)
{
	char want[256];

	log_set(LOG_TO_STDERR, LOG_LEVEL_INFO);
	log_info("one %d", 1);
	is_str(written(), "", "a line is kept");
	log_flush();
	snprintf(want, sizeof(want), "me[%d]: one 1\n", (int)getpid());
	ok(is_line(written(), want), "and written by log_flush()");
	log_flush();
	is_str(written(), "", "once");
	log_info("first");
	log_warning("second");
	written();
	ok(strstr(got, "]: first\n") != NULL &&
	    strstr(got, "]: warning: second\n") != NULL &&
	    strstr(got, "first") < strstr(got, "second"),
	    "a warning leaves at once, behind what was kept");
	log_error("third");
	ok(strstr(written(), "]: error: third\n") != NULL, "an error, too");
	log_set_ident("other");
	log_error("x");
	snprintf(want, sizeof(want), "other[%d]: error: x\n", (int)getpid());
	ok(is_line(written(), want), "another name");
	log_set_ident("me");
}

static void
test_levels(void)
{
	static const enum log_level levels[] = { LOG_LEVEL_ERROR,
		LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
	size_t i, n, lines;

	for (i = 0; i < 4; i++) {
		log_set(LOG_TO_STDERR, levels[i]);
		log_error("e");
		log_warning("w");
		log_info("i");
		log_debug("d");
		log_flush();
		written();
		for (n = lines = 0; got[n] != '\0'; n++)
			lines += got[n] == '\n';
		is_int((intmax_t)lines, (intmax_t)i + 1,
		    "level %d: lines", levels[i]);
		is_int(log_is_on(LOG_LEVEL_INFO), i >= 2,
		    "level %d: is info on?", levels[i]);
	}
}

static void
test_long(void)
{
	static char text[10000];
	size_t n;
	int i;

	log_set(LOG_TO_STDERR, LOG_LEVEL_INFO);
	memset(text, 'x', sizeof(text) - 1);
	log_info("%s", text);
	log_info("next");
	log_flush();
	n = strcspn(written(), "\n");
	ok(n > 4000 && n < 4096, "a long line is cut: %zu", n);
	ok(strstr(got + n, "]: next\n") != NULL, "the next is whole");

	/* More than is kept: it is written in between, and none is lost. */
	text[1000] = '\0';
	for (i = 0; i < 200; i++)
		log_info("%d %s.", i, text);
	log_flush();
	written();
	for (i = 0, n = 0; got[n] != '\0'; n++)
		i += got[n] == '\n' && n > 0 && got[n - 1] == '.';
	is_int(i, 200, "many lines: none is lost");
}

/* As on a disk that is full: a line is cut off, the next ones do not fit. */
static void
test_full(void)
{
	static char text[2048];
	int fds[2], i;
	ssize_t n, more;

	if (pipe2(fds, O_NONBLOCK) == -1 ||
	    fcntl(fds[1], F_SETPIPE_SZ, 4096) == -1)
		return;
	log_set(LOG_TO_FILE, LOG_LEVEL_INFO);
	log_set_file(dup(fds[1]));
	memset(text, 'x', 1500);
	for (i = 0; i < 20; i++)
		log_info("%d %s.", i, text);
	log_flush();
	log_info("not there");
	log_flush();
	n = read(fds[0], got, sizeof(got));
	ok(n == 4096 && got[n - 1] == 'x', "full: a line is cut off");
	log_info("after");
	log_flush();
	more = read(fds[0], got + n, sizeof(got) - 1 - (size_t)n);
	got[n + (more > 0 ? more : 0)] = '\0';
	ok(got[n] == '\n' && strstr(got + n, "]: after\n") != NULL,
	    "room again: the next begins its own line");
	ok(strstr(got + n, "log_lost lines=19\n") != NULL,
	    "and those that were lost are told");
	ok(strstr(got, "not there") == NULL, "they are not there");
	log_set(LOG_TO_STDERR, LOG_LEVEL_INFO);
	close(fds[0]);
	close(fds[1]);
}

static void
test_text(void)
{
	static const char *const good[] = { "stderr:error", "stderr:warning",
		"stderr:info", "stderr:debug", "syslog:warning" };
	static const char *const bad[] = { "", ":", "stderr:", "stderr:x",
		"stderr:infos", "std", "stderrx", "syslog :info",
		"stdout:info", "stderr:info:", "STDERR:info" };
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		is_int(log_set_text(good[i]), 0, "\"%s\" is taken", good[i]);
		is_str(log_text(), good[i], "\"%s\" is told", good[i]);
	}
	is_int(log_set_text("stderr"), 0, "without a level");
	is_str(log_text(), "stderr:info", "it is info");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(log_set_text(bad[i]), -1, "\"%s\" is not", bad[i]);
	is_str(log_text(), "stderr:info", "and changes nothing");
}

int
main(void)
{
	capture();
	setenv(LOG_ENV, "nonsense", 1);
	log_open("me");
	ok(strstr(written(), "nonsense") != NULL,
	    "a faulty environment is told");
	setenv(LOG_ENV, "stderr:debug", 1);
	log_open("me");
	is_str(log_text(), "stderr:debug", "the environment is taken");
	test_lines();
	test_levels();
	test_long();
	test_full();
	test_text();
	dup2(real_stderr, STDERR_FILENO);
	return done_testing();
}
