/* id.c - ObjectId ⇄ UUIDv7, parsing and printing, UUIDv5.
 *
 * Layout of the UUID, from an ObjectId seen as seconds (32 bits) and rest (64 bits):
 *   bits 0-47   seconds x 1000         bits 48-51  version 7
 *   bits 52-63  rest, top 12           bits 64-65  variant 2
 *   bits 66-117 rest, low 52           bits 118-127 mark 0x0DC
 */
#include "id.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "text.h"

enum { MARK = 0x0DC };

static uint64_t load_be(const uint8_t *p, size_t n)
{
	uint64_t x = 0;
	size_t i;

	for (i = 0; i < n; i++)
		x = x << 8 | p[i];
	return x;
}

static void store_be64(uint8_t *p, uint64_t x)
{
	x = __builtin_bswap64(x);
	memcpy(p, &x, 8);
}

void id_objectid_to_uuid(const uint8_t oid[OBJECTID_SIZE], uint8_t uuid[UUID_SIZE])
{
	uint64_t ms = load_be(oid, 4) * 1000, rest = load_be(oid + 4, 8);

	store_be64(uuid, ms << 16 | 0x7000 | rest >> 52);
	store_be64(uuid + 8, UINT64_C(0x8000000000000000) | (rest & UINT64_C(0xFFFFFFFFFFFFF)) << 10 | MARK);
}

bool id_uuid_to_objectid(const uint8_t uuid[UUID_SIZE], uint8_t oid[OBJECTID_SIZE])
{
	uint64_t hi = load_be(uuid, 8), lo = load_be(uuid + 8, 8), ms = hi >> 16;
	uint64_t seconds = ms / 1000, rest;

	if ((hi >> 12 & 0xF) != 7 || lo >> 62 != 2 || (lo & 0x3FF) != MARK || ms % 1000 != 0 || seconds > UINT32_MAX)
		return false;
	rest = (hi & 0xFFF) << 52 | (lo >> 10 & UINT64_C(0xFFFFFFFFFFFFF));
	oid[0] = (uint8_t)(seconds >> 24);
	oid[1] = (uint8_t)(seconds >> 16);
	oid[2] = (uint8_t)(seconds >> 8);
	oid[3] = (uint8_t)seconds;
	store_be64(oid + 4, rest);
	return true;
}

bool id_objectid_parse(const char *text, size_t len, uint8_t oid[OBJECTID_SIZE])
{
	return len == 2 * OBJECTID_SIZE && text_unhex(text, len, oid);
}

void id_objectid_format(const uint8_t oid[OBJECTID_SIZE], char text[25])
{
	text_hex(oid, OBJECTID_SIZE, text);
}

/* Where the five groups of a UUID's text start, and their digits. */
static const struct {
	uint8_t at, digits, byte;
} groups[] = {{0, 8, 0}, {9, 4, 4}, {14, 4, 6}, {19, 4, 8}, {24, 12, 10}};

bool id_uuid_parse(const char *text, size_t len, uint8_t uuid[UUID_SIZE])
{
	uint8_t out[UUID_SIZE];
	size_t i;

	if (len != UUID_TEXT_SIZE - 1)
		return false;
	for (i = 0; i < sizeof groups / sizeof groups[0]; i++) {
		if (i > 0 && text[groups[i].at - 1] != '-')
			return false;
		if (!text_unhex(text + groups[i].at, groups[i].digits, out + groups[i].byte))
			return false;
	}
	memcpy(uuid, out, UUID_SIZE);
	return true;
}

void id_uuid_format(const uint8_t uuid[UUID_SIZE], char text[UUID_TEXT_SIZE])
{
	size_t i;

	for (i = 0; i < sizeof groups / sizeof groups[0]; i++) {
		if (i > 0)
			text[groups[i].at - 1] = '-';
		/* text_hex ends with a NUL, which the next group's hyphen overwrites. */
		text_hex(uuid + groups[i].byte, groups[i].digits / 2u, text + groups[i].at);
	}
}

void id_uuid_v5(const uint8_t ns[UUID_SIZE], const void *name, size_t len, uint8_t uuid[UUID_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE];
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 && EVP_DigestUpdate(ctx, ns, UUID_SIZE) == 1 &&
		  EVP_DigestUpdate(ctx, name, len) == 1 && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	if (!ok) /* only without memory or in a library without SHA-1: an id must never be wrong */
		abort();
	memcpy(uuid, digest, UUID_SIZE);
	uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x50);
	uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
}
