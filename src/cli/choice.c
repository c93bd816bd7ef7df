/* choice.c - --only and --skip, as the settings have them, for the commands that move or show a part of a mapping. */
#include "cli.h"
#include "plan.h"

/* All that the command line gave, or the one text of the environment. */
static size_t texts_of(const struct setting *v, const char *const **list)
{
	if (v->from == FROM_COMMAND_LINE) {
		*list = v->list;
		return v->nlist;
	}
	*list = &v->text;
	return v->text != NULL ? 1 : 0;
}

bool cli_has_choice(const struct cli *c)
{
	return settings_text(&c->settings, OPT_ONLY) != NULL || settings_text(&c->settings, OPT_SKIP) != NULL;
}

bool cli_choose(const struct cli *c, const struct mapping *m, struct buf *left_out, struct err *err)
{
	const char *const *only, *const *skip;
	size_t nonly = texts_of(&c->settings.v[OPT_ONLY], &only);
	size_t nskip = texts_of(&c->settings.v[OPT_SKIP], &skip);

	return plan_choose(m, only, nonly, skip, nskip, left_out, err);
}

static const char *joined(struct arena *a, const struct plan_names *l, const char *between)
{
	struct buf out;

	buf_init(&out, 0);
	for (size_t i = 0; i < l->n; i++)
		buf_printf(&out, "%s%s", i > 0 ? between : "", l->list[i]);
	const char *text = arena_strdup(a, buf_cstr(&out));
	buf_free(&out);
	return text;
}

void cli_say_left_out(const struct cli *c, const struct plan *p)
{
	if (p->left_out.n > 0)
		cli_say(c, "%zu of %zu collections are left out: %s", p->left_out.n, p->mapping->ncollections,
			joined(c->arena, &p->left_out, ", "));
	if (p->left_keys.n > 0)
		cli_say(c, "foreign keys left out, since their tables are not made: %s",
			joined(c->arena, &p->left_keys, "; "));
	if (p->left_junctions.n > 0)
		cli_say(c, "junctions left out: %s", joined(c->arena, &p->left_junctions, "; "));
}
