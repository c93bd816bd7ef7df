/* map_check.c - one column's policies against its own type: what cannot mean anything, or cannot be met. */
#include "map_private.h"
#include "matrix.h"

/* ---- what goes with which type ---- */

enum family {
	FAMILY_BOOL,
	FAMILY_INT,
	FAMILY_FLOAT,
	FAMILY_TEXT,
	FAMILY_ENUM,
	FAMILY_UUID,
	FAMILY_DATE,
	FAMILY_JSON,
	FAMILY_OTHER,
	FAMILY_COUNT
};

static const enum family families[PGT_COUNT] = {
	[PGT_BOOL] = FAMILY_BOOL,      [PGT_INT2] = FAMILY_INT,       [PGT_INT4] = FAMILY_INT,
	[PGT_INT8] = FAMILY_INT,       [PGT_FLOAT4] = FAMILY_FLOAT,   [PGT_FLOAT8] = FAMILY_FLOAT,
	[PGT_NUMERIC] = FAMILY_FLOAT,  [PGT_TEXT] = FAMILY_TEXT,      [PGT_VARCHAR] = FAMILY_TEXT,
	[PGT_CHAR] = FAMILY_TEXT,      [PGT_NAME] = FAMILY_TEXT,      [PGT_CITEXT] = FAMILY_TEXT,
	[PGT_UUID] = FAMILY_UUID,      [PGT_BYTEA] = FAMILY_OTHER,    [PGT_DATE] = FAMILY_DATE,
	[PGT_TIME] = FAMILY_OTHER,     [PGT_TIMESTAMP] = FAMILY_DATE, [PGT_TIMESTAMPTZ] = FAMILY_DATE,
	[PGT_INTERVAL] = FAMILY_OTHER, [PGT_JSON] = FAMILY_JSON,      [PGT_JSONB] = FAMILY_JSON,
	[PGT_INET] = FAMILY_OTHER,     [PGT_VECTOR] = FAMILY_OTHER,   [PGT_ENUM] = FAMILY_ENUM,
};

static bool is_known(const struct pgtype *t)
{
	return t->base < PGT_COUNT;
}

unsigned map_accept_for(const struct pgtype *t, bool is_key)
{
	if (!is_known(t))
		return ~0u;
	return matrix_accept(t->base, is_key) | (t->array ? (unsigned)MAP_ACCEPT_SCALAR_ARRAY : 0);
}

bool map_id_fits(enum map_id id, const struct pgtype *t)
{
	if (!is_known(t))
		return true;
	if (t->array)
		return false;
	switch (id) {
	case MAP_ID_TEXT:
		return families[t->base] == FAMILY_TEXT;
	case MAP_ID_BYTEA:
		return t->base == PGT_BYTEA;
	case MAP_ID_NATIVE:
		return true;
	default:
		return t->base == PGT_UUID;
	}
}

bool map_is_key_column(const struct map_collection *k, const struct map_column *col)
{
	return col->is_id && (col->primary_key || map_id_fits(k->id, &col->type));
}

static bool refers_to_key(const struct map_collection *k, const struct map_reference *r)
{
	for (size_t i = 0; i < k->ncolumns; i++) {
		const struct map_column *key = &k->columns[i];
		if (map_is_key_column(k, key) && key->name != NULL)
			return r->column != NULL ? strcmp(r->column, key->name) == 0 : key->primary_key;
	}
	return false;
}

int map_referred_collection(const struct mapping *m, const struct map_reference *r)
{
	for (size_t i = 0; r->table != NULL && i < m->ncollections; i++) {
		const struct map_collection *k = &m->collections[i];
		if (k->table != NULL && strcmp(k->table, r->table) == 0 && refers_to_key(k, r))
			return (int)i;
	}
	return -1;
}

/* ---- checks ---- */

static const char *type_text(struct arena *a, const struct pgtype *t)
{
	struct buf b;
	buf_init(&b, 0);
	pgtype_sql(&b, t, NULL);
	const char *text = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return text;
}

static void check_accept(const struct mapping *m, const struct map_column *k, bool is_key, struct complaints *c)
{
	unsigned odd = k->accept & ~map_accept_for(&k->type, is_key);
	for (size_t i = 0; i < map_words_accept.n; i++)
		if ((odd & (unsigned)map_words_accept.list[i].value) != 0)
			complain_field(c, m, &k->accept, k->line, k->col,
				       "accept: %s means nothing for column \"%s\" of type %s",
				       map_words_accept.list[i].word, k->name, type_text(m->arena, &k->type));
}

/* "epoch-ms or epoch-s" */
static const char *any_of(struct arena *a, unsigned words)
{
	const char *text = NULL;
	for (size_t i = 0; i < map_words_accept.n; i++)
		if ((words & (unsigned)map_words_accept.list[i].value) != 0)
			text = text == NULL ? map_words_accept.list[i].word
					    : arena_printf(a, "%s or %s", text, map_words_accept.list[i].word);
	return text;
}

/* Text in a reference goes by the id rule of what it points to. */
static bool needs_word(const struct mapping *m, const struct map_column *k, unsigned kind)
{
	int referred = map_referred_collection(m, &k->references);
	return kind == BSON_K_STRING && k->type.base == PGT_UUID && referred >= 0 &&
	       m->collections[referred].id == MAP_ID_UUIDV7;
}

/* The BSON types that the mapping itself says the field holds: each needs a way into the column. */
static void check_bson(const struct mapping *m, const struct map_column *k, bool is_key, struct complaints *c)
{
	const char *type = type_text(m->arena, &k->type);
	bool takes_all = k->is_id && is_key && k->type.base == PGT_UUID;
	for (unsigned kind = 1; !takes_all && kind < MATRIX_KINDS; kind++) {
		unsigned words;
		if ((k->bson & 1u << kind) == 0 || kind == BSON_K_NULL || kind == BSON_K_UNDEFINED)
			continue;
		enum matrix_verdict v = matrix_verdict(k->type.base, kind, is_key, &words);
		if (v == MATRIX_NO)
			complain_field(c, m, &k->bson, k->line, k->col,
				       "bson: %s does not go into column \"%s\" of type %s; %s would do",
				       matrix_kind_name(kind), k->name, type,
				       matrix_nearest(m->arena, &k->type, kind));
		else if ((v == MATRIX_BY_WORD || needs_word(m, k, kind)) && (k->accept & words) == 0)
			complain_field(c, m, &k->bson, k->line, k->col,
				       "bson: %s goes into column \"%s\" of type %s only with accept: %s",
				       matrix_kind_name(kind), k->name, type, any_of(m->arena, words));
	}
}

/* ---- warnings: it works, but maybe not as it was meant ---- */

static void warn_takes_nothing(const struct mapping *m, const struct map_column *k, bool is_key, struct complaints *c)
{
	for (unsigned kind = 1; kind < MATRIX_KINDS; kind++)
		if (matrix_verdict(k->type.base, kind, is_key, NULL) == MATRIX_NATURALLY)
			return;
	unsigned words = matrix_accept(k->type.base, is_key);
	if (words != 0 && (k->accept & words) == 0)
		complain_field(c, m, &k->type, k->line, k->col,
			       "column \"%s\" of type %s takes no value without accept: %s", k->name,
			       type_text(m->arena, &k->type), any_of(m->arena, words));
}

static bool fold_to_one(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++) {
		char x = *a >= 'A' && *a <= 'Z' ? (char)(*a | 0x20) : *a,
		     y = *b >= 'A' && *b <= 'Z' ? (char)(*b | 0x20) : *b;
		if (x != y)
			return false;
	}
	return *a == *b;
}

static void warn_of_folding(const struct mapping *m, const struct map_column *k, struct complaints *c)
{
	const struct schema_enum *e = k->type.base == PGT_ENUM ? &m->enums[k->type.enum_index] : NULL;
	for (size_t i = 1; e != NULL && k->fold_case && i < e->nlabels; i++)
		for (size_t j = 0; j < i; j++)
			if (fold_to_one(e->labels[i], e->labels[j]))
				complain_field(
					c, m, &k->fold_case, k->line, k->col,
					"fold_case cannot tell \"%s\" and \"%s\" of enum \"%s\" apart: another "
					"case of them is no label",
					e->labels[j], e->labels[i], e->name);
}

static void warn_of_type(const struct mapping *m, const struct map_column *k, bool is_key, struct complaints *c)
{
	const struct pgtype *t = &k->type;
	bool is_stamp = t->base == PGT_TIMESTAMP || t->base == PGT_TIMESTAMPTZ;
	if (c == NULL)
		return;
	warn_takes_nothing(m, k, is_key, c);
	warn_of_folding(m, k, c);
	if (t->base == PGT_FLOAT4)
		complain_field(c, m, &k->type, k->line, k->col,
			       "column \"%s\" is real: a double that needs more digits than a real holds is refused "
			       "(inexact); double precision holds every double",
			       k->name);
	if (is_stamp && t->precision >= 0 && t->precision < 3)
		complain_field(c, m, &k->type, k->line, k->col,
			       "column \"%s\" is %s: a date whose milliseconds it cannot hold is refused (inexact); "
			       "%s(3) holds every date",
			       k->name, type_text(m->arena, t), pgt_name(t->base));
}

static void check_literal(const struct mapping *m, const struct map_column *k, const char *key,
			  const struct map_value *v, struct complaints *c)
{
	const struct schema_enum *e = k->type.base == PGT_ENUM ? &m->enums[k->type.enum_index] : NULL;
	const char *fault = map_literal_fault(m->arena, &k->type, e, v->literal);
	if (fault != NULL)
		complain_field(c, m, v, k->line, k->col, "%s: \"%s\" does not fit column \"%s\": %s", key, v->literal,
			       k->name, fault);
}

static bool is_same_path(const struct map_value *v, const struct map_column *k)
{
	if (v->npath != k->nfrom)
		return false;
	for (size_t i = 0; i < k->nfrom; i++)
		if (strcmp(v->path[i], k->from[i]) != 0)
			return false;
	return true;
}

static void check_value(const struct mapping *m, const struct map_column *k, const char *key,
			const struct map_value *v, struct complaints *c)
{
	for (; v != NULL; v = v->otherwise) {
		if (v->kind == MAP_VALUE_NULL && (k->not_null || k->primary_key))
			complain_field(c, m, v, k->line, k->col, "%s: null cannot be, column \"%s\" takes no NULL",
				       key, k->name);
		else if (v->kind == MAP_VALUE_LITERAL)
			check_literal(m, k, key, v, c);
		else if (v->kind == MAP_VALUE_PATH && is_same_path(v, k))
			complain_field(c, m, v, k->line, k->col,
				       "%s: the path is the one that column \"%s\" has its value from", key, k->name);
		else if (v->kind == MAP_VALUE_ID_TIME && (families[k->type.base] != FAMILY_DATE || k->type.array))
			complain_field(c, m, v, k->line, k->col, "%s: $id_time is a time, column \"%s\" is %s", key,
				       k->name, type_text(m->arena, &k->type));
	}
}

static void check_labels(const struct mapping *m, const struct map_column *k, struct complaints *c)
{
	struct pgtype one = k->type; /* of an array's elements, too */
	one.array = false;
	bool has_labels = one.base == PGT_ENUM || families[one.base] == FAMILY_TEXT;
	for (size_t i = 0; has_labels && i < k->nlabels; i++) {
		const struct schema_enum *e = one.base == PGT_ENUM ? &m->enums[one.enum_index] : NULL;
		const char *fault = map_literal_fault(m->arena, &one, e, k->labels[i].to);
		if (fault != NULL)
			complain_field(c, m, &k->labels[i].to, k->line, k->col, "labels: \"%s\" does not fit: %s",
				       k->labels[i].to, fault);
	}
}

/* Policies that only some columns know. */
static void check_meaning(const struct mapping *m, const struct map_column *k, unsigned role, struct complaints *c)
{
	const struct {
		unsigned given;
		const void *field;
		const char *key;
	} policies[] = {
		{MAP_GIVEN_IF_MISSING, &k->if_missing, "if_missing"},
		{MAP_GIVEN_IF_NULL, &k->if_null, "if_null"},
		{MAP_GIVEN_IF_INVALID, &k->if_invalid, "if_invalid"},
		{MAP_GIVEN_ENCODING, &k->encoding, "encoding"},
		{MAP_GIVEN_LABELS, &k->labels, "labels"},
		{MAP_GIVEN_FOLD_CASE, &k->fold_case, "fold_case"},
		{MAP_GIVEN_JSON, &k->json, "json"},
		{MAP_GIVEN_DUPLICATE_KEYS, &k->duplicate_keys, "duplicate_keys"},
		{MAP_GIVEN_UUID_ORDER, &k->uuid_order, "uuid_order"},
	};
	for (size_t i = 0; i < COUNT_OF(policies); i++) {
		const char *why = "";
		if ((k->given & policies[i].given) == 0 || map_policy_suits(k, role, policies[i].given, &why))
			continue;
		if (map_policy_suits(k, 0, policies[i].given, NULL))
			complain_field(c, m, policies[i].field, k->line, k->col,
				       "%s cannot be here: column \"%s\" takes %s, and %s", policies[i].key, k->name,
				       (role & MAP_ROLE_KEY) != 0 ? "the key" : "keys of another table",
				       policies[i].given == MAP_GIVEN_UUID_ORDER
					       ? "the collection's uuid_order is what counts for it"
					       : "a key is taken as it is");
		else
			complain_field(c, m, policies[i].field, k->line, k->col, "%s is for %s; column \"%s\" is %s",
				       policies[i].key, why, k->name, type_text(m->arena, &k->type));
	}
}

static bool has_own_policies(const struct map_column *k)
{
	const unsigned policies = MAP_GIVEN_ENCODING | MAP_GIVEN_ACCEPT | MAP_GIVEN_FOLD_CASE | MAP_GIVEN_JSON |
				  MAP_GIVEN_DUPLICATE_KEYS | MAP_GIVEN_UUID_ORDER | MAP_GIVEN_LABELS |
				  MAP_GIVEN_BSON | MAP_GIVEN_IF_MISSING | MAP_GIVEN_IF_NULL | MAP_GIVEN_IF_INVALID;
	return (k->given & policies) != 0;
}

/* A column that no field feeds. */
static void check_no_source(const struct mapping *m, const struct map_column *k, struct complaints *c)
{
	if (has_own_policies(k))
		complain(c, k->line, k->col,
			 k->value != NULL ? "column \"%s\" is a constant (value), so policies mean nothing"
					  : "column \"%s\" is fed by nothing (from: null), so policies mean nothing",
			 k->name);
	if (k->generated_sql != NULL && k->nfrom > 0)
		complain_field(c, m, &k->generated_sql, k->line, k->col,
			       "column \"%s\" is generated by the server, so nothing feeds it (from)", k->name);
	if (k->generated_sql != NULL && k->default_sql != NULL)
		complain_field(c, m, &k->generated_sql, k->line, k->col,
			       "column \"%s\" is generated by the server, so it has no default", k->name);
	if (k->value == NULL && (k->not_null || k->primary_key) && k->default_sql == NULL && k->generated_sql == NULL)
		complain(c, k->line, k->col,
			 "column \"%s\" is fed by nothing (from: null) and takes no NULL, so it needs a default",
			 k->name);
	if (k->value == NULL)
		return;
	const struct schema_enum *e = k->type.base == PGT_ENUM ? &m->enums[k->type.enum_index] : NULL;
	const char *fault = map_literal_fault(m->arena, &k->type, e, k->value);
	if (fault != NULL)
		complain_field(c, m, &k->value, k->line, k->col, "value: \"%s\" does not fit column \"%s\": %s",
			       k->value, k->name, fault);
}

static void check_key(const struct mapping *m, const struct map_column *k, struct complaints *c)
{
	if (k->primary_key && (k->type.base == PGT_JSON || k->type.base == PGT_VECTOR))
		complain_field(c, m, &k->type, k->line, k->col, "a primary key cannot be of type %s",
			       type_text(m->arena, &k->type));
	if (k->primary_key && k->generated_sql != NULL)
		complain_field(c, m, &k->generated_sql, k->line, k->col, "a primary key cannot be generated");
	if (k->default_sql != NULL && k->default_sql[0] == '\0')
		complain_field(c, m, &k->default_sql, k->line, k->col,
			       "default is SQL and cannot be empty; an empty text is \"''\"");
}

void map_check_column(const struct mapping *m, const struct map_column *k, unsigned role, struct complaints *c)
{
	if (k->name == NULL || !is_known(&k->type))
		return;
	check_key(m, k, c);
	if (k->type.base == PGT_TSVECTOR && k->generated_sql == NULL)
		complain_field(c, m, &k->type, k->line, k->col, "no value of a document becomes tsvector%s",
			       map_instead_of(m->arena, "tsvector"));
	if (k->no_source) {
		check_no_source(m, k, c);
		return;
	}
	check_accept(m, k, role != 0, c);
	check_bson(m, k, role != 0, c);
	warn_of_type(m, k, role != 0, c->warnings);
	check_meaning(m, k, role, c);
	check_labels(m, k, c);
	check_value(m, k, "if_missing", &k->if_missing, c);
	check_value(m, k, "if_null", &k->if_null, c);
	check_value(m, k, "if_invalid", &k->if_invalid, c);
}
