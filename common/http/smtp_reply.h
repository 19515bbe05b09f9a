/*
 * smtp_reply.h - the response headers that carry a delivery's reply:
 *
 *	X-Smtp-Reply: 550; message="5.1.1 no such user"; command="RCPT"
 *	X-Smtp-Recipient-Reply: 1; 550; message="5.1.1 no such user"
 *
 * code *( OWS ";" OWS [ name "=" ( token / quoted-string ) ] ), the parameters
 * being those of RFC 9110 §5.6.6.  The code is 2dd, 4dd or 5dd.  `message` and
 * `command` are known, in any case of letters, the first of each counts; other
 * names are let pass.  A header that is anything else says nothing at all.
 */
#ifndef HTTP_SMTP_REPLY_H
#define HTTP_SMTP_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "mail/reply.h"

#define SMTP_REPLY_MESSAGE_MAX	1024	/* bytes kept */
#define SMTP_REPLY_COMMAND_MAX	31

struct smtp_reply {
	uint16_t	 code;
	char		 message[SMTP_REPLY_MESSAGE_MAX + 1];	/* "": none */
	char		 command[SMTP_REPLY_COMMAND_MAX + 1];	/* "": none */
};

/*
 * Reads the value of X-Smtp-Reply; -1: it is none.  Quoted pairs are undone,
 * control bytes left out but for tabs, which become blanks; a text that is too
 * long is cut, where it is UTF-8 between characters.
 */
int	smtp_reply_parse(struct smtp_reply *, const char *, size_t n);

/*
 * For whom an X-Smtp-Recipient-Reply is, and what is left of the value: the
 * index of an X-Envelope-Recipient line of the request, from 0, or the value
 * of one.  The bytes of that word, 0 if there is none.
 */
size_t	smtp_reply_whose(const char *value, size_t n, const char **who_r,
	    const char **rest_r, size_t *rest_len_r);

/* The stage of a dialogue that a command stands for; STAGE_RUN: unknown. */
enum stage smtp_reply_stage(const struct smtp_reply *);

#endif
