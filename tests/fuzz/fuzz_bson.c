/* fuzz_bson.c - a dump file of any content: its documents are read, walked and written as Extended JSON. */
#include "buf.h"
#include "doc.h"
#include "dump.h"
#include "extjson.h"
#include "fuzz.h"

static void look_at(const uint8_t *doc, size_t len, struct buf *out)
{
	static const struct extjson_opts strict = {EXTJSON_CANONICAL, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE};
	struct val v = {.data = doc, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};
	buf_reset(out);
	if (doc_is_wellformed(doc, len)) {
		enum fault fault = extjson_write(out, &v, &strict, NULL);
		(void)fault;
	}
	extjson_write_safe(out, doc, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dump_stream *s;
	struct err err;
	struct buf out;
	const uint8_t *doc;
	size_t len;
	struct dump_file f = {.name = "fuzz", .framing = &dump_bson};
	f.file.path = f.file.name = fuzz_file(data, size);
	if (!dump_stream_open(&s, &f, &err))
		return 0;
	buf_init(&out, 64u << 20);
	while (dump_stream_next(s, &doc, &len, &err) == 1)
		look_at(doc, len, &out);
	buf_free(&out);
	dump_stream_close(s);
	return 0;
}
