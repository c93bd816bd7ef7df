/* build.c - conv_new: a plan's collection compiled for one worker. */
#include "convert_private.h"

#include <stdlib.h>

#include "text.h"

/* --- columns --- */

static void set_limits(struct column *col)
{
	static const int64_t granules[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
	static const struct {
		int64_t lo, hi;
	} ranges[PGT_COUNT] = {[PGT_INT2] = {INT16_MIN, INT16_MAX},
			       [PGT_INT4] = {INT32_MIN, INT32_MAX},
			       [PGT_INT8] = {INT64_MIN, INT64_MAX}};
	col->lo = ranges[col->type.base].lo;
	col->hi = ranges[col->type.base].hi;
	bool is_time = col->type.base == PGT_TIME || col->type.base == PGT_TIMESTAMP ||
		       col->type.base == PGT_TIMESTAMPTZ || col->type.base == PGT_INTERVAL;
	col->granule = is_time && col->type.precision >= 0 ? granules[col->type.precision] : 1;
}

static void set_json(struct column *col, enum map_json json)
{
	static const enum extjson_mode modes[] = {[MAP_JSON_RELAXED] = EXTJSON_RELAXED,
						  [MAP_JSON_CANONICAL] = EXTJSON_CANONICAL,
						  [MAP_JSON_PLAIN] = EXTJSON_PLAIN};
	static const enum extjson_text texts[] = {[MAP_ENCODING_REJECT] = EXTJSON_TEXT_REFUSE,
						  [MAP_ENCODING_REPLACE] = EXTJSON_TEXT_REPLACE,
						  [MAP_ENCODING_STRIP] = EXTJSON_TEXT_STRIP};
	static const enum extjson_dup dups[] = {
		[DUP_REJECT] = EXTJSON_DUP_REFUSE, [DUP_FIRST] = EXTJSON_DUP_FIRST, [DUP_LAST] = EXTJSON_DUP_LAST};
	col->json.mode = modes[json];
	col->json.text = texts[col->encoding];
	col->json.dup = dups[col->duplicate_keys];
}

const struct labels *conv_labels(const struct schema *s, const struct pgtype *type, const struct map_column *map,
				 struct arena *a)
{
	static const struct schema_enum none = {.name = ""};
	if (type->base != PGT_ENUM)
		return labels_new(a, &none, map);
	int i = type->enum_index >= 0 ? type->enum_index : schema_find_enum(s, type->enum_name);
	return labels_new(a, i >= 0 ? &s->enums[i] : &none, map);
}

static struct column *element_of(struct conv *c, const struct column *col)
{
	struct column *e = arena_memdup(c->arena, col, sizeof *col);
	e->type.array = false;
	e->type.dims = 0;
	e->element = NULL;
	e->type.domain_not_null = col->type.domain_not_null && col->type.domain_dims == 0;
	e->if_missing = e->if_null = e->if_invalid = NULL;
	return e;
}

static const struct choice *choices(struct conv *c, const struct column *col, const struct plan_value *pv)
{
	if (pv == NULL || pv->kind == MAP_VALUE_UNSET)
		return NULL;
	struct choice *ch = arena_alloc(c->arena, sizeof *ch);
	ch->kind = pv->kind;
	ch->slot = pv->slot;
	if (pv->kind == MAP_VALUE_LITERAL)
		ch->field = literal_field(c, col, pv->literal, &ch->field_len);
	ch->otherwise = choices(c, col, pv->otherwise);
	return ch;
}

static void finish_column(struct conv *c, struct column *col, const struct map_column *map)
{
	set_limits(col);
	set_json(col, map != NULL ? map->json : MAP_JSON_RELAXED);
	if (col->type.base == PGT_ENUM || (map != NULL && map->nlabels > 0))
		col->labels = conv_labels(&c->plan->schema, &col->type, map, c->arena);
	if (col->type.array)
		col->element = element_of(c, col);
	resolve_put(col);
}

/* The fields that no column takes, as the collection's policies for JSON say. */
static void set_leftover(const struct conv *c, struct column *col)
{
	const struct map_policies *p = &c->collection->map->policies;
	col->encoding = p->encoding;
	col->duplicate_keys = p->duplicate_keys;
	set_json(col, p->json);
}

/* Keys of two arrays of one document differ: their paths are part of the name. */
static void set_made_of(struct conv *c, struct column *col, const struct map_child *child)
{
	_cleanup_(buf_free) struct buf name = {0};
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_putc(&name, (char)(child->nfrom >> shift));
	for (size_t i = 0; i < child->nfrom; i++)
		buf_put(&name, child->from[i], strlen(child->from[i]) + 1);
	col->made_of = arena_memdup(c->arena, name.data, name.len);
	col->made_of_len = name.len;
}

void column_init(struct conv *c, struct column *col, const struct plan_column *pc, const char *table,
		 struct rowbuf *rows)
{
	const struct map_column *map = pc->map;
	*col = (struct column){
		.rows = rows,
		.slot = pc->slot,
		.feed = pc->feed,
		.nullable = !pc->column->not_null,
		.type = pc->column->type,
		.accept = map != NULL ? map->accept : 0,
		.bson = map != NULL ? map->bson : 0,
		.encoding = map != NULL ? map->encoding : MAP_ENCODING_REJECT,
		/* Which of two _ids is the document's cannot be chosen. */
		.duplicate_keys = map != NULL && pc->feed != PLAN_FEED_ID ? map->duplicate_keys : DUP_REJECT,
		.is_id = pc->feed == PLAN_FEED_ID,
		.is_reference = pc->is_reference,
		.id_rule = pc->id_rule,
		.uuid_order = pc->uuid_order,
		.id_namespace = c->plan->mapping->id_namespace,
		.table = table,
		.name = pc->column->name,
		.path = pc->path_text,
		.counts = counts_new(c->arena, table, pc->column->name),
	};
	finish_column(c, col, map);
	if (pc->feed == PLAN_FEED_UNMAPPED)
		set_leftover(c, col);
	if (pc->feed == PLAN_FEED_ROW_KEY)
		set_made_of(c, col, pc->child);
	col->if_missing = choices(c, col, &pc->if_missing);
	col->if_null = choices(c, col, &pc->if_null);
	col->if_invalid = choices(c, col, &pc->if_invalid);
}

struct column *column_new_id(struct conv *c, const struct pgtype *type, enum map_id rule, enum map_uuid_order order,
			     bool is_id, const char *table, const char *name, const char *path, unsigned accept,
			     struct rowbuf *rows)
{
	struct column *col = arena_alloc(c->arena, sizeof *col);
	*col = (struct column){
		.rows = rows,
		.slot = -1,
		.feed = PLAN_FEED_SLOT,
		.type = *type,
		.accept = accept,
		.is_id = is_id,
		.is_reference = !is_id,
		.id_rule = rule,
		.uuid_order = order,
		.id_namespace = c->plan->mapping->id_namespace,
		.table = table,
		.name = name,
		.path = path,
		.counts = counts_new(c->arena, table, name),
	};
	if (is_id) /* a copy: the key itself is counted where it stands */
		counts_to(col->counts, &c->nowhere);
	finish_column(c, col, NULL);
	return col;
}

/* --- outputs --- */

static enum map_uuid_order order_of(const struct conv *c, const char *collection)
{
	int i = plan_find_collection(c->plan, collection);
	return i >= 0 ? c->plan->collections[i].map->uuid_order : c->collection->map->uuid_order;
}

/* Left and right as this output sees them: it owns one end, its array's elements are the other. */
static void build_pairs(struct conv *c, struct output *o, const struct plan_scope *scope)
{
	const struct plan_junction *j = &c->plan->junctions[o->plan->copy.junction];
	bool left = o->plan->left;
	const struct map_side *own = left ? &j->map->left : &j->map->right,
			      *other = left ? &j->map->right : &j->map->left;
	o->owner = column_new_id(c, left ? &j->left_type : &j->right_type, left ? j->left_rule : j->right_rule,
				 c->collection->map->uuid_order, true, o->table, own->column, "_id",
				 c->collection->id_accept, &c->scratch);
	o->element = column_new_id(c, left ? &j->right_type : &j->left_type, left ? j->right_rule : j->left_rule,
				   order_of(c, other->collection), false, o->table, other->column, scope->path_text,
				   own->accept, &o->rows);
	o->scalar_array = (own->accept & MAP_ACCEPT_SCALAR_ARRAY) != 0;
}

static void build_columns(struct conv *c, struct output *o)
{
	o->ncolumns = o->plan->ncolumns;
	o->columns = arena_alloc(c->arena, o->ncolumns * sizeof *o->columns);
	for (size_t i = 0; i < o->ncolumns; i++) {
		column_init(c, &o->columns[i], &o->plan->columns[i], o->table, &o->rows);
		c->needs_id |= o->columns[i].feed == PLAN_FEED_ID;
	}
}

/* The document's key as a child table's parent column wants it. */
static void build_owner(struct conv *c, struct output *o)
{
	for (size_t i = 0; i < o->ncolumns; i++) {
		const struct column *col = &o->columns[i];
		if (col->feed == PLAN_FEED_PARENT)
			o->owner = column_new_id(c, &col->type, c->collection->id_rule,
						 c->collection->map->uuid_order, true, o->table, col->name, "_id",
						 c->collection->id_accept, &c->scratch);
	}
}

/* An entry of a B-tree is a third of a page at most, 2,704 bytes, shared by the key's columns. What compresses well
 * could be longer; whether a document goes in shall not depend on that. */
#define KEY_BYTES 2600

static bool is_long(const struct pgtype *t)
{
	switch (t->base) {
	case PGT_TEXT:
	case PGT_VARCHAR:
	case PGT_CHAR:
	case PGT_CITEXT:
	case PGT_BYTEA:
	case PGT_JSONB:
		return true;
	default:
		return t->dims > 0;
	}
}

static void set_key_limits(const struct conv *c, struct output *o)
{
	const struct schema_table *t = &c->plan->schema.tables[o->plan->copy.table];
	size_t nlong = 0;
	for (size_t k = 0; k < t->nprimary_key; k++)
		nlong += is_long(&t->columns[t->primary_key[k]].type);
	for (size_t k = 0; k < t->nprimary_key; k++)
		for (size_t i = 0; i < o->ncolumns; i++)
			if (o->plan->copy.columns[i] == t->primary_key[k] && is_long(&o->columns[i].type))
				o->columns[i].key_limit = KEY_BYTES / nlong;
}

static void find_key_column(const struct conv *c, struct output *o)
{
	const struct schema_table *t = &c->plan->schema.tables[o->plan->copy.table];
	o->key_column = -1;
	for (size_t i = 0; t->nprimary_key == 1 && i < o->plan->copy.ncolumns; i++)
		if (o->plan->copy.columns[i] == t->primary_key[0])
			o->key_column = (int)i;
}

/* The output whose rows a nested child's rows hang on. */
static int output_above(const struct conv *c, const struct output *o)
{
	int parent = c->collection->scopes[o->plan->scope].parent;
	int table = c->plan->schema.tables[o->plan->copy.table].parent_table;
	if (o->plan->kind != PLAN_OUTPUT_CHILD || parent <= 0)
		return -1;
	const struct plan_scope *above = &c->collection->scopes[parent];
	for (size_t i = 0; i < above->noutputs; i++)
		if (c->collection->outputs[above->outputs[i]].copy.table == table)
			return above->outputs[i];
	return -1;
}

static void build_output(struct conv *c, size_t i)
{
	struct output *o = &c->outputs[i];
	o->plan = &c->collection->outputs[i];
	o->table = c->plan->schema.tables[o->plan->copy.table].name;
	o->above = output_above(c, o);
	rowbuf_init(&o->rows);
	if (o->plan->kind == PLAN_OUTPUT_PAIRS) {
		build_pairs(c, o, &c->collection->scopes[o->plan->scope]);
	} else {
		build_columns(c, o);
		find_key_column(c, o);
		set_key_limits(c, o);
	}
	if (o->plan->kind == PLAN_OUTPUT_CHILD)
		build_owner(c, o);
	c->needs_id |= o->plan->kind != PLAN_OUTPUT_MAIN;
	o->elements = (struct counter){.kind = LEDGER_ELEMENTS,
				       .object = o->table,
				       .path = c->collection->name,
				       .path_len = strlen(c->collection->name)};
	o->twice = (struct counter){.kind = LEDGER_DUPLICATE_KEYS,
				    .object = o->table,
				    .path = c->collection->scopes[o->plan->scope].path_text,
				    .path_len = strlen(c->collection->scopes[o->plan->scope].path_text)};
	o->refuses_unmapped = o->plan->unmapped == MAP_UNMAPPED_REJECT;
	o->of_rejected = o->elements;
	o->of_rejected.kind = LEDGER_ELEMENT_REJECTED_DOC;
}

/* --- scopes --- */

static void build_scope(struct conv *c, int i)
{
	struct scope *sc = &c->scopes[i];
	sc->plan = &c->collection->scopes[i];
	sc->nslots = (size_t)sc->plan->nslots;
	sc->slots = arena_alloc(c->arena, (sc->nslots + 1) * sizeof *sc->slots);
	sc->outputs = sc->plan->outputs;
	sc->noutputs = sc->plan->noutputs;
	node_compile(c, &sc->root, sc->plan->root, sc->plan->path_text != NULL && i > 0 ? sc->plan->path_text : "",
		     sc->plan->element_slot >= 0);
	sc->inner = arena_alloc(c->arena, c->nscopes * sizeof *sc->inner);
	for (size_t k = 1; k < c->nscopes; k++)
		if (c->collection->scopes[k].parent == i)
			sc->inner[sc->ninner++] = (int)k;
	for (size_t k = 0; k < sc->noutputs; k++) {
		enum map_unmapped how = c->collection->outputs[sc->outputs[k]].unmapped;
		sc->keeps |= how == MAP_UNMAPPED_KEEP;
		sc->refuses |= how == MAP_UNMAPPED_REJECT;
	}
}

static struct conv *compile(const struct plan *p, int collection, struct ledger *ledger, int server_version)
{
	struct conv *c = mem_zalloc(sizeof *c);
	c->plan = p;
	c->collection = &p->collections[collection];
	c->arena = arena_new();
	c->ledger = ledger;
	c->server_version = server_version;
	rowbuf_init(&c->scratch);
	rowbuf_init(&c->key_row);
	struct buf *bufs[] = {&c->text, &c->folded, &c->key_text, &c->path_text, &c->leftover};
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_init(bufs[i], 0);
	c->nscopes = c->collection->nscopes;
	c->scopes = arena_alloc(c->arena, c->nscopes * sizeof *c->scopes);
	for (size_t i = 0; i < c->nscopes; i++)
		build_scope(c, (int)i);
	c->slots = c->scopes[0].slots;
	c->id = &c->slots[c->collection->id_slot >= 0 ? (size_t)c->collection->id_slot : c->scopes[0].nslots];
	c->noutputs = c->collection->noutputs;
	c->outputs = arena_alloc(c->arena, c->noutputs * sizeof *c->outputs);
	for (size_t i = 0; i < c->noutputs; i++)
		build_output(c, i);
	c->key = column_new_id(c, &c->collection->key_type, c->collection->id_rule, c->collection->map->uuid_order,
			       true, c->outputs[0].table, "_id", "_id", c->collection->id_accept, &c->key_row);
	c->id_mapped = (struct counter){.kind = LEDGER_ID_MAPPED, .object = c->collection->name, .path = ""};
	c->unmapped_other = (struct counter){
		.kind = LEDGER_UNMAPPED, .object = c->collection->name, .path = "(other)", .path_len = 7};
	c->kept_other = c->unmapped_other;
	c->kept_other.kind = LEDGER_KEPT;
	return c;
}

struct conv *conv_new(const struct plan *p, int collection, struct ledger *ledger)
{
	return compile(p, collection, ledger, CONV_NEWEST_SERVER);
}

#define KEEP_BYTES ((size_t)1 << 20)

void conv_trim(struct conv *c)
{
	struct buf *bufs[] = {&c->text,     &c->folded,      &c->key_text,   &c->path_text,
			      &c->leftover, &c->scratch.buf, &c->key_row.buf};
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_trim(bufs[i], KEEP_BYTES);
	c->has_key_text = false;
}

void conv_free(struct conv *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->noutputs; i++)
		rowbuf_free(&c->outputs[i].rows);
	rowbuf_free(&c->scratch);
	rowbuf_free(&c->key_row);
	buf_free(&c->text);
	buf_free(&c->folded);
	buf_free(&c->key_text);
	buf_free(&c->path_text);
	buf_free(&c->leftover);
	free(c->twice);
	free(c->aside);
	free(c->notes);
	free(c->log);
	free(c->touched);
	arena_free(c->arena);
	free(c);
}

void conv_set_server_version(struct conv *c, int version)
{
	c->server_version = version;
}

/* --- literals that are no value of their column's type --- */

struct check {
	const struct mapping *m;
	struct buf *report;
	bool ok;
};

static void check_chain(struct check *k, const struct column *col, const struct plan_column *pc,
			const struct plan_value *pv, const struct choice *ch, const char *policy)
{
	for (; ch != NULL; ch = ch->otherwise, pv = pv->otherwise) {
		if (ch->kind != MAP_VALUE_LITERAL || ch->field != NULL)
			continue;
		if (pc->map != NULL)
			buf_printf(k->report, "%s:%d:%d: ", k->m->file, pc->map->line, pc->map->col);
		buf_printf(k->report, "%s: \"", policy);
		text_escape(k->report, pv->literal, strlen(pv->literal));
		buf_printf(k->report, "\" is no value of column \"%s\" of type ", col->name);
		pgtype_sql(k->report, &col->type, NULL);
		buf_putc(k->report, '\n');
		k->ok = false;
	}
}

static void check_output(struct check *k, const struct output *o)
{
	for (size_t i = 0; i < o->ncolumns; i++) {
		const struct column *col = &o->columns[i];
		const struct plan_column *pc = &o->plan->columns[i];
		check_chain(k, col, pc, &pc->if_missing, col->if_missing, "if_missing");
		check_chain(k, col, pc, &pc->if_null, col->if_null, "if_null");
		check_chain(k, col, pc, &pc->if_invalid, col->if_invalid, "if_invalid");
	}
}

bool conv_check(const struct plan *p, int server_version, struct buf *report)
{
	struct check k = {p->mapping, report, true};
	struct ledger *ledger = ledger_new();
	for (size_t i = 0; i < p->ncollections; i++) {
		struct conv *c = compile(p, (int)i, ledger, server_version);
		for (size_t o = 0; o < c->noutputs; o++)
			check_output(&k, &c->outputs[o]);
		conv_free(c);
	}
	ledger_free(ledger);
	return k.ok;
}
