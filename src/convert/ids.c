/* ids.c - keys and references as UUIDs: ObjectId → UUIDv7, UUIDs as they are, accepted spellings, and for _ids the
 * UUIDv5 of everything else.
 */
#include "canon.h"
#include "convert_private.h"
#include "id.h"

enum fault put_objectid_as_uuid(struct conv *c, struct column *col, const struct val *v)
{
	uint8_t *p = rowbuf_field(col->rows, UUID_SIZE);
	if (p != NULL)
		id_objectid_to_uuid(v->data, p);
	return FAULT_OK;
}

/* Subtype 3 keeps the bytes in the order of the driver that wrote it. */
static void reorder(const uint8_t in[UUID_SIZE], enum map_uuid_order order, uint8_t out[UUID_SIZE])
{
	static const uint8_t java[UUID_SIZE] = {7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8};
	static const uint8_t csharp[UUID_SIZE] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	const uint8_t *from = order == MAP_UUID_ORDER_JAVA ? java : order == MAP_UUID_ORDER_CSHARP ? csharp : NULL;
	for (size_t i = 0; i < UUID_SIZE; i++)
		out[i] = in[from != NULL ? from[i] : i];
}

bool key_binary_uuid(const struct val *v, enum map_uuid_order order, uint8_t uuid[UUID_SIZE])
{
	enum { SUBTYPE_UUID_OLD = 3, SUBTYPE_UUID = 4 };
	uint8_t subtype;
	size_t n;
	const uint8_t *p = val_binary(v, &subtype, &n);
	if (n != UUID_SIZE)
		return false;
	if (subtype == SUBTYPE_UUID)
		memcpy(uuid, p, UUID_SIZE);
	else if (subtype == SUBTYPE_UUID_OLD && order != MAP_UUID_ORDER_UNSET)
		reorder(p, order, uuid);
	else
		return false;
	return true;
}

enum fault put_binary_as_uuid(struct conv *c, struct column *col, const struct val *v)
{
	uint8_t uuid[UUID_SIZE];
	if (!key_binary_uuid(v, col->uuid_order, uuid))
		return fault_note(c, FAULT_TYPE, "binary of subtype %u", v->len > 4 ? v->data[4] : 0u);
	rowbuf_put_bytes(col->rows, uuid, UUID_SIZE);
	return FAULT_OK;
}

static bool has_upper_case(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			return true;
	return false;
}

/* How a value became a UUID. */
struct spelling {
	bool is_unusual;  /* the value cannot be told from the UUID, so an _id is listed  */
	bool is_accepted; /* only a word of accept lets it in                             */
};

static bool text_key(const struct val *v, enum map_id rule, unsigned accept, uint8_t uuid[UUID_SIZE],
		     struct spelling *sp)
{
	uint8_t oid[OBJECTID_SIZE];
	size_t n;
	const char *s = val_text(v, &n);
	if ((rule == MAP_ID_STRING_UUID || (accept & MAP_ACCEPT_UUID_STRING) != 0) && id_uuid_parse(s, n, uuid)) {
		sp->is_accepted = rule != MAP_ID_STRING_UUID;
	} else if ((rule == MAP_ID_OBJECTID_STRING || (accept & MAP_ACCEPT_HEX_ID) != 0) &&
		   id_objectid_parse(s, n, oid)) {
		id_objectid_to_uuid(oid, uuid);
		sp->is_accepted = rule != MAP_ID_OBJECTID_STRING;
	} else {
		return false;
	}
	sp->is_unusual = sp->is_accepted || has_upper_case(s, n);
	return true;
}

/* The UUID of a value by the rules of ids; false: none but the UUIDv5 is left. */
static bool key_uuid(const struct val *v, enum map_id rule, unsigned accept, enum map_uuid_order order,
		     uint8_t uuid[UUID_SIZE], struct spelling *sp)
{
	*sp = (struct spelling){0};
	switch (v->kind) {
	case BSON_K_OBJECTID:
		id_objectid_to_uuid(v->data, uuid);
		return true;
	case BSON_K_BINARY:
		return key_binary_uuid(v, order, uuid);
	case BSON_K_STRING:
		return text_key(v, rule, accept, uuid, sp);
	default:
		return false;
	}
}

/* The last way: UUIDv5 of the canonical form. */
static bool name_uuid(struct buf *scratch, const uint8_t ns[UUID_SIZE], const struct val *v, uint8_t uuid[UUID_SIZE])
{
	buf_reset(scratch);
	if (!canon_write(scratch, v))
		return false;
	id_uuid_v5(ns, scratch->data, scratch->len, uuid);
	return true;
}

/* The document's own key: listed in docrow.id_map when it cannot be read back out of the UUID. */
static void list_id(struct conv *c, const struct column *col, const uint8_t uuid[UUID_SIZE])
{
	if (col->feed != PLAN_FEED_ID || col->type.base != PGT_UUID)
		return;
	c->id_listed = true;
	memcpy(c->id_uuid, uuid, UUID_SIZE);
}

enum fault put_any_as_uuid(struct conv *c, struct column *col, const struct val *v)
{
	uint8_t uuid[UUID_SIZE];
	struct spelling sp;
	bool is_name = !key_uuid(v, col->id_rule, col->accept, col->uuid_order, uuid, &sp);
	if (is_name && !name_uuid(&c->text, col->id_namespace, v, uuid))
		return FAULT_CORRUPT;
	if (sp.is_accepted || (is_name && !col->is_id))
		count_column(c, col, COUNT_ACCEPTED);
	if (is_name || sp.is_unusual)
		list_id(c, col, uuid);
	if (is_name && col->feed == PLAN_FEED_ID)
		count(c, &c->id_mapped);
	rowbuf_put_bytes(col->rows, uuid, UUID_SIZE);
	return FAULT_OK;
}

static void put_be64(struct buf *out, uint64_t v)
{
	uint8_t be[8];
	for (int i = 0; i < 8; i++)
		be[i] = (uint8_t)(v >> (56 - 8 * i));
	buf_put(out, be, sizeof be);
}

/* The key of the row above as part of a name: the same for an integer of any width; jsonb, which may be written in
 * several ways, by the canonical form of the _id that it is. */
static bool put_key_above(struct conv *c, const struct pgtype *type, const uint8_t *field, size_t len)
{
	uint64_t v = len > 0 && (field[0] & 0x80) != 0 ? UINT64_MAX : 0;
	switch (type->base) {
	case PGT_INT2:
	case PGT_INT4:
	case PGT_INT8:
		for (size_t i = 0; i < len; i++)
			v = v << 8 | field[i];
		put_be64(&c->text, v);
		return true;
	case PGT_JSONB:
		return canon_write(&c->text, &c->id->val);
	default:
		buf_put(&c->text, field, len);
		return true;
	}
}

enum fault put_row_key(struct conv *c, struct column *col, const struct pgtype *type, const uint8_t *field,
		       size_t len)
{
	uint8_t uuid[UUID_SIZE];
	buf_reset(&c->text);
	buf_put(&c->text, col->made_of, col->made_of_len);
	if (!put_key_above(c, type, field, len))
		return FAULT_CORRUPT;
	put_be64(&c->text, (uint64_t)c->ordinal);
	id_uuid_v5(col->id_namespace, c->text.data, c->text.len, uuid);
	rowbuf_put_bytes(col->rows, uuid, UUID_SIZE);
	return FAULT_OK;
}

static enum fault put_oid(struct conv *c, struct column *col, const uint8_t oid[OBJECTID_SIZE])
{
	struct val v = {.data = oid, .len = OBJECTID_SIZE, .kind = BSON_K_OBJECTID};
	return col->inside[BSON_K_OBJECTID](c, col, &v);
}

/* A reference takes by itself what the rule of the ids that it holds names. */
static bool rule_takes(const struct column *col, enum map_id rule)
{
	return col->is_reference && col->id_rule == rule;
}

static bool takes_hex(const struct column *col)
{
	return (col->accept & MAP_ACCEPT_HEX_ID) != 0 || rule_takes(col, MAP_ID_OBJECTID_STRING);
}

static bool takes_uuid_text(const struct column *col)
{
	return (col->accept & MAP_ACCEPT_UUID_STRING) != 0 || !col->is_reference ||
	       rule_takes(col, MAP_ID_STRING_UUID);
}

/* Text in a column of ids. */
enum fault put_id_text(struct conv *c, struct column *col, const struct val *v)
{
	uint8_t oid[OBJECTID_SIZE], uuid[UUID_SIZE];
	size_t n;
	const char *s = val_text(v, &n);
	if (takes_hex(col) && id_objectid_parse(s, n, oid)) {
		if (!rule_takes(col, MAP_ID_OBJECTID_STRING))
			count_column(c, col, COUNT_ACCEPTED);
		return put_oid(c, col, oid);
	}
	if (col->type.base == PGT_UUID && takes_uuid_text(col) && id_uuid_parse(s, n, uuid)) {
		if (col->is_reference && !rule_takes(col, MAP_ID_STRING_UUID))
			count_column(c, col, COUNT_ACCEPTED);
		rowbuf_put_bytes(col->rows, uuid, UUID_SIZE);
		return FAULT_OK;
	}
	if (col->type.base == PGT_UUID && (col->accept & MAP_ACCEPT_ANY_ID) != 0)
		return put_any_as_uuid(c, col, v);
	if (col->type.base != PGT_UUID && col->type.base != PGT_BYTEA)
		return put_text(c, col, v);
	return FAULT_FORMAT;
}

/* {"$oid": hex} as written by tools that took Extended JSON for BSON, {"_str": hex} by the old shell. */
static bool oid_document(const struct val *v, uint8_t oid[OBJECTID_SIZE])
{
	struct val text;
	size_t n;
	if (!doc_find(v->data, v->len, "$oid", &text) && !doc_find(v->data, v->len, "_str", &text))
		return false;
	if (text.kind != BSON_K_STRING)
		return false;
	const char *s = val_text(&text, &n);
	return id_objectid_parse(s, n, oid);
}

static enum fault put_dbref(struct conv *c, struct column *col, const struct val *id)
{
	if (at_is_nothing(at_of(id->kind)) || id->kind == BSON_K_DOCUMENT)
		return FAULT_FORMAT;
	return col->inside[at_of(id->kind)](c, col, id);
}

/* An id was taken out of what stood around it; it is the last thing in the row. */
static enum fault took_wrapped(struct conv *c, struct column *col)
{
	count_column(c, col, COUNT_ACCEPTED);
	if (col->feed == PLAN_FEED_ID && buf_ok(&col->rows->buf))
		list_id(c, col, col->rows->buf.data + col->rows->buf.len - UUID_SIZE);
	return FAULT_OK;
}

enum fault put_id_document(struct conv *c, struct column *col, const struct val *v)
{
	uint8_t oid[OBJECTID_SIZE];
	struct val id;
	enum fault f = FAULT_FORMAT;
	if ((col->accept & MAP_ACCEPT_OID_DOCUMENT) != 0 && oid_document(v, oid))
		f = put_oid(c, col, oid);
	else if ((col->accept & MAP_ACCEPT_DBREF) != 0 && doc_find(v->data, v->len, "$id", &id))
		f = put_dbref(c, col, &id);
	else if ((col->is_id || (col->accept & MAP_ACCEPT_ANY_ID) != 0) && col->type.base == PGT_UUID)
		return put_any_as_uuid(c, col, v);
	return f == FAULT_OK ? took_wrapped(c, col) : f;
}

enum fault put_id_dbpointer(struct conv *c, struct column *col, const struct val *v)
{
	enum fault f = put_oid(c, col, v->data + v->len - OBJECTID_SIZE);
	return f == FAULT_OK ? took_wrapped(c, col) : f;
}
