/* conf.h - the options of the pipe agent, and the command they make. */
#ifndef PIPE_CONF_H
#define PIPE_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/cage.h"
#include "agent/transcript.h"
#include "base/process.h"
#include "conf/option.h"
#include "mail/macro.h"
#include "pipe/result.h"

enum pipe_preset { PRESET_PIPE, PRESET_MAILDROP, PRESET_DOVECOT };

enum pipe_privs { PRIVS_AUTO, PRIVS_KEPT, PRIVS_GAINED };

struct pipe_conf {
	int		 preset;
	struct opt_list	 args;
	char		*path;
	struct opt_list	 extra_args;
	char		*user_template;
	bool		 exit_on_reject;
	bool		 per_recipient;
	char		*flags;
	bool		 crlf;
	char		*null_sender;
	char		*recipient_delimiter;
	int64_t		 size_limit;
	int64_t		 max_processes;
	int64_t		 queue_timeout_ms;
	int64_t		 timeout_ms;
	int64_t		 kill_timeout_ms;
	int64_t		 window;
	char		*user;
	char		*group;
	char		*directory;
	char		*umask;
	struct opt_dict	 environment;
	int		 no_new_privs;
	int64_t		 cpu_limit_ms;
	int64_t		 memory_limit;
	int64_t		 file_size_limit;
	int64_t		 open_files_limit;
	int64_t		 processes_limit;
	char		*error_pattern;
	bool		 strict_source;
	struct cage_conf cage;
	struct transcript_conf transcript;
};

extern const struct opt_row pipe_conf_rows[];

/* What one option alone does not show. */
int	pipe_conf_check(void *values, opt_report *, void *arg);

/* What is legal but dangerous; see tls_conf_warn(). */
void	pipe_conf_warn(const void *values, opt_report *, void *arg);

#define PIPE_LIMITS_MAX	6

struct pipe_env {		/* a variable */
	const char	*name;
	struct macro_word value;
};

/* The options made ready; in an arena, borrowing from the options. */
struct pipe_command {
	struct macro_word *words;	/* of args */
	size_t		 nwords;
	struct pipe_env	*env;
	size_t		 nenv;
	const char	*path;		/* PATH, to search the program in */
	unsigned	 uses;		/* macros in any of them */
	/* Words that are there only with an original recipient of its own:
	 * this one and the next; -1: none. */
	int		 original_at;
	unsigned	 macro_how;	/* MACRO_... */
	unsigned	 content_how;	/* CONTENT_... */
	const char	*null_sender, *delimiter;	/* never NULL */
	struct result_rules rules;
	struct process_spec process;	/* all but argv and env */
	struct process_limit limits[PIPE_LIMITS_MAX];
	gid_t		 group;		/* the only supplementary one */
	char		 name[256];	/* of the program, for texts */
};

/* NULL with a text. The pattern of the rules is the command's. */
struct pipe_command *pipe_command_new(const struct pipe_conf *, struct arena *,
	    char *error, size_t);
void	pipe_command_free(struct pipe_command *);

#endif
