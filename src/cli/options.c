/* options.c - see options.h. */
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "text.h"

#define BIT(c)      (1u << CMD_##c)
#define EVERY       ((1u << CMD_COUNT) - 1)
#define TARGET_USER (BIT(CHECK) | BIT(MIGRATE) | BIT(VALIDATE) | BIT(STATUS) | BIT(REJECTS) | BIT(RETRY))

const char *const command_words[CMD_COUNT] = {
	[CMD_CHECK] = "check",   [CMD_MIGRATE] = "migrate", [CMD_VALIDATE] = "validate", [CMD_STATUS] = "status",
	[CMD_SCHEMA] = "schema", [CMD_REJECTS] = "rejects", [CMD_RETRY] = "retry",       [CMD_MAPPING] = "mapping",
	[CMD_SYNTH] = "synth",   [CMD_ID] = "id",           [CMD_CONFIG] = "config",     [CMD_HELP] = "help"};

const struct option options[OPT_COUNT] = {
	[OPT_MAPPING] =
		{.name = "mapping",
		 .letter = 'm',
		 .kind = OPT_KIND_TEXT,
		 .value = "NAME|FILE",
		 .commands = BIT(SCHEMA) | BIT(MIGRATE) | BIT(SYNTH) | BIT(VALIDATE) | BIT(CHECK) | BIT(RETRY),
		 .env = "DOCROW_MAPPING",
		 .help = "The mapping: a name without a slash is looked up among the installed ones "
			 "(docrow mapping list), anything with a slash or ending in .yaml is a file. With --resume "
			 "it may be left out: the run keeps its mapping."},
	[OPT_SOURCE] =
		{.name = "source",
		 .letter = 's',
		 .kind = OPT_KIND_ADDRESS,
		 .value = "URI|PATH",
		 .commands = BIT(SCHEMA) | BIT(MIGRATE) | BIT(VALIDATE) | BIT(CHECK),
		 .env = "DOCROW_SOURCE",
		 .env_also = "MONGODB_URI",
		 .help = "Where the documents come from: mongodb://... or mongodb+srv://..., the folder of a "
			 "mongodump, an archive of one (- reads it from standard input), or a folder or file of "
			 "mongoexport's JSON. The database of the URI wins over the mapping's. Prefer the "
			 "environment for passwords: a command line can be seen by others."},
	[OPT_TARGET] =
		{.name = "target",
		 .letter = 't',
		 .kind = OPT_KIND_ADDRESS,
		 .value = "URI",
		 .commands = TARGET_USER,
		 .env = "DOCROW_TARGET",
		 .env_also = "DATABASE_URL",
		 .help = "The PostgreSQL database to fill: postgresql://... or anything else that libpq takes. "
			 "Parameters that only Prisma knows are understood or ignored."},
	[OPT_SCAN] =
		{.name = "scan",
		 .kind = OPT_KIND_CHOICE,
		 .value = "HOW",
		 .commands = BIT(CHECK),
		 .otherwise = "none",
		 .choices = "none sample full",
		 .help = "Which documents are converted, without writing: none, some of each collection, or all. "
			 "Orphans and duplicates are found by a full scan only."},
	[OPT_APPLY_FIXES] = {.name = "apply-fixes",
			     .kind = OPT_KIND_FLAG,
			     .commands = BIT(CHECK),
			     .help = "Run the statements that docrow check lists as fixes for tables that are there "
				     "already, all in one transaction, and look again."},
	[OPT_DRY_RUN] = {.name = "dry-run",
			 .kind = OPT_KIND_FLAG,
			 .commands = BIT(MIGRATE) | BIT(RETRY),
			 .help = "Change nothing; say what would happen. migrate: docrow check --scan full; retry: "
				 "all of it in one "
				 "transaction, which is rolled back."},
	[OPT_RESUME] = {.name = "resume",
			.kind = OPT_KIND_FLAG,
			.commands = BIT(MIGRATE) | BIT(VALIDATE),
			.help = "Go on with the unfinished run on the target. Nothing that is done is done again. "
				"validate: go on "
				"with an interrupted validation (file migration-validation-progress)."},
	[OPT_CLEAN] = {.name = "clean",
		       .kind = OPT_KIND_FLAG,
		       .commands = BIT(MIGRATE),
		       .help = "Take back what an earlier run made on the target, then start anew."},
	[OPT_CLEAN_ONLY] = {.name = "clean-only",
			    .kind = OPT_KIND_FLAG,
			    .commands = BIT(MIGRATE),
			    .help = "Take back what an earlier run made on the target, and stop there."},
	[OPT_JOIN] =
		{.name = "join",
		 .kind = OPT_KIND_FLAG,
		 .commands = BIT(MIGRATE),
		 .help = "Help a run that is going on elsewhere: the same mapping, source and target from another "
			 "machine or process."},
	[OPT_WORKERS] = {.name = "workers",
			 .letter = 'w',
			 .kind = OPT_KIND_COUNT,
			 .value = "N",
			 .commands = BIT(MIGRATE) | BIT(SYNTH) | BIT(VALIDATE) | BIT(CHECK),
			 .env = "DOCROW_WORKERS",
			 .otherwise = "auto",
			 .min = 1,
			 .max = 256,
			 .may_be_auto = true,
			 .help = "Workers, each with one connection to either side; synth: threads. auto: as many as "
				 "there are processors, "
				 "at least 2 and at most 8."},
	[OPT_INDEX_JOBS] =
		{.name = "index-jobs",
		 .kind = OPT_KIND_COUNT,
		 .value = "N",
		 .commands = BIT(MIGRATE),
		 .env = "DOCROW_INDEX_JOBS",
		 .otherwise = "auto",
		 .min = 1,
		 .max = 256,
		 .may_be_auto = true,
		 .help = "How many keys, indexes and checks are built at a time once the rows are in. auto: as "
			 "many as there are processors, at least 2 and at most 8."},
	[OPT_BATCH_SIZE] = {.name = "batch-size",
			    .kind = OPT_KIND_COUNT,
			    .value = "N",
			    .commands = BIT(MIGRATE),
			    .env = "DOCROW_BATCH_SIZE",
			    .min = 1,
			    .max = 1e9,
			    .help = "Documents a transaction, exactly. Without it transactions are cut by size "
				    "(--chunk-size), which is faster."},
	[OPT_CHUNK_SIZE] = {.name = "chunk-size",
			    .kind = OPT_KIND_SIZE,
			    .value = "SIZE",
			    .commands = BIT(MIGRATE),
			    .env = "DOCROW_CHUNK_SIZE",
			    .otherwise = "16MB",
			    .min = 65536,
			    .max = 1073741824,
			    .help = "About how much of a collection is loaded in one transaction."},
	[OPT_LEASE] =
		{.name = "lease",
		 .kind = OPT_KIND_SECONDS,
		 .value = "SECONDS",
		 .commands = BIT(MIGRATE) | BIT(RETRY),
		 .env =
			 "DOCROW_LEASE",
		 .otherwise = "15",
		 .min =
			 2,
		 .max =
			 3600,
		 .help = "How long a worker that gives no sign of life keeps its work. A resume after kill -9 waits "
			 "this long at most."},
	[OPT_RETRY_FOR] = {.name = "retry-for",
			   .kind = OPT_KIND_SECONDS,
			   .value = "SECONDS",
			   .commands = BIT(MIGRATE) | BIT(VALIDATE) | BIT(RETRY),
			   .env = "DOCROW_RETRY_FOR",
			   .otherwise = "120",
			   .min = 0,
			   .max = 86400,
			   .help = "How long a server that went away is waited for before the run stops, resumable."},
	[OPT_MAX_REJECTS] =
		{.name = "max-rejects",
		 .kind = OPT_KIND_LIMIT,
		 .value = "N",
		 .commands = BIT(MIGRATE),
		 .env =
			 "DOCROW_MAX_REJECTS",
		 .max =
			 1e15,
		 .help = "How many documents of one collection may be rejected before the run stops, resumable: a "
			 "number, or a share of its documents such as 1%. Without it the mapping's limits hold, else "
			 "10,000 or 1 % of the collection, whichever is more."},
	[OPT_MAX_RATE] = {.name = "max-rate",
			  .kind = OPT_KIND_COUNT,
			  .value = "N",
			  .commands = BIT(MIGRATE) | BIT(VALIDATE) | BIT(CHECK),
			  .env = "DOCROW_MAX_RATE",
			  .min = 1,
			  .max = 1e9,
			  .help = "At most N documents a second are read by this process (by check, with --scan) and "
				  "written to the target: for servers that others need, too. Building keys and "
				  "indexes is not slowed "
				  "(--index-jobs 1 is gentlest there)."},
	[OPT_MAX_LAG] = {.name = "max-lag",
			 .kind = OPT_KIND_SIZE,
			 .value = "SIZE",
			 .commands = BIT(MIGRATE),
			 .env = "DOCROW_MAX_LAG",
			 .min = 65536,
			 .max = 1099511627776,
			 .help = "Begin nothing new while a streaming replica of the target is more than SIZE of WAL "
				 "behind; what runs is finished. The role needs pg_monitor."},
	[OPT_NO_SEARCH_INDEXES] =
		{.name = "no-search-indexes",
		 .kind = OPT_KIND_FLAG,
		 .commands = BIT(MIGRATE) | BIT(VALIDATE),
		 .env =
			 "DOCROW_NO_SEARCH_INDEXES",
		 .help = "Leave out the indexes that the mapping puts in tier search (full-text, GIN)."},
	[OPT_LOAD_ONLY] = {.name = "load-only",
			   .hidden = true,
			   .kind = OPT_KIND_FLAG,
			   .commands = BIT(MIGRATE),
			   .help = "Stop after the rows: no keys, no indexes (for measurements)."},
	[OPT_ONLY] =
		{.name = "only",
		 .repeats = true,
		 .kind = OPT_KIND_TEXT,
		 .value = "PATTERN,...",
		 .commands = BIT(SCHEMA) | BIT(MIGRATE) | BIT(MAPPING) | BIT(VALIDATE) | BIT(CHECK),
		 .env =
			 "DOCROW_ONLY",
		 .help = "Only the collections with these names; *, ? and [...] stand for any text, any character, "
			 "any of these. Commas part several, and it may be given several times. Tables that only "
			 "other "
			 "collections feed are not made; what refers to them is left out and named."},
	[OPT_SKIP] =
		{.name = "skip",
		 .repeats = true,
		 .kind = OPT_KIND_TEXT,
		 .value = "PATTERN,...",
		 .commands = BIT(SCHEMA) | BIT(MIGRATE) | BIT(MAPPING) | BIT(VALIDATE) | BIT(CHECK),
		 .env =
			 "DOCROW_SKIP",
		 .help = "All collections but those with these names, as in --only; with both, those of --only but "
			 "these. A resume keeps the choice of its run."},
	[OPT_TARGET_TABLES] =
		{.name = "target-tables",
		 .kind = OPT_KIND_CHOICE,
		 .value = "HOW",
		 .commands = BIT(MIGRATE) | BIT(CHECK),
		 .env = "DOCROW_TARGET_TABLES",
		 .otherwise = "auto",
		 .choices = "auto owned existing",
		 .help = "owned: docrow makes the mapping's tables and refuses when one is there. existing: they are "
			 "there (deployed by Prisma or by hand) and are filled as they are. auto: existing when one "
			 "of "
			 "them is there, else owned."},
	[OPT_DISABLE_TRIGGERS] = {.name = "disable-triggers",
				  .kind = OPT_KIND_FLAG,
				  .commands = BIT(MIGRATE) | BIT(CHECK),
				  .env = "DOCROW_DISABLE_TRIGGERS",
				  .help = "Switch off the triggers of tables that are there already until their rows "
					  "are settled. They "
					  "are left on otherwise."},
	[OPT_KEEP_INDEXES] =
		{.name = "keep-indexes",
		 .kind = OPT_KIND_FLAG,
		 .commands = BIT(MIGRATE) | BIT(CHECK),
		 .env =
			 "DOCROW_KEEP_INDEXES",
		 .help = "Leave all keys, indexes and foreign keys of tables that are there already in force. Rows "
			 "wait "
			 "in tables of schema docrow until they are settled, and go in parents first. Slower than "
			 "the "
			 "usual way, for tables that must never be without them, and for partitioned ones."},
	[OPT_APPEND] =
		{.name = "append",
		 .kind = OPT_KIND_FLAG,
		 .commands = BIT(MIGRATE) | BIT(CHECK),
		 .env =
			 "DOCROW_APPEND",
		 .help = "Add to tables that hold rows already, with all of --keep-indexes. References may point "
			 "to rows that are there. What becomes of a row whose primary key is there says "
			 "--on-conflict."},
	[OPT_ON_CONFLICT] = {.name = "on-conflict",
			     .kind = OPT_KIND_CHOICE,
			     .value = "RULE",
			     .commands = BIT(MIGRATE) | BIT(CHECK),
			     .env = "DOCROW_ON_CONFLICT",
			     .otherwise = "reject",
			     .choices = "reject skip replace",
			     .help = "With --append, of a row whose primary key is in the table already. reject: it "
				     "becomes a reject. "
				     "skip: it is left out. replace: the mapped columns of the old row get its "
				     "values; what they were is "
				     "kept, and comes back with --clean. Each is counted and listed. What is taken "
				     "in another unique "
				     "index becomes a reject with each rule."},
	[OPT_LOCK_TIMEOUT] = {.name = "lock-timeout",
			      .kind = OPT_KIND_SECONDS,
			      .value = "SECONDS",
			      .commands = BIT(MIGRATE) | BIT(CHECK),
			      .env = "DOCROW_LOCK_TIMEOUT",
			      .otherwise = "10",
			      .min = 1,
			      .max = 3600,
			      .help = "How long tables that are there already, and in use, are waited for when their "
				      "keys and indexes "
				      "are taken away, given back by --clean, or when --apply-fixes changes them."},
	[OPT_PROGRESS] =
		{.name = "progress",
		 .kind = OPT_KIND_CHOICE,
		 .value = "HOW",
		 .commands = BIT(CHECK) | BIT(MIGRATE) | BIT(VALIDATE) | BIT(RETRY),
		 .env =
			 "DOCROW_PROGRESS",
		 .otherwise = "auto",
		 .choices = "auto plain json none",
		 .help = "auto: bars on a terminal, otherwise plain. plain: a line every 10 seconds and one per "
			 "finished collection. json: one JSON object a line on standard error. none: silent."},
	[OPT_LOG_DIR] = {.name = "log-dir",
			 .kind = OPT_KIND_TEXT,
			 .value = "FOLDER",
			 .commands = BIT(MIGRATE) | BIT(VALIDATE) | BIT(RETRY),
			 .env = "DOCROW_LOG_DIR",
			 .otherwise = ".",
			 .help = "Where migration-checkpoint.json, migration-errors.log and "
				 "migration-validation-report.json are written."},
	[OPT_FULL] = {.name = "full",
		      .kind = OPT_KIND_FLAG,
		      .commands = BIT(VALIDATE),
		      .help = "Compare every field of every document and row, not only a sample."},
	[OPT_SAMPLE] =
		{.name = "sample",
		 .kind = OPT_KIND_LIMIT,
		 .value = "N|P%",
		 .commands = BIT(VALIDATE),
		 .env =
			 "DOCROW_SAMPLE",
		 .otherwise = "100",
		 .min =
			 1,
		 .max =
			 1e12,
		 .help = "How many random documents of each collection are compared field by field, at least; or "
			 "which part of them. They are taken from the whole collection; the same --seed takes the "
			 "same ones."},
	[OPT_THRESHOLD] =
		{
			.name = "threshold",
			.kind = OPT_KIND_SHARE,
			.value = "SHARE",
			.commands = BIT(VALIDATE),
			.env = "DOCROW_THRESHOLD",
			.otherwise = "100%",
			.min = 0,
			.max = 1,
			.help = "The part of the compared rows of each table that must be right for layer values to "
				"pass. Not with --full, and not for the other layers: there nothing may be found. "
				"Without it the mapping's threshold counts, if it has one."},
	[OPT_LAYERS] = {.name = "layers",
			.kind = OPT_KIND_TEXT,
			.value = "LAYER,...",
			.commands = BIT(VALIDATE),
			.otherwise = "counts,values,references,types,schema",
			.help = "Only these layers."},
	[OPT_FINDINGS] =
		{.name = "findings",
		 .kind = OPT_KIND_COUNT,
		 .value = "N",
		 .commands = BIT(VALIDATE),
		 .otherwise = "5",
		 .min =
			 0,
		 .max =
			 1e6,
		 .help = "How many findings of each kind are shown. The report has all of them, up to 1,000 of "
			 "a kind in a table."},
	[OPT_JUNIT] = {.name = "junit",
		       .kind = OPT_KIND_TEXT,
		       .value = "FILE",
		       .commands = BIT(VALIDATE),
		       .help = "Also write the result as JUnit XML: a suite for each layer, a case for each table."},
	[OPT_ALLOW_DRIFT] =
		{.name = "allow-drift",
		 .kind = OPT_KIND_FLAG,
		 .commands = BIT(VALIDATE),
		 .env =
			 "DOCROW_ALLOW_DRIFT",
		 .help = "Pass also when documents that were added, changed or deleted after the copy began "
			 "differ from their rows, and nothing else. They are told apart by the source's own "
			 "record of changes, and listed either way."},
	[OPT_LOG_VALUES] =
		{.name = "log-values",
		 .kind = OPT_KIND_FLAG,
		 .commands = BIT(VALIDATE) | BIT(CHECK),
		 .env =
			 "DOCROW_LOG_VALUES",
		 .help = "Show what the document and the column hold in findings and reports; check: texts that "
			 "are no label of an enum. Without it no value is written anywhere."},
	[OPT_COLLECTION] = {.name = "collection",
			    .kind = OPT_KIND_TEXT,
			    .value = "NAME",
			    .commands = BIT(REJECTS) | BIT(RETRY),
			    .help = "Only rejects of this collection."},
	[OPT_TABLE] = {.name = "table",
		       .kind = OPT_KIND_TEXT,
		       .value = "NAME",
		       .commands = BIT(REJECTS) | BIT(RETRY),
		       .help = "Only rejects that were bound for this table."},
	[OPT_FAULT] = {.name = "fault",
		       .kind = OPT_KIND_TEXT,
		       .value = "NAME",
		       .commands = BIT(REJECTS) | BIT(RETRY),
		       .help = "Only rejects with this fault (docs/messages.md lists them)."},
	[OPT_PATH] = {.name = "path",
		      .kind = OPT_KIND_TEXT,
		      .value = "PATH",
		      .commands = BIT(REJECTS) | BIT(RETRY),
		      .help = "Only rejects at this path of the document, as docrow rejects writes it."},
	[OPT_ID] = {.name = "id",
		    .kind = OPT_KIND_COUNT,
		    .value = "N",
		    .commands = BIT(REJECTS) | BIT(RETRY),
		    .min = 1,
		    .max = 9007199254740992.0,
		    .help = "Only the reject with this number (docrow rejects list, docrow.reject.id)."},
	[OPT_STATE] = {.name = "state",
		       .kind = OPT_KIND_CHOICE,
		       .value = "STATE",
		       .commands = BIT(REJECTS),
		       .otherwise = "open",
		       .choices = "open retried all",
		       .help = "open: those that are no rows yet. retried: those that docrow retry loaded."},
	[OPT_EXPORT] = {.name = "export",
			.kind = OPT_KIND_TEXT,
			.value = "FILE",
			.commands = BIT(REJECTS),
			.help = "Write the rejected documents themselves into this file, whole, for mongoimport or "
				"mongorestore. It has mode 0600 and appears when it is complete."},
	[OPT_FORMAT] = {.name = "format",
			.kind = OPT_KIND_CHOICE,
			.value = "FORMAT",
			.commands = BIT(REJECTS),
			.otherwise = "json",
			.choices = "json bson",
			.help = "Of --export. json: canonical Extended JSON, one document a line. bson: as mongodump "
				"writes a collection."},
	[OPT_LIMIT] = {.name = "limit",
		       .letter = 'n',
		       .kind = OPT_KIND_COUNT,
		       .value = "N",
		       .commands = BIT(REJECTS),
		       .otherwise = "100",
		       .min = 1,
		       .max = 1e9,
		       .help = "At most this many lines."},
	[OPT_PHASES] =
		{.name = "phases",
		 .kind = OPT_KIND_FLAG,
		 .commands = BIT(MAPPING),
		 .help = "Show the phases of loading: tables in the order that their foreign keys ask for, named "
			 "by the mapping or by what is computed."},
	[OPT_FROM_SOURCE] = {.name = "from-source",
			     .kind = OPT_KIND_FLAG,
			     .commands = BIT(SCHEMA),
			     .help = "Read the source's indexes and say what becomes of each."},
	[OPT_SQL] =
		{.name = "sql",
		 .kind = OPT_KIND_TEXT,
		 .value = "FILE",
		 .commands =
			 BIT(SCHEMA),
		 .help = "Also write the proposed statements into this file, for psql; suggestions stand in it as "
			 "comments."},
	[OPT_TO] = {.name = "to",
		    .kind = OPT_KIND_ADDRESS,
		    .value = "FOLDER|URI",
		    .commands = BIT(SYNTH),
		    .help = "Where the sample goes: a folder, in the layout of mongodump, or a MongoDB server "
			    "(mongodb://...)."},
	[OPT_DOCS] =
		{.name = "docs",
		 .repeats = true,
		 .kind = OPT_KIND_TEXT,
		 .value = "N|COLLECTION=N",
		 .commands = BIT(SYNTH),
		 .otherwise =
			 "20000",
		 .help = "Documents in all, spread over the collections, or the number for one collection. May be "
			 "given several times."},
	[OPT_SEED] = {.name = "seed",
		      .kind = OPT_KIND_COUNT,
		      .value = "N",
		      .commands = BIT(SYNTH) | BIT(VALIDATE),
		      .otherwise = "1",
		      .min = 0,
		      .max = 9007199254740992.0,
		      .help = "synth: the same seed makes the same bytes. validate: it takes the same sample."},
	[OPT_DIRT] = {.name = "dirt",
		      .kind = OPT_KIND_SHARE,
		      .value = "SHARE",
		      .commands = BIT(SYNTH),
		      .otherwise = "0",
		      .min = 0,
		      .max = 1,
		      .help = "Share of the documents that get a fault, one each: 0.01 or 1%."},
	[OPT_DIRT_LIST] =
		{.name = "dirt-list",
		 .kind = OPT_KIND_TEXT,
		 .value = "FILE",
		 .commands = BIT(SYNTH),
		 .help = "Write the list of faults into this file: collection, _id, path and fault, parted by "
			 "tabs."},
	[OPT_GZIP] = {.name = "gzip",
		      .kind = OPT_KIND_FLAG,
		      .commands = BIT(SYNTH),
		      .help = "Compress the files, as mongodump --gzip does."},
	[OPT_REPLACE] = {.name = "replace",
			 .kind = OPT_KIND_FLAG,
			 .commands = BIT(SYNTH),
			 .help = "Replace collections or files that are there already. Without it they are refused."},
	[OPT_WATCH] = {.name = "watch",
		       .kind = OPT_KIND_SECONDS,
		       .value = "SECONDS",
		       .commands = BIT(STATUS),
		       .min = 0.2,
		       .max = 86400,
		       .help = "Look again every SECONDS until the run is over (also before it begins); on a "
			       "terminal in place."},
	[OPT_JSON] = {.name = "json",
		      .kind = OPT_KIND_FLAG,
		      .commands = BIT(SCHEMA) | BIT(STATUS) | BIT(REJECTS) | BIT(CONFIG) | BIT(MAPPING) |
				  BIT(VALIDATE) | BIT(CHECK) | BIT(RETRY),
		      .help = "Print JSON for machines."},
	[OPT_ENV_FILE] = {.name = "env-file",
			  .kind = OPT_KIND_TEXT,
			  .value = "FILE",
			  .commands = EVERY,
			  .otherwise = ".env",
			  .help = "The file with settings that the environment does not have. Empty: none is read."},
	[OPT_QUIET] = {.name = "quiet",
		       .letter = 'q',
		       .kind = OPT_KIND_FLAG,
		       .commands = EVERY,
		       .env = "DOCROW_QUIET",
		       .help = "Only warnings and errors on standard error."},
	[OPT_VERBOSE] = {.name = "verbose",
			 .letter = 'v',
			 .kind = OPT_KIND_FLAG,
			 .commands = EVERY,
			 .env = "DOCROW_VERBOSE",
			 .help = "More on standard error. What happens stays the same."},
	[OPT_MAN] = {.name = "man",
		     .hidden = true,
		     .kind = OPT_KIND_FLAG,
		     .commands = BIT(HELP),
		     .help = "The manual page, as roff."},
	[OPT_MARKDOWN] = {.name = "markdown",
			  .hidden = true,
			  .kind = OPT_KIND_FLAG,
			  .commands = BIT(HELP),
			  .help = "All commands and options, as Markdown (docs/options.md)."},
	[OPT_MESSAGES] = {.name = "messages",
			  .hidden = true,
			  .kind = OPT_KIND_FLAG,
			  .commands = BIT(HELP),
			  .help = "All messages, as Markdown (docs/messages.md)."},
	[OPT_MATRIX] = {.name = "matrix",
			.hidden = true,
			.kind = OPT_KIND_FLAG,
			.commands = BIT(HELP),
			.help = "The conversion matrix, as Markdown (docs/matrix.md)."},
	[OPT_NAMES] = {.name = "names",
		       .hidden = true,
		       .kind = OPT_KIND_FLAG,
		       .commands = BIT(HELP),
		       .help = "The commands' names, one a line."},
	[OPT_COMPLETION] =
		{.name = "completion",
		 .kind = OPT_KIND_CHOICE,
		 .value = "SHELL",
		 .commands = BIT(HELP),
		 .choices = "bash zsh fish",
		 .help = "The completions for a shell (bash, zsh or fish). make install puts them in place."},
	[OPT_HELP] = {.name = "help",
		      .letter = 'h',
		      .kind = OPT_KIND_FLAG,
		      .commands = EVERY,
		      .help = "Show this and do nothing else."},
	[OPT_VERSION] = {.name = "version",
			 .letter = 'V',
			 .kind = OPT_KIND_FLAG,
			 .commands = EVERY,
			 .help = "Name the version and the versions of the libraries in use."},
};

int option_find(const char *name, size_t len)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
			return i;
	return -1;
}

int option_find_letter(char letter)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if (options[i].letter == letter && letter != '\0')
			return i;
	return -1;
}

bool word_is_near(const char *word, const char *name, size_t *distance)
{
	size_t d = text_distance(word, name);
	size_t shorter = strlen(word) < strlen(name) ? strlen(word) : strlen(name);

	if (shorter >= 3 && strncmp(word, name, shorter) == 0)
		d = 1; /* cut off or with something added: the beginning is what people remember */
	if (d > 2 + strlen(name) / 8 || d >= shorter || d >= *distance)
		return false;
	*distance = d;
	return true;
}

int option_nearest(const char *name, enum command_id c)
{
	size_t distance = SIZE_MAX;
	int best = -1;

	for (int i = 0; i < OPT_COUNT; i++)
		if (option_belongs((enum opt)i, c) && !options[i].hidden &&
		    word_is_near(name, options[i].name, &distance))
			best = i;
	return best;
}

int option_find_env(const char *name)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if ((options[i].env && strcmp(options[i].env, name) == 0) ||
		    (options[i].env_also && strcmp(options[i].env_also, name) == 0))
			return i;
	return -1;
}

int option_nearest_env(const char *name)
{
	size_t distance = SIZE_MAX;
	int best = -1;

	for (int i = 0; i < OPT_COUNT; i++)
		if (options[i].env && word_is_near(name, options[i].env, &distance))
			best = i;
	return best;
}

struct unit {
	const char *name;
	double factor;
};

/* A number and one of the units after it ("" is a unit, too). */
static bool number_with_unit(const char *text, const struct unit *units, double *number)
{
	size_t digits = strspn(text, "0123456789.");

	if (digits == 0 || !text_parse_double(text, digits, number))
		return false;
	while (text[digits] == ' ')
		digits++;
	for (; units->name; units++)
		if (strcasecmp(text + digits, units->name) == 0) {
			*number *= units->factor;
			return true;
		}
	return false;
}

static bool parse_flag(const char *text, double *number)
{
	static const char *const words[2][5] = {{"0", "false", "no", "off", ""}, {"1", "true", "yes", "on", "1"}};

	for (int v = 0; v < 2; v++)
		for (size_t i = 0; i < 5; i++)
			if (strcasecmp(text, words[v][i]) == 0) {
				*number = v;
				return true;
			}
	return false;
}

static bool parse_choice(const char *choices, const char *text, double *number)
{
	size_t len = strlen(text);
	int position = 0;

	for (const char *p = choices; len > 0 && *p != '\0'; position++) {
		size_t word = strcspn(p, " ");
		if (word == len && memcmp(p, text, len) == 0) {
			*number = position;
			return true;
		}
		p += word + strspn(p + word, " ");
	}
	return false;
}

static bool parse_count(const struct option *o, const char *text, double *number)
{
	int64_t v;

	if (o->may_be_auto && strcmp(text, "auto") == 0) {
		*number = 0;
		return true;
	}
	if (!text_parse_i64(text, strlen(text), &v))
		return false;
	*number = (double)v;
	return *number >= o->min && *number <= o->max;
}

static bool parse_limit(const struct option *o, const char *text, double *number)
{
	size_t n = strlen(text);

	if (n == 0 || text[n - 1] != '%')
		return parse_count(o, text, number);
	if (!text_parse_double(text, n - 1, number) || *number <= 0 || *number > 100)
		return false;
	*number = -*number;
	return true;
}

static bool parse_measure(const struct option *o, const struct unit *units, const char *text, double *number)
{
	return number_with_unit(text, units, number) && *number >= o->min && *number <= o->max;
}

static const struct unit seconds[] = {{"", 1},     {"s", 1},    {"sec", 1},     {"m", 60},
				      {"min", 60}, {"h", 3600}, {"d", 86400.0}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1},           {"B", 1},           {"K", 1024},         {"KB", 1024},
				    {"KiB", 1024},     {"M", 1048576},     {"MB", 1048576},     {"MiB", 1048576},
				    {"G", 1073741824}, {"GB", 1073741824}, {"GiB", 1073741824}, {NULL, 0}};
static const struct unit shares[] = {{"", 1}, {"%", 0.01}, {NULL, 0}};

bool option_parse(enum opt id, const char *text, double *number, char expected[160])
{
	const struct option *o = &options[id];
	char least[32], most[32];

	*number = 0;
	switch (o->kind) {
	case OPT_KIND_FLAG:
		snprintf(expected, 160, "true or false");
		return parse_flag(text, number);
	case OPT_KIND_TEXT:
	case OPT_KIND_ADDRESS:
		return true;
	case OPT_KIND_COUNT:
		snprintf(expected, 160, "a whole number from %s to %s%s", text_thousands((uint64_t)o->min, least),
			 text_thousands((uint64_t)o->max, most), o->may_be_auto ? ", or auto" : "");
		return parse_count(o, text, number);
	case OPT_KIND_SECONDS:
		snprintf(expected, 160, "seconds from %g to %s, such as 15, 30s or 2m", o->min,
			 text_thousands((uint64_t)o->max, most));
		return parse_measure(o, seconds, text, number);
	case OPT_KIND_SIZE:
		snprintf(expected, 160, "a size from %s to %s, such as 16MB", text_bytes((uint64_t)o->min, least),
			 text_bytes((uint64_t)o->max, most));
		return parse_measure(o, sizes, text, number);
	case OPT_KIND_SHARE:
		snprintf(expected, 160, "a share from 0 to 1, such as 0.01 or 1%%");
		return parse_measure(o, shares, text, number);
	case OPT_KIND_LIMIT:
		snprintf(expected, 160, "a whole number from 0 up, or a share such as 1%%");
		return parse_limit(o, text, number);
	case OPT_KIND_CHOICE:
		snprintf(expected, 160, "one of: %s", o->choices);
		return parse_choice(o->choices, text, number);
	}
	return false;
}
