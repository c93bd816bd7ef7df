/* document.c - one whole document: the tree of fields walked once, the document's fault on the way. */
#include "extjson.h"
#include "id.h"
#include "synth_private.h"
#include "text.h"

static void put_node(struct gen *g, const struct node *node, uint64_t number, uint64_t key);

void gen_init(struct gen *g, const struct model *m)
{
	*g = (struct gen){.m = m};
	buf_init(&g->out, 0);
	buf_init(&g->faults, 0);
	buf_init(&g->scratch, 0);
}

void gen_free(struct gen *g)
{
	buf_free(&g->out);
	buf_free(&g->faults);
	buf_free(&g->scratch);
}

static void put_field(struct gen *g, const struct node *node, uint64_t number, uint64_t key)
{
	bool twice = g->spot.kind == DIRT_DUPLICATE_KEY && g->spot.node == node;
	enum presence presence;

	if (gen_spoilt(g, node, node->leaf))
		return;
	presence = twice ? PRESENT : gen_leaf_presence(g->m, g->coll, node->leaf, number, key);
	if (presence == ABSENT)
		return;
	for (int times = twice ? 2 : 1; times > 0; times--) {
		gen_key(g, node->key, node->key_len);
		if (presence == IS_NULL)
			gen_null(g);
		else
			gen_leaf(g, g->coll, node->leaf, number, key);
	}
}

static void put_children(struct gen *g, const struct node *node, uint64_t number, uint64_t key)
{
	size_t start;

	gen_kind(g, BSON_K_DOCUMENT);
	start = gen_begin_document(g);
	for (size_t i = 0; i < node->nchildren; i++)
		put_node(g, node->children[i], number, key);
	gen_end_document(g, start);
}

/* Whether the document's fault lies in this array. */
static bool holds_spot(const struct gen *g, const struct node *array)
{
	const struct node *n = g->spot.leaf ? g->spot.leaf->array : NULL;

	while (n && n != array)
		n = n->around;
	return n != NULL;
}

static void put_element(struct gen *g, const struct node *node, uint64_t number, uint64_t key)
{
	if (node->nchildren > 0)
		put_children(g, node, number, key);
	else if (!node->leaf)
		gen_null(g);
	else if (!gen_spoilt(g, NULL, node->leaf))
		gen_leaf(g, g->coll, node->leaf, number, key);
}

/* Sub-documents, or single values that have a table of their own. */
static void put_elements(struct gen *g, const struct node *node, uint64_t number, uint64_t key)
{
	uint64_t chance = mix(key ^ node->salt), n = number < 4 ? number : below(chance, 4);
	bool was_first = g->in_first;
	size_t start;

	if (n == 0 && was_first && holds_spot(g, node))
		n = 1;
	if (n == 0 && number % 2 == 1)
		return; /* left out, not empty */
	gen_key(g, node->key, node->key_len);
	gen_kind(g, BSON_K_ARRAY);
	start = gen_begin_document(g);
	for (unsigned i = 0; i < n; i++) {
		g->in_first = was_first && i == 0;
		gen_index(g, i);
		put_element(g, node, number * 16 + i, mix(chance + i));
	}
	g->in_first = was_first;
	gen_end_document(g, start);
}

/* The spoilt element of a link list, after the good ones. */
static void put_bad_pair(struct gen *g, const struct node *node, const struct coll *other, const uint64_t *partners,
			 unsigned n)
{
	gen_index(g, n);
	switch (g->spot.kind) {
	case DIRT_ELEMENT_NULL:
		gen_null(g);
		break;
	case DIRT_ELEMENT_INVALID:
		gen_bool(g, true); /* a text could be an id */
		break;
	case DIRT_PAIR_REPEAT:
		gen_id(g, other, partners[0]);
		break;
	case DIRT_PAIR_ONE_SIDED:
		gen_id(g, other, g->donor);
		break;
	default:
		gen_id(g, other, other->docs + 1 + g->number);
	}
	(void)node;
}

static void put_pairs(struct gen *g, const struct node *node)
{
	const struct junction *j = &g->m->junctions[node->junction];
	const struct coll *other = &g->m->colls[node->left ? j->right : j->left];
	uint64_t partners[PAIR_MOST];
	size_t n = pairing_partners(&j->pairing, node->left, g->number, partners), start;
	struct chance chance = {mix(g->key ^ node->salt)};
	bool is_spot = g->spot.node == node;

	if (n == 0 && !is_spot && chance_next(&chance) % 4 == 0)
		return;
	gen_key(g, node->key, node->key_len);
	gen_kind(g, BSON_K_ARRAY);
	start = gen_begin_document(g);
	for (size_t i = 0; i < n; i++) {
		uint8_t oid[12];
		char hex[25];
		gen_index(g, (unsigned)i);
		if (other->id_kind == ID_OBJECTID && (node->accept & MAP_ACCEPT_HEX_ID) &&
		    chance_next(&chance) % 64 == 0) {
			gen_id_objectid(other, partners[i], oid);
			id_objectid_format(oid, hex);
			gen_string(g, hex, 24);
		} else {
			gen_id(g, other, partners[i]);
		}
	}
	if (is_spot)
		put_bad_pair(g, node, other, partners, (unsigned)n);
	gen_end_document(g, start);
}

static void put_node(struct gen *g, const struct node *node, uint64_t number, uint64_t key)
{
	switch (node->kind) {
	case NODE_LEAF:
		if (node->leaf)
			put_field(g, node, number, key);
		break;
	case NODE_DOCUMENT:
		gen_key(g, node->key, node->key_len);
		put_children(g, node, number, key);
		break;
	case NODE_ARRAY:
		put_elements(g, node, number, key);
		break;
	case NODE_PAIRS:
		put_pairs(g, node);
		break;
	case NODE_ID:
		gen_key(g, node->key, node->key_len);
		gen_id(g, g->coll, number);
		break;
	}
}

static const char *spot_path(const struct spot *s)
{
	if (s->kind == DIRT_UNMAPPED)
		return "zz_unmapped";
	return s->leaf ? s->leaf->path : s->node->path;
}

/* The line of the list of faults; the document starts at `start`. */
static void list_fault(struct gen *g, size_t start)
{
	struct doc_iter it;
	struct field f;
	char hex[25];
	size_t n;
	const char *text;

	g->nfaults++;
	text_escape(&g->faults, g->coll->name, strlen(g->coll->name));
	buf_putc(&g->faults, '\t');
	if (doc_iter_init(&it, g->out.data + start, g->out.len - start) && doc_iter_next(&it, &f)) {
		if (f.val.kind == BSON_K_OBJECTID) {
			id_objectid_format(f.val.data, hex);
			buf_puts(&g->faults, hex);
		} else if (f.val.kind == BSON_K_STRING) {
			text = val_text(&f.val, &n);
			text_escape(&g->faults, text, n);
		} else {
			extjson_write_val_safe(&g->faults, &f.val);
		}
	}
	buf_putc(&g->faults, '\t');
	text_escape(&g->faults, spot_path(&g->spot), strlen(spot_path(&g->spot)));
	buf_putc(&g->faults, '\t');
	buf_puts(&g->faults, synth_fault_name((size_t)g->spot.kind - 1));
	buf_putc(&g->faults, '\n');
}

void gen_document(struct gen *g, const struct coll *c, uint64_t number)
{
	size_t start = g->out.len;

	g->coll = c;
	g->number = number;
	g->key = gen_document_key(c, number);
	g->in_first = true;
	g->spot = (struct spot){0};
	if (g->m->dirt > 0 && gen_is_dirty(g->m, c, number))
		gen_spot_draw(g);
	gen_begin_document(g);
	for (size_t i = 0; i < c->root->nchildren; i++)
		put_node(g, c->root->children[i], number, g->key);
	if (g->spot.kind == DIRT_UNMAPPED) {
		gen_key(g, "zz_unmapped", 11);
		gen_string(g, "no column takes this", 20);
	}
	gen_end_document(g, start);
	if (g->spot.kind != DIRT_NONE)
		list_fault(g, start);
}
