/* fault.h - the one list of data faults: why a document, an array element or a value could not go where the
 * mapping says. The same list feeds the reject table, the log, the reports and the manual.
 *
 * Codes are stable. `name` is what users see in docrow.reject.fault and write in filters.
 */
#ifndef DOCROW_FAULT_H
#define DOCROW_FAULT_H

/* X(NAME, name, code, sentence) */
#define FAULTS(X)                                                                                                    \
	X(MISSING, "missing", "DR-F01", "the field is missing and the column takes no NULL")                         \
	X(NULL, "null", "DR-F02", "the value is null and the column takes no NULL")                                  \
	X(TYPE, "type", "DR-F03", "the value's BSON type does not go into the column's type")                        \
	X(RANGE, "range", "DR-F04", "the value is outside the column type's range")                                  \
	X(INEXACT, "inexact", "DR-F05", "the value cannot be stored in the column's type without loss")              \
	X(LABEL, "label", "DR-F06", "the text is not a label of the enum")                                           \
	X(NUL, "nul", "DR-F07", "the text holds U+0000, which PostgreSQL text cannot")                               \
	X(UTF8, "utf8", "DR-F08", "the text is not valid UTF-8")                                                     \
	X(TOO_LONG, "too_long", "DR-F09", "the text is longer than the column allows")                               \
	X(FORMAT, "format", "DR-F10", "the text does not read as a value of the column's type")                      \
	X(DUPLICATE_KEY, "duplicate_key", "DR-F11", "a key stands twice in one document")                            \
	X(TOO_LARGE, "too_large", "DR-F12", "the value or row is larger than PostgreSQL takes")                      \
	X(CORRUPT, "corrupt", "DR-F13", "the document is not well-formed BSON")                                      \
	X(SHAPE, "shape", "DR-F14", "the array is not of the shape that the column needs")                           \
	X(ELEMENT_NULL, "element_null", "DR-F15", "an element of a list that takes no null is null")                 \
	X(ELEMENT_INVALID, "element_invalid", "DR-F16", "an element of a list is not what the list holds")           \
	X(DUPLICATE, "duplicate", "DR-F17", "another document has the same key")                                     \
	X(ORPHAN, "orphan", "DR-F18", "the reference points to no row")                                              \
	X(REFUSED, "refused", "DR-F19", "the server refused the row")                                                \
	X(UNMAPPED, "unmapped", "DR-F20", "the document has a field that the mapping does not name")                 \
	X(NO_ID, "no_id", "DR-F21", "the document has no _id")                                                       \
	X(EXISTS, "exists", "DR-F22", "a row with the same key was there before the run")

enum fault {
	FAULT_OK = 0,
#define X(NAME, name, code, sentence) FAULT_##NAME,
	FAULTS(X)
#undef X
		FAULT_COUNT
};

const char *fault_name(enum fault f);     /* "range"                                      */
const char *fault_code(enum fault f);     /* "DR-F04"                                     */
const char *fault_sentence(enum fault f); /* "the value is outside the column type's range" */

#endif
