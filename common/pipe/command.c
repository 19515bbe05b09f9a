/* command.c - the options of the pipe agent made ready for runs. */
#include <sys/resource.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "pipe/conf.h"
#include "pipe/content.h"

#define PATH_DEFAULT	"/usr/local/sbin:/usr/local/bin:/usr/sbin:" \
	"/usr/bin:/sbin:/bin"
#define WORDS_OF_PRESET	10
#define ENV_OF_OURS	9

/* ---- whom it runs as ---- */

static int
fail(char *error, size_t size, const char *what, const char *name,
    const char *why)
{
	snprintf(error, size, "%s: %s %s", what, name, why);
	return -1;
}

/* Those who run us are whom it runs as, unless we are root. */
static int
find_user(struct pipe_command *c, const struct pipe_conf *conf,
    const struct passwd **pw_r, char *error, size_t size)
{
	const char *user = conf->user != NULL ? conf->user :
	    geteuid() == 0 ? "nobody" : NULL;
	struct passwd *pw = user == NULL ? getpwuid(geteuid()) :
	    getpwnam(user);
	struct group *gr;

	*pw_r = pw;
	if (user == NULL && conf->group == NULL)
		return 0;
	if (pw == NULL)
		return fail(error, size, "user", user == NULL ? "" : user,
		    "is not known");
	c->process.uid = pw->pw_uid;
	c->process.gid = pw->pw_gid;
	if (conf->group != NULL) {
		if ((gr = getgrnam(conf->group)) == NULL)
			return fail(error, size, "group", conf->group,
			    "is not known");
		c->process.gid = gr->gr_gid;
	}
	if (c->process.uid == 0)
		return fail(error, size, "user", user == NULL ? "" : user,
		    "is root, who never runs programs");
	if (geteuid() == 0) {
		c->process.has_identity = true;
		c->group = c->process.gid;
		c->process.groups = &c->group;
		c->process.ngroups = 1;
	} else if (c->process.uid != geteuid() || c->process.gid != getegid())
		return fail(error, size, conf->user != NULL ? "user" :
		    "group", conf->user != NULL ? conf->user : conf->group,
		    "can be had only by root");
	return 0;
}

/* ---- words ---- */

static int
add_word(struct pipe_command *c, const char *text, struct arena *arena,
    char *error, size_t size)
{
	struct macro_word *w = &c->words[c->nwords++];

	if (macro_parse(w, text, arena, error, size) == -1)
		return -1;
	c->uses |= w->uses;
	return 0;
}

static int
add_words(struct pipe_command *c, const char *const *words, size_t n,
    struct arena *arena, char *error, size_t size)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (add_word(c, words[i], arena, error, size) == -1)
			return -1;
	return 0;
}

/* -f SENDER -d USER, then dovecot-lda's own, then the operator's. */
static int
preset_words(struct pipe_command *c, const struct pipe_conf *conf,
    struct arena *arena, char *error, size_t size)
{
	const char *words[WORDS_OF_PRESET];
	size_t n = 0;

	words[n++] = conf->path != NULL ? conf->path :
	    conf->preset == PRESET_MAILDROP ? "maildrop" : "dovecot-lda";
	words[n++] = "-f";
	words[n++] = "{sender}";
	words[n++] = "-d";
	words[n++] = conf->user_template;
	if (conf->preset == PRESET_DOVECOT) {
		if (conf->exit_on_reject)
			words[n++] = "-e";
		c->original_at = (int)n;
		words[n++] = "-a";
		words[n++] = "{original_recipient}";
	}
	return add_words(c, words, n, arena, error, size);
}

static int
take_words(struct pipe_command *c, const struct pipe_conf *conf,
    struct arena *arena, char *error, size_t size)
{
	const struct opt_list *own = conf->preset == PRESET_PIPE ?
	    &conf->args : &conf->extra_args;
	const char *name;

	c->words = arena_calloc(arena, own->n + WORDS_OF_PRESET,
	    sizeof(*c->words));
	c->original_at = -1;
	if ((conf->preset != PRESET_PIPE &&
	    preset_words(c, conf, arena, error, size) == -1) ||
	    add_words(c, (const char *const *)own->v, own->n, arena, error,
	    size) == -1)
		return -1;
	name = conf->preset == PRESET_PIPE ? own->v[0] : conf->path != NULL ?
	    conf->path : conf->preset == PRESET_MAILDROP ? "maildrop" :
	    "dovecot-lda";
	strlcpy(c->name, name, sizeof(c->name));
	return 0;
}

/* ---- environment ---- */

static const char *
given(const struct pipe_conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->environment.n; i++)
		if (strcmp(conf->environment.v[i].key, name) == 0)
			return conf->environment.v[i].value;
	return NULL;
}

static int
add_env(struct pipe_command *c, const char *name, const char *value,
    struct arena *arena, char *error, size_t size)
{
	struct pipe_env *e = &c->env[c->nenv++];

	e->name = name;
	if (macro_parse(&e->value, value, arena, error, size) == -1)
		return -1;
	c->uses |= e->value.uses;
	return 0;
}

/* Braces of a value that is none of the operator's. */
static const char *
literal(const char *value, struct arena *arena)
{
	char *text = arena_alloc(arena, 2 * strlen(value) + 1), *to = text;

	for (; *value != '\0'; value++) {
		if (*value == '{' || *value == '}')
			*to++ = *value;
		*to++ = *value;
	}
	*to = '\0';
	return text;
}

static int
take_environment(struct pipe_command *c, const struct pipe_conf *conf,
    const struct passwd *pw, struct arena *arena, char *error, size_t size)
{
	const char *path = given(conf, "PATH") != NULL ? given(conf, "PATH") :
	    getenv("PATH") != NULL ? getenv("PATH") : PATH_DEFAULT;
	const struct { const char *name, *value; } own[ENV_OF_OURS] = {
		{ "PATH", path },
		{ "HOME", pw == NULL ? "/" : pw->pw_dir },
		{ "USER", pw == NULL ? NULL : pw->pw_name },
		{ "LOGNAME", pw == NULL ? NULL : pw->pw_name },
		{ "SHELL", "/bin/sh" },
		{ "TZ", getenv("TZ") },
		{ "LANG", getenv("LANG") },
		{ "SENDER", NULL },
		{ "RECIPIENT", NULL }
	};
	const struct opt_dict *env = &conf->environment;
	size_t i;

	c->path = arena_strdup(arena, path);
	c->env = arena_calloc(arena, ENV_OF_OURS + env->n, sizeof(*c->env));
	for (i = 0; i < ENV_OF_OURS; i++)
		if (own[i].value != NULL && given(conf, own[i].name) == NULL &&
		    add_env(c, own[i].name, literal(own[i].value, arena),
		    arena, error, size) == -1)
			return -1;
	if (given(conf, "SENDER") == NULL &&
	    add_env(c, "SENDER", "{sender}", arena, error, size) == -1)
		return -1;
	if (conf->per_recipient && given(conf, "RECIPIENT") == NULL &&
	    add_env(c, "RECIPIENT", "{recipient}", arena, error, size) == -1)
		return -1;
	for (i = 0; i < env->n; i++)
		if (add_env(c, env->v[i].key, env->v[i].value, arena, error,
		    size) == -1)
			return -1;
	return 0;
}

/* ---- the rest ---- */

static void
take_flags(struct pipe_command *c, const struct pipe_conf *conf)
{
	static const struct {
		char		 letter;
		unsigned	 content, macro;
	} flags[] = {
		{ 'B', CONTENT_BLANK, 0 },
		{ 'D', CONTENT_DELIVERED_TO, 0 },
		{ 'F', CONTENT_FROM_LINE, 0 },
		{ 'O', CONTENT_ORIGINAL_TO, 0 },
		{ 'R', CONTENT_RETURN_PATH, 0 },
		{ '.', CONTENT_DOT, 0 },
		{ '>', CONTENT_QUOTE_FROM, 0 },
		{ 'h', 0, MACRO_FOLD_DOMAIN },
		{ 'q', 0, MACRO_QUOTE },
		{ 'u', 0, MACRO_FOLD_USER }
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strchr(conf->flags, flags[i].letter) != NULL) {
			c->content_how |= flags[i].content;
			c->macro_how |= flags[i].macro;
		}
	if (conf->crlf)
		c->content_how |= CONTENT_CRLF;
	c->null_sender = conf->null_sender == NULL ? "" : conf->null_sender;
	c->delimiter = conf->recipient_delimiter == NULL ? "" :
	    conf->recipient_delimiter;
}

static void
add_limit(struct pipe_command *c, int resource, int64_t value)
{
	if (value > 0)
		c->limits[c->process.nlimits++] = (struct process_limit){
		    resource, (rlim_t)value };
}

static void
take_process(struct pipe_command *c, const struct pipe_conf *conf)
{
	struct process_spec *p = &c->process;

	p->is_session = true;
	p->dies_with_us = true;
	p->no_new_privs = conf->no_new_privs == PRIVS_KEPT ||
	    (conf->no_new_privs == PRIVS_AUTO &&
	    conf->preset != PRESET_MAILDROP);
	p->search = c->path;
	p->directory = conf->directory;
	p->umask = (int)strtoul(conf->umask, NULL, 8);
	p->limits = c->limits;
	add_limit(c, RLIMIT_CPU, (conf->cpu_limit_ms + 999) / 1000);
	add_limit(c, RLIMIT_AS, conf->memory_limit);
	add_limit(c, RLIMIT_FSIZE, conf->file_size_limit);
	add_limit(c, RLIMIT_NOFILE, conf->open_files_limit);
	add_limit(c, RLIMIT_NPROC, conf->processes_limit);
	c->limits[p->nlimits++] = (struct process_limit){ RLIMIT_CORE, 0 };
}

static int
take_rules(struct pipe_command *c, const struct pipe_conf *conf, char *error,
    size_t size)
{
	struct result_rules *r = &c->rules;
	char why[200];

	r->is_strict = conf->strict_source;
	if (conf->preset == PRESET_MAILDROP) {
		r->rows = result_maildrop_rows;
		r->name = "maildrop";
	} else if (conf->preset == PRESET_DOVECOT) {
		r->rows = result_dovecot_rows;
		r->marker = ": rejected: ";	/* where it logs to stderr */
	}
	if (conf->preset != PRESET_PIPE)
		r->form = RESULT_LAST_LINE;
	if (conf->error_pattern == NULL || *conf->error_pattern == '\0')
		return 0;
	if ((r->pattern = pattern_new(conf->error_pattern, why,
	    sizeof(why))) != NULL)
		return 0;
	snprintf(error, size, "error_pattern: %s", why);
	return -1;
}

struct pipe_command *
pipe_command_new(const struct pipe_conf *conf, struct arena *arena,
    char *error, size_t size)
{
	struct pipe_command *c = arena_calloc(arena, 1, sizeof(*c));
	const struct passwd *pw;

	if (find_user(c, conf, &pw, error, size) == -1 ||
	    take_words(c, conf, arena, error, size) == -1 ||
	    take_environment(c, conf, pw, arena, error, size) == -1)
		return NULL;
	take_flags(c, conf);
	take_process(c, conf);
	return take_rules(c, conf, error, size) == -1 ? NULL : c;
}

void
pipe_command_free(struct pipe_command *c)
{
	if (c != NULL)
		pattern_free((struct pattern *)(uintptr_t)c->rules.pattern);
}
