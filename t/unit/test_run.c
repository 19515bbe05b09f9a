/* One run of a program: what it is fed, and by which way. */
#include <sys/mman.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/envelope.h"
#include "pipe/run.h"
#include "test.h"

static struct loop *loop;
static struct run_outcome got;
static char out[RESULT_OUTPUT_MAX + 1];
static int ndone, ngone;

static void
on_done(void *arg, const struct run_outcome *o)
{
	(void)arg;
	got = *o;
	memcpy(out, o->result.out, o->result.out_len);
	out[o->result.out_len] = '\0';
	ndone++;
}

static void
on_gone(void *arg)
{
	(void)arg;
	ngone++;
}

static const struct run_ops ops = { on_done, on_gone };

static void
run(const char *script, const struct body *body, const char *prefix,
    unsigned how, bool is_as_is, int64_t timeout_ms)
{
	char *argv[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c",
	    (char *)(uintptr_t)script, NULL };
	char *env[] = { (char *)(uintptr_t)"PATH=/usr/bin:/bin", NULL };
	struct run_spec spec = {
		.process = { .path = "/bin/sh", .argv = argv, .env = env,
		    .is_session = true, .umask = -1 },
		.feed = { .body = body, .prefix = prefix, .how = how,
		    .is_as_is = is_as_is },
		.timeout_ms = timeout_ms,
		.grace_ms = 300
	};

	ndone = ngone = 0;
	run_start(loop, &spec, &ops, NULL);
	is_int(ndone, 0, "not inside the call: %s", script);
	while (ngone == 0)
		loop_turn(loop, 1000);
	is_int(ndone, 1, "done once");
}

/* A memfd with the text, so many times; sealed or not. */
static struct body
memory(const char *text, int times, bool is_sealed)
{
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING), i;
	size_t n = strlen(text);

	for (i = 0; i < times; i++)
		if (write(fd, text, n) != (ssize_t)n)
			diag("write: %s", strerror(errno));
	if (is_sealed)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
		    F_SEAL_WRITE);
	return (struct body){ .fd = fd, .len = n * (size_t)times };
}

static void
test_ways(void)
{
	static const char look[] = "readlink /proc/self/fd/0 | cut -c 1-13; "
	    "head -c 2 | tr '\\n' /; wc -c";
	struct body sealed = memory("a\nb\n", 20000, true);
	struct body plain = memory("a\nb\n", 20000, false);
	struct body part = sealed, text = { .mem = "x\r\ny", .fd = -1,
	    .len = 4 };
	int i;

	for (i = 0; i < 2; i++) {
		run(look, &sealed, "", 0, true, 5000);
		is_str(out, "/memfd:messag\na/79998\n",
		    "a sealed one is stdin, from its start");
	}
	is_int(lseek(sealed.fd, 0, SEEK_CUR), 80000, "our offset stays");
	ok(got.result.has_all, "it has all");
	run(look, &plain, "", 0, true, 5000);
	ok(strncmp(out, "pipe:", 5) == 0 && strstr(out, "a/79998") != NULL,
	    "one that may change goes through a pipe");
	run(look, &sealed, "P: x\n", 0, true, 5000);
	ok(strncmp(out, "pipe:", 5) == 0 && strstr(out, "P:80003") != NULL,
	    "so does one with lines before it: %s", out);
	part.offset = 4;
	part.len -= 4;
	run(look, &part, "", 0, true, 5000);
	ok(strncmp(out, "pipe:", 5) == 0 && strstr(out, "a/79994") != NULL,
	    "and a part of a larger one");
	run("cat", &text, "", 0, false, 5000);
	is_str(out, "x\ny\n", "from memory, converted");
	close(sealed.fd);
	close(plain.fd);
}

static void
test_ends(void)
{
	struct body big = memory("0123456789abcde\n", 100000, false);

	run("exec <&-; sleep 0.2; exit 7", &big, "", 0, true, 5000);
	is_int(got.end, RUN_EXITED, "stdin closed is no fault");
	is_int(WEXITSTATUS(got.result.wait_status), 7, "its status");
	ok(!got.result.has_all, "it has not all");
	run("cat >/dev/null; sleep 9", &big, "", 0, true, 200);
	is_int(got.end, RUN_TIMED_OUT, "the time is over");
	ok(got.result.has_all, "it had all");
	run("trap '' TERM; while :; do sleep 0.05; done", &big, "", 0, true,
	    200);
	is_int(got.end, RUN_TIMED_OUT, "not by SIGTERM alone");
	ok(WIFSIGNALED(got.result.wait_status) &&
	    WTERMSIG(got.result.wait_status) == SIGKILL, "by SIGKILL");
	/* Said to be longer than it is. */
	big.len += 1;
	run("cat >/dev/null; sleep 9", &big, "", 0, true, 5000);
	is_int(got.end, RUN_BODY_FAILED, "the message ends early");
	is_int(got.body_read, 1600000, "after so many bytes");
	big.len -= 1;
	close(big.fd);
	big.fd = 9999;
	run("cat", &big, "", 0, false, 5000);
	is_int(got.end, RUN_BODY_FAILED, "no message at all");
	is_int(got.error, EBADF, "why");
}

static void
test_output(void)
{
	struct body none = { .mem = "", .fd = -1 };

	run("head -c 100000 /dev/zero | tr '\\0' x; echo err >&2; exit 1",
	    &none, "", 0, false, 5000);
	is_int(got.result.out_len, RESULT_OUTPUT_MAX, "the first 4 KiB");
	is_int(got.result.err_len, 4, "all of stderr");
	run("printf a; sleep 0.2; printf b; (sleep 1; echo late) & exit 0",
	    &none, "", 0, false, 5000);
	is_str(out, "ab", "what was there at the end");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	test_ways();
	test_ends();
	test_output();
	loop_turn(loop, 0);
	loop_free(loop);
	return done_testing();
}
