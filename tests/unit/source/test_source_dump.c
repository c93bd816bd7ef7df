/* Dump folders as a source: layouts, names, compression, ranges, damage. No server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bson/bson.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "doc.h"
#include "source.h"
#include "test_folder.h"
#include "text.h"

/* ---- files ---- */

static void make_folder(const char *name)
{
	assert_int_equal(mkdir(at(name), 0700), 0);
}

static void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

static void gzip(struct buf *out, const void *data, size_t n)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t bound = deflateBound(&z, n);
	assert_true(buf_reserve(out, bound));
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)n;
	z.next_out = out->data + out->len;
	z.avail_out = (uInt)bound;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

static void zstd(struct buf *out, const void *data, size_t n)
{
	size_t bound = ZSTD_compressBound(n);
	assert_true(buf_reserve(out, bound));
	size_t got = ZSTD_compress(out->data + out->len, bound, data, n, 3);
	assert_false(ZSTD_isError(got));
	out->len += got;
}

enum form { PLAIN, GZIP, ZSTD, FORMS };

static void write_as(enum form form, const char *name, const struct buf *content)
{
	struct buf b;
	buf_init(&b, 0);
	if (form == GZIP)
		gzip(&b, content->data, content->len);
	else if (form == ZSTD)
		zstd(&b, content->data, content->len);
	else
		buf_put(&b, content->data, content->len);
	write_file(name, b.data, b.len);
	buf_free(&b);
}

/* ---- documents ---- */

static void put_document(struct buf *out, int i, size_t text_len)
{
	bson_t doc = BSON_INITIALIZER;
	char *text = mem_alloc(text_len + 1);
	for (size_t k = 0; k < text_len; k++)
		text[k] = (char)('a' + (k * 7 + (size_t)i * 13 + k * k / 11) % 26);
	BSON_APPEND_INT32(&doc, "_id", i);
	assert_true(bson_append_utf8(&doc, "t", 1, text, (int)text_len));
	buf_put(out, bson_get_data(&doc), doc.len);
	bson_destroy(&doc);
	free(text);
}

/* n documents of 20 to 400 bytes of text. */
static void put_documents(struct buf *out, int n)
{
	for (int i = 0; i < n; i++)
		put_document(out, i, (size_t)(20 + i * 37 % 380));
}

/* DUMP/shop/items.bson with n documents, in a form. */
static void make_dump(enum form form, int n, struct buf *content)
{
	buf_init(content, 0);
	put_documents(content, n);
	make_folder("shop");
	write_as(form, "shop/items.bson", content);
}

/* ---- the source ---- */

static void check(bool ok, const struct err *err)
{
	if (!ok)
		fail_msg("%s: %s (%s)", err_code_text(err->code), err->message, err->detail);
}

static struct source *open_dump(const char *path, const char *database)
{
	struct source *s;
	struct err err;
	check(source_open(&s, path, &(struct source_options){.database = database}, &err), &err);
	return s;
}

static void refuse_dump(const char *path, const char *database, enum err_code code, struct err *err)
{
	struct source *s;
	assert_false(source_open(&s, path, &(struct source_options){.database = database}, err));
	assert_int_equal(err->code, code);
	assert_null(s);
}

struct ranges {
	struct {
		struct buf bounds;
		uint64_t docs, bytes;
	} items[4096];
	size_t n;
};

static bool keep_range(void *ctx, const struct source_range *range, struct err *err)
{
	struct ranges *r = ctx;
	assert_true(r->n < 4096);
	buf_init(&r->items[r->n].bounds, 0);
	buf_put(&r->items[r->n].bounds, range->bounds, range->bounds_len);
	r->items[r->n].docs = range->est_docs;
	r->items[r->n++].bytes = range->est_bytes;
	return true;
}

static struct ranges *split(struct source *s, const char *name, uint64_t docs, uint64_t bytes)
{
	struct err err;
	struct ranges *r = mem_zalloc(sizeof(*r));
	check(source_split(s, name, docs, bytes, keep_range, r, &err), &err);
	return r;
}

static void ranges_free(struct ranges *r)
{
	for (size_t i = 0; i < r->n; i++)
		buf_free(&r->items[i].bounds);
	free(r);
}

static void begin(struct source_reader *r, const char *name, const struct ranges *ranges, size_t i)
{
	struct err err;
	check(source_read(r, name, ranges->items[i].bounds.data, ranges->items[i].bounds.len, &err), &err);
}

/* Appends the range's documents; checks its estimates, which are exact for a dump. */
static void read_range(struct source_reader *r, const char *name, const struct ranges *ranges, size_t i,
		       struct buf *out)
{
	struct err err;
	const uint8_t *doc;
	size_t len, before = out->len;
	uint64_t n = 0;
	int got;
	begin(r, name, ranges, i);
	while ((got = source_next(r, &doc, &len, &err)) == 1) {
		buf_put(out, doc, len);
		n++;
	}
	check(got == 0, &err);
	assert_int_equal(n, ranges->items[i].docs);
	assert_int_equal(out->len - before, ranges->items[i].bytes);
}

static struct source_reader *open_reader(struct source *s)
{
	struct err err;
	struct source_reader *r;
	check(source_reader_open(&r, s, &err), &err);
	return r;
}

static void assert_same(const struct buf *a, const struct buf *b)
{
	assert_int_equal(a->len, b->len);
	if (a->len > 0)
		assert_memory_equal(a->data, b->data, a->len);
}

/* All ranges in order give the content; returns their number. */
static size_t assert_whole(struct source *s, const char *name, uint64_t docs, uint64_t bytes,
			   const struct buf *content)
{
	struct buf got;
	struct ranges *ranges = split(s, name, docs, bytes);
	struct source_reader *r = open_reader(s);
	size_t n = ranges->n;
	buf_init(&got, 0);
	for (size_t i = 0; i < n; i++) {
		read_range(r, name, ranges, i, &got);
		if (docs && i + 1 < n)
			assert_int_equal(ranges->items[i].docs, docs);
	}
	assert_same(&got, content);
	source_reader_close(r);
	ranges_free(ranges);
	buf_free(&got);
	return n;
}

static uint64_t count(struct source *s, const char *name)
{
	struct err err;
	uint64_t n;
	check(source_count(s, name, &n, &err), &err);
	return n;
}

/* ---- content ---- */

static void ranges_are_the_whole_at_any_size(void **state)
{
	static const uint64_t bytes[] = {1, 30, 100, 999, 4096, 30000, 1 << 20};
	for (enum form form = PLAIN; form < FORMS; form++) {
		struct buf content;
		make_dump(form, 60, &content);
		struct source *s = open_dump(root, NULL);
		for (uint64_t docs = 1; docs <= 62; docs++)
			assert_int_equal(assert_whole(s, "items", docs, 0, &content), (60 + docs - 1) / docs);
		for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
			size_t n = assert_whole(s, "items", 0, bytes[i], &content);
			assert_int_equal(n > 1,
					 form == PLAIN && bytes[i] < 30000); /* a small compressed file is one */
		}
		assert_int_equal(count(s, "items"), 60);
		source_close(s);
		buf_free(&content);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

/* Ranges read backwards and by two readers in turn: streams are parked, taken over and started anew. */
static void ranges_in_any_order(void **state)
{
	for (enum form form = PLAIN; form < FORMS; form++) {
		struct buf content, got, part;
		make_dump(form, 50, &content);
		struct source *s = open_dump(root, NULL);
		struct ranges *ranges = split(s, "items", 7, 0);
		struct source_reader *r[2] = {open_reader(s), open_reader(s)};
		size_t end = content.len;
		for (size_t i = ranges->n; i-- > 0;) {
			buf_init(&part, 0);
			read_range(r[0], "items", ranges, i, &part);
			end -= part.len;
			assert_memory_equal(content.data + end, part.data, part.len);
			buf_free(&part);
		}
		assert_int_equal(end, 0);
		buf_init(&got, 0);
		for (size_t i = 0; i < ranges->n; i++)
			read_range(r[i % 2], "items", ranges, i, &got);
		assert_same(&got, &content);
		source_reader_close(r[0]);
		source_reader_close(r[1]);
		ranges_free(ranges);
		buf_free(&got);
		buf_free(&content);
		source_close(s);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

static void a_range_may_be_left_in_the_middle(void **state)
{
	for (enum form form = PLAIN; form < FORMS; form++) {
		struct buf content, got;
		struct err err;
		const uint8_t *doc;
		size_t len;
		make_dump(form, 30, &content);
		struct source *s = open_dump(root, NULL);
		struct ranges *ranges = split(s, "items", 10, 0);
		struct source_reader *r = open_reader(s);
		begin(r, "items", ranges, 1);
		for (int i = 0; i < 4; i++)
			assert_int_equal(source_next(r, &doc, &len, &err), 1);
		buf_init(&got, 0);
		for (size_t i = 0; i < ranges->n; i++)
			read_range(r, "items", ranges, i, &got);
		assert_same(&got, &content);
		source_reader_close(r);
		ranges_free(ranges);
		buf_free(&got);
		buf_free(&content);
		source_close(s);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

static void compression_is_told_by_content(void **state)
{
	struct buf content;
	buf_init(&content, 0);
	put_documents(&content, 20);
	make_folder("shop");
	write_as(GZIP, "shop/a.bson", &content);
	write_as(PLAIN, "shop/b.bson.gz", &content);
	write_as(GZIP, "shop/c.bson.zst", &content);
	write_as(ZSTD, "shop/d.bson.gz", &content);
	write_as(GZIP, "shop/e.bson.gz", &content);
	write_as(ZSTD, "shop/f.bson.zst", &content);
	struct source *s = open_dump(root, NULL);
	for (char name[] = "a"; name[0] <= 'f'; name[0]++)
		assert_whole(s, name, 3, 0, &content);
	source_close(s);
	buf_free(&content);
}

static void several_members_and_frames(void **state)
{
	struct buf content, first, packed;
	buf_init(&content, 0);
	buf_init(&first, 0);
	put_documents(&content, 20);
	put_documents(&first, 9); /* ends at a document's border; the other part does not begin there */
	make_folder("shop");
	size_t cut = first.len + 11;
	buf_init(&packed, 0);
	gzip(&packed, content.data, cut);
	gzip(&packed, "", 0);
	gzip(&packed, content.data + cut, content.len - cut);
	write_file("shop/g.bson.gz", packed.data, packed.len);
	buf_reset(&packed);
	zstd(&packed, content.data, cut);
	zstd(&packed, "", 0);
	zstd(&packed, content.data + cut, content.len - cut);
	write_file("shop/z.bson.zst", packed.data, packed.len);
	struct source *s = open_dump(root, NULL);
	assert_whole(s, "g", 4, 0, &content);
	assert_whole(s, "z", 4, 0, &content);
	source_close(s);
	buf_free(&packed);
	buf_free(&first);
	buf_free(&content);
}

/* A document of 559,903 bytes has the length bytes 1f 8b 08 00, which is gzip's mark. */
static void length_that_looks_like_gzip(void **state)
{
	struct buf content;
	buf_init(&content, 0);
	put_document(&content, 1, 559903 - 22);
	assert_int_equal(content.len, 559903);
	put_documents(&content, 3);
	make_folder("shop");
	write_as(PLAIN, "shop/items.bson", &content);
	struct source *s = open_dump(root, NULL);
	assert_whole(s, "items", 1, 0, &content);
	source_close(s);
	buf_free(&content);
}

static void large_documents(void **state)
{
	for (enum form form = PLAIN; form < FORMS; form++) {
		struct buf content;
		buf_init(&content, 0);
		put_documents(&content, 3);
		put_document(&content, 10, (16 << 20) + (16 << 10));
		put_documents(&content, 3);
		put_document(&content, 11, 3 << 20);
		put_document(&content, 12, 1);
		make_folder("shop");
		write_as(form, "shop/items.bson", &content);
		struct source *s = open_dump(root, NULL);
		assert_whole(s, "items", 2, 0, &content);
		assert_int_equal(count(s, "items"), 9);
		source_close(s);
		buf_free(&content);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

static void empty_files(void **state)
{
	struct buf none, content;
	struct err err;
	uint64_t n;
	buf_init(&none, 0);
	buf_init(&content, 0);
	make_folder("shop");
	write_as(PLAIN, "shop/a.bson", &none);
	gzip(&content, "", 0);
	write_file("shop/b.bson.gz", content.data, content.len);
	buf_reset(&content);
	zstd(&content, "", 0);
	write_file("shop/c.bson.zst", content.data, content.len);
	write_file("shop/cut.bson.gz", "", 0);
	struct source *s = open_dump(root, NULL);
	for (char name[] = "a"; name[0] <= 'c'; name[0]++) {
		assert_int_equal(count(s, name), 0);
		assert_int_equal(assert_whole(s, name, 10, 0, &none), 1);
		assert_int_equal(assert_whole(s, name, 0, 1 << 20, &none), 1);
	}
	assert_false(source_count(s, "cut", &n, &err)); /* even gzip of nothing is not nothing */
	assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
	source_close(s);
	buf_free(&content);
	buf_free(&none);
}

/* ---- damage ---- */

struct damage {
	uint64_t docs, at; /* whole documents before, where the bad one begins */
	const char *message, *detail;
};

/* Split and count refuse the file; a reader gives every whole document before the damage, then tells. */
static void assert_damaged(const struct buf *content, const struct damage *want)
{
	struct err err;
	uint64_t n;
	char facts[96];
	const uint8_t *doc;
	size_t len, seen = 0;
	int got;
	struct ranges *ranges = mem_zalloc(sizeof(*ranges));
	struct source *s = open_dump(root, NULL);
	assert_false(source_split(s, "items", 1, 0, keep_range, ranges, &err));
	assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
	assert_int_equal(ranges->n, 0);
	assert_false(source_count(s, "items", &n, &err));
	assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
	assert_int_equal(err.kind, ERR_KIND_SOURCE);
	assert_int_equal(err.class, ERR_CLASS_FATAL);
	bson_t *bounds = BCON_NEW("from", BCON_INT64(0), "to", BCON_INT64(1 << 30), "docs", BCON_INT64(0));
	struct source_reader *r = open_reader(s);
	check(source_read(r, "items", bson_get_data(bounds), bounds->len, &err), &err);
	while ((got = source_next(r, &doc, &len, &err)) == 1) {
		assert_memory_equal(doc, content->data + seen, len);
		seen += len;
	}
	assert_int_equal(got, -1);
	assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
	snprintf(facts, sizeof(facts), "after %u whole documents, at byte %u", (unsigned)want->docs,
		 (unsigned)want->at);
	if (!strstr(err.detail, facts))
		fail_msg("\"%s\" is not in \"%s\"", facts, err.detail);
	assert_non_null(strstr(err.message, "items.bson"));
	assert_non_null(strstr(err.message, want->message));
	if (!strstr(err.detail, want->detail))
		fail_msg("\"%s\" is not in \"%s\"", want->detail, err.detail);
	assert_int_equal(source_next(r, &doc, &len, &err), 0);
	source_reader_close(r);
	bson_destroy(bounds);
	free(ranges);
	source_close(s);
}

/* Content of 12 documents; *last: where the last one begins. */
static void twelve(struct buf *content, size_t *last)
{
	buf_init(content, 0);
	put_documents(content, 11);
	*last = content->len;
	put_document(content, 11, 300);
}

static void seven_bytes_short(void **state)
{
	for (enum form form = PLAIN; form < FORMS; form++) {
		struct buf content;
		size_t last;
		twelve(&content, &last);
		content.len -= 7;
		make_folder("shop");
		write_as(form, "shop/items.bson", &content);
		struct damage want = {11, last, "is cut short", "the document there has 322 bytes, 315 are left"};
		assert_damaged(&content, &want);
		buf_free(&content);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

static void impossible_lengths(void **state)
{
	static const struct {
		uint32_t length;
		const char *detail;
	} cases[] = {{0x7fffffff, "the length there is 2147483647"},
		     {0xffffffff, "the length there is -1"},
		     {4, "the length there is 4"},
		     {0, "the length there is 0"},
		     {(64u << 20) + 1, "the length there is 67108865"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf content;
		size_t last;
		twelve(&content, &last);
		memcpy(content.data + last, &cases[i].length, 4);
		make_folder("shop");
		write_as((enum form)(i % FORMS), "shop/items.bson", &content);
		struct damage want = {11, last, "is damaged", cases[i].detail};
		assert_damaged(&content, &want);
		buf_free(&content);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

static void length_beyond_the_end(void **state)
{
	struct buf content;
	size_t last;
	twelve(&content, &last);
	uint32_t length = 60u << 20;
	memcpy(content.data + last, &length, 4);
	make_folder("shop");
	write_as(PLAIN, "shop/items.bson", &content);
	struct damage want = {11, last, "is cut short", "the document there has 62914560 bytes, 322 are left"};
	assert_damaged(&content, &want);
	buf_free(&content);
}

static void some_bytes_left_over(void **state)
{
	struct buf content;
	size_t last;
	twelve(&content, &last);
	size_t end = content.len;
	buf_put(&content, "\x05\x00\x00", 3);
	make_folder("shop");
	write_as(PLAIN, "shop/items.bson", &content);
	struct damage want = {12, end, "is cut short", "3 bytes are left where a document begins"};
	assert_damaged(&content, &want);
	buf_free(&content);
}

/* Walking follows lengths only; the reader sees that a document does not end where it should. */
static void no_zero_at_the_end(void **state)
{
	struct buf content;
	size_t last;
	struct err err;
	const uint8_t *doc;
	size_t len;
	int n = 0, got;
	twelve(&content, &last);
	content.data[content.len - 1] = 1;
	make_folder("shop");
	write_as(PLAIN, "shop/items.bson", &content);
	struct source *s = open_dump(root, NULL);
	struct ranges *ranges = split(s, "items", 100, 0);
	struct source_reader *r = open_reader(s);
	begin(r, "items", ranges, 0);
	while ((got = source_next(r, &doc, &len, &err)) == 1)
		n++;
	assert_int_equal(got, -1);
	assert_int_equal(n, 11);
	assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
	assert_non_null(strstr(err.detail, "does not end with a zero byte"));
	source_reader_close(r);
	ranges_free(ranges);
	source_close(s);
	buf_free(&content);
}

/* Random text, so that a compressed stream that is cut loses documents. */
static void put_noise(struct buf *out, int n)
{
	uint32_t x = 12345;
	for (int i = 0; i < n; i++) {
		size_t from = out->len;
		put_document(out, i, 2000);
		for (size_t k = from + 30; k < out->len - 10; k++)
			out->data[k] = (uint8_t)('0' + (x = x * 1664525 + 1013904223) % 75 / 2);
	}
}

static void assert_broken(const struct buf *content, bool whole, const char *message, const char *detail)
{
	struct err err;
	uint64_t n;
	const uint8_t *doc;
	size_t len, seen = 0;
	int got;
	struct source *s = open_dump(root, NULL);
	assert_false(source_count(s, "items", &n, &err));
	assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
	assert_non_null(strstr(err.message, message));
	if (!strstr(err.detail, detail) || !strstr(err.detail, "of the uncompressed content"))
		fail_msg("\"%s\" is not in \"%s\"", detail, err.detail);
	bson_t *bounds = BCON_NEW("from", BCON_INT64(0), "to", BCON_INT64(1 << 30), "docs", BCON_INT64(0));
	struct source_reader *r = open_reader(s);
	check(source_read(r, "items", bson_get_data(bounds), bounds->len, &err), &err);
	while ((got = source_next(r, &doc, &len, &err)) == 1) {
		assert_true(seen + len <= content->len);
		assert_memory_equal(doc, content->data + seen, len);
		seen += len;
	}
	assert_int_equal(got, -1);
	assert_int_equal(seen == content->len, whole);
	source_reader_close(r);
	bson_destroy(bounds);
	source_close(s);
}

static void compressed_streams_cut_short(void **state)
{
	for (enum form form = GZIP; form < FORMS; form++) {
		struct buf content, packed;
		buf_init(&content, 0);
		put_noise(&content, 300);
		make_folder("shop");
		buf_init(&packed, 0);
		if (form == GZIP)
			gzip(&packed, content.data, content.len);
		else
			zstd(&packed, content.data, content.len);
		for (size_t cut = 4000; cut < packed.len - 20; cut += packed.len / 9) {
			write_file("shop/items.bson", packed.data, packed.len - cut);
			assert_broken(&content, false, "is cut short",
				      "the compressed stream ends before its end mark");
		}
		buf_free(&packed);
		buf_free(&content);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

static void compressed_streams_damaged(void **state)
{
	struct buf content, packed;
	buf_init(&content, 0);
	put_noise(&content, 300);
	make_folder("shop");
	buf_init(&packed, 0);
	gzip(&packed, content.data, content.len);
	packed.data[packed.len - 6] ^= 0x55; /* the CRC: all documents are there, yet the file is not right */
	write_file("shop/items.bson", packed.data, packed.len);
	assert_broken(&content, true, "is damaged", "gzip: incorrect data check");
	packed.data[packed.len - 6] ^= 0x55;
	buf_puts(&packed, "junk behind the end");
	write_file("shop/items.bson", packed.data, packed.len);
	assert_broken(&content, true, "is damaged", "gzip: incorrect header check");
	buf_free(&packed);
	buf_free(&content);
}

static void other_formats_are_named(void **state)
{
	static const struct {
		const char *head, *hint;
	} cases[] = {{"\x6d\xe2\x99\x81", "a mongodump archive"},
		     {"\xfd\x37\x7a\x58", "compressed with xz"},
		     {"BZh9", "compressed with bzip2"},
		     {"PK\x03\x04", "a zip file"}};
	make_folder("shop");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err;
		uint64_t n;
		write_text("shop/items.bson", cases[i].head);
		struct source *s = open_dump(root, NULL);
		assert_false(source_count(s, "items", &n, &err));
		assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
		assert_non_null(strstr(err.hint, cases[i].hint));
		source_close(s);
	}
}

static void another_file_than_was_split(void **state)
{
	for (enum form form = PLAIN; form < FORMS; form++) {
		struct buf content, other;
		struct err err;
		const uint8_t *doc;
		size_t len;
		int got;
		make_dump(form, 30, &content);
		struct source *s = open_dump(root, NULL);
		struct ranges *ranges = split(s, "items", 10, 0);
		struct source_reader *r = open_reader(s);
		buf_init(&other, 0);
		for (int i = 0; i < 14; i++)
			put_document(&other, i, 100);
		write_as(form, "shop/items.bson", &other);
		begin(r, "items", ranges, 0);
		while ((got = source_next(r, &doc, &len, &err)) == 1)
			;
		assert_int_equal(got, -1);
		assert_int_equal(err.code, ERR_SOURCE_CHANGED);
		assert_false(
			source_read(r, "items", ranges->items[2].bounds.data, ranges->items[2].bounds.len, &err));
		assert_int_equal(err.code, ERR_SOURCE_CHANGED);
		source_reader_close(r);
		ranges_free(ranges);
		source_close(s);
		buf_free(&other);
		buf_free(&content);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

/* ---- layout and names ---- */

static void one_document(const char *name)
{
	struct buf content;
	buf_init(&content, 0);
	put_document(&content, 1, 10);
	write_as(PLAIN, name, &content);
	buf_free(&content);
}

static void layouts(void **state)
{
	make_folder("shop");
	make_folder("admin");
	one_document("shop/items.bson");
	one_document("admin/system.users.bson");
	struct source *s = open_dump(root, NULL);
	assert_string_equal(source_database(s), "shop");
	assert_string_equal(source_identity(s), "dump, database shop");
	assert_non_null(strstr(source_describe(s), "dump folder "));
	assert_string_equal(source_operation_time(s), "");
	source_close(s);
	s = open_dump(at("shop"), NULL);
	assert_string_equal(source_database(s), "shop");
	assert_int_equal(count(s, "items"), 1);
	source_close(s);
	s = open_dump(at("shop/"), "other");
	assert_string_equal(source_database(s), "other");
	source_close(s);
	s = open_dump(root, "admin");
	assert_string_equal(source_database(s), "admin");
	source_close(s);
}

static void layouts_that_are_refused(void **state)
{
	struct err err;
	refuse_dump(at("nowhere"), NULL, ERR_SOURCE_CONNECT, &err);
	refuse_dump(root, NULL, ERR_SOURCE_URI, &err);
	write_text("file", "x");
	refuse_dump(at("file"), NULL, ERR_SOURCE_URI, &err);
	make_folder("shop");
	make_folder("blog");
	one_document("shop/items.bson");
	one_document("blog/posts.bson");
	refuse_dump(root, NULL, ERR_SOURCE_URI, &err);
	assert_string_equal(err.detail, "it holds: blog, shop");
	refuse_dump(root, "news", ERR_SOURCE_URI, &err);
	assert_string_equal(err.detail, "it holds: blog, shop");
	struct source *s = open_dump(root, "blog");
	assert_int_equal(count(s, "posts"), 1);
	source_close(s);
	one_document("shop/items.bson.gz");
	refuse_dump(root, "shop", ERR_SOURCE_CORRUPT, &err);
	assert_non_null(strstr(err.message, "in two files"));
}

static void oplog_is_noted(void **state)
{
	make_folder("shop");
	one_document("shop/items.bson");
	one_document("oplog.bson");
	struct source *s = open_dump(root, NULL);
	assert_string_equal(source_database(s), "shop");
	const char *const *notes;
	assert_int_equal(source_notes(s, &notes), 2);
	assert_non_null(strstr(notes[0], "not a single point in time"));
	assert_non_null(strstr(notes[1], "oplog, whose entries are not applied"));
	source_close(s);
}

static const struct source_collection *find(const struct source_collection *all, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].name, name) == 0)
			return &all[i];
	fail_msg("no collection %s", name);
	return NULL;
}

static void names_are_decoded(void **state)
{
	struct err err;
	struct source_collection *all;
	size_t n;
	struct arena *a = arena_new();
	make_folder("shop");
	one_document("shop/with%20space%2Fand%2Fslash.bson");
	one_document("shop/%C3%BC%F0%9F%98%80.bson");
	one_document("shop/a.b.c.bson");
	one_document("shop/100%.bson"); /* of an old mongodump */
	one_document("shop/50%25.bson");
	struct source *s = open_dump(root, NULL);
	check(source_collections(s, a, &all, &n, &err), &err);
	assert_int_equal(n, 5);
	for (size_t i = 1; i < n; i++)
		assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
	static const char *const names[] = {"with space/and/slash", "\xc3\xbc\xf0\x9f\x98\x80", "a.b.c", "100%",
					    "50%"};
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(find(all, n, names[i])->est_docs, 1);
		assert_int_equal(count(s, names[i]), 1);
	}
	source_close(s);
	arena_free(a);
}

static void cut_name_comes_from_metadata(void **state)
{
	char base[300], file[400], long_name[260], text[800];
	memset(long_name, 'n', 250);
	long_name[250] = 0;
	snprintf(base, sizeof(base), "%.208s%%24abcdefghijklmnopqrstuvwxyz0", long_name);
	assert_int_equal(strlen(base), 238);
	make_folder("shop");
	snprintf(file, sizeof(file), "shop/%s.bson", base);
	one_document(file);
	struct err err;
	struct source_collection *all;
	size_t n;
	uint64_t found;
	struct arena *a = arena_new();
	struct source *s = open_dump(root, NULL);
	check(source_collections(s, a, &all, &n, &err), &err);
	assert_true(n == 1 && all[0].skipped);
	source_close(s);
	snprintf(file, sizeof(file), "shop/%s.metadata.json", base);
	snprintf(text, sizeof(text),
		 "{\"indexes\":[],\"uuid\":\"00112233445566778899aabbccddeeff\",\"collectionName\":\"%s\"}",
		 long_name);
	write_text(file, text);
	s = open_dump(root, NULL);
	check(source_collections(s, a, &all, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(all[0].name, long_name);
	assert_false(all[0].skipped);
	assert_memory_equal(all[0].uuid, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
	check(source_count(s, long_name, &found, &err), &err);
	assert_int_equal(found, 1);
	source_close(s);
	arena_free(a);
}

static void kinds_from_metadata(void **state)
{
	struct err err;
	struct source_collection *all;
	size_t n;
	uint64_t found;
	struct buf json;
	struct arena *a = arena_new();
	make_folder("shop");
	one_document("shop/capped.bson");
	write_text("shop/capped.metadata.json",
		   "{\"options\":{\"capped\":true,\"size\":4096},\"type\":\"collection\"}");
	one_document("shop/clustered.bson.gz");
	buf_init(&json, 0);
	buf_puts(&json, "{\"options\":{\"clusteredIndex\":{\"v\":2}}}");
	write_as(GZIP, "shop/clustered.metadata.json.gz", &json);
	one_document("shop/system.buckets.weather.bson");
	write_text("shop/weather.metadata.json",
		   "{\"options\":{\"timeseries\":{\"timeField\":\"t\"}},\"type\":\"timeseries\"}");
	write_text("shop/view.metadata.json", "{\"options\":{\"viewOn\":\"x\",\"pipeline\":[]},\"type\":\"view\"}");
	write_text("shop/lost.metadata.json", "{\"options\":{}}");
	one_document("shop/odd.bson");
	write_text("shop/odd.metadata.json", "{not json");
	struct source *s = open_dump(root, NULL);
	check(source_collections(s, a, &all, &n, &err), &err);
	assert_int_equal(n, 7);
	assert_int_equal(find(all, n, "capped")->kind, SOURCE_CAPPED);
	assert_int_equal(find(all, n, "clustered")->kind, SOURCE_CLUSTERED);
	assert_int_equal(find(all, n, "weather")->kind, SOURCE_TIMESERIES);
	assert_int_equal(find(all, n, "view")->kind, SOURCE_VIEW);
	assert_int_equal(find(all, n, "odd")->kind, SOURCE_COLLECTION);
	assert_true(find(all, n, "system.buckets.weather")->skipped);
	assert_false(find(all, n, "weather")->skipped);
	assert_int_equal(count(s, "odd"), 1);
	assert_false(source_count(s, "weather", &found, &err));
	assert_int_equal(err.code, ERR_SOURCE_READ);
	assert_false(source_count(s, "view", &found, &err));
	assert_int_equal(err.code, ERR_SOURCE_READ);
	assert_false(source_count(s, "lost", &found, &err));
	assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
	assert_false(source_count(s, "nowhere", &found, &err));
	assert_int_equal(err.code, ERR_COLLECTION_MISSING);
	source_close(s);
	buf_free(&json);
	arena_free(a);
}

static void identity_is_the_file(void **state)
{
	struct buf content, a, b;
	struct err err;
	buf_init(&a, 0);
	buf_init(&b, 0);
	make_dump(PLAIN, 2000, &content);
	struct source *s = open_dump(root, NULL);
	check(source_collection_identity(s, "items", &a, &err), &err);
	check(source_collection_identity(s, "items", &b, &err), &err);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	content.data[content.len - 20] ^= 1;
	write_as(PLAIN, "shop/items.bson", &content);
	buf_reset(&b);
	check(source_collection_identity(s, "items", &b, &err), &err);
	assert_string_not_equal(buf_cstr(&a), buf_cstr(&b));
	source_close(s);
	buf_free(&a);
	buf_free(&b);
	buf_free(&content);
}

/* ---- the rest of the contract ---- */

static void documents_by_id(void **state)
{
	for (enum form form = PLAIN; form < FORMS; form++) {
		struct buf content;
		struct err err;
		const uint8_t *doc, *ids[4];
		size_t len, lens[4];
		bson_t *id[4] = {BCON_NEW("_id", BCON_INT32(17)), BCON_NEW("_id", BCON_INT32(3)),
				 BCON_NEW("_id", BCON_INT64(5)), BCON_NEW("_id", BCON_INT32(17))};
		for (int i = 0; i < 4; i++) {
			ids[i] = bson_get_data(id[i]);
			lens[i] = id[i]->len;
		}
		make_dump(form, 20, &content);
		struct source *s = open_dump(root, NULL);
		struct source_reader *r = open_reader(s);
		check(source_read_ids(r, "items", ids, lens, 4, &err), &err);
		struct val v;
		assert_int_equal(source_next(r, &doc, &len, &err), 1);
		assert_true(doc_find(doc, len, "_id", &v) && val_i32(&v) == 3);
		/* 5, asked for as an int64: numbers that are equal are one, as a server has it */
		assert_int_equal(source_next(r, &doc, &len, &err), 1);
		assert_true(doc_find(doc, len, "_id", &v) && val_i32(&v) == 5);
		assert_int_equal(source_next(r, &doc, &len, &err), 1);
		assert_true(doc_find(doc, len, "_id", &v) && val_i32(&v) == 17);
		assert_int_equal(source_next(r, &doc, &len, &err), 0);
		check(source_read_ids(r, "items", ids, lens, 0, &err), &err);
		assert_int_equal(source_next(r, &doc, &len, &err), 0);
		source_reader_close(r);
		source_close(s);
		for (int i = 0; i < 4; i++)
			bson_destroy(id[i]);
		buf_free(&content);
		remove_root(NULL);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

static void operation_time_belongs_to_servers(void **state)
{
	struct buf content;
	struct err err;
	make_dump(PLAIN, 1, &content);
	struct source *s = open_dump(root, NULL);
	check(source_set_operation_time(s, "", &err), &err);
	assert_false(source_set_operation_time(s, "6565656500000001", &err));
	assert_int_equal(err.code, ERR_SOURCE_CHANGED);
	source_close(s);
	buf_free(&content);
}

static void interrupted_reader_stops(void **state)
{
	struct buf content;
	struct err err;
	const uint8_t *doc;
	size_t len;
	make_dump(PLAIN, 10, &content);
	struct source *s = open_dump(root, NULL);
	struct ranges *ranges = split(s, "items", 100, 0);
	struct source_reader *r = open_reader(s);
	begin(r, "items", ranges, 0);
	assert_int_equal(source_next(r, &doc, &len, &err), 1);
	source_reader_interrupt(r);
	assert_int_equal(source_next(r, &doc, &len, &err), -1);
	assert_int_equal(err.code, ERR_STOPPED);
	source_reader_close(r);
	ranges_free(ranges);
	source_close(s);
	buf_free(&content);
}

static void bad_bounds_are_refused(void **state)
{
	struct buf content;
	struct err err;
	const uint8_t *doc;
	size_t len;
	make_dump(PLAIN, 1, &content);
	struct source *s = open_dump(root, NULL);
	struct source_reader *r = open_reader(s);
	assert_int_equal(source_next(r, &doc, &len, &err), 0);
	assert_false(source_read(r, "items", (const uint8_t *)"junk", 4, &err));
	assert_int_equal(err.code, ERR_INTERNAL);
	source_reader_close(r);
	source_close(s);
	buf_free(&content);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(ranges_are_the_whole_at_any_size),
		CASE(ranges_in_any_order),
		CASE(a_range_may_be_left_in_the_middle),
		CASE(compression_is_told_by_content),
		CASE(several_members_and_frames),
		CASE(length_that_looks_like_gzip),
		CASE(large_documents),
		CASE(empty_files),
		CASE(seven_bytes_short),
		CASE(impossible_lengths),
		CASE(length_beyond_the_end),
		CASE(some_bytes_left_over),
		CASE(no_zero_at_the_end),
		CASE(compressed_streams_cut_short),
		CASE(compressed_streams_damaged),
		CASE(other_formats_are_named),
		CASE(another_file_than_was_split),
		CASE(layouts),
		CASE(layouts_that_are_refused),
		CASE(oplog_is_noted),
		CASE(names_are_decoded),
		CASE(cut_name_comes_from_metadata),
		CASE(kinds_from_metadata),
		CASE(identity_is_the_file),
		CASE(documents_by_id),
		CASE(operation_time_belongs_to_servers),
		CASE(interrupted_reader_stops),
		CASE(bad_bounds_are_refused),
	};
	return cmocka_run_group_tests_name("source_dump", tests, NULL, NULL);
}
