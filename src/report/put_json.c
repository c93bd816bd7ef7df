/* put_json.c - see put_json.h. */
#include "put_json.h"

#include <string.h>

#include "buf.h"
#include "text.h"

json_t *json_text(const char *text)
{
	_cleanup_(buf_free) struct buf b = {0};

	if (text == NULL)
		return json_null();
	text_escape(&b, text, strlen(text));
	return json_string(buf_cstr(&b));
}

void json_put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

void json_put_text(json_t *object, const char *key, const char *text)
{
	json_put(object, key, json_text(text));
}

void json_put_count(json_t *object, const char *key, uint64_t n)
{
	json_put(object, key, json_integer((json_int_t)n));
}
