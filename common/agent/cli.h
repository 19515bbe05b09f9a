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
};

void	 cli_init(struct cli *);
/*
 * Takes one argument that starts with "--" (name=value or name alone) if it is
 * one of the options above: 1 taken, 0 not one of them, -1 wrong (message
 * printed to stderr).
 */
int	 cli_option(struct cli *, const char *arg);
/* The lines of these options for --help. */
void	 cli_help(FILE *);
/*
 * The message from stdin: a regular file is used as it is, anything else is
 * kept in memory up to 1 MiB and in an unlinked temporary file beyond. -1
 * with a message on stderr.
 */
int	 cli_read_message(struct cli *);

/* Envelopes per message, and one of them: message number m from 1, part p
 * from 0. rcpts: room for ENVELOPE_RCPT_MAX; first_r: index of its first
 * recipient. The body's descriptor is lent: the receiver must dup it where it
 * needs its own. */
uint32_t cli_parts(const struct cli *);
void	 cli_envelope(const struct cli *, uint32_t p, struct envelope *,
	    struct rcpt *rcpts, uint32_t *first_r);

/* The rows of a run. */
struct cli_rows;
struct cli_rows *cli_rows_new(const struct cli *, FILE *out);
/* Recipient r (over all parts) of message m has its answer. */
void	 cli_rows_answer(struct cli_rows *, uint32_t m, uint32_t r,
	    const struct answer *);
bool	 cli_rows_has(const struct cli_rows *, uint32_t m, uint32_t r);
/* All rows of all messages were answered. */
bool	 cli_rows_complete(const struct cli_rows *);
/* sysexits.h: 0, 75, 69; flushes. Frees. */
int	 cli_rows_finish(struct cli_rows *);

#endif
