/* validation.h - what is said about a validation: for people, as JSON (migration-validation-report.json, --json) and
 * as JUnit XML. Nothing here asks a server. Format of the JSON: docs/validation.md.
 */
#ifndef DOCROW_REPORT_VALIDATION_H
#define DOCROW_REPORT_VALIDATION_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"
#include "validate.h"

#define VALIDATION_REPORT_FORMAT 1

struct validation_facts {
	const struct validate_result *result;
	const char *docrow;      /* version of the program                      */
	const char *report_file; /* named at the end; NULL: none                */
	size_t shown;            /* findings of one kind that people see        */
};

void validation_write(struct buf *out, const struct validation_facts *f, bool colour);
void validation_json(struct buf *out, const struct validation_facts *f);
void validation_junit(struct buf *out, const struct validation_facts *f);

#endif
