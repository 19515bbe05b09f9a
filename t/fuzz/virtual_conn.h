/*
 * virtual_conn.h - connections without sockets and TLS without bytes: what the
 * client sends goes to a server in the same program.  For one program; its
 * definitions come before those of the library (net/conn.c, net/tls.c,
 * net/tls_ctx.c).  As conn.h promises, a callback never comes inside the call
 * that asks for it: virtual_happens() makes them.
 */
#ifndef VIRTUAL_CONN_H
#define VIRTUAL_CONN_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/conn_layer.h"
#include "net/tls.h"
#include "virtual_loop.h"

#define VIRTUAL_CONNS	4

struct virtual_server {
	void	*(*new)(void);		/* for a new connection */
	void	 (*free)(void *);
	void	 (*said)(void *, const char *, size_t);	/* by the client */
	void	 (*secured)(void *);	/* TLS from now on */
};

/* The client's end. */
struct conn {
	const struct conn_ops *ops;
	void		*arg;
	void		*server;
	struct buf	 out;		/* kept */
	size_t		 room;		/* SIZE_MAX: no limit */
	bool		 is_open, is_shaking, is_tls, is_over;
	bool		 wants_room;
	bool		 will_open, will_secure, will_close;
	int		 error;		/* for will_close */
	enum tls_fault	 fault;
	struct tls_cert	 cert;
	struct tls_facts facts;
	struct later	 free_later;
};

static struct virtual_net {
	const struct virtual_server *server;
	struct conn	*conns[VIRTUAL_CONNS];	/* that are not freed */
	size_t		 nconns;
	size_t		 at;		/* the last one opened */
	bool		 is_unverified;	/* all certificates */
	bool		 refuses, tls_fails, tls_stalls;	/* the next time */
	bool		 is_ended;	/* from now on all of it */
} virtual_net;

static void
virtual_check(bool holds)
{
	if (!holds)
		abort();
}

/* ---- TLS without bytes: net/tls.h ---- */

struct tls_ctx *
tls_ctx_new(const struct tls_conf *conf, char *error, size_t size)
{
	(void)conf;
	(void)error;
	(void)size;
	return xcalloc(1, 1);
}

void
tls_ctx_free(struct tls_ctx *ctx)
{
	free(ctx);
}

void
conn_start_tls(struct conn *c, struct tls_ctx *ctx,
    const struct tls_peer *peer)
{
	bool is_verified = !virtual_net.is_unverified;

	virtual_check(ctx != NULL && peer->level != TLS_NONE && c->is_open &&
	    buf_is_empty(&c->out) && !c->is_shaking && !c->is_tls);
	c->is_shaking = true;
	c->cert = (struct tls_cert){ .is_verified = is_verified };
	c->facts = (struct tls_facts){ .version = "TLSv1.3", .cipher = "x",
	    .cert = &c->cert };
	if (virtual_net.tls_stalls || virtual_net.is_ended)
		;
	else if (virtual_net.tls_fails || (peer->level == TLS_VERIFY && !is_verified)) {
		c->fault = virtual_net.tls_fails ? TLS_FAULT_HANDSHAKE :
		    TLS_FAULT_CERT;
		c->error = EPROTO;
		c->will_close = true;
	} else
		c->will_secure = true;
	virtual_net.tls_fails = virtual_net.tls_stalls = false;
}

const struct tls_facts *
conn_tls(const struct conn *c)
{
	return c->is_tls ? &c->facts : NULL;
}

bool
tls_is_verified(const struct tls_facts *f)
{
	return f != NULL && f->cert->is_verified;
}

const char *
tls_facts_text(const struct tls_facts *f, char *to, size_t size)
{
	snprintf(to, size, "%s %s", f->version, f->cipher);
	return to;
}

enum tls_cert_fault
conn_tls_cert_fault(const struct conn *c)
{
	(void)c;
	return TLS_CERT_BAD;
}

enum tls_fault
conn_tls_fault(const struct conn *c, const char **text_r)
{
	if (c->fault != TLS_FAULT_NONE)
		*text_r = "played";
	return c->fault;
}

int
conn_tls_binding(const struct conn *c, uint8_t bytes[TLS_BINDING_MAX],
    const char **name_r)
{
	virtual_check(c->is_tls);
	memset(bytes, 'b', 32);
	*name_r = "tls-exporter";
	return 32;
}

/* ---- connections without sockets: net/conn.h ---- */

static void
virtual_free_conn(void *arg)
{
	struct conn *c = arg;

	virtual_net.server->free(c->server);
	buf_clear(&c->out);
	free(c);
}

struct conn *
conn_open(struct loop *loop, const struct addr *to, const struct addr *source,
    const struct conn_ops *ops, void *arg)
{
	struct conn *c;

	(void)loop;
	(void)to;
	(void)source;
	virtual_check(virtual_net.nconns < VIRTUAL_CONNS);
	c = xcalloc(1, sizeof(*c));
	c->ops = ops;
	c->arg = arg;
	c->room = SIZE_MAX;
	c->server = virtual_net.server->new();
	buf_init(&c->out, (size_t)4 * 1024 * 1024);
	later_init(&c->free_later, virtual_free_conn, c);
	if (virtual_net.is_ended || virtual_net.refuses) {
		c->error = ECONNREFUSED;
		c->will_close = true;
	} else
		c->will_open = true;
	virtual_net.refuses = false;
	virtual_net.at = virtual_net.nconns;
	virtual_net.conns[virtual_net.nconns++] = c;
	return c;
}

void
conn_free(struct conn *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; virtual_net.conns[i] != c; i++)
		virtual_check(i + 1 < virtual_net.nconns);
	virtual_net.conns[i] = virtual_net.conns[--virtual_net.nconns];
	c->is_over = true;
	loop_later(&virtual_loop, &c->free_later);
}

void
conn_abort(struct conn *c)
{
	conn_free(c);
}

/* Bytes reach the server, as many as there is room for. */
static size_t
virtual_leave(struct conn *c, const char *p, size_t n)
{
	if (n > c->room)
		n = c->room;
	if (c->room != SIZE_MAX)
		c->room -= n;
	if (n > 0)
		virtual_net.server->said(c->server, p, n);
	return n;
}

void
conn_write(struct conn *c, const char *p, size_t n)
{
	size_t did = 0;

	virtual_check(c->is_open && !c->is_over && !c->is_shaking);
	if (c->will_close)
		return;
	if (buf_is_empty(&c->out))
		did = virtual_leave(c, p, n);
	virtual_check(did == n || buf_add(&c->out, p + did, n - did) == 0);
}

void
conn_want_room(struct conn *c)
{
	c->wants_room = true;
}

bool
conn_has_room(const struct conn *c)
{
	return !c->wants_room && !c->is_shaking && buf_is_empty(&c->out);
}

int64_t
conn_sendfile(struct conn *c, int fd, uint64_t offset, size_t n)
{
	static char bytes[64 * 1024];
	ssize_t got = pread(fd, bytes, n < sizeof(bytes) ? n : sizeof(bytes),
	    (off_t)offset);

	virtual_check(conn_has_room(c) && got >= 0);
	if (got > 0)
		got = (ssize_t)virtual_leave(c, bytes, (size_t)got);
	if (got > 0)
		return got;
	if (c->room > 0)
		return 0;
	c->wants_room = true;
	errno = EAGAIN;
	return -1;
}

int64_t
conn_send(struct conn *c, const char *p, size_t n)
{
	size_t got;

	virtual_check(conn_has_room(c));
	if ((got = virtual_leave(c, p, n)) > 0)
		return (int64_t)got;
	if (c->room > 0)
		return 0;
	c->wants_room = true;
	errno = EAGAIN;
	return -1;
}

size_t
conn_pending(const struct conn *c)
{
	return buf_len(&c->out);
}

/* For what is linked but never used here. */
int
conn_local(const struct conn *c, struct addr *a)
{
	(void)c;
	(void)a;
	return -1;
}

void
conn_set_layer(struct conn *c, const struct conn_layer_ops *ops, void *layer)
{
	(void)c;
	(void)ops;
	(void)layer;
	abort();
}

void *
conn_layer(const struct conn *c, const struct conn_layer_ops *ops)
{
	(void)c;
	(void)ops;
	return NULL;
}

int
conn_fd(const struct conn *c)
{
	(void)c;
	return -1;
}

/* ---- what connections tell ---- */

static void
virtual_room(struct conn *c)
{
	size_t n;

	c->wants_room = false;
	if (buf_is_empty(&c->out)) {
		c->ops->drained(c->arg);
		return;
	}
	n = virtual_leave(c, buf_data(&c->out), buf_len(&c->out));
	buf_consume(&c->out, n);
	if (buf_is_empty(&c->out))
		c->ops->drained(c->arg);
	else
		c->ops->progress(c->arg);
}

/* One thing, if there is any to tell. */
static bool
virtual_happens(struct conn *c)
{
	if (c->will_open) {
		c->will_open = false;
		c->is_open = true;
		c->ops->opened(c->arg);
	} else if (c->will_secure) {
		c->will_secure = c->is_shaking = false;
		c->is_tls = true;
		virtual_net.server->secured(c->server);
		c->ops->secured(c->arg);
	} else if (c->will_close && !c->is_over) {
		c->will_close = false;
		c->is_open = c->error != ECONNREFUSED;
		c->ops->closed(c->arg, c->error);
	} else if (c->is_open && c->room > 0 && !c->is_shaking &&
	    (c->wants_room || !buf_is_empty(&c->out)))
		virtual_room(c);
	else
		return false;
	return true;
}

#endif
