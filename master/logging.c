/*
 * logging.c - where the master and its agents log: settled at the start, by
 * the keys of [master].  A log file is opened here, with the rights that the
 * master was started with, and handed to the agents by LOG frames, at the
 * start and when it is opened again.
 */
#include "master.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/event.h"
#include "base/mem.h"

/* ---- options ---- */

static const struct opt_word target_words[] = {
	{ "auto",	LOG_TO_AUTO, "journald where systemd has connected "
	    "stderr with it; else stderr in the foreground, syslog in the "
	    "background" },
	{ "stderr",	LOG_TO_STDERR, "stderr" },
	{ "syslog",	LOG_TO_SYSLOG, "syslog, by /dev/log" },
	{ "journald",	LOG_TO_JOURNALD, "the journal of systemd, with a field "
	    "for each fact" },
	{ "journald-text", LOG_TO_JOURNALD_TEXT, "the journal, lines without "
	    "fields: less than half the work, for it and for us" },
	{ "file",	LOG_TO_FILE, "the file that log_file names" },
	{ NULL,		0, NULL }
};

static const struct opt_word level_words[] = {
	{ "error",	LOG_LEVEL_ERROR, "what needs an operator" },
	{ "warning",	LOG_LEVEL_WARNING, "also what may need one" },
	{ "info",	LOG_LEVEL_INFO, "also starts, ends, answers and "
	    "connections" },
	{ "debug",	LOG_LEVEL_DEBUG, "also what only a programmer wants" },
	{ NULL,		0, NULL }
};

static const struct opt_word format_words[] = {
	{ "text",	LOG_AS_TEXT, "lines for people and for log analysers "
	    "that know Postfix's" },
	{ "json",	LOG_AS_JSON, "a JSON object a line" },
	{ NULL,		0, NULL }
};

static const char *
check_path(const char *value)
{
	return *value == '/' ? NULL : "must be an absolute path";
}

static const char *
check_file_mode(const char *value)
{
	size_t n = strlen(value);

	return n >= 3 && n <= 4 && strspn(value, "01234567") == n &&
	    (n < 4 || *value == '0') ? NULL : "must be an octal mode, as 0640";
}

static const char *
check_facility(const char *value)
{
	return log_facility(value) != -1 ? NULL : "is no facility of syslog, "
	    "such as mail, daemon, local0";
}

#define AT(field)	offsetof(struct logging_conf, field)

const struct opt_row logging_rows[] = {
	{ .name = "log", .type = OPT_ENUM, .offset = AT(target), .def = "auto",
	    .words = target_words, .text = "Where the master and its agents "
	    "log." },
	{ .name = "log_file", .type = OPT_STRING, .offset = AT(file),
	    .check = check_path, .text = "The file for log = file.  It is "
	    "opened again at SIGUSR1, 'nexthop reopen' and a reload." },
	{ .name = "log_file_mode", .type = OPT_STRING,
	    .offset = AT(file_mode), .def = "0640", .check = check_file_mode,
	    .text = "Mode of the log file where it is made, octal." },
	{ .name = "log_file_user", .type = OPT_STRING,
	    .offset = AT(file_user), .text = "Owner of the log file where it "
	    "is made; without it the user that started nexthop-master." },
	{ .name = "log_file_group", .type = OPT_STRING,
	    .offset = AT(file_group),
	    .text = "Group of the log file where it is made." },
	{ .name = "log_format", .type = OPT_ENUM, .offset = AT(format),
	    .def = "text", .words = format_words, .text = "Form of the lines; "
	    "journald has its own." },
	{ .name = "log_level", .type = OPT_ENUM, .offset = AT(level),
	    .def = "info", .words = level_words,
	    .text = "How much they log." },
	{ .name = "syslog_facility", .type = OPT_STRING,
	    .offset = AT(facility), .def = "mail", .check = check_facility,
	    .text = "Facility of syslog, for log = syslog and journald." },
	{ .name = "syslog_tag", .type = OPT_STRING, .offset = AT(tag),
	    .check = log_check_tag, .text = "Stands before the name of each "
	    "program in syslog and the journal, with a slash between." },
	{ .name = NULL }
};

int
logging_check(const struct logging_conf *c, opt_report *report, void *arg)
{
	if (c->target != LOG_TO_FILE || (c->file != NULL && *c->file != '\0'))
		return 0;
	report(arg, "log_file", "must be given with log = file");
	return 1;
}

/* ---- the file ---- */

/* It was made just now: whose it is. */
static int
give_away(int fd, const struct logging_conf *c, char *error, size_t size)
{
	struct identity id = { .is_set = false };
	const char *user = c->file_user, *group = c->file_group;
	int result = 0;

	if (fchmod(fd, config_mode(c->file_mode)) == -1) {
		snprintf(error, size, "%s: mode: %s", c->file,
		    strerror(errno));
		return -1;
	}
	if (user == NULL && group == NULL)
		return 0;
	if (identity_resolve(&id, user, group, error, size) == -1)
		return -1;
	if (fchown(fd, user == NULL ? (uid_t)-1 : id.uid, group == NULL &&
	    user == NULL ? (gid_t)-1 : id.gid) == -1) {
		snprintf(error, size, "%s: owner: %s", c->file,
		    strerror(errno));
		result = -1;
	}
	identity_clear(&id);
	return result;
}

/* Without O_NONBLOCK a FIFO would hold all until somebody reads it. */
static int
open_file(const struct logging_conf *c, char *error, size_t size)
{
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
	    O_NOCTTY | O_NONBLOCK;
	bool is_new = true;
	struct stat st;
	int fd;

	fd = open(c->file, flags | O_CREAT | O_EXCL, 0600);
	if (fd == -1 && errno == EEXIST) {
		is_new = false;
		fd = open(c->file, flags);
	}
	if (fd == -1) {
		snprintf(error, size, "%s: %s", c->file, errno == ELOOP ?
		    "is a symbolic link" : errno == ENXIO ? "not a file" :
		    strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		snprintf(error, size, "%s: not a file", c->file);
	else if (!is_new || give_away(fd, c, error, size) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---- the start ---- */

static enum log_target
settle_target(const struct master *m, int target)
{
	if (target != LOG_TO_AUTO)
		return (enum log_target)target;
	if (log_is_journal_stream())
		return LOG_TO_JOURNALD;
	return m->is_background ? LOG_TO_SYSLOG : LOG_TO_STDERR;
}

static void
fill_conf(struct log_conf *conf, const struct logging_conf *c,
    enum log_target target)
{
	*conf = (struct log_conf){
		.target = target,
		.level = (enum log_level)c->level,
		.format = (enum log_format)c->format,
		.facility = log_facility(c->facility),
	};
	if (c->tag != NULL)
		strlcpy(conf->tag, c->tag, sizeof(conf->tag));
}

int
logging_start(struct master *m, const struct logging_conf *c, char *error,
    size_t size)
{
	enum log_target target = settle_target(m, c->target);
	int fd;

	if (target == LOG_TO_FILE && (c->file == NULL || *c->file == '\0'))
		target = LOG_TO_STDERR;		/* a fault, told later */
	if (target == LOG_TO_FILE) {
		if ((fd = open_file(c, error, size)) == -1)
			return EX_CANTCREAT;
		log_set_file(fd);
	}
	fill_conf(&m->log, c, target);
	log_configure(&m->log);
	if (m->is_background && target != LOG_TO_STDERR)
		m->errors = daemon_stderr_to_log(m->loop);
	if (log_unheard() != NULL && m->ready_fd == -1) {
		fprintf(m->errors, "nexthop-master: warning: nobody listens "
		    "at %s, where the log goes\n", log_unheard());
		fflush(m->errors);
	}
	return 0;
}

/* ---- later ---- */

int
logging_reopen(struct master *m, struct control *asker)
{
	const struct config *config = m->config != NULL ? m->config :
	    m->rollout != NULL ? m->rollout->config : NULL;
	const struct logging_conf *c;
	struct event_line e;
	char error[512];
	int fd;

	if (m->log.target != LOG_TO_FILE || config == NULL)
		return 0;
	c = &config->master->logging;
	if (c->file == NULL || *c->file == '\0' ||
	    (fd = open_file(c, error, sizeof(error))) == -1) {
		if (c->file == NULL || *c->file == '\0')
			strlcpy(error, "log_file: not given any more",
			    sizeof(error));
		control_printf(asker, "%s; the log goes on in the old file\n",
		    error);
		if (event_begin(&e, EVENT_REOPEN_FAILED, NULL)) {
			event_text(&e, "error", error);
			event_end(&e);
		}
		return EX_CANTCREAT;
	}
	log_set_file(fd);
	child_give_log_to_all(m->reaper);
	if (event_begin(&e, EVENT_REOPENED, NULL)) {
		event_text(&e, "file", c->file);
		event_end(&e);
	}
	return 0;
}

/* Agents hold on to how they were told to log; so does the master, but for the
 * level and the path of the file. */
void
logging_reloaded(struct master *m)
{
	m->log.level = (enum log_level)m->config->master->logging.level;
	log_configure(&m->log);
	logging_reopen(m, m->reload_asker);
}
