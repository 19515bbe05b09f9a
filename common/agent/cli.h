/*
 * cli.h - a delivery asked for on a command line: arguments, the message from
 * stdin, and the answers as rows.  Shared by the agents' command-line front
 * and `nexthop submit`, so that both look and behave alike.
 *
 * A run is `count` messages (the same bytes each) to the same recipients.
 * Recipients beyond ENVELOPE_RCPT_MAX make further envelopes of the same
 * message.  Rows come out in the order of messages, then recipients (text: the
 * worst recipient of a message first).
 */
#ifndef AGENT_CLI_H
#define AGENT_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "mail/envelope.h"
#include "mail/frame.h"

enum cli_output { CLI_TEXT, CLI_TSV, CLI_JSON };

struct cli {
	const char	*from;		/* "" = null sender */
	enum cli_output	 output;
	bool		 trace;
	bool		 explain;	/* tell, do not deliver */
	uint32_t	 count;		/* messages, 1.. */
	uint32_t	 parallel;	/* at once */
	int64_t		 gap_ms;	/* from one start to the next */
	const char	**rcpts;	/* borrowed from argv */
	uint32_t	 nrcpt;
	/* envelope details, --envid= --ret= --notify= --orcpt= --body=
	 * --smtputf8 --requiretls --nexthop= --source= --ehlo= --id= --deadline=
	 * --attempts= --client-ip= ... */
	struct envelope	 env;		/* template: everything but sender,
					 * recipients, body */
	uint8_t		 notify;
	const char	*orcpt;
	struct body	 body;
	uint32_t	*good;		/* recipients that can be framed */
	uint32_t	 ngood;
};

void	 cli_init(struct cli *);
void	 cli_clear(struct cli *);
/* Of argv from first on, which are recipients: -1 with a message where one may
 * be an option, and no "--" says that it is none. */
int	 cli_check_rcpts(char *const *argv, int first, int argc);
/* The recipients; argv must stay. */
void	 cli_set_rcpts(struct cli *, const char **rcpts, uint32_t n);
/*
 * Takes one argument that starts with "--" (name=value or name alone) if it is
 * one of the options above: 1 taken, 0 not one of them, -1 wrong (message
 * printed to stderr).
 */
int	 cli_option(struct cli *, const char *arg);
/* The lines of these options for --help, and for the manual. */
void	 cli_help(FILE *);
void	 cli_mdoc(FILE *);
/*
 * The message from stdin: a regular file is used as it is, anything else is
 * kept in memory up to 1 MiB and in an unlinked temporary file beyond. -1
 * with a message on stderr.
 */
int	 cli_read_message(struct cli *);

/*
 * Recipients that cannot stand in an envelope at all (control bytes, no UTF-8,
 * too long) are answered by the rows themselves; the others are cut into parts
 * of at most ENVELOPE_RCPT_MAX.  cli_envelope() fills one part: rcpts has room
 * for ENVELOPE_RCPT_MAX, *index_r maps its recipients to those of the run (for
 * cli_rows_answer()).  The body's descriptor is lent: the receiver must dup()
 * it where it needs its own.
 */
uint32_t cli_parts(const struct cli *);
void	 cli_envelope(const struct cli *, uint32_t part, struct envelope *,
	    struct rcpt *rcpts, const uint32_t **index_r);

/* The rows of a run. */
struct cli_rows;
struct cli_rows *cli_rows_new(const struct cli *, FILE *out);
/* Recipient r (of the whole run, from 0) of message m (from 1) has its answer.
 * A second one is ignored. */
void	 cli_rows_answer(struct cli_rows *, uint32_t m, uint32_t r,
	    const struct answer *);
bool	 cli_rows_has(const struct cli_rows *, uint32_t m, uint32_t r);
/* All rows of all messages were answered. */
bool	 cli_rows_complete(const struct cli_rows *);
/* sysexits.h: 0, 75, 69.  Frees; the caller flushes (flush_stdout()). */
int	 cli_rows_finish(struct cli_rows *);

#endif
