/* dns_try.c - a question on its way to a server; UDP. */
#include "route/dns_try.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "route/dns_tcp.h"

#define PACKETS_MAX	16	/* read in one turn */

static uint8_t	input[4096];

bool
dns_try_heard(struct dns_try *t, const uint8_t *packet, size_t n)
{
	if (t->ops->answer(t, packet, n))
		return true;
	if (++t->nforeign < DNS_FOREIGN_MAX)
		return false;
	t->ops->failed(t, EBADMSG);
	return true;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct dns_try *t = arg;
	ssize_t n;
	int i;

	(void)what;
	for (i = 0; i < PACKETS_MAX; i++) {
		n = recv(fd, input, sizeof(input), MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			if (errno != EAGAIN)
				t->ops->failed(t, errno);
			return;
		}
		if (dns_try_heard(t, input, (size_t)n))
			return;
	}
}

static void
on_failed(void *arg)
{
	struct dns_try *t = arg;

	t->ops->failed(t, t->error);
}

static int
send_udp(struct dns_try *t)
{
	const struct addr *a = &t->server->addr;

	t->fd = socket(addr_family(a),
	    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd == -1)
		return -1;
	if (connect(t->fd, &a->u.sa, a->len) == -1 ||
	    send(t->fd, t->packet, t->packet_size, 0) == -1)
		return -1;
	event_assign(&t->ev, loop_base(t->loop), t->fd, EV_READ | EV_PERSIST,
	    on_readable, t);
	event_add(&t->ev, NULL);
	return 0;
}

struct dns_try *
dns_try_new(struct loop *loop, struct dns_server *server,
    const struct dns_name *name, enum dns_type type, bool has_edns,
    bool is_tcp, const struct dns_try_ops *ops, void *arg)
{
	struct dns_try *t = xcalloc(1, sizeof(*t));
	unsigned flags = (has_edns ? DNS_EDNS : 0) |
	    (server->is_trusted ? DNS_SECURE : 0);
	int error;

	t->ops = ops;
	t->arg = arg;
	t->loop = loop;
	t->fd = -1;
	t->has_edns = has_edns;
	t->is_tcp = is_tcp;
	t->sent_ms = loop_now_ms(loop);
	later_init(&t->fail_later, on_failed, t);
	t->server = dns_server_ref(server);
	t->id = (uint16_t)arc4random();
	t->packet_size = dns_packet_build(t->packet, t->id, name, type, flags);
	errno = ENOMEM;
	if (t->packet_size > 0 &&
	    (is_tcp ? dns_tcp_send(t) : send_udp(t)) == 0)
		return t;
	error = errno;
	dns_try_free(t);
	errno = error;
	return NULL;
}

bool
dns_try_repeat(struct dns_try *t)
{
	return t->fd != -1 &&
	    send(t->fd, t->packet, t->packet_size, 0) != -1;
}

void
dns_try_free(struct dns_try *t)
{
	if (t == NULL)
		return;
	loop_forget(t->loop, &t->fail_later);
	if (t->tcp != NULL)
		dns_tcp_forget(t);
	if (t->fd != -1) {
		if (event_initialized(&t->ev))
			event_del(&t->ev);
		close(t->fd);
	}
	dns_server_unref(t->server);
	free(t);
}
