/*
 * sandbox_test.c - every program tries in its cage what it should not be able
 * to do (agent/cage.h, --sandbox-test); here is what becomes of it.
 */
#include "master.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/cage.h"
#include "base/mem.h"
#include "postfix/settings.h"

#define OUTPUT_MAX	(64 * 1024)
#define ATTEMPTS_MAX	200
#define FIELDS		5

/* With an option that its kind of relay always has. */
static const struct program {
	const char	*name, *option;
} programs[] = {
	{ "smtp-mx", NULL },
	{ "smtp-static", "host=mail.example.net" },
	{ "lmtp", NULL },
	{ "http", "url=https://mail.example.net/" },
	{ "blackhole", NULL },
	{ "pipe", NULL },
	{ "custom", NULL },
	{ "intake-lmtp", "spool_directory=/var/tmp" },
	{ "metrics-http", NULL },
};
#define NPROGRAMS	(sizeof(programs) / sizeof(programs[0]))

enum form { FORM_TEXT, FORM_TSV, FORM_JSON };

struct tried {
	const char	*name;
	struct buf	 out;
	/* name, what is due, what it was, how, without a cage */
	const char	*v[ATTEMPTS_MAX][FIELDS];
	size_t		 n;
};

struct test {
	enum form	 form;
	struct tried	*v;
	size_t		 n;
	unsigned	 nfaults;
};

/* ---- asking ---- */

/* Lines of fields; those that are no such thing are left out. */
static void
split(struct tried *t)
{
	char *line, *next, *field;
	size_t i;

	for (line = buf_data(&t->out); line != NULL && *line != '\0' &&
	    t->n < ATTEMPTS_MAX; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		for (i = 0; i < FIELDS && (field = strsep(&line, "\t")) != NULL;
		    i++)
			t->v[t->n][i] = field;
		if (i == FIELDS)
			t->n++;
	}
}

/* False: there is no such program, or it could not be tried. */
static bool
ask(struct test *test, const char *folder, const struct program *p)
{
	char *path = xasprintf("%s/%s", folder, p->name), error[512];
	const char *argv[] = { path, CAGE_TEST, p->option, NULL };
	struct tried *t = &test->v[test->n];
	bool is_there = access(path, X_OK) == 0;

	if (is_there) {
		t->name = p->name;
		buf_init(&t->out, OUTPUT_MAX);
		if (pf_output_of(path, (char *const *)(uintptr_t)argv, &t->out,
		    error, sizeof(error)) == 0) {
			split(t);
			test->n++;
		} else {
			warnx("%s", error);
			test->nfaults++;
			buf_clear(&t->out);
		}
	}
	free(path);
	return is_there;
}

/* ---- what became of it ---- */

enum verdict { DENIED, DENIED_ANYWAY, ALLOWED, WRONGLY_DENIED,
    WRONGLY_ALLOWED };

static enum verdict
verdict_of(const char *const v[FIELDS])
{
	bool is_due = strcmp(v[1], "allowed") == 0;
	bool is_allowed = strcmp(v[2], "allowed") == 0;
	bool is_outside = strcmp(v[4], "allowed") == 0;

	if (is_allowed)
		return is_due ? ALLOWED : WRONGLY_ALLOWED;
	if (!is_outside)
		return DENIED_ANYWAY;
	return is_due ? WRONGLY_DENIED : DENIED;
}

static const char *
verdict_text(enum verdict verdict)
{
	static const char *const texts[] = { "denied", "(denied)", "allowed",
	    "DENIED", "ALLOWED" };

	return texts[verdict];
}

static const char *const *
find(const struct tried *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->v[i][0], name) == 0)
			return t->v[i];
	return NULL;
}

/* One line an attempt, one column a program. */
static void
print_table(const struct test *test)
{
	const char *const *v;
	const char *name;
	size_t i, k;

	printf("%-32s", "");
	for (k = 0; k < test->n; k++)
		printf("  %-8s", test->v[k].name);
	putchar('\n');
	for (i = 0; test->n > 0 && i < test->v[0].n; i++) {
		name = test->v[0].v[i][0];
		printf("%-32s", name);
		for (k = 0; k < test->n; k++) {
			v = find(&test->v[k], name);
			printf("  %-*s", strlen(test->v[k].name) > 8 ?
			    (int)strlen(test->v[k].name) : 8, v == NULL ? "" :
			    verdict_text(verdict_of(v)));
		}
		putchar('\n');
	}
	puts("\n(denied): without the sandbox, too; allowed: needed, or a "
	    "program's own right;\nin capitals: not as it should be");
}

/* The words are ours, and have nothing that either form must escape. */
static void
print_lines(const struct test *test)
{
	const struct tried *t;
	size_t i, k;

	for (k = 0; k < test->n; k++)
		for (i = 0, t = &test->v[k]; i < t->n; i++)
			printf(test->form == FORM_TSV ?
			    "%s\t%s\t%s\t%s\t%s\t%s\n" :
			    "{\"program\":\"%s\",\"attempt\":\"%s\","
			    "\"expected\":\"%s\",\"result\":\"%s\","
			    "\"how\":\"%s\",\"without\":\"%s\"}\n", t->name,
			    t->v[i][0], t->v[i][1], t->v[i][2], t->v[i][3],
			    t->v[i][4]);
}

static void
count_faults(struct test *test)
{
	size_t i, k;

	for (k = 0; k < test->n; k++)
		for (i = 0; i < test->v[k].n; i++)
			test->nfaults += verdict_of(test->v[k].v[i]) >=
			    WRONGLY_DENIED;
}

/* ---- the command ---- */

static int
parse_form(const char *arg, enum form *form_r)
{
	static const char *const words[] = { "--output=text", "--output=tsv",
	    "--output=json" };
	size_t i;

	for (i = 0; i < 3; i++)
		if (strcmp(arg, words[i]) == 0) {
			*form_r = (enum form)i;
			return 0;
		}
	warnx("sandbox-test: unknown option %s", arg);
	return -1;
}

static int
ask_all(struct test *test, const char *folder, int argc, char **argv)
{
	const struct program *p;
	int i;

	for (p = programs; argc == 0 && p < programs + NPROGRAMS; p++)
		ask(test, folder, p);
	for (i = 0; i < argc; i++) {
		for (p = programs; p < programs + NPROGRAMS; p++)
			if (strcmp(p->name, argv[i]) == 0)
				break;
		if (p == programs + NPROGRAMS || !ask(test, folder, p)) {
			warnx("sandbox-test: there is no program %s/%s",
			    folder, argv[i]);
			return -1;
		}
	}
	return 0;
}

int
sandbox_test(int argc, char **argv)
{
	struct test test = { .form = FORM_TEXT };
	char *folder = config_agents_folder();
	int i = 1, status = EX_USAGE;

	while (i < argc && argv[i][0] == '-')
		if (parse_form(argv[i++], &test.form) == -1) {
			free(folder);
			return EX_USAGE;
		}
	test.v = xcalloc(NPROGRAMS + (size_t)argc, sizeof(*test.v));
	if (ask_all(&test, folder, argc - i, argv + i) == 0) {
		count_faults(&test);
		if (test.form == FORM_TEXT)
			print_table(&test);
		else
			print_lines(&test);
		status = test.nfaults == 0 && test.n > 0 ? EX_OK : 1;
	}
	while (test.n > 0)
		buf_clear(&test.v[--test.n].out);
	free(test.v);
	free(folder);
	return status;
}
