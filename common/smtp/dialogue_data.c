/*
 * dialogue_data.c - the message and what becomes of it: DATA or BDAT, the
 * bytes, end of data.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "smtp/dialogue.h"
#include "smtp/tx.h"

#define PIECE_BYTES	(64 * 1024)
#define RAW_BYTES	(1024 * 1024)

/* ---- DATA (RFC 5321 §4.1.1.4) ---- */

void
dialogue_data_send(struct smtp_session *s)
{
	session_say(s, "DATA");
	s->tx->data = SAID;
	session_expect(s, DATA, 0);
}

void
dialogue_data_reply(struct smtp_session *s, uint32_t none,
    const struct raw_reply *raw)
{
	struct smtp_tx *tx = s->tx;
	struct reply r;

	(void)none;
	/*
	 * 354 for nobody: in SMTP an empty message goes to nobody and the
	 * session lives (RFC 2920 §3.1); not so if the server has recipients
	 * that we hold for refused, nor in LMTP, whose server owes 503 here
	 * (RFC 2033 §4.2).
	 */
	if (raw->code == 354 && (tx->naccepted > 0 ||
	    (tx->mail == TAKEN && !s->is_lmtp))) {
		tx->data = TAKEN;
		session_phase(s, PHASE_COMMANDS, &tx->begun_us);
		return;
	}
	if (!is_refusal(raw)) {
		session_unexpected(s, DATA, raw);
		return;
	}
	tx->data = REFUSED;
	if (tx->naccepted == 0)
		return;
	dialogue_take_words(s, &r, raw, DATA);
	tx_answer_accepted(s, tx, &r);
}

/* ---- the message (RFC 5321 §4.5.2) ---- */

static void
body_failed(struct smtp_session *s, int error)
{
	struct reply r;

	reply_cause(&r, session_arena(s), STAGE_BODY, CAUSE_BODY_READ,
	    error == EIO ? "it is shorter than said" : strerror(error));
	session_fail(s, &r, FAIL_LOCAL);
}

/* Nothing to change: the bytes go to the socket from where they are. */
static void
body_send_raw(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;
	uint64_t left = body_left(&tx->reader);
	size_t most;
	int64_t n;

	session_flush(s);
	if (!conn_has_room(s->conn))
		return;
	if (tx->end == UNSAID)		/* the rest waits for the asker */
		left -= PIECE_BYTES;
	most = left > RAW_BYTES ? RAW_BYTES : (size_t)left;
	n = tx->source.mem != NULL ?
	    conn_send(s->conn, tx->source.mem + tx->reader.at, most) :
	    conn_sendfile(s->conn, tx->source.fd,
	    tx->source.offset + tx->reader.at, most);
	if (n == 0)
		body_failed(s, EIO);
	else if (n > 0) {
		tx->reader.at += (uint64_t)n;
		if (n == RAW_BYTES)
			conn_want_room(s->conn);	/* others first */
	} else if (errno != EAGAIN)
		tx->is_raw = false;	/* a file system that cannot */
	if (!s->is_over && body_left(&tx->reader) == 0)
		tx->body = TAKEN;
}

/* A piece.  The last one, which end-of-data follows, waits until the asker
 * knows that the outcome will be in doubt. */
void
dialogue_body_send(struct smtp_session *s)
{
	static char scratch[PIECE_BYTES];
	struct smtp_tx *tx = s->tx;
	const char *data;
	int64_t n;
	char *to;

	if (tx_left(tx) <= PIECE_BYTES && tx->end == UNSAID) {
		tx_announce_end(s, tx);
		return;
	}
	if (tx->is_raw) {
		body_send_raw(s);
		return;
	}
	n = tx_read(tx, scratch, sizeof(scratch), &data);
	if (n == -1) {
		body_failed(s, errno);
		return;
	}
	to = session_room(crlf_room((size_t)n) + 8);
	if (tx->is_binary) {
		memcpy(to, data, (size_t)n);
		session_wrote((size_t)n);
	} else
		session_wrote(crlf_convert(&tx->crlf, to, data, (size_t)n));
	if (tx_left(tx) > 0)
		return;
	if (!tx->is_binary)
		session_wrote(crlf_finish(&tx->crlf, session_room(8)));
	tx->body = TAKEN;
}

/* End of data (with BDAT: LAST was it): one answer; in LMTP one for each
 * accepted recipient, in the order of RCPT (RFC 2033 §4.2). */
void
dialogue_dot_send(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;
	uint32_t i;

	if (!tx->is_chunked) {
		memcpy(session_room(3), ".\r\n", 3);
		session_wrote(3);
	}
	tx->dot = SAID;
	if (!tx->is_early)
		session_phase(s, PHASE_BODY, &tx->begun_us);
	session_trace_message(s, tx->source.len);
	tx_drop_kept(tx);
	if (!s->is_lmtp || tx->naccepted == 0) {
		session_expect(s, DOT, UINT32_MAX);
		return;
	}
	for (i = 0; i < tx->nrcpt; i++)
		if (tx->rcpts[i].state == RCPT_ACCEPTED)
			session_expect(s, DOT, i);
}

void
dialogue_dot_reply(struct smtp_session *s, uint32_t i,
    const struct raw_reply *raw)
{
	struct smtp_tx *tx = s->tx;
	struct reply r;

	if (!is_positive(raw) && !is_refusal(raw)) {
		session_unexpected(s, DOT, raw);
		return;
	}
	if (tx->nawaited == 1)		/* the last one of LMTP's */
		tx->dot = TAKEN;
	if (is_positive(raw))
		tx->is_delivered = true;
	if (raw->code == 421)
		s->is_doomed = true;
	if (tx->job == NULL)
		return;			/* 354 for nobody */
	dialogue_take_words(s, &r, raw, DOT);
	if (i == UINT32_MAX)
		tx_answer_accepted(s, tx, &r);
	else
		tx_answer(s, tx, i, &r);
}

/* ---- BDAT (RFC 3030 §2): all in one chunk, its length known ---- */

/* An early message leaves whole: once its length is promised no answer may
 * come between. */
void
dialogue_bdat_send(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;

	session_say(s, "BDAT %llu LAST",
	    (unsigned long long)tx->wire_len);
	tx->data = TAKEN;
	if (!tx->is_early) {
		session_phase(s, PHASE_COMMANDS, &tx->begun_us);
		return;
	}
	dialogue_body_send(s);
	if (!s->is_over && tx->body == TAKEN)
		dialogue_dot_send(s);
}
