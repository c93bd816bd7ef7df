/* fault.c - names, codes and sentences of the data faults, from the one list in fault.h. */
#include "fault.h"

static const struct {
	const char *name, *code, *sentence;
} faults[FAULT_COUNT] = {[FAULT_OK] = {"ok", "", ""},
#define X(NAME, name, code, sentence) [FAULT_##NAME] = {name, code, sentence},
			 FAULTS(X)
#undef X
};

const char *fault_name(enum fault f)
{
	return (unsigned)f < FAULT_COUNT ? faults[f].name : "";
}

const char *fault_code(enum fault f)
{
	return (unsigned)f < FAULT_COUNT ? faults[f].code : "";
}

const char *fault_sentence(enum fault f)
{
	return (unsigned)f < FAULT_COUNT ? faults[f].sentence : "";
}
