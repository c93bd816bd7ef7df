/* model.c - plan → model: per collection the tree of fields that feed its columns.
 *
 * Order: nodes for arrays first (child tables, link lists), then columns; a column whose path is taken already is
 * left out, since the field can only have one shape. Then references, unique indexes, and what can be spoilt.
 */
#include "synth_private.h"

/* Stable across machines and versions, unlike hash64: names decide what the documents look like. */
static uint64_t hash_text(uint64_t seed, const char *text)
{
	uint64_t h = seed ^ UINT64_C(0xCBF29CE484222325);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
	return mix(h);
}

static int collection_named(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->ncolls; i++)
		if (name && strcmp(m->colls[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int collection_of_table(const struct model *m, const char *table)
{
	const struct mapping *map = m->plan->mapping;

	for (size_t i = 0; i < map->ncollections; i++)
		if (table && strcmp(map->collections[i].table, table) == 0)
			return (int)i;
	return -1;
}

/* The tree. */

static struct node *add_node(struct model *m, const struct coll *c, struct node *parent, const char *key)
{
	struct node *n = arena_alloc(m->arena, sizeof *n), **children;

	n->kind = NODE_LEAF;
	n->key = key;
	n->key_len = (uint32_t)strlen(key);
	n->path = parent->path[0] ? arena_printf(m->arena, "%s.%s", parent->path, key) : key;
	n->salt = hash_text(c->salt, n->path);
	n->around = parent->kind == NODE_ARRAY ? parent : parent->around;
	if (parent->nchildren == parent->cap) {
		parent->cap = parent->cap ? 2 * parent->cap : 8;
		children = arena_alloc(m->arena, parent->cap * sizeof(struct node *));
		if (parent->nchildren > 0)
			memcpy(children, parent->children, parent->nchildren * sizeof(struct node *));
		parent->children = children;
	}
	parent->children[parent->nchildren++] = n;
	return n;
}

static struct node *child_named(const struct node *parent, const char *key)
{
	for (size_t i = 0; i < parent->nchildren; i++)
		if (strcmp(parent->children[i]->key, key) == 0)
			return parent->children[i];
	return NULL;
}

/* The node at the path, made if need be; NULL where something of another shape is in the way. */
static struct node *make_path(struct model *m, struct coll *c, struct node *parent, const char **path, size_t n)
{
	struct node *node = NULL;

	for (size_t i = 0; i < n; i++) {
		bool is_new = false;
		node = child_named(parent, path[i]);
		if (!node) {
			node = add_node(m, c, parent, path[i]);
			is_new = true;
		}
		if (i + 1 == n)
			return is_new || (node->kind == NODE_LEAF && !node->leaf) ? node : NULL;
		/* A field that is a column of its own becomes a sub-document when parts of it are columns, too. */
		if (node->kind != NODE_LEAF && node->kind != NODE_DOCUMENT)
			return NULL;
		node->kind = NODE_DOCUMENT;
		node->leaf = NULL;
		parent = node;
	}
	return node;
}

/* Leaves. */

static const enum value_kind kinds[PGT_COUNT] = {
	[PGT_BOOL] = VALUE_BOOL,         [PGT_INT2] = VALUE_INTEGER,      [PGT_INT4] = VALUE_INTEGER,
	[PGT_INT8] = VALUE_INTEGER,      [PGT_FLOAT4] = VALUE_FLOAT,      [PGT_FLOAT8] = VALUE_FLOAT,
	[PGT_NUMERIC] = VALUE_NUMERIC,   [PGT_TEXT] = VALUE_TEXT,         [PGT_VARCHAR] = VALUE_TEXT,
	[PGT_CHAR] = VALUE_TEXT,         [PGT_NAME] = VALUE_TEXT,         [PGT_CITEXT] = VALUE_TEXT,
	[PGT_UUID] = VALUE_ID,           [PGT_BYTEA] = VALUE_BYTES,       [PGT_DATE] = VALUE_DAY,
	[PGT_TIME] = VALUE_TIME,         [PGT_TIMESTAMP] = VALUE_INSTANT, [PGT_TIMESTAMPTZ] = VALUE_INSTANT,
	[PGT_INTERVAL] = VALUE_INTERVAL, [PGT_JSON] = VALUE_JSON,         [PGT_JSONB] = VALUE_JSON,
	[PGT_INET] = VALUE_INET,         [PGT_VECTOR] = VALUE_VECTOR,     [PGT_ENUM] = VALUE_LABEL,
};

/* The enum's labels and the texts that the mapping turns into labels. */
static void take_labels(struct model *m, struct leaf *l)
{
	const struct mapping *map = m->plan->mapping;
	const struct schema_enum *e = NULL;
	const char **labels;

	for (size_t i = 0; i < map->nenums; i++)
		if (strcmp(map->enums[i].name, l->map->type.enum_name) == 0)
			e = &map->enums[i];
	labels = arena_alloc(m->arena, ((e ? e->nlabels : 0) + l->map->nlabels + 1) * sizeof *labels);
	for (size_t i = 0; e && i < e->nlabels; i++)
		labels[l->nlabels++] = e->labels[i];
	for (size_t i = 0; i < l->map->nlabels; i++)
		labels[l->nlabels++] = l->map->labels[i].from;
	l->labels = labels;
}

static bool fills_missing(const struct map_column *col)
{
	return col->if_missing.kind != MAP_VALUE_UNSET && col->if_missing.kind != MAP_VALUE_REJECT;
}

static struct leaf *make_leaf(struct model *m, const struct node *node, const struct map_column *col)
{
	struct leaf *l = arena_alloc(m->arena, sizeof *l);

	l->map = col;
	l->path = node->path;
	l->kind = kinds[col->type.base];
	l->id_rule = m->plan->mapping->id;
	l->style = text_style_of(col->name);
	l->salt = node->salt;
	l->required = col->not_null || col->primary_key || col->if_missing.kind == MAP_VALUE_REJECT ||
		      col->if_null.kind == MAP_VALUE_REJECT;
	l->may_miss = l->required && fills_missing(col);
	l->target = collection_of_table(m, col->references.table);
	l->other_target = -1;
	l->array = node->kind == NODE_ARRAY ? node : node->around;
	l->last = UINT64_MAX;
	if (l->target >= 0)
		l->kind = VALUE_ID;
	if (l->kind == VALUE_LABEL)
		take_labels(m, l);
	if (l->kind == VALUE_LABEL && l->nlabels == 0)
		l->kind = VALUE_TEXT;
	return l;
}

static void add_columns(struct model *m, struct coll *c, struct node *root, const struct map_column *columns,
			size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct map_column *col = &columns[i];
		struct node *node;
		if (col->no_source || col->type.base >= PGT_COUNT || (col->is_id && root == c->root))
			continue;
		if (col->nfrom == 0) { /* the element itself */
			if (root->kind == NODE_ARRAY && !root->leaf)
				root->leaf = make_leaf(m, root, col);
			continue;
		}
		if (root == c->root && strcmp(col->from[0], "_id") == 0)
			node = make_path(m, c, c->id_node, col->from + 1, col->nfrom - 1);
		else
			node = make_path(m, c, root, col->from, col->nfrom);
		if (node)
			node->leaf = make_leaf(m, node, col);
	}
}

static void add_children(struct model *m, struct coll *c, struct node *root, const struct map_child *children,
			 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct node *node = make_path(m, c, root, children[i].from, children[i].nfrom);
		if (!node)
			continue;
		node->kind = NODE_ARRAY;
		add_children(m, c, node, children[i].children, children[i].nchildren);
		add_columns(m, c, node, children[i].columns, children[i].ncolumns);
	}
}

static void add_side(struct model *m, int junction, const struct map_side *side, bool left)
{
	int index = collection_named(m, side->collection);
	struct coll *c = index >= 0 ? &m->colls[index] : NULL;
	struct node *node = c && side->path ? make_path(m, c, c->root, side->path, side->npath) : NULL;

	if (!node)
		return;
	node->kind = NODE_PAIRS;
	node->junction = junction;
	node->left = left;
	node->accept = side->accept;
}

/* Ids. */

static const struct map_column *id_column(const struct map_collection *map)
{
	for (size_t i = 0; i < map->ncolumns; i++)
		if (map->columns[i].is_id)
			return &map->columns[i];
	return NULL;
}

static enum id_kind native_id(const struct map_column *col)
{
	static const enum id_kind by_value[] = {
		[VALUE_INTEGER] = ID_NUMBER, [VALUE_FLOAT] = ID_NUMBER,  [VALUE_NUMERIC] = ID_NUMBER,
		[VALUE_TEXT] = ID_TEXT,      [VALUE_ID] = ID_UUID,       [VALUE_INSTANT] = ID_DATE,
		[VALUE_DAY] = ID_DATE,       [VALUE_JSON] = ID_DOCUMENT, [VALUE_VECTOR] = ID_OBJECTID};

	return col ? by_value[kinds[col->type.base]] : ID_OBJECTID;
}

static enum id_kind id_kind_of(const struct plan_collection *p)
{
	switch (p->id_rule) {
	case MAP_ID_STRING_UUID:
		return ID_UUID_TEXT;
	case MAP_ID_OBJECTID_STRING:
		return ID_HEX_TEXT;
	case MAP_ID_NATIVE:
		return native_id(id_column(p->map));
	default:
		return ID_OBJECTID;
	}
}

/* Collections. */

static void start_coll(struct model *m, size_t index, uint64_t docs)
{
	struct coll *c = &m->colls[index];
	uint64_t h;

	c->name = m->plan->collections[index].name;
	c->index = (int)index;
	c->docs = docs;
	c->salt = hash_text(mix(m->seed), c->name);
	h = mix(c->salt);
	memcpy(c->machine, &h, sizeof c->machine);
	c->first_ms = UINT64_C(1577836800000);             /* 2020-01-01 */
	c->last_ms = c->first_ms + UINT64_C(186000000000); /* not quite six years later */
	c->id_kind = id_kind_of(&m->plan->collections[index]);
	c->root = arena_alloc(m->arena, sizeof *c->root);
	c->root->kind = NODE_DOCUMENT;
	c->root->path = "";
	c->id_node = add_node(m, c, c->root, "_id");
	c->id_node->kind = NODE_ID;
}

static void add_fields(struct model *m, struct coll *c)
{
	const struct map_collection *map = m->plan->collections[c->index].map;

	add_children(m, c, c->root, map->children, map->nchildren);
	add_columns(m, c, c->root, map->columns, map->ncolumns);
	if (c->id_node->nchildren > 0)
		c->id_kind = ID_FIELDS;
}

/* References: what needs the leaves of all collections. */

static struct leaf *leaf_of(const struct node *node, const char *column)
{
	struct leaf *l;

	if (node->leaf && strcmp(node->leaf->map->name, column) == 0)
		return node->leaf;
	for (size_t i = 0; i < node->nchildren && node->kind != NODE_ARRAY; i++)
		if ((l = leaf_of(node->children[i], column)))
			return l;
	return NULL;
}

static void link_leaf(struct model *m, struct coll *c, struct leaf *l)
{
	const struct map_reference *ref = &l->map->references;
	struct leaf *other;

	if (l->target < 0)
		return;
	/* A reference to a column that is no key: values of that field, which must then be there. */
	other = ref->column ? leaf_of(m->colls[l->target].root, ref->column) : NULL;
	if (other) {
		other->required = true;
		other->may_miss = false;
		l->target_leaf = other;
	}
	other = ref->if_orphan == ORPHAN_MOVE_TO && ref->move_to ? leaf_of(c->root, ref->move_to) : NULL;
	if (other && other->target >= 0 && m->colls[other->target].docs > 0 && !l->array && !l->map->type.array) {
		l->other_target = other->target;
		other->mover = l;
	}
}

static void link_leaves(struct model *m, struct coll *c, struct node *node)
{
	if (node->leaf)
		link_leaf(m, c, node->leaf);
	for (size_t i = 0; i < node->nchildren; i++)
		link_leaves(m, c, node->children[i]);
}

static bool check_targets(const struct model *m, const struct coll *c, const struct node *node, struct err *err)
{
	const struct leaf *l = node->leaf;

	if (l && l->target >= 0 && l->required && m->colls[l->target].docs == 0 && c->docs > 0) {
		err_set(err, ERR_SETTING, "%s needs documents of %s to refer to", c->name, m->colls[l->target].name);
		err_detail(err, "%s.%s may not be empty, and %s gets no documents", c->name, l->path,
			   m->colls[l->target].name);
		return err_hint(err, "give %s at least one document", m->colls[l->target].name);
	}
	for (size_t i = 0; i < node->nchildren; i++)
		if (!check_targets(m, c, node->children[i], err))
			return false;
	return true;
}

/* Unique indexes. */

/* Kinds of which every number makes another value. */
static bool is_countable(const struct leaf *l)
{
	switch (l->kind) {
	case VALUE_INTEGER:
	case VALUE_FLOAT:
	case VALUE_NUMERIC:
	case VALUE_TEXT:
	case VALUE_BYTES:
	case VALUE_INSTANT:
	case VALUE_DAY:
		return !l->map->type.array;
	case VALUE_ID:
		return l->target < 0 && !l->map->type.array;
	default:
		return false;
	}
}

static uint64_t choices(const struct model *m, const struct leaf *l)
{
	if (l->map->type.array)
		return 0;
	if (l->kind == VALUE_ID && l->target >= 0 && !l->target_leaf)
		return m->colls[l->target].docs;
	if (l->kind == VALUE_LABEL)
		return l->nlabels;
	return l->kind == VALUE_BOOL ? 2 : 0;
}

/* One countable field is enough; else the number is written in digits, one a field, each with that field's choices.
 */
static void make_unique(const struct model *m, const struct unique_set *set)
{
	uint64_t product = 1;

	for (size_t i = 0; i < set->nleaves; i++)
		if (is_countable(set->leaves[i]) || set->leaves[i]->unique) {
			((struct leaf *)set->leaves[i])->unique = true;
			return;
		}
	for (size_t i = 0; i < set->nleaves; i++) {
		struct leaf *l = (struct leaf *)set->leaves[i];
		uint64_t n = choices(m, l);
		if (n == 0 || l->radix > 0)
			continue;
		l->radix = n;
		l->divisor = product;
		if (product <= UINT64_MAX / n)
			product *= n;
	}
	for (size_t i = 0; i < set->nleaves; i++)
		if (set->leaves[i]->radix > 0)
			((struct leaf *)set->leaves[i])->last = product;
}

static bool holds_name(const char *expression, const char *name)
{
	return expression && strstr(expression, name) != NULL;
}

static void add_set(struct model *m, struct coll *c, const struct node *root, const struct map_index *index)
{
	const struct map_collection *map = m->plan->collections[c->index].map;
	struct unique_set *set = &c->sets[c->nsets];
	struct leaf *l;

	set->leaves = arena_alloc(m->arena, (map->ncolumns + index->ncolumns) * sizeof *set->leaves);
	set->nleaves = 0;
	for (size_t i = 0; i < index->ncolumns; i++)
		if ((l = leaf_of(root, index->columns[i])))
			set->leaves[set->nleaves++] = l;
	for (size_t i = 0; i < map->ncolumns && index->expression; i++)
		if (holds_name(index->expression, map->columns[i].name) && (l = leaf_of(root, map->columns[i].name)))
			set->leaves[set->nleaves++] = l;
	if (set->nleaves == 0)
		return;
	for (size_t i = 0; i < set->nleaves; i++) {
		l = (struct leaf *)set->leaves[i];
		l->may_miss = false; /* what the mapping fills in would be the same everywhere */
		l->required = l->required || index->nulls_not_distinct;
	}
	make_unique(m, set);
	/* An index that also holds the key is kept by the key alone: nothing there can be a duplicate. */
	if (root == c->root && set->nleaves >= index->ncolumns)
		c->nsets++;
}

/* A primary key of other columns than _id is a unique index like any. */
static void add_primary_key(struct model *m, struct coll *c, const struct node *root,
			    const struct map_column *columns, size_t ncolumns)
{
	const char **names = arena_alloc(m->arena, (ncolumns + 1) * sizeof *names);
	struct map_index key = {.columns = names};

	for (size_t i = 0; i < ncolumns; i++) {
		if (columns[i].primary_key && columns[i].is_id)
			return;
		if (columns[i].primary_key)
			names[key.ncolumns++] = columns[i].name;
	}
	if (key.ncolumns > 0)
		add_set(m, c, root, &key);
}

static void add_child_sets(struct model *m, struct coll *c, const struct node *root, const struct map_child *child)
{
	struct node *node = NULL;

	for (size_t i = 0; i < child->nfrom; i++)
		node = child_named(node ? node : root, child->from[i]);
	if (!node || node->kind != NODE_ARRAY)
		return;
	/* leaf_of does not enter arrays, so it is handed their inside. */
	struct node inside = {.kind = NODE_DOCUMENT, .children = node->children, .nchildren = node->nchildren};
	add_primary_key(m, c, &inside, child->columns, child->ncolumns);
	for (size_t i = 0; i < child->nindexes; i++)
		if (child->indexes[i].unique)
			add_set(m, c, &inside, &child->indexes[i]);
	for (size_t i = 0; i < child->nchildren; i++)
		add_child_sets(m, c, node, &child->children[i]);
}

static void mark_indexed(const struct coll *c, const struct map_index *index)
{
	struct leaf *l;

	for (size_t i = 0; i < index->ncolumns; i++)
		if ((l = leaf_of(c->root, index->columns[i])))
			l->indexed = true;
}

static void add_sets(struct model *m, struct coll *c)
{
	const struct map_collection *map = m->plan->collections[c->index].map;

	c->sets = arena_alloc(m->arena, (map->nindexes + 2) * sizeof *c->sets);
	add_primary_key(m, c, c->root, map->columns, map->ncolumns);
	for (size_t i = 0; i < map->nindexes; i++) {
		mark_indexed(c, &map->indexes[i]);
		if (map->indexes[i].unique)
			add_set(m, c, c->root, &map->indexes[i]);
	}
	for (size_t i = 0; i < map->nchildren; i++)
		add_child_sets(m, c, c->root, &map->children[i]);
}

/* Junctions. */

static void add_junctions(struct model *m)
{
	const struct mapping *map = m->plan->mapping;

	m->njunctions = map->njunctions;
	m->junctions = arena_alloc(m->arena, (m->njunctions + 1) * sizeof *m->junctions);
	for (size_t i = 0; i < m->njunctions; i++) {
		const struct map_junction *j = &map->junctions[i];
		struct junction *out = &m->junctions[i];
		out->left = collection_named(m, j->left.collection);
		out->right = collection_named(m, j->right.collection);
		if (out->left < 0 || out->right < 0)
			continue;
		out->both_sides = j->left.path && j->right.path;
		pairing_make(&out->pairing, m->colls[out->left].docs, m->colls[out->right].docs,
			     out->left == out->right, hash_text(m->seed, j->table));
		add_side(m, (int)i, &j->left, true);
		add_side(m, (int)i, &j->right, false);
	}
}

bool model_make(struct model **out, const struct plan *p, const uint64_t *docs, uint64_t seed, double dirt,
		struct err *err)
{
	struct model *m = mem_zalloc(sizeof *m);
	bool ok = true;

	m->arena = arena_new();
	m->plan = p;
	m->seed = seed;
	m->dirt = dirt >= 1 ? UINT64_MAX : dirt > 0 ? (uint64_t)(dirt * 18446744073709551616.0) : 0;
	m->ncolls = p->ncollections;
	m->colls = arena_alloc(m->arena, (m->ncolls + 1) * sizeof *m->colls);
	for (size_t i = 0; i < m->ncolls; i++)
		start_coll(m, i, docs[i]);
	add_junctions(m);
	for (size_t i = 0; i < m->ncolls; i++)
		add_fields(m, &m->colls[i]);
	for (size_t i = 0; i < m->ncolls; i++)
		link_leaves(m, &m->colls[i], m->colls[i].root);
	for (size_t i = 0; i < m->ncolls; i++)
		add_sets(m, &m->colls[i]);
	for (size_t i = 0; i < m->ncolls; i++)
		gen_spots_find(m, &m->colls[i]);
	gen_force_faults(m, dirt);
	for (size_t i = 0; ok && i < m->ncolls; i++)
		ok = check_targets(m, &m->colls[i], m->colls[i].root, err);
	*out = m;
	return ok;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	arena_free(m->arena);
	free(m);
}
