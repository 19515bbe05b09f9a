/* domain_map.c - options by domain. */
#include "route/domain_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mail/address.h"

static int
by_pattern(const void *a, const void *b)
{
	return strcmp(((const struct domain_row *)a)->pattern,
	    ((const struct domain_row *)b)->pattern);
}

/* The pattern in the form that is compared; NULL: it is none. */
static char *
normal_form(const char *key)
{
	struct arena *arena = arena_new(512);
	const char *dot = *key == '.' ? "." : "", *ascii;
	char *pattern = NULL;

	if (strcmp(key, "*") == 0)
		pattern = xstrdup(key);
	else if ((ascii = address_domain_ascii(key + strlen(dot), arena)) !=
	    NULL)
		pattern = xasprintf("%s%s", dot, ascii);
	arena_free(arena);
	return pattern;
}

const char *
domain_map_init(struct domain_map *m, const struct opt_dict *dict)
{
	size_t i;

	m->n = 0;
	m->rows = xcalloc(dict->n + 1, sizeof(*m->rows));
	for (i = 0; i < dict->n; i++) {
		m->rows[i].pattern = normal_form(dict->v[i].key);
		m->rows[i].pair = i;
		if (m->rows[i].pattern == NULL) {
			domain_map_clear(m);
			return dict->v[i].key;
		}
		m->n++;
	}
	qsort(m->rows, m->n, sizeof(*m->rows), by_pattern);
	return NULL;
}

void
domain_map_clear(struct domain_map *m)
{
	while (m->n > 0)
		free(m->rows[--m->n].pattern);
	free(m->rows);
	m->rows = NULL;
}

static long
find(const struct domain_map *m, const char *pattern)
{
	size_t low = 0, high = m->n, middle;
	int order;

	while (low < high) {
		middle = (low + high) / 2;
		order = strcmp(pattern, m->rows[middle].pattern);
		if (order == 0)
			return (long)m->rows[middle].pair;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

long
domain_map_find(const struct domain_map *m, const char *domain)
{
	const char *dot;
	long at;

	if (m->n == 0)
		return -1;
	if (*domain != '[') {
		if ((at = find(m, domain)) != -1)
			return at;
		for (dot = domain; (dot = strchr(dot, '.')) != NULL; dot++)
			if ((at = find(m, dot)) != -1)
				return at;
	}
	return find(m, "*");
}
