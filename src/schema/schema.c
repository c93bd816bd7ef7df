/* schema.c - finding things in the model by name. */
#include "schema.h"

const char *schema_feeder(const struct schema_table *t)
{
	return t->nfeeders > 1 ? NULL : t->collection;
}

int schema_find_table(const struct schema *s, const char *name)
{
	for (size_t i = 0; i < s->ntables; i++)
		if (strcmp(s->tables[i].name, name) == 0)
			return (int)i;
	return -1;
}

int schema_find_column(const struct schema_table *t, const char *name)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return (int)i;
	return -1;
}

bool schema_in_key(const struct schema_table *t, int column)
{
	for (size_t i = 0; i < t->nprimary_key; i++)
		if (t->primary_key[i] == column)
			return true;
	return false;
}

int schema_find_enum(const struct schema *s, const char *name)
{
	for (size_t i = 0; i < s->nenums; i++)
		if (strcmp(s->enums[i].name, name) == 0)
			return (int)i;
	return -1;
}
