/* decimal.h - Decimal128 (IEEE 754-2008, BID encoding) to sign, digits and exponent, exactly. Pure. */
#ifndef DOCROW_DECIMAL_H
#define DOCROW_DECIMAL_H

#include "doc.h"

struct decimal {
	enum { DECIMAL_FINITE, DECIMAL_NAN, DECIMAL_INFINITY } kind;
	bool negative;
	int exponent;    /* value = digits x 10^exponent                                */
	int ndigits;     /* 1..34, no leading zeros but for zero itself                 */
	char digits[40]; /* '0'..'9', NUL-terminated                                    */
};

void decimal_read(const struct val *v, struct decimal *d);
/* As the Extended JSON specification writes it ("1.10", "1E-6176", "-Infinity"); out at least 48 bytes. */
int decimal_text(const struct decimal *d, char out[48]);

/* The 16 bytes (BID) that a text stands for: an optional sign, digits with or without a point, an exponent;
 * "Infinity", "NaN". False when it is none, or has digits or an exponent that Decimal128 cannot hold exactly. */
bool decimal_parse(const char *text, size_t len, uint8_t out[16]);

#endif
