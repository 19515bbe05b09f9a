/* conf.h - options of intake-lmtp. */
#ifndef INTAKE_CONF_H
#define INTAKE_CONF_H

#include "agent/cage.h"
#include "conf/option.h"

enum bare_newline { BARE_REJECT, BARE_NORMALIZE };
enum no_route { NO_ROUTE_REJECT, NO_ROUTE_DEFER };

enum {				/* bits of lhlo_keywords() */
	KEYWORD_PIPELINING = 0x01,
	KEYWORD_SIZE = 0x02,
	KEYWORD_8BITMIME = 0x04,
	KEYWORD_BINARYMIME = 0x08,
	KEYWORD_CHUNKING = 0x10,
	KEYWORD_SMTPUTF8 = 0x20,
	KEYWORD_DSN = 0x40,
	KEYWORD_ENHANCEDSTATUSCODES = 0x80,
	KEYWORD_ALL = 0xff
};

struct intake_conf {
	char		*relay;
	struct opt_dict	 relays;	/* by domain */
	int		 no_route;
	char		*hostname;	/* NULL: the machine's */
	char		*banner;
	struct opt_list	 discard_keywords;
	int64_t		 max_connections;
	int64_t		 max_connections_per_ip;
	int64_t		 max_recipients;
	int64_t		 max_errors;
	int64_t		 max_junk_commands;
	int64_t		 message_size_limit;
	int64_t		 command_line_limit;
	int64_t		 memory_limit;
	int64_t		 memory_total;
	char		*spool_directory;
	int64_t		 idle_timeout_ms;
	int64_t		 data_timeout_ms;
	int64_t		 delivery_timeout_ms;
	int64_t		 drain_timeout_ms;
	int		 bare_newline;
	struct opt_list	 xclient_hosts;
	struct cage_conf cage;
	/* by hand */
	struct opt_list	 listen;
	char		*submit;
};

extern const struct opt_table intake_conf_table;
/* For a child of the master, which has its sockets. */
extern const struct cage_policy intake_cage;

/* The KEYWORD_ bits that LHLO shall offer. */
unsigned	intake_conf_keywords(const struct intake_conf *);

#endif
