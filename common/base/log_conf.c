/* log_conf.c - how to log, as text: levels, targets, facilities, the tag. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "base/log_inner.h"

static const struct {
	const char	*word;
	enum log_level	 level;
} levels[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warning", LOG_LEVEL_WARNING },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};
#define NLEVELS	(sizeof(levels) / sizeof(levels[0]))

static const char *const targets[] = {
	[LOG_TO_STDERR] = "stderr", [LOG_TO_SYSLOG] = "syslog",
	[LOG_TO_JOURNALD] = "journald",
	[LOG_TO_JOURNALD_TEXT] = "journald-text", [LOG_TO_FILE] = "file",
};
#define NTARGETS (sizeof(targets) / sizeof(targets[0]))

static const struct {
	const char	*name;
	int		 value;
} facilities[] = {
	{ "auth", LOG_AUTH }, { "authpriv", LOG_AUTHPRIV },
	{ "cron", LOG_CRON }, { "daemon", LOG_DAEMON },
	{ "ftp", LOG_FTP }, { "kern", LOG_KERN },
	{ "lpr", LOG_LPR }, { "mail", LOG_MAIL },
	{ "news", LOG_NEWS }, { "user", LOG_USER },
	{ "uucp", LOG_UUCP }, { "local0", LOG_LOCAL0 },
	{ "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 },
	{ "local3", LOG_LOCAL3 }, { "local4", LOG_LOCAL4 },
	{ "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 },
	{ "local7", LOG_LOCAL7 },
};
#define NFACILITIES (sizeof(facilities) / sizeof(facilities[0]))

const char *
log_level_name(enum log_level level)
{
	size_t i;

	for (i = 0; i < NLEVELS - 1 && levels[i].level != level; i++)
		;
	return levels[i].word;
}

int
log_facility(const char *name)
{
	size_t i;

	for (i = 0; i < NFACILITIES; i++)
		if (strcasecmp(facilities[i].name, name) == 0)
			return facilities[i].value;
	return -1;
}

const char *
log_check_tag(const char *tag)
{
	size_t n = strspn(tag, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/");

	return tag[n] == '\0' && n <= LOG_TAG_MAX ? NULL : "is no tag: letters, "
	    "digits, '.', '_', '-' and '/', at most 32 of them";
}

/* One word after the target, the first of them being the level. */
static int
take_word(struct log_conf *c, const char *word, bool is_first)
{
	size_t i;

	for (i = 0; is_first && i < NLEVELS; i++)
		if (strcmp(word, levels[i].word) == 0) {
			c->level = levels[i].level;
			return 0;
		}
	if (is_first)
		return -1;
	if (strcmp(word, "json") == 0) {
		c->format = LOG_AS_JSON;
		return 0;
	}
	if (strncmp(word, "facility=", 9) == 0)
		return (c->facility = log_facility(word + 9)) == -1 ? -1 : 0;
	if (strncmp(word, "tag=", 4) != 0 || log_check_tag(word + 4) != NULL)
		return -1;
	strlcpy(c->tag, word + 4, sizeof(c->tag));
	return 0;
}

int
log_conf_parse(const char *text, struct log_conf *conf)
{
	struct log_conf c = { .target = LOG_TO_AUTO, .level = LOG_LEVEL_INFO };
	char copy[128], *word, *rest = copy;
	size_t i;
	int nth;

	if (strlcpy(copy, text, sizeof(copy)) >= sizeof(copy))
		return -1;
	word = strsep(&rest, ":");
	for (i = 0; i < NTARGETS; i++)
		if (strcmp(word, targets[i]) == 0)
			c.target = (enum log_target)i;
	if (c.target == LOG_TO_AUTO)
		return -1;
	for (nth = 0; (word = strsep(&rest, ":")) != NULL; nth++)
		if (take_word(&c, word, nth == 0) == -1)
			return -1;
	*conf = c;
	return 0;
}

const char *
log_conf_text(const struct log_conf *c)
{
	static char text[128];
	const char *facility = NULL;
	size_t i;

	for (i = 0; i < NFACILITIES; i++)
		if (facilities[i].value == c->facility &&
		    c->facility != LOG_MAIL)
			facility = facilities[i].name;
	snprintf(text, sizeof(text), "%s:%s%s%s%s%s%s", targets[c->target],
	    log_level_name(c->level),
	    c->format == LOG_AS_JSON ? ":json" : "",
	    facility == NULL ? "" : ":facility=",
	    facility == NULL ? "" : facility,
	    *c->tag == '\0' ? "" : ":tag=", c->tag);
	return text;
}
