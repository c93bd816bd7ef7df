/* convert.h - one document + plan → rows in buffers, or one named fault. Pure: no I/O, no clock, no random.
 *
 * A struct conv belongs to one worker and one collection. Per document:
 *   conv_document → FAULT_OK: rows were added to conv_rows(output) for every output it feeds
 *                 → else: nothing was added; conv_where says where; the caller writes the reject
 * Steady state allocates nothing.
 *
 * Counts go to the ledger that was given, when the document goes through: what columns count (missing .. labelled),
 * unmapped, id_mapped, and elements. LEDGER_ELEMENTS are all elements read, those of rejected documents and of
 * rejected elements included; the latter stand in LEDGER_ELEMENT_REJECTED_DOC, too, so that per table elements = rows
 * or pairs made + rejected elements (conv_notes) + element_rejected_doc. A document that is not well-formed counts
 * none. READ, BYTES, ROWS, REJECT and REJECT_ELEMENT are the caller's.
 */
#ifndef DOCROW_CONVERT_H
#define DOCROW_CONVERT_H

#include "doc.h"
#include "fault.h"
#include "ledger.h"
#include "plan.h"
#include "rowbuf.h"

struct conv;

struct conv_where { /* of the fault; lent until the next conv_document */
	const char *table, *column;
	const char *path; /* keys as they are: any bytes but NUL */
	uint8_t kind;     /* BSON kind of the value, 0 = missing */
	char note[200];   /* facts without the value: "length 300, at most 40", "year 292278994" */
};

#define CONV_MAX_DEPTH 8 /* of arrays inside arrays that a note tells of */

/* A value that was set to NULL or replaced by if_invalid, or an array element that was rejected: to be listed one by
 * one. Lent until the next conv_document. */
struct conv_note {
	bool is_reject; /* true: goes to docrow.reject (an element); false: docrow.finding */
	enum fault fault;
	const char *table, *column, *path;
	int64_t ordinal;  /* of the element, -1 none */
	struct val value; /* the original */
	/* A rejected element of an array inside an array: the element of the outermost array that it is in, and the
	 * ordinals from there to it (depth 0: not inside another; or deeper than can be told). */
	struct val outer;
	int64_t at[CONV_MAX_DEPTH];
	size_t depth;
};

struct conv *conv_new(const struct plan *p, int collection, struct ledger *ledger);
void conv_free(struct conv *c);
#define CONV_NEWEST_SERVER 180000
/* PQserverVersion of the target (default: the newest): numeric has infinities from 14 on. */
void conv_set_server_version(struct conv *c, int version);
/* Literals of if_missing, if_null and if_invalid that are no value of their column's type on such a server: one line
 * each into the report ("file:line:column: text"), and false. To be asked once, before rows move; such a literal is
 * never put in. */
bool conv_check(const struct plan *p, int server_version, struct buf *report) MUST_CHECK;

/* The texts that stand for the labels of an enum column: the labels, what `labels` maps to them, other cases with
 * fold_case. Made in the arena, which keeps nothing of `s` and `map` but their texts. */
struct labels;
const struct labels *conv_labels(const struct schema *s, const struct pgtype *type, const struct map_column *map,
				 struct arena *a);
/* The label that a text stands for; NULL: none. (Broken UTF-8 that the column's `encoding` would mend is not.) */
const char *conv_label(const struct labels *l, const char *s, size_t n);

enum fault conv_document(struct conv *c, const uint8_t *doc, size_t len, struct conv_where *where);
/* One rejected element by itself, for docrow retry: as conv_document takes it at this place of the document with this
 * _id. Makes the row of `output` (a child table or pairs) and those of arrays inside the element, nothing else;
 * counts no LEDGER_ELEMENTS for the element itself, which was counted with its document. at: ordinals from the
 * outermost array on, whose element is given. The fault is that of the element; notes of elements inside are in
 * conv_notes. */
enum fault conv_element(struct conv *c, int output, const struct val *id, const struct val *element,
			const int64_t *at, size_t depth, struct conv_where *where);
/* After a very large document: gives back what it made grow, but for the rows. */
void conv_trim(struct conv *c);
/* Rows gathered since the caller last reset this buffer (it sends and resets them as it likes). */
struct rowbuf *conv_rows(struct conv *c, int output);
size_t conv_notes(const struct conv *c, const struct conv_note **notes);
/* _id of the last document (kind 0: it has none) and its key as text ("013a7092-…"), for rejects and findings. */
struct val conv_id(const struct conv *c);
const char *conv_key_text(const struct conv *c);
/* True when the last document's _id became a UUIDv5 or was spelled unusually and must be listed in docrow.id_map;
 * uuid gets the key. */
bool conv_id_needs_map(const struct conv *c, uint8_t uuid[16]);

#endif
