/* labels.c - enums, and text columns with `labels`: which texts stand for which label.
 *
 * A small open-addressing table made once: the labels themselves, the mapping's `labels` (which win), and, with
 * fold_case, their lower-case forms (ASCII letters only). Two labels that fold to one text are not told apart by
 * folding.
 */
#include "convert_private.h"
#include "sys.h"
#include "text.h"

struct text_label {
	const char *from, *to; /* to NULL: ambiguous */
	size_t from_len, to_len;
	bool is_label; /* stands for itself: not counted */
	bool is_folded, is_mapped;
};

struct labels {
	struct text_label *exact, *folded; /* folded NULL: no folding */
	size_t mask;
	size_t longest;
};

static struct text_label *find(struct text_label *table, size_t mask, const char *s, size_t n)
{
	size_t i = hash64(s, n) & mask;
	while (table[i].from != NULL && (table[i].from_len != n || memcmp(table[i].from, s, n) != 0))
		i = (i + 1) & mask;
	return &table[i];
}

static void fold(char *to, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 0x20) : s[i];
}

static void add(struct arena *a, struct labels *l, const char *from, const char *to, bool is_mapped)
{
	size_t n = strlen(from);
	*find(l->exact, l->mask, from, n) =
		(struct text_label){from, to, n, strlen(to), !is_mapped || strcmp(from, to) == 0, false, is_mapped};
	if (n > l->longest)
		l->longest = n;
	if (l->folded == NULL)
		return;
	char *lower = arena_strdup(a, from);
	fold(lower, from, n);
	struct text_label *f = find(l->folded, l->mask, lower, n);
	if (f->from == NULL || is_mapped > f->is_mapped)
		*f = (struct text_label){lower, to, n, strlen(to), false, true, is_mapped};
	else if (is_mapped == f->is_mapped && f->to != NULL && strcmp(f->to, to) != 0)
		f->to = NULL;
}

const struct labels *labels_new(struct arena *a, const struct schema_enum *e, const struct map_column *map)
{
	struct labels *l = arena_alloc(a, sizeof *l);
	size_t nmapped = map != NULL ? map->nlabels : 0, size = 8;
	while (size < 2 * (e->nlabels + nmapped) + 2)
		size *= 2;
	l->mask = size - 1;
	l->exact = arena_alloc(a, size * sizeof *l->exact);
	if (map != NULL && map->fold_case)
		l->folded = arena_alloc(a, size * sizeof *l->folded);
	for (size_t i = 0; i < e->nlabels; i++)
		add(a, l, e->labels[i], e->labels[i], false);
	for (size_t i = 0; i < nmapped; i++)
		add(a, l, map->labels[i].from, map->labels[i].to, true);
	return l;
}

static const struct text_label *find_folded(struct buf *folded, const struct labels *l, const char *s, size_t n)
{
	buf_reset(folded);
	if (l->folded == NULL || n > l->longest || !buf_reserve(folded, n + 1))
		return NULL;
	fold((char *)folded->data, s, n);
	const struct text_label *found = find(l->folded, l->mask, (const char *)folded->data, n);
	return found->to != NULL ? found : NULL;
}

const char *conv_label(const struct labels *l, const char *s, size_t n)
{
	_cleanup_(buf_free) struct buf folded = {0};
	const struct text_label *found = find(l->exact, l->mask, s, n);
	if (found->from == NULL)
		found = find_folded(&folded, l, s, n);
	return found != NULL ? found->to : NULL;
}

/* The label that the text stands for, counted if the mapping made it one; NULL: none. */
static const struct text_label *take_label(struct conv *c, struct column *col, const char *s, size_t n)
{
	const struct text_label *found = find(col->labels->exact, col->labels->mask, s, n);
	if (found->from == NULL)
		found = find_folded(&c->folded, col->labels, s, n);
	if (found != NULL && !found->is_label)
		count_column(c, col, found->is_folded ? COUNT_FOLDED : COUNT_LABELLED);
	return found;
}

/* The same for a text that has no label as it is: mended, if the column's encoding mends it, it may have one. *s, *n
 * become the mended text. */
static enum fault take_mended_label(struct conv *c, struct column *col, const char **s, size_t *n,
				    const struct text_label **found)
{
	size_t at;
	enum utf8_result why = utf8_check(*s, *n, &at);
	*found = NULL;
	if (why == UTF8_OK || (col->encoding == MAP_ENCODING_REJECT && col->type.base == PGT_ENUM))
		return FAULT_OK;
	enum fault f = mend_text(c, col, why, at, s, n);
	if (f == FAULT_OK)
		*found = take_label(c, col, *s, *n);
	return f;
}

/* labels of a text column: listed texts are replaced, others stay. */
enum fault put_labelled_text(struct conv *c, struct column *col, const struct val *v)
{
	size_t n;
	const char *s = val_text(v, &n);
	const struct text_label *found = take_label(c, col, s, n);
	if (found == NULL) {
		enum fault f = take_mended_label(c, col, &s, &n, &found);
		if (f != FAULT_OK)
			return f;
	}
	return found == NULL ? put_chars(c, col, s, n) : put_chars(c, col, found->to, found->to_len);
}

enum fault put_enum(struct conv *c, struct column *col, const struct val *v)
{
	size_t n;
	const char *s = val_text(v, &n);
	const struct text_label *found = take_label(c, col, s, n);
	if (found == NULL)
		take_mended_label(c, col, &s, &n, &found);
	if (found == NULL)
		return fault_note(c, FAULT_LABEL, "%zu bytes, enum %s", n, col->type.enum_name);
	rowbuf_put_bytes(col->rows, found->to, found->to_len);
	return FAULT_OK;
}
