/* ledger.h - the one list of what is counted, and a small table of counts.
 *
 * A worker counts while it works on one chunk or step; the counts are committed on that chunk's or step's own row
 * (jsonb, non-zero only) in the same transaction as the rows; the view docrow.ledger sums them. Nothing is counted
 * anywhere else.
 *
 * Entry = (kind, object, path, n). object is a collection or a table, path a document path, a column or a fault.
 */
#ifndef DOCROW_LEDGER_H
#define DOCROW_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* X(NAME, name, object, path, sentence) */
#define LEDGER_KINDS(X)                                                                                              \
	X(READ, "read", "collection", "", "documents read")                                                          \
	X(BYTES, "bytes", "collection", "", "bytes of documents read")                                               \
	X(SOURCE, "source", "collection", "", "documents in the source by its own exact count, after the copy")      \
	X(WHOLE, "whole", "source", "",                                                                              \
	  "documents of a collection of which entries take parts, by the source's count")                            \
	X(LEFT_OUT, "left_out", "source", "", "documents that no where takes")                                       \
	X(SHARED, "shared", "source", "", "documents taken by a further entry, beyond the first")                    \
	X(ROWS, "rows", "table", "", "rows loaded")                                                                  \
	X(REJECT, "reject", "collection", "fault", "documents rejected on reading")                                  \
	X(REJECT_ROW, "reject_row", "table", "fault", "rows taken out while settling")                               \
	X(REJECT_ELEMENT, "reject_element", "table", "fault", "array elements rejected")                             \
	X(RETRIED, "retried", "collection", "fault", "documents rejected on reading that docrow retry loaded")       \
	X(RETRIED_ROW, "retried_row", "table", "fault", "rows taken out while settling that docrow retry put back")  \
	X(RETRIED_ELEMENT, "retried_element", "table", "fault", "rejected array elements that docrow retry loaded")  \
	X(CHILD_OF_REJECT, "child_of_reject", "table", "", "child rows taken out with their parent")                 \
	X(DROPPED, "dropped", "table", "key", "rows dropped by a duplicate policy")                                  \
	X(BEFORE, "before", "table", "", "rows that were in the table before the run")                               \
	X(SKIPPED, "skipped", "table", "", "rows left out, since they were there before the run")                    \
	X(REPLACED, "replaced", "table", "", "rows that were there before the run and were replaced")                \
	X(STUB, "stub", "table", "column", "rows made to stand in for a missing parent")                             \
	X(STUB_FILLED, "stub_filled", "table", "", "stand-ins that became the real row by docrow retry")             \
	X(UNMAPPED, "unmapped", "collection", "path", "values of fields that the mapping does not name")             \
	X(KEPT, "kept", "collection", "path", "values of fields that the mapping does not name, put into a column")  \
	X(DEFAULT_MISSING, "default_missing", "table", "column", "missing fields filled by if_missing")              \
	X(DEFAULT_NULL, "default_null", "table", "column", "null values filled by if_null")                          \
	X(DEFAULT_UNDEFINED, "default_undefined", "table", "column", "undefined values filled by if_null")           \
	X(DEFAULT_INVALID, "default_invalid", "table", "column", "invalid values replaced by if_invalid")            \
	X(IS_MISSING, "missing", "table", "column", "missing fields that became NULL")                               \
	X(IS_NULL, "null", "table", "column", "null values that became NULL")                                        \
	X(IS_UNDEFINED, "undefined", "table", "column", "undefined values that became NULL")                         \
	X(IS_INVALID, "invalid", "table", "column", "invalid values that became NULL by if_invalid")                 \
	X(ACCEPTED, "accepted", "table", "column", "values of another type taken by accept")                         \
	X(NEGATIVE_ZERO, "negative_zero", "table", "column", "-0 stored as 0")                                       \
	X(ROUNDED, "rounded", "table", "column", "vectors with coordinates taken to the nearest real")               \
	X(ENCODING, "encoding", "table", "column", "texts mended by encoding: replace or strip")                     \
	X(LABELLED, "labelled", "table", "column", "texts replaced by labels")                                       \
	X(FOLDED, "folded", "table", "column", "texts that became a label by fold_case")                             \
	X(DUPLICATE_KEYS, "duplicate_keys", "table", "column", "keys that stood twice, one of which was taken")      \
	X(ID_MAPPED, "id_mapped", "collection", "", "_ids of other types that became a UUIDv5")                      \
	X(ORPHAN_NULL, "orphan_null", "table", "column", "orphan references set to NULL")                            \
	X(ORPHAN_MOVED, "orphan_moved", "table", "column", "references moved to another column")                     \
	X(ORPHAN_KEPT, "orphan_kept", "table", "column", "orphan references kept")                                   \
	X(RESTORED, "restored", "table", "column", "references and pairs that got back what they named, by retry")   \
	X(ELEMENTS, "elements", "junction", "collection", "elements of arrays that feed a junction or child table")  \
	X(ELEMENT_REJECTED_DOC, "element_rejected_doc", "junction", "collection", "elements of rejected documents")  \
	X(PAIRS, "pairs", "junction", "", "distinct pairs")                                                          \
	X(PAIR_REPEAT, "pair_repeat", "junction", "collection", "pairs that one side names more than once")          \
	X(PAIR_MIRRORED, "pair_mirrored", "junction", "", "pairs that both sides name")                              \
	X(PAIR_ONE_SIDED, "pair_one_sided", "junction", "collection", "pairs that only this side names")             \
	X(PAIR_SIDES, "pair_sides", "junction", "", "pairs left out by sides: intersect, left or right")             \
	X(PAIR_ORPHAN, "pair_orphan", "junction", "column", "pairs with an end that is no row")                      \
	X(INDEX_REFUSED, "index_refused", "table", "index", "indexes that the server refused to build")

enum ledger_kind {
#define X(NAME, name, object, path, sentence) LEDGER_##NAME,
	LEDGER_KINDS(X)
#undef X
		LEDGER_KIND_COUNT
};

const char *ledger_kind_name(enum ledger_kind kind);
const char *ledger_kind_sentence(enum ledger_kind kind);

/* A table of counts. Object and path are copied on first use; from then on adding allocates nothing. At most
 * LEDGER_MAX_PATHS paths of one kind are kept, the rest goes to the path "(other)". Not thread-safe. */
#define LEDGER_MAX_PATHS 10000
struct ledger;
struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);
void ledger_reset(struct ledger *l); /* all counts to 0; keeps the names */
/* A counter that stays valid until ledger_free, for hot paths: (*ledger_slot(...))++. */
uint64_t *ledger_slot(struct ledger *l, enum ledger_kind kind, const char *object, const char *path);
uint64_t *ledger_slot_n(struct ledger *l, enum ledger_kind kind, const char *object, const char *path,
			size_t path_len);
void ledger_add(struct ledger *l, enum ledger_kind kind, const char *object, const char *path, uint64_t n);
/* Adds all counts of `from` to l. */
void ledger_merge(struct ledger *l, const struct ledger *from);
/* Takes all counts of `from` off l: what is counted anew was counted before. */
void ledger_take_back(struct ledger *l, const struct ledger *from);
/* All counts of this object to 0. */
void ledger_forget(struct ledger *l, const char *object);
/* Sum over all entries of this kind and object (object NULL: any). */
uint64_t ledger_sum(const struct ledger *l, enum ledger_kind kind, const char *object);
/* A count may be taken back by a later unit (docrow retry): add (uint64_t)-n, and it stands in the JSON as -n.
 * Appends [["read","crm_Accounts","",1000],...]: valid JSON whatever the names hold (bad bytes and NUL are
 * escaped as \xHH inside the text), non-zero entries only. */
void ledger_to_json(const struct ledger *l, struct buf *out);

#endif
