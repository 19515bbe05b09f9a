/*
 * dns_tcp.h - the TCP connection of a server: questions one behind the other
 * without waiting, answers in any order, closed when idle (RFC 7766).
 */
#ifndef ROUTE_DNS_TCP_H
#define ROUTE_DNS_TCP_H

struct dns_server;
struct dns_try;

#define DNS_TCP_IDLE_MS		5000
#define DNS_TCP_FOREIGN_MAX	100	/* answers nobody waits for, in a row */

/* Opens the connection if there is none. -1 with errno. */
int	dns_tcp_send(struct dns_try *);
void	dns_tcp_forget(struct dns_try *);
void	dns_tcp_close(struct dns_server *);	/* nobody waits for answers */

#endif
