/*
 * causes.h - every failure nexthop can declare by itself, one row each:
 * name, SMTP code, enhanced code, who says it, text.  Included several times
 * with CAUSE() defined; see reply.h.  H is a host as "name[address]:port".
 */
/* connecting and talking */
CAUSE(CONNECT_FAILED,	451, 4, 4, 1, BY_AGENT,	"connect to %s: %s")
CAUSE(HOST_UNKNOWN,	451, 4, 4, 4, BY_DNS,	"host %s not found: %s")
CAUSE(DNS_FAILED,	451, 4, 4, 3, BY_DNS,	"%s: DNS lookup failed: %s")
CAUSE(NO_ADDRESS,	451, 4, 4, 4, BY_DNS,	"host %s has no %s address")
CAUSE(LOST,		421, 4, 4, 2, BY_AGENT,	"lost connection with %s while %s")
CAUSE(LOST_ERROR,	421, 4, 4, 2, BY_AGENT,	"lost connection with %s while %s: %s")
CAUSE(LOST_AFTER_DOT,	421, 4, 4, 2, BY_AGENT,	"lost connection with %s after end of data; message may have been delivered")
CAUSE(TIMEOUT,		421, 4, 4, 2, BY_AGENT,	"conversation with %s timed out while %s")
CAUSE(TIMEOUT_AFTER_DOT, 421, 4, 4, 2, BY_AGENT, "conversation with %s timed out after end of data; message may have been delivered")
CAUSE(MALFORMED,	451, 4, 5, 0, BY_AGENT,	"malformed reply from %s while %s: %s")
CAUSE(MALFORMED_AFTER_DOT, 451, 4, 5, 0, BY_AGENT, "malformed reply from %s after end of data: %s; message may have been delivered")
CAUSE(UNEXPECTED,	451, 4, 5, 0, BY_AGENT,	"unexpected reply from %s while %s: %s")
CAUSE(UNSOLICITED,	451, 4, 5, 0, BY_AGENT,	"unexpected data from %s while %s")
CAUSE(SESSION_TIME,	451, 4, 4, 7, BY_AGENT,	"no time left for %s")
CAUSE(BUSY,		451, 4, 4, 5, BY_AGENT,	"too many concurrent connections to %s")
CAUSE(NO_SOURCE,	451, 4, 4, 1, BY_AGENT,	"no source address of the family of %s")
CAUSE(SOURCE_FAILED,	451, 4, 3, 0, BY_AGENT,	"cannot bind source address %s: %s")

/* routing by DNS */
CAUSE(NO_RECORDS,	550, 5, 1, 2, BY_DNS,	"No usable DNS records found: %s")
CAUSE(BAD_NAME,		550, 5, 1, 2, BY_DNS,	"Domain %s cannot exist: %s")
CAUSE(NULL_MX,		556, 5, 1, 10, BY_DNS,	"Domain %s does not accept mail (null MX)")
CAUSE(NO_EXCHANGER,	550, 5, 4, 4, BY_DNS,	"No usable mail exchanger for %s: %s")
CAUSE(MX_LOOP,		554, 5, 4, 6, BY_DNS,	"mail for %s loops back to myself")
CAUSE(NO_LITERALS,	550, 5, 1, 2, BY_AGENT,	"address literal %s is not delivered to")
CAUSE(STS_MISMATCH,	451, 4, 7, 5, BY_TLS,	"MX host %s is not in the MTA-STS policy of %s")
CAUSE(DANE_FAILED,	451, 4, 7, 5, BY_TLS,	"DANE for host %s: %s")
CAUSE(DANE_MISSING,	451, 4, 7, 5, BY_TLS,	"DANE is required, but host %s has no usable TLSA records: %s")
CAUSE(UNTRUSTED_NAME,	550, 5, 7, 30, BY_AGENT, "REQUIRETLS is required, but neither DNSSEC nor MTA-STS vouches for host %s")

/* TLS and AUTH */
CAUSE(TLS_NOT_OFFERED,	451, 4, 7, 4, BY_TLS,	"TLS is required, but was not offered by host %s")
CAUSE(TLS_REFUSED,	451, 4, 7, 4, BY_TLS,	"TLS is required, but host %s refused to start TLS: %s")
CAUSE(TLS_HANDSHAKE,	451, 4, 7, 5, BY_TLS,	"TLS handshake with %s failed: %s")
CAUSE(TLS_UNVERIFIED,	451, 4, 7, 5, BY_TLS,	"Server certificate not verified: %s")
CAUSE(TLS_INJECTION,	451, 4, 7, 0, BY_TLS,	"plain text from %s behind its answer to STARTTLS")
CAUSE(AUTH_NOT_OFFERED, 454, 4, 7, 0, BY_AGENT, "SASL authentication not offered by host %s")
CAUSE(AUTH_UNUSABLE,	454, 4, 7, 0, BY_AGENT,	"SASL authentication with %s not possible: %s")
CAUSE(AUTH_FAILED,	454, 4, 7, 0, BY_AGENT,	"SASL authentication with %s failed: %s")

/* HTTP */
CAUSE(HTTP_TIMEOUT,	451, 4, 4, 2, BY_AGENT,	"conversation with %s timed out while %s")
CAUSE(HTTP_TIMEOUT_AFTER_END, 451, 4, 4, 2, BY_AGENT, "conversation with %s timed out after end of data; message may have been delivered")
CAUSE(HTTP_BROKEN,	451, 4, 5, 0, BY_AGENT,	"no valid HTTP answer from %s while %s: %s")
CAUSE(HTTP_BROKEN_AFTER_END, 451, 4, 5, 0, BY_AGENT, "no valid HTTP answer from %s: %s; message may have been delivered")
CAUSE(HTTP_CONTRADICTION, 451, 4, 5, 0, BY_AGENT, "contradiction from %s: %s, but X-Smtp-Reply %llu")
CAUSE(TARGET_DENIED,	451, 4, 7, 1, BY_AGENT,	"connection to %s[%s] is not allowed by target_allow and target_deny")

/* message and addresses */
CAUSE(TOO_LARGE,	552, 5, 3, 4, BY_AGENT,	"message size %llu exceeds size limit %llu of %s")
CAUSE(NEED_8BITMIME,	554, 5, 6, 3, BY_AGENT,	"8BITMIME is required, but was not offered by %s")
CAUSE(NOT_CONVERTED,	554, 5, 6, 3, BY_AGENT,	"8BITMIME is required, but was not offered by %s, and conversion is not possible: %s")
CAUSE(NEED_SMTPUTF8,	553, 5, 6, 7, BY_AGENT,	"SMTPUTF8 is required, but was not offered by %s")
CAUSE(NEED_SMTPUTF8_HEADER, 554, 5, 6, 9, BY_AGENT, "SMTPUTF8 is required for the header, but was not offered by %s")
CAUSE(NEED_BINARYMIME,	554, 5, 6, 3, BY_AGENT,	"BINARYMIME cannot be sent to %s")
CAUSE(NEED_REQUIRETLS,	550, 5, 7, 30, BY_AGENT, "REQUIRETLS is required, but cannot be had with %s")
CAUSE(BAD_ADDRESS,	553, 5, 1, 3, BY_AGENT,	"bad recipient address: %s")
CAUSE(BAD_SENDER,	553, 5, 1, 7, BY_AGENT,	"bad sender address: %s")
CAUSE(BAD_DOMAIN,	553, 5, 1, 2, BY_AGENT,	"bad domain in address: %s")
CAUSE(BODY_READ,	451, 4, 3, 0, BY_AGENT,	"cannot read the message: %s")
CAUSE(BODY_SHORT,	451, 4, 3, 0, BY_AGENT,	"message ends after %llu of %llu bytes")
CAUSE(BODY_NUL,		554, 5, 6, 0, BY_AGENT,	"message contains NUL bytes")
CAUSE(BAD_NEXTHOP,	451, 4, 3, 5, BY_AGENT,	"bad next hop %s: %s")
CAUSE(BAD_OVERRIDE,	451, 4, 3, 5, BY_AGENT,	"bad %s override %s: %s")

/* programs */
CAUSE(PROGRAM_FAILED,	451, 4, 3, 5, BY_AGENT,	"cannot run %s: %s")
CAUSE(PROGRAM_SETUP,	451, 4, 3, 5, BY_AGENT,	"cannot run %s: %s: %s")
CAUSE(PROGRAM_TIMEOUT,	450, 4, 4, 2, BY_AGENT,	"Delivery timed out%s")
CAUSE(PROGRAM_SIGNAL,	450, 4, 3, 0, BY_AGENT,	"%s ended by signal %llu (%s)%s%s")
CAUSE(PROGRAM_BUSY,	451, 4, 4, 5, BY_AGENT,	"too many concurrent runs of %s")
CAUSE(PROGRAM_LOOP,	554, 5, 4, 6, BY_AGENT,	"mail forwarding loop for %s")
CAUSE(PROGRAM_NAME,	451, 4, 3, 5, BY_AGENT,	"the name of the program would get a slash from an address")

/* ourselves */
CAUSE(INTERNAL,		451, 4, 3, 0, BY_AGENT,	"internal error: %s")
CAUSE(LOCAL_ERROR,	451, 4, 3, 0, BY_AGENT,	"local error: %s")
CAUSE(CANCELLED,	451, 4, 3, 0, BY_AGENT,	"delivery cancelled")
CAUSE(STOPPING,		421, 4, 3, 2, BY_AGENT,	"delivery agent is stopping")
CAUSE(HUNG,		451, 4, 4, 2, BY_AGENT,	"delivery did not end in time; message may have been delivered")
CAUSE(DEADLINE,		451, 4, 4, 7, BY_AGENT,	"deadline passed before delivery")

/* the master */
CAUSE(NO_RELAY,		451, 4, 3, 5, BY_MASTER, "no relay named %s")
CAUSE(AGENT_DIED,	451, 4, 3, 0, BY_MASTER, "delivery agent %s")
CAUSE(AGENT_DIED_AFTER_DOT, 451, 4, 3, 0, BY_MASTER, "delivery agent %s after end of data; message may have been delivered")
CAUSE(AGENT_BROKEN,	451, 4, 3, 0, BY_MASTER, "delivery agent broke the protocol: %s")
CAUSE(AGENT_BROKEN_AFTER_DOT, 451, 4, 3, 0, BY_MASTER, "delivery agent broke the protocol after end of data: %s; message may have been delivered")
CAUSE(NO_ANSWER,	451, 4, 3, 0, BY_MASTER, "delivery agent gave no answer for this recipient")
CAUSE(AGENT_MISSING,	451, 4, 3, 0, BY_MASTER, "delivery agent of relay %s is not running: %s")
CAUSE(MASTER_STOPPING,	421, 4, 3, 2, BY_MASTER, "nexthop is stopping")
CAUSE(MASTER_LOST,	451, 4, 3, 0, BY_MASTER, "connection to nexthop-master lost before the answer; message may have been delivered")
CAUSE(QUEUE_TIME,	451, 4, 3, 2, BY_MASTER, "relay %s is busy")
CAUSE(FORWARD_LOOP,	554, 5, 4, 6, BY_MASTER, "mail loop: forwarded %llu times, and relay %s forwards it again to %s")
CAUSE(FORWARD_FAILED,	451, 4, 3, 0, BY_MASTER, "cannot forward to relay %s: %s")
CAUSE(FORWARD_ALONE,	451, 4, 3, 5, BY_AGENT,	"cannot forward to relay %s: that takes nexthop-master")
CAUSE(OVERDUE,		451, 4, 4, 7, BY_MASTER, "delivery agent gave no answer in time")
CAUSE(OVERDUE_AFTER_DOT, 451, 4, 4, 7, BY_MASTER, "delivery agent gave no answer in time after end of data; message may have been delivered")
