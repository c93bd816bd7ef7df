/* map_policies.c - which policies are in force for each column: its own, its collection's, the mapping's.
 *
 * What stands at a column wins over its collection's policies, those over the mapping's. What is inherited is applied
 * only where it has a meaning, and the column remembers from where it came; what is given at the column itself
 * without one is an error (map_check.c), by the same table.
 */
#include "map_private.h"

/* ---- what has a meaning where ---- */

static bool is_text(const struct pgtype *t)
{
	return t->base == PGT_TEXT || t->base == PGT_VARCHAR || t->base == PGT_CHAR || t->base == PGT_NAME ||
	       t->base == PGT_CITEXT;
}

static bool is_json(const struct pgtype *t)
{
	return t->base == PGT_JSON || t->base == PGT_JSONB;
}

static bool suits_any(const struct map_column *k)
{
	return true;
}

static bool suits_encoding(const struct map_column *k)
{
	return is_text(&k->type) || is_json(&k->type) || k->type.base == PGT_ENUM;
}

static bool suits_labels(const struct map_column *k)
{
	return is_text(&k->type) || k->type.base == PGT_ENUM;
}

static bool suits_fold_case(const struct map_column *k)
{
	return k->type.base == PGT_ENUM || (is_text(&k->type) && k->nlabels > 0);
}

static bool suits_json(const struct map_column *k)
{
	return is_json(&k->type) || (is_text(&k->type) && (k->accept & MAP_ACCEPT_JSON_TEXT) != 0);
}

static bool suits_uuid_order(const struct map_column *k)
{
	return k->type.base == PGT_UUID || (is_text(&k->type) && (k->accept & MAP_ACCEPT_NUMBER_TEXT) != 0);
}

/* A key is what it is: any of these would make two documents one, or a reference miss its row. */
static const struct {
	unsigned bit, not_for; /* roles */
	bool (*suits)(const struct map_column *k);
	const char *what;
} meanings[] = {
	{MAP_GIVEN_IF_MISSING, MAP_ROLE_KEY, suits_any, ""},
	{MAP_GIVEN_IF_NULL, MAP_ROLE_KEY, suits_any, ""},
	{MAP_GIVEN_IF_INVALID, MAP_ROLE_KEY, suits_any, ""},
	{MAP_GIVEN_ENCODING, MAP_ROLE_KEY, suits_encoding, "text, enums and json"},
	{MAP_GIVEN_LABELS, MAP_ROLE_KEY, suits_labels, "enums and text"},
	{MAP_GIVEN_FOLD_CASE, MAP_ROLE_KEY, suits_fold_case, "enums, and text with labels"},
	{MAP_GIVEN_JSON, MAP_ROLE_KEY | MAP_ROLE_REFERENCE, suits_json,
	 "json and jsonb, and text that accepts json-text"},
	{MAP_GIVEN_DUPLICATE_KEYS, MAP_ROLE_KEY, suits_any, ""},
	{MAP_GIVEN_UUID_ORDER, MAP_ROLE_KEY, suits_uuid_order, "uuid, and text that accepts number-text"},
};

bool map_policy_suits(const struct map_column *k, unsigned role, unsigned bit, const char **why)
{
	for (size_t i = 0; i < COUNT_OF(meanings); i++)
		if (meanings[i].bit == bit) {
			if (why != NULL)
				*why = meanings[i].what;
			return (role & meanings[i].not_for) == 0 && meanings[i].suits(k);
		}
	return true;
}

unsigned map_role(const struct mapping *m, const struct map_owner *o, const struct map_column *k)
{
	return (o->child == NULL && map_is_key_column(o->collection, k) ? (unsigned)MAP_ROLE_KEY : 0) |
	       (map_referred_collection(m, &k->references) >= 0 ? (unsigned)MAP_ROLE_REFERENCE : 0);
}

/* ---- mapping → collection ---- */

static bool takes(struct map_policies *to, const struct map_policies *p, unsigned bit)
{
	bool inherits = (p->given & bit) != 0 && (to->given & bit) == 0;
	if (inherits)
		to->given |= bit;
	return inherits;
}

void map_inherit_policies(struct map_policies *to, const struct map_policies *p)
{
	to->own = to->given;
	if (takes(to, p, MAP_GIVEN_ACCEPT))
		to->accept = p->accept;
	if (takes(to, p, MAP_GIVEN_LABELS)) {
		to->labels = p->labels;
		to->nlabels = p->nlabels;
	}
	if (takes(to, p, MAP_GIVEN_IF_MISSING))
		to->if_missing = p->if_missing;
	if (takes(to, p, MAP_GIVEN_IF_NULL))
		to->if_null = p->if_null;
	if (takes(to, p, MAP_GIVEN_IF_INVALID))
		to->if_invalid = p->if_invalid;
	if (takes(to, p, MAP_GIVEN_ENCODING))
		to->encoding = p->encoding;
	if (takes(to, p, MAP_GIVEN_JSON))
		to->json = p->json;
	if (takes(to, p, MAP_GIVEN_FOLD_CASE))
		to->fold_case = p->fold_case;
	if (takes(to, p, MAP_GIVEN_DUPLICATE_KEYS))
		to->duplicate_keys = p->duplicate_keys;
	if (takes(to, p, MAP_GIVEN_UUID_ORDER))
		to->uuid_order = p->uuid_order;
	if (takes(to, p, MAP_GIVEN_IF_ORPHAN))
		to->if_orphan = p->if_orphan;
	if (takes(to, p, MAP_GIVEN_ON_DELETE))
		to->on_delete = p->on_delete;
	if (takes(to, p, MAP_GIVEN_ON_UPDATE))
		to->on_update = p->on_update;
}

/* ---- collection → column ---- */

struct heir {
	const struct mapping *m;
	struct map_column *to;
	const struct map_policies *p;
	unsigned role;
	bool nullable;
};

static void note_level(struct map_column *to, const struct map_policies *p, unsigned bit)
{
	if ((p->own & bit) != 0)
		to->from_collection |= bit;
	else
		to->from_mapping |= bit;
}

/* Is the policy in force for the column, though not given there? Then it is noted. */
static bool inherits(const struct heir *h, unsigned bit)
{
	if ((h->p->given & bit) == 0 || (h->to->given & bit) != 0 || !map_policy_suits(h->to, h->role, bit, NULL))
		return false;
	note_level(h->to, h->p, bit);
	return true;
}

/* NULL only where it may stand. */
static void inherit_value(const struct heir *h, unsigned bit, struct map_value *to, const struct map_value *p)
{
	if ((p->kind == MAP_VALUE_REJECT || h->nullable) && inherits(h, bit))
		*to = *p;
}

static bool has_label(const struct schema_enum *e, const char *text)
{
	for (size_t i = 0; e->labels != NULL && i < e->nlabels; i++)
		if (strcmp(e->labels[i], text) == 0)
			return true;
	return false;
}

/* Those of the policies' labels that lead to a label of the column's enum. Text columns have no labels of their own
 * to choose by, so they inherit none. */
static void inherit_labels(const struct heir *h)
{
	struct map_column *to = h->to;
	if (to->type.base != PGT_ENUM || (h->p->given & MAP_GIVEN_LABELS) == 0 || (to->given & MAP_GIVEN_LABELS) != 0)
		return;
	const struct schema_enum *e = &h->m->enums[to->type.enum_index];
	to->labels = arena_alloc(h->m->arena, (h->p->nlabels + 1) * sizeof *to->labels);
	to->nlabels = 0;
	for (size_t i = 0; i < h->p->nlabels; i++)
		if (has_label(e, h->p->labels[i].to) && !has_label(e, h->p->labels[i].from))
			to->labels[to->nlabels++] = h->p->labels[i];
	if (to->nlabels > 0)
		note_level(to, h->p, MAP_GIVEN_LABELS);
}

static void inherit_reference(const struct heir *h)
{
	struct map_reference *to = &h->to->references;
	const struct map_policies *p = h->p;
	if (to->table == NULL || !to->constraint)
		return;
	if ((to->given & MAP_GIVEN_ON_UPDATE) == 0 && (p->given & MAP_GIVEN_ON_UPDATE) != 0) {
		to->on_update = p->on_update;
		note_level(h->to, p, MAP_GIVEN_ON_UPDATE);
	}
	if ((to->given & MAP_GIVEN_ON_DELETE) == 0 && (p->given & MAP_GIVEN_ON_DELETE) != 0 &&
	    (p->on_delete != FK_SET_NULL || h->nullable)) {
		to->on_delete = p->on_delete;
		note_level(h->to, p, MAP_GIVEN_ON_DELETE);
	}
	if ((to->given & MAP_GIVEN_IF_ORPHAN) == 0 && (p->given & MAP_GIVEN_IF_ORPHAN) != 0 &&
	    (p->if_orphan != ORPHAN_NULL || h->nullable)) {
		to->if_orphan = p->if_orphan;
		note_level(h->to, p, MAP_GIVEN_IF_ORPHAN);
	}
}

static void inherit_column(const struct heir *h)
{
	struct map_column *to = h->to;
	const struct map_policies *p = h->p;
	inherit_labels(h); /* fold_case asks for them */
	if (inherits(h, MAP_GIVEN_ENCODING))
		to->encoding = p->encoding;
	if (inherits(h, MAP_GIVEN_JSON))
		to->json = p->json;
	if (inherits(h, MAP_GIVEN_FOLD_CASE))
		to->fold_case = p->fold_case;
	if (inherits(h, MAP_GIVEN_DUPLICATE_KEYS))
		to->duplicate_keys = p->duplicate_keys;
	if (inherits(h, MAP_GIVEN_UUID_ORDER))
		to->uuid_order = p->uuid_order;
	inherit_value(h, MAP_GIVEN_IF_MISSING, &to->if_missing, &p->if_missing);
	inherit_value(h, MAP_GIVEN_IF_NULL, &to->if_null, &p->if_null);
	inherit_value(h, MAP_GIVEN_IF_INVALID, &to->if_invalid, &p->if_invalid);
	inherit_reference(h);
}

/* ---- accept ---- */

/* What a key takes for an id, its references take, too: or they would not match. */
static unsigned id_accept(const struct mapping *m, int collection)
{
	const struct map_column *key = collection >= 0 ? key_column(&m->collections[collection]) : NULL;
	return key != NULL ? key->accept & MAP_ACCEPT_OF_IDS : 0;
}

static void inherit_accept(const struct mapping *m, const struct map_owner *o, struct map_column *to)
{
	const struct map_policies *p = &o->collection->policies;
	unsigned known = map_accept_for(&to->type, map_role(m, o, to) != 0);
	if ((to->given & MAP_GIVEN_ACCEPT) != 0 || to->no_source)
		return;
	to->accept = p->accept & known;
	if (to->accept != 0)
		note_level(to, p, MAP_GIVEN_ACCEPT);
}

static void accept_as_key(const struct mapping *m, const struct map_owner *o, struct map_column *to)
{
	unsigned known = map_accept_for(&to->type, map_role(m, o, to) != 0);
	to->accept_of_key = id_accept(m, map_referred_collection(m, &to->references)) & known & ~to->accept;
	to->accept |= to->accept_of_key;
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

/* ---- all of it ---- */

static void settle_rest(const struct mapping *m, const struct map_owner *o, struct map_column *to)
{
	struct heir h = {.m = m,
			 .to = to,
			 .p = &o->collection->policies,
			 .role = map_role(m, o, to),
			 .nullable = !to->not_null && !to->primary_key};
	if (to->name != NULL && to->type.base != PGT_COUNT && !to->no_source)
		inherit_column(&h);
}

void map_settle_policies(struct mapping *m, struct map_owner *owners, size_t n)
{
	void (*const passes[])(const struct mapping *, const struct map_owner *,
			       struct map_column *) = {inherit_accept, accept_as_key, settle_rest};
	for (size_t pass = 0; pass < COUNT_OF(passes); pass++)
		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < owners[i].ncolumns; j++)
				passes[pass](m, &owners[i], &owners[i].columns[j]);
	for (size_t i = 0; i < m->njunctions; i++) {
		struct map_junction *j = &m->junctions[i];
		if ((j->given & MAP_GIVEN_ON_UPDATE) == 0)
			j->on_update = m->policies.on_update;
		settle_side(m, &j->left, &j->right);
		settle_side(m, &j->right, &j->left);
	}
}

/* ---- checks ---- */

static bool is_label_of_any(const struct mapping *m, const char *text)
{
	for (size_t i = 0; i < m->nenums; i++)
		if (has_label(&m->enums[i], text))
			return true;
	return false;
}

void map_check_policy_labels(const struct mapping *m, const struct map_policies *p, struct complaints *c)
{
	for (size_t i = 0; i < p->nlabels; i++)
		if (!is_label_of_any(m, p->labels[i].to))
			complain_field(c, m, &p->labels[i].to, 0, 0,
				       "labels: \"%s\" is a label of no enum of this mapping", p->labels[i].to);
}

/* ---- warnings ---- */

static unsigned inherited_of(const struct map_collection *k, const struct map_owner *owners, size_t n)
{
	unsigned bits = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; owners[i].collection == k && j < owners[i].ncolumns; j++)
			bits |= owners[i].columns[j].from_collection;
	return bits;
}

/* What a collection says for its columns and none of them takes up is maybe not what was meant. Those that have a
 * meaning beside columns (for _id, arrays, kept fields) are passed over. */
static void warn_of_collection(const struct mapping *m, const struct map_collection *k, unsigned in_force,
			       struct complaints *warnings)
{
	const struct map_policies *p = &k->policies;
	const struct {
		unsigned bit;
		const void *field;
		const char *key;
	} policies[] = {
		{MAP_GIVEN_ACCEPT, &p->accept, "accept"},
		{MAP_GIVEN_IF_MISSING, &p->if_missing, "if_missing"},
		{MAP_GIVEN_IF_NULL, &p->if_null, "if_null"},
		{MAP_GIVEN_IF_INVALID, &p->if_invalid, "if_invalid"},
		{MAP_GIVEN_LABELS, &p->labels, "labels"},
		{MAP_GIVEN_FOLD_CASE, &p->fold_case, "fold_case"},
		{MAP_GIVEN_ENCODING, &p->encoding, "encoding"},
		{MAP_GIVEN_JSON, &p->json, "json"},
		{MAP_GIVEN_IF_ORPHAN, &p->if_orphan, "if_orphan"},
		{MAP_GIVEN_ON_DELETE, &p->on_delete, "on_delete"},
		{MAP_GIVEN_ON_UPDATE, &p->on_update, "on_update"},
	};
	const unsigned of_kept = MAP_GIVEN_ENCODING | MAP_GIVEN_JSON;
	for (size_t i = 0; i < COUNT_OF(policies); i++) {
		bool is_idle = (p->own & ~in_force & policies[i].bit) != 0;
		bool is_empty_accept = policies[i].bit == MAP_GIVEN_ACCEPT && p->accept == 0;
		bool is_for_kept = (policies[i].bit & of_kept) != 0 && k->unmapped.how == MAP_UNMAPPED_KEEP;
		if (is_idle && !is_empty_accept && !is_for_kept)
			complain_field(warnings, m, policies[i].field, k->line, k->col,
				       "%s in the policies of collection \"%s\" is in force for none of its columns",
				       policies[i].key, k->name);
	}
}

void map_warn_policies(const struct mapping *m, const struct map_owner *owners, size_t n, struct complaints *warnings)
{
	for (size_t i = 0; warnings != NULL && i < m->ncollections; i++)
		if (m->collections[i].name != NULL)
			warn_of_collection(m, &m->collections[i], inherited_of(&m->collections[i], owners, n),
					   warnings);
}
