/* versions.c - which libraries are in use: the versions at run time, since a bug report needs those. */
#include <jansson.h>
#include <libpq-fe.h>
#include <mongoc/mongoc.h>
#include <openssl/crypto.h>
#include <yaml.h>
#include <zlib.h>
#include <zstd.h>

#include "cli.h"

void versions_print(FILE *out)
{
	int pq = PQlibVersion();

	fprintf(out, "docrow %s\n", DOCROW_VERSION);
	fprintf(out, "libpq %d.%d\n", pq / 10000, pq % 10000);
	fprintf(out, "libmongoc %s\n", mongoc_get_version());
	fprintf(out, "libbson %s\n", bson_get_version());
	fprintf(out, "libyaml %s\n", yaml_get_version_string());
	fprintf(out, "jansson %s\n", jansson_version_str());
	fprintf(out, "zlib %s\n", zlibVersion());
	fprintf(out, "libzstd %s\n", ZSTD_versionString());
	fprintf(out, "%s\n", OpenSSL_version(OPENSSL_VERSION));
}
