/* key.h - keys in a form that is the same whichever side they come from: for joins, sets and look-ups. */
#ifndef DOCROW_KEY_H
#define DOCROW_KEY_H

#include "value.h"

/* Appends the normal form of the key that v becomes in a column of s; false: it goes into no such column. */
bool key_of_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out);
/* The same of a field as the server sends it. */
bool key_of_field(struct judge *j, const struct pgtype *t, struct field_bytes f, struct buf *out);
/* The same of text as the server writes it (docrow.reject.key). */
bool key_of_text(struct judge *j, const struct pgtype *t, const char *text, size_t n, struct buf *out);
/* From the normal form, as the server reads it (and, but for jsonb, writes it). */
void key_write(const struct pgtype *t, const uint8_t *key, size_t n, struct buf *out);
bool key_is_json(const struct pgtype *t);
/* key_json.c: the normal form of jsonb, from the server's text and from a value. */
bool key_json_of_text(struct judge *j, const char *text, size_t n, struct buf *out);
bool key_json_of_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out);

/* A hash that is the same in every process. */
uint64_t key_hash(uint64_t seed, const void *data, size_t n);
/* A sample of so many of all documents (0: of that share of them) are those whose hash is not above this: so large
 * that fewer than asked for is next to impossible. */
uint64_t key_sample(uint64_t documents, uint64_t sample, double share);

#endif
