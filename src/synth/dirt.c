/* dirt.c - faults on purpose: where they can be put, which one a document gets, and the spoilt value.
 *
 * A spot is listed only where the engine must mind it: a wrong type that the mapping accepts is no fault.
 */
#include "synth_private.h"

static const char *const names[DIRT_COUNT] = {
#define X(NAME, name, sentence) [DIRT_##NAME] = (name),
	DIRTS(X)
#undef X
};

const char *synth_fault_name(size_t i)
{
	return i + 1 < DIRT_COUNT ? names[i + 1] : NULL;
}

/* Where. */

/* What the mapping says about a missing or null field of the column ends in a reject. */
static bool rejects(const struct leaf *l, const struct map_value *v)
{
	return v->kind == MAP_VALUE_REJECT || (v->kind == MAP_VALUE_UNSET && l->map->not_null);
}

static bool is_type(const struct leaf *l, enum pgt t)
{
	return l->map->type.base == t;
}

static bool is_text_column(const struct leaf *l)
{
	return is_type(l, PGT_TEXT) || is_type(l, PGT_VARCHAR) || is_type(l, PGT_CHAR) || is_type(l, PGT_NAME) ||
	       is_type(l, PGT_CITEXT);
}

static bool is_json_column(const struct leaf *l)
{
	return is_type(l, PGT_JSON) || is_type(l, PGT_JSONB);
}

static bool can_type(const struct leaf *l)
{
	return !is_json_column(l) && !(l->map->accept & (MAP_ACCEPT_JSON_TEXT | MAP_ACCEPT_ANY_ID)) &&
	       !(l->map->accept & MAP_ACCEPT_SCALAR_ARRAY);
}

static bool can_label(const struct leaf *l)
{
	return l->kind == VALUE_LABEL && !l->map->type.array;
}

static bool can_bad_text(const struct leaf *l)
{
	bool is_short = l->map->type.length > 0 && l->map->type.length < 4;

	return ((l->kind == VALUE_TEXT && is_text_column(l)) || l->kind == VALUE_JSON) && !l->map->type.array &&
	       !is_short && l->map->encoding == MAP_ENCODING_REJECT;
}

static bool can_missing(const struct leaf *l)
{
	return rejects(l, &l->map->if_missing);
}

static bool can_null(const struct leaf *l)
{
	return rejects(l, &l->map->if_null);
}

static bool can_orphan(const struct leaf *l)
{
	return l->target >= 0 && !l->target_leaf && !l->map->type.array &&
	       (l->map->references.constraint || (l->map->references.given & MAP_GIVEN_IF_ORPHAN));
}

static bool can_range(const struct leaf *l)
{
	int whole = l->map->type.precision - (l->map->type.scale > 0 ? l->map->type.scale : 0);

	if (l->map->type.array)
		return false;
	return l->kind == VALUE_INTEGER || l->kind == VALUE_INSTANT || l->kind == VALUE_DAY ||
	       is_type(l, PGT_FLOAT4) || (l->kind == VALUE_NUMERIC && l->map->type.precision > 0 && whole <= 18);
}

static bool can_inexact(const struct leaf *l)
{
	if (l->map->type.array)
		return false;
	if (l->kind == VALUE_INSTANT)
		return l->map->type.precision >= 0 && l->map->type.precision < 3;
	return l->kind == VALUE_INTEGER || l->kind == VALUE_FLOAT || l->kind == VALUE_DAY ||
	       (l->kind == VALUE_NUMERIC && l->map->type.precision > 0 && l->map->type.scale < 12);
}

static bool can_too_long(const struct leaf *l)
{
	return l->kind == VALUE_TEXT && !l->map->type.array && (is_type(l, PGT_NAME) || l->map->type.length > 0);
}

static bool can_format(const struct leaf *l)
{
	const unsigned texts = MAP_ACCEPT_HEX_ID | MAP_ACCEPT_UUID_STRING;

	if (l->map->type.array || (l->map->accept & MAP_ACCEPT_ANY_ID))
		return false;
	return l->kind == VALUE_INET ||
	       (is_type(l, PGT_UUID) && l->kind == VALUE_ID && (l->target < 0 || (l->map->accept & texts)));
}

static bool can_shape(const struct leaf *l)
{
	return l->map->type.array;
}

static const struct {
	enum dirt kind;
	bool (*can)(const struct leaf *);
} leaf_spots[] = {{DIRT_TYPE, can_type},         {DIRT_LABEL, can_label},     {DIRT_NUL, can_bad_text},
		  {DIRT_UTF8, can_bad_text},     {DIRT_MISSING, can_missing}, {DIRT_NULL, can_null},
		  {DIRT_ORPHAN, can_orphan},     {DIRT_RANGE, can_range},     {DIRT_INEXACT, can_inexact},
		  {DIRT_TOO_LONG, can_too_long}, {DIRT_FORMAT, can_format},   {DIRT_SHAPE, can_shape}};

static void add_spot(struct model *m, struct coll *c, const struct spot *spot)
{
	struct spots *s = &c->spots[spot->kind];
	struct spot *bigger;

	if ((s->n & (s->n - 1)) == 0) { /* full at each power of two */
		bigger = arena_alloc(m->arena, (s->n ? 2 * s->n : 1) * sizeof *bigger);
		if (s->n > 0)
			memcpy(bigger, s->all, s->n * sizeof *bigger);
		s->all = bigger;
	}
	s->all[s->n++] = *spot;
}

static void find_in_leaf(struct model *m, struct coll *c, const struct node *node)
{
	for (size_t i = 0; i < sizeof leaf_spots / sizeof leaf_spots[0]; i++) {
		bool needs_key = leaf_spots[i].kind == DIRT_MISSING; /* an element has none to leave out */
		if (leaf_spots[i].can(node->leaf) && !(needs_key && node->kind == NODE_ARRAY))
			add_spot(m, c, &(struct spot){leaf_spots[i].kind, .leaf = node->leaf});
	}
	if (node->kind == NODE_LEAF && !node->around && !strchr(node->path, '.'))
		add_spot(m, c, &(struct spot){DIRT_DUPLICATE_KEY, .node = node});
}

static void find_in_pairs(struct model *m, struct coll *c, const struct node *node)
{
	static const enum dirt kinds[] = {DIRT_ELEMENT_NULL, DIRT_ELEMENT_INVALID, DIRT_PAIR_REPEAT,
					  DIRT_PAIR_DANGLING};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (!(kinds[i] == DIRT_ELEMENT_INVALID && (node->accept & MAP_ACCEPT_ANY_ID)))
			add_spot(m, c, &(struct spot){kinds[i], .node = node});
	if (m->junctions[node->junction].both_sides)
		add_spot(m, c, &(struct spot){DIRT_PAIR_ONE_SIDED, .node = node});
}

static void find_in_node(struct model *m, struct coll *c, const struct node *node)
{
	if (node->kind == NODE_PAIRS)
		find_in_pairs(m, c, node);
	else if (node->kind == NODE_ID)
		return; /* a spoilt _id would be another _id */
	else if (node->leaf && (node->kind == NODE_LEAF || node->nchildren == 0))
		find_in_leaf(m, c, node);
	for (size_t i = 0; i < node->nchildren; i++)
		find_in_node(m, c, node->children[i]);
}

void gen_spots_find(struct model *m, struct coll *c)
{
	find_in_node(m, c, c->root);
	for (size_t i = 0; i < c->nsets; i++)
		add_spot(m, c, &(struct spot){DIRT_DUPLICATE, .leaf = c->sets[i].leaves[0], .set = &c->sets[i]});
	add_spot(m, c, &(struct spot){.kind = DIRT_UNMAPPED});
	for (int kind = 1; kind < DIRT_COUNT; kind++)
		if (c->spots[kind].n > 0)
			c->kinds[c->nkinds++] = (enum dirt)kind;
}

/* Which. */

static uint64_t draw_of(const struct coll *c, uint64_t number)
{
	return mix(gen_document_key(c, number) ^ UINT64_C(0x6469727479));
}

static const struct forced *find_forced(const struct coll *c, uint64_t number)
{
	for (size_t i = 0; i < c->nforced; i++)
		if (c->forced[i].number == number)
			return &c->forced[i];
	return NULL;
}

bool gen_is_dirty(const struct model *m, const struct coll *c, uint64_t number)
{
	return m->dirt > 0 &&
	       (m->dirt == UINT64_MAX || draw_of(c, number) < m->dirt || find_forced(c, number) != NULL);
}

/* A clean document that has every field of the set; c->docs if there is none near. */
static uint64_t find_donor(const struct gen *g, const struct unique_set *set)
{
	const struct coll *c = g->coll;

	for (uint64_t step = 1; step <= 64 && step < c->docs; step++) {
		uint64_t n = g->number >= step ? g->number - step : g->number + c->docs - step;
		bool fits = !gen_is_dirty(g->m, c, n);
		for (size_t i = 0; fits && i < set->nleaves; i++)
			fits = gen_leaf_presence(g->m, c, set->leaves[i], n, gen_document_key(c, n)) == PRESENT;
		if (fits)
			return n;
	}
	return c->docs;
}

/* Somebody on the other side who is not linked with this document, nor is the document itself. */
static uint64_t find_stranger(const struct gen *g, const struct node *node, struct chance *chance)
{
	const struct junction *j = &g->m->junctions[node->junction];
	const struct coll *other = &g->m->colls[node->left ? j->right : j->left];

	for (int tries = 0; tries < 16 && other->docs > 0; tries++) {
		uint64_t n = chance_below(chance, other->docs);
		if (!pairing_has(&j->pairing, node->left, g->number, n) && !(other == g->coll && n == g->number))
			return n;
	}
	return other->docs;
}

static size_t count_partners(const struct gen *g, const struct node *node)
{
	uint64_t partners[PAIR_MOST];

	return pairing_partners(&g->m->junctions[node->junction].pairing, node->left, g->number, partners);
}

/* What this document cannot have becomes something that any can. */
static void settle_spot(struct gen *g, struct chance *chance)
{
	struct spot *s = &g->spot;

	if (s->kind == DIRT_DUPLICATE) {
		g->donor = find_donor(g, s->set);
		if (g->donor == g->coll->docs)
			*s = (struct spot){.kind = DIRT_UNMAPPED};
	} else if (s->kind == DIRT_PAIR_ONE_SIDED) {
		const struct junction *j = &g->m->junctions[s->node->junction];
		g->donor = find_stranger(g, s->node, chance);
		if (g->donor == g->m->colls[s->node->left ? j->right : j->left].docs)
			s->kind = DIRT_PAIR_DANGLING;
	} else if (s->kind == DIRT_PAIR_REPEAT && count_partners(g, s->node) == 0) {
		s->kind = DIRT_PAIR_DANGLING;
	}
}

void gen_spot_draw(struct gen *g)
{
	const struct coll *c = g->coll;
	const struct forced *forced = find_forced(c, g->number);
	struct chance chance = {draw_of(c, g->number) ^ 1};
	enum dirt kind = c->kinds[chance_below(&chance, c->nkinds)];
	const struct spots *s = &c->spots[kind];

	g->spot = forced ? *forced->spot : s->all[chance_below(&chance, s->n)];
	settle_spot(g, &chance);
}

/* Small collections cannot show a fault without losing much of what they are for. */
enum { SMALL_COLLECTION = 64 };

static struct coll *draw_collection(struct model *m, enum dirt kind, struct chance *chance)
{
	struct coll *found = NULL;
	uint64_t n = 0;

	for (size_t i = 0; i < m->ncolls; i++)
		if (m->colls[i].spots[kind].n > 0 && m->colls[i].docs >= SMALL_COLLECTION &&
		    chance_below(chance, ++n) == 0)
			found = &m->colls[i];
	return found;
}

static bool can_force(const struct model *m, const struct coll *c, const struct spot *spot, uint64_t number)
{
	uint64_t partners[PAIR_MOST];

	if (find_forced(c, number) || number < 16) /* the first show labels and borders */
		return false;
	return spot->kind != DIRT_PAIR_REPEAT ||
	       pairing_partners(&m->junctions[spot->node->junction].pairing, spot->node->left, number, partners) > 0;
}

static bool force_fault(struct model *m, enum dirt kind)
{
	struct chance chance = {mix(m->seed ^ (uint64_t)kind)};
	struct coll *c = draw_collection(m, kind, &chance);

	for (int tries = 0; c && tries < 64; tries++) {
		const struct spot *spot = &c->spots[kind].all[chance_below(&chance, c->spots[kind].n)];
		uint64_t number = chance_below(&chance, c->docs);
		if (!can_force(m, c, spot, number))
			continue;
		c->forced[c->nforced++] = (struct forced){number, spot};
		return true;
	}
	return false;
}

void gen_force_faults(struct model *m, double dirt)
{
	uint64_t total = 0, forced = 0;

	for (size_t i = 0; i < m->ncolls; i++)
		total += m->colls[i].docs;
	if (m->dirt == UINT64_MAX || dirt * (double)total < 2 * DIRT_COUNT)
		return; /* all, or so few that they are left to chance */
	for (int kind = 1; kind < DIRT_COUNT; kind++)
		forced += force_fault(m, (enum dirt)kind);
	m->dirt -= (uint64_t)((double)forced / (double)total * 18446744073709551616.0);
}

/* The spoilt value. */

static void put_wrong_type(struct gen *g, const struct leaf *l)
{
	size_t start;

	/* An id as a document may be a spelling that is accepted. */
	if (l->kind == VALUE_ID) {
		gen_bool(g, true);
		return;
	}
	gen_kind(g, BSON_K_DOCUMENT);
	start = gen_begin_document(g);
	gen_key(g, "unexpected", 10);
	gen_bool(g, true);
	gen_end_document(g, start);
}

static void put_bad_text(struct gen *g, const struct leaf *l, const char *text, size_t n)
{
	size_t start;

	if (l->kind == VALUE_TEXT) {
		gen_string(g, text, n);
		return;
	}
	gen_kind(g, BSON_K_DOCUMENT);
	start = gen_begin_document(g);
	gen_key(g, "text", 4);
	gen_string(g, text, n);
	gen_end_document(g, start);
}

static uint64_t power_of_ten(int n)
{
	uint64_t p = 1;

	for (; n > 0; n--)
		p *= 10;
	return p;
}

static void put_out_of_range(struct gen *g, const struct leaf *l)
{
	int scale = l->map->type.scale > 0 ? l->map->type.scale : 0;

	if (l->kind == VALUE_INSTANT)
		gen_date(g,
			 g->number % 2 ? INT64_C(9224318016000000) : -INT64_C(300000000000000)); /* 294277; 7537 BC */
	else if (l->kind == VALUE_DAY)
		gen_date(g, INT64_MAX - INT64_MAX % 86400000);
	else if (l->kind == VALUE_FLOAT)
		gen_double(g, 1e300);
	else if (l->kind == VALUE_NUMERIC)
		gen_decimal(g, false, power_of_ten(l->map->type.precision - scale), 0);
	else if (is_type(l, PGT_INT8))
		gen_double(g, 1e19);
	else
		gen_int64(g, is_type(l, PGT_INT4) ? INT64_C(2147483648) : 40000);
}

static void put_inexact(struct gen *g, const struct leaf *l)
{
	if (l->kind == VALUE_INSTANT || l->kind == VALUE_DAY)
		gen_date(g, 1500000000123);
	else if (is_type(l, PGT_FLOAT8))
		gen_int64(g, INT64_C(9007199254740993));
	else if (is_type(l, PGT_FLOAT4))
		gen_int64(g, 16777217);
	else if (l->kind == VALUE_NUMERIC)
		gen_decimal(g, false, 1, -(l->map->type.scale > 0 ? l->map->type.scale : 0) - 1);
	else
		gen_double(g, 0.5);
}

static void put_too_long(struct gen *g, const struct leaf *l)
{
	size_t n = is_type(l, PGT_NAME) ? 64 : (size_t)l->map->type.length + 1;

	buf_reset(&g->scratch);
	while (g->scratch.len < n)
		buf_putc(&g->scratch, 'x');
	gen_string(g, (const char *)g->scratch.data, n);
}

/* [v, [v]] */
static void put_odd_shape(struct gen *g, const struct leaf *l)
{
	struct chance chance = {mix(g->key ^ l->salt)};
	size_t outer, inner;

	gen_kind(g, BSON_K_ARRAY);
	outer = gen_begin_document(g);
	gen_index(g, 0);
	gen_scalar(g, g->coll, l, g->number + 16, &chance);
	gen_index(g, 1);
	gen_kind(g, BSON_K_ARRAY);
	inner = gen_begin_document(g);
	gen_index(g, 0);
	gen_scalar(g, g->coll, l, g->number + 17, &chance);
	gen_end_document(g, inner);
	gen_end_document(g, outer);
}

static void put_spoilt_value(struct gen *g, const struct leaf *l)
{
	const struct coll *target;

	switch (g->spot.kind) {
	case DIRT_TYPE:
		put_wrong_type(g, l);
		break;
	case DIRT_LABEL:
		gen_string(g, "no such label", 13);
		break;
	case DIRT_NUL:
		put_bad_text(g, l, "a\0b", 3);
		break;
	case DIRT_UTF8:
		put_bad_text(g, l, "\xC3(\xFF", 3);
		break;
	case DIRT_NULL:
		gen_null(g);
		break;
	case DIRT_ORPHAN:
		target = &g->m->colls[l->target];
		gen_id(g, target, target->docs + 1 + g->number);
		break;
	case DIRT_RANGE:
		put_out_of_range(g, l);
		break;
	case DIRT_INEXACT:
		put_inexact(g, l);
		break;
	case DIRT_TOO_LONG:
		put_too_long(g, l);
		break;
	case DIRT_FORMAT:
		gen_string(g, "not readable", 12);
		break;
	case DIRT_SHAPE:
		put_odd_shape(g, l);
		break;
	default:
		gen_null(g);
	}
}

static bool is_in_set(const struct unique_set *set, const struct leaf *l)
{
	for (size_t i = 0; i < set->nleaves; i++)
		if (set->leaves[i] == l)
			return true;
	return false;
}

/* node is NULL for the elements of an array, whose key is written already. */
bool gen_spoilt(struct gen *g, const struct node *node, const struct leaf *l)
{
	const struct spot *s = &g->spot;

	if (s->kind == DIRT_DUPLICATE && node && is_in_set(s->set, l)) {
		gen_key(g, node->key, node->key_len);
		gen_leaf(g, g->coll, l, g->donor, gen_document_key(g->coll, g->donor));
		return true;
	}
	if (s->kind == DIRT_NONE || s->kind == DIRT_DUPLICATE || s->leaf != l || !g->in_first)
		return false;
	if (s->kind == DIRT_MISSING)
		return true;
	if (node)
		gen_key(g, node->key, node->key_len);
	put_spoilt_value(g, l);
	return true;
}
