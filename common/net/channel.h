/*
 * channel.h - frames over a UNIX stream socket, with passed descriptors and
 * back-pressure.
 *
 * Frames are queued by channel_put_*() and leave in as few system calls as
 * possible at the end of the turn.  What arrives is handed to on_frame, one
 * frame at a time; pointers in it live until the callback returns.
 */
#ifndef NET_CHANNEL_H
#define NET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "mail/frame.h"
#include "net/loop.h"

struct channel;

struct channel_ops {
	/* fd: the descriptor that came with the frame, or -1; the callee owns
	 * it.  -1 with FRAME_HAS_FD: it came, but this process has no more of
	 * them, and it is lost.  May call channel_close() and channel_free(). */
	void	(*frame)(void *arg, const struct frame *, const void *bytes,
		    int fd);
	/* The peer closed (error NULL) or the channel failed (what went
	 * wrong); called once, never after channel_close().  Whole frames that
	 * the peer sent before were handed out, except on a paused channel
	 * whose peer takes nothing any more. */
	void	(*closed)(void *arg, const char *error);
	/* Output went from some to none. May be NULL. */
	void	(*drained)(void *arg);
};

/* fd: connected, made non-blocking here; owned. out_max: ceiling of queued
 * output in bytes. */
struct channel	*channel_new(struct loop *, int fd, size_t out_max,
		    const struct channel_ops *, void *arg);
/* Stops all callbacks and closes the socket at once; queued output is lost. */
void		 channel_close(struct channel *);
/* Closes if still open; memory goes at the end of the turn. */
void		 channel_free(struct channel *);

/*
 * The buffer that frames are encoded into (frame_put_*()).  After writing,
 * call channel_queued(); fd >= 0 is sent with the first byte of the frame
 * that was written last, which must have started at frame_start (an offset
 * from buf_data() before the write: the former buf_len()).  The channel owns
 * fd from here and closes it when it is sent.
 */
struct buf	*channel_out(struct channel *);
void		 channel_queued(struct channel *, size_t frame_start, int fd);
/* Queue an encoded frame; -1 with errno ENOBUFS where out_max is reached, and
 * fd stays the caller's. */
int		 channel_put(struct channel *, const void *frame, size_t,
		    int fd);

size_t		 channel_pending(const struct channel *);  /* bytes not sent */
/* Bytes queued / sent since the start: a moment can be remembered and later
 * asked for ("has what I queued then left?"). */
uint64_t	 channel_queued_total(const struct channel *);
uint64_t	 channel_sent_total(const struct channel *);
/* Send now as much as the socket takes. */
void		 channel_flush(struct channel *);

/* Stop and go on reading (back-pressure).  After a stop no frame is handed
 * out; what was read already waits, and an end behind it, too. */
void		 channel_pause(struct channel *);
void		 channel_resume(struct channel *);

int		 channel_fd(const struct channel *);
#endif
