/* crc64.h - the check sum of mongodump archives: CRC-64/XZ (ECMA-182 polynomial, reflected). Pure; private to
 * source/. */
#ifndef DOCROW_CRC64_H
#define DOCROW_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Of the bytes so far and n more; begins with 0. */
uint64_t crc64(uint64_t crc, const void *data, size_t n);

#endif
