/*
 * conn.h - one byte stream to a host: TCP or a UNIX socket.
 *
 * Output is sent at once as far as the socket takes it; the rest is kept and
 * leaves as soon as it can.  Input is handed over in memory shared by all
 * connections: the callee takes what it needs before it returns.
 *
 * TLS is put below an open connection by conn_start_tls() of tls.h; nothing
 * here changes for the owner then, but secured() is called, and closed() may
 * come with EPROTO.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/loop.h"

struct conn;

struct conn_ops {
	void	(*opened)(void *arg);
	void	(*data)(void *arg, const char *, size_t);
	/* All kept output has left. */
	void	(*drained)(void *arg);
	/* Some of the kept output has left: the peer is alive. */
	void	(*progress)(void *arg);
	/* Connecting failed, the peer closed (error 0), or the stream broke
	 * (errno). Called once; conn_free() is still the owner's. */
	void	(*closed)(void *arg, int error);
	/* The TLS handshake is done; only where TLS was started. */
	void	(*secured)(void *arg);
	/*
	 * The peer sends nothing more, but may still read: closed() comes when
	 * something written does not reach it.  Where this is NULL, and with
	 * TLS, closed() comes instead.
	 */
	void	(*ended)(void *arg);
};

/*
 * Starts connecting, from `source` if not NULL.  NULL with errno if that fails
 * at once for a local reason; a refusal by the peer comes through closed().
 */
struct conn	*conn_open(struct loop *, const struct addr *,
		    const struct addr *source, const struct conn_ops *,
		    void *arg);
/* One that was accepted: open from the start, opened() does not come. fd is
 * owned from here. */
struct conn	*conn_accepted(struct loop *, int fd, const struct conn_ops *,
		    void *arg);
/*
 * Nothing is read while it is paused; data() may come once more.  That the
 * peer has closed, and does not just send no more, shows only when
 * conn_is_gone() is asked.  Not for a connection with TLS.
 */
void		 conn_pause(struct conn *, bool pause);
bool		 conn_is_gone(const struct conn *);
/* No callback comes after this; memory goes at the end of the turn. */
void		 conn_free(struct conn *);
/* Closes with RST rather than FIN: nothing more may reach the peer. */
void		 conn_abort(struct conn *);

/* Bytes to send; what the socket does not take is copied. During a TLS
 * handshake all is kept. */
void		 conn_write(struct conn *, const char *, size_t);
/* Call drained() when the socket takes more, though nothing is kept. */
void		 conn_want_room(struct conn *);
/* Nothing is kept, the socket is not known to be full, and no TLS handshake is
 * under way. */
bool		 conn_has_room(const struct conn *);
/*
 * Bytes of a file straight to the socket, as many as it takes; only with room.
 * How many; 0 where the file ends before; -1 with errno: EAGAIN (drained()
 * tells when to go on; also where the connection is broken, which closed()
 * tells), else the file cannot be sent this way: EOPNOTSUPP over TLS, unless
 * the kernel encrypts.
 */
int64_t		 conn_sendfile(struct conn *, int fd, uint64_t offset,
		    size_t n);
/* The same with memory; EOPNOTSUPP over TLS. */
int64_t		 conn_send(struct conn *, const char *, size_t);
size_t		 conn_pending(const struct conn *);	/* kept, not sent */
/* The local address, as text. */
int		 conn_local(const struct conn *, struct addr *);

#endif
