/* case_decode.h - fields of COPY BINARY as the text that PostgreSQL shows for them (time zone UTC). For tests: it
 * shares no code with row/ and convert/. */
#ifndef DOCROW_CASE_DECODE_H
#define DOCROW_CASE_DECODE_H

#include "buf.h"
#include "schema.h"

uint64_t case_read_be(const uint8_t *p, size_t n);
void case_decode(struct buf *out, const struct pgtype *t, const uint8_t *p, size_t n);

#endif
