/* ehlo.h - what a server offers in its answer to EHLO (RFC 5321 §4.1.1.1). */
#ifndef SMTP_EHLO_H
#define SMTP_EHLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/reply_parser.h"

enum smtp_ext {
	EXT_PIPELINING = 0x0001,	/* RFC 2920 */
	EXT_SIZE = 0x0002,		/* RFC 1870 */
	EXT_8BITMIME = 0x0004,		/* RFC 6152 */
	EXT_SMTPUTF8 = 0x0008,		/* RFC 6531 */
	EXT_DSN = 0x0010,		/* RFC 3461 */
	EXT_CHUNKING = 0x0020,		/* RFC 3030 */
	EXT_ENHANCED = 0x0040,		/* RFC 2034 */
	EXT_STARTTLS = 0x0080,		/* RFC 3207 */
	EXT_AUTH = 0x0100,		/* RFC 4954 */
	EXT_REQUIRETLS = 0x0200,	/* RFC 8689 */
	EXT_BINARYMIME = 0x0400,	/* RFC 3030 */
	EXT_LIMITS = 0x0800		/* RFC 9422 */
};

struct smtp_offer {
	uint32_t	 exts;		/* enum smtp_ext */
	uint64_t	 size_limit;	/* 0 = none told (RFC 1870 §3) */
	uint32_t	 rcpt_max;	/* RCPTMAX of LIMITS; 0 = none told */
	uint32_t	 mail_max;	/* MAILMAX */
};

void	ehlo_parse(const struct raw_reply *, struct smtp_offer *);

/*
 * The parameters of AUTH, those of several lines (and of the old form
 * "AUTH=PLAIN") joined by a blank; at most size bytes with the NUL.  Returns
 * whether there are any.
 */
bool	ehlo_auth(const struct raw_reply *, char *, size_t size);

#endif
