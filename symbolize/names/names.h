/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/names.h - everything that knows names in one module, opened on its first question.
 *
 * Owns which files are asked (the module itself, mini debug info, separate debug file, dwz's common file) and in
 * which order their answers count; hangs on the module as module->names. Each file is read when an address needs
 * it: one whose answer is in the cache on disk (symbol_cache.h) needs none. The answers of one profile are kept, and
 * their names demangled, by symbolizer.h.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_NAMES_H
#define CPROF_SYMBOLIZE_NAMES_NAMES_H

#include "cprof/buffer.h"
#include "cprof/module.h"
#include "symbolize/dwarf/dwarf.h"
#include "symbolize/elf/elf_digest.h"
#include "symbolize/names/go_table.h"
#include "symbolize/names/symbol_cache.h"
#include "symbolize/names/symbols.h"
#include "symbolize/process/debuginfod.h"

struct cprof_names_options {
	const char *cache_dir;               /* NULL: no cache on disk */
	struct cprof_debuginfod *debuginfod; /* asked for missing files; NULL: nobody is */
};

struct cprof_names {
	struct cprof_module *module; /* borrowed */
	struct cprof_elf *self;      /* owned; reads the module's own image; NULL: broken */
	char *loaded; /* owned; `self` is the file of this kernel module, relocated to where it is; NULL: it is not */
	struct cprof_elf *debug;   /* owned; NULL: none */
	struct cprof_elf *mini;    /* owned; NULL: none, or not read yet */
	struct cprof_elf *alt;     /* owned; NULL: none, or not read yet */
	struct cprof_buffer trail; /* where files were looked for, a line each */

	bool symbols_read, dwarf_read, go_read, prefetch_asked;
	struct cprof_symbols symbols;
	size_t n_symtab, n_dynsym, n_mini; /* symbols that came from each */
	char *plt_names;                   /* owned; text of some of the symbols */
	struct cprof_dwarf *dwarf;         /* owned; NULL: none */
	struct cprof_go_table *go;         /* owned; NULL: no Go program, or not needed */

	bool lacks; /* the last answer lacks what is there in a form that our readers do not know */
	bool keeps; /* answers are kept in memory, too */
	char *cache_dir;      /* owned; NULL: none */
	uint64_t fingerprint; /* of all files above, with `key` */
	struct cprof_content_key key;
	struct cprof_symbol_cache cache;
};

/*
 * The names of `module` (one with an image), opened on first use with `options`; what is broken or missing is left
 * out and noted in the trail. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_names_get(struct cprof_module *module,
				    const struct cprof_names_options *options,
				    struct cprof_names **ret_names);

/*
 * The frames at `file_addr`, innermost first, mangled names: at most `cap`, at least one. The last is the function that
 * was not inlined, and may have no name at all. Strings are borrowed from the names. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_names_frames(struct cprof_names *names, uint64_t file_addr,
				       struct cprof_dwarf_frame *frames, size_t cap, size_t *ret_n);

/*
 * The frames of all these addresses will be wanted: where the module's debug information is large, look them up now, in the order in which
 * that takes least memory, and keep them. What was borrowed before is gone then. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_names_learn(struct cprof_names *names, const uint64_t *file_addrs,
				      size_t n);

/*
 * Where the function around `file_addr` starts as far as unwind information tells, for functions without a name;
 * `file_addr` itself otherwise.
 */
uint64_t cprof_names_start(struct cprof_names *names, uint64_t file_addr);

/* The symbol that covers `file_addr`, NULL: none. Errors: NO_MEMORY. */
struct cprof_error *cprof_names_symbol(struct cprof_names *names, uint64_t file_addr,
				       const struct cprof_symbol **ret_symbol);

/* Read symbol tables and debug information now, for those who want to report on them. Errors: NO_MEMORY. */
struct cprof_error *cprof_names_need(struct cprof_names *names);

/*
 * The name of `file_addr` will be wanted: have what that takes decompressed meanwhile, unless it is known already. At
 * most `*left` bytes, which go off that.
 */
void cprof_names_prefetch(struct cprof_names *names, uint64_t file_addr,
			  struct cprof_prefetch *prefetch, uint64_t *left);

/*
 * All answers so far, for another process that has the same module open: as bytes, none where they are not all that could be had
 * (its debug information has parts that are missing); and in that process, in place of what it had kept. False: they are not of
 * this module, or no sound answers. What was borrowed before is gone then. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_names_give_answers(const struct cprof_names *names,
					     struct cprof_buffer *out);
bool cprof_names_take_answers(struct cprof_names *names, const uint8_t *bytes, size_t n);

/* Write new answers to the cache on disk, if there is one; *ret_saved: there were. Errors: as cprof_symbol_cache_save(). */
struct cprof_error *cprof_names_save(struct cprof_names *names, bool *ret_saved);

#endif
