/* cmd_id.c - docrow id: ObjectIds and the UUIDs that they become, both ways. */
#include <string.h>

#include "cli.h"
#include "id.h"
#include "text.h"

/* The id inside ObjectId("..."), quotes and blanks around it. */
static const char *bare(const char *text, size_t *len)
{
	static const char wrapper[] = "ObjectId(";
	size_t n = strlen(text);

	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		n--;
	while (n > 0 && strchr(" \t", *text)) {
		text++;
		n--;
	}
	if (n > sizeof(wrapper) && memcmp(text, wrapper, sizeof(wrapper) - 1) == 0 && text[n - 1] == ')') {
		text += sizeof(wrapper) - 1;
		n -= sizeof(wrapper);
	}
	if (n >= 2 && (*text == '"' || *text == '\'') && text[n - 1] == *text) {
		text++;
		n -= 2;
	}
	*len = n;
	return text;
}

static bool convert(const char *word, struct err *err)
{
	uint8_t oid[OBJECTID_SIZE], uuid[UUID_SIZE];
	char text[UUID_TEXT_SIZE];
	size_t len;
	const char *id = bare(word, &len);
	struct buf shown;

	if (id_objectid_parse(id, len, oid)) {
		id_objectid_to_uuid(oid, uuid);
		id_uuid_format(uuid, text);
		puts(text);
		return true;
	}
	bool is_uuid = id_uuid_parse(id, len, uuid);
	if (is_uuid && id_uuid_to_objectid(uuid, oid)) {
		id_objectid_format(oid, text);
		puts(text);
		return true;
	}
	buf_init(&shown, 0);
	text_escape(&shown, id, len);
	if (is_uuid)
		err_set(err, ERR_USAGE, "%.60s is a UUID, but holds no ObjectId", buf_cstr(&shown));
	else
		err_set(err, ERR_USAGE, "\"%.60s\" is neither an ObjectId (24 hex digits) nor a UUID",
			buf_cstr(&shown));
	buf_free(&shown);
	return false;
}

static int run(struct cli *c)
{
	const struct settings *s = &c->settings;
	int status = 0;
	struct err err;
	char line[256];

	for (size_t i = 0; i < s->nargs; i++)
		if (!convert(s->args[i], &err))
			status = cli_fail(&err);
	if (s->nargs > 0)
		return status;
	while (fgets(line, sizeof(line), stdin))
		if (strspn(line, " \t\r\n") != strlen(line) && !convert(line, &err))
			status = cli_fail(&err);
	return status;
}

static const char *const examples[] = {"docrow id 507f1f77bcf86cd799439011", "013a7092-e8d8-7bcf-a1b3-5e650e4044dc",
				       "docrow id 013a7092-e8d8-7bcf-a1b3-5e650e4044dc", "507f1f77bcf86cd799439011",
				       NULL};

const struct command cmd_id = {
	.id = CMD_ID,
	.summary = "turn ObjectIds into UUIDs and back",
	.args = "[ID...]",
	.max_args = ANY_NUMBER,
	.description = "Prints, one a line, the UUID of each ObjectId and the ObjectId inside each UUID; without "
		       "arguments ids are read "
		       "from standard input. The same is done in the database by docrow.objectid_to_uuid(text) and "
		       "docrow.uuid_to_objectid(uuid). It is the same in every run and needs no server.",
	.examples = examples,
	.run = run,
};
