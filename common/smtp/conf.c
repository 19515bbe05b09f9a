/* conf.c - options of the SMTP client. */
#include "smtp/conf.h"


#include "mail/envelope.h"
#include "mail/frame.h"
#include "net/ehlo_name.h"

#define SEC	1000LL
#define AT(field)	offsetof(struct smtp_conf, field)

static const struct opt_word family_words[] = {
	{ "any", FAMILY_ANY, "IPv6 and IPv4" },
	{ "ipv4", FAMILY_IPV4, "IPv4 only" },
	{ "ipv6", FAMILY_IPV6, "IPv6 only" },
	{ "all", FAMILY_ANY, NULL },
	{ .word = NULL }
};

static const struct opt_word policy_words[] = {
	{ "round-robin", SOURCE_ROUND_ROBIN, "one after the other" },
	{ "random", SOURCE_RANDOM, "any of them" },
	{ "sender-domain", SOURCE_BY_SENDER, "always the same one for a "
	    "sender's domain" },
	{ "recipient-domain", SOURCE_BY_RECIPIENT, "always the same one for "
	    "the first recipient's domain" },
	{ .word = NULL }
};

static const struct opt_word nul_words[] = {
	{ "send", NUL_SEND, "as they are" },
	{ "refuse", NUL_REFUSE, "the message fails with 554 5.6.0" },
	{ .word = NULL }
};

static const struct opt_word eightbit_words[] = {
	{ "convert", EIGHTBIT_CONVERTED, "re-encoded as quoted-printable or "
	    "base64 (RFC 6152); what is signed or encrypted inside MIME fails "
	    "with 554 5.6.3, a DKIM signature breaks" },
	{ "refuse", EIGHTBIT_REFUSED, "the message fails with 554 5.6.3" },
	{ "send", EIGHTBIT_AS_IS, "as it is, against the standard" },
	{ .word = NULL }
};

static const char *
check_source(const char *value)
{
	struct addr a;

	return addr_parse(&a, value, 0) == 0 ? NULL :
	    "is not an IPv4 or IPv6 address";
}

const struct opt_row smtp_conf_rows[] = {
	{ "connect_timeout", OPT_TIME, AT(connect_timeout_ms), "30s", 1,
	    3600 * SEC, NULL, NULL, 0, "Wait for a connection to one address "
	    "of a host." },
	{ "command_timeout", OPT_TIME, AT(command_timeout_ms), "30s", 1,
	    3600 * SEC, NULL, NULL, 0, "Wait for the greeting and for the "
	    "answer to a command. RFC 5321 section 4.5.3.2 asks for five "
	    "minutes." },
	{ "data_timeout", OPT_TIME, AT(data_timeout_ms), "60s", 1,
	    3600 * SEC, NULL, NULL, 0, "Wait for a block of the message to "
	    "be taken, and once more for the answer to the whole. A server "
	    "that checks content slowly and accepts after this time makes a "
	    "duplicate when the message is sent again; RFC 5321 section "
	    "4.5.3.2.6 asks for ten minutes." },
	{ "idle_timeout", OPT_TIME, AT(idle_timeout_ms), "10s", 0,
	    3600 * SEC, NULL, NULL, 0, "Keep a connection open after a "
	    "delivery for the next message. 0: only for a message that waits "
	    "already." },
	{ "queue_timeout", OPT_TIME, AT(queue_timeout_ms), "300s", 1,
	    86400 * SEC, NULL, NULL, 0, "Wait for a free connection when "
	    "concurrent_connections is reached; then 451 4.4.5." },
	{ "dns_timeout", OPT_TIME, AT(dns_timeout_ms), "30s", 1, 600 * SEC,
	    NULL, NULL, 0, "Wait for the addresses of a host name." },
	{ "attempt_timeout", OPT_TIME, AT(attempt_timeout_ms), "300s", 1,
	    86400 * SEC, NULL, NULL, 0, "After this time a delivery begins "
	    "with no further address or host; what failed until then is its "
	    "answer." },
	{ "address_limit", OPT_INT, AT(address_limit), "20", 1, 1000, NULL,
	    NULL, 0, "Addresses tried for one delivery, over all hosts." },
	{ "session_limit", OPT_INT, AT(session_limit), "5", 1, 1000, NULL,
	    NULL, 0, "Of them, addresses where a connection was made." },
	{ "dead_host_time", OPT_TIME, AT(dead_host_ms), "30s", 0, 3600 * SEC,
	    NULL, NULL, 0, "An address that could not be connected to, or "
	    "not as soon as one of the other family, is tried last for so "
	    "long; 0: not remembered." },
	{ "concurrent_connections", OPT_INT, AT(concurrent_connections), "5",
	    1, 60000, NULL, NULL, 0, "Connections at once to one remote host "
	    "(address and port), idle ones included." },
	{ "max_connection_time", OPT_TIME, AT(max_connection_time_ms), "300s",
	    0, 86400 * SEC, NULL, NULL, 0, "A connection older than this "
	    "takes no further message. A limit by time, not by count: a slow "
	    "host must not attract all traffic. 0: no limit." },
	{ "max_messages_per_connection", OPT_INT,
	    AT(max_messages_per_connection), "0", 0, 1000000, NULL, NULL, 0,
	    "Messages over one connection. 0: no limit." },
	{ "max_recipients", OPT_INT, AT(max_recipients), "1000", 1,
	    ENVELOPE_RCPT_MAX, NULL, NULL, 0, "Recipients in one transaction; "
	    "more make further ones on the same connection." },
	{ "window", OPT_INT, AT(window), "5000", 1, FRAME_WINDOW_MAX, NULL,
	    NULL, 0, "Deliveries the agent accepts at once." },
	{ "ehlo_as", OPT_STRING, AT(ehlo_as), "{fqdn}", 0, 0, NULL,
	    ehlo_name_check, 0, "The name given in EHLO. {fqdn} is this host's "
	    "full name, {hostname} its short one." },
	{ "address_family", OPT_ENUM, AT(address_family), "any", 0, 0,
	    family_words, NULL, 0, "Which addresses of a host are used." },
	{ "ipv4_only", OPT_BOOL, AT(ipv4_only), "no", 0, 0, NULL, NULL, 0,
	    "The same as address_family = ipv4." },
	{ "source_addresses", OPT_LIST, AT(source_addresses), NULL, 0, 1000,
	    NULL, check_source, 0, "Connect from these addresses, IPv4 and "
	    "IPv6. A family that has none in the list is left to the "
	    "system." },
	{ "source_policy", OPT_ENUM, AT(source_policy), "round-robin", 0, 0,
	    policy_words, NULL, 0, "Which of them a delivery uses." },
	{ "chunking", OPT_BOOL, AT(chunking), "yes", 0, 0, NULL, NULL, 0,
	    "Send the message by BDAT where the server offers CHUNKING (RFC "
	    "3030): no dot stuffing, and a small message leaves with its "
	    "commands in one piece." },
	{ "eightbit", OPT_ENUM, AT(eightbit), "convert", 0, 0, eightbit_words,
	    NULL, 0, "A message with 8-bit bytes for a server that does not "
	    "offer 8BITMIME." },
	{ "nul_bytes", OPT_ENUM, AT(nul_bytes), "send", 0, 0, nul_words,
	    NULL, 0, "A message that contains NUL bytes." },
	TRANSCRIPT_ROWS(AT(transcript)),
	{ .name = NULL }
};
