/*
 * listen.h - listening sockets that an intake opens itself, where it was
 * started by hand; otherwise the master does.
 */
#ifndef INTAKE_LISTEN_H
#define INTAKE_LISTEN_H

#include <stddef.h>

/* For option rows: NULL, or what is wrong with "unix:/path", "inet:127.0.0.1:24"
 * or "inet:[::1]:24". */
const char	*listen_check(const char *);

/* Binds to such an address, a stale socket's path included; the descriptor, or
 * -1 with a text.  A path is removed by listen_unlink(). */
int		 listen_bind(const char *address, char *error, size_t size);
void		 listen_unlink(const char *address);

#endif
