/* fuzz_mapping.c - a mapping of any bytes: errors are told, or it compiles, shows itself and converts an empty
 * document.
 */
#include <stdio.h>
#include <stdlib.h>

#include "convert.h"
#include "fuzz.h"

static void use(const struct plan *p)
{
	static const uint8_t empty[] = {5, 0, 0, 0, 0};
	struct conv_where where;
	struct ledger *ledger = ledger_new();
	for (size_t i = 0; i < p->ncollections; i++) {
		struct conv *c = conv_new(p, (int)i, ledger);
		if (conv_document(c, empty, sizeof empty, &where) == FAULT_CORRUPT)
			abort();
		conv_free(c);
	}
	ledger_free(ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mapping *m;
	struct plan *p;
	struct err err;
	struct buf report, shown;
	buf_init(&report, 0);
	buf_init(&shown, 0);
	if (mapping_parse(&m, "fuzz", (const char *)data, size, &report, &err)) {
		if (plan_build(&p, m, &report, &err)) {
			mapping_show(&shown, p);
			mapping_show_phases(&shown, p);
			if (conv_check(p, CONV_NEWEST_SERVER, &report))
				use(p);
			plan_free(p);
		} else if (report.len == 0) {
			fprintf(stderr, "an error that is not told: %s\n", err.message);
			abort();
		}
		mapping_free(m);
	}
	buf_free(&report);
	buf_free(&shown);
	return 0;
}
