/* id.h - ids: an ObjectId inside a UUIDv7, and name-based UUIDs.
 *
 * An ObjectId is 4 bytes of seconds, 5 random bytes and a 3-byte counter. Its seconds x 1000 become the 48-bit
 * timestamp of a UUIDv7 (RFC 9562), the other 64 bits go, in order, into rand_a (their top 12) and into the top 52
 * bits of rand_b; the last 10 bits are the fixed mark 0x0DC. So the UUID is a valid v7, sorts as the ObjectId does
 * and can be turned back. All functions are pure.
 */
#ifndef DOCROW_ID_H
#define DOCROW_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBJECTID_SIZE  12
#define UUID_SIZE      16
#define UUID_TEXT_SIZE 37 /* with the NUL */

void id_objectid_to_uuid(const uint8_t oid[OBJECTID_SIZE], uint8_t uuid[UUID_SIZE]);
/* False unless version 7, variant, mark, whole seconds and seconds < 2^32 all hold. */
bool id_uuid_to_objectid(const uint8_t uuid[UUID_SIZE], uint8_t oid[OBJECTID_SIZE]);
/* 24 hex digits in either case, exactly `len` bytes. */
bool id_objectid_parse(const char *text, size_t len, uint8_t oid[OBJECTID_SIZE]);
void id_objectid_format(const uint8_t oid[OBJECTID_SIZE], char text[25]);
/* 8-4-4-4-12 hex digits in either case (no braces). */
bool id_uuid_parse(const char *text, size_t len, uint8_t uuid[UUID_SIZE]);
void id_uuid_format(const uint8_t uuid[UUID_SIZE], char text[UUID_TEXT_SIZE]);
/* RFC 9562 version 5 (SHA-1 of namespace and name). */
void id_uuid_v5(const uint8_t ns[UUID_SIZE], const void *name, size_t len, uint8_t uuid[UUID_SIZE]);

#endif
