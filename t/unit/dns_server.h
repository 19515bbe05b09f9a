/*
 * dns_server.h - a name server on a loopback port, in the loop of the test.
 *
 * It answers by rows, and tells lies where a row has a function.  UDP and TCP
 * have the same port.
 */
#ifndef DNS_SERVER_H
#define DNS_SERVER_H

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/loop.h"

struct dns_server_ask;
struct dns_server_row;

typedef void dns_server_fn(struct dns_server_ask *, const struct dns_server_row *);

/* What is said to a question: RRs as text, up to NULL. */
struct dns_server_row {
	const char	*name;		/* with the last dot; "*": any */
	ldns_rr_type	 type;		/* 0: any */
	ldns_pkt_rcode	 rcode;
	const char	*answer[12];
	const char	*authority[3];
	dns_server_fn	*fn;		/* instead */
};

#define DNS_SERVER_CONNS	8

struct dns_server_conn {
	struct test_dns_server *server;
	int		 fd;		/* 0: free */
	struct event	 ev;
	uint8_t		 in[4096];
	size_t		 n;
};

struct test_dns_server {
	struct loop	*loop;
	int		 udp, tcp;
	uint16_t	 port;
	struct event	 ev_udp, ev_tcp;
	const struct dns_server_row *rows;	/* name NULL ends them */
	struct dns_server_conn conns[DNS_SERVER_CONNS];
	bool		 is_ad;			/* says AD */
	unsigned	 nudp, ntcp, nconns;	/* heard */
	unsigned	 nsecure, nedns;	/* with DO and AD; with OPT */
	uint16_t	 ports[64], ids[64];	/* of the first questions */
};

struct dns_server_ask {
	struct test_dns_server *server;
	struct dns_server_conn *conn;		/* NULL: UDP */
	struct sockaddr_in from;
	const uint8_t	*wire;
	size_t		 size;
	ldns_pkt	*pkt;
};

static inline void
dns_server_send(struct dns_server_ask *ask, const void *data, size_t n)
{
	uint8_t message[65537];

	if (ask->conn == NULL) {
		sendto(ask->server->udp, data, n, 0,
		    (const struct sockaddr *)&ask->from, sizeof(ask->from));
		return;
	}
	put_be16(message, (uint16_t)n);
	memcpy(message + 2, data, n);
	if (send(ask->conn->fd, message, n + 2, MSG_NOSIGNAL) == -1)
		return;
}

/* The packet a row says; from malloc(). */
static inline uint8_t *
dns_server_packet(const struct dns_server_ask *ask,
    const struct dns_server_row *row, size_t *size_r)
{
	ldns_pkt *pkt = ldns_pkt_new();
	uint8_t *wire = NULL;
	ldns_rr *rr;
	size_t i;

	ldns_pkt_set_id(pkt, ldns_pkt_id(ask->pkt));
	ldns_pkt_set_qr(pkt, true);
	ldns_pkt_set_rd(pkt, true);
	ldns_pkt_set_ra(pkt, true);
	ldns_pkt_set_ad(pkt, ask->server->is_ad);
	ldns_pkt_set_rcode(pkt, row->rcode);
	ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, ldns_rr_clone(
	    ldns_rr_list_rr(ldns_pkt_question(ask->pkt), 0)));
	for (i = 0; row->answer[i] != NULL; i++)
		if (ldns_rr_new_frm_str(&rr, row->answer[i], 0, NULL,
		    NULL) == LDNS_STATUS_OK)
			ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr);
		else
			errx(1, "no record: %s", row->answer[i]);
	for (i = 0; row->authority[i] != NULL; i++)
		if (ldns_rr_new_frm_str(&rr, row->authority[i], 0, NULL,
		    NULL) == LDNS_STATUS_OK)
			ldns_pkt_push_rr(pkt, LDNS_SECTION_AUTHORITY, rr);
		else
			errx(1, "no record: %s", row->authority[i]);
	if (ldns_pkt2wire(&wire, pkt, size_r) != LDNS_STATUS_OK)
		errx(1, "ldns_pkt2wire");
	ldns_pkt_free(pkt);
	return wire;
}

static inline void
dns_server_say(struct dns_server_ask *ask, const struct dns_server_row *row)
{
	size_t n;
	uint8_t *wire = dns_server_packet(ask, row, &n);

	dns_server_send(ask, wire, n);
	free(wire);
}

static inline void
dns_server_heard(struct dns_server_ask *ask)
{
	struct test_dns_server *s = ask->server;
	const struct dns_server_row *row;
	ldns_rr *question;
	char *name;

	if (ldns_wire2pkt(&ask->pkt, ask->wire, ask->size) != LDNS_STATUS_OK)
		errx(1, "a question that is none");
	question = ldns_rr_list_rr(ldns_pkt_question(ask->pkt), 0);
	name = ldns_rdf2str(ldns_rr_owner(question));
	s->nedns += ldns_pkt_edns_udp_size(ask->pkt) == 1232;
	s->nsecure += ldns_pkt_edns_do(ask->pkt) && ldns_pkt_ad(ask->pkt);
	for (row = s->rows; row->name != NULL; row++)
		if ((strcmp(row->name, "*") == 0 ||
		    strcasecmp(row->name, name) == 0) && (row->type == 0 ||
		    row->type == ldns_rr_get_type(question)))
			break;
	if (row->name == NULL)
		errx(1, "no row for %s", name);
	free(name);
	if (row->fn != NULL)
		row->fn(ask, row);
	else
		dns_server_say(ask, row);
	ldns_pkt_free(ask->pkt);
}

static inline void
dns_server_on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct test_dns_server *s = arg;
	struct dns_server_ask ask = { .server = s };
	socklen_t len = sizeof(ask.from);
	uint8_t in[4096];
	ssize_t n;

	(void)what;
	n = recvfrom(fd, in, sizeof(in), MSG_DONTWAIT,
	    (struct sockaddr *)&ask.from, &len);
	if (n < 12)
		return;
	if (s->nudp < 64) {
		s->ports[s->nudp] = ntohs(ask.from.sin_port);
		s->ids[s->nudp] = get_be16(in);
	}
	s->nudp++;
	ask.wire = in;
	ask.size = (size_t)n;
	dns_server_heard(&ask);
}

static inline void
dns_server_close(struct dns_server_conn *c)
{
	if (c->fd == 0)
		return;
	event_del(&c->ev);
	close(c->fd);
	c->fd = 0;
}

static inline void
dns_server_on_conn(evutil_socket_t fd, short what, void *arg)
{
	struct dns_server_conn *c = arg;
	struct dns_server_ask ask = { .server = c->server, .conn = c };
	ssize_t n = recv(fd, c->in + c->n, sizeof(c->in) - c->n, MSG_DONTWAIT);
	size_t size;

	(void)what;
	if (n <= 0) {
		dns_server_close(c);
		return;
	}
	c->n += (size_t)n;
	while (c->fd != 0 && c->n >= 2 &&
	    c->n >= 2 + (size = get_be16(c->in))) {
		c->server->ntcp++;
		ask.wire = c->in + 2;
		ask.size = size;
		dns_server_heard(&ask);
		c->n -= 2 + size;
		memmove(c->in, c->in + 2 + size, c->n);
	}
}

static inline void
dns_server_on_tcp(evutil_socket_t fd, short what, void *arg)
{
	struct test_dns_server *s = arg;
	struct dns_server_conn *c = s->conns;
	int peer = accept(fd, NULL, NULL);

	(void)what;
	if (peer == -1)
		return;
	while (c < s->conns + DNS_SERVER_CONNS && c->fd != 0)
		c++;
	if (c == s->conns + DNS_SERVER_CONNS)
		errx(1, "too many connections");
	s->nconns++;
	c->server = s;
	c->fd = peer;
	c->n = 0;
	event_assign(&c->ev, loop_base(s->loop), peer, EV_READ | EV_PERSIST,
	    dns_server_on_conn, c);
	event_add(&c->ev, NULL);
}

static inline void
dns_server_start(struct test_dns_server *s, struct loop *loop,
    const struct dns_server_row *rows)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int i;

	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->rows = rows;
	for (i = 0; i < 100; i++) {	/* until both have the same port */
		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		a.sin_port = 0;
		if (bind(s->udp, (struct sockaddr *)&a, sizeof(a)) == -1 ||
		    getsockname(s->udp, (struct sockaddr *)&a, &len) == -1)
			err(1, "UDP socket");
		if (bind(s->tcp, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		    listen(s->tcp, 100) == 0)
			break;
		close(s->udp);
		close(s->tcp);
	}
	s->port = ntohs(a.sin_port);
	event_assign(&s->ev_udp, loop_base(loop), s->udp,
	    EV_READ | EV_PERSIST, dns_server_on_udp, s);
	event_assign(&s->ev_tcp, loop_base(loop), s->tcp,
	    EV_READ | EV_PERSIST, dns_server_on_tcp, s);
	event_add(&s->ev_udp, NULL);
	event_add(&s->ev_tcp, NULL);
}

static inline void
dns_server_stop(struct test_dns_server *s)
{
	size_t i;

	event_del(&s->ev_udp);
	event_del(&s->ev_tcp);
	close(s->udp);
	close(s->tcp);
	for (i = 0; i < DNS_SERVER_CONNS; i++)
		dns_server_close(&s->conns[i]);
}

#endif
