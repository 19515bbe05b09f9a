/* pattern.c - error_pattern: PCRE2 with limits. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "pipe/result.h"

/* For 4 KiB, more than any sensible expression takes. */
#define MATCH_STEPS	200000
#define MATCH_DEPTH	10000
#define MATCH_HEAP_KIB	4096

struct pattern {
	pcre2_code	*code;
	pcre2_match_data *data;
	pcre2_match_context *context;
	int		 message, status, esc;	/* groups; -1: none */
	bool		 has_complained;
};

static int
group(const pcre2_code *code, const char *name)
{
	int n = pcre2_substring_number_from_name(code, (PCRE2_SPTR)name);

	return n > 0 ? n : -1;
}

struct pattern *
pattern_new(const char *text, char *error, size_t size)
{
	PCRE2_UCHAR why[128];
	struct pattern *p;
	PCRE2_SIZE at;
	uint32_t ngroups;
	int code;

	p = xcalloc(1, sizeof(*p));
	p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
	    PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (p->code == NULL) {
		pcre2_get_error_message(code, why, sizeof(why));
		snprintf(error, size, "%s at offset %zu", (const char *)why,
		    (size_t)at);
		free(p);
		return NULL;
	}
	p->data = pcre2_match_data_create_from_pattern(p->code, NULL);
	p->context = pcre2_match_context_create(NULL);
	if (p->data == NULL || p->context == NULL) {
		snprintf(error, size, "no memory");
		pattern_free(p);
		return NULL;
	}
	pcre2_set_match_limit(p->context, MATCH_STEPS);
	pcre2_set_depth_limit(p->context, MATCH_DEPTH);
	pcre2_set_heap_limit(p->context, MATCH_HEAP_KIB);
	pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &ngroups);
	p->message = group(p->code, "message");
	p->status = group(p->code, "code");
	p->esc = group(p->code, "esc");
	if (p->message == -1 && p->status == -1 && p->esc == -1)
		p->message = ngroups > 0 ? 1 : 0;
	return p;
}

void
pattern_free(struct pattern *p)
{
	if (p == NULL)
		return;
	pcre2_match_context_free(p->context);
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
}

static void
take(const struct pattern *p, const char *subject, int n, int ngroups,
    const char **text_r, size_t *len_r)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(p->data);

	*text_r = NULL;
	*len_r = 0;
	/* \K in a look-ahead may set the start behind the end. */
	if (n < 0 || n >= ngroups || v[2 * n] == PCRE2_UNSET ||
	    v[2 * n] > v[2 * n + 1])
		return;
	*text_r = subject + v[2 * n];
	*len_r = v[2 * n + 1] - v[2 * n];
}

bool
pattern_search(const struct pattern *p, const char *subject, size_t n,
    struct pattern_match *m)
{
	int rc = pcre2_match(p->code, (PCRE2_SPTR)subject, n, 0, 0, p->data,
	    p->context);

	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && !p->has_complained) {
		log_warning("error_pattern: given up after too much work "
		    "(PCRE2 error %d); taken for no match", rc);
		((struct pattern *)(uintptr_t)p)->has_complained = true;
	}
	if (rc <= 0)
		return false;
	take(p, subject, p->message, rc, &m->message, &m->message_len);
	take(p, subject, p->status, rc, &m->code, &m->code_len);
	take(p, subject, p->esc, rc, &m->esc, &m->esc_len);
	return true;
}
