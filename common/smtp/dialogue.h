/*
 * dialogue.h - what the parts of the dialogue share; private to dialogue.c and
 * dialogue_data.c.
 */
#ifndef SMTP_DIALOGUE_H
#define SMTP_DIALOGUE_H

#include "smtp/session.h"

static inline bool
has(const struct smtp_session *s, enum smtp_ext ext)
{
	return (s->offer.exts & ext) != 0;
}

static inline bool
is_positive(const struct raw_reply *r)
{
	return r->code / 100 == 2;
}

static inline bool
is_refusal(const struct raw_reply *r)
{
	return r->code / 100 == 4 || r->code / 100 == 5;
}

/* The server's words as a reply that a recipient can get. */
void	dialogue_take_words(struct smtp_session *, struct reply *,
	    const struct raw_reply *, enum smtp_verb);

/* ---- dialogue_data.c: steps of smtp_steps[] ---- */

void	dialogue_data_send(struct smtp_session *);
void	dialogue_data_reply(struct smtp_session *, uint32_t none,
	    const struct raw_reply *);
void	dialogue_body_send(struct smtp_session *);
void	dialogue_dot_send(struct smtp_session *);
void	dialogue_dot_reply(struct smtp_session *, uint32_t rcpt,
	    const struct raw_reply *);
void	dialogue_bdat_send(struct smtp_session *);

#endif
