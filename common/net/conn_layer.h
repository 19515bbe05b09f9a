/*
 * conn_layer.h - what may stand between a connection and its socket: TLS.
 *
 * conn.c knows these calls and no library; whoever never starts TLS does not
 * link it.  All of them return at once.  -1 comes with errno: EAGAIN where the
 * socket has to become readable or writable first.
 */
#ifndef NET_CONN_LAYER_H
#define NET_CONN_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;

struct conn_layer_ops {
	/* 0 when it is done, also when asked again. */
	int	(*handshake)(void *layer, bool *want_write_r);
	/* 0 at the end of the stream. */
	ssize_t	(*read)(void *layer, char *, size_t, bool *want_write_r);
	/*
	 * How many bytes were taken; 0: none, but bytes have moved.  What was
	 * not taken is offered again, at another place and perhaps with more
	 * behind it.
	 */
	ssize_t	(*write)(void *layer, const char *, size_t, bool *want_read_r);
	/* As conn_sendfile(). */
	int64_t	(*sendfile)(void *layer, int fd, uint64_t offset, size_t n);
	/* It holds input that the socket will not tell of again. */
	bool	(*has_input)(const void *layer);
	/* Before the socket closes; is_clean: all output has left. */
	void	(*close)(void *layer, bool is_clean);
	void	(*free)(void *layer);
};

/*
 * From now on all bytes go through the layer, whose memory is the
 * connection's; the handshake starts.  Only on an open connection without kept
 * output and without a layer: else closed() comes with EPROTO.
 */
void	 conn_set_layer(struct conn *, const struct conn_layer_ops *,
	    void *layer);
/* NULL where there is none, or one of another kind. */
void	*conn_layer(const struct conn *, const struct conn_layer_ops *);
int	 conn_fd(const struct conn *);

#endif
