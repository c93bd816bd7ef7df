/* pairs.c - links of a many-to-many as a function that can be asked from either side.
 *
 * In each round a permutation x = factor * i + shift (mod big) numbers the documents of the larger side anew; those
 * with x < limit have one partner, x mod small. Backwards the partners of j are the x = j, j + small, j + 2 small ...
 * below the limit. The limit keeps lists short when the sides differ much in size.
 */
#include "synth_private.h"

static uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t m)
{
	return (uint64_t)((unsigned __int128)a * b % m);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* a * result = 1 (mod m), by Euclid; a and m have no common divisor. */
static uint64_t inverse_mod(uint64_t a, uint64_t m)
{
	__int128 r0 = m, r1 = a % m, t0 = 0, t1 = 1;

	while (r1 != 0) {
		__int128 q = r0 / r1, r = r0 - q * r1, t = t0 - q * t1;
		r0 = r1;
		r1 = r;
		t0 = t1;
		t1 = t;
	}
	return (uint64_t)(t0 < 0 ? t0 + m : t0);
}

void pairing_make(struct pairing *p, uint64_t left, uint64_t right, bool same_collection, uint64_t seed)
{
	/* Of 100 documents of the larger side so many have a partner in each round. */
	static const uint64_t percent[PAIR_ROUNDS] = {55, 25, 10};
	struct chance chance = {seed};

	*p = (struct pairing){.left_is_big = left >= right, .same_collection = same_collection};
	p->big = left >= right ? left : right;
	p->small = left >= right ? right : left;
	if (p->small == 0)
		return;
	for (int r = 0; r < PAIR_ROUNDS; r++) {
		uint64_t most = p->small * (PAIR_MOST / PAIR_ROUNDS);
		do
			p->factor[r] = 1 + chance_below(&chance, p->big);
		while (gcd(p->factor[r], p->big) != 1);
		p->inverse[r] = p->big == 1 ? 0 : inverse_mod(p->factor[r], p->big);
		p->shift[r] = chance_below(&chance, p->big);
		p->limit[r] = (p->big * percent[r] + 99) / 100;
		if (p->limit[r] > most)
			p->limit[r] = most;
	}
}

/* Partner of i (of the larger side) in round r, or `small` for none. */
static uint64_t partner_in_round(const struct pairing *p, int r, uint64_t i)
{
	uint64_t x = (mul_mod(p->factor[r], i, p->big) + p->shift[r]) % p->big;

	if (x >= p->limit[r])
		return p->small;
	x %= p->small;
	return p->same_collection && x == i ? p->small : x;
}

/* A pair counts in the first round that has it only, so that no list names anything twice. */
static bool was_before(const struct pairing *p, int round, uint64_t i, uint64_t j)
{
	for (int r = 0; r < round; r++)
		if (partner_in_round(p, r, i) == j)
			return true;
	return false;
}

static size_t partners_of_big(const struct pairing *p, uint64_t i, uint64_t *out)
{
	size_t n = 0;

	for (int r = 0; r < PAIR_ROUNDS; r++) {
		uint64_t j = partner_in_round(p, r, i);
		if (j < p->small && !was_before(p, r, i, j))
			out[n++] = j;
	}
	return n;
}

static size_t partners_of_small(const struct pairing *p, uint64_t j, uint64_t *out)
{
	size_t n = 0;

	for (int r = 0; r < PAIR_ROUNDS; r++) {
		for (uint64_t x = j; x < p->limit[r]; x += p->small) {
			uint64_t i = mul_mod(p->inverse[r], x + p->big - p->shift[r], p->big);
			if (!(p->same_collection && i == j) && !was_before(p, r, i, j))
				out[n++] = i;
		}
	}
	return n;
}

size_t pairing_partners(const struct pairing *p, bool left, uint64_t i, uint64_t out[PAIR_MOST])
{
	if (p->small == 0)
		return 0;
	return left == p->left_is_big ? partners_of_big(p, i, out) : partners_of_small(p, i, out);
}

bool pairing_has(const struct pairing *p, bool left, uint64_t i, uint64_t partner)
{
	bool is_big = left == p->left_is_big;

	return p->small > 0 && was_before(p, PAIR_ROUNDS, is_big ? i : partner, is_big ? partner : i);
}
