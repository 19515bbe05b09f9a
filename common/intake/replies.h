/*
 * replies.h - what an LMTP server says by itself during the dialogue, whole
 * lines without their end (RFC 5321 §4.2, RFC 2034, RFC 3463).  What becomes
 * of a recipient after the message is causes.h's or the next hop's.
 */
#ifndef INTAKE_REPLIES_H
#define INTAKE_REPLIES_H

#define SAY_OK			"250 2.0.0 OK"
#define SAY_SENDER_OK		"250 2.1.0 OK"
#define SAY_RCPT_OK		"250 2.1.5 OK"
#define SAY_BYE			"221 2.0.0 Bye"
#define SAY_CANNOT_VRFY		"252 2.0.0 Cannot VRFY, but will take a message for it"
#define SAY_HELP		"214 2.0.0 LMTP as of RFC 2033; see intake-lmtp(8)"
#define SAY_GO_AHEAD		"354 End data with <CR><LF>.<CR><LF>"

/* Syntax of commands. */
#define SAY_UNKNOWN		"500 5.5.1 Command not recognized"
#define SAY_SAY_LHLO		"500 5.5.1 This is LMTP: say LHLO"	/* RFC 2033 §4.1 */
#define SAY_LINE_LONG		"500 5.5.2 Line too long"
#define SAY_LINE_BYTES		"500 5.5.2 Control character or bytes that are no UTF-8 in the command"
#define SAY_LINE_BARE		"500 5.5.2 Line ends in a bare LF"
#define SAY_SYNTAX		"501 5.5.4 Syntax error in arguments"
#define SAY_LHLO_NAME		"501 5.5.4 Syntax: LHLO hostname"
#define SAY_MAIL_SYNTAX		"501 5.5.4 Syntax: MAIL FROM:<address>"
#define SAY_RCPT_SYNTAX		"501 5.5.4 Syntax: RCPT TO:<address>"
#define SAY_BDAT_SYNTAX		"501 5.5.4 Syntax: BDAT size [LAST]"
#define SAY_XCLIENT_SYNTAX	"501 5.5.4 Bad attribute of XCLIENT or XFORWARD"
#define SAY_TWICE		"501 5.5.4 Parameter given twice"
#define SAY_BAD_BODY		"501 5.5.4 BODY is 7BIT, 8BITMIME or BINARYMIME"
#define SAY_BAD_SIZE		"501 5.5.4 SIZE is a number of bytes"
#define SAY_BAD_RET		"501 5.5.4 RET is FULL or HDRS"
#define SAY_BAD_ENVID		"501 5.5.4 ENVID is at most 100 characters of xtext"
#define SAY_BAD_NOTIFY		"501 5.5.4 NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY"
#define SAY_BAD_ORCPT		"501 5.5.4 ORCPT is type;address, at most 500 characters of xtext"
#define SAY_BAD_PARAM		"555 5.5.4 Parameter not recognized"	/* RFC 5321 §4.1.1.11 */
#define SAY_NOT_TAKEN		"502 5.5.1 Command not implemented"

/* Order of commands. */
#define SAY_LHLO_FIRST		"503 5.5.1 Say LHLO first"
#define SAY_MAIL_FIRST		"503 5.5.1 Need MAIL command"
#define SAY_MAIL_AGAIN		"503 5.5.1 Sender given already"
#define SAY_RCPT_FIRST		"503 5.5.1 Need RCPT command"
#define SAY_NO_RCPT		"503 5.5.1 No valid recipients"		/* RFC 2033 §4.2 */
#define SAY_NOT_IN_CHUNKS	"503 5.5.1 Not while the message comes by BDAT"
#define SAY_NEED_BDAT		"503 5.5.1 BINARYMIME takes BDAT"	/* RFC 3030 §3 */
#define SAY_CHUNK_LOST		"503 5.5.1 An earlier BDAT failed"
#define SAY_NOT_IN_MAIL		"503 5.5.1 Not within a mail transaction"
#define SAY_OUT_OF_STEP		"554 5.5.0 Data came before 354 was said"	/* RFC 2920 §3.1 */

/* Addresses and limits. */
#define SAY_BAD_SENDER		"553 5.1.7 Bad sender address: "
#define SAY_BAD_RCPT		"553 5.1.3 Bad recipient address: "
#define SAY_SENDER_UTF8		"550 5.6.7 Sender address needs SMTPUTF8"
#define SAY_RCPT_UTF8		"553 5.6.7 Recipient address needs SMTPUTF8"
#define SAY_NO_ROUTE		"550 5.1.2 No relay for this domain"
#define SAY_NO_ROUTE_YET	"450 4.1.2 No relay for this domain"
#define SAY_TOO_MANY_RCPTS	"452 4.5.3 Too many recipients"		/* RFC 5321 §4.5.3.1.10 */
#define SAY_TOO_LARGE		"552 5.3.4 Message size exceeds limit"	/* RFC 1870 §6.1 */
#define SAY_NO_MASTER		"451 4.3.0 nexthop-master is not there"
#define SAY_NOT_TRUSTED		"550 5.7.0 Not allowed from this address"

/* The end of a session. */
#define SAY_STOPPING		"421 4.3.2 Service is stopping"
#define SAY_TOO_MANY_CONNS	"421 4.3.2 Too many connections"
#define SAY_TOO_MANY_FROM_IP	"421 4.7.0 Too many connections from this address"
#define SAY_IDLE		"421 4.4.2 No command in time"
#define SAY_DATA_SLOW		"421 4.4.2 Message did not come in time"
#define SAY_TOO_MANY_FAULTS	"421 4.7.0 Too many errors"
#define SAY_TOO_MUCH_JUNK	"421 4.7.0 Too many commands without a message"
#define SAY_MASTER_GONE		"421 4.3.0 nexthop-master is gone"

#endif
