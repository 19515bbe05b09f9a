/*
 * eightbit.h - a message with 8-bit parts made one of 7 bits, for servers
 * that do not take 8BITMIME (RFC 6152 §3).
 *
 * In two passes over the message as it is stored: the plan finds what is to
 * change and how long the result is, the writer gives its bytes.  Both need
 * little memory, whatever the size of the message.
 *
 * Leaf parts with 8-bit bytes become quoted-printable (text) or base64 (all
 * else, exactly the bytes stored), and then also those with lines over 998
 * bytes or NUL.  Their Content-Transfer-Encoding is replaced or added, that
 * of the parts around them becomes 7bit; a message without MIME-Version gets
 * it, one without Content-Type is called text/plain of charset unknown-8bit
 * (RFC 1428).  All else stays byte for byte, with line ends made CRLF as by
 * crlf_convert(), also labels that say 8bit of parts that are not.
 */
#ifndef MAIL_EIGHTBIT_H
#define MAIL_EIGHTBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/envelope.h"

enum eightbit_result {
	EIGHTBIT_ERROR = -1,	/* with errno */
	EIGHTBIT_CLEAN,		/* no part needs to change */
	EIGHTBIT_CONVERT,
	EIGHTBIT_SIGNED,	/* in a part that may not change: signed, ... */
	EIGHTBIT_CANNOT		/* broken, too many parts, no way to encode */
};

struct eightbit_edit;

struct eightbit_plan {
	uint64_t out_len;	/* of the result; 0 if there is none */
	unsigned nconverted;	/* parts that are encoded */
	/*
	 * 8-bit bytes in a header, of a part or of a message within, which
	 * stay as they are; and a DKIM-Signature, which will not fit any
	 * more.  Of what was read, which is all but where there is no result.
	 */
	bool	 has_header_8bit;
	bool	 is_signed_dkim;
	/*
	 * Why there is no result, "part 1.2 (text/plain): 8-bit text inside
	 * multipart/signed": printable ASCII, made for a reply; else "".
	 */
	char	 why[256];
	struct eightbit_edit *edits;	/* private; owned */
	size_t	 nedits;
};

/*
 * Reads the body from start to end.  A plan is given but with EIGHTBIT_ERROR;
 * it does not refer to the body, and may be used by many writers.
 */
enum eightbit_result eightbit_plan(const struct body *,
	    struct eightbit_plan **plan_r);
void	eightbit_plan_free(struct eightbit_plan *);

/*
 * The message that was planned, from its start; with EIGHTBIT_CLEAN it is as
 * crlf_convert() would make it.  Plan and body are borrowed until the end.
 */
struct eightbit_writer;

struct eightbit_writer *eightbit_writer_new(const struct eightbit_plan *,
	    const struct body *);
void	eightbit_writer_free(struct eightbit_writer *);
/*
 * The next bytes, at most room: how many; 0 at the end, where out_len bytes
 * were given; -1 with errno.  Works best with 1 KiB of room or more.
 */
int64_t	eightbit_read(struct eightbit_writer *, char *to, size_t room);

#endif
