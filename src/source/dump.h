/* dump.h - files as a source: what the kinds of dump share; private to source/.
 *
 *   source_dump.c     table of functions, open and close, collections, identity, count, split
 *   dump_read.c       a reader: one range, or the documents with given ids
 *   dump_stream.c     documents of one collection one after the other
 *   dump_layout.c     a mongodump folder: which file holds which collection
 *   archive*.c        a mongodump archive: all collections in one file
 *   export_*.c        a folder or file of mongoexport's JSON
 *   content, window   uncompressed bytes of a file
 *   spool             keeps what can be read once only
 *
 * A kind of dump (struct dump_kind) tells where its collections are (find) and how documents follow each other in a
 * file (struct dump_framing); all else is the same for all. Offsets are always those of the uncompressed content.
 */
#ifndef DOCROW_DUMP_H
#define DOCROW_DUMP_H

#include <pthread.h>

#include "source_ops.h"
#include "window.h"

#define DUMP_MAX_DOCUMENT (64u << 20) /* MongoDB stops at 16 MB and some kB; far beyond, a length is damage */

/* ---- where the collections are ---- */

struct dump_framing;

struct dump_file {
	const char *name;         /* of the collection, as MongoDB has it                              */
	struct content_file file; /* with the documents; path NULL: there is none                      */
	const struct dump_framing *framing;
	enum source_kind kind;
	uint8_t uuid[16];
	struct source_index *indexes; /* of the metadata                                           */
	size_t nindexes;
	bool has_indexes; /* false: no metadata tells of them                                           */
	bool skipped;     /* system.*, or a cut name that no metadata completes                         */
	const void *part; /* of the framing's own: which part of the file                               */
};

struct border { /* of a range: a place as dump_stream_at tells it; documents and bytes of the collection before */
	uint64_t at, docs, bytes;
};

struct borders {
	struct border *items; /* owned by who made them */
	size_t n, cap;
	uint64_t chunk_docs, chunk_bytes;
};
/* A document begins at `b`: begins a range there when it is the first or the last range is full. */
void borders_document(struct borders *all, const struct border *b);

struct dump_layout {
	const char *noun, *folder, *database; /* owned by the arena, as all below                */
	struct dump_file *files;              /* sorted by name                                  */
	size_t n;
	bool has_oplog, is_export;
	const char *identity; /* of all files together; NULL: each file has its own      */
	void *whole;          /* what the kind keeps for all files, freed by free_whole  */
	void (*free_whole)(void *whole);
	void (*tell)(void *whole, struct source_facts *f); /* as source_tell; NULL: nothing */
	/* As dump_estimate, which NULL stands for. */
	void (*estimate)(const struct dump_file *f, uint64_t *docs, uint64_t *bytes);
	/* Borders of a collection and its end, without walking its file; NULL: its file is walked. `b` is filled; its
	 * items belong to the caller. */
	bool (*borders)(const struct dump_file *f, struct borders *b, struct border *end, struct err *err);
};

/* In the arena; frees what lies outside of it. */
void dump_layout_free(struct dump_layout *l);
/* Sorts the files by name and refuses two of one name. */
bool dump_layout_sort(struct dump_layout *l, struct err *err) MUST_CHECK;

/* A collection's entry, also of one that has no documents to read; NULL: there is none of that name. */
const struct dump_file *dump_layout_entry(const struct dump_layout *l, const char *collection, struct err *err);
/* The file of a collection that can be read; NULL: err says why there is none. */
const struct dump_file *dump_layout_file(const struct dump_layout *l, const char *collection, struct err *err);

/* ---- the documents of one collection ---- */

struct dump_stream {
	const struct dump_file *file;
	struct window w;
	uint64_t at, docs; /* as told below   */
	void *state;       /* of the framing  */
	const char *note;  /* something that came up and is to be said once (source_add_note); NULL: nothing */
};

/* How documents follow each other. `next` and `skip` as below, but for s->docs, which the caller counts; both leave
 * s->at behind the document. */
struct dump_framing {
	bool (*open)(struct dump_stream *s, struct err *err); /* NULL: nothing to do                    */
	bool (*seek)(struct dump_stream *s, uint64_t at, struct err *err); /* at 0: the beginning        */
	int (*next)(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err);
	int (*skip)(struct dump_stream *s, size_t *len, struct err *err);
	void (*close)(struct dump_stream *s); /* NULL: nothing to do */
};
extern const struct dump_framing dump_bson, dump_json;
/* For framings of BSON: 1 and the length of what begins at s->at, which `allowed` may be besides a document's length
 * (0: nothing may); 0 = the end. */
int dump_bson_length(struct dump_stream *s, uint32_t allowed, uint32_t *len, struct err *err) MUST_CHECK;
/* A document of n bytes begins at s->at. */
int dump_bson_take(struct dump_stream *s, uint32_t n, const uint8_t **doc, struct err *err) MUST_CHECK;
int dump_bson_pass(struct dump_stream *s, uint32_t n, struct err *err) MUST_CHECK;

/* For framings: "NAME is cut short", with the place (window's, or `at`) and facts. Returns false. */
bool dump_damaged(const struct dump_stream *s, uint64_t at, struct err *err, const char *message, const char *fmt,
		  ...) PRINTF_LIKE(5, 6);
/* window_need; damage below is told with its place among the documents. */
bool dump_need(struct dump_stream *s, size_t n, struct err *err) MUST_CHECK;

bool dump_stream_open(struct dump_stream **s, const struct dump_file *f, struct err *err) MUST_CHECK;
void dump_stream_close(struct dump_stream *s);
enum content_format dump_stream_format(const struct dump_stream *s);
/* Behind the last document given or skipped, and how many were before that place. */
static inline uint64_t dump_stream_at(const struct dump_stream *s)
{
	return s->at;
}
static inline uint64_t dump_stream_docs(const struct dump_stream *s)
{
	return s->docs;
}
/* 1 = a document, lent until the next call; 0 = the end; -1 = damaged or unreadable (err says where). */
int dump_stream_next(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err) MUST_CHECK;
/* The same without its bytes: of a plain file large documents are not even read. */
int dump_stream_skip(struct dump_stream *s, size_t *len, struct err *err) MUST_CHECK;
/* Goes to a place where dump_stream_at stood, with `docs` documents before it. */
bool dump_stream_seek(struct dump_stream *s, uint64_t at, uint64_t docs, struct err *err) MUST_CHECK;
/* No document is left (or none can be read). */
bool dump_stream_ended(struct dump_stream *s);
/* Whole uncompressed content of a small file. */
bool dump_read_file(const char *path, size_t max, struct buf *out, struct err *err) MUST_CHECK;
/* Uncompressed bytes and documents, guessed from sizes and the first documents; never fails. */
void dump_estimate(const struct dump_file *f, uint64_t *docs, uint64_t *bytes);

/* ---- kinds ---- */

bool dump_folder_find(struct dump_layout *l, struct arena *a, const char *path, const struct source_options *opts,
		      struct err *err) MUST_CHECK;
/* Is it the folder of a dump, or of a database of one? */
bool dump_is_folder(struct arena *a, const char *path);
/* The name of a collection as mongodump makes a file's name of it, decoded. */
const char *dump_decode_name(struct arena *a, const char *name);
/* A database's name that the server keeps for itself. */
bool dump_is_servers_own(const char *database);
/* What a collection's metadata (JSON, as mongodump writes it) says: its whole name, uuid, kind. Trouble with it is
 * told and no more: it can be done without. `origin` is for messages. */
void dump_take_metadata(struct arena *a, struct dump_file *f, const char *text, size_t len, const char *origin);
/* Why a view's or time-series collection's documents are not in the dump, or what else is missing. Returns false. */
bool dump_refuse_kind(const struct dump_file *f, struct err *err);

/* Does the file's name say so; does the folder hold such files? */
bool dump_is_export(const char *path);
bool dump_has_exports(const char *path);
bool dump_export_find(struct dump_layout *l, struct arena *a, const char *path, bool is_folder,
		      const struct source_options *opts, struct err *err) MUST_CHECK;

#define ARCHIVE_MARK UINT32_C(0x8199e26d)
/* path "-": standard input. */
bool dump_archive_find(struct dump_layout *l, struct arena *a, const char *path, const struct source_options *opts,
		       struct err *err) MUST_CHECK;

/* ---- the source ---- */

struct parked { /* a decompressor that another range may go on with */
	struct dump_stream *stream;
	const struct dump_file *file;
};

#define DUMP_MAX_PARKED 16

struct source_dump {
	struct source base; /* first: ops reach it by cast */
	struct arena *arena;
	struct dump_layout layout;
	pthread_mutex_t lock;                  /* guards what follows */
	struct parked parked[DUMP_MAX_PARKED]; /* oldest first */
	size_t n_parked;
};

static inline struct source_dump *dump_of(struct source *s)
{
	return (struct source_dump *)s;
}

/* Keeps an open compressed stream for whoever reads on from about there; takes the stream over. */
void dump_park(struct source_dump *s, const struct dump_file *file, struct dump_stream *stream);
/* The parked stream of the file that stands nearest before `at`; NULL: none. */
struct dump_stream *dump_unpark(struct source_dump *s, const struct dump_file *file, uint64_t at);

bool dump_reader_open(struct source_reader **r, struct source *s, struct err *err);
void dump_reader_close(struct source_reader *r);
bool dump_read(struct source_reader *r, const char *collection, const uint8_t *bounds, size_t len, struct err *err);
int dump_next(struct source_reader *r, const uint8_t **doc, size_t *len, struct err *err);
bool dump_read_ids(struct source_reader *r, const char *collection, const uint8_t *const *ids, const size_t *lens,
		   size_t n, struct err *err);
void dump_interrupt(struct source_reader *r);

#endif
