/* map_settle.c - fills in what the YAML leaves to defaults: inherited policies, id rules, enum indexes, names.
 *
 * Runs once after map_read. What stands in a column wins over its collection's policies, those over the mapping's.
 */
#include "map_private.h"

/* Used where the mapping names no namespace of its own for UUIDv5 keys. Never to be changed. */
static const uint8_t default_namespace[16] = {0x6b, 0x1f, 0x0a, 0x94, 0x3c, 0x5e, 0x4d, 0x7a,
					      0x9f, 0x21, 0xd0, 0xc7, 0x20, 0x77, 0xe8, 0x05};

/* ---- owners of columns ---- */

struct owners {
	struct map_owner *list;
	size_t n;
	struct arena *arena;
	size_t cap;
};

static struct map_owner *add_owner(struct owners *o)
{
	if (o->n == o->cap) {
		size_t cap = o->cap == 0 ? 64 : o->cap * 2;
		struct map_owner *more = arena_alloc(o->arena, cap * sizeof *more);
		if (o->n > 0)
			memcpy(more, o->list, o->n * sizeof *more);
		o->list = more;
		o->cap = cap;
	}
	return &o->list[o->n++];
}

static void add_children(struct owners *o, const struct map_collection *k, const struct map_child *children, size_t n,
			 int parent)
{
	for (size_t i = 0; i < n; i++) {
		const struct map_child *ch = &children[i];
		int at = (int)o->n;
		*add_owner(o) = (struct map_owner){.collection = k,
						   .child = ch,
						   .table = ch->table,
						   .columns = ch->columns,
						   .ncolumns = ch->ncolumns,
						   .indexes = ch->indexes,
						   .nindexes = ch->nindexes,
						   .primary_key_name = ch->primary_key_name,
						   .line = ch->line,
						   .col = ch->col,
						   .parent = parent};
		add_children(o, k, ch->children, ch->nchildren, at);
	}
}

struct map_owner *map_owners(struct arena *a, const struct mapping *m, size_t *n)
{
	struct owners o = {.arena = a};
	for (size_t i = 0; i < m->ncollections; i++) {
		const struct map_collection *k = &m->collections[i];
		*add_owner(&o) = (struct map_owner){.collection = k,
						    .table = k->table,
						    .columns = k->columns,
						    .ncolumns = k->ncolumns,
						    .indexes = k->indexes,
						    .nindexes = k->nindexes,
						    .primary_key_name = k->primary_key_name,
						    .line = k->line,
						    .col = k->col,
						    .parent = -1};
	}
	for (size_t i = 0; i < m->ncollections; i++)
		add_children(&o, &m->collections[i], m->collections[i].children, m->collections[i].nchildren, (int)i);
	*n = o.n;
	return o.list;
}

/* ---- policies ---- */

#define INHERIT(bit, member)                                                                                         \
	do {                                                                                                         \
		if ((to->given & (bit)) == 0)                                                                        \
			to->member = p->member;                                                                      \
	} while (0)

static void merge_policies(struct map_policies *to, const struct map_policies *p)
{
	INHERIT(MAP_GIVEN_ACCEPT, accept);
	INHERIT(MAP_GIVEN_ENCODING, encoding);
	INHERIT(MAP_GIVEN_JSON, json);
	INHERIT(MAP_GIVEN_FOLD_CASE, fold_case);
	INHERIT(MAP_GIVEN_DUPLICATE_KEYS, duplicate_keys);
	INHERIT(MAP_GIVEN_UUID_ORDER, uuid_order);
	INHERIT(MAP_GIVEN_IF_ORPHAN, if_orphan);
	INHERIT(MAP_GIVEN_ON_DELETE, on_delete);
	INHERIT(MAP_GIVEN_ON_UPDATE, on_update);
	if (to->if_missing.kind == MAP_VALUE_UNSET)
		to->if_missing = p->if_missing;
	if (to->if_null.kind == MAP_VALUE_UNSET)
		to->if_null = p->if_null;
	if (to->if_invalid.kind == MAP_VALUE_UNSET)
		to->if_invalid = p->if_invalid;
	to->given |= p->given;
}

static void inherit_value(struct map_value *to, const struct map_value *p, bool nullable)
{
	if (to->kind == MAP_VALUE_UNSET && (p->kind == MAP_VALUE_REJECT || nullable))
		*to = *p;
}

static void settle_reference(struct map_reference *to, const struct map_policies *p, bool nullable)
{
	if ((to->given & MAP_GIVEN_ON_UPDATE) == 0 && to->constraint)
		to->on_update = p->on_update;
	if ((to->given & MAP_GIVEN_ON_DELETE) == 0 && to->constraint && (p->on_delete != FK_SET_NULL || nullable))
		to->on_delete = p->on_delete;
	if ((to->given & MAP_GIVEN_IF_ORPHAN) != 0 || !to->constraint || (p->given & MAP_GIVEN_IF_ORPHAN) == 0)
		return;
	if (p->if_orphan != ORPHAN_NULL || nullable)
		to->if_orphan = p->if_orphan;
}

/* ---- columns ---- */

static void complain_type(struct mapping *m, const struct map_column *col, struct complaints *c)
{
	const char **known = arena_alloc(m->arena, (m->nenums + PGT_COUNT) * sizeof *known);
	size_t n = 0;
	const char *instead = map_instead_of(m->arena, col->type.enum_name);
	for (int t = 0; t < PGT_COUNT; t++)
		known[n++] = t == PGT_ENUM ? NULL : pgt_name((enum pgt)t);
	for (size_t i = 0; i < m->nenums; i++)
		known[n++] = m->enums[i].name;
	complain_field(c, m, &col->type, col->line, col->col,
		       "\"%s\" is neither a type nor an enum of this mapping%s", col->type.enum_name,
		       *instead != '\0' ? instead : map_suggest(m->arena, col->type.enum_name, known, n));
}

static void settle_enum(struct mapping *m, struct map_column *col, struct complaints *c)
{
	if (col->type.base != PGT_ENUM)
		return;
	for (size_t i = 0; i < m->nenums; i++)
		if (m->enums[i].name != NULL && strcmp(m->enums[i].name, col->type.enum_name) == 0) {
			col->type.enum_index = (int)i;
			return;
		}
	complain_type(m, col, c);
	col->type.base = PGT_COUNT;
}

static void settle_column(struct mapping *m, struct map_column *to, const struct map_owner *owner,
			  struct complaints *c)
{
	const struct map_policies *p = &owner->collection->policies;
	bool nullable = !to->not_null && !to->primary_key;
	if ((to->given & MAP_GIVEN_FROM) == 0 && to->name != NULL) {
		to->from = arena_memdup(m->arena, &to->name, sizeof to->name);
		to->nfrom = 1;
	}
	to->is_id = owner->child == NULL && to->nfrom == 1 && strcmp(to->from[0], "_id") == 0;
	settle_enum(m, to, c);
	INHERIT(MAP_GIVEN_ENCODING, encoding);
	INHERIT(MAP_GIVEN_JSON, json);
	INHERIT(MAP_GIVEN_FOLD_CASE, fold_case);
	INHERIT(MAP_GIVEN_DUPLICATE_KEYS, duplicate_keys);
	INHERIT(MAP_GIVEN_UUID_ORDER, uuid_order);
	inherit_value(&to->if_missing, &p->if_missing, nullable);
	inherit_value(&to->if_null, &p->if_null, nullable);
	inherit_value(&to->if_invalid, &p->if_invalid, nullable);
	if (to->references.table != NULL)
		settle_reference(&to->references, p, nullable);
}

/* What a key takes for an id, its references take, too: or they would not match. */
static unsigned id_accept(const struct mapping *m, int collection)
{
	const struct map_column *key = collection >= 0 ? key_column(&m->collections[collection]) : NULL;
	return key != NULL ? key->accept & MAP_ACCEPT_OF_IDS : 0;
}

/* Words of accept: keys first, so that references can take theirs. */
static void settle_accept(const struct mapping *m, const struct map_owner *o, bool references)
{
	for (size_t j = 0; j < o->ncolumns; j++) {
		struct map_column *to = &o->columns[j];
		int referred = map_referred_collection(m, &to->references);
		unsigned known = map_accept_for(&to->type, referred >= 0 || map_is_key_column(o->collection, to));
		if (references)
			to->accept |= id_accept(m, referred) & known;
		else if ((to->given & MAP_GIVEN_ACCEPT) == 0)
			to->accept = o->collection->policies.accept & known;
	}
}

/* ---- indexes, junctions ---- */

static const char *index_name(struct arena *a, const char *table, const struct map_index *x)
{
	struct buf b;
	buf_init(&b, 0);
	buf_puts(&b, table);
	for (size_t i = 0; i < x->ncolumns; i++)
		buf_printf(&b, "_%s", x->columns[i]);
	buf_puts(&b, x->unique ? "_key" : "_idx");
	const char *name = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return name;
}

static void settle_indexes(struct arena *a, const char *table, struct map_index *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].method == NULL)
			list[i].method = "btree";
		if (list[i].name == NULL && list[i].ncolumns > 0 && table != NULL)
			list[i].name = index_name(a, table, &list[i]);
	}
}

/* A side's elements are ids of the other side's collection. */
static void settle_side(const struct mapping *m, struct map_side *s, const struct map_side *other)
{
	int mine = find_collection(m, s->collection), theirs = find_collection(m, other->collection);
	if ((s->given & MAP_GIVEN_ACCEPT) == 0)
		s->accept = (mine >= 0 ? m->collections[mine].policies.accept : m->policies.accept) &
			    (MAP_ACCEPT_OF_IDS | MAP_ACCEPT_SCALAR_ARRAY);
	s->accept |= id_accept(m, theirs);
}

static void settle_junction(struct mapping *m, struct map_junction *j)
{
	if ((j->given & MAP_GIVEN_ON_UPDATE) == 0)
		j->on_update = m->policies.on_update;
	settle_side(m, &j->left, &j->right);
	settle_side(m, &j->right, &j->left);
	settle_indexes(m->arena, j->table, j->indexes, j->nindexes);
}

static void settle_collection(struct mapping *m, struct map_collection *k)
{
	if (k->table == NULL)
		k->table = k->name;
	if ((k->given & MAP_GIVEN_ID) == 0)
		k->id = m->id;
	merge_policies(&k->policies, &m->policies);
	if ((k->given & MAP_GIVEN_UUID_ORDER) == 0)
		k->uuid_order = k->policies.uuid_order;
}

void map_settle(struct mapping *m, struct complaints *c)
{
	size_t n;
	if (m->target_schema == NULL)
		m->target_schema = "public";
	if ((m->given & MAP_GIVEN_NAMESPACE) == 0)
		memcpy(m->id_namespace, default_namespace, sizeof default_namespace);
	for (size_t i = 0; i < m->ncollections; i++)
		settle_collection(m, &m->collections[i]);
	struct map_owner *owners = map_owners(m->arena, m, &n);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < owners[i].ncolumns; j++)
			settle_column(m, &owners[i].columns[j], &owners[i], c);
		settle_indexes(m->arena, owners[i].table, owners[i].indexes, owners[i].nindexes);
	}
	for (size_t i = 0; i < 2 * n; i++)
		settle_accept(m, &owners[i % n], i >= n);
	for (size_t i = 0; i < m->njunctions; i++)
		settle_junction(m, &m->junctions[i]);
}
