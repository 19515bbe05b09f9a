/* conf.h - the options that all agents with an SMTP or LMTP client share. */
#ifndef SMTP_CONF_H
#define SMTP_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/transcript.h"
#include "conf/option.h"
#include "net/addr.h"

enum address_family { FAMILY_ANY, FAMILY_IPV4, FAMILY_IPV6 };
enum source_policy { SOURCE_ROUND_ROBIN, SOURCE_RANDOM, SOURCE_BY_SENDER,
    SOURCE_BY_RECIPIENT };
enum nul_bytes { NUL_SEND, NUL_REFUSE };
enum eightbit { EIGHTBIT_AS_IS, EIGHTBIT_REFUSED, EIGHTBIT_CONVERTED };

struct smtp_conf {
	int64_t		 connect_timeout_ms;
	int64_t		 command_timeout_ms;
	int64_t		 data_timeout_ms;
	int64_t		 idle_timeout_ms;
	int64_t		 queue_timeout_ms;
	int64_t		 dns_timeout_ms;
	int64_t		 attempt_timeout_ms;
	int64_t		 address_limit, session_limit;
	int64_t		 dead_host_ms;
	int64_t		 concurrent_connections;
	int64_t		 max_connection_time_ms;
	int64_t		 max_messages_per_connection;	/* 0 = no limit */
	int64_t		 max_recipients;
	int64_t		 window;
	char		*ehlo_as;
	int		 address_family;
	bool		 ipv4_only;
	bool		 chunking;
	struct opt_list	 source_addresses;
	int		 source_policy;
	int		 eightbit;
	int		 nul_bytes;
	struct transcript_conf transcript;
};

extern const struct opt_row smtp_conf_rows[];

/* What is legal but dangerous; see tls_conf_warn(). */
void	smtp_conf_warn(const struct smtp_conf *, opt_report *, void *arg);

#endif
