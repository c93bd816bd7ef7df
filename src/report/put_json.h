/* put_json.h - members of the JSON objects that report and cli write. The object owns what is put into it. */
#pragma once
#include <jansson.h>
#include <stdint.h>

/* Names, ids and sentences may hold any bytes, JSON wants UTF-8: text_escape()'s form of it. NULL is null. */
json_t *json_text(const char *text);

void json_put(json_t *object, const char *key, json_t *value);
void json_put_text(json_t *object, const char *key, const char *text);
void json_put_count(json_t *object, const char *key, uint64_t n);
