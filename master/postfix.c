/*
 * postfix.c - Postfix's files, read and written by postconf(1) alone.
 */
#include "postfix.h"

#include <err.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "postfix/settings.h"

#define POSTCONF	"/usr/sbin/postconf"
#define OUTPUT_MAX	(1024 * 1024)
#define ARGS_MAX	64

char *
postfix_postconf(const char *dir, const char *const *args)
{
	const char *argv[ARGS_MAX + 4] = { "postconf" };
	char error[512], *text = NULL;
	struct buf out;
	size_t n = 1;

	if (dir != NULL) {
		argv[n++] = "-c";
		argv[n++] = dir;
	}
	for (; *args != NULL && n < ARGS_MAX + 3; args++)
		argv[n++] = *args;
	buf_init(&out, OUTPUT_MAX);
	if (pf_output_of(POSTCONF, (char *const *)(uintptr_t)argv, &out, error,
	    sizeof(error)) == -1)
		warnx("%s", error);
	else
		text = xstrdup(buf_data(&out));
	buf_clear(&out);
	return text;
}

char *
postfix_parameter(const char *dir, const char *name)
{
	char *text = postfix_postconf(dir, (const char *const[]){ "-xh", name, NULL });

	if (text != NULL)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

const char *
postfix_value(const char *arg, const char *name)
{
	size_t n = strlen(name);

	return strncmp(arg, name, n) == 0 && arg[n] == '=' ? arg + n + 1 :
	    NULL;
}
