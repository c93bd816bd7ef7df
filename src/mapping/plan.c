/* plan.c - compiles a mapping: schema, trees of paths, outputs.
 *
 * The schema's builder does all the checking; what comes after it cannot fail.
 */
#include "map_private.h"
#include "plan_private.h"

struct plan_builder {
	struct plan *p;
	struct arena *arena;
	const struct mapping *m;
	struct plan_collection *k; /* the one in hand                  */
	struct tree *trees;        /* one for each of its scopes        */
};

/* ---- columns ---- */

static struct plan_value compile_value(struct plan_builder *b, int scope, const struct map_value *v)
{
	struct plan_value pv = {.kind = v->kind, .literal = v->literal, .slot = -1};
	if (v->kind == MAP_VALUE_PATH)
		pv.slot = tree_slot(&b->trees[scope], v->path, v->npath);
	if (v->otherwise != NULL) {
		struct plan_value *next = arena_alloc(b->arena, sizeof *next);
		*next = compile_value(b, scope, v->otherwise);
		pv.otherwise = next;
	}
	return pv;
}

static int element_slot(struct plan_builder *b, int scope)
{
	struct plan_scope *s = &b->k->scopes[scope];
	if (s->element_slot < 0)
		s->element_slot = b->trees[scope].nslots++;
	return s->element_slot;
}

static const char *column_path(struct plan_builder *b, int scope, const struct map_column *col)
{
	const char *own = map_path_text(b->arena, col->from, col->nfrom);
	if (scope == 0)
		return own;
	const char *above = b->k->scopes[scope].path_text;
	return col->nfrom == 0 ? above : arena_printf(b->arena, "%s.%s", above, own);
}

static void compile_column(struct plan_builder *b, struct plan_column *pc, int scope, const struct map_column *col)
{
	int referred = map_referred_collection(b->m, &col->references);
	pc->map = col;
	pc->path_text = column_path(b, scope, col);
	pc->feed = scope == 0 && map_is_key_column(b->k->map, col) ? PLAN_FEED_ID : PLAN_FEED_SLOT;
	pc->slot = col->nfrom == 0 ? element_slot(b, scope) : tree_slot(&b->trees[scope], col->from, col->nfrom);
	pc->is_reference = referred >= 0;
	pc->id_rule = referred >= 0 ? b->m->collections[referred].id : b->k->id_rule;
	pc->uuid_order = pc->feed == PLAN_FEED_ID ? b->k->map->uuid_order
			 : referred >= 0 && (col->given & MAP_GIVEN_UUID_ORDER) == 0
				 ? b->m->collections[referred].uuid_order
				 : col->uuid_order;
	pc->if_missing = compile_value(b, scope, &col->if_missing);
	pc->if_null = compile_value(b, scope, &col->if_null);
	pc->if_invalid = compile_value(b, scope, &col->if_invalid);
}

static void compile_constant(struct plan_column *pc, const struct map_column *col)
{
	pc->map = col;
	pc->feed = PLAN_FEED_VALUE;
	pc->if_missing = (struct plan_value){.kind = MAP_VALUE_LITERAL, .literal = col->value, .slot = -1};
}

/* ---- outputs ---- */

struct columns {
	struct plan_column *list;
	int *indexes;
	size_t n;
};

static struct plan_column *add_column(struct plan_builder *b, struct columns *c, int table, const char *name)
{
	const struct schema_table *t = &b->p->schema.tables[table];
	int at = schema_find_column(t, name);
	c->indexes[c->n] = at;
	struct plan_column *pc = &c->list[c->n++];
	*pc = (struct plan_column){.column = &t->columns[at],
				   .slot = -1,
				   .id_rule = b->k->id_rule,
				   .uuid_order = b->k->map->uuid_order,
				   .path_text = ""};
	return pc;
}

static struct plan_output *add_output(struct plan_builder *b, enum plan_output_kind kind, int table, int scope)
{
	struct plan_output *o = &b->k->outputs[b->k->noutputs];
	struct plan_scope *s = &b->k->scopes[scope];
	s->outputs[s->noutputs++] = (int)b->k->noutputs++;
	*o = (struct plan_output){.kind = kind, .copy = {.table = table, .junction = -1}, .scope = scope};
	return o;
}

static void set_columns(struct plan_output *o, const struct columns *c)
{
	o->columns = c->list;
	o->ncolumns = o->copy.ncolumns = c->n;
	o->copy.columns = c->indexes;
}

static struct columns room_for(struct plan_builder *b, size_t n)
{
	return (struct columns){arena_alloc(b->arena, (n + 4) * sizeof(struct plan_column)),
				arena_alloc(b->arena, (n + 4) * sizeof(int)), 0};
}

static void compile_columns(struct plan_builder *b, struct columns *c, int table, int scope,
			    const struct map_column *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].value != NULL)
			compile_constant(add_column(b, c, table, list[i].name), &list[i]);
		else if (!list[i].no_source)
			compile_column(b, add_column(b, c, table, list[i].name), scope, &list[i]);
}

static void add_leftover(struct plan_builder *b, struct plan_output *o, struct columns *c,
			 const struct map_leftover *unmapped, unsigned given)
{
	o->unmapped = unmapped->how;
	o->unmapped_here = (given & MAP_GIVEN_UNMAPPED) != 0;
	if (unmapped->how == MAP_UNMAPPED_KEEP)
		add_column(b, c, o->copy.table, unmapped->column)->feed = PLAN_FEED_UNMAPPED;
}

static void compile_main(struct plan_builder *b)
{
	const struct map_collection *k = b->k->map;
	int table = schema_find_table(&b->p->schema, k->table);
	struct plan_output *o = add_output(b, PLAN_OUTPUT_MAIN, table, 0);
	struct columns c = room_for(b, k->ncolumns);
	compile_columns(b, &c, table, 0, k->columns, k->ncolumns);
	add_leftover(b, o, &c, &k->unmapped, k->given);
	set_columns(o, &c);
}

/* ---- scopes ---- */

static int add_scope(struct plan_builder *b, int parent, const char *const *path, size_t n, size_t max_outputs)
{
	struct plan_node *node = tree_node(&b->trees[parent], path, n);
	if (node->scope >= 0)
		return node->scope;
	int at = (int)b->k->nscopes++;
	struct plan_scope *s = &b->k->scopes[at];
	const char *own = map_path_text(b->arena, path, n);
	node->scope = at;
	tree_init(&b->trees[at], b->arena);
	/* A slot of its own, beside that of a column which takes the whole array. */
	*s = (struct plan_scope){
		.parent = parent,
		.element_slot = -1,
		.slot = b->trees[parent].nslots++,
		.path_text = parent == 0 ? own : arena_printf(b->arena, "%s.%s", b->k->scopes[parent].path_text, own),
		.outputs = arena_alloc(b->arena, (max_outputs + 1) * sizeof(int))};
	return at;
}

static void add_made_key(struct plan_builder *b, struct columns *c, int table, const struct map_child *ch)
{
	struct plan_column *pc = add_column(b, c, table, ch->key);
	pc->feed = PLAN_FEED_ROW_KEY;
	pc->child = ch;
}

static void compile_children(struct plan_builder *b, int scope, const struct map_child *list, size_t n, size_t most)
{
	for (size_t i = 0; i < n; i++) {
		const struct map_child *ch = &list[i];
		int inner = add_scope(b, scope, ch->from, ch->nfrom, most);
		int table = schema_find_table(&b->p->schema, ch->table);
		struct plan_output *o = add_output(b, PLAN_OUTPUT_CHILD, table, inner);
		struct columns c = room_for(b, ch->ncolumns);
		struct plan_column *parent = add_column(b, &c, table, ch->parent);
		parent->feed = PLAN_FEED_PARENT;
		parent->path_text = "_id";
		if (ch->ordinal != NULL)
			add_column(b, &c, table, ch->ordinal)->feed = PLAN_FEED_ORDINAL;
		if (ch->key != NULL)
			add_made_key(b, &c, table, ch);
		compile_columns(b, &c, table, inner, ch->columns, ch->ncolumns);
		add_leftover(b, o, &c, &ch->unmapped, ch->given);
		set_columns(o, &c);
		compile_children(b, inner, ch->children, ch->nchildren, most);
	}
}

static void compile_pairs(struct plan_builder *b, size_t junction, bool left, size_t most)
{
	const struct map_junction *j = b->p->junctions[junction].map;
	const struct map_side *s = left ? &j->left : &j->right;
	static const int both[] = {0, 1};
	if (s->npath == 0 || strcmp(s->collection, b->k->name) != 0)
		return;
	int scope = add_scope(b, 0, s->path, s->npath, most);
	element_slot(b, scope);
	struct plan_output *o = add_output(b, PLAN_OUTPUT_PAIRS, b->p->schema.junctions[junction].table, scope);
	o->copy.junction = (int)junction;
	o->copy.columns = both;
	o->copy.ncolumns = 2;
	o->left = left;
}

static size_t count_children(const struct map_child *list, size_t n)
{
	size_t total = n;
	for (size_t i = 0; i < n; i++)
		total += count_children(list[i].children, list[i].nchildren);
	return total;
}

static struct pgtype key_type_of(const struct map_collection *k)
{
	const struct map_column *key = key_column(k);
	struct pgtype t = {.base = k->id == MAP_ID_TEXT || k->id == MAP_ID_NATIVE ? PGT_TEXT
				   : k->id == MAP_ID_BYTEA                        ? PGT_BYTEA
										  : PGT_UUID,
			   .length = -1,
			   .precision = -1,
			   .enum_index = -1};
	t.oid = pgt_oid(t.base);
	return key != NULL ? key->type : t;
}

static void compile_collection(struct plan_builder *b, const struct map_collection *k)
{
	const char *const id[] = {"_id"};
	size_t most = 1 + count_children(k->children, k->nchildren) + 2 * b->p->njunctions;
	struct plan_collection *pk = b->k;
	const struct map_column *key = key_column(k);
	*pk = (struct plan_collection){.map = k,
				       .name = k->name,
				       .source = k->source,
				       .scopes = arena_alloc(b->arena, most * sizeof *pk->scopes),
				       .nscopes = 1,
				       .outputs = arena_alloc(b->arena, most * sizeof *pk->outputs),
				       .id_rule = k->id,
				       .id_accept = key != NULL ? key->accept : 0,
				       .key_type = key_type_of(k)};
	b->trees = arena_alloc(b->arena, most * sizeof *b->trees);
	tree_init(&b->trees[0], b->arena);
	pk->scopes[0] = (struct plan_scope){.parent = -1,
					    .element_slot = -1,
					    .slot = -1,
					    .path_text = "",
					    .outputs = arena_alloc(b->arena, sizeof(int))};
	pk->id_slot = tree_slot(&b->trees[0], id, 1);
	compile_main(b);
	compile_children(b, 0, k->children, k->nchildren, most);
	for (size_t i = 0; i < b->p->njunctions; i++) {
		compile_pairs(b, i, true, most);
		compile_pairs(b, i, false, most);
	}
	for (size_t i = 0; i < pk->nscopes; i++) {
		pk->scopes[i].root = b->trees[i].root;
		pk->scopes[i].nslots = b->trees[i].nslots;
	}
}

static int side_collection(struct plan_builder *b, const struct map_side *s)
{
	return s->npath > 0 ? plan_find_collection(b->p, s->collection) : -1;
}

static void compile_junction(struct plan_builder *b, size_t i)
{
	const struct map_junction *j = b->p->junctions[i].map;
	const struct schema_junction *sj = &b->p->schema.junctions[i];
	const struct schema_table *t = &b->p->schema.tables[sj->table];
	int left = find_collection(b->m, j->left.collection), right = find_collection(b->m, j->right.collection);
	b->p->junctions[i] = (struct plan_junction){.map = j,
						    .left_collection = side_collection(b, &j->left),
						    .right_collection = side_collection(b, &j->right),
						    .left_type = t->columns[sj->left_column].type,
						    .right_type = t->columns[sj->right_column].type,
						    .left_rule = b->m->collections[left].id,
						    .right_rule = b->m->collections[right].id};
}

static const struct map_junction *find_junction(const struct mapping *m, const char *table)
{
	size_t i = 0;
	while (i + 1 < m->njunctions && strcmp(m->junctions[i].table, table) != 0)
		i++;
	return &m->junctions[i];
}

/* Which collections `left_out` names, one a line; the plan gets the list. */
static const bool *read_left_out(struct plan *p, const struct mapping *m, const char *left_out)
{
	bool *out = arena_alloc(p->arena, m->ncollections + 1);
	for (size_t i = 0; left_out != NULL && i < m->ncollections; i++) {
		out[i] = plan_is_listed(left_out, m->collections[i].name);
		if (out[i])
			add_plan_name(p->arena, &p->left_out, m->collections[i].name);
	}
	return out;
}

static void compile(struct plan_builder *b, const bool *out)
{
	struct plan *p = b->p;
	for (size_t i = 0; i < b->m->ncollections; i++) {
		if (out[i])
			continue;
		b->k = &p->collections[p->ncollections++];
		compile_collection(b, &b->m->collections[i]);
	}
	for (size_t i = 0; i < p->njunctions; i++)
		compile_junction(b, i);
}

static const char *warnings_text(struct arena *a, struct complaints *warnings)
{
	_cleanup_(buf_free) struct buf text = {0};
	complaints_warn(warnings, &text);
	return arena_strdup(a, buf_cstr(&text));
}

bool plan_build_part(struct plan **res, const struct mapping *m, const char *left_out, struct buf *report,
		     struct err *err)
{
	struct arena *a = arena_new();
	struct plan *p = arena_alloc(a, sizeof *p);
	struct complaints warnings = {.arena = a, .file = m->file};
	struct complaints c = {.arena = a, .file = m->file, .warnings = &warnings};
	struct plan_builder b = {.p = p, .arena = a, .m = m};
	p->arena = a;
	p->mapping = m;
	const bool *out = read_left_out(p, m, left_out);
	struct map_part part = {out, &p->left_keys, &p->left_junctions};
	map_schema_build(&p->schema, a, m, p->left_out.n > 0 ? &part : NULL, &c);
	if (!complaints_finish(&c, "docs/mapping.md describes every key", report, err)) {
		arena_free(a);
		return false;
	}
	p->warnings = warnings_text(a, &warnings);
	p->collections = arena_alloc(a, (m->ncollections + 1) * sizeof *p->collections);
	p->njunctions = p->schema.njunctions;
	p->junctions = arena_alloc(a, (p->njunctions + 1) * sizeof *p->junctions);
	for (size_t i = 0; i < p->njunctions; i++)
		p->junctions[i].map = find_junction(m, p->schema.tables[p->schema.junctions[i].table].name);
	compile(&b, out);
	*res = p;
	return true;
}

bool plan_build(struct plan **out, const struct mapping *m, struct buf *report, struct err *err)
{
	return plan_build_part(out, m, NULL, report, err);
}

void plan_use_schema(struct plan *p, const char *name)
{
	if (name != NULL)
		p->schema.name = arena_strdup(p->arena, name);
}

static void adapt_junction(struct plan *p, size_t i)
{
	const struct schema_junction *j = &p->schema.junctions[i];
	const struct schema_table *t = &p->schema.tables[j->table];
	p->junctions[i].left_type = t->columns[j->left_column].type;
	p->junctions[i].right_type = t->columns[j->right_column].type;
}

void plan_adapt(struct plan *p)
{
	for (size_t i = 0; i < p->ncollections; i++) {
		struct plan_collection *k = &p->collections[i];
		const struct map_column *key = key_column(k->map);
		const struct schema_table *t = &p->schema.tables[k->outputs[0].copy.table];
		int at = key != NULL ? schema_find_column(t, key->name) : -1;
		if (at >= 0)
			k->key_type = t->columns[at].type;
	}
	for (size_t i = 0; i < p->njunctions; i++)
		adapt_junction(p, i);
}

void plan_free(struct plan *p)
{
	if (p != NULL)
		arena_free(p->arena);
}

int plan_find_collection(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->ncollections; i++)
		if (strcmp(p->collections[i].name, name) == 0)
			return (int)i;
	return -1;
}

size_t plan_parts(const struct plan *p, size_t collection, const char **names)
{
	const char *source = p->collections[collection].source;
	bool has_where = false;
	size_t n = 0;
	for (size_t i = 0; i < p->ncollections; i++) {
		if (strcmp(p->collections[i].source, source) != 0)
			continue;
		if (i < collection)
			return 0;
		has_where |= p->collections[i].map->where != NULL;
		if (names != NULL)
			names[n] = p->collections[i].name;
		n++;
	}
	return has_where ? n : 0;
}
