/* mongo_where.c - the filters of parts, asked of the server itself: is it one, and how many documents does it take.
 */
#include "mongo.h"

void mongo_filter_of(const struct source_part *p, bson_t *filter)
{
	if (!p || !p->where || !bson_init_static(filter, p->where, p->where_len))
		bson_init(filter);
}

/* ---- accepted? ---- */

/* An explanation parses the filter and reads nothing. With the hint, as it will be read: what needs an index of its
 * own ($text, $near) is refused here and not half way. */
static bson_t *explain_command(const struct source_part *p, bool with_hint)
{
	bson_t filter, find, hint;
	bson_t *command = bson_new();
	mongo_filter_of(p, &filter);
	BSON_APPEND_DOCUMENT_BEGIN(command, "explain", &find);
	BSON_APPEND_UTF8(&find, "find", p->collection);
	BSON_APPEND_DOCUMENT(&find, "filter", &filter);
	if (with_hint) {
		BSON_APPEND_DOCUMENT_BEGIN(&find, "hint", &hint);
		BSON_APPEND_INT32(&hint, "_id", 1);
		bson_append_document_end(&find, &hint);
	}
	bson_append_document_end(command, &find);
	BSON_APPEND_UTF8(command, "verbosity", "queryPlanner");
	return command;
}

static bool explain(struct mongo_conn *c, const struct source_part *p, bool with_hint, bson_error_t *e)
{
	bson_t reply;
	bson_t *command = explain_command(p, with_hint);
	bool ok = mongoc_client_command_simple(c->client, c->source->base.database, command,
					       mongoc_uri_get_read_prefs_t(c->source->uri), &reply, e);
	bson_destroy(&reply);
	bson_destroy(command);
	return ok;
}

static bool refuse(const struct source_part *p, const bson_error_t *e, struct err *err)
{
	err_set(err, ERR_WHERE, "the server does not take the where of %s", p->name);
	err_detail(err, "%s", e->message);
	return err_hint(
		err,
		"mend the filter in the mapping; the shell's db.%s.find(...) takes the same ones, but for those "
		"that need an index of their own ($text, $near)",
		p->collection);
}

bool mongo_check_where(struct source *base, const struct source_part *p, struct err *err)
{
	struct mongo_conn c;
	enum source_kind kind;
	bson_error_t e = {0};
	if (!mongo_borrow(mongo_of(base), false, &c, err))
		return false;
	if (!mongo_kind(&c, p->collection, &kind, NULL, err)) {
		mongo_give_back(&c);
		return err->code == ERR_COLLECTION_MISSING; /* nothing will be read of it */
	}
	bool ok = true, with_hint = kind != SOURCE_VIEW && kind != SOURCE_TIMESERIES;
	if (ok && !explain(&c, p, with_hint, &e))
		ok = mongo_is_refusal(&e) ? refuse(p, &e, err)
					  : mongo_fail(c.source, err, ERR_SOURCE_READ, &e, NULL,
						       "cannot read collection %s", p->collection);
	mongo_give_back(&c);
	return ok;
}

/* ---- how many? ---- */

bool mongo_count_where(struct source *base, const struct source_part *p, uint64_t *n, struct err *err)
{
	bson_t filter;
	mongo_filter_of(p, &filter);
	return mongo_count(base, p->collection, &filter, n, err);
}

/* {op: [the filters of all parts]} */
static void join(bson_t *out, const char *op, const struct source_part *const *parts, size_t n)
{
	bson_t list, filter;
	char key[16];
	const char *k;
	bson_append_array_begin(out, op, -1, &list);
	for (uint32_t i = 0; i < n; i++) {
		bson_uint32_to_string(i, &k, key, sizeof(key));
		mongo_filter_of(parts[i], &filter);
		bson_append_document(&list, k, -1, &filter);
	}
	bson_append_array_end(out, &list);
}

static bool count_joined(struct source *s, const char *op, const struct source_part *const *parts, size_t n,
			 uint64_t *count, struct err *err)
{
	bson_t filter = BSON_INITIALIZER;
	join(&filter, op, parts, n);
	bool ok = mongo_count(s, parts[0]->collection, &filter, count, err);
	bson_destroy(&filter);
	return ok;
}

bool mongo_tally(struct source *s, const struct source_part *const *parts, size_t n, struct source_tally *t,
		 struct err *err)
{
	uint64_t any = 0, sum = 0, one;
	if (!s->ops->count(s, parts[0]->collection, &t->all, err) ||
	    !count_joined(s, "$nor", parts, n, &t->none, err))
		return false;
	if (n == 1)
		return true;
	if (!count_joined(s, "$or", parts, n, &any, err))
		return false;
	for (size_t i = 0; i < n; i++, sum += one)
		if (!mongo_count_where(s, parts[i], &one, err))
			return false;
	t->extra = sum > any ? sum - any : 0;
	return true;
}
