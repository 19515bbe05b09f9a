/* sts_policy.c - the policy file of MTA-STS, and whom it lets through. */
#include "route/sts_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define VALUE_MAX	512

/* The policy, its strings and itself lie in the arena. */
struct owned {
	struct sts_policy policy;
	struct arena	*arena;
};

struct parser {
	struct owned	*o;
	const char	**mx;
	bool		 has_version, has_mode, has_max_age;
	unsigned	 line;
	char		*error;
	size_t		 size;
};

static int
bad(const struct parser *p, const char *what)
{
	snprintf(p->error, p->size, "line %u: %s", p->line, what);
	return -1;
}

const char *
sts_mode_name(enum sts_mode mode)
{
	static const char *const names[] = { "none", "testing", "enforce" };

	return names[mode];
}

/* ---- fields ---- */

static int
take_version(struct parser *p, char *value)
{
	if (p->has_version)
		return 0;
	if (strcmp(value, "STSv1") != 0)
		return bad(p, "a version that is not STSv1");
	p->has_version = true;
	return 0;
}

static int
take_mode(struct parser *p, char *value)
{
	int mode;

	if (p->has_mode)
		return 0;
	for (mode = STS_MODE_NONE; mode <= STS_MODE_ENFORCE; mode++)
		if (strcmp(value, sts_mode_name((enum sts_mode)mode)) == 0)
			break;
	if (mode > STS_MODE_ENFORCE)
		return bad(p, "a mode that is not enforce, testing or none");
	p->o->policy.mode = (enum sts_mode)mode;
	p->has_mode = true;
	return 0;
}

static int
take_max_age(struct parser *p, char *value)
{
	size_t n = strlen(value);

	if (p->has_max_age)
		return 0;
	if (n == 0 || n > 10 || strspn(value, "0123456789") != n)
		return bad(p, "a max_age that is not of 1 to 10 digits");
	p->o->policy.max_age_s = strtoll(value, NULL, 10);
	if (p->o->policy.max_age_s > STS_MAX_AGE_MAX)
		p->o->policy.max_age_s = STS_MAX_AGE_MAX;
	p->has_max_age = true;
	return 0;
}

/* "mail.example.com", or that behind "*." (§4.1); of A-labels. */
static bool
is_pattern(const char *s)
{
	size_t n;

	if (strncmp(s, "*.", 2) == 0)
		s += 2;
	if (strlen(s) >= DNS_NAME_MAX)
		return false;
	do {
		n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_");
		if (n == 0 || n > 63)
			return false;
		s += n;
	} while (*s++ == '.');
	return s[-1] == '\0';
}

static int
take_mx(struct parser *p, char *value)
{
	struct sts_policy *policy = &p->o->policy;
	size_t n = strlen(value);

	str_lower(value);
	if (n > 1 && value[n - 1] == '.')
		value[n - 1] = '\0';
	if (!is_pattern(value))
		return bad(p, "an mx that is not a host name or *. and one");
	if (policy->nmx == STS_MX_MAX)
		return bad(p, "too many mx");
	p->mx[policy->nmx++] = arena_strdup(p->o->arena, value);
	return 0;
}

static int
take_field(struct parser *p, const char *name, size_t nname, char *value)
{
	static const struct {
		const char *name;
		int (*take)(struct parser *, char *);
	} fields[] = {
		{ "version", take_version },
		{ "mode", take_mode },
		{ "max_age", take_max_age },
		{ "mx", take_mx },
	};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strlen(fields[i].name) == nname &&
		    memcmp(fields[i].name, name, nname) == 0)
			return fields[i].take(p, value);
	return 0;			/* an extension (§3.2) */
}

/* ---- lines ---- */

static bool
is_name(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
		    (s[i] >= 'A' && s[i] <= 'Z') ||
		    (s[i] >= '0' && s[i] <= '9') ||
		    (i > 0 && strchr("_-.", s[i]) != NULL && s[i] != '\0')))
			return false;
	return n > 0 && n <= 32;
}

static int
take_line(struct parser *p, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n), *v;
	char value[VALUE_MAX];
	size_t nv, i;

	if (colon == NULL || !is_name(line, (size_t)(colon - line)))
		return bad(p, "not a name, a colon and a value");
	v = colon + 1;
	nv = n - (size_t)(v - line);
	while (nv > 0 && (*v == ' ' || *v == '\t')) {
		v++;
		nv--;
	}
	while (nv > 0 && (v[nv - 1] == ' ' || v[nv - 1] == '\t'))
		nv--;
	for (i = 0; i < nv; i++)
		if ((unsigned char)v[i] < ' ' || v[i] == 0x7f)
			return bad(p, "a control character");
	if (nv >= sizeof(value))
		nv = sizeof(value) - 1;	/* of what we know none is as long */
	memcpy(value, v, nv);
	value[nv] = '\0';
	return take_field(p, line, (size_t)(colon - line), value);
}

static int
take_lines(struct parser *p, const char *text, size_t len)
{
	const char *end = text + len, *lf, *next;

	for (; text < end; text = next) {
		p->line++;
		lf = memchr(text, '\n', (size_t)(end - text));
		next = lf != NULL ? lf + 1 : end;
		if (lf == NULL)
			lf = end;
		if (lf > text && lf[-1] == '\r')
			lf--;
		if (lf > text &&
		    take_line(p, text, (size_t)(lf - text)) == -1)
			return -1;
	}
	return 0;
}

static int
check_all(const struct parser *p)
{
	const char *missing = !p->has_version ? "version" :
	    !p->has_mode ? "mode" : !p->has_max_age ? "max_age" :
	    p->o->policy.nmx == 0 && p->o->policy.mode != STS_MODE_NONE ?
	    "mx" : NULL;

	if (missing != NULL)
		snprintf(p->error, p->size, "no %s", missing);
	return missing == NULL ? 0 : -1;
}

struct sts_policy *
sts_policy_parse(const char *text, size_t len, const char *id, char *error,
    size_t size)
{
	struct arena *arena = arena_new(1024);
	struct owned *o = arena_calloc(arena, 1, sizeof(*o));
	struct parser p = { .o = o, .error = error, .size = size };

	o->arena = arena;
	p.mx = arena_calloc(arena, STS_MX_MAX, sizeof(*p.mx));
	o->policy.id = arena_strdup(arena, id);
	o->policy.mx = p.mx;
	if (len > STS_BODY_MAX)
		snprintf(error, size, "more than %d bytes", STS_BODY_MAX);
	else if (take_lines(&p, text, len) == 0 && check_all(&p) == 0)
		return &o->policy;
	arena_free(arena);
	return NULL;
}

void
sts_policy_free(struct sts_policy *policy)
{
	if (policy != NULL)
		arena_free(((struct owned *)(void *)policy)->arena);
}

int
sts_policy_format(const struct sts_policy *policy, struct buf *b)
{
	size_t i;

	if (buf_printf(b, "version: STSv1\nmode: %s\nmax_age: %lld\n",
	    sts_mode_name(policy->mode), (long long)policy->max_age_s) == -1)
		return -1;
	for (i = 0; i < policy->nmx; i++)
		if (buf_printf(b, "mx: %s\n", policy->mx[i]) == -1)
			return -1;
	return 0;
}

/* ---- hosts ---- */

/* §4.1: "*." is for one label, as in RFC 6125 §6.4; no other wildcard. */
static bool
matches(const char *pattern, const char *host, size_t n)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) == 0) {
		dot = memchr(host, '.', n);
		if (dot == NULL || dot == host)
			return false;
		n -= (size_t)(dot + 1 - host);
		host = dot + 1;
		pattern += 2;
	}
	return strlen(pattern) == n && strncasecmp(pattern, host, n) == 0;
}

bool
sts_mx_matches(const struct sts_policy *policy, const char *host)
{
	size_t n = strlen(host), i;

	if (n > 0 && host[n - 1] == '.')
		n--;
	for (i = 0; i < policy->nmx; i++)
		if (matches(policy->mx[i], host, n))
			return true;
	return false;
}
