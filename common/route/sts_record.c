/* sts_record.c - the TXT record of MTA-STS: v=STSv1; id=20260101; */
#include "route/sts_record.h"

#include <string.h>

#define VERSION	"v=STSv1"

/* What is left of the record. */
struct rest {
	const char	*p, *end;
};

static void
skip_space(struct rest *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
		r->p++;
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z');
}

/* A field of the name, or a value, up to what cannot be in it. */
static size_t
take_name(struct rest *r)
{
	const char *from = r->p;

	while (r->p < r->end && (is_alnum(*r->p) || (r->p > from &&
	    (*r->p == '_' || *r->p == '-' || *r->p == '.'))))
		r->p++;
	return (size_t)(r->p - from);
}

static size_t
take_value(struct rest *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p > ' ' && *r->p < 0x7f &&
	    *r->p != ';' && *r->p != '=')
		r->p++;
	return (size_t)(r->p - from);
}

/* "v=STSv1" and the end of that field: what §3.1 discards others by. */
static bool
is_ours(const struct dns_txt *txt)
{
	struct rest r = { txt->text, txt->text + txt->len };
	size_t n = sizeof(VERSION) - 1;

	if (txt->len < n || memcmp(txt->text, VERSION, n) != 0)
		return false;
	r.p += n;
	skip_space(&r);
	return r.p == r.end || *r.p == ';';
}

static const char *
take_id(const char *value, size_t n, char id[STS_ID_MAX])
{
	size_t i;

	if (id[0] != '\0')
		return "two ids";
	if (n == 0 || n >= STS_ID_MAX)
		return "an id that is not of 1 to 32 characters";
	for (i = 0; i < n; i++)
		if (!is_alnum(value[i]))
			return "an id that has more than letters and digits";
	memcpy(id, value, n);
	id[n] = '\0';
	return NULL;
}

/* "name=value"; NULL, or what is wrong. */
static const char *
take_field(struct rest *r, char id[STS_ID_MAX])
{
	const char *name = r->p, *value;
	size_t nname = take_name(r), n;

	if (nname == 0 || nname > 32 || r->p == r->end || *r->p != '=')
		return "a field that is not name=value";
	r->p++;
	value = r->p;
	n = take_value(r);
	if (nname == 2 && memcmp(name, "id", 2) == 0)
		return take_id(value, n, id);
	return n > 0 ? NULL : "a field without a value";
}

static const char *
parse(const struct dns_txt *txt, char id[STS_ID_MAX])
{
	struct rest r = { txt->text + sizeof(VERSION) - 1,
	    txt->text + txt->len };
	const char *why;

	for (;;) {
		skip_space(&r);
		if (r.p == r.end)
			return id[0] != '\0' ? NULL : "no id";
		if (*r.p++ != ';')
			return "fields that no semicolon divides";
		skip_space(&r);
		if (r.p == r.end)	/* one may stand at the end */
			return id[0] != '\0' ? NULL : "no id";
		if ((why = take_field(&r, id)) != NULL)
			return why;
	}
}

enum sts_record_result
sts_record_parse(const struct dns_txt *txt, size_t n, char id[STS_ID_MAX],
    const char **why_r)
{
	const struct dns_txt *ours = NULL;
	size_t i;

	id[0] = '\0';
	*why_r = NULL;
	for (i = 0; i < n; i++) {
		if (!is_ours(&txt[i]))
			continue;
		if (ours != NULL) {
			*why_r = "several records";
			return STS_RECORD_BAD;
		}
		ours = &txt[i];
	}
	if (ours == NULL)
		return STS_RECORD_NONE;
	if ((*why_r = parse(ours, id)) != NULL) {
		id[0] = '\0';
		return STS_RECORD_BAD;
	}
	return STS_RECORD_FOUND;
}
