/* source_bson.c - a mongodump folder as a source. */
#include "source_ops.h"

bool source_bson_open(struct source **s, const char *path, const struct source_options *opts, struct err *err)
{
	(void)s, (void)opts;
	return err_set(err, ERR_SOURCE_URI, "this build reads MongoDB servers only, not the folder %s", path);
}
