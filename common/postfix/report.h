/*
 * report.h - what becomes of recipients, told to Postfix's bounce, defer, trace
 * and verify services.  One request a connection, at most so many connections
 * to a service at once; the others wait in a queue.
 */
#ifndef POSTFIX_REPORT_H
#define POSTFIX_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"
#include "postfix/request.h"

enum pf_service { PF_BOUNCE, PF_DEFER, PF_TRACE, PF_VERIFY, PF_SERVICES };

enum pf_verdict { PF_DELIVERABLE = 0, PF_DEFERRED = 1, PF_UNDELIVERABLE = 2 };

struct pf_reporter;

struct pf_reporter_conf {
	const char	*names[PF_SERVICES];	/* below private/ */
	unsigned	 connections_max;	/* to each */
	int64_t		 timeout_ms;		/* of one request */
	bool		 is_old;		/* before 3.6: says nothing first */
};

/* Strings must outlive it. */
struct pf_reporter *pf_reporter_new(struct loop *,
		    const struct pf_reporter_conf *);
void		 pf_reporter_free(struct pf_reporter *);

/* is_ok: the service has it, durably. */
typedef void pf_report_cb(void *arg, bool is_ok);

/*
 * Append to the log of bounces (deferrals, deliveries) of a message.  flags
 * are masked with PF_FLAGS_TRACE.  The callback comes later, never inside the
 * call, and always; nothing is borrowed.
 */
void	pf_report_append(struct pf_reporter *, enum pf_service, int32_t flags,
	    const char *queue_id, const struct pf_rcpt *, const struct pf_dsn *,
	    pf_report_cb *, void *arg);
/* What a probe of an address found. */
void	pf_report_verify(struct pf_reporter *, const char *address,
	    enum pf_verdict, const char *reason, pf_report_cb *, void *arg);

#endif
