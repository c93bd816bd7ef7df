/* map_yaml.c - YAML text into libyaml's document tree, with its shape checked.
 *
 * After map_yaml_load has said true every node can be walked without care: no cycle, and bounded depth and number of
 * nodes once aliases are followed. A second document, a key that stands twice or is no scalar, tags and U+0000 are
 * complained about, but do not stand in the way of finding more errors.
 */
#include <stdlib.h>

#include "map_private.h"
#include "text.h"

static int line_of(const yaml_node_t *n)
{
	return (int)n->start_mark.line + 1;
}

static int col_of(const yaml_node_t *n)
{
	return (int)n->start_mark.column + 1;
}

static void complain_parser(const yaml_parser_t *p, struct complaints *c)
{
	const char *problem = p->problem != NULL ? p->problem : "not readable";
	if (p->error == YAML_READER_ERROR) {
		complain(c, 0, 0, "not YAML: %s, at byte %zu", problem, p->problem_offset);
		return;
	}
	const char *context = p->context != NULL ? p->context : "";
	complain(c, (int)p->problem_mark.line + 1, (int)p->problem_mark.column + 1, "not YAML: %s%s%s", problem,
		 context[0] != '\0' ? ", " : "", context);
}

/* ---- walk: what the reader relies on ---- */

struct walk {
	yaml_document_t *doc;
	struct complaints *c;
	bool *open; /* by node id: on the way from the root to here */
	bool *seen; /* by node id: told about already                */
	size_t visited;
	bool stop;
};

static bool tag_is(const yaml_node_t *n, const char *tag)
{
	return n->tag == NULL || strcmp((const char *)n->tag, tag) == 0;
}

static void check_node(struct walk *w, const yaml_node_t *n)
{
	const char *plain = n->type == YAML_SCALAR_NODE     ? YAML_STR_TAG
			    : n->type == YAML_SEQUENCE_NODE ? YAML_SEQ_TAG
							    : YAML_MAP_TAG;
	if (!tag_is(n, plain))
		complain(w->c, line_of(n), col_of(n), "tags (%s) are not supported", (const char *)n->tag);
	if (n->type == YAML_SCALAR_NODE && memchr(n->data.scalar.value, 0, n->data.scalar.length) != NULL)
		complain(w->c, line_of(n), col_of(n), "the text holds U+0000");
}

struct yaml_key {
	const yaml_node_t *node;
	size_t order;
};

static int by_key(const void *a, const void *b)
{
	const struct yaml_key *x = a, *y = b;
	size_t nx = x->node->data.scalar.length, ny = y->node->data.scalar.length;
	if (nx != ny)
		return nx < ny ? -1 : 1;
	int d = memcmp(x->node->data.scalar.value, y->node->data.scalar.value, nx);
	if (d != 0)
		return d;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool same_key(const yaml_node_t *x, const yaml_node_t *y)
{
	return x->data.scalar.length == y->data.scalar.length &&
	       memcmp(x->data.scalar.value, y->data.scalar.value, x->data.scalar.length) == 0;
}

static void check_keys(struct walk *w, const yaml_node_t *n)
{
	size_t npairs = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start), nkeys = 0;
	struct yaml_key *keys = mem_alloc((npairs + 1) * sizeof *keys);
	for (size_t i = 0; i < npairs; i++) {
		const yaml_node_t *k = yaml_document_get_node(w->doc, n->data.mapping.pairs.start[i].key);
		if (k->type != YAML_SCALAR_NODE)
			complain(w->c, line_of(k), col_of(k), "a key must be a text");
		else if (strcmp((const char *)k->data.scalar.value, "<<") == 0 &&
			 k->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
			complain(w->c, line_of(k), col_of(k),
				 "merge keys (<<) are not supported; use policies, or an alias for a whole value");
		else
			keys[nkeys++] = (struct yaml_key){k, i};
	}
	qsort(keys, nkeys, sizeof *keys, by_key);
	for (size_t i = 1; i < nkeys; i++)
		if (same_key(keys[i - 1].node, keys[i].node))
			complain(w->c, line_of(keys[i].node), col_of(keys[i].node),
				 "key \"%s\" stands twice, first in line %d",
				 (const char *)keys[i].node->data.scalar.value, line_of(keys[i - 1].node));
	free(keys);
}

static void walk_node(struct walk *w, int id, int depth);

static void walk_children(struct walk *w, const yaml_node_t *n, int depth)
{
	if (n->type == YAML_SEQUENCE_NODE) {
		for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++)
			walk_node(w, *i, depth);
	} else if (n->type == YAML_MAPPING_NODE) {
		for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
			walk_node(w, p->key, depth);
			walk_node(w, p->value, depth);
		}
	}
}

static void walk_stop(struct walk *w, const yaml_node_t *n, const char *why)
{
	complain(w->c, line_of(n), col_of(n), "%s", why);
	w->stop = true;
}

static void walk_node(struct walk *w, int id, int depth)
{
	const yaml_node_t *n = yaml_document_get_node(w->doc, id);
	if (w->stop)
		return;
	if (w->open[id])
		walk_stop(w, n, "an alias stands inside what it repeats");
	else if (depth > MAP_DEPTH_MAX)
		walk_stop(w, n, "nested too deeply");
	else if (++w->visited > MAP_NODES_MAX)
		walk_stop(w, n, "aliases make the file too large");
	if (w->stop)
		return;
	if (!w->seen[id]) {
		w->seen[id] = true;
		check_node(w, n);
		if (n->type == YAML_MAPPING_NODE)
			check_keys(w, n);
	}
	w->open[id] = true;
	walk_children(w, n, depth + 1);
	w->open[id] = false;
}

/* False when the tree cannot be walked at all. */
static bool check_shape(yaml_document_t *doc, struct complaints *c)
{
	size_t nnodes = (size_t)(doc->nodes.top - doc->nodes.start) + 1;
	struct walk w = {.doc = doc, .c = c, .open = mem_zalloc(nnodes), .seen = mem_zalloc(nnodes)};
	walk_node(&w, 1, 0);
	free(w.open);
	free(w.seen);
	return !w.stop;
}

/* ---- load ---- */

static void check_single(yaml_parser_t *p, struct complaints *c)
{
	yaml_document_t next;
	if (!yaml_parser_load(p, &next)) {
		complain_parser(p, c);
		return;
	}
	const yaml_node_t *root = yaml_document_get_root_node(&next);
	if (root != NULL)
		complain(c, line_of(root), col_of(root), "a mapping is one YAML document; a second one starts here");
	yaml_document_delete(&next);
}

static bool check_text(const char *text, size_t len, struct complaints *c)
{
	size_t at = 0;
	if (len > MAP_FILE_MAX)
		complain(c, 0, 0, "the file has %zu bytes, at most %u are read", len, MAP_FILE_MAX);
	else if (utf8_check(text, len, &at) == UTF8_BAD)
		complain(c, 0, 0, "not YAML: not valid UTF-8, at byte %zu", at);
	return c->n == 0;
}

static bool load_document(yaml_parser_t *p, yaml_document_t *doc, struct complaints *c)
{
	if (!yaml_parser_load(p, doc)) {
		complain_parser(p, c);
		return false;
	}
	const yaml_node_t *root = yaml_document_get_root_node(doc);
	bool ok = false;
	if (root == NULL)
		complain(c, 0, 0, "the file is empty");
	else if (root->type != YAML_MAPPING_NODE)
		complain(c, line_of(root), col_of(root), "a mapping is keys and values, starting with \"docrow: 1\"");
	else
		ok = check_shape(doc, c);
	if (ok)
		check_single(p, c);
	else
		yaml_document_delete(doc);
	return ok;
}

/* Nesting is measured on events, before libyaml makes a document: its time grows with the square of the depth. */
static bool follow_depth(const yaml_event_t *e, int *depth, struct complaints *c)
{
	if (e->type == YAML_SEQUENCE_START_EVENT || e->type == YAML_MAPPING_START_EVENT)
		++*depth;
	else if (e->type == YAML_SEQUENCE_END_EVENT || e->type == YAML_MAPPING_END_EVENT)
		--*depth;
	if (*depth <= MAP_DEPTH_MAX)
		return true;
	complain(c, (int)e->start_mark.line + 1, (int)e->start_mark.column + 1, "nested too deeply");
	return false;
}

static bool check_depth(yaml_parser_t *p, struct complaints *c)
{
	int depth = 0;
	for (bool at_end = false; !at_end;) {
		yaml_event_t e;
		if (!yaml_parser_parse(p, &e)) {
			complain_parser(p, c);
			return false;
		}
		at_end = e.type == YAML_STREAM_END_EVENT || e.type == YAML_DOCUMENT_END_EVENT;
		bool ok = follow_depth(&e, &depth, c);
		yaml_event_delete(&e);
		if (!ok)
			return false;
	}
	return true;
}

static bool with_parser(const char *text, size_t len, struct complaints *c, yaml_document_t *doc)
{
	yaml_parser_t p;
	if (!yaml_parser_initialize(&p)) {
		complain(c, 0, 0, "no memory for the YAML reader");
		return false;
	}
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	bool ok = doc != NULL ? load_document(&p, doc, c) : check_depth(&p, c);
	yaml_parser_delete(&p);
	return ok;
}

bool map_yaml_load(yaml_document_t *doc, const char *text, size_t len, struct complaints *c)
{
	return check_text(text, len, c) && with_parser(text, len, c, NULL) && with_parser(text, len, c, doc);
}
