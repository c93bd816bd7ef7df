/* crc64.c - eight bytes a step, by eight tables: table[k][b] is what byte b does k bytes later. */
#include "crc64.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL UINT64_C(0xC96C5795D7870F42)

static uint64_t table[8][256];

static void make_tables(void)
{
	for (unsigned b = 0; b < 256; b++) {
		uint64_t c = b;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
		table[0][b] = c;
	}
	for (unsigned b = 0; b < 256; b++)
		for (int k = 1; k < 8; k++)
			table[k][b] = table[0][table[k - 1][b] & 0xff] ^ table[k - 1][b] >> 8;
}

static uint64_t eight(uint64_t x)
{
	return table[7][x & 0xff] ^ table[6][x >> 8 & 0xff] ^ table[5][x >> 16 & 0xff] ^ table[4][x >> 24 & 0xff] ^
	       table[3][x >> 32 & 0xff] ^ table[2][x >> 40 & 0xff] ^ table[1][x >> 48 & 0xff] ^ table[0][x >> 56];
}

uint64_t crc64(uint64_t crc, const void *data, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint8_t *p = data;
	pthread_once(&once, make_tables);
	crc = ~crc;
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t x;
		memcpy(&x, p, 8);
		crc = eight(crc ^ x);
	}
	for (; n > 0; p++, n--)
		crc = table[0][(crc ^ *p) & 0xff] ^ crc >> 8;
	return ~crc;
}
