/* address.h - addresses of servers: which kind, and without their passwords. Pure. */
#ifndef DOCROW_ADDRESS_H
#define DOCROW_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

bool address_is_mongodb(const char *address);    /* mongodb://, mongodb+srv:// */
bool address_is_postgresql(const char *address); /* postgresql://, postgres:// */
/* The text may hold a password (a URI with user and password, or password=...). */
bool address_has_secret(const char *address);
/* Appends the text with every password in it as "***": in URIs (any scheme, also within other text) and after
 * password=, sslpassword=, tlsCertificateKeyFilePassword= and their like. Rather too much than too little is masked:
 * a password with an unescaped @, / or ? in it is masked up to the last @. */
void address_mask(struct buf *out, const char *text);
/* Overwrites the passwords in place with '*' (the command line that others see). */
void address_blot(char *text);
/* Appends the database that a mongodb URI names; nothing when it names none. */
void address_mongodb_database(struct buf *out, const char *uri);

#endif
