/* sink_catalog.h - the target's catalog as a plain model: tables, columns, types, and everything that hangs on them.
 *
 * Reads only, a handful of queries whatever the number of tables. Every name in the SQL that comes back is qualified,
 * so it can be run under any search_path. Strings live in the arena that was given. Not thread-safe.
 */
#ifndef DOCROW_SINK_CATALOG_H
#define DOCROW_SINK_CATALOG_H

#include "pg.h"
#include "schema.h"

struct catalog_column {
	const char *name;
	struct pgtype type;    /* of a domain: what it stands on; base PGT_COUNT: none that docrow writes */
	const char *type_sql;  /* as the server writes it                                                 */
	const char *collation; /* its own, quoted; NULL: its type's                                      */
	bool not_null, has_default;
	bool is_domain, domain_not_null; /* of this type, and whose NOT NULL it is                   */
	bool is_identity;
	bool generated; /* GENERATED ALWAYS AS (...) STORED or VIRTUAL: takes no value             */
	bool identity_always;
};

struct catalog_table {
	const char *name;
	char kind;               /* pg_class.relkind; 0: there is no such relation               */
	const char *owner;       /* quoted                                                       */
	bool is_owner;           /* the role has the owner's rights                              */
	bool may_write;          /* SELECT, INSERT, UPDATE, DELETE, TRUNCATE                     */
	bool row_security;       /* its policies hold for the role, too                          */
	bool is_part, has_parts; /* of partitioning or inheritance                               */
	bool published;          /* in a publication                                             */
	bool unlogged;           /* a crash of the server empties it                             */
	struct catalog_column *columns;
	size_t ncolumns;
};

enum catalog_kind {
	CATALOG_PRIMARY_KEY,
	CATALOG_UNIQUE, /* constraint or index */
	CATALOG_INDEX,
	CATALOG_EXCLUSION,
	CATALOG_FOREIGN_KEY,
	CATALOG_TRIGGER,
	CATALOG_KIND_COUNT
};
const char *catalog_kind_name(enum catalog_kind k); /* "primary key", as in docrow.ddl.kind */

/* A key, index, foreign key or trigger that can be taken away and made again. */
struct catalog_object {
	enum catalog_kind kind;
	const char *name;
	int table;              /* that it belongs to; -1: none of those asked for                    */
	const char *table_name; /* as in docrow.ddl: qualified when it is of another schema            */
	const char *definition; /* statements that make it again, with all that it carries            */
	const char *after;      /* foreign keys: what follows NOT VALID; else NULL                    */
	const char *drop;       /* statement that takes it away; triggers: that switches it off       */
	const char **columns;   /* keys and indexes: of the key, in order; foreign keys: of the child */
	size_t ncolumns;
	const char *expression; /* of the whole key, when it is not columns alone                     */
	const char *where, *method;
	bool is_constraint, exclusive, nulls_not_distinct;
	int ref_table; /* foreign keys; -1: none of those asked for                          */
	const char **ref_columns;
	size_t nref_columns;
	enum fk_action on_delete, on_update;
	bool plain;          /* foreign keys: one column, valid, enforced, between tables asked for */
	const char *trouble; /* why it cannot be taken away or made again, or NULL                 */
};

struct catalog_enum {
	uint32_t oid;
	const char *name, *schema; /* as the server writes them */
	const char **labels;
	size_t nlabels;
};

struct catalog {
	struct catalog_table *tables; /* as asked for */
	size_t ntables;
	struct catalog_enum *enums;
	size_t nenums;
	struct catalog_object *objects; /* keys first, then indexes, foreign keys, triggers */
	size_t nobjects;
};

/* What the catalog says of the tables of `s` (by name, in its schema). In the caller's transaction. */
bool catalog_read(struct pg *pg, const struct schema *s, struct arena *a, struct catalog *out,
		  struct err *err) MUST_CHECK;
/* The same, but the objects are those that docrow.ddl has of this run, whether they are there at the moment or not.
 */
bool catalog_read_recorded(struct pg *pg, const struct schema *s, int64_t run, struct arena *a, struct catalog *out,
			   struct err *err) MUST_CHECK;
/* Writes the objects that are there now into docrow.ddl, state 'taken' (with `keep` all but triggers 'kept'), and a
 * row of kind 'table' for each table. In the transaction that takes them away, under locks on the tables. */
bool catalog_record(struct pg *pg, const struct schema *s, int64_t run, bool triggers, bool keep,
		    struct err *err) MUST_CHECK;

#endif
