/* map_settle.c - fills in what the YAML leaves to defaults: id rules, enum indexes, names, what becomes of fields
 * that no column takes; policies by map_policies.c. Runs once after map_read.
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
						   .unmapped = &ch->unmapped,
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
						    .unmapped = &k->unmapped,
						    .line = k->line,
						    .col = k->col,
						    .parent = -1};
	}
	for (size_t i = 0; i < m->ncollections; i++)
		add_children(&o, &m->collections[i], m->collections[i].children, m->collections[i].nchildren, (int)i);
	*n = o.n;
	return o.list;
}

/* ---- columns ---- */

static void complain_type(struct mapping *m, const struct pgtype *t, int line, int col, struct complaints *c)
{
	const char **known = arena_alloc(m->arena, (m->nenums + m->ndomains + PGT_COUNT) * sizeof *known);
	size_t n = 0;
	const char *instead = map_instead_of(m->arena, t->enum_name);
	for (int k = 0; k < PGT_COUNT; k++)
		known[n++] = k == PGT_ENUM ? NULL : pgt_name((enum pgt)k);
	for (size_t i = 0; i < m->nenums; i++)
		known[n++] = m->enums[i].name;
	for (size_t i = 0; i < m->ndomains; i++) {
		known[n++] = m->domains[i].name;
		if (m->domains[i].name != NULL && strcmp(m->domains[i].name, t->enum_name) == 0) {
			complain_field(c, m, t, line, col, "domain \"%s\" stands behind the one that is over it",
				       t->enum_name);
			return;
		}
	}
	complain_field(c, m, t, line, col, "\"%s\" is neither a type nor an enum or domain of this mapping%s",
		       t->enum_name, *instead != '\0' ? instead : map_suggest(m->arena, t->enum_name, known, n));
}

/* t says the name of a domain: what is below it comes in, its brackets stay. False: there are too many of them. */
static bool settle_domain(struct pgtype *t, const struct schema_domain *d)
{
	struct pgtype below = d->type;
	if (t->array && below.array)
		return false;
	below.domain = d->name;
	below.domain_dims = below.dims;
	below.domain_not_null = d->not_null || below.domain_not_null;
	below.array |= t->array;
	below.dims += t->dims;
	*t = below;
	return true;
}

/* Names that are no built-in types: an enum, or one of the first n domains. */
static void settle_type(struct mapping *m, struct pgtype *t, size_t ndomains, int line, int col, struct complaints *c)
{
	if (t->base != PGT_ENUM)
		return;
	for (size_t i = 0; i < m->nenums; i++)
		if (m->enums[i].name != NULL && strcmp(m->enums[i].name, t->enum_name) == 0) {
			t->enum_index = (int)i;
			return;
		}
	for (size_t i = 0; i < ndomains; i++) {
		const struct schema_domain *d = &m->domains[i];
		if (d->name == NULL || strcmp(d->name, t->enum_name) != 0)
			continue;
		if (d->type.base == PGT_COUNT || settle_domain(t, d))
			t->base = d->type.base;
		else
			complain_field(c, m, t, line, col,
				       "an array of domain \"%s\", which is over an array itself, is not taken",
				       d->name);
		return;
	}
	complain_type(m, t, line, col, c);
	t->base = PGT_COUNT;
}

static void settle_domains(struct mapping *m, struct complaints *c)
{
	for (size_t i = 0; i < m->ndomains; i++) {
		struct schema_domain *d = &m->domains[i];
		settle_type(m, &d->type, i, 0, 0, c);
		if (d->type.domain != NULL && d->type.array && d->type.domain_dims == 0)
			complain_field(c, m, &d->type, 0, 0, "a domain over an array of domain \"%s\" is not taken",
				       d->type.domain);
	}
}

/* A column without a name gets that of its field. */
static void settle_name(struct mapping *m, struct map_column *to, struct complaints *c)
{
	_cleanup_(buf_free) struct buf keys = {0};
	if (to->value != NULL) {
		to->no_source = true;
		if ((to->given & MAP_GIVEN_FROM) != 0)
			complain_field(c, m, &to->value, to->line, to->col,
				       "a column has from or value, one of them");
	}
	if (to->name != NULL)
		return;
	if (to->nfrom == 0) {
		if (!has_complaint(c, m, &to->name))
			complain(c, to->line, to->col, "a column needs \"name\"");
		return;
	}
	for (size_t i = 0; i < to->nfrom; i++)
		buf_printf(&keys, "%s%s", i > 0 ? "_" : "", to->from[i]);
	to->name = map_made_name(m->arena, m, buf_cstr(&keys), "");
	to->made_of = map_path_text(m->arena, to->from, to->nfrom);
}

static void settle_column(struct mapping *m, struct map_column *to, const struct map_owner *owner,
			  struct complaints *c)
{
	if (to->generated_sql != NULL)
		to->no_source = true;
	settle_name(m, to, c);
	if ((to->given & MAP_GIVEN_FROM) == 0 && to->name != NULL && !to->no_source) {
		to->from = arena_memdup(m->arena, &to->name, sizeof to->name);
		to->nfrom = 1;
	}
	to->is_id = owner->child == NULL && to->nfrom == 1 && strcmp(to->from[0], "_id") == 0;
	settle_type(m, &to->type, m->ndomains, to->line, to->col, c);
	to->not_null |= to->type.domain_not_null && to->type.dims == to->type.domain_dims;
}

/* ---- indexes, junctions ---- */

static const char *index_name(struct mapping *m, const char *table, const struct map_index *x)
{
	struct buf b;
	buf_init(&b, 0);
	buf_puts(&b, table);
	for (size_t i = 0; i < x->ncolumns; i++)
		buf_printf(&b, "_%s", x->columns[i]);
	const char *name = map_made_name(m->arena, m, buf_cstr(&b), x->unique ? "_key" : "_idx");
	buf_free(&b);
	return name;
}

static void settle_indexes(struct mapping *m, const char *table, struct map_index *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].method == NULL)
			list[i].method = "btree";
		if (list[i].name == NULL && list[i].ncolumns > 0 && table != NULL)
			list[i].name = index_name(m, table, &list[i]);
	}
}

/* ---- fields that no column takes ---- */

static void settle_leftover(struct map_leftover *to, unsigned given, const struct map_leftover *above)
{
	if ((given & MAP_GIVEN_UNMAPPED) == 0)
		*to = *above;
	if (to->how == MAP_UNMAPPED_KEEP && to->column == NULL)
		to->column = above->column != NULL ? above->column : MAP_UNMAPPED_COLUMN;
}

/* A column that takes the whole element leaves nothing over. */
static bool takes_all(const struct map_child *ch)
{
	for (size_t i = 0; i < ch->ncolumns; i++)
		if (ch->columns[i].nfrom == 0 && (ch->columns[i].given & MAP_GIVEN_FROM) != 0 &&
		    !ch->columns[i].no_source)
			return true;
	return false;
}

static void settle_children(struct map_child *list, size_t n, const struct map_leftover *above)
{
	static const struct map_leftover nothing = {MAP_UNMAPPED_REPORT, NULL};
	for (size_t i = 0; i < n; i++) {
		struct map_child *ch = &list[i];
		settle_leftover(&ch->unmapped, ch->given, takes_all(ch) ? &nothing : above);
		settle_children(ch->children, ch->nchildren,
				(ch->given & MAP_GIVEN_UNMAPPED) != 0 ? &ch->unmapped : above);
	}
}

/* Entries of one collection are told apart by the tables that they feed, unless they have names. */
static void settle_entry(struct mapping *m, struct map_collection *k)
{
	size_t entries = 0;
	if (k->source == NULL)
		return;
	if (k->table == NULL) {
		k->table = map_made_name(m->arena, m, k->source, "");
		k->table_made = true;
	}
	for (size_t i = 0; i < m->ncollections; i++)
		entries += m->collections[i].source != NULL && strcmp(m->collections[i].source, k->source) == 0;
	if (k->name == NULL)
		k->name = entries == 1 ? k->source : arena_printf(m->arena, "%s/%s", k->source, k->table);
}

/* A junction's side may name the collection where that has one entry only. */
static void settle_side(const struct mapping *m, struct map_side *s)
{
	int mine = find_collection(m, s->collection);
	if (mine >= 0)
		s->collection = m->collections[mine].name;
}

static void settle_collection(struct mapping *m, struct map_collection *k)
{
	if ((k->given & MAP_GIVEN_ID) == 0)
		k->id = m->id;
	map_inherit_policies(&k->policies, &m->policies);
	if ((k->given & MAP_GIVEN_UUID_ORDER) == 0)
		k->uuid_order = k->policies.uuid_order;
	if (!k->max_rejects.is_given)
		k->max_rejects = m->max_rejects;
	settle_leftover(&k->unmapped, k->given, &m->unmapped);
	settle_children(k->children, k->nchildren, &k->unmapped);
}

void map_settle(struct mapping *m, struct complaints *c)
{
	size_t n;
	if (m->target_schema == NULL)
		m->target_schema = "public";
	if ((m->given & MAP_GIVEN_NAMESPACE) == 0)
		memcpy(m->id_namespace, default_namespace, sizeof default_namespace);
	for (size_t i = 0; i < m->ncollections; i++)
		settle_entry(m, &m->collections[i]);
	for (size_t i = 0; i < m->ncollections; i++)
		settle_collection(m, &m->collections[i]);
	settle_domains(m, c);
	struct map_owner *owners = map_owners(m->arena, m, &n);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < owners[i].ncolumns; j++)
			settle_column(m, &owners[i].columns[j], &owners[i], c);
		settle_indexes(m, owners[i].table, owners[i].indexes, owners[i].nindexes);
	}
	for (size_t i = 0; i < m->njunctions; i++) {
		settle_side(m, &m->junctions[i].left);
		settle_side(m, &m->junctions[i].right);
		settle_indexes(m, m->junctions[i].table, m->junctions[i].indexes, m->junctions[i].nindexes);
	}
	map_settle_policies(m, owners, n);
}
