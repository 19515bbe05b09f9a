/*
 * data.h - a message on its way in after DATA: the dots of transparency are
 * taken out, and its end is found (RFC 5321 §4.5.2).
 *
 * The end is CR LF . CR LF and nothing else; the first CR LF may be that of
 * DATA.  A dot is taken away at the start of a line only, and a line starts
 * behind CR LF only.  So a bare CR or LF never ends anything, whatever a
 * client or the next hop takes it for; see also message.h.
 */
#ifndef INTAKE_DATA_H
#define INTAKE_DATA_H

#include <stddef.h>
#include <stdint.h>

enum lmtp_data_at {
	DATA_BOL,		/* at the start of a line */
	DATA_INSIDE,
	DATA_CR,		/* behind a CR */
	DATA_DOT,		/* behind the dot that starts a line: not given */
	DATA_DOT_CR,		/* ... and a CR, not given either */
	DATA_END
};

struct lmtp_data {
	enum lmtp_data_at at;
};

typedef void lmtp_data_put(void *arg, const char *, size_t);

void	lmtp_data_init(struct lmtp_data *);
/*
 * Takes the next n bytes, gives what belongs to the message to put() in
 * pieces, and returns how many bytes were taken: all, unless the end is among
 * them, which makes `at` DATA_END.
 */
size_t	lmtp_data_add(struct lmtp_data *, const char *, size_t n,
	    lmtp_data_put *put, void *arg);

#endif
