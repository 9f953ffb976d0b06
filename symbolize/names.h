/*
 * symbolize/names.h - everything that knows names in one module, opened on its first question.
 *
 * Owns which files are asked (the module itself, mini debug info, separate debug file, dwz's common file) and
 * hangs on the module as module->names. The answers of one profile are kept by symbolizer.h.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_H
#define CPROF_SYMBOLIZE_NAMES_H

#include "base/buffer.h"
#include "symbolize/dwarf.h"
#include "symbolize/module.h"
#include "symbolize/symbols.h"

struct cprof_names {
	struct cprof_elf *self;  /* owned; reads the module's own image */
	struct cprof_elf *mini;  /* owned; NULL: none */
	struct cprof_elf *debug; /* owned; NULL: none */
	struct cprof_elf *alt;   /* owned; NULL: none */
	struct cprof_symbols symbols;
	char *plt_names;           /* owned; text of some of the symbols */
	struct cprof_dwarf *dwarf; /* owned; NULL: none */
	struct cprof_buffer trail; /* where files were looked for, a line each */
};

/*
 * The names of `module` (kind FILE or VDSO), opened on first use; what is broken or missing is left out and
 * noted in the trail. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_names_get(struct cprof_module *module, struct cprof_names **ret_names);

#endif
