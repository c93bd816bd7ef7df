/* err.c - filling and extending the caller's error object. Nothing here allocates or prints. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *code;
	enum err_kind kind;
	const char *title;
} codes[ERR_CODE_COUNT] = {[ERR_NONE] = {"", ERR_KIND_NONE, ""},
#define X(name, code, kind, title) [ERR_##name] = {code, kind, title},
			   ERR_CODES(X)
#undef X
};

/* Cuts a text that did not fit so that no half UTF-8 character stays at its end. */
static void cut_at_character(char *text, size_t size)
{
	size_t n = strlen(text);

	if (n + 1 < size)
		return;
	while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
		n--;
	if (n > 0 && (unsigned char)text[n - 1] >= 0xC0)
		n--;
	text[n] = 0;
}

static void fill(char *out, size_t size, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
static void fill(char *out, size_t size, const char *fmt, va_list ap)
{
	if (vsnprintf(out, size, fmt, ap) >= (int)size)
		cut_at_character(out, size);
}

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	char message[sizeof err->message];
	va_list ap;

	/* The arguments may lie in err itself ("%s: ...", err->message). */
	va_start(ap, fmt);
	fill(message, sizeof message, fmt, ap);
	va_end(ap);
	err_clear(err);
	err->code = code;
	err->kind = err_code_kind(code);
	memcpy(err->message, message, sizeof message);
	return false;
}

bool err_detail(struct err *err, const char *fmt, ...)
{
	char detail[sizeof err->detail];
	va_list ap;

	va_start(ap, fmt);
	fill(detail, sizeof detail, fmt, ap);
	va_end(ap);
	memcpy(err->detail, detail, sizeof detail);
	return false;
}

bool err_hint(struct err *err, const char *fmt, ...)
{
	char hint[sizeof err->hint];
	va_list ap;

	va_start(ap, fmt);
	fill(hint, sizeof hint, fmt, ap);
	va_end(ap);
	memcpy(err->hint, hint, sizeof hint);
	return false;
}

bool err_where(struct err *err, const char *fmt, ...)
{
	char where[2 * sizeof err->where + 2];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	fill(where, sizeof err->where, fmt, ap);
	va_end(ap);
	n = strlen(where);
	if (err->where[0])
		snprintf(where + n, sizeof where - n, ": %s", err->where);
	where[sizeof err->where - 1] = 0;
	cut_at_character(where, sizeof err->where);
	memcpy(err->where, where, sizeof err->where);
	return false;
}

void err_clear(struct err *err)
{
	err->code = ERR_NONE;
	err->kind = ERR_KIND_NONE;
	err->class = ERR_CLASS_FATAL;
	err->sqlstate[0] = err->where[0] = err->message[0] = err->detail[0] = err->hint[0] = 0;
}

const char *err_code_text(enum err_code code)
{
	return (unsigned)code < ERR_CODE_COUNT ? codes[code].code : "";
}

const char *err_code_title(enum err_code code)
{
	return (unsigned)code < ERR_CODE_COUNT ? codes[code].title : "";
}

enum err_kind err_code_kind(enum err_code code)
{
	return (unsigned)code < ERR_CODE_COUNT ? codes[code].kind : ERR_KIND_INTERNAL;
}
