/* address.c - see address.h.
 *
 * Passwords are found first, as stretches of the text; masking and blotting only differ in what they do with them.
 */
#include "address.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct stretch {
	const char *from, *to;
};

static bool starts(const char *text, const char *prefix)
{
	return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

bool address_is_mongodb(const char *a)
{
	return starts(a, "mongodb://") || starts(a, "mongodb+srv://");
}

bool address_is_postgresql(const char *a)
{
	return starts(a, "postgresql://") || starts(a, "postgres://");
}

/* Where an address inside other text ends: at a blank or a quote. */
static const char *address_end(const char *p)
{
	return p + strcspn(p, " \t\r\n\"'<>");
}

static const char *last_at(const char *p, const char *end)
{
	while (end > p)
		if (*--end == '@')
			return end;
	return NULL;
}

/* The password of a URI whose "://" stands at p. */
static bool userinfo_password(const char *p, struct stretch *s)
{
	const char *from = p + 3;
	const char *at = last_at(from, address_end(from));

	if (!at) /* a password may hold what ends an address */
		at = last_at(from, from + strcspn(from, "\r\n"));
	if (!at)
		return false;
	const char *colon = memchr(from, ':', (size_t)(at - from));
	if (!colon)
		return false;
	*s = (struct stretch){colon + 1, at};
	return s->from < s->to;
}

/* The value of a parameter that is a secret, when its name ends at p ("=" there). */
static bool parameter_secret(const char *text, const char *p, struct stretch *s)
{
	static const char *const names[] = {"password",
					    "passwd",
					    "tlscertificatekeyfilepassword",
					    "sslpassword",
					    "pwd",
					    "aws_session_token",
					    "sslclientcertificatekeypassword",
					    "token"};
	const char *from = p;

	while (from > text && (isalnum((unsigned char)from[-1]) || from[-1] == '_'))
		from--;
	bool found = false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		found |= strlen(names[i]) == (size_t)(p - from) && strncasecmp(from, names[i], strlen(names[i])) == 0;
	if (!found)
		return false;
	const char *v = p + 1;
	while (*v == ' ')
		v++;
	if (*v == '\'') { /* of a conninfo: quotes and backslashes */
		const char *q = ++v;
		while (*q != '\0' && *q != '\'')
			q += q[0] == '\\' && q[1] != '\0' ? 2 : 1;
		*s = (struct stretch){v, q};
	} else {
		*s = (struct stretch){v, v + strcspn(v, " \t\r\n\"'&,")};
	}
	return s->from < s->to;
}

/* AWS session tokens stand as NAME:value in authMechanismProperties. */
static bool property_secret(const char *p, struct stretch *s)
{
	static const char name[] = "AWS_SESSION_TOKEN:";

	if (!starts(p, name))
		return false;
	p += sizeof(name) - 1;
	*s = (struct stretch){p, p + strcspn(p, " \t\r\n\"'&,")};
	return s->from < s->to;
}

/* The next secret at or behind p. */
static bool next_secret(const char *text, const char *p, struct stretch *s)
{
	for (; *p != '\0'; p++) {
		if (starts(p, "://") && userinfo_password(p, s))
			return true;
		if (*p == '=' && parameter_secret(text, p, s))
			return true;
		if (*p == 'A' && property_secret(p, s))
			return true;
	}
	return false;
}

bool address_has_secret(const char *address)
{
	struct stretch s;

	return next_secret(address, address, &s);
}

void address_mask(struct buf *out, const char *text)
{
	struct stretch s;
	const char *p = text;

	while (next_secret(text, p, &s)) {
		buf_put(out, p, (size_t)(s.from - p));
		buf_puts(out, "***");
		p = s.to;
	}
	buf_puts(out, p);
}

void address_blot(char *text)
{
	struct stretch s;
	const char *p = text;

	while (next_secret(text, p, &s)) {
		memset(text + (s.from - text), '*', (size_t)(s.to - s.from));
		p = s.to;
	}
}

void address_mongodb_database(struct buf *out, const char *uri)
{
	const char *p = strstr(uri, "://");

	if (!p)
		return;
	p += 3;
	const char *end = p + strcspn(p, "?");
	for (const char *q = p; q < end; q++)
		if (*q == '@')
			p = q + 1;
	const char *slash = memchr(p, '/', (size_t)(end - p));
	if (slash)
		buf_put(out, slash + 1, (size_t)(end - slash - 1));
}
