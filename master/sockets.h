/*
 * sockets.h - the master's listening sockets, by address: those of submitters,
 * of the operator and of the doors.
 *
 * A socket stays open as long as anybody holds it, so that one that a reload
 * keeps never refuses a connection.  Those that came from elsewhere, from
 * systemd or from the master whose place we take, lie here until somebody opens
 * their address.
 */
#ifndef MASTER_SOCKETS_H
#define MASTER_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "net/addr.h"

#define SOCKET_TEXT_MAX	(ADDR_TEXT_MAX + 16)

enum socket_whose {		/* who removes the path */
	SOCKET_OWN,		/* we, when nobody holds it any more */
	SOCKET_GIVEN,		/* systemd */
	SOCKET_LENT		/* the master whose place we are to take */
};

struct listen_socket {
	TAILQ_ENTRY(listen_socket) next;
	char		 address[SOCKET_TEXT_MAX];
	int		 fd;
	unsigned	 refs;
	enum socket_whose whose;
	bool		 has_inode;	/* of a UNIX socket's path */
	dev_t		 dev;
	ino_t		 ino;
};

struct sockets {
	TAILQ_HEAD(, listen_socket) all;
	bool		 is_handed_over; /* another master has them, too */
};

struct socket_look {		/* of the path of a UNIX socket */
	mode_t		 mode;
	const char	*user, *group;	/* NULL: as it is made */
};

/*
 * "unix:/path", "inet:192.0.2.1:24" or "inet:[2001:db8::1]:24" as an address,
 * and in text_r the one way to write it.  NULL, or what is wrong.
 */
const char	*socket_address(const char *text, struct addr *,
		    char text_r[SOCKET_TEXT_MAX]);
/* The same of a listening socket; NULL, or why it is of no use. */
const char	*socket_address_of(int fd, char text_r[SOCKET_TEXT_MAX]);

void		 sockets_init(struct sockets *);
/* Closes all; paths that are still ours go, unless handed over. */
void		 sockets_clear(struct sockets *);

/*
 * The socket of this address, which must be written as socket_address() does:
 * one that is there, or a new one, listening and non-blocking.  An error: NULL,
 * a text, and a status of sysexits.h for it.
 */
struct listen_socket *sockets_open(struct sockets *, const char *address,
		    const struct socket_look *, char *error, size_t,
		    int *status_r);
/* The last one closes it and removes its path. */
void		 sockets_release(struct sockets *, struct listen_socket *);
/* Takes a descriptor that we were started with; -1 with a text: closed. */
int		 sockets_adopt(struct sockets *, int fd, enum socket_whose,
		    char *error, size_t);
/* What was lent is ours from now on. */
void		 sockets_keep(struct sockets *);
/* What nobody has opened is closed, each with a line in the log. */
void		 sockets_drop_unused(struct sockets *);

#endif
