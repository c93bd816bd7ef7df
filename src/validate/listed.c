/* listed.c - what schema docrow lists: documents, elements and rows that were rejected or dropped, references that
 * were set to NULL or moved, values that a policy replaced. Kept as hashes, since there may be many.
 */
#include "validate_private.h"

#include <stdlib.h>

#include "text.h"

struct slot {
	uint64_t hash;
	uint8_t fault, used;
};

struct counted {
	uint64_t hash, n;
};

struct listed {
	struct slot *slots;
	size_t n, mask;
	struct counted *counts; /* by kind, table, column; few */
	size_t ncounts;
};

struct listed *listed_new(void)
{
	struct listed *l = mem_zalloc(sizeof *l);

	l->mask = 1023;
	l->slots = mem_zalloc((l->mask + 1) * sizeof *l->slots);
	return l;
}

void listed_free(struct listed *l)
{
	if (l == NULL)
		return;
	free(l->slots);
	free(l->counts);
	free(l);
}

static struct slot *place(const struct listed *l, uint64_t hash)
{
	size_t i = hash & l->mask;

	while (l->slots[i].used && l->slots[i].hash != hash)
		i = (i + 1) & l->mask;
	return &l->slots[i];
}

static void grow(struct listed *l)
{
	struct slot *old = l->slots;
	size_t n = l->mask + 1;

	l->mask = 2 * n - 1;
	l->slots = mem_zalloc(2 * n * sizeof *l->slots);
	for (size_t i = 0; i < n; i++)
		if (old[i].used)
			*place(l, old[i].hash) = old[i];
	free(old);
}

static void add(struct listed *l, uint64_t hash, enum fault fault)
{
	if (2 * l->n > l->mask)
		grow(l);
	struct slot *s = place(l, hash);
	l->n += !s->used;
	*s = (struct slot){hash, (uint8_t)fault, 1};
}

bool listed_is_empty(const struct listed *l)
{
	return l->n == 0;
}

bool listed_has(const struct listed *l, uint64_t hash, enum fault *fault)
{
	const struct slot *s = place(l, hash);

	if (s->used && fault != NULL)
		*fault = (enum fault)s->fault;
	return s->used;
}

/* --- hashes --- */

static uint64_t text_hash(uint64_t seed, const char *text)
{
	return text == NULL ? key_hash(seed, "", 0) : key_hash(seed, text, strlen(text) + 1);
}

uint64_t listed_document(const char *collection, const uint8_t *id, size_t n)
{
	return key_hash(text_hash(LISTED_DOCUMENT + 1, collection), id, n);
}

uint64_t listed_bytes(const char *collection, const uint8_t *doc, size_t n)
{
	return key_hash(text_hash(LISTED_BYTES + 1, collection), doc, n);
}

uint64_t listed_key(const char *table, const void *key, size_t n)
{
	return key_hash(text_hash(LISTED_KEY + 1, table), key, n);
}

uint64_t listed_element(const char *table, const uint8_t *id, size_t n, int64_t ordinal)
{
	return key_hash(text_hash(LISTED_ELEMENT + 1, table) ^ (uint64_t)ordinal * UINT64_C(0x9e3779b97f4a7c15), id,
			n);
}

uint64_t listed_cell(enum listed_kind k, const char *table, const char *column, const uint8_t *id, size_t n,
		     int64_t ordinal)
{
	uint64_t seed = text_hash(text_hash((uint64_t)k + 1, table), column);

	return key_hash(seed ^ (uint64_t)ordinal * UINT64_C(0x9e3779b97f4a7c15), id, n);
}

uint64_t listed_cell_key(enum listed_kind k, const char *table, const char *column, const char *key, size_t n)
{
	return key_hash(text_hash(text_hash((uint64_t)k + 101, table), column), key, n);
}

uint64_t listed_stub(const char *table, const void *key, size_t n)
{
	return key_hash(text_hash(LISTED_STUB + 1, table), key, n);
}

uint64_t pair_hash(const uint8_t *l, size_t nl, const uint8_t *r, size_t nr)
{
	return key_hash(key_hash(UINT64_C(0x70616972), l, nl), r, nr);
}

static uint64_t count_hash(enum listed_kind k, const char *table, const char *column)
{
	return text_hash(text_hash((uint64_t)k + 1000, table), column);
}

static void count(struct listed *l, enum listed_kind k, const char *table, const char *column)
{
	uint64_t hash = count_hash(k, table, column);

	for (size_t i = 0; i < l->ncounts; i++)
		if (l->counts[i].hash == hash) {
			l->counts[i].n++;
			return;
		}
	l->counts = mem_realloc(l->counts, (l->ncounts + 1) * sizeof *l->counts);
	l->counts[l->ncounts++] = (struct counted){hash, 1};
}

uint64_t listed_count(const struct listed *l, enum listed_kind k, const char *table, const char *column)
{
	uint64_t hash = count_hash(k, table, column);

	for (size_t i = 0; i < l->ncounts; i++)
		if (l->counts[i].hash == hash)
			return l->counts[i].n;
	return 0;
}

uint64_t owner_hash(int table, const uint8_t *key, size_t n)
{
	return key_hash((uint64_t)table + 5000, key, n) | 1; /* 0 is none */
}

void listed_add(struct listed *l, uint64_t hash)
{
	add(l, hash, FAULT_OK);
}

/* --- reading --- */

struct reading {
	struct listed *l;
	const struct plan *plan;
	struct tally_writer *tally;
	struct judge judge;
	struct buf key, other;
};

/* A field of text, NUL-terminated in the arena; NULL for NULL. */
static const char *text_of(struct reading *r, struct field_bytes f)
{
	return f.len < 0 ? NULL : arena_strndup(r->judge.arena, (const char *)f.data, (size_t)f.len);
}

static const struct schema_table *table_of(const struct reading *r, const char *name)
{
	int t = name != NULL ? schema_find_table(&r->plan->schema, name) : -1;

	return t >= 0 ? &r->plan->schema.tables[t] : NULL;
}

static const struct pgtype *key_type(const struct schema_table *t)
{
	return t != NULL && t->nprimary_key == 1 ? &t->columns[t->primary_key[0]].type : NULL;
}

/* The key that the text names, in its normal form; the text itself where the table's key has several columns. */
static void normal_key(struct reading *r, const char *table, struct field_bytes text)
{
	const struct pgtype *t = key_type(table_of(r, table));

	buf_reset(&r->key);
	if (text.len < 0)
		return;
	if (t == NULL || !key_of_text(&r->judge, t, (const char *)text.data, (size_t)text.len, &r->key)) {
		buf_reset(&r->key);
		buf_put(&r->key, text.data, (size_t)text.len);
	}
}

enum { R_COLLECTION, R_TABLE, R_FAULT, R_ID, R_KEY, R_ORDINAL, R_DOCUMENT, R_SETTLED, R_COLUMNS };

static bool is_main_table(const struct schema_table *t)
{
	return t == NULL || (t->parent_table < 0 && t->collection != NULL);
}

static enum fault fault_of(const char *name)
{
	for (int f = 1; name != NULL && f < FAULT_COUNT; f++)
		if (strcmp(fault_name((enum fault)f), name) == 0)
			return (enum fault)f;
	return FAULT_REFUSED;
}

static int64_t ordinal_of(struct field_bytes f)
{
	return f.len == 8 ? (int64_t)big_endian(f.data, 8) : -1;
}

/* A reject, or a row that a policy dropped. */
static void take_absent(struct reading *r, const struct field_bytes *f)
{
	const char *table = text_of(r, f[R_TABLE]), *collection = text_of(r, f[R_COLLECTION]);
	const struct schema_table *t = table_of(r, table);
	enum fault fault = fault_of(text_of(r, f[R_FAULT]));
	int64_t ordinal = ordinal_of(f[R_ORDINAL]);
	/* what was refused on reading, and is no element, is the whole document, whichever table it failed for */
	bool whole = is_main_table(t) || (ordinal < 0 && f[R_SETTLED].len == 1 && f[R_SETTLED].data[0] == 0);

	if (collection == NULL && t != NULL)
		collection = t->collection;
	if (ordinal >= 0 && !is_main_table(t)) {
		add(r->l, listed_element(table, f[R_ID].data, f[R_ID].len < 0 ? 0 : (size_t)f[R_ID].len, ordinal),
		    fault);
		count(r->l, LISTED_ELEMENT, table, NULL);
		return;
	}
	if (whole) {
		count(r->l, LISTED_DOCUMENT, t != NULL ? table : NULL, NULL);
		if (f[R_ID].len >= 0)
			add(r->l, listed_document(collection, f[R_ID].data, (size_t)f[R_ID].len), fault);
		else if (f[R_DOCUMENT].len >= 0)
			add(r->l, listed_bytes(collection, f[R_DOCUMENT].data, (size_t)f[R_DOCUMENT].len), fault);
	} else {
		count(r->l, LISTED_ELEMENT, table, NULL);
	}
	if ((!whole || (f[R_ID].len < 0 && is_main_table(t))) && f[R_KEY].len >= 0) {
		normal_key(r, table, f[R_KEY]);
		add(r->l, listed_key(table, r->key.data, r->key.len), fault);
	}
}

enum { F_KIND = R_COLUMNS, F_COLUMN, F_COLUMNS };

static void take_cell(struct reading *r, enum listed_kind k, const struct field_bytes *f)
{
	const char *table = text_of(r, f[R_TABLE]), *column = text_of(r, f[F_COLUMN]);
	int64_t ordinal = ordinal_of(f[R_ORDINAL]);

	count(r->l, k, table, column);
	if (f[R_ID].len >= 0)
		add(r->l, listed_cell(k, table, column, f[R_ID].data, (size_t)f[R_ID].len, ordinal), FAULT_OK);
	if (f[R_KEY].len >= 0)
		add(r->l, listed_cell_key(k, table, column, (const char *)f[R_KEY].data, (size_t)f[R_KEY].len),
		    FAULT_OK);
}

/* One field of ROW(l, r)::text; quotes and backslashes come off. */
static const char *row_field(const char *p, const char *end, struct buf *out)
{
	bool quoted = p < end && *p == '"';

	buf_reset(out);
	for (p += quoted; p < end; p++) {
		if (quoted && *p == '"') {
			if (p + 1 < end && p[1] == '"')
				p++;
			else
				return p + 1;
		} else if (!quoted && (*p == ',' || *p == ')')) {
			return p;
		} else if (*p == '\\' && p + 1 < end) {
			p++;
		}
		buf_putc(out, *p);
	}
	return p;
}

/* "(left,right)" of a junction: its absence is explained. */
static void take_pair(struct reading *r, const struct field_bytes *f)
{
	const char *table = text_of(r, f[R_TABLE]);
	const struct schema *s = &r->plan->schema;
	const char *p = (const char *)f[R_KEY].data, *end = p + f[R_KEY].len;
	_cleanup_(buf_free) struct buf text = {0};

	for (size_t i = 0; table != NULL && f[R_KEY].len > 2 && i < s->njunctions; i++) {
		const struct schema_junction *j = &s->junctions[i];
		const struct schema_table *t = &s->tables[j->table];
		if (strcmp(t->name, table) != 0)
			continue;
		count(r->l, LISTED_KEY, table, NULL);
		p = row_field(p + 1, end, &text);
		buf_reset(&r->key);
		buf_reset(&r->other);
		bool ok = key_of_text(&r->judge, &t->columns[j->left_column].type, (const char *)text.data, text.len,
				      &r->key);
		row_field(p + 1, end, &text);
		ok = ok && key_of_text(&r->judge, &t->columns[j->right_column].type, (const char *)text.data,
				       text.len, &r->other);
		if (ok)
			tally_add(r->tally, (uint32_t)j->table, TALLY_MAYBE,
				  pair_hash(r->key.data, r->key.len, r->other.data, r->other.len));
		return;
	}
}

/* A row that is not there: of a junction it was a pair. */
static void take_absent_row(struct reading *r, const struct field_bytes *f)
{
	const struct schema_table *t = table_of(r, text_of(r, f[R_TABLE]));
	bool settled = f[R_SETTLED].len == 1 && f[R_SETTLED].data[0] != 0;

	if (t != NULL && t->collection == NULL && settled)
		take_pair(r, f);
	else
		take_absent(r, f);
}

static void take_finding(struct reading *r, const struct field_bytes *f)
{
	const char *kind = text_of(r, f[F_KIND]), *table = text_of(r, f[R_TABLE]);

	if (strcmp(kind, "dropped") == 0 || strcmp(kind, "skipped") == 0) {
		take_absent_row(r, f);
	} else if (strcmp(kind, "orphan_null") == 0) {
		take_cell(r, LISTED_NULL, f);
	} else if (strcmp(kind, "orphan_moved") == 0) {
		take_cell(r, LISTED_MOVED, f);
	} else if (strcmp(kind, "invalid_replaced") == 0) {
		take_cell(r, LISTED_REPLACED, f);
	} else if (strcmp(kind, "orphan_kept") == 0) {
		take_cell(r, LISTED_KEPT, f);
	} else if (strcmp(kind, "orphan_pair") == 0) {
		take_pair(r, f);
	} else if (strcmp(kind, "stub") == 0) {
		normal_key(r, table, f[R_KEY]);
		count(r->l, LISTED_STUB, table, NULL);
		add(r->l, listed_stub(table, r->key.data, r->key.len), FAULT_OK);
	}
}

static bool read_all(struct reading *r, struct pg *pg, const char *sql, int n,
		     void (*take)(struct reading *, const struct field_bytes *), struct err *err)
{
	struct copy_rows rows = {.pg = pg};
	struct field_bytes f[F_COLUMNS];
	int got;

	if (!pg_copy_out_begin(pg, sql, err))
		return false;
	while ((got = copy_rows_next(&rows, f, n, err)) == 1) {
		arena_reset(r->judge.arena);
		take(r, f);
	}
	return got == 0;
}

bool listed_load(struct listed *l, struct pg *pg, int64_t run, const struct plan *p, struct tally_writer *w,
		 struct err *err)
{
	struct reading r = {.l = l, .plan = p, .tally = w};
	_cleanup_(buf_free) struct buf sql = {0};

	judge_init(&r.judge, pg_server_version(pg));
	buf_init(&r.key, 0);
	buf_init(&r.other, 0);
	buf_printf(&sql,
		   "COPY (SELECT collection, table_name, fault, doc_id, key, ordinal, CASE WHEN doc_id IS NULL THEN "
		   "document END, row_text IS NOT NULL FROM docrow.reject WHERE run = %lld AND state = 'open') TO "
		   "STDOUT (FORMAT binary)",
		   (long long)run);
	bool ok = read_all(&r, pg, buf_cstr(&sql), R_COLUMNS, take_absent_row, err);
	buf_reset(&sql);
	buf_printf(&sql,
		   "COPY (SELECT collection, table_name, fault, doc_id, key, ordinal, NULL::bytea, true, kind, "
		   "column_name "
		   "FROM docrow.finding f WHERE run = %lld AND kind <> 'one_sided' AND coalesce(to_jsonb(f) ->> "
		   "'state', "
		   "'open') = 'open') TO STDOUT (FORMAT binary)",
		   (long long)run);
	ok = ok && read_all(&r, pg, buf_cstr(&sql), F_COLUMNS, take_finding, err);
	judge_free(&r.judge);
	buf_free(&r.key);
	buf_free(&r.other);
	return ok;
}
