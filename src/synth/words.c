/* words.c - texts that look like what the column's name says, in several scripts.
 *
 * The kind of text is chosen by parts of the column's name; it is a nicety, nothing depends on it. Lengths matter
 * more: most texts are short, some are long, a few are very long or empty.
 */

#include "synth_private.h"
#include "text.h"

enum piece {
	FIRST,
	LAST,
	COMPANY,
	CITY,
	COUNTRY,
	STREET,
	WORDS,
	TITLE,
	PROSE,
	EMAIL,
	PHONE,
	URL,
	CODE,
	COLOR,
	CURRENCY,
	LANGUAGE,
	USER
};

struct text_style {
	const char *part; /* of the column's name, any case */
	enum piece piece;
};

/* The first part that the name holds wins. */
static const struct text_style styles[] = {
	{"email", EMAIL},     {"mail", EMAIL},       {"phone", PHONE},   {"mobile", PHONE},      {"fax", PHONE},
	{"firstname", FIRST}, {"first_name", FIRST}, {"lastname", LAST}, {"last_name", LAST},    {"username", USER},
	{"city", CITY},       {"country", COUNTRY},  {"street", STREET}, {"address", STREET},    {"postal", CODE},
	{"zip", CODE},        {"url", URL},          {"website", URL},   {"link", URL},          {"avatar", URL},
	{"image", URL},       {"file", URL},         {"social", URL},    {"descri", PROSE},      {"content", PROSE},
	{"comment", PROSE},   {"note", PROSE},       {"message", PROSE}, {"text", PROSE},        {"summary", PROSE},
	{"body", PROSE},      {"title", TITLE},      {"subject", TITLE}, {"topic", TITLE},       {"company", COMPANY},
	{"partner", COMPANY}, {"color", COLOR},      {"colour", COLOR},  {"currency", CURRENCY}, {"lang", LANGUAGE},
	{"locale", LANGUAGE}, {"number", CODE},      {"vat", CODE},      {"iban", CODE},         {"swift", CODE},
	{"code", CODE},       {"tax", CODE},         {"symbol", CODE},   {"password", CODE},     {"token", CODE},
	{"key", CODE},        {"name", COMPANY},     {"state", CITY},    {"label", TITLE},       {"", WORDS},
};

static const char *const first_names[] = {"Ada",    "Bruno",   "Chiara", "Dmytro", "Elif",   "Zoë",
					  "Jürgen", "Åsa",     "Ngọc",   "Paweł",  "Şebnem", "Renée",
					  "李娜",   "Σωτήρης", "Наталя", "خالد",   "Tomáš",  "Ingrid",
					  "Mateus", "Yuki",    "Oskar",  "Leila",  "Máire",  "さくら"};
static const char *const last_names[] = {"Novák",    "Brandt",    "Moreau", "Kowalczyk",   "Østergaard", "Ó Briain",
					 "Müller",   "García",    "Petrov", "Yılmaz",      "D'Angelo",   "Nguyễn",
					 "王",       "Ковальчук", "Παππάς", "Smith-Jones", "Larsen",     "O'Neill",
					 "Sørensen", "Tanaka",    "Costa",  "Weber",       "Lindström",  "Farkaš"};
static const char *const companies[] = {
	"Northwind Bakery",     "Blue Lantern Ltd.", "Žižkov & synové", "Café Ünal", "Hafen-Logistik GmbH",
	"Æther Labs",           "Quartz & Co",       "Delta Forge",     "光速物流",  "Ромашка",
	"Pixel Orchard",        "Tři Duby s.r.o.",   "Granite Works",   "L'Atelier", "Fjord Energy",
	"Sunny \"Side\" Farms", "Back\\slash Media", "Umbra 24/7"};
static const char *const cities[] = {"Praha", "Brno",      "Kraków",  "São Paulo", "Zürich", "Malmö",
				     "Київ",  "東京",      "Αθήνα",   "Łódź",      "Porto",  "Gent",
				     "Köln",  "Reykjavík", "القاهرة", "Plzeň"};
static const char *const countries[] = {"Czechia", "Deutschland", "Україна", "Österreich", "Brasil",
					"日本",    "Ελλάδα",      "Ísland",  "Polska",     "France"};
static const char *const streets[] = {"Dlouhá",      "Lindenstraße", "Rue des Érables", "Oak Lane",
				      "Вулиця Миру", "Calle Mayor",  "桜通り",          "Vinohradská"};
static const char *const words[] = {
	"offer",   "contract",  "review",    "quarter", "budget",  "meeting",   "renewal", "draft",
	"urgent",  "sample",    "delivery",  "invoice", "pricing", "follow-up", "návrh",   "schůzka",
	"Angebot", "Überblick", "наступний", "звіт",    "計画",    "décision",  "señal",   "größe",
	"plan",    "team",      "order",     "support", "launch",  "partner",   "market",  "naïve",
	"résumé",  "the",       "and",       "for",     "with",    "after",     "next",    "of",
	"to",      "a",         "in",        "final",   "open",    "late",      "early",   "north"};
static const char *const emoji[] = {"🚀", "✅", "🧾", "👩‍💻", "🇨🇿", "❤️", "🤝🏽", "⚠️"};
static const char *const colors[] = {"#ff8800", "#0a84ff", "teal", "rgb(12, 200, 80)"};
static const char *const currencies[] = {"CZK", "EUR", "USD", "UAH", "GBP"};
static const char *const languages[] = {"cz", "en", "de", "uk"};
static const char *const domains[] = {"example.com", "example.org", "mail.example.net", "bücher.example"};

#define PICK(list) put_pick(out, chance, list, sizeof(list) / sizeof(list)[0])

static void put_pick(struct buf *out, struct chance *chance, const char *const *list, size_t n)
{
	buf_puts(out, list[chance_below(chance, n)]);
}

static void put_number(struct buf *out, uint64_t n)
{
	char text[24], *p = text + sizeof text;

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	buf_put(out, p, (size_t)(text + sizeof text - p));
}

static void put_words(struct buf *out, struct chance *chance, uint64_t n)
{
	while (n-- > 0) {
		PICK(words);
		if (n > 0)
			buf_putc(out, ' ');
	}
}

static void put_sentences(struct buf *out, struct chance *chance, size_t bytes)
{
	size_t end = out->len + bytes;

	while (out->len < end) {
		put_words(out, chance, 5 + chance_below(chance, 9));
		switch (chance_below(chance, 12)) {
		case 0:
			buf_putc(out, ' ');
			PICK(emoji);
			buf_putc(out, ' ');
			break;
		case 1:
			buf_puts(out, ".\n");
			break;
		case 2:
			buf_puts(out, ": \"…\"\t");
			break;
		default:
			buf_puts(out, ". ");
		}
	}
}

static void put_prose(struct buf *out, struct chance *chance)
{
	uint64_t draw = chance_below(chance, 1000);

	if (draw < 3)
		put_sentences(out, chance, 3000 + (size_t)chance_below(chance, 9000));
	else if (draw < 200)
		put_sentences(out, chance, 80 + (size_t)chance_below(chance, 300));
	else
		put_sentences(out, chance, 20 + (size_t)chance_below(chance, 60));
}

/* Letters and digits without meaning. */
static void put_code(struct buf *out, struct chance *chance, size_t n)
{
	static const char digits[] = "0123456789ABCDEFGHJKLMNPQRSTUVWX";
	uint64_t r = chance_next(chance);

	for (; n > 0; n--, r >>= 5)
		buf_putc(out, digits[r & 31]);
}

static void put_email(struct buf *out, struct chance *chance, bool unique, uint64_t number)
{
	put_words(out, chance, 1);
	if (unique) {
		buf_putc(out, '.');
		put_number(out, number);
	}
	buf_putc(out, '@');
	PICK(domains);
}

static void put_piece(struct buf *out, enum piece piece, struct chance *chance)
{
	switch (piece) {
	case FIRST:
		PICK(first_names);
		break;
	case LAST:
		PICK(last_names);
		break;
	case COMPANY:
		PICK(companies);
		break;
	case CITY:
		PICK(cities);
		break;
	case COUNTRY:
		PICK(countries);
		break;
	case STREET:
		PICK(streets);
		buf_putc(out, ' ');
		put_number(out, 1 + chance_below(chance, 200));
		break;
	case TITLE:
		put_words(out, chance, 2 + chance_below(chance, 4));
		break;
	case PROSE:
		put_prose(out, chance);
		break;
	case PHONE:
		buf_puts(out, "+420 ");
		put_number(out, 600000000 + chance_below(chance, 200000000));
		break;
	case URL:
		buf_puts(out, "https://");
		PICK(domains);
		buf_puts(out, "/p/");
		put_code(out, chance, 8);
		break;
	case CODE:
		put_code(out, chance, 10);
		break;
	case COLOR:
		PICK(colors);
		break;
	case CURRENCY:
		PICK(currencies);
		break;
	case LANGUAGE:
		PICK(languages);
		break;
	case USER:
		put_words(out, chance, 1);
		put_number(out, chance_below(chance, 1000));
		break;
	default:
		put_words(out, chance, 1 + chance_below(chance, 3));
	}
}

const struct text_style *text_style_of(const char *column)
{
	const struct text_style *s = styles;

	while (!strcasestr(column, s->part))
		s++;
	return s;
}

/* Cuts what was appended at `start` to so many characters. */
static void cut(struct buf *out, size_t start, size_t max_chars)
{
	size_t i = start, len;

	while (i < out->len && max_chars > 0) {
		len = utf8_char_len((const char *)out->data + i, out->len - i);
		i += len ? len : 1;
		max_chars--;
	}
	out->len = i;
}

/* The same, but no blank at the end: char(n) would not keep it. */
static void cut_words(struct buf *out, size_t start, size_t max_chars)
{
	cut(out, start, max_chars);
	while (out->len > start && out->data[out->len - 1] == ' ')
		out->len--;
}

/* The number, in as few characters as 36 digits allow, after as much of the text as fits before it. */
static void make_unique(struct buf *out, size_t start, uint64_t number, size_t max_chars)
{
	char digits[16], *p = digits + sizeof digits;
	size_t n;

	do {
		*--p = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36];
		number /= 36;
	} while (number > 0);
	n = (size_t)(digits + sizeof digits - p);
	cut(out, start, max_chars > n + 1 ? max_chars - n - 1 : 0);
	if (max_chars > n)
		buf_putc(out, '-');
	buf_put(out, p, n);
}

void text_make(struct buf *out, const struct text_style *style, struct chance *chance, bool unique, uint64_t number,
	       size_t max_chars)
{
	size_t start = out->len;

	if (style->piece == EMAIL && max_chars >= 60) {
		put_email(out, chance, unique, number);
		return;
	}
	if (!unique) {
		uint64_t draw = chance_below(chance, 256);
		if (draw == 0)
			return; /* empty text is a value, too */
		if (draw < 4)
			PICK(emoji);
	}
	put_piece(out, style->piece, chance);
	if (unique)
		make_unique(out, start, number, max_chars);
	else if (max_chars < SIZE_MAX)
		cut_words(out, start, max_chars);
}
