/* sql.c - the model as SQL statements, without semicolons, every name quoted and qualified. */
#include "schema.h"
#include "sys.h"
#include "text.h"

void sql_ident(struct buf *out, const char *name)
{
	buf_putc(out, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			buf_putc(out, '"');
		buf_putc(out, *name);
	}
	buf_putc(out, '"');
}

/* E'' with doubled backslashes reads the same whatever standard_conforming_strings says. */
void sql_literal(struct buf *out, const char *text)
{
	if (strchr(text, '\\') != NULL)
		buf_putc(out, 'E');
	buf_putc(out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			buf_putc(out, *text);
		buf_putc(out, *text);
	}
	buf_putc(out, '\'');
}

void sql_table(struct buf *out, const struct schema *s, const struct schema_table *t)
{
	sql_ident(out, s->name);
	buf_putc(out, '.');
	sql_ident(out, t->name);
}

void sql_rows(struct buf *out, const struct schema *s, const struct schema_table *t)
{
	if (t->stage != NULL)
		buf_puts(out, t->stage);
	else
		sql_table(out, s, t);
}

/* Cuts n bytes of name back to a whole character. */
static size_t whole_characters(const char *name, size_t n)
{
	while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
		n--;
	return n;
}

void schema_derived_name(struct buf *out, const char *base, const char *suffix)
{
	size_t base_len = strlen(base), suffix_len = strlen(suffix);
	if (base_len + suffix_len <= SCHEMA_NAME_MAX || suffix_len + 10 > SCHEMA_NAME_MAX) {
		buf_puts(out, base);
		buf_puts(out, suffix);
		return;
	}
	uint8_t digest[32];
	char hex[9];
	sha256(base, base_len, digest);
	text_hex(digest, 4, hex);
	buf_put(out, base, whole_characters(base, SCHEMA_NAME_MAX - suffix_len - 9));
	buf_printf(out, "_%s%s", hex, suffix);
}

void schema_sql_enum(struct buf *out, const struct schema *s, const struct schema_enum *e)
{
	buf_puts(out, "CREATE TYPE ");
	sql_ident(out, s->name);
	buf_putc(out, '.');
	sql_ident(out, e->name);
	buf_puts(out, " AS ENUM (");
	for (size_t i = 0; i < e->nlabels; i++) {
		buf_puts(out, i > 0 ? ", " : "");
		sql_literal(out, e->labels[i]);
	}
	buf_putc(out, ')');
}

void schema_sql_domain(struct buf *out, const struct schema *s, const struct schema_domain *d)
{
	buf_puts(out, "CREATE DOMAIN ");
	sql_ident(out, s->name);
	buf_putc(out, '.');
	sql_ident(out, d->name);
	buf_puts(out, " AS ");
	pgtype_sql(out, &d->type, s->name);
	if (d->not_null)
		buf_puts(out, " NOT NULL");
	if (d->check != NULL)
		buf_printf(out, " CHECK (%s)", d->check);
}

static void put_column(struct buf *out, const struct schema *s, const struct schema_column *c)
{
	sql_ident(out, c->name);
	buf_putc(out, ' ');
	pgtype_sql(out, &c->type, s->name);
	if (c->not_null)
		buf_puts(out, " NOT NULL");
	if (c->default_sql != NULL)
		buf_printf(out, " DEFAULT %s", c->default_sql);
	if (c->generated_sql != NULL)
		buf_printf(out, " GENERATED ALWAYS AS (%s) STORED", c->generated_sql);
}

void schema_sql_table(struct buf *out, const struct schema *s, const struct schema_table *t)
{
	buf_puts(out, "CREATE TABLE ");
	sql_table(out, s, t);
	buf_puts(out, " (");
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_puts(out, i > 0 ? ", " : "");
		put_column(out, s, &t->columns[i]);
	}
	buf_putc(out, ')');
}

static void put_alter(struct buf *out, const struct schema *s, const struct schema_table *t)
{
	buf_puts(out, "ALTER TABLE ");
	sql_table(out, s, t);
	buf_puts(out, " ADD CONSTRAINT ");
}

void schema_primary_key_name(struct buf *out, const struct schema_table *t)
{
	if (t->primary_key_name != NULL)
		buf_puts(out, t->primary_key_name);
	else
		schema_derived_name(out, t->name, "_pkey");
}

void schema_sql_primary_key(struct buf *out, const struct schema *s, const struct schema_table *t)
{
	_cleanup_(buf_free) struct buf name = {0};
	if (t->primary_key_definition != NULL) {
		buf_puts(out, t->primary_key_definition);
		return;
	}
	put_alter(out, s, t);
	schema_primary_key_name(&name, t);
	sql_ident(out, buf_cstr(&name));
	buf_puts(out, " PRIMARY KEY (");
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(out, i > 0 ? ", " : "");
		sql_ident(out, t->columns[t->primary_key[i]].name);
	}
	buf_putc(out, ')');
}

void schema_sql_index(struct buf *out, const struct schema *s, const struct schema_table *t,
		      const struct schema_index *i)
{
	if (i->definition != NULL) {
		buf_puts(out, i->definition);
		return;
	}
	buf_printf(out, "CREATE %sINDEX ", i->unique ? "UNIQUE " : "");
	sql_ident(out, i->name);
	buf_puts(out, " ON ");
	sql_table(out, s, t);
	buf_printf(out, " USING %s (", i->method != NULL ? i->method : "btree");
	if (i->expression != NULL)
		buf_puts(out, i->expression);
	for (size_t k = 0; i->expression == NULL && k < i->ncolumns; k++) {
		buf_puts(out, k > 0 ? ", " : "");
		sql_ident(out, i->columns[k]);
	}
	buf_putc(out, ')');
	if (i->nulls_not_distinct)
		buf_puts(out, " NULLS NOT DISTINCT");
	if (i->where != NULL)
		buf_printf(out, " WHERE %s", i->where);
}

const char *fk_action_sql(enum fk_action a)
{
	static const char *const names[] = {[FK_NO_ACTION] = "NO ACTION",
					    [FK_RESTRICT] = "RESTRICT",
					    [FK_CASCADE] = "CASCADE",
					    [FK_SET_NULL] = "SET NULL",
					    [FK_SET_DEFAULT] = "SET DEFAULT"};
	return names[a];
}

void schema_sql_fkey(struct buf *out, const struct schema *s, const struct schema_table *t,
		     const struct schema_fkey *f, bool not_valid)
{
	if (f->definition != NULL) {
		buf_printf(out, "%s%s%s", f->definition, not_valid ? " NOT VALID" : "",
			   f->after != NULL ? f->after : "");
		return;
	}
	put_alter(out, s, t);
	sql_ident(out, f->name);
	buf_puts(out, " FOREIGN KEY (");
	sql_ident(out, f->column);
	buf_puts(out, ") REFERENCES ");
	sql_table(out, s, &s->tables[f->ref_table]);
	buf_puts(out, " (");
	sql_ident(out, f->ref_column);
	buf_printf(out, ") ON DELETE %s ON UPDATE %s%s", fk_action_sql(f->on_delete), fk_action_sql(f->on_update),
		   not_valid ? " NOT VALID" : "");
}
