/* errcodes.h - the one list of error codes: name, stable code, kind, title.
 *
 * Codes are never reused or renumbered; the first digit is the exit status' family (1 limits,
 * 2 settings and mapping, 3 source, 4 target, 5 internal). The manual's page of messages is made from this list.
 */
#ifndef DOCROW_ERRCODES_H
#define DOCROW_ERRCODES_H

#define ERR_CODES(X)                                                                                                 \
	X(MAX_REJECTS, "DR-1001", ERR_KIND_LIMIT, "too many rejects in one collection")                              \
	X(USAGE, "DR-2001", ERR_KIND_USAGE, "the command line is not understood")                                    \
	X(SETTING, "DR-2002", ERR_KIND_USAGE, "a setting has a value that it cannot have")                           \
	X(SETTING_MISSING, "DR-2003", ERR_KIND_USAGE, "a needed setting is missing")                                 \
	X(FILE, "DR-2004", ERR_KIND_USAGE, "a file cannot be read or written")                                       \
	X(MAPPING, "DR-2101", ERR_KIND_USAGE, "the mapping has errors")                                              \
	X(MAPPING_MISSING, "DR-2102", ERR_KIND_USAGE, "there is no mapping of that name")                            \
	X(COLLECTION_MISSING, "DR-2103", ERR_KIND_USAGE, "a mapped collection is not in the source")                 \
	X(NO_COLLECTIONS, "DR-2104", ERR_KIND_USAGE, "none of the mapped collections is in the source")              \
	X(WHERE, "DR-2105", ERR_KIND_USAGE, "a where of the mapping cannot be used with the source")                 \
	X(RUN_RUNNING, "DR-2201", ERR_KIND_USAGE, "another docrow is at work on this target")                        \
	X(RUN_UNFINISHED, "DR-2202", ERR_KIND_USAGE, "an earlier run on this target is not finished")                \
	X(RUN_NONE, "DR-2203", ERR_KIND_USAGE, "there is no run on this target")                                     \
	X(RUN_OTHER_MAPPING, "DR-2204", ERR_KIND_USAGE, "the run was started with another mapping")                  \
	X(RUN_OTHER_SOURCE, "DR-2205", ERR_KIND_USAGE, "the run was started from another source")                    \
	X(RUN_FINISHED, "DR-2206", ERR_KIND_USAGE, "the run is already finished")                                    \
	X(RUN_OTHER_OPTIONS, "DR-2207", ERR_KIND_USAGE, "the run was started with other options")                    \
	X(SOURCE_CONNECT, "DR-3001", ERR_KIND_SOURCE, "the source cannot be reached")                                \
	X(SOURCE_AUTH, "DR-3002", ERR_KIND_SOURCE, "the source refuses the user or the password")                    \
	X(SOURCE_PRIVILEGE, "DR-3003", ERR_KIND_SOURCE, "the user may not read what the mapping names")              \
	X(SOURCE_VERSION, "DR-3004", ERR_KIND_SOURCE, "the source's version is not supported")                       \
	X(SOURCE_READ, "DR-3005", ERR_KIND_SOURCE, "reading the source failed")                                      \
	X(SOURCE_SHARD, "DR-3006", ERR_KIND_SOURCE, "the source is one shard of a cluster")                          \
	X(SOURCE_URI, "DR-3007", ERR_KIND_SOURCE, "the source's address is not understood")                          \
	X(SOURCE_CORRUPT, "DR-3008", ERR_KIND_SOURCE, "the dump is cut short or damaged")                            \
	X(SOURCE_CHANGED, "DR-3009", ERR_KIND_SOURCE, "the source is no longer what it was at the start")            \
	X(TARGET_CONNECT, "DR-4001", ERR_KIND_TARGET, "the target cannot be reached")                                \
	X(TARGET_AUTH, "DR-4002", ERR_KIND_TARGET, "the target refuses the user or the password")                    \
	X(TARGET_PRIVILEGE, "DR-4003", ERR_KIND_TARGET, "the role lacks a privilege on the target")                  \
	X(TARGET_VERSION, "DR-4004", ERR_KIND_TARGET, "the target's version is not supported")                       \
	X(TARGET_ENCODING, "DR-4005", ERR_KIND_TARGET, "the target database is not UTF-8")                           \
	X(TARGET_SCHEMA, "DR-4006", ERR_KIND_TARGET, "schema docrow cannot be created")                              \
	X(TARGET_EXISTS, "DR-4007", ERR_KIND_TARGET, "a table or type of the mapping exists already")                \
	X(TARGET_DISK_FULL, "DR-4008", ERR_KIND_TARGET, "the target's disk is full")                                 \
	X(TARGET_LOST, "DR-4009", ERR_KIND_TARGET, "the connection to the target was lost")                          \
	X(TARGET_REFUSED, "DR-4010", ERR_KIND_TARGET, "the target refused a statement")                              \
	X(TARGET_DATA, "DR-4011", ERR_KIND_TARGET, "the target refused data")                                        \
	X(TARGET_URI, "DR-4012", ERR_KIND_TARGET, "the target's address is not understood")                          \
	X(TARGET_STATE, "DR-4013", ERR_KIND_TARGET, "the state in schema docrow is not as this version expects")     \
	X(TARGET_CHANGED, "DR-4014", ERR_KIND_TARGET, "tables of the run were changed by someone else")              \
	X(TARGET_MISMATCH, "DR-4015", ERR_KIND_TARGET, "the target's tables do not fit the mapping")                 \
	X(INTERNAL, "DR-5001", ERR_KIND_INTERNAL, "an internal check failed")                                        \
	X(STOPPED, "DR-1300", ERR_KIND_STOPPED, "stopped by a signal")

#endif
