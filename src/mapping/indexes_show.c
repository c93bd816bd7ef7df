/* indexes_show.c - the verdicts as a page, as SQL and as JSON. */
#include "indexes.h"
#include "text.h"

static const char *const words[INDEX_FATE_COUNT] = {[INDEX_THERE] = "there",
						    [INDEX_MADE] = "made",
						    [INDEX_INSTEAD] = "instead",
						    [INDEX_SUGGESTED] = "suggested",
						    [INDEX_NOT_MADE] = "not_made"};
static const char *const sentences[INDEX_FATE_COUNT] = {[INDEX_THERE] = "there already",
							[INDEX_MADE] = "made as it is",
							[INDEX_INSTEAD] = "made as something else",
							[INDEX_SUGGESTED] = "a suggestion, not made",
							[INDEX_NOT_MADE] = "not made"};
static const char *const whens[] = {[INDEX_ALWAYS] = "always",
				    [INDEX_NEW_SERVER] = "from 15 on",
				    [INDEX_OLD_SERVER] = "before 15",
				    [INDEX_BY_HAND] = "by hand"};

const char *index_fate_word(enum index_fate f)
{
	return words[f];
}

static void put_name(struct buf *out, const char *name)
{
	text_escape(out, name, strlen(name));
}

/* "status_1 (status: 1; unique)": what MongoDB has. */
static void put_index(struct buf *out, const struct index_verdict *v)
{
	put_name(out, v->name);
	buf_printf(out, " (%s%s%s)", v->keys, *v->options != '\0' ? "; " : "", v->options);
}

static void put_totals(struct buf *out, const struct index_verdicts *v)
{
	buf_printf(out, "%zu index%s", v->n, v->n == 1 ? "" : "es");
	for (int f = 0; f < INDEX_FATE_COUNT; f++)
		if (v->made[f] > 0)
			buf_printf(out, "%s %zu %s", f == 0 || v->n == 0 ? ":" : ",", v->made[f], sentences[f]);
}

static void put_head(struct buf *out, const struct index_verdicts *v, const struct index_verdict *x,
		     const struct index_verdict *before)
{
	(void)v;
	if (before != NULL && strcmp(before->collection, x->collection) == 0 && strcmp(before->table, x->table) == 0)
		return;
	buf_putc(out, '\n');
	put_name(out, x->collection);
	buf_puts(out, " -> ");
	put_name(out, x->table);
	buf_putc(out, '\n');
}

void index_verdicts_text(struct buf *out, const struct index_verdicts *v)
{
	buf_printf(out, "Indexes of %s\n", v->source);
	for (size_t i = 0; i < v->n; i++) {
		const struct index_verdict *x = &v->list[i];
		put_head(out, v, x, i > 0 ? x - 1 : NULL);
		buf_puts(out, "  ");
		put_index(out, x);
		buf_printf(out, "\n    %s", sentences[x->fate]);
		if (x->there != NULL) {
			buf_puts(out, x->fate == INDEX_THERE ? ": " : "; in part there already: ");
			put_name(out, x->there);
		}
		buf_putc(out, '\n');
		for (size_t n = 0; n < x->nnotes; n++) {
			buf_puts(out, "    - ");
			put_name(out, x->notes[n]);
			buf_putc(out, '\n');
		}
		for (size_t n = 0; n < x->nstatements; n++) {
			bool always = x->statements[n].when == INDEX_ALWAYS;
			buf_printf(out, "      %s%s%s%s;\n", always ? "" : "[",
				   always ? "" : whens[x->statements[n].when], always ? "" : "] ",
				   x->statements[n].sql);
		}
	}
	buf_putc(out, '\n');
	for (size_t i = 0; i < v->nremarks; i++) {
		put_name(out, v->remarks[i]);
		buf_putc(out, '\n');
	}
	put_totals(out, v);
	buf_putc(out, '\n');
}

/* ---- SQL ---- */

static void put_comment(struct buf *out, const char *text)
{
	buf_puts(out, "-- ");
	put_name(out, text);
	buf_putc(out, '\n');
}

static void put_commented(struct buf *out, const char *sql)
{
	buf_puts(out, "--   ");
	for (; *sql != '\0'; sql++) {
		buf_putc(out, *sql);
		if (*sql == '\n')
			buf_puts(out, "--   ");
	}
	buf_puts(out, ";\n");
}

/* psql's \if chooses by the server's version. */
static void put_statements(struct buf *out, const struct index_verdict *x)
{
	static const char *const conditions[] = {[INDEX_ALWAYS] = NULL,
						 [INDEX_NEW_SERVER] = "\\if :nulls_not_distinct\n",
						 [INDEX_OLD_SERVER] = "\\if :nulls_distinct\n"};
	for (size_t i = 0; i < x->nstatements; i++) {
		const struct index_statement *s = &x->statements[i];
		if (s->when == INDEX_BY_HAND) {
			put_commented(out, s->sql);
			continue;
		}
		buf_puts(out, conditions[s->when] != NULL ? conditions[s->when] : "");
		buf_printf(out, "%s;\n", s->sql);
		buf_puts(out, conditions[s->when] != NULL ? "\\endif\n" : "");
	}
}

void index_verdicts_sql(struct buf *out, const struct index_verdicts *v)
{
	buf_puts(out, "-- Indexes of ");
	put_name(out, v->source);
	buf_puts(out, "\n-- for psql; run it once the rows are in. What begins with -- is not run.\n"
		      "SELECT current_setting('server_version_num')::int >= 150000 AS nulls_not_distinct,\n"
		      "       current_setting('server_version_num')::int < 150000 AS nulls_distinct \\gset\n");
	for (size_t i = 0; i < v->n; i++) {
		const struct index_verdict *x = &v->list[i];
		if (x->nstatements == 0)
			continue;
		buf_puts(out, "\n-- ");
		put_name(out, x->collection);
		buf_puts(out, ": ");
		put_index(out, x);
		buf_putc(out, '\n');
		for (size_t n = 0; n < x->nnotes; n++)
			put_comment(out, x->notes[n]);
		put_statements(out, x);
	}
}

/* ---- JSON ---- */

static void put_member(struct buf *out, const char *before, const char *key, const char *text)
{
	buf_printf(out, "%s\"%s\":", before, key);
	if (text != NULL)
		text_json_string(out, text, strlen(text));
	else
		buf_puts(out, "null");
}

static void put_texts(struct buf *out, const char *const *list, size_t n)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i > 0 ? "," : "");
		text_json_string(out, list[i], strlen(list[i]));
	}
	buf_putc(out, ']');
}

static void put_verdict(struct buf *out, const struct index_verdict *x)
{
	put_member(out, "{", "collection", x->collection);
	put_member(out, ",", "table", x->table);
	put_member(out, ",", "name", x->name);
	put_member(out, ",", "keys", x->keys);
	put_member(out, ",", "options", x->options);
	put_member(out, ",", "verdict", words[x->fate]);
	put_member(out, ",", "there", x->there);
	buf_puts(out, ",\"notes\":");
	put_texts(out, x->notes, x->nnotes);
	buf_puts(out, ",\"statements\":[");
	for (size_t i = 0; i < x->nstatements; i++) {
		put_member(out, i > 0 ? ",{" : "{", "when", whens[x->statements[i].when]);
		put_member(out, ",", "sql", x->statements[i].sql);
		buf_putc(out, '}');
	}
	buf_puts(out, "]}");
}

void index_verdicts_json(struct buf *out, const struct index_verdicts *v)
{
	put_member(out, "{", "source", v->source);
	buf_puts(out, ",\"totals\":{");
	for (int f = 0; f < INDEX_FATE_COUNT; f++)
		buf_printf(out, "%s\"%s\":%zu", f > 0 ? "," : "", words[f], v->made[f]);
	buf_puts(out, "},\"remarks\":");
	put_texts(out, v->remarks, v->nremarks);
	buf_puts(out, ",\"indexes\":[");
	for (size_t i = 0; i < v->n; i++) {
		buf_puts(out, i > 0 ? ",\n " : "\n ");
		put_verdict(out, &v->list[i]);
	}
	buf_puts(out, "\n]}\n");
}
