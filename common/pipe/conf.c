/* conf.c - the options of the pipe agent. */
#include "pipe/conf.h"

#include <sys/stat.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/frame.h"

#define SEC	1000LL
#define AT(field)	offsetof(struct pipe_conf, field)

static const struct opt_word preset_words[] = {
	{ "pipe", PRESET_PIPE, "the command of args" },
	{ "maildrop", PRESET_MAILDROP, "maildrop -f SENDER -d USER, and its "
	    "exit statuses" },
	{ "dovecot", PRESET_DOVECOT, "dovecot-lda -f SENDER -d USER, and its "
	    "exit statuses" },
	{ .word = NULL }
};

static const struct opt_word privs_words[] = {
	{ "auto", PRIVS_AUTO, "they are, but not with preset maildrop, which "
	    "is such a file" },
	{ "yes", PRIVS_KEPT, "they are" },
	{ "no", PRIVS_GAINED, "they are not" },
	{ .word = NULL }
};

/* ---- checks of single values ---- */

static const char *
check_flags(const char *value)
{
	return strspn(value, "BDFORXhqu.>") == strlen(value) ? NULL :
	    "has a letter that is none of BDFORXhqu.>";
}

static const char *
check_delimiter(const char *value)
{
	return strlen(value) <= 1 ? NULL : "is longer than one character";
}

static const char *
check_umask(const char *value)
{
	size_t n = strlen(value);

	return n >= 1 && n <= 4 && strspn(value, "01234567") == n &&
	    (n < 4 || *value == '0') ? NULL : "is not octal, as 077";
}

static const char *
check_directory(const char *value)
{
	return *value == '/' ? NULL : "is not an absolute path";
}

static const char *
check_word(const char *value)
{
	static char error[256];
	struct arena *arena = arena_new(512);
	struct macro_word w;
	int result = macro_parse(&w, value, arena, error, sizeof(error));

	arena_free(arena);
	return result == 0 ? NULL : error;
}

static const char *
check_pattern(const char *value)
{
	static char error[256];
	char why[200];
	struct pattern *p;

	if (*value == '\0')
		return NULL;
	if ((p = pattern_new(value, why, sizeof(why))) == NULL) {
		snprintf(error, sizeof(error), "does not compile: %s", why);
		return error;
	}
	pattern_free(p);
	return NULL;
}

/* ---- the rows ---- */

const struct opt_row pipe_conf_rows[] = {
	{ "preset", OPT_ENUM, AT(preset), "pipe", 0, 0, preset_words, NULL, 0,
	    "Which program. In the configuration file the types maildrop and "
	    "dovecot say it." },
	{ "args", OPT_ARGV, AT(args), NULL, 0, 0, NULL, check_word, 0,
	    "The program and its arguments, with macros; required where the "
	    "preset is pipe. Split like a shell's words, without a shell. A "
	    "program without a slash is searched in PATH." },
	{ "path", OPT_STRING, AT(path), NULL, 0, 0, NULL, NULL, 0, "The "
	    "executable of a preset; without it maildrop or dovecot-lda, "
	    "searched in PATH. On Debian dovecot-lda is not there but in "
	    "/usr/lib/dovecot." },
	{ "extra_args", OPT_ARGV, AT(extra_args), NULL, 0, 0, NULL,
	    check_word, 0, "Arguments of a preset behind its own, with "
	    "macros." },
	{ "user_template", OPT_STRING, AT(user_template), "{recipient}", 0, 0,
	    NULL, check_word, 0, "What a preset gives behind -d: a mailbox's "
	    "owner. {user} for local users, {recipient} for whole "
	    "addresses." },
	{ "exit_on_reject", OPT_BOOL, AT(exit_on_reject), "yes", 0, 0, NULL,
	    NULL, 0, "dovecot-lda gets -e: it fails where it would send a "
	    "rejection by itself, so that the submitter makes the bounce." },
	{ "per_recipient", OPT_BOOL, AT(per_recipient), "yes", 0, 0, NULL,
	    NULL, 0, "One run for each recipient. no: one for all recipients "
	    "of an envelope, who share its outcome; a word with a macro of "
	    "the recipient becomes as many words as there are recipients." },
	{ "flags", OPT_STRING, AT(flags), "", 0, 0, NULL, check_flags, 0,
	    "Changes of the message and of addresses, by the letters of "
	    "Postfix's pipe(8); see below." },
	{ "crlf", OPT_BOOL, AT(crlf), "no", 0, 0, NULL, NULL, 0, "Lines of "
	    "the message end with CRLF, not with LF." },
	{ "null_sender", OPT_STRING, AT(null_sender), "", 0, 0, NULL, NULL, 0,
	    "What stands for the empty sender of bounces in {sender}, in "
	    "Return-Path and in the From_ line. Postfix has MAILER-DAEMON "
	    "here." },
	{ "recipient_delimiter", OPT_STRING, AT(recipient_delimiter), "+", 0,
	    0, NULL, check_delimiter, 0, "What separates {user} and "
	    "{extension} in a local part; empty: nothing does." },
	{ "size_limit", OPT_SIZE, AT(size_limit), "0", 0, INT64_MAX, NULL,
	    NULL, 0, "Larger messages fail for good. 0: no limit." },
	{ "max_processes", OPT_INT, AT(max_processes), "20", 1, 10000, NULL,
	    NULL, 0, "Runs at once, for each process of the agent; further "
	    "ones wait." },
	{ "queue_timeout", OPT_TIME, AT(queue_timeout_ms), "300s", 1,
	    86400 * SEC, NULL, NULL, 0, "Wait for a free run when "
	    "max_processes is reached; then 451 4.4.5." },
	{ "timeout", OPT_TIME, AT(timeout_ms), "1000s", 1, 86400 * SEC, NULL,
	    NULL, 0, "A run may take so long; then its process group is "
	    "ended, and the delivery fails with 450 4.4.2." },
	{ "kill_timeout", OPT_TIME, AT(kill_timeout_ms), "2s", 1, 3600 * SEC,
	    NULL, NULL, 0, "Between SIGTERM and SIGKILL to a run whose time is "
	    "over." },
	{ "window", OPT_INT, AT(window), "5000", 1, FRAME_WINDOW_MAX, NULL,
	    NULL, 0, "Deliveries the agent accepts at once." },
	{ "user", OPT_STRING, AT(user), NULL, 0, 0, NULL, NULL, OPT_CLI_ONLY,
	    "Run the program as this user, never root; without it nobody, "
	    "where root has started the agent. Behind nexthop-master it is "
	    "the user of the relay." },
	{ "group", OPT_STRING, AT(group), NULL, 0, 0, NULL, NULL,
	    OPT_CLI_ONLY, "And as this group; without it that of the user." },
	{ "directory", OPT_STRING, AT(directory), "/", 0, 0, NULL,
	    check_directory, 0, "The program's working directory." },
	{ "umask", OPT_STRING, AT(umask), "077", 0, 0, NULL, check_umask, 0,
	    "The program's umask, octal." },
	{ "environment", OPT_DICT, AT(environment), NULL, 0, 100, NULL,
	    check_word, 0, "Variables for the program, with macros. It gets "
	    "PATH, HOME, USER, LOGNAME, SHELL, TZ, LANG, SENDER and, in a "
	    "run for one recipient, RECIPIENT in any case, and nothing "
	    "else." },
	{ "no_new_privs", OPT_ENUM, AT(no_new_privs), "auto", 0, 0,
	    privs_words, NULL, 0, "Whether set-user-ID and set-group-ID files "
	    "are kept from giving rights to the program." },
	{ "cpu_limit", OPT_TIME, AT(cpu_limit_ms), "0", 0, 86400 * SEC, NULL,
	    NULL, 0, "Processor time of the program, in whole seconds. 0: no "
	    "limit of its own, here and below." },
	{ "memory_limit", OPT_SIZE, AT(memory_limit), "0", 0, INT64_MAX, NULL,
	    NULL, 0, "Address space of the program." },
	{ "file_size_limit", OPT_SIZE, AT(file_size_limit), "0", 0, INT64_MAX,
	    NULL, NULL, 0, "Size of a file that the program writes." },
	{ "open_files_limit", OPT_INT, AT(open_files_limit), "1024", 0,
	    1048576, NULL, NULL, 0, "Descriptors of the program." },
	{ "processes_limit", OPT_INT, AT(processes_limit), "0", 0, 4194304,
	    NULL, NULL, 0, "Processes of the user that the program runs "
	    "as." },
	{ "error_pattern", OPT_STRING, AT(error_pattern), NULL, 0, 0, NULL,
	    check_pattern, 0, "A regular expression of PCRE2 that finds the "
	    "error message in what a failed run printed; see below." },
	{ "strict_source", OPT_BOOL, AT(strict_source), "no", 0, 0, NULL,
	    NULL, 0, "As python-slimta judges: only an enhanced status code "
	    "at the start of what was printed makes a failure permanent, the "
	    "exit status never." },
	TRANSCRIPT_ROWS(AT(transcript)),
	{ .name = NULL }
};

/* ---- options that go together ---- */

struct checker {
	opt_report	*report;
	void		*arg;
	int		 faults;
};

static void
fault(struct checker *c, bool is_wrong, const char *name, const char *text)
{
	if (!is_wrong)
		return;
	c->report(c->arg, name, text);
	c->faults++;
}

static void
check_names(struct checker *c, const struct opt_dict *env)
{
	const char *p;
	size_t i;

	for (i = 0; i < env->n; i++) {
		p = env->v[i].key;
		while (isalnum((unsigned char)*p) || *p == '_')
			p++;
		fault(c, *p != '\0' || isdigit((unsigned char)*env->v[i].key),
		    "environment", "the name of a variable has only letters, "
		    "digits and _, and no digit first");
	}
}

static bool
uses_rcpt(const char *text)
{
	struct arena *arena = arena_new(512);
	struct macro_word w;
	char error[256];
	bool result = macro_parse(&w, text, arena, error, sizeof(error)) == 0 &&
	    (w.uses & MACRO_OF_RCPT) != 0;

	arena_free(arena);
	return result;
}

/* What has no meaning in a run for several recipients. */
static void
check_shared(struct checker *c, const struct pipe_conf *conf)
{
	size_t i;

	fault(c, strpbrk(conf->flags, "DO") != NULL, "flags", "D and O need "
	    "per_recipient = yes");
	fault(c, conf->preset != PRESET_PIPE, "per_recipient", "a preset has "
	    "one run for each recipient");
	fault(c, conf->args.n > 0 && uses_rcpt(conf->args.v[0]), "args", "the "
	    "program depends on the recipient, which needs "
	    "per_recipient = yes");
	for (i = 0; i < conf->environment.n; i++)
		fault(c, uses_rcpt(conf->environment.v[i].value),
		    "environment", "a variable depends on the recipient, which "
		    "needs per_recipient = yes");
}

int
pipe_conf_check(void *values, opt_report *report, void *arg)
{
	const struct pipe_conf *conf = values;
	struct checker c = { report, arg, 0 };
	bool is_preset = conf->preset != PRESET_PIPE;

	fault(&c, !is_preset && conf->args.n == 0, "args", "required: the "
	    "program and its arguments");
	fault(&c, !is_preset && conf->args.n > 0 && *conf->args.v[0] == '\0',
	    "args", "the program is an empty word");
	fault(&c, is_preset && conf->args.n > 0, "args", "not with a preset: "
	    "it has path and extra_args");
	fault(&c, !is_preset && conf->path != NULL, "path", "only with a "
	    "preset; without one the program is the first word of args");
	fault(&c, !is_preset && conf->extra_args.n > 0, "extra_args", "only "
	    "with a preset");
	if (!conf->per_recipient)
		check_shared(&c, conf);
	check_names(&c, &conf->environment);
	return c.faults;
}
