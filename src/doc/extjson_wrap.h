/* extjson_wrap.h - the wrappers in which Extended JSON tells types: {"$oid": …}, {"$date": …} …; private to doc/. */
#ifndef DOCROW_EXTJSON_WRAP_H
#define DOCROW_EXTJSON_WRAP_H

#include <stddef.h>
#include <stdint.h>

#include "doc.h"

/* `doc` is a well-formed BSON document of *len bytes, written from a JSON object whose first key begins with '$'.
 * When it is a wrapper, the payload that it stands for takes its place (it is never longer), *len becomes that
 * payload's, and its kind is returned; else DOCUMENT, with nothing changed. *numbers: bare numbers that belong to the
 * wrapper. */
enum bson_kind extjson_unwrap(uint8_t *doc, size_t *len, unsigned *numbers);

#endif
