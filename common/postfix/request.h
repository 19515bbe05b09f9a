/*
 * request.h - a delivery request as Postfix's queue manager sends it (3.4 to
 * 3.12): one attribute list about the message, then one for each recipient.
 */
#ifndef POSTFIX_REQUEST_H
#define POSTFIX_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include "postfix/attr.h"

struct arena;

#define PF_RCPT_MAX	100000		/* recipients of one request */
#define PF_ID_MAX	100		/* bytes of a queue id */

enum {				/* pf_request.flags */
	PF_FLAG_SUCCESS = 0x0001,	/* mark recipients that were delivered */
	PF_FLAG_MTA_VRFY = 0x0100,	/* probe: tell verify(8) */
	PF_FLAG_USR_VRFY = 0x0200,	/* probe: tell trace(8) */
	PF_FLAG_RECORD = 0x0400,	/* deliver, and tell trace(8) */
	PF_FLAG_DELAY_SENT = 0x2000,	/* a delay warning was sent */
	PF_FLAGS_PROBE = PF_FLAG_MTA_VRFY | PF_FLAG_USR_VRFY,
	PF_FLAGS_TRACE = PF_FLAGS_PROBE | PF_FLAG_RECORD | PF_FLAG_DELAY_SENT
};

enum {				/* pf_request.sendopts */
	PF_OPT_SMTPUTF8 = 0x01,		/* asked for by the sender */
	PF_OPT_REQUIRETLS = 0x20
};

/* As Postfix has it in memory and sends it: its size is protocol. */
struct pf_times {
	struct timeval	 arrival, active, handoff, setup, done;
	int		 reuse;
};

struct pf_rcpt {
	const char	*original;	/* before aliases, or "" */
	const char	*address;	/* internal form, without quotes */
	int64_t		 offset;	/* of its record; -1: do not mark */
	const char	*orcpt;		/* "rfc822;address", not xtext, or "" */
	int32_t		 notify;	/* NOTIFY_* of envelope.h */
};

struct pf_request {		/* strings in the arena */
	int32_t		 flags;
	const char	*queue_name;
	const char	*queue_id;
	int64_t		 offset;	/* of the first record of the content */
	int64_t		 size;		/* a hint, no count of bytes */
	const char	*nexthop;
	const char	*encoding;	/* "7bit", "8bit", "" */
	int32_t		 sendopts;
	const char	*sender;
	const char	*envid;		/* not xtext */
	int32_t		 ret;
	const char	*time_text;
	const char	*client_name, *client_address, *client_port;
	const char	*client_proto, *client_helo;
	const char	*sasl_method, *sasl_username, *sasl_sender;
	const char	*log_ident, *rewrite_context;
	int32_t		 nrcpt;
	struct pf_times	 times;
	struct pf_rcpt	*rcpts;

	/* while it is being read */
	bool		 has_head;
	uint32_t	 nread;		/* recipients */
};

/*
 * Reads on, in whole lists; the request starts zeroed.  PF_DONE: it is whole.
 * In any case *took_r bytes were taken.  PF_BAD: error_r and at_r tell, as
 * pf_attr_scan() does.
 */
enum pf_scan	pf_request_read(struct pf_request *, const char *, size_t n,
		    struct arena *, size_t *took_r, const char **error_r,
		    const char **at_r);

/* What Postfix says first, and what it is told at the end of a request. */
struct buf;
struct pf_dsn {			/* none may be NULL */
	const char	*status;	/* "5.1.1" */
	const char	*diag_type, *diag_text;
	const char	*mta_type, *mta_name;
	const char	*action;
	const char	*reason;
};
extern const struct pf_dsn pf_no_dsn;

void	pf_announce(struct buf *, bool is_old);	/* old: before 3.6 */
void	pf_final_reply(struct buf *, const struct pf_dsn *, bool is_final);
/* The seven attributes of a DSN, as part of a list. */
void	pf_attr_dsn(struct buf *, const struct pf_dsn *);
/* Those of a recipient. */
void	pf_attr_rcpt(struct buf *, const struct pf_rcpt *);

#endif
