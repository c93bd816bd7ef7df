/* export.h - docrow rejects --export: the rejected documents themselves, in a file that loads again. */
#ifndef DOCROW_EXPORT_H
#define DOCROW_EXPORT_H

#include "gather.h"

struct export_count {
	uint64_t documents;  /* written                                                       */
	uint64_t elements;   /* rejects of single elements: no documents, left out             */
	uint64_t lost;       /* rejects whose document is not kept: left out                   */
	uint64_t unwritable; /* JSON only: hold text that JSON cannot, left out                */
};
/* One document each, however many rejects it has, of one collection (more: an error that names them). BSON: as
 * mongodump writes a collection; else canonical Extended JSON, one a line. Mode 0600; the file appears when it is
 * whole.
 */
bool export_rejects(struct pg *pg, int64_t run, const struct reject_filter *filter, bool bson, const char *path,
		    struct export_count *count, struct err *err) MUST_CHECK;

#endif
