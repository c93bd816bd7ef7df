/* json_tree.h - a JSON text as a tree in an arena. Own reader: what the server sends is looked at by nobody else. */
#ifndef DOCROW_JSON_TREE_H
#define DOCROW_JSON_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "mem.h"

struct json {
	enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } kind;
	const char *text; /* number: as written; string: decoded, may hold any bytes but NUL */
	size_t n;
	const char *key; /* of a member of an object */
	size_t key_len;
	size_t count; /* members, elements */
	struct json *first, *next;
};

/* compact: blanks between tokens are errors (json and text columns hold what was written, to the letter). NULL: no
 * JSON text. */
const struct json *json_read(struct arena *a, const char *text, size_t n, bool compact);

#endif
