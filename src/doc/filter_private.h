/* filter_private.h - a filter compiled to a tree. filter_parse.c makes it, filter.c asks it. */
#ifndef DOCROW_FILTER_PRIVATE_H
#define DOCROW_FILTER_PRIVATE_H

#include "filter.h"
#include "mem.h"

enum filter_kind {
	FILTER_AND,
	FILTER_OR,
	FILTER_NOR,
	FILTER_NOT,     /* one child                                                  */
	FILTER_COMPARE, /* value, op                                                  */
	FILTER_IN,      /* values                                                     */
	FILTER_EXISTS,
	FILTER_TYPE,        /* kinds                                                  */
	FILTER_SIZE,        /* size                                                   */
	FILTER_ELEM_OBJECT, /* children match an element that is a document or array  */
	FILTER_ELEM_VALUE,  /* children match an element itself                       */
	FILTER_NEVER        /* $all: []                                               */
};

enum filter_op { FILTER_EQ, FILTER_LT, FILTER_LTE, FILTER_GT, FILTER_GTE };

struct filter_node {
	enum filter_kind kind;
	enum filter_op op;
	const struct field *path; /* its parts; of kinds from COMPARE on (not NEVER)  */
	size_t npath;
	struct val value;
	const struct val *values;
	size_t nvalues;
	bool kinds[256];
	int64_t size;
	const struct filter_node **children;
	size_t nchildren;
};

struct filter {
	struct arena *arena;
	const struct filter_node *root;
};

/* NULL: why is filled. bytes live as long as the arena. */
const struct filter_node *filter_parse(struct arena *a, const uint8_t *bytes, size_t len, char why[FILTER_WHY]);

#endif
