/*
 * eightbit.c - 8-bit parts of a message made 7-bit.
 *
 * The first pass notes for each part where it stands and what its content
 * needs; each part comes behind its parent's header, so that the list of
 * parts, gone through once at the end, gives the edits in the order of the
 * message.  The second pass copies what lies between the edits.
 *
 * RFC 2045 §6.4 allows no encoding around parts within parts, so message/
 * rfc822 is converted inside, and other composite types not at all; but
 * message/global and its kin may be encoded (RFC 6532 §3.7, RFC 6533).
 *
 * LONG: both passes know the edits
 */
#include "mail/eightbit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mail/encoder.h"
#include "mail/message.h"
#include "mail/mime.h"

#define READ_BYTES	(64 * 1024)
#define PIECE_BYTES	8192	/* most that the writer takes at once */
#define STAGE_BYTES	1024	/* made ahead where there is little room */

/* How long n bytes of base64 are. */
static uint64_t
base64_len(uint64_t n, bool is_last)
{
	uint64_t len = (n + 2) / 3 * 4;

	if (len == 0)
		return 0;
	return len + 2 * ((len - 1) / ENCODER_COLUMNS + (is_last ? 1 : 0));
}

/* ---- the plan ---- */

/* Bytes from..to of the message become a text, or are encoded. */
struct eightbit_edit {
	uint64_t	 from, to;
	const char	*text;		/* static, or NULL */
	enum encoder_how  how;
};

/* What is known of a part once it is over. */
struct part {
	struct part_place {
		uint64_t start, end, len;
	} field;			/* its encoding; len: as written */
	uint64_t	 header_end, body_start, body_end;
	uint64_t	 old_len, new_len;	/* of its content, written */
	int		 parent;	/* or -1 */
	enum encoder_how  how;
	bool		 is_leaf;
	bool		 is_8bit_label;	/* 8bit or binary */
	bool		 is_changed;	/* it, or a part inside */
	bool		 has_field;
	bool		 wants_version, wants_type;
};

/* The reason why nothing may be encoded in an open part. */
struct seal {
	const char	*why;		/* static, or NULL */
	bool		 is_signed;
};

struct planner {
	struct eightbit_plan *plan;
	const struct body *body;
	enum eightbit_result result;
	struct mime	 mime;
	struct body_scan scan;		/* of all */
	struct part	*parts;
	size_t		 nparts, room;
	bool		 has_need;	/* something must change */
	struct {
		struct seal seal;
		int	 part;
		unsigned number;
	} open[MIME_DEPTH_MAX];		/* by depth */

	struct body_scan leaf_scan;
	struct encoder	 qp;
	uint64_t	 qp_len;
	char		 scratch[ENCODER_ROOM(STAGE_BYTES)];
};

/* "part 1.2 (text/plain)"; a long number is cut. */
static void
name_part(const struct planner *p, const struct mime_part *part,
    char *to, size_t size)
{
	size_t	 at = 0;
	unsigned d = 1;

	at += (size_t)snprintf(to, size, part->depth == 0 ? "message" :
	    "part ");
	for (; d <= part->depth && at < size / 2 - 10; d++)
		at += (size_t)snprintf(to + at, size - at, "%s%u",
		    d == 1 ? "" : ".", p->open[d].number);
	snprintf(to + at, size - at, "%s (%s)", d <= part->depth ? "..." : "",
	    part->type.name);
}

static void
refuse(struct planner *p, const struct mime_part *part, const char *why,
    bool is_signed)
{
	char name[160];

	if (p->result != EIGHTBIT_CLEAN)
		return;
	name_part(p, part, name, sizeof(name));
	snprintf(p->plan->why, sizeof(p->plan->why), "%s: %s", name, why);
	p->result = is_signed ? EIGHTBIT_SIGNED : EIGHTBIT_CANNOT;
}

static bool
is_under(const struct mime_part *part, const char *tree)
{
	return strncmp(part->type.name, tree, strlen(tree)) == 0;
}

/* A part whose content has to stay what it is, or that cannot be read. */
static struct seal
seal_of(const struct mime_part *part)
{
	const char *name = part->type.name, *smime = part->type.smime;

	if (strcmp(name, "multipart/signed") == 0)
		return (struct seal){ "8-bit text inside multipart/signed",
		    true };
	if (strcmp(name, "multipart/encrypted") == 0)
		return (struct seal){ "8-bit text inside multipart/encrypted",
		    true };
	if ((strcmp(name, "application/pkcs7-mime") == 0 ||
	    strcmp(name, "application/x-pkcs7-mime") == 0) &&
	    (strcmp(smime, "signed-data") == 0 ||
	    strcmp(smime, "enveloped-data") == 0 ||
	    strcmp(smime, "authenveloped-data") == 0))
		return (struct seal){ "8-bit bytes of S/MIME", true };
	if (part->ntypes > 1)
		return (struct seal){ "8-bit text under more than one "
		    "Content-Type", false };
	if (part->nencodings > 1)
		return (struct seal){ "8-bit text under more than one "
		    "Content-Transfer-Encoding", false };
	return (struct seal){ NULL, false };
}

/* Why a leaf by itself cannot be encoded, or NULL. */
static const char *
leaf_why_not(const struct mime_part *part)
{
	switch (part->encoding) {
	case MIME_QUOTED_PRINTABLE:
		return "8-bit text labelled quoted-printable";
	case MIME_BASE64:
		return "8-bit text labelled base64";
	case MIME_UNKNOWN:
		return "8-bit text under an unknown encoding";
	default:
		break;
	}
	if (is_under(part, "multipart/"))
		return "8-bit text in a multipart without a boundary";
	if (is_under(part, "message/") && !is_under(part, "message/global"))
		return "8-bit text in a type that may not be encoded";
	return NULL;
}

/* A place for one more part, or NULL. */
static struct part *
add_part(struct planner *p)
{
	struct part *grown;

	if (p->nparts == p->room) {
		grown = reallocarray(p->parts, 2 * p->room + 8, sizeof(*grown));
		if (grown == NULL) {
			p->result = EIGHTBIT_ERROR;
			return NULL;
		}
		p->parts = grown;
		p->room = 2 * p->room + 8;
	}
	return &p->parts[p->nparts++];
}

static void
on_header(void *arg, const struct mime_part *mp)
{
	struct planner	*p = arg;
	struct part	*part = add_part(p);
	struct seal	 seal = seal_of(mp);
	unsigned	 d = mp->depth;

	if (part == NULL)
		return;
	p->open[d].part = (int)(part - p->parts);
	p->open[d].number = mp->number;
	p->open[d].seal = d > 0 && p->open[d - 1].seal.why != NULL ?
	    p->open[d - 1].seal : seal;
	p->plan->has_header_8bit |= mp->header_8bit;
	p->plan->is_signed_dkim |= d == 0 && mp->has_dkim;
	*part = (struct part){
		.field = { mp->encoding_start, mp->encoding_end,
		    mp->encoding_len },
		.header_end = mp->header_end,
		.body_start = mp->body_start,
		.parent = d > 0 ? p->open[d - 1].part : -1,
		.is_leaf = mp->kind == MIME_LEAF,
		.is_8bit_label = mp->encoding == MIME_8BIT ||
		    mp->encoding == MIME_BINARY,
		.has_field = mp->nencodings > 0,
		.wants_version = mp->is_message && mp->nversions == 0,
		.wants_type = mp->is_message && mp->ntypes == 0,
	};
	body_scan_init(&p->leaf_scan);
	p->leaf_scan.in_body = true;
	p->qp = (struct encoder){ .how = ENCODER_QP };
	p->qp_len = 0;
}

static bool
has_8bit(const char *p, size_t n)
{
	struct body_scan s;

	body_scan_init(&s);
	body_scan_add(&s, p, n);
	return s.facts.has_8bit;
}

static void
on_text(void *arg, const struct mime_part *mp, const char *text, size_t n)
{
	struct planner	*p = arg;
	struct seal	 seal = p->open[mp->depth].seal;
	size_t		 len;

	if (p->result != EIGHTBIT_CLEAN)
		return;
	if (mp->kind == MIME_MULTIPART) {
		if (has_8bit(text, n))
			refuse(p, mp, seal.why != NULL ? seal.why :
			    "8-bit text outside of parts", seal.is_signed);
		return;
	}
	body_scan_add(&p->leaf_scan, text, n);
	if (seal.why != NULL || !is_under(mp, "text/"))
		return;
	for (; n > 0; text += len, n -= len) {
		len = n < STAGE_BYTES ? n : STAGE_BYTES;
		p->qp_len += encoder_add(&p->qp, p->scratch, text, len);
	}
}

/*
 * Text has line ends, which may be written anew; but binary text with NUL
 * (of 16 bits a character) has bytes that only look like them.
 */
static enum encoder_how
how_to_encode(const struct mime_part *mp, const struct body_facts *f)
{
	return is_under(mp, "text/") &&
	    !(mp->encoding == MIME_BINARY && f->has_nul) ?
	    ENCODER_QP : ENCODER_BASE64;
}

/*
 * Once a message is made anew, a leaf that is not 7bit as RFC 2045 §2.7 has it
 * is encoded, too.
 */
static bool
wants_encoding(const struct mime_part *mp, const struct body_scan *s)
{
	return s->facts.has_8bit || s->facts.has_nul ||
	    s->facts.has_long_line ||
	    (mp->encoding == MIME_BINARY && !is_under(mp, "text/") &&
	    (!s->facts.is_clean || s->after_cr));
}

static void
on_end(void *arg, const struct mime_part *mp)
{
	struct planner	 *p = arg;
	struct body_scan *s = &p->leaf_scan;
	struct seal	  seal = p->open[mp->depth].seal;
	struct part	 *part;
	bool		  is_last = mp->body_end == p->body->len;

	if (p->result != EIGHTBIT_CLEAN || mp->kind != MIME_LEAF ||
	    !wants_encoding(mp, s))
		return;
	if (seal.why == NULL)
		seal.why = leaf_why_not(mp);
	if (seal.why != NULL) {
		if (s->facts.has_8bit)
			refuse(p, mp, seal.why, seal.is_signed);
		return;
	}
	if (is_last)
		body_scan_finish(s);
	p->has_need |= s->facts.has_8bit;
	part = &p->parts[p->open[mp->depth].part];
	part->is_changed = true;
	part->how = how_to_encode(mp, &s->facts);
	part->body_end = mp->body_end;
	part->old_len = s->facts.wire_len + (s->after_cr ? 1 : 0);
	part->new_len = part->how == ENCODER_BASE64 ?
	    base64_len(part->body_end - part->body_start, is_last) :
	    p->qp_len + encoder_finish(&p->qp, p->scratch, is_last);
}

/* ---- the edits ---- */

static void
add_edit(struct eightbit_plan *plan, uint64_t from, uint64_t to,
    const char *text)
{
	plan->edits[plan->nedits++] = (struct eightbit_edit){ .from = from,
	    .to = to, .text = text };
	plan->out_len += strlen(text);
}

#define EDITS_OF_PART	4

static void
edit_part(struct eightbit_plan *plan, const struct part *part)
{
	static const char *const fields[] = {
		[ENCODER_NONE] = "Content-Transfer-Encoding: 7bit\r\n",
		[ENCODER_QP] =
		    "Content-Transfer-Encoding: quoted-printable\r\n",
		[ENCODER_BASE64] = "Content-Transfer-Encoding: base64\r\n",
	};
	bool		 wants_field = part->is_leaf || part->is_8bit_label;

	if (wants_field && part->has_field) {
		add_edit(plan, part->field.start, part->field.end,
		    fields[part->how]);
		plan->out_len -= part->field.len;
	}
	if (part->wants_version)
		add_edit(plan, part->header_end, part->header_end,
		    "MIME-Version: 1.0\r\n");
	if (part->is_leaf && part->wants_type)
		add_edit(plan, part->header_end, part->header_end,
		    "Content-Type: text/plain; charset=unknown-8bit\r\n");
	if (wants_field && !part->has_field)
		add_edit(plan, part->header_end, part->header_end,
		    fields[part->how]);
	if (part->how == ENCODER_NONE)
		return;
	plan->edits[plan->nedits++] = (struct eightbit_edit){
	    .from = part->body_start, .to = part->body_end,
	    .how = part->how };
	plan->out_len += part->new_len - part->old_len;
	plan->nconverted++;
}

/* Edits for all parts that change, and for those around them. */
static int
make_edits(struct planner *p)
{
	struct eightbit_plan	*plan = p->plan;
	size_t			 n = 0;

	for (size_t i = p->nparts; i-- > 0;) {
		if (!p->parts[i].is_changed)
			continue;
		n++;
		if (p->parts[i].parent != -1)
			p->parts[p->parts[i].parent].is_changed = true;
	}
	plan->edits = calloc(n * EDITS_OF_PART + 1, sizeof(*plan->edits));
	if (plan->edits == NULL)
		return -1;
	for (size_t i = 0; i < p->nparts; i++)
		if (p->parts[i].is_changed)
			edit_part(plan, &p->parts[i]);
	return 0;
}

/* ---- the first pass ---- */

static int
read_all(struct planner *p)
{
	struct body_reader	 r;
	char			 scratch[READ_BYTES];
	const char		*data;
	int64_t			 n;

	body_reader_init(&r, p->body);
	while ((n = body_read(&r, scratch, sizeof(scratch), &data)) > 0 &&
	    p->result == EIGHTBIT_CLEAN && p->mime.error == NULL) {
		body_scan_add(&p->scan, data, (size_t)n);
		mime_add(&p->mime, data, (size_t)n);
	}
	body_scan_finish(&p->scan);
	return n == -1 ? -1 : 0;
}

static void
plan_all(struct planner *p)
{
	if (read_all(p) == -1) {
		p->result = EIGHTBIT_ERROR;
		return;
	}
	if (p->result == EIGHTBIT_CLEAN)
		mime_finish(&p->mime);
	if (p->result != EIGHTBIT_CLEAN)
		return;
	if (p->mime.error != NULL) {
		p->result = EIGHTBIT_CANNOT;
		snprintf(p->plan->why, sizeof(p->plan->why), "message: %s",
		    p->mime.error);
		return;
	}
	p->plan->out_len = p->scan.facts.wire_len;
	if (!p->has_need)
		return;
	p->result = make_edits(p) == -1 ? EIGHTBIT_ERROR : EIGHTBIT_CONVERT;
}

enum eightbit_result
eightbit_plan(const struct body *body, struct eightbit_plan **plan_r)
{
	static const struct mime_events events = { on_header, on_text, on_end };
	struct planner		*p = xcalloc(1, sizeof(*p));
	enum eightbit_result	 result;
	int			 saved_errno;

	p->plan = xcalloc(1, sizeof(*p->plan));
	p->body = body;
	body_scan_init(&p->scan);
	mime_init(&p->mime, &events, p);
	plan_all(p);
	saved_errno = errno;
	result = p->result;
	*plan_r = p->plan;
	if (result == EIGHTBIT_ERROR) {
		eightbit_plan_free(p->plan);
		*plan_r = NULL;
	}
	mime_clear(&p->mime);
	free(p->parts);
	free(p);
	errno = saved_errno;
	return result;
}

void
eightbit_plan_free(struct eightbit_plan *plan)
{
	if (plan == NULL)
		return;
	free(plan->edits);
	free(plan);
}

/* ---- the second pass ---- */

struct eightbit_writer {
	const struct eightbit_plan *plan;
	struct body_reader reader;
	size_t		 next;		/* edit */
	struct crlf	 crlf;
	struct encoder	 encoder;
	char		 stage[STAGE_BYTES];
	size_t		 stage_at, stage_end;
	char		 scratch[PIECE_BYTES];
};

struct eightbit_writer *
eightbit_writer_new(const struct eightbit_plan *plan, const struct body *body)
{
	struct eightbit_writer *w = xcalloc(1, sizeof(*w));

	w->plan = plan;
	body_reader_init(&w->reader, body);
	crlf_init(&w->crlf, false);
	return w;
}

void
eightbit_writer_free(struct eightbit_writer *w)
{
	free(w);
}

/* The next bytes before `end`, of which ENCODER_ROOM() can be written. */
static int64_t
read_piece(struct eightbit_writer *w, uint64_t end, size_t room,
    const char **data_r)
{
	uint64_t n = ENCODER_PIECE(room);

	if (n > PIECE_BYTES)
		n = PIECE_BYTES;
	if (n > end - w->reader.at)
		n = end - w->reader.at;
	return body_read(&w->reader, w->scratch, (size_t)n, data_r);
}

/* What lies before an edit, or before the end of all. */
static int64_t
copy(struct eightbit_writer *w, uint64_t end, char *to, size_t room)
{
	const char	*data;
	int64_t		 n = read_piece(w, end, room, &data);
	size_t		 made;

	if (n == -1)
		return -1;
	made = crlf_convert(&w->crlf, to, data, (size_t)n);
	if (w->reader.at == end)	/* the next piece starts anew */
		made += crlf_finish(&w->crlf, to + made);
	return (int64_t)made;
}

static int64_t
encode(struct eightbit_writer *w, const struct eightbit_edit *edit, char *to,
    size_t room)
{
	const char	*data;
	int64_t		 n;
	size_t		 made;

	if (w->reader.at == edit->from)
		w->encoder = (struct encoder){ .how = edit->how };
	n = read_piece(w, edit->to, room, &data);
	if (n == -1)
		return -1;
	made = encoder_add(&w->encoder, to, data, (size_t)n);
	if (w->reader.at == edit->to) {
		made += encoder_finish(&w->encoder, to + made,
		    body_left(&w->reader) == 0);
		w->next++;
	}
	return (int64_t)made;
}

/* Some bytes; 0 at the end.  Room is STAGE_BYTES or more. */
static int64_t
produce(struct eightbit_writer *w, char *to, size_t room)
{
	const struct eightbit_edit	*edit;
	uint64_t			 end;
	int64_t				 made = 0;
	size_t				 len;

	while (made == 0) {
		edit = w->next < w->plan->nedits ?
		    &w->plan->edits[w->next] : NULL;
		end = edit != NULL ? edit->from : w->reader.body->len;
		if (w->reader.at < end) {
			made = copy(w, end, to, room);
		} else if (edit == NULL) {
			break;
		} else if (edit->text == NULL) {
			made = encode(w, edit, to, room);
		} else {
			len = strlen(edit->text);
			memcpy(to, edit->text, len);
			made = (int64_t)len;
			w->reader.at = edit->to;
			w->next++;
		}
	}
	return made;
}

int64_t
eightbit_read(struct eightbit_writer *w, char *to, size_t room)
{
	int64_t	made;
	size_t	n = w->stage_end - w->stage_at;

	if (n == 0 && room >= STAGE_BYTES)
		return produce(w, to, room);
	if (n == 0 && room > 0) {
		made = produce(w, w->stage, sizeof(w->stage));
		if (made <= 0)
			return made;
		w->stage_at = 0;
		w->stage_end = n = (size_t)made;
	}
	if (n > room)
		n = room;
	memcpy(to, w->stage + w->stage_at, n);
	w->stage_at += n;
	return (int64_t)n;
}
