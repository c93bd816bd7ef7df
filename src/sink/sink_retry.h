/* sink_retry.h - what the files of retry share. Private to src/sink. */
#ifndef DOCROW_SINK_RETRY_H
#define DOCROW_SINK_RETRY_H

#include "sink_settle.h"

struct sink_retry {
	struct settle st;
	struct arena *arena;
	bool *staged;                      /* [ntables] docrow_t<i> was made                       */
	bool *pairs;                       /* [njunctions] docrow_j<i>, docrow_k<i> were made       */
	const struct schema_copy **copies; /* [ntables] the columns that documents feed            */
	int *order;                        /* staged tables, the table of documents first          */
	size_t norder;
	int main_table;
	bool *lifted; /* [ntables * most fkeys] is not kept: see retry_lift_keys */
};

/* "pg_temp.docrow_t3" */
static inline void retry_stage(struct buf *sql, int table)
{
	buf_printf(sql, "pg_temp.docrow_t%d", table);
}
/* a, b, c of the table's columns (when c is NULL all but those that the server makes), behind alias when it is not
 * NULL. */
void retry_columns(struct buf *sql, const struct schema_table *t, const struct schema_copy *c, const char *alias);

#endif
