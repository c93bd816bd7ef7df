/* schema.h - a plain model of the target: types, tables, keys, indexes, constraints, and their SQL. No connection.
 *
 * Owned by whoever builds it (mapping/plan for an owned target; later the catalog reader); everything lives in the
 * arena that was given. Names are kept as they are and quoted when SQL is written.
 */
#ifndef DOCROW_SCHEMA_H
#define DOCROW_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "mem.h"

enum pgt { /* the types that docrow writes; the table in pgtype.c names them and gives their OIDs */
	   PGT_BOOL,
	   PGT_INT2,
	   PGT_INT4,
	   PGT_INT8,
	   PGT_FLOAT4,
	   PGT_FLOAT8,
	   PGT_NUMERIC,
	   PGT_TEXT,
	   PGT_VARCHAR,
	   PGT_CHAR,
	   PGT_NAME,
	   PGT_CITEXT,
	   PGT_UUID,
	   PGT_BYTEA,
	   PGT_DATE,
	   PGT_TIME,
	   PGT_TIMESTAMP,
	   PGT_TIMESTAMPTZ,
	   PGT_INTERVAL,
	   PGT_JSON,
	   PGT_JSONB,
	   PGT_INET,
	   PGT_VECTOR,
	   PGT_TSVECTOR, /* made by the server only: generated columns */
	   PGT_ENUM,
	   PGT_COUNT
};

struct pgtype {
	enum pgt base;
	bool array;            /* T[]                                                            */
	int dims;              /* as written: 0 for T, 1 for T[], 2 for T[][]                    */
	int length;            /* varchar(n), char(n), vector(n); -1 none                         */
	int precision;         /* numeric(p,s): p; timestamp(p), time(p): p; -1 none              */
	int scale;             /* numeric(p,s): s                                                */
	const char *enum_name; /* PGT_ENUM                                                       */
	int enum_index;        /* PGT_ENUM: into schema.enums, -1 until resolved                 */
	uint32_t oid;          /* of T (the element for arrays); 0 until resolved for non-built-in types */
	const char *domain;    /* name of a domain; the rest says what is below it; NULL: none   */
	int domain_dims;       /* dims that are the domain's own: 0 for D[] over T, 1 for D over T[] */
	bool domain_not_null;
};

#define PGTYPE_MAX_DIMS 6 /* of PostgreSQL's arrays */

/* Reads "timestamp(3)", "numeric(10, 2)", "text[]", "varchar(40)", any case, the usual aliases (int, int4, decimal,
 * "character varying", "double precision", "timestamp with time zone", ...). A name that is no built-in type becomes
 * PGT_ENUM with that name (enum names keep their case; may be double-quoted). False on malformed text. */
bool pgtype_parse(struct arena *a, const char *text, struct pgtype *out);
/* Appends the SQL name: timestamp(3), "taskStatus"[] (enum qualified by schema when schema is not NULL). */
void pgtype_sql(struct buf *out, const struct pgtype *t, const char *schema);
uint32_t pgt_oid(enum pgt t);     /* 0: not built in                                  */
const char *pgt_name(enum pgt t); /* "integer"                                        */

struct schema_enum {
	const char *name;
	const char **labels;
	size_t nlabels;
};

struct schema_domain {
	const char *name;
	struct pgtype type; /* below it; may be another domain's */
	bool not_null;
	const char *check; /* SQL over VALUE, or NULL */
};

struct schema_column {
	const char *name;
	struct pgtype type;
	bool not_null;
	const char *default_sql;   /* SQL expression or NULL                                       */
	const char *generated_sql; /* the server makes it by this expression; never copied; or NULL */
	bool no_source;            /* nothing feeds it: its default stands                */
	bool exact;                /* positions and what the mapping does not name: no other kind of type will do */
};

enum dup_policy { DUP_REJECT /* all but the lowest key */, DUP_FIRST, DUP_LAST };
enum orphan_policy { ORPHAN_REJECT, ORPHAN_NULL, ORPHAN_KEEP, ORPHAN_MOVE_TO, ORPHAN_STUB };

enum index_tier { INDEX_TIER_REFERENCE, INDEX_TIER_FILTER, INDEX_TIER_SEARCH };

struct schema_index {
	const char *name;
	const char **columns; /* names, in order; empty when expression is given                        */
	size_t ncolumns;
	const char *expression; /* raw SQL between the parentheses, or NULL                               */
	const char *method;     /* "btree", "gin", "hash"                                                 */
	const char *where;      /* raw SQL or NULL                                                        */
	bool unique;
	bool nulls_not_distinct; /* PostgreSQL 15 and later                                                */
	enum index_tier tier;
	enum dup_policy duplicates; /* unique indexes                                                      */
	const char *definition;     /* of a target that existed: the statements that make it again; else NULL */
	bool exclusive;             /* they lock the table against everybody                                  */
};

enum fk_action { FK_NO_ACTION, FK_RESTRICT, FK_CASCADE, FK_SET_NULL, FK_SET_DEFAULT };

struct schema_fkey {
	const char *name;
	const char *column;
	int ref_table; /* index into schema.tables */
	const char *ref_column;
	enum fk_action on_delete, on_update;
	const char *definition; /* of a target that existed: ALTER TABLE ... ADD ..., without NOT VALID; else NULL */
	const char *after;      /* what follows it ("; COMMENT ON ..."), or NULL                                 */
};

struct schema_table {
	const char *name;
	struct schema_column *columns;
	size_t ncolumns;
	int *primary_key; /* column indexes, in order */
	size_t nprimary_key;
	const char *primary_key_name; /* NULL: <table>_pkey */
	const char
		*primary_key_definition; /* of a target that existed: the statements that make it again; else NULL */
	struct schema_index *indexes;
	size_t nindexes;
	struct schema_fkey *fkeys;
	size_t nfkeys;
	const char *collection; /* whose documents its rows are (a child table: whose elements); NULL for junctions */
	const char **feeders;   /* where several feed it: all of them, `collection` the first                   */
	size_t nfeeders;
	int parent_table;   /* child tables: the table of the row above; -1                                     */
	int parent_column;  /* child tables: the column with its key; -1                                        */
	int ordinal_column; /* child tables: the column with the element's position; -1                        */
	enum dup_policy duplicates; /* of the primary key */
	int phase;                  /* that the mapping names, from 1, into schema.phases; 0: none */
	int id_column; /* number, from 1, of the column that _id feeds; 0: the primary key, if it is one column; -1:
			  none */
	const char *stage; /* where its rows wait while keys stay in force: quoted, qualified; NULL: in the table */
	bool has_others;   /* the table may hold rows that were there before                                  */
};

/* A reference whose orphans are settled: every foreign key but the ends of junctions, and references with a policy.
 */
struct schema_ref {
	int table, column;                    /* of the child                                       */
	int ref_table, ref_column;            /* of the parent                                      */
	int fkey;                             /* index into tables[table].fkeys, -1: no constraint  */
	enum orphan_policy policy, otherwise; /* otherwise: MOVE_TO when that table lacks it, too   */
	int move_to;                          /* MOVE_TO: column of the same table; -1              */
	int move_ref_table, move_ref_column;  /* what move_to's column refers to                    */
	bool no_null; /* REJECT only because the target's column takes no NULL, other than the mapping's */
};

/* A junction table made of pairs that are gathered raw in docrow.pairs_<index>: columns l and r (types of the ids),
 * side "char" 'L' or 'R' (which collection's array named the pair). */
enum pair_sides { PAIRS_UNION, PAIRS_INTERSECT, PAIRS_LEFT, PAIRS_RIGHT };
struct schema_junction {
	int table;
	int left_column, right_column;                  /* of the table                                       */
	int left_table, right_table;                    /* that the ends refer to                             */
	const char *left_collection, *right_collection; /* whose arrays feed it; NULL: no array on that side */
	enum pair_sides sides;
	enum orphan_policy if_orphan; /* REJECT: orphan pairs are left out; KEEP: kept, the key stays NOT VALID */
};

/* One COPY stream: a table's columns in this order, or (junction >= 0) raw pairs (l, r, side). */
struct schema_copy {
	int table;
	int junction;
	const int *columns;
	size_t ncolumns;
};

/* What a target that existed gets back beside its keys, indexes and plain foreign keys: foreign keys of other tables,
 * of several columns or not valid, exclusion constraints, triggers. */
struct schema_restore {
	const char *kind, *name; /* as in docrow.ddl                                         */
	int table, other_table;  /* that it touches, -1: none of ours                        */
	const char *table_name;
	const char *definition;
	const char *not_valid; /* of a valid foreign key, if rows break it; else NULL          */
	bool exclusive;        /* locks the table against everybody; else against writers    */
};

/* A foreign key in force that no reference stands for, or an end of a junction: rows of `table` need those of `other`
 * before them. */
struct schema_need {
	int table, other;
};

struct schema_grant {
	const char *role, *privileges;
};

struct schema {
	const char *name;  /* "public" */
	const char *owner; /* role or NULL */
	struct schema_grant *grants;
	size_t ngrants;
	struct schema_ref *refs;
	size_t nrefs;
	struct schema_junction *junctions;
	size_t njunctions;
	struct schema_enum *enums;
	size_t nenums;
	struct schema_domain *domains; /* one over another stands behind it */
	size_t ndomains;
	struct schema_table *tables;
	size_t ntables;
	struct schema_restore *restores;
	size_t nrestores;
	const char **phases; /* names, in the order of loading */
	size_t nphases;
	struct schema_need *needs;
	size_t nneeds;
};

/* The collection whose documents (elements) all rows of the table are; NULL: several feed it, or none. */
const char *schema_feeder(const struct schema_table *t);
int schema_find_table(const struct schema *s, const char *name);        /* -1: none */
int schema_find_column(const struct schema_table *t, const char *name); /* -1: none */
bool schema_in_key(const struct schema_table *t, int column);           /* the primary one */
int schema_find_enum(const struct schema *s, const char *name);         /* -1: none */

/* Bytes that a row takes at least in its page: with a value in every column, or in those only that take no NULL.
 * Values that can be stored elsewhere count as one byte. Columns of unknown types count nothing. */
#define SCHEMA_ROW_MAX 8160
size_t schema_row_bytes(const struct schema_table *t, bool not_null_only);

/* SQL text. Each appends one statement without a semicolon, every name quoted and qualified. */
void sql_ident(struct buf *out, const char *name);   /* "a""b"            */
void sql_literal(struct buf *out, const char *text); /* 'it''s', E'' where a backslash stands */
/* base + suffix; when that is longer than a name may be, base is cut at a character and a hash of it put in between.
 */
#define SCHEMA_NAME_MAX 63 /* bytes */
void schema_derived_name(struct buf *out, const char *base, const char *suffix);
void sql_table(struct buf *out, const struct schema *s, const struct schema_table *t); /* "public"."Users" */
/* Where the table's rows are at the moment: its stage, or the table itself. */
void sql_rows(struct buf *out, const struct schema *s, const struct schema_table *t);
void schema_sql_enum(struct buf *out, const struct schema *s, const struct schema_enum *e);
void schema_sql_domain(struct buf *out, const struct schema *s, const struct schema_domain *d);
void schema_sql_table(struct buf *out, const struct schema *s,
		      const struct schema_table *t); /* columns, NOT NULL, defaults; no keys */
/* The constraint's name, unquoted: the mapping's, or the one that PostgreSQL would give. */
void schema_primary_key_name(struct buf *out, const struct schema_table *t);
void schema_sql_primary_key(struct buf *out, const struct schema *s, const struct schema_table *t);
void schema_sql_index(struct buf *out, const struct schema *s, const struct schema_table *t,
		      const struct schema_index *i);
void schema_sql_fkey(struct buf *out, const struct schema *s, const struct schema_table *t,
		     const struct schema_fkey *f, bool not_valid);
const char *fk_action_sql(enum fk_action a);

/* The order of loading, from the foreign keys: phases, the mapping's or computed ones ("lookups", "level 2",
 * "unconnected", "junctions"), and in them steps. A table's step is above those of all tables that it refers to,
 * those of its own circle excepted; its phase is never before theirs. A child table goes with the one above it: both
 * are made of the same documents. Where foreign keys stay in force while rows are loaded, a step is a barrier.
 *
 * Lives in the arena; asked of the schema as it is then, so after sink_existing's changes by the catalog's keys. */
struct schema_phase {
	const char *name;
	const int *tables; /* in the order of their steps */
	size_t ntables;
};
struct schema_order {
	struct schema_phase *phases;
	size_t nphases;
	int nsteps;
	const int *phase;     /* by table: into phases                                                         */
	const int *step;      /* by table: 0 to nsteps - 1                                                     */
	const int *component; /* by table: one number for a table, its child tables and all in a circle with it */
	const bool *circle;   /* by table: it is in a circle of several; a reference to its own rows makes none */
};
struct schema_order schema_order(const struct schema *s, struct arena *a);

#endif
