/* session.h - one client of an intake (RFC 2033, RFC 5321). */
#ifndef INTAKE_SESSION_H
#define INTAKE_SESSION_H

#include "net/addr.h"

struct intake;
struct session;

/* A connection that was accepted: greeted, or told that there are too many. */
void	session_new(struct intake *, int fd, const struct addr *from);
/* A drain has begun, or lasts too long: the session may have to end. */
void	session_drain(struct session *);
/* The master is gone: it ends, but answers that are known are given first. */
void	session_leave(struct session *);
/* It ends without a word. Memory goes at the end of the turn. */
void	session_free(struct session *);
/* It ends now: unanswered recipients are cancelled. say: the last line, or
 * NULL. */
void	session_close(struct session *, const char *say);

/* For the list of the intake. */
struct session *session_first(struct intake *);
struct session *session_next(struct session *);

#endif
