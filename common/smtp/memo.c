/* memo.c - what was found of some hosts lately. */
#include "smtp/memo.h"

#include <stdlib.h>

#include "base/mem.h"

struct memo_row *
memo_find(const struct memo *m, const struct addr *addr)
{
	uint32_t i;

	for (i = 0; i < m->n; i++)
		if (addr_equal(&m->rows[i].addr, addr))
			return &m->rows[i];
	return NULL;
}

static struct memo_row *
ends_first(struct memo *m)
{
	struct memo_row *first = &m->rows[0];
	uint32_t i;

	for (i = 1; i < m->n; i++)
		if (m->rows[i].until_ms < first->until_ms)
			first = &m->rows[i];
	return first;
}

void
memo_note(struct memo *m, const struct addr *addr, int64_t now_ms,
    int64_t wait_ms, unsigned code, const char *text)
{
	struct memo_row *row = memo_find(m, addr);
	char *copy = text == NULL ? NULL : xstrdup(text);

	if (m->rows == NULL)
		m->rows = xcalloc(MEMO_MAX, sizeof(*m->rows));
	if (row == NULL)
		row = m->n < MEMO_MAX ? &m->rows[m->n++] : ends_first(m);
	free(row->text);
	*row = (struct memo_row){
		.addr = *addr,
		.since_ms = now_ms,
		.until_ms = now_ms + wait_ms,
		.code = code,
		.text = copy,
	};
}

void
memo_forget(struct memo *m, const struct addr *addr)
{
	struct memo_row *row = memo_find(m, addr);

	if (row == NULL)
		return;
	free(row->text);
	*row = m->rows[--m->n];
}

void
memo_clear(struct memo *m)
{
	while (m->n > 0)
		free(m->rows[--m->n].text);
	free(m->rows);
	m->rows = NULL;
}
