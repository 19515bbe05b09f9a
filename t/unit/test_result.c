/* Exit statuses and output of programs as replies. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "pipe/result.h"
#include "test.h"

static struct arena *arena;
static struct result_rules rules;

static const char *
judge(int status, const char *out, const char *err)
{
	struct result res = { .wait_status = status, .out = out, .err = err,
	    .out_len = strlen(out), .err_len = strlen(err), .has_all = true };
	struct reply r;

	result_reply(&r, &rules, &res, "prog", arena);
	return arena_printf(arena, "%s %u " DSN_FMT " %s",
	    reply_class_name(r.cls), r.code, DSN_ARG(&r), r.text);
}

static const char *
exits(int code, const char *out, const char *err)
{
	return judge(W_EXITCODE(code, 0), out, err);
}

static void
test_general(void)
{
	is_str(exits(0, "5.1.1 x", ""),
	    "delivered 250 2.0.0 delivered to command: prog", "0");
	is_str(exits(1, "", ""), "transient 450 4.0.0 Delivery failed", "1");
	is_str(exits(1, " a\r\nb \n\n", "c"), "transient 450 4.0.0  a\nb",
	    "whole output, its end cut");
	is_str(exits(67, "", "who\n"), "permanent 550 5.1.1 who", "67");
	is_str(exits(65, "", ""), "permanent 554 5.6.0 data format error", "65");
	is_str(exits(67, "4.2.1 not now", ""),
	    "transient 450 4.2.1 not now", "the code before the status");
	is_str(exits(1, "5.999.300 x", ""), "permanent 550 5.0.0 x",
	    "numbers that no registry has");
	is_str(exits(1, "5.1.1\tx", ""), "permanent 550 5.1.1 x", "tab");
	is_str(exits(1, "5.1.1\nx", ""), "permanent 550 5.1.1 x", "line end");
	is_str(judge(W_EXITCODE(0, SIGKILL), "", ""), "transient 450 4.3.0 "
	    "prog ended by signal 9 (Killed); message may have been delivered",
	    "signal");
	is_str(judge(W_EXITCODE(0, SIGSEGV), "oops", ""), "transient 450 "
	    "4.3.0 prog ended by signal 11 (Segmentation fault); message may "
	    "have been delivered: oops", "signal with output");
	is_str(judge(W_EXITCODE(0, SIGTERM), "5.1.1 x", ""),
	    "permanent 550 5.1.1 x", "signal with a code");
}

static void
test_presets(void)
{
	rules = (struct result_rules){ .rows = result_maildrop_rows,
	    .form = RESULT_LAST_LINE, .name = "maildrop" };
	is_str(exits(75, "", "x\nmaildrop: No lock.\n\n"),
	    "transient 450 4.3.0 No lock.", "last line, name cut");
	is_str(exits(75, "", "/usr/bin/maildrop: No lock."),
	    "transient 450 4.3.0 No lock.", "name with a path");
	is_str(exits(75, "", "mymaildrop: x"),
	    "transient 450 4.3.0 mymaildrop: x", "another name");
	is_str(exits(64, "", ""), "transient 450 4.3.5 maildrop was called in "
	    "a wrong way", "our fault");
	is_str(exits(42, "no", "maildrop: yes"), "permanent 550 5.0.0 no",
	    "EXITCODE, and stdout first");
	is_str(exits(1, "", "maildrop: 4.7.1 x"), "transient 450 4.7.1 x",
	    "a code behind the name");
	rules = (struct result_rules){ .rows = result_dovecot_rows,
	    .form = RESULT_LAST_LINE, .marker = ": rejected: " };
	is_str(exits(77, "", "5.2.2 full"), "permanent 552 5.2.2 full", "77");
	is_str(exits(77, "", "lda: Info: msgid=<x>: rejected: 5.2.2 full"),
	    "permanent 552 5.2.2 full", "77, logged to stderr");
	is_str(exits(89, "", ""), "transient 450 4.3.0 LDA delivery failed",
	    "its own status");
}

static void
test_pattern(const char *pattern, int code, const char *out, const char *err,
    const char *want)
{
	struct pattern *p;
	char error[256] = "";

	rules = (struct result_rules){ .rows = NULL };
	rules.pattern = p = pattern_new(pattern, error, sizeof(error));
	if (p == NULL)
		is_str(error, want, "%s", pattern);
	else
		is_str(exits(code, out, err), want, "%s in %s|%s", pattern,
		    out, err);
	pattern_free(p);
}

static void
test_patterns(void)
{
	test_pattern("^E (.*)$", 1, "x\nE 5.1.1 gone\ny", "",
	    "permanent 550 5.1.1 gone");
	test_pattern("^E (.*)$", 1, "x", "E 550 5.1.1 gone",
	    "permanent 550 5.1.1 gone");
	test_pattern("E .*", 67, "E one", "E two",
	    "permanent 550 5.1.1 E one");
	test_pattern("(?<code>\\d+)/(?<esc>\\S+) (?<message>.*)", 67,
	    "x 452/4.2.2 full", "", "transient 452 4.2.2 full");
	test_pattern("(?P<code>\\d+)/", 67, "x 250/", "",
	    "permanent 550 5.1.1 x 250/");
	test_pattern("(?P<code>\\d+)/(?<esc>\\S+)", 1, "550/4.7.1", "",
	    "permanent 550 5.0.0 550/4.7.1");
	test_pattern("(?<esc>5\\S+)", 1, "a 5.7.1x", "",
	    "transient 450 4.0.0 a 5.7.1x");
	test_pattern("(x)?a", 1, "a 5.1.1", "", "transient 450 4.0.0 a 5.1.1");
	test_pattern("none", 1, "5.1.1 x", "", "permanent 550 5.1.1 x");
	test_pattern("(a+)+$", 1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
	    "", "transient 450 4.0.0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
	test_pattern("[", 1, "", "",
	    "missing terminating ] for character class at offset 1");
}

static void
test_strict(void)
{
	rules = (struct result_rules){ .is_strict = true };
	is_str(exits(67, "", ""), "transient 450 4.0.0 Delivery failed",
	    "strict: status");
	is_str(exits(75, "5.2.2 x", ""), "permanent 550 5.2.2 x",
	    "strict: code");
	is_str(exits(1, "5.2.2", ""), "transient 450 4.0.0 5.2.2",
	    "strict: code alone");
}

int
main(void)
{
	arena = arena_new(4096);
	test_general();
	test_presets();
	test_patterns();
	test_strict();
	arena_free(arena);
	return done_testing();
}
