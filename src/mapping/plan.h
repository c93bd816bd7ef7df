/* plan.h - the mapping compiled: what convert, sink and engine work from. Constant after plan_resolve.
 *
 * The target as a schema (all tables of entities, children and junctions), per collection a tree of the paths that
 * are wanted (each a slot), and per output the columns with the slot and policies that feed them.
 */
#ifndef DOCROW_PLAN_H
#define DOCROW_PLAN_H

#include "mapping.h"
#include "schema.h"

/* A node of the tree of wanted paths. Children are in the mapping's order. */
struct plan_node {
	const char *key;
	uint32_t key_len;
	int slot;  /* value of this path is wanted in this slot; -1: no          */
	int scope; /* >= 0: an array whose elements feed plan_scope `scope`; -1  */
	struct plan_node **children;
	size_t nchildren;
};

enum plan_feed { /* where a column's value comes from */
		 PLAN_FEED_SLOT,
		 PLAN_FEED_ID,       /* _id by the collection's id rule                                     */
		 PLAN_FEED_PARENT,   /* child tables: the key of the row above                              */
		 PLAN_FEED_ORDINAL,  /* child tables: the element's position                                */
		 PLAN_FEED_ROW_KEY,  /* child tables: made of the key of the row above and the position     */
		 PLAN_FEED_UNMAPPED, /* unmapped: keep                                                      */
		 PLAN_FEED_NOTHING,  /* NULL (or the column's default) always: no source                    */
		 PLAN_FEED_VALUE     /* a constant: map->value, compiled as the literal of if_missing       */
};

struct plan_value { /* map_value compiled; a chain */
	enum map_value_kind kind;
	const char *literal;
	int slot; /* MAP_VALUE_PATH */
	const struct plan_value *otherwise;
};

struct plan_column {
	const struct map_column *map;       /* policies; NULL for PARENT, ORDINAL, ROW_KEY and UNMAPPED */
	const struct map_child *child;      /* ROW_KEY: its array's path is part of what keys are made of */
	const struct schema_column *column; /* of the table                                       */
	enum plan_feed feed;
	int slot;
	bool is_reference;   /* converts as an _id does (the referred collection's rule) */
	enum map_id id_rule; /* for PLAN_FEED_ID and references                    */
	enum map_uuid_order uuid_order;
	struct plan_value if_missing, if_null, if_invalid;
	const char *path_text; /* "address.city", for messages                      */
};

enum plan_output_kind { PLAN_OUTPUT_MAIN, PLAN_OUTPUT_CHILD, PLAN_OUTPUT_PAIRS };

/* One stream of rows that a collection's documents feed. outputs[0] is MAIN. */
struct plan_output {
	enum plan_output_kind kind;
	struct schema_copy copy;     /* table, junction (PAIRS) and columns                */
	bool left;                   /* PAIRS: this collection is the left side            */
	int scope;                   /* MAIN: 0; CHILD, PAIRS: the array's scope           */
	enum map_unmapped unmapped;  /* fields that no column takes; PAIRS: reported       */
	bool unmapped_here;          /* said at this collection or child                   */
	struct plan_column *columns; /* as copy.columns; PAIRS: none (l, r, side by the junction's rules) */
	size_t ncolumns;
};

/* The document itself (scope 0) or an array whose elements are walked one by one. Slots are numbered within a scope.
 */
struct plan_scope {
	int parent;                   /* scope above; -1 for scope 0                        */
	const struct plan_node *root; /* tree of paths inside the document or element       */
	int nslots;                   /* slot of the element itself: element_slot           */
	int element_slot;             /* -1: not wanted                                     */
	int slot;                     /* slot of the array in the parent scope              */
	const char *path_text;        /* "watchers"                                         */
	int *outputs;                 /* outputs fed by this scope                          */
	size_t noutputs;
};

struct plan_collection {
	const struct map_collection *map;
	const char *name;   /* of the entry: in the state, the account, rejects; what the source is asked for */
	const char *source; /* the collection in MongoDB                                          */
	struct plan_scope *scopes;
	size_t nscopes;
	struct plan_output *outputs;
	size_t noutputs;
	int id_slot; /* slot of _id in scope 0                             */
	enum map_id id_rule;
	unsigned id_accept;     /* accept words of the key column, for every column that takes the key */
	struct pgtype key_type; /* of the key that _id becomes                        */
};

struct plan_junction { /* beside schema.junctions[same index] */
	const struct map_junction *map;
	int left_collection, right_collection; /* plan.collections; -1 if that side keeps no array  */
	struct pgtype left_type, right_type;   /* types of the ids                                   */
	enum map_id left_rule, right_rule;
};

struct plan_names {
	const char **list;
	size_t n;
};

struct plan {
	const struct mapping *mapping;
	struct schema schema;
	/* What a run that moves a part of the mapping leaves out: collections; foreign keys of its tables to tables
	 * that are not made ("Tasks.account -> crm_Accounts"); junctions one end of which is not made. */
	struct plan_names left_out, left_keys, left_junctions;
	struct plan_collection *collections; /* in the mapping's order */
	size_t ncollections;
	struct plan_junction *junctions;
	size_t njunctions;
	const char *warnings; /* "file:line:column: warning: text", one a line; "" when there are none */
	struct arena *arena;
};

/* Another schema for the tables than the mapping's: the target's address may name one. NULL changes nothing. */
void plan_use_schema(struct plan *p, const char *name);

/* Everything that can be known without a server; errors as mapping_load reports them. Borrows m. */
bool plan_build(struct plan **p, const struct mapping *m, struct buf *report, struct err *err) MUST_CHECK;
/* The plan of a part: `left_out` as plan_choose wrote it (NULL or "": nothing is left out). Tables that only
 * collections left out feed are not made; what refers to them is left out, too, and named in the plan. */
bool plan_build_part(struct plan **p, const struct mapping *m, const char *left_out, struct buf *report,
		     struct err *err) MUST_CHECK;
/* --only and --skip: patterns (with *, ? and [...]), parted by commas, each matched with the names of collections.
 * Appends the names of what they leave out, one a line in the mapping's order: the form in which a run keeps it. A
 * pattern that matches nothing, or patterns that leave nothing, are errors. */
bool plan_choose(const struct mapping *m, const char *const *only, size_t nonly, const char *const *skip,
		 size_t nskip, struct buf *left_out, struct err *err) MUST_CHECK;
void plan_free(struct plan *p);
/* After the schema's columns took the types of a target that existed (sink_existing.h), before the first use. */
void plan_adapt(struct plan *p);
/* Index of a collection by name, -1. */
int plan_find_collection(const struct plan *p, const char *name);

/* Of a collection whose entries take parts of it by `where`: their names into `names` (room for ncollections; NULL:
 * only the number), told for the first of its entries. 0: for the others, and where no entry has a where. */
size_t plan_parts(const struct plan *p, size_t collection, const char **names);

/* Do both make the same target from the same paths: types, tables, columns, keys, indexes, references and what feeds
 * them? Policies (if_missing, accept, if_orphan, unmapped: report or reject ...) may differ. False: what differs in
 * lines
 * "- as in a", "+ as in b". */
bool plan_same_structure(const struct plan *a, const struct plan *b, struct buf *report);

/* Text for people, appended to out: tables with their columns, what feeds them and by which policies, keys, indexes
 * and foreign keys. */
void mapping_show(struct buf *out, const struct plan *p);
/* The phases of loading: tables in the order that the foreign keys ask for. */
void mapping_show_phases(struct buf *out, const struct plan *p);
/* The same as JSON: {"phases":[{"phase":1,"name":"lookups","steps":[["a","b"],["c"]]}]}. */
void mapping_show_phases_json(struct buf *out, const struct plan *p);
/* "29 collections, 10 junctions, 39 tables, 410 columns, 135 indexes, 52 foreign keys". */
void mapping_show_totals(struct buf *out, const struct plan *p);

#endif
