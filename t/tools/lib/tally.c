/*
 * tally.c - what a sink remembers of the messages that it throws away.
 */
#include "tally.h"

#include <sys/resource.h>

#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

#define LINE_KEPT	4096	/* of a header line that comes in pieces */
#define SEEN_FIRST	65536	/* slots, a power of two */

uint64_t
tally_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

void
tally_init(struct tally *t)
{
	memset(t, 0, sizeof *t);
	t->is_hashing = true;
	t->id_header = "message-id";
	/* Fetched once: an implicit fetch per message costs a microsecond. */
	if ((t->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)) == NULL)
		errx(EX_SOFTWARE, "no SHA256");
}

void
tally_clear(struct tally *t)
{
	if (t->listing != NULL)
		fclose(t->listing);
	EVP_MD_free(t->sha256);
	free(t->seen);
	memset(t, 0, sizeof *t);
}

/*
 * The ids seen: a table of 64-bit hashes with open addressing, at most half
 * full.  16 octets per message, where the ids themselves would take a hundred.
 */

static uint64_t
id_hash(const char *id, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);	/* FNV-1a */

	for (; n > 0; n--)
		h = (h ^ (uint8_t)*id++) * UINT64_C(0x100000001b3);
	h ^= h >> 29;
	return h != 0 ? h : 1;		/* 0 is an empty slot */
}

/* The slot of h, or the empty one where it belongs. */
static uint64_t *
seen_slot(uint64_t *seen, size_t size, uint64_t h)
{
	size_t i = h & (size - 1);

	while (seen[i] != 0 && seen[i] != h)
		i = (i + 1) & (size - 1);
	return &seen[i];
}

static void
seen_grow(struct tally *t)
{
	size_t size = t->seen_size > 0 ? t->seen_size * 2 : SEEN_FIRST, i;
	uint64_t *seen;

	if ((seen = calloc(size, sizeof *seen)) == NULL)
		err(EX_OSERR, "calloc");
	for (i = 0; i < t->seen_size; i++)
		if (t->seen[i] != 0)
			*seen_slot(seen, size, t->seen[i]) = t->seen[i];
	free(t->seen);
	t->seen = seen;
	t->seen_size = size;
}

/* Returns whether the id was there already. */
static bool
seen_add(struct tally *t, const char *id, size_t n)
{
	uint64_t h = id_hash(id, n), *slot;

	if (t->unique * 2 >= t->seen_size)
		seen_grow(t);
	slot = seen_slot(t->seen, t->seen_size, h);
	if (*slot == h)
		return true;
	*slot = h;
	t->unique++;
	return false;
}

/*
 * One message
 */

void
tally_msg_begin(struct tally *t, struct tally_msg *m)
{
	m->is_header = true;
	m->body_bytes = m->bytes = 0;
	m->nline = 0;
	m->nid = 0;
	if (!t->is_hashing)
		return;
	if (m->digest == NULL && (m->digest = EVP_MD_CTX_new()) == NULL)
		err(EX_OSERR, "EVP_MD_CTX_new");
	EVP_DigestInit_ex2(m->digest, t->sha256, NULL);
}

void
tally_msg_header(struct tally *t, struct tally_msg *m, const char *p, size_t n)
{
	size_t k = strlen(t->id_header);

	while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		n--;
	if (n == 0) {
		m->is_header = false;
		return;
	}
	if (m->nid > 0 || n <= k + 1 || p[k] != ':' ||
	    strncasecmp(p, t->id_header, k) != 0)
		return;
	p += k + 1;
	n -= k + 1;
	for (; n > 0 && (*p == ' ' || *p == '\t' || *p == '<'); n--)
		p++;
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t' ||
	    p[n - 1] == '>'))
		n--;
	m->nid = n < TALLY_ID_MAX ? n : TALLY_ID_MAX - 1;
	memcpy(m->id, p, m->nid);
}

/* Keep what fits of a header line that came in pieces. */
static void
line_add(struct tally_msg *m, const char *p, size_t n)
{
	if (m->line == NULL && (m->line = malloc(LINE_KEPT)) == NULL)
		err(EX_OSERR, "malloc");
	if (n > LINE_KEPT - m->nline)
		n = LINE_KEPT - m->nline;
	memcpy(m->line + m->nline, p, n);
	m->nline += n;
}

void
tally_msg_feed(struct tally *t, struct tally_msg *m, const char *p, size_t n)
{
	const char *lf;
	size_t k;

	m->bytes += n;
	while (m->is_header && n > 0) {
		lf = memchr(p, '\n', n);
		k = lf != NULL ? (size_t)(lf - p) + 1 : n;
		if (lf != NULL && m->nline == 0) {
			tally_msg_header(t, m, p, k);
		} else {
			line_add(m, p, k);
			if (lf == NULL)
				return;
			tally_msg_header(t, m, m->line, m->nline);
			m->nline = 0;
		}
		p += k;
		n -= k;
	}
	if (n == 0)
		return;
	m->body_bytes += n;
	if (t->is_hashing)
		EVP_DigestUpdate(m->digest, p, n);
}

/*
 * A sum, so that a duplicate changes it: in an XOR it would vanish.
 */
static void
add_digest(struct tally *t, struct tally_msg *m, unsigned char digest[32])
{
	uint64_t lane[4];
	int i;

	EVP_DigestUpdate(m->digest, m->id, m->nid);
	EVP_DigestFinal_ex(m->digest, digest, NULL);
	memcpy(lane, digest, sizeof lane);
	for (i = 0; i < 4; i++)
		t->sum[i] += lane[i];
}

static void
list(const struct tally *t, const struct tally_msg *m, uint32_t rcpts,
    const unsigned char digest[32], const char *words, bool is_duplicate)
{
	int i;

	fprintf(t->listing, "%.*s %" PRIu64 " %" PRIu32 " ", (int)m->nid,
	    m->id, m->bytes, rcpts);
	for (i = 0; t->is_hashing && i < 32; i++)
		fprintf(t->listing, "%02x", digest[i]);
	if (words != NULL)
		fprintf(t->listing, " %s", words);
	fputs(is_duplicate ? " dup\n" : "\n", t->listing);
}

void
tally_msg_count(struct tally *t, struct tally_msg *m, uint32_t rcpts,
    const char *words)
{
	unsigned char digest[32];
	bool is_duplicate = false;

	t->last_ns = tally_clock_ns();
	t->msgs++;
	t->rcpts += rcpts;
	t->bytes += m->bytes;
	t->body_bytes += m->body_bytes;
	if (m->nid == 0)
		t->without_id++;
	else if (!t->ignores_ids)
		is_duplicate = seen_add(t, m->id, m->nid);
	t->duplicates += is_duplicate;
	if (t->is_hashing)
		add_digest(t, m, digest);
	if (t->listing != NULL)
		list(t, m, rcpts, digest, words, is_duplicate);
}

void
tally_msg_clear(struct tally_msg *m)
{
	EVP_MD_CTX_free(m->digest);
	free(m->line);
	memset(m, 0, sizeof *m);
}

/*
 * Report
 */

uint64_t
tally_distinct(const struct tally *t)
{
	return t->ignores_ids ? t->msgs : t->unique + t->without_id;
}

static double
seconds(struct timeval v)
{
	return v.tv_sec + v.tv_usec / 1e6;
}

static void
report_counters(const struct tally *t, FILE *f)
{
	const struct {
		const char	*name;
		uint64_t	 value;
	} rows[] = {
		{ "messages",		t->msgs },
		{ "unique",		t->unique },
		{ "duplicates",		t->duplicates },
		{ "without_id",		t->without_id },
		{ "recipients",		t->rcpts },
		{ "bytes",		t->bytes },
		{ "body_bytes",		t->body_bytes },
		{ "connections",	t->connections },
		{ "peak",		t->peak },
		{ "open",		t->open },
		{ "over",		t->over },
		{ "tls",		t->tls },
		{ "resumed",		t->resumed },
		{ "rejects",		t->rejects },
		{ "lost_replies",	t->lost_replies },
		{ "truncated",		t->truncated },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		fprintf(f, "\"%s\":%" PRIu64 ",", rows[i].name, rows[i].value);
}

void
tally_report(const struct tally *t, FILE *f)
{
	double s = t->msgs > 0 ? (t->last_ns - t->first_ns) / 1e9 : 0;
	struct rusage u;
	double user, sys;

	getrusage(RUSAGE_SELF, &u);
	user = seconds(u.ru_utime);
	sys = seconds(u.ru_stime);
	fputc('{', f);
	report_counters(t, f);
	fprintf(f, "\"seconds\":%.6f,\"msgs_per_s\":%.1f,\"user_s\":%.3f,"
	    "\"sys_s\":%.3f,\"cpu_us_per_msg\":%.2f,\"maxrss_kib\":%ld,", s,
	    s > 0 ? t->msgs / s : 0, user, sys,
	    t->msgs > 0 ? (user + sys) * 1e6 / t->msgs : 0, u.ru_maxrss);
	fprintf(f, "\"digest\":\"%016" PRIx64 "%016" PRIx64 "%016" PRIx64
	    "%016" PRIx64 "\"}\n", t->sum[0], t->sum[1], t->sum[2], t->sum[3]);
	fflush(f);
	if (t->listing != NULL)
		fflush(t->listing);
}
