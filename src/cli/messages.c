/* messages.c - what each message means and what to do: `docrow help DR-4001`, and docs/messages.md.
 *
 * Codes, names and titles come from the lists in base/; here stands only the advice. A test sees to it that every
 * code has some.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cli.h"
#include "fault.h"
#include "term.h"

static const char *const error_advice[ERR_CODE_COUNT] = {
	[ERR_MAX_REJECTS] = "The run stopped because more documents of one collection were rejected than the limit "
			    "allows; usually the "
			    "mapping is wrong about one column. `docrow rejects` shows the patterns. Correct the "
			    "mapping and start anew "
			    "with --clean, or go on with --resume and a higher limit: --max-rejects wins over those "
			    "of the mapping. The message says who set the one that was passed.",
	[ERR_USAGE] = "`docrow help COMMAND` shows the options of a command.",
	[ERR_SETTING] = "The message names the setting, where it was set, and which values it takes. `docrow config` "
			"shows every "
			"setting and where it comes from.",
	[ERR_SETTING_MISSING] = "Set it on the command line, in the environment or in .env; the hint names the ways.",
	[ERR_FILE] = "The detail has the system's reason: see that the path is right and may be read or written.",
	[ERR_MAPPING] = "Every error is listed with file, line and column. `docrow mapping check FILE` lists them "
			"without starting "
			"anything.",
	[ERR_MAPPING_MISSING] = "`docrow mapping list` names the installed mappings. A file of your own needs a "
				"slash in its name or the ending "
				".yaml: --mapping ./mine.yaml.",
	[ERR_COLLECTION_MISSING] = "The mapping names a collection that the source does not have. If that is as it "
				   "should be, put `optional: true` "
				   "on the collection; otherwise look at the spelling and at the database's name.",
	[ERR_NO_COLLECTIONS] = "Most often the database's name is wrong: it is taken from the source's address "
			       "(mongodb://host/NAME), else from "
			       "the mapping. The detail names the database that was looked at and what is in it.",
	[ERR_RUN_RUNNING] = "Wait for it, or help it with --join. If it was killed, its lease runs out after some "
			    "seconds; then --resume.",
	[ERR_RUN_UNFINISHED] = "Go on with it: --resume. Or take back what it did and start anew: --clean. `docrow "
			       "status` shows where it "
			       "stands.",
	[ERR_RUN_NONE] = "Start one: `docrow migrate` without --resume and --join.",
	[ERR_RUN_OTHER_MAPPING] = "A run keeps its mapping to the end, else half of the rows would be made by other "
				  "rules. Leave --mapping out to "
				  "go on with the stored one, or start anew with --clean.",
	[ERR_RUN_OTHER_SOURCE] = "Source and run do not match (database, replica set, collection or dump file). "
				 "Point at the source that the run "
				 "was started from, or start anew with --clean.",
	[ERR_WHERE] =
		"A live server filters by itself and takes what its find() takes; dumps, archives and files of JSON "
		"know the operators that the hint names. Change the where in the mapping, or the source.",
	[ERR_RUN_FINISHED] = "There is nothing to resume. --clean takes it back and starts anew.",
	[ERR_RUN_OTHER_OPTIONS] = "Some options decide what a run makes and cannot change on the way. Use those that "
				  "the detail names, or start "
				  "anew with --clean.",
	[ERR_SOURCE_CONNECT] = "Look at host, port, firewall, TLS settings and the replica set's name in the "
			       "address. With MongoDB Atlas, the "
			       "address of this machine must be on the access list.",
	[ERR_SOURCE_AUTH] = "Look at user, password and authSource in the address. Characters such as @ : / % in a "
			    "password must be "
			    "percent-encoded.",
	[ERR_SOURCE_PRIVILEGE] = "The user needs the role `read` on the database.",
	[ERR_SOURCE_VERSION] = "MongoDB 4.0 and later are supported; older servers can be read through a mongodump.",
	[ERR_SOURCE_READ] = "The detail has the server's or the system's reason. The run can be resumed once it is "
			    "mended: --resume.",
	[ERR_SOURCE_SHARD] = "A shard by itself may hold documents that belong to others and lacks the rest. Connect "
			     "to mongos instead.",
	[ERR_SOURCE_URI] = "An address is mongodb://..., mongodb+srv://... or the path of a dump. Characters such "
			   "as @ : / % in user or "
			   "password must be percent-encoded.",
	[ERR_SOURCE_CORRUPT] = "The message has file and byte offset. Dump the collection again; a file that was cut "
			       "short in copying has the "
			       "wrong size.",
	[ERR_SOURCE_CHANGED] = "A collection was dropped and made anew, or a dump file was replaced, since the run "
			       "began. Start anew with "
			       "--clean.",
	[ERR_TARGET_CONNECT] = "Look at host, port, database, firewall and sslmode in the address.",
	[ERR_TARGET_AUTH] = "Look at user and password in the address (percent-encoded where they hold @ : / %) and "
			    "at the server's "
			    "pg_hba.conf.",
	[ERR_TARGET_PRIVILEGE] = "The hint names the statement that an administrator has to run.",
	[ERR_TARGET_VERSION] = "PostgreSQL 13 and later are supported.",
	[ERR_TARGET_ENCODING] = "MongoDB's text is UTF-8; a database with another encoding cannot hold it. Create "
				"one with ENCODING 'UTF8'.",
	[ERR_TARGET_SCHEMA] = "docrow keeps its state in schema docrow of the target. An administrator can create it "
			      "beforehand: the hint has "
			      "the SQL.",
	[ERR_TARGET_EXISTS] = "Nothing was touched. If an earlier run made the tables, use --resume or --clean; "
			      "otherwise move them out of the "
			      "way or take another database or schema.",
	[ERR_TARGET_DISK_FULL] =
		"Make room on the server, then go on with --resume: nothing that was committed is lost.",
	[ERR_TARGET_LOST] = "The server went away and did not come back within --retry-for. Go on with --resume once "
			    "it is there again.",
	[ERR_TARGET_REFUSED] = "The detail has the server's words. After mending the cause go on with --resume.",
	[ERR_TARGET_DATA] = "The server refused data that docrow held to be right, and it could not be pinned to a "
			    "document. The detail has "
			    "the server's words; please report it.",
	[ERR_TARGET_URI] = "An address is postgresql://user:password@host:port/database, or anything else that libpq "
			   "takes. Characters such "
			   "as @ : / % in user or password must be percent-encoded.",
	[ERR_TARGET_STATE] = "Schema docrow was made by another version of docrow, or was changed. Finish the run "
			     "with the version that began "
			     "it, or start anew.",
	[ERR_TARGET_CHANGED] = "Rows or tables of the run were changed while it was not finished, so its promises "
			       "cannot be kept. Start anew "
			       "with --clean.",
	[ERR_TARGET_MISMATCH] =
		"The tables are there already, and something about them would keep rows out: a column is "
		"missing or cannot hold the mapping's values, a key differs, rows are there, a right is missing. All "
		"of "
		"it is listed, with what to do about each. Nothing was changed. docs/existing-targets.md tells what "
		"is "
		"compared.",
	[ERR_INTERNAL] = "This is a bug in docrow. What was committed is right and the run can be resumed. Please "
			 "report the message and "
			 "the output of `docrow --version`.",
	[ERR_STOPPED] = "Nothing is lost: the command that was printed goes on with the run.",
};

static const char *const fault_advice[FAULT_COUNT] = {
	[FAULT_MISSING] = "Make the column nullable or give it `if_missing`: a literal, another path, or $id_time.",
	[FAULT_NULL] = "Make the column nullable or give it `if_null`.",
	[FAULT_TYPE] = "`accept` lets a column take values of other types that you know of (iso-string, epoch-ms, "
		       "numeric-string, "
		       "hex-id ...); `if_invalid: \"null\"` drops them and lists each as a finding.",
	[FAULT_RANGE] = "Take a wider type for the column (bigint, numeric), or `if_invalid`.",
	[FAULT_INEXACT] = "Take a type that holds it exactly (numeric, double precision, a timestamp with more "
			  "digits), or `if_invalid`.",
	[FAULT_LABEL] = "Add the label to the enum, translate it with `labels`, or use `fold_case: true`.",
	[FAULT_NUL] = "`encoding: strip` leaves the characters out, `encoding: replace` puts U+FFFD in their place.",
	[FAULT_UTF8] = "`encoding: replace` or `encoding: strip` mends such texts and counts them.",
	[FAULT_TOO_LONG] = "Take text or a longer varchar.",
	[FAULT_FORMAT] = "Correct the value in the source, or use `if_invalid`.",
	[FAULT_DUPLICATE_KEY] = "A key stands twice: in the document, or inside what goes into json or jsonb. "
				"`duplicate_keys: first` or `last`, at the column or in policies, says which value "
				"counts; an _id that stands twice is always a reject.",
	[FAULT_TOO_LARGE] = "PostgreSQL takes at most 1 GB a value; large arrays belong into a child table.",
	[FAULT_CORRUPT] = "The bytes are damaged. Look at the document in the source, or dump it again.",
	[FAULT_SHAPE] = "The column needs an array of the given depth. `accept: [scalar-array]` takes a single value "
			"as an array of one; "
			"jsonb takes any shape.",
	[FAULT_ELEMENT_NULL] = "The element is left out and counted; correct the array in the source if it matters.",
	[FAULT_ELEMENT_INVALID] = "The element is left out and listed; `accept` widens what the list holds.",
	[FAULT_DUPLICATE] =
		"The row with the lowest key stays, the others are listed here with the key of the one that stayed. "
		"`duplicates: first` or `last` chooses by rule instead.",
	[FAULT_ORPHAN] = "What it points to is not there. `if_orphan` decides: \"null\", keep, move_to, stub or "
			 "reject (the default).",
	[FAULT_REFUSED] = "The reject has the server's own words and SQLSTATE.",
	[FAULT_UNMAPPED] = "Name the field in the mapping, or use `unmapped: report` or `keep`.",
	[FAULT_EXISTS] =
		"`--append` met a row that has the same primary key, or the same in the unique index that the "
		"message names. `--on-conflict skip` or `replace` settles keys by rule; once the old row is mended "
		"or gone, `docrow retry` loads the document.",
	[FAULT_NO_ID] = "Every document needs an _id; only damaged dumps and views lack it.",
};

static void explain(FILE *out, const char *code, const char *title, const char *advice)
{
	struct buf b;

	buf_init(&b, 0);
	buf_printf(&b, "%s: %s\n\n", code, title);
	term_wrap(&b, advice, 0, 0, 78);
	fprintf(out, "%s\n", buf_cstr(&b));
	buf_free(&b);
}

bool message_explain(FILE *out, const char *code)
{
	for (int i = 1; i < ERR_CODE_COUNT; i++)
		if (strcasecmp(err_code_text((enum err_code)i), code) == 0) {
			explain(out, err_code_text((enum err_code)i), err_code_title((enum err_code)i),
				error_advice[i]);
			return true;
		}
	for (int i = 1; i < FAULT_COUNT; i++)
		if (strcasecmp(fault_code((enum fault)i), code) == 0 ||
		    strcmp(fault_name((enum fault)i), code) == 0) {
			struct buf title;
			buf_init(&title, 0);
			buf_printf(&title, "%s (%s)", fault_code((enum fault)i), fault_name((enum fault)i));
			explain(out, buf_cstr(&title), fault_sentence((enum fault)i), fault_advice[i]);
			buf_free(&title);
			return true;
		}
	return false;
}

static const char *family(enum err_kind kind)
{
	switch (kind) {
	case ERR_KIND_LIMIT:
		return "Limits (exit status 1)";
	case ERR_KIND_USAGE:
		return "Command line, settings, mapping, runs (exit status 2)";
	case ERR_KIND_SOURCE:
		return "Source (exit status 3)";
	case ERR_KIND_TARGET:
		return "Target (exit status 4)";
	case ERR_KIND_INTERNAL:
		return "Internal (exit status 5)";
	case ERR_KIND_STOPPED:
		return "Stopped (exit status 130)";
	default:
		return "";
	}
}

void messages_markdown(FILE *out)
{
	enum err_kind kind = ERR_KIND_NONE;

	fputs("# Messages\n\n"
	      "Made by `docrow help --messages`; `docrow help DR-4001` shows one entry.\n\n"
	      "Errors end the program, with the exit status of their family. Faults are about one document, array "
	      "element\n"
	      "or value: that one is rejected (or handled as the mapping says) and the run goes on.\n",
	      out);
	for (int i = 1; i < ERR_CODE_COUNT; i++) {
		enum err_code code = (enum err_code)i;
		if (err_code_kind(code) != kind) {
			kind = err_code_kind(code);
			fprintf(out, "\n## %s\n", family(kind));
		}
		fprintf(out, "\n### %s: %s\n%s\n", err_code_text(code), err_code_title(code), error_advice[i]);
	}
	fputs("\n## Faults\n\n"
	      "The name is what stands in `docrow.reject.fault` and what `docrow rejects --fault` takes.\n",
	      out);
	for (int i = 1; i < FAULT_COUNT; i++) {
		enum fault f = (enum fault)i;
		fprintf(out, "\n### %s `%s`: %s\n%s\n", fault_code(f), fault_name(f), fault_sentence(f),
			fault_advice[i]);
	}
}
