/* fuzz.h - a fuzz target: takes any bytes and must come back.
 *
 * A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput in it; README.md of this folder says how to add one.
 * It is linked either to libFuzzer or to fuzz_main.c.
 */
#ifndef DOCROW_FUZZ_H
#define DOCROW_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory that holds the bytes: for code that reads files. The path is valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);

#endif
