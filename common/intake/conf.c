/* conf.c - options of intake-lmtp. */
#include "intake/conf.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "intake/listen.h"
#include "mail/envelope.h"
#include "net/addr_range.h"
#include "route/domain_map.h"

#define AT(field)	offsetof(struct intake_conf, field)
#define DAY_MS		86400000

static const struct opt_word no_route_words[] = {
	{ "reject", NO_ROUTE_REJECT, "550 5.1.2: for good." },
	{ "defer", NO_ROUTE_DEFER, "450 4.1.2: for now." },
	{ .word = NULL }
};

static const struct opt_word bare_newline_words[] = {
	{ "reject", BARE_REJECT, "The message is refused with 550 5.6.11." },
	{ "normalize", BARE_NORMALIZE, "Each becomes CRLF; the end of a "
	    "message is CRLF.CRLF all the same." },
	{ .word = NULL }
};

static const struct opt_word keyword_words[] = {
	{ "pipelining", KEYWORD_PIPELINING, NULL },
	{ "size", KEYWORD_SIZE, NULL },
	{ "8bitmime", KEYWORD_8BITMIME, NULL },
	{ "binarymime", KEYWORD_BINARYMIME, NULL },
	{ "chunking", KEYWORD_CHUNKING, NULL },
	{ "smtputf8", KEYWORD_SMTPUTF8, NULL },
	{ "dsn", KEYWORD_DSN, NULL },
	{ "enhancedstatuscodes", KEYWORD_ENHANCEDSTATUSCODES, NULL },
	{ .word = NULL }
};

/* What is said in one line of a reply. */
static const char *
check_line(const char *value)
{
	return strlen(value) > 400 || !str_is_ascii(value) ?
	    "is not ASCII, or longer than 400 characters" : NULL;
}

static const char *
check_hostname(const char *value)
{
	return *value == '\0' || strchr(value, ' ') != NULL ||
	    strlen(value) > 255 ? "is no host name" : check_line(value);
}

static const struct opt_row rows[] = {
	{ "relay", OPT_STRING, AT(relay), NULL, 0, 0, NULL, NULL, 0, "The "
	    "relay that gets recipients for whom relay.PATTERN names none. "
	    "Without both it is the only relay there is." },
	{ "relay", OPT_DICT, AT(relays), NULL, 0, 10000, NULL, NULL, 0, "The "
	    "relay by domain: relay.example.com for the domain itself, "
	    "relay..example.com for what is below it, relay.* for all; the "
	    "nearest one holds." },
	{ "no_route", OPT_ENUM, AT(no_route), "reject", 0, 0, no_route_words,
	    NULL, 0, "The answer to a recipient for whom there is no relay." },
	{ "hostname", OPT_STRING, AT(hostname), NULL, 0, 0, NULL,
	    check_hostname, 0, "Name in the greeting and the answer to LHLO; "
	    "the machine's if not given." },
	{ "banner", OPT_STRING, AT(banner), "LMTP nexthop", 0, 0, NULL,
	    check_line, 0, "What the greeting says behind the name." },
	{ "discard_keywords", OPT_LIST, AT(discard_keywords), "", 0, 0,
	    keyword_words, NULL, 0, "Keywords left out of the answer to "
	    "LHLO." },
	{ "max_connections", OPT_INT, AT(max_connections), "1000", 1, 65535,
	    NULL, NULL, 0, "Clients at once; one more is told 421." },
	{ "max_connections_per_ip", OPT_INT, AT(max_connections_per_ip), "0",
	    0, 65535, NULL, NULL, 0, "Clients at once from one IP address; 0 "
	    "is no limit of its own." },
	{ "max_recipients", OPT_INT, AT(max_recipients), "1000", 1,
	    ENVELOPE_RCPT_MAX, NULL, NULL, 0, "Recipients of a message; "
	    "further ones are told 452." },
	{ "max_errors", OPT_INT, AT(max_errors), "20", 1, 100000, NULL, NULL,
	    0, "Commands refused in a session without a message between; then "
	    "it is ended." },
	{ "max_junk_commands", OPT_INT, AT(max_junk_commands), "1000", 1,
	    1000000, NULL, NULL, 0, "Commands that lead to no message, such "
	    "as NOOP, VRFY and RSET, in a session without a message between; "
	    "then it is ended." },
	{ "message_size_limit", OPT_SIZE, AT(message_size_limit), "100M", 0,
	    (int64_t)1 << 50, NULL, NULL, 0, "Bytes of a message, as it comes; "
	    "0 is no limit." },
	{ "command_line_limit", OPT_SIZE, AT(command_line_limit), "4096", 512,
	    32768, NULL, NULL, 0, "Bytes of a command." },
	{ "memory_limit", OPT_SIZE, AT(memory_limit), "1M", 0,
	    (int64_t)1 << 40, NULL, NULL, 0, "A message over this goes to a "
	    "temporary file." },
	{ "memory_total", OPT_SIZE, AT(memory_total), "256M", 0,
	    (int64_t)1 << 50, NULL, NULL, 0, "Bytes of all messages kept in "
	    "memory; beyond, a message of more than 32 KiB goes to a temporary "
	    "file." },
	{ "spool_directory", OPT_STRING, AT(spool_directory), "/var/tmp", 0, 0,
	    NULL, NULL, 0, "Folder of the temporary files, which have no name "
	    "and are gone when the process ends." },
	{ "idle_timeout", OPT_TIME, AT(idle_timeout_ms), "300s", 100, DAY_MS,
	    NULL, NULL, 0, "Wait for a whole command, and for a client to "
	    "take a reply." },
	{ "data_timeout", OPT_TIME, AT(data_timeout_ms), "300s", 100, DAY_MS,
	    NULL, NULL, 0, "Wait for the next bytes of a message. The whole "
	    "must come within this, and a second for each 500 bytes." },
	{ "delivery_timeout", OPT_TIME, AT(delivery_timeout_ms), "540s", 1000,
	    7 * (int64_t)DAY_MS, NULL, NULL, 0, "The deadline of a delivery. "
	    "Less than clients wait for the answer to a message, or they send "
	    "it again." },
	{ "drain_timeout", OPT_TIME, AT(drain_timeout_ms), "30s", 0, DAY_MS,
	    NULL, NULL, 0, "At a reload or stop, sessions go on so long; then "
	    "they end with the message under way, or where there is none, at "
	    "once." },
	{ "bare_newline", OPT_ENUM, AT(bare_newline), "reject", 0, 0,
	    bare_newline_words, NULL, 0, "What is done about a CR or LF in a "
	    "message that is not part of CRLF." },
	{ "xclient_hosts", OPT_LIST, AT(xclient_hosts), "", 0, 0, NULL,
	    addr_range_check, 0, "Clients that may say XCLIENT and XFORWARD: "
	    "addresses, ranges, \"loopback\", which alone includes UNIX "
	    "sockets, and \"private\"." },
	{ "listen", OPT_LIST, AT(listen), "", 0, 100, NULL, listen_check,
	    OPT_CLI_ONLY, "By hand: sockets to listen on, unix:/path, "
	    "inet:127.0.0.1:24 or inet:[::1]:24." },
	{ "submit", OPT_STRING, AT(submit), NULL, 0, 0, NULL, NULL,
	    OPT_CLI_ONLY, "By hand: the submission socket of the master." },
	{ .name = NULL }
};

static const struct opt_group groups[] = {
	{ rows, 0 }, { cage_conf_rows, AT(cage) }, { NULL, 0 }
};

static int
check(void *values, opt_report *report, void *arg)
{
	const struct intake_conf *c = values;
	struct domain_map map;
	const char *key;
	char name[300];

	if ((key = domain_map_init(&map, &c->relays)) == NULL) {
		domain_map_clear(&map);
		return 0;
	}
	snprintf(name, sizeof(name), "relay.%s", key);
	report(arg, name, "is no domain, nor \".\" and a domain, nor \"*\"");
	return 1;
}

static void
name_files(struct cage *c, const void *values)
{
	const struct intake_conf *conf = values;

	cage_write(c, conf->spool_directory);
}

const struct cage_policy intake_cage = {
	.name = "intake-lmtp",
	.may = CAGE_ACCEPT,
	.conf_at = AT(cage),
	.name_files = name_files,
};

const struct opt_table intake_conf_table = {
	"intake-lmtp", groups, sizeof(struct intake_conf), check
};

unsigned
intake_conf_keywords(const struct intake_conf *c)
{
	unsigned bits = KEYWORD_ALL;
	size_t i, w;

	for (i = 0; i < c->discard_keywords.n; i++)
		for (w = 0; keyword_words[w].word != NULL; w++)
			if (strcasecmp(c->discard_keywords.v[i],
			    keyword_words[w].word) == 0)
				bits &= ~(unsigned)keyword_words[w].value;
	/* RFC 3030 §3: BINARYMIME needs CHUNKING. */
	if ((bits & KEYWORD_CHUNKING) == 0)
		bits &= ~(unsigned)KEYWORD_BINARYMIME;
	return bits;
}
