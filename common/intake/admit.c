/* admit.c - which clients an intake takes, and which it trusts. */
#include "intake/admit.h"

#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intake/replies.h"
#include "intake/session_inner.h"
#include "net/addr_range.h"

const char *
admit_fault(const struct intake *in, const struct addr *from)
{
	const struct session *s;
	struct addr a = *from;
	int64_t n = 0;

	if (in->is_draining)
		return SAY_STOPPING;
	if (in->nsessions >= in->conf->max_connections)
		return SAY_TOO_MANY_CONNS;
	if (in->conf->max_connections_per_ip == 0 ||
	    addr_family(from) == AF_UNIX)
		return NULL;
	TAILQ_FOREACH(s, &in->sessions, next) {
		addr_set_port(&a, addr_port(&s->from));
		n += addr_equal(&a, &s->from);
	}
	return n >= in->conf->max_connections_per_ip ? SAY_TOO_MANY_FROM_IP :
	    NULL;
}

void
admit_refuse(struct intake *in, int fd, const char *say)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s\r\n", say);

	in->stats.connections_refused++;
	send(fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

bool
admit_trusts(const struct intake *in, const struct addr *from)
{
	const struct opt_list *hosts = &in->conf->xclient_hosts;
	size_t i;

	if (addr_family(from) != AF_UNIX)
		return addr_range_has(hosts, from);
	/* Who may connect to a UNIX socket is no address. */
	for (i = 0; i < hosts->n; i++)
		if (strcasecmp(hosts->v[i], "loopback") == 0)
			return true;
	return false;
}
