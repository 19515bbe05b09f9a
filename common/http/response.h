/*
 * response.h - what a web server answered, and what that means for the
 * recipients of the request.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/smtp_reply.h"
#include "mail/reply.h"

struct arena;

#define RESPONSE_REASON_MAX	127
#define RESPONSE_SHOWN_MAX	200	/* bytes of the body that are shown */
#define RESPONSE_BODY_MAX	(64 * 1024)	/* bytes of it that are read */
#define RESPONSE_RCPTS_MAX	1000	/* recipient replies that are kept */
#define RETRY_AFTER_MAX_S	(7 * 86400)

/* An X-Smtp-Recipient-Reply. */
struct response_rcpt {
	struct response_rcpt *next;
	uint32_t	 index;		/* in the request, from 0 */
	struct smtp_reply reply;
};

/* Being filled line by line; lives in the arena of its delivery. */
struct response {
	struct arena	*arena;
	const char *const *rcpts;	/* of the request, base64 */
	uint32_t	 nrcpt;

	unsigned	 status;	/* 0: no status line yet */
	char		 version[8];	/* "1.1", "2" */
	char		 reason[RESPONSE_REASON_MAX + 1];
	bool		 is_complete;	/* the header is; not for 1xx */
	bool		 has_reply;
	bool		 is_bad_reply;	/* an X-Smtp-Reply that is none */
	struct smtp_reply reply;
	struct response_rcpt *per_rcpt;
	uint32_t	 nper_rcpt;
	char		 location[2048];	/* "": none, or too long */
	char		 shown[RESPONSE_SHOWN_MAX + 1];	/* of the body */
	size_t		 shown_len;
	uint64_t	 body_len;	/* read so far */
	uint32_t	 retry_after_s;
};

void	response_init(struct response *, struct arena *,
	    const char *const *rcpts, uint32_t nrcpt);
/*
 * One line of the header, with or without its end; an empty one completes it,
 * a status line begins it anew (RFC 9110 §15.2: 1xx come before the answer).
 */
void	response_line(struct response *, const char *, size_t n);
/* Bytes of the body; false: enough has been read. */
bool	response_body(struct response *, const char *, size_t n);

/*
 * Status to result.  A reply in a header decides, unless it says success where
 * the status does not.  Without one 2xx is success, 4xx permanent but for 408,
 * 425 and 429, anything else transient; with is_auth_transient also 401, 403
 * and 407.  peer: "name[address]:port", for the text of a contradiction.
 */
void	response_reply(const struct response *, uint32_t index,
	    bool is_auth_transient, const char *peer, struct reply *);

#endif
