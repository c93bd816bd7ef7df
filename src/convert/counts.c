/* counts.c - counts of the document in hand.
 *
 * Three steps, so that nothing is counted for what did not go through: the log since the last safe row → `touched`
 * when the row (or a child table's element) is safe → the ledger when the document is.
 */
#include <stdlib.h>

#include "convert_private.h"

static const enum ledger_kind kinds[COUNTED] = {
	[COUNT_MISSING] = LEDGER_IS_MISSING,
	[COUNT_NULL] = LEDGER_IS_NULL,
	[COUNT_UNDEFINED] = LEDGER_IS_UNDEFINED,
	[COUNT_ACCEPTED] = LEDGER_ACCEPTED,
	[COUNT_NEGATIVE_ZERO] = LEDGER_NEGATIVE_ZERO,
	[COUNT_ENCODING] = LEDGER_ENCODING,
	[COUNT_LABELLED] = LEDGER_LABELLED,
	[COUNT_ROUNDED] = LEDGER_ROUNDED,
	[COUNT_FOLDED] = LEDGER_FOLDED,
	[COUNT_DUPLICATE_KEYS] = LEDGER_DUPLICATE_KEYS,
	[COUNT_INVALID] = LEDGER_IS_INVALID,
	[COUNT_DEFAULT_MISSING] = LEDGER_DEFAULT_MISSING,
	[COUNT_DEFAULT_NULL] = LEDGER_DEFAULT_NULL,
	[COUNT_DEFAULT_UNDEFINED] = LEDGER_DEFAULT_UNDEFINED,
	[COUNT_DEFAULT_INVALID] = LEDGER_DEFAULT_INVALID,
};

struct counter *counts_new(struct arena *a, const char *table, const char *column)
{
	struct counter *k = arena_alloc(a, COUNTED * sizeof *k);
	for (int i = 0; i < COUNTED; i++) {
		k[i].kind = kinds[i];
		k[i].object = table;
		k[i].path = column;
		k[i].path_len = strlen(column);
	}
	return k;
}

void counts_to(struct counter *k, uint64_t *total)
{
	for (int i = 0; i < COUNTED; i++)
		k[i].total = total;
}

void counts_grow(struct conv *c)
{
	c->log_cap = c->log_cap > 0 ? c->log_cap * 2 : 256;
	c->log = mem_realloc(c->log, c->log_cap * sizeof(struct counter *));
}

void count_n(struct conv *c, struct counter *k, uint64_t n)
{
	if (n == 0)
		return;
	if (k->pending == 0) {
		if (c->ntouched == c->touched_cap) {
			c->touched_cap = c->touched_cap > 0 ? c->touched_cap * 2 : 256;
			c->touched = mem_realloc(c->touched, c->touched_cap * sizeof(struct counter *));
		}
		c->touched[c->ntouched++] = k;
	}
	k->pending += n;
}

void counts_keep(struct conv *c)
{
	for (size_t i = 0; i < c->nlog; i++)
		count_n(c, c->log[i], 1);
	c->nlog = 0;
}

void counts_apply(struct conv *c)
{
	counts_keep(c);
	for (size_t i = 0; i < c->ntouched; i++) {
		struct counter *k = c->touched[i];
		if (k->total == NULL)
			k->total = ledger_slot_n(c->ledger, k->kind, k->object, k->path, k->path_len);
		*k->total += k->pending;
		k->pending = 0;
	}
	c->ntouched = 0;
}

void counts_drop(struct conv *c)
{
	for (size_t i = 0; i < c->ntouched; i++)
		c->touched[i]->pending = 0;
	c->ntouched = c->nlog = 0;
}
