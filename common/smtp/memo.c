/*
 * memo.c - what was found of some hosts lately: rows without gaps, and chains
 * of them by the hash of the address.  Chains hold the row's number plus one.
 */
#include "smtp/memo.h"

#include <stdlib.h>

#include "base/mem.h"

#define FIRST_ROWS	16

static uint16_t *
chain_of(const struct memo *m, const struct addr *addr)
{
	return &m->chains[addr_hash(addr) % MEMO_CHAINS];
}

/* What points to this row. */
static uint16_t *
link_to(const struct memo *m, const struct memo_row *row)
{
	uint16_t *at = chain_of(m, &row->addr);

	while (&m->rows[*at - 1] != row)
		at = &m->rows[*at - 1].next;
	return at;
}

struct memo_row *
memo_find(const struct memo *m, const struct addr *addr)
{
	uint16_t at;

	if (m->n == 0)
		return NULL;
	for (at = *chain_of(m, addr); at != 0; at = m->rows[at - 1].next)
		if (addr_equal(&m->rows[at - 1].addr, addr))
			return &m->rows[at - 1];
	return NULL;
}

/* The last row moves into the gap. */
static void
drop(struct memo *m, struct memo_row *row)
{
	struct memo_row *last = &m->rows[m->n - 1];

	*link_to(m, row) = row->next;
	free(row->text);
	if (row != last) {
		*link_to(m, last) = (uint16_t)(row - m->rows + 1);
		*row = *last;
	}
	m->n--;
}

static void
drop_who_ends_first(struct memo *m)
{
	struct memo_row *first = &m->rows[0];
	uint32_t i;

	for (i = 1; i < m->n; i++)
		if (m->rows[i].until_ms < first->until_ms)
			first = &m->rows[i];
	drop(m, first);
}

static struct memo_row *
add(struct memo *m, const struct addr *addr)
{
	uint16_t *chain;

	if (m->n == MEMO_MAX)
		drop_who_ends_first(m);
	if (m->chains == NULL)
		m->chains = xcalloc(MEMO_CHAINS, sizeof(*m->chains));
	if (m->n == m->cap) {
		m->cap = m->cap == 0 ? FIRST_ROWS : 2 * m->cap;
		m->rows = xreallocarray(m->rows, m->cap, sizeof(*m->rows));
	}
	chain = chain_of(m, addr);
	m->rows[m->n] = (struct memo_row){ .addr = *addr, .next = *chain };
	*chain = (uint16_t)(m->n + 1);
	return &m->rows[m->n++];
}

void
memo_note(struct memo *m, const struct addr *addr, int64_t now_ms,
    int64_t wait_ms, unsigned code, const char *text)
{
	struct memo_row *row = memo_find(m, addr);
	char *copy = text == NULL ? NULL : xstrdup(text);

	if (row == NULL)
		row = add(m, addr);
	free(row->text);
	row->since_ms = now_ms;
	row->until_ms = now_ms + wait_ms;
	row->code = code;
	row->text = copy;
}

void
memo_forget(struct memo *m, const struct addr *addr)
{
	struct memo_row *row = memo_find(m, addr);

	if (row != NULL)
		drop(m, row);
}

void
memo_clear(struct memo *m)
{
	while (m->n > 0)
		free(m->rows[--m->n].text);
	free(m->rows);
	free(m->chains);
	*m = (struct memo){ .n = 0 };
}
