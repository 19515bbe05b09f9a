/* conf_warn.c - options of the pipe agent that are legal, but dangerous. */
#include <stdlib.h>
#include <string.h>

#include "pipe/conf.h"

static bool
is_shell(const char *path)
{
	static const char *const shells[] = { "sh", "bash", "dash", "ash",
	    "ksh", "mksh", "zsh", "fish", "csh", "tcsh", "busybox" };
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	size_t i;

	for (i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (strcmp(name, shells[i]) == 0)
			return true;
	return false;
}

/* `sh -c 'x {sender}'`: the sender is read as part of the command. */
static bool
has_macro_in_shell(const struct opt_list *args)
{
	size_t i;

	for (i = 0; i < args->n && !is_shell(args->v[i]); i++)
		;
	for (; i + 1 < args->n; i++)
		if (args->v[i][0] == '-' && args->v[i][1] != '-' &&
		    strchr(args->v[i], 'c') != NULL)
			return strchr(args->v[i + 1], '{') != NULL;
	return false;
}

void
pipe_conf_warn(const void *values, opt_report *report, void *arg)
{
	const struct pipe_conf *conf = values;

	if (has_macro_in_shell(&conf->args))
		report(arg, "args", "a macro in a command of a shell lets "
		    "whoever sends mail run commands; give it as a word "
		    "behind: sh -c 'x \"$1\"' sh {recipient}");
	if (conf->umask != NULL &&
	    (strtoul(conf->umask, NULL, 8) & 2) == 0)
		report(arg, "umask", "what the program writes can be written "
		    "by everybody");
	if (conf->no_new_privs == PRIVS_GAINED &&
	    conf->preset != PRESET_MAILDROP)
		report(arg, "no_new_privs", "set-user-ID programs give the "
		    "program, and what mail makes of it, their rights");
}
