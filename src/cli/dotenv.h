/* dotenv.h - reads the text of a .env file. Pure.
 *
 * KEY=value a line, an optional "export " before it. Comments start with # at the start of a line or after a blank.
 * 'single' and `back` quotes keep all as it is, "double" quotes know \n \r \t \" \\ \$; quotes may span lines.
 * Outside single and back quotes ${NAME} and ${NAME:-otherwise} are filled in from the environment, then from lines
 * above. CRLF and a byte order mark are fine. Of two lines with the same key the last wins.
 */
#ifndef DOCROW_DOTENV_H
#define DOCROW_DOTENV_H

#include <stdbool.h>
#include <stddef.h>

#include "mem.h"

struct dotenv_entry {
	const char *key; /* NULL: the line is no KEY=value        */
	const char *value;
	const char *wrong; /* what is wrong with the line, or NULL  */
	int line;
};

struct dotenv {
	struct dotenv_entry *entries;
	size_t n;
};

/* The environment: the value of a name, or NULL. */
typedef const char *dotenv_lookup(void *ctx, const char *name);

void dotenv_parse(struct arena *a, const char *text, size_t len, dotenv_lookup *lookup, void *ctx,
		  struct dotenv *out);
/* The last entry with this key, or NULL. */
const struct dotenv_entry *dotenv_find(const struct dotenv *d, const char *key);

#endif
