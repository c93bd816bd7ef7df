/* settings.c - see settings.h. */
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "buf.h"
#include "sys.h"
#include "text.h"

#define ENV_FILE_MAX (1u << 20)

void settings_init(struct settings *s, struct arena *a)
{
	*s = (struct settings){.arena = a};
}

/* Appends to an array in the arena; arrays here have a few entries. */
static const char **append(struct arena *a, const char **list, size_t n, const char *text)
{
	const char **grown = arena_alloc(a, (n + 1) * sizeof(*grown));

	if (n > 0)
		memcpy(grown, list, n * sizeof(*grown));
	grown[n] = text;
	return grown;
}

static void note(struct settings *s, const char *text)
{
	s->notes = append(s->arena, s->notes, s->nnotes, text);
	s->nnotes++;
}

/* --- the command line --- */

/* The option that argv[i] names and, in *value, what stands behind "=" or after the letter. -1: none. */
static int option_of_word(const char *word, const char **value)
{
	*value = NULL;
	if (word[1] == '-') {
		size_t len = strcspn(word + 2, "=");
		if (word[2 + len] == '=')
			*value = word + 3 + len;
		return option_find(word + 2, len);
	}
	if (word[2] != '\0')
		*value = word + 2;
	return option_find_letter(word[1]);
}

static bool is_option_word(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

int settings_command_word(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value;
		if (!is_option_word(argv[i]))
			return i;
		if (strcmp(argv[i], "--") == 0)
			return argc;
		int o = option_of_word(argv[i], &value);
		if (o >= 0 && options[o].kind != OPT_KIND_FLAG && !value)
			i++;
	}
	return argc;
}

static bool unknown_option(const char *word, enum command_id c, struct err *err)
{
	char name[64];
	size_t dashes = word[1] == '-' ? 2 : 1;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + dashes, "="), word + dashes);
	err_set(err, ERR_USAGE, "there is no option %.*s%.64s", (int)dashes, word, name);
	int near = dashes == 2 ? option_nearest(name, c) : -1;
	if (near >= 0)
		return err_hint(err, "did you mean --%s?", options[near].name);
	return err_hint(err, "docrow help lists the commands, docrow help COMMAND its options");
}

static bool foreign_option(enum opt o, enum command_id c, struct err *err)
{
	struct buf who;

	buf_init(&who, 0);
	for (int i = 0; i < CMD_COUNT; i++)
		if (option_belongs(o, (enum command_id)i))
			buf_printf(&who, "%sdocrow %s", who.len > 0 ? ", " : "", command_words[i]);
	err_set(err, ERR_USAGE, "docrow %s has no option --%s", command_words[c], options[o].name);
	err_hint(err, "it is an option of %s", buf_cstr(&who));
	buf_free(&who);
	return false;
}

static void set_from_command_line(struct settings *s, enum opt o, const char *text)
{
	struct setting *v = &s->v[o];

	v->text = text;
	v->from = FROM_COMMAND_LINE;
	v->name = arena_printf(s->arena, "--%s", options[o].name);
	if (options[o].repeats) {
		v->list = append(s->arena, v->list, v->nlist, text);
		v->nlist++;
	}
}

/* -qv is -q -v; -w4 and -w 4 are the same. */
static bool take_letters(struct settings *s, const char *word, const char *next, bool *used_next, enum command_id c,
			 struct err *err)
{
	for (const char *p = word + 1; *p != '\0'; p++) {
		int o = option_find_letter(*p);
		if (o < 0) {
			const char wrong[3] = {'-', *p, '\0'};
			return unknown_option(wrong, c, err);
		}
		if (!option_belongs((enum opt)o, c))
			return foreign_option((enum opt)o, c, err);
		if (options[o].kind == OPT_KIND_FLAG) {
			set_from_command_line(s, (enum opt)o, "true");
			continue;
		}
		if (p[1] == '\0' && !next)
			return err_set(err, ERR_USAGE, "-%c needs a value: %s", *p, options[o].value);
		*used_next = p[1] == '\0';
		set_from_command_line(s, (enum opt)o, arena_strdup(s->arena, *used_next ? next : p + 1));
		return true;
	}
	return true;
}

static bool take_long(struct settings *s, const char *word, const char *next, bool *used_next, enum command_id c,
		      struct err *err)
{
	const char *value;
	int o = option_of_word(word, &value);

	if (o < 0)
		return unknown_option(word, c, err);
	if (!option_belongs((enum opt)o, c))
		return foreign_option((enum opt)o, c, err);
	if (options[o].kind == OPT_KIND_FLAG) {
		if (value)
			return err_set(err, ERR_USAGE, "--%s takes no value", options[o].name);
		set_from_command_line(s, (enum opt)o, "true");
		return true;
	}
	if (!value) {
		if (!next)
			return err_set(err, ERR_USAGE, "--%s needs a value: %s", options[o].name, options[o].value);
		value = next;
		*used_next = true;
	}
	set_from_command_line(s, (enum opt)o, arena_strdup(s->arena, value));
	return true;
}

bool settings_args(struct settings *s, int argc, char **argv, int skip, enum command_id c, struct err *err)
{
	bool only_words = false;

	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		bool used_next = false;
		if (i == skip)
			continue;
		if (only_words || !is_option_word(argv[i])) {
			s->args = append(s->arena, s->args, s->nargs, arena_strdup(s->arena, argv[i]));
			s->nargs++;
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			only_words = true;
			continue;
		}
		if (i + 1 == skip)
			next = NULL;
		bool ok = argv[i][1] == '-' ? take_long(s, argv[i], next, &used_next, c, err)
					    : take_letters(s, argv[i], next, &used_next, c, err);
		if (!ok)
			return false;
		i += used_next;
	}
	return true;
}

/* --- environment, .env, defaults --- */

static const char *environment_value(char **environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

static const char *lookup_environment(void *ctx, const char *name)
{
	return environment_value(ctx, name);
}

static bool read_env_file(struct settings *s, char **environment, struct err *err)
{
	const struct setting *v = &s->v[OPT_ENV_FILE];
	const char *path = v->text ? v->text : options[OPT_ENV_FILE].otherwise;
	struct buf text;

	if (path[0] == '\0' || (!v->text && access(path, F_OK) != 0 && errno == ENOENT))
		return true;
	buf_init(&text, 0);
	bool ok = file_read(path, ENV_FILE_MAX, &text, err);
	if (ok) {
		s->env_file = path;
		dotenv_parse(s->arena, (const char *)text.data, text.len, lookup_environment, environment,
			     &s->dotenv);
	} else {
		err_hint(err, "--env-file names another file; --env-file '' reads none");
	}
	buf_free(&text);
	return ok;
}

/* Takes the name's value from the environment, then from .env. An empty one counts as not set. */
static bool take_named(struct settings *s, enum opt o, const char *name, char **environment)
{
	struct setting *v = &s->v[o];
	const char *text = environment_value(environment, name);

	if (text && text[0] != '\0') {
		*v = (struct setting){.text = arena_strdup(s->arena, text), .from = FROM_ENVIRONMENT, .name = name};
		return true;
	}
	const struct dotenv_entry *e = dotenv_find(&s->dotenv, name);
	if (e && e->value && e->value[0] != '\0') {
		*v = (struct setting){.text = e->value, .from = FROM_DOTENV, .name = name, .line = e->line};
		return true;
	}
	return false;
}

static void take_one(struct settings *s, enum opt o, char **environment)
{
	struct setting *v = &s->v[o];

	if (v->from == FROM_COMMAND_LINE)
		return;
	if (options[o].env && take_named(s, o, options[o].env, environment))
		return;
	if (options[o].env_also && take_named(s, o, options[o].env_also, environment))
		return;
	if (options[o].otherwise)
		*v = (struct setting){.text = options[o].otherwise, .from = FROM_DEFAULT, .name = "default"};
}

const char *setting_where(const struct settings *s, const struct setting *v)
{
	switch (v->from) {
	case FROM_NOWHERE:
		return "not set";
	case FROM_DOTENV:
		return arena_printf(s->arena, "%s in %s, line %d", v->name, s->env_file, v->line);
	default:
		return v->name;
	}
}

bool settings_check(struct settings *s, enum opt o, struct err *err)
{
	struct setting *v = &s->v[o];
	char expected[160] = "";
	struct buf shown;

	if (!v->text || option_parse(o, v->text, &v->number, expected))
		return true;
	buf_init(&shown, 0);
	text_escape(&shown, v->text, strlen(v->text));
	err_set(err, ERR_SETTING, "%s: \"%.80s\" is not %s", setting_where(s, v), buf_cstr(&shown), expected);
	buf_free(&shown);
	return false;
}

/* Lines of .env that cannot be read matter only when they set something of ours. */
static bool check_env_file(const struct settings *s, struct err *err)
{
	for (size_t i = 0; i < s->dotenv.n; i++) {
		const struct dotenv_entry *e = &s->dotenv.entries[i];
		if (e->wrong && e->key && option_find_env(e->key) >= 0)
			return err_set(err, ERR_SETTING, "%s, line %d: %s: %s", s->env_file, e->line, e->key,
				       e->wrong);
	}
	return true;
}

static void note_unknown_name(struct settings *s, const char *name, size_t len, const char *where)
{
	/* Names that other parts read by themselves. */
	static const char *const others[] = {"DOCROW_MAPPINGS", "DOCROW_SOURCE_ROOT"};
	const char *copy = arena_strndup(s->arena, name, len);

	if (strncmp(copy, "DOCROW_", 7) != 0 || option_find_env(copy) >= 0)
		return;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(copy, others[i]) == 0)
			return;
	int near = option_nearest_env(copy);
	if (near >= 0)
		note(s, arena_printf(s->arena, "%s in %s is no setting; did you mean %s?", copy, where,
				     options[near].env));
}

static void note_unknown_names(struct settings *s, char **environment)
{
	for (; environment && *environment; environment++)
		note_unknown_name(s, *environment, strcspn(*environment, "="), "the environment");
	for (size_t i = 0; i < s->dotenv.n; i++)
		if (s->dotenv.entries[i].key)
			note_unknown_name(s, s->dotenv.entries[i].key, strlen(s->dotenv.entries[i].key), s->env_file);
}

/* DATABASE_URL is PostgreSQL's here, but an application that still runs on MongoDB has MongoDB's address there. */
static void database_url_as_source(struct settings *s, char **environment, bool wants_source)
{
	struct setting *source = &s->v[OPT_SOURCE];
	struct setting *target = &s->v[OPT_TARGET];
	bool is_target = target->text && strcmp(target->name, "DATABASE_URL") == 0;

	if (wants_source && !source->text && take_named(s, OPT_SOURCE, "DATABASE_URL", environment)) {
		if (address_is_mongodb(source->text))
			note(s, arena_printf(s->arena, "%s is the address of a MongoDB server: taken as the source",
					     setting_where(s, source)));
		else
			*source = (struct setting){0};
	} else if (is_target && address_is_mongodb(target->text)) {
		note(s, arena_printf(s->arena, "%s is the address of a MongoDB server, so it is not the target",
				     setting_where(s, target)));
	}
	if (is_target && address_is_mongodb(target->text))
		*target = (struct setting){0};
}

static const char *value_in(char **environment, const char *name)
{
	size_t n = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=' && (*environment)[n + 1] != '\0')
			return *environment + n + 1;
	return NULL;
}

/* Without an address libpq takes PostgreSQL's own variables, as psql does. */
static void target_from_libpq(struct settings *s, char **environment)
{
	static const char *const names[] = {"PGSERVICE", "PGDATABASE", "PGHOST"};
	struct setting *target = &s->v[OPT_TARGET];

	for (size_t i = 0; !target->text && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!value_in(environment, names[i]))
			continue;
		*target = (struct setting){.text = "postgresql://", .from = FROM_ENVIRONMENT, .name = names[i]};
		note(s, arena_printf(
				s->arena,
				"%s is set and no DATABASE_URL: PostgreSQL's own variables (PGHOST, PGDATABASE ...) "
				"say where the target is",
				names[i]));
	}
}

static bool check_addresses(struct settings *s, struct err *err)
{
	struct setting *source = &s->v[OPT_SOURCE];
	struct setting *target = &s->v[OPT_TARGET];

	if (source->text && address_is_postgresql(source->text)) {
		err_set(err, ERR_SOURCE_URI, "%s is the address of a PostgreSQL server", setting_where(s, source));
		return err_hint(err, "the source is MongoDB or a dump; PostgreSQL is the target "
				     "(--target, DOCROW_TARGET or DATABASE_URL)");
	}
	if (target->text && address_is_mongodb(target->text)) {
		err_set(err, ERR_TARGET_URI, "%s is the address of a MongoDB server", setting_where(s, target));
		return err_hint(err, "the target is PostgreSQL; MongoDB is the source (--source, DOCROW_SOURCE or "
				     "MONGODB_URI)");
	}
	return true;
}

bool settings_complete(struct settings *s, char **environment, enum command_id c, bool every, struct err *err)
{
	if (!read_env_file(s, environment, err) || !check_env_file(s, err))
		return false;
	for (int o = 0; o < OPT_COUNT; o++)
		if (every || option_belongs((enum opt)o, c))
			take_one(s, (enum opt)o, environment);
	database_url_as_source(s, environment, every || option_belongs(OPT_SOURCE, c));
	if (every || option_belongs(OPT_TARGET, c))
		target_from_libpq(s, environment);
	note_unknown_names(s, environment);
	for (int o = 0; o < OPT_COUNT; o++)
		if (!settings_check(s, (enum opt)o, err))
			return false;
	return check_addresses(s, err);
}

/* --- the way back --- */

static void shell_word(struct buf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,=";

	if (text[0] != '\0' && strspn(text, plain) == strlen(text)) {
		buf_puts(out, text);
		return;
	}
	buf_putc(out, '\'');
	for (; *text != '\0'; text++)
		if (*text == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *text);
	buf_putc(out, '\'');
}

static void put_repeated(struct buf *out, enum opt o, const struct setting *v)
{
	for (size_t i = 0; i < v->nlist; i++) {
		buf_printf(out, " --%s ", options[o].name);
		shell_word(out, v->list[i]);
	}
}

const char *settings_resume_command(const struct settings *s, const char *program, enum opt but, bool *masked)
{
	struct buf out, value;

	*masked = false;
	buf_init(&out, 0);
	buf_init(&value, 0);
	shell_word(&out, program);
	buf_puts(&out, " migrate --resume");
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct setting *v = &s->v[o];
		bool mode = o == OPT_RESUME || o == OPT_CLEAN || o == OPT_CLEAN_ONLY || o == OPT_JOIN;
		if ((enum opt)o == but)
			continue;
		if (v->from != FROM_COMMAND_LINE || mode || !option_belongs((enum opt)o, CMD_MIGRATE))
			continue;
		if (options[o].repeats) {
			put_repeated(&out, (enum opt)o, v);
			continue;
		}
		buf_printf(&out, " --%s", options[o].name);
		if (options[o].kind == OPT_KIND_FLAG)
			continue;
		buf_reset(&value);
		if (options[o].kind == OPT_KIND_ADDRESS) {
			*masked |= address_has_secret(v->text);
			address_mask(&value, v->text);
		} else {
			buf_puts(&value, v->text);
		}
		buf_putc(&out, ' ');
		shell_word(&out, buf_cstr(&value));
	}
	const char *text = arena_strdup(s->arena, buf_cstr(&out));
	buf_free(&out);
	buf_free(&value);
	return text;
}
