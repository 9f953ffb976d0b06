/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/printable_text.h"
#include "symbolize/dwarf/dwarf_file.h"
#include "symbolize/elf/eh_index.h"
#include "symbolize/names/plt.h"
#include "symbolize/process/debug_file.h"

static void names_free(void *data)
{
	struct cprof_names *names = data;
	cprof_go_table_free(names->go);
	cprof_dwarf_free(names->dwarf);
	cprof_symbols_deinit(&names->symbols);
	cprof_symbol_cache_deinit(&names->cache);
	cprof_elf_free(names->alt);
	cprof_elf_free(names->debug);
	cprof_elf_free(names->mini);
	cprof_elf_free(names->self);
	free(names->plt_names);
	free(names->loaded);
	free(names->cache_dir);
	cprof_buffer_deinit(&names->trail);
	free(names);
}

/* ---- files ---- */

/*
 * What the answers depend on: everything in these files that names are made of. A build-id says nothing of that: whoever
 * copies a program can write other names into it. False where that cannot be told.
 */
static bool take_fingerprint(struct cprof_names *names, uint64_t *ret_print)
{
	struct cprof_elf *const files[] = { names->self, names->debug, names->alt };
	*ret_print = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		uint64_t digest = 0;
		if (files[i] && !cprof_elf_digest(files[i], &names->key, &digest))
			return false;
		*ret_print = cprof_hash_mix(*ret_print, digest);
	}
	return true;
}

/* Only what debug information says is worth keeping: see cprof_names_save(). */
static bool is_worth_it(const struct cprof_names *names)
{
	return names->debug || (names->self && cprof_elf_has_section(names->self, ".debug_info"));
}

static struct cprof_error *load_cache(struct cprof_names *names, const char *dir)
{
	char hex[2 * CPROF_BUILD_ID_MAX + 1];
	/* Without a build-id there is no name for the file. */
	if (!dir || names->module->build_id_len < 8 || !is_worth_it(names))
		return NULL;
	struct cprof_error *err = cprof_cache_dir_key(dir, &names->key);
	if (err || !take_fingerprint(names, &names->fingerprint))
		return err;
	names->cache_dir = strdup(dir);
	cprof_build_id_hex(names->module->build_id, names->module->build_id_len, hex);
	return names->cache_dir ? cprof_symbol_cache_load(&names->cache, names->cache_dir, hex,
							  names->fingerprint)
				: cprof_error_no_memory();
}

static struct cprof_error *open_files(struct cprof_names *names,
				      const struct cprof_names_options *options)
{
	struct cprof_module *module = names->module;
	struct cprof_debug_roots roots = { .target_root = module->root,
					   .module_path = module->path,
					   .debuginfod = options->debuginfod,
					   .only_uid = module->only_uid,
					   .only_gid = module->only_gid };
	struct cprof_error *err = cprof_elf_open(module->image, true, &names->self);
	if (!err && !cprof_elf_has_section(names->self, ".debug_info"))
		err = cprof_debug_file_find(names->self, &roots, &names->trail, &names->debug);
	/* Names are in the common parts, too. */
	if (!err)
		err = cprof_debug_file_alt(names->debug ? names->debug : names->self, &roots,
					   &names->trail, &names->alt);
	return err;
}

struct cprof_error *cprof_names_get(struct cprof_module *module,
				    const struct cprof_names_options *options,
				    struct cprof_names **ret_names)
{
	if (!module->names.data) {
		struct cprof_names *names = calloc(1, sizeof(*names));
		if (!names)
			return cprof_error_no_memory();
		names->module = module;
		struct cprof_error *err = cprof_symbol_cache_init(&names->cache);
		if (!err)
			err = open_files(names, options);
		if (err && err->code == CPROF_ERR_NO_MEMORY) {
			names_free(names);
			return err;
		}
		if (err)
			cprof_printable_put_line(&names->trail, module->path, err->message);
		cprof_error_free(err);
		cprof_error_free(load_cache(names, options->cache_dir));
		module->names.data = names;
		module->names.free = names_free;
	}
	*ret_names = module->names.data;
	return NULL;
}

/* ---- symbol tables ---- */

static struct cprof_error *add_table(struct cprof_names *names, struct cprof_elf *elf,
				     uint32_t type, size_t *ret_added)
{
	const struct cprof_section *table = elf ? cprof_elf_section_of_type(elf, type) : NULL;
	*ret_added = 0;
	return table ? cprof_symbols_add_table(&names->symbols, elf, table, ret_added) : NULL;
}

/*
 * The fullest table wins and holds what the others have: .symtab of the debug file, else of the module, else
 * mini debug info together with .dynsym (it leaves out what is there).
 */
static struct cprof_error *read_symbols(struct cprof_names *names)
{
	names->symbols_read = true;
	struct cprof_error *err = add_table(names, names->debug, SHT_SYMTAB, &names->n_symtab);
	if (!err && !names->n_symtab)
		err = add_table(names, names->self, SHT_SYMTAB, &names->n_symtab);
	if (!err && !names->n_symtab && names->self) {
		err = cprof_debug_file_unpack(names->self, &names->mini);
		if (!err)
			err = add_table(names, names->mini, SHT_SYMTAB, &names->n_mini);
		if (!err)
			err = add_table(names, names->self, SHT_DYNSYM, &names->n_dynsym);
	}
	if (!err && names->self)
		err = cprof_plt_add(names->self, &names->plt_names, &names->symbols);
	return err ? err : cprof_symbols_sort(&names->symbols);
}

static struct cprof_error *need_symbols(struct cprof_names *names)
{
	return names->symbols_read ? NULL : read_symbols(names);
}

struct cprof_error *cprof_names_symbol(struct cprof_names *names, uint64_t file_addr,
				       const struct cprof_symbol **ret_symbol)
{
	struct cprof_error *err = need_symbols(names);
	if (!err)
		*ret_symbol = cprof_symbols_find(&names->symbols, file_addr);
	return err;
}

uint64_t cprof_names_start(struct cprof_names *names, uint64_t file_addr)
{
	return names->self ? cprof_eh_index_start(names->self, file_addr) : file_addr;
}

/* ---- debug information ---- */

static struct cprof_error *read_dwarf(struct cprof_names *names)
{
	names->dwarf_read = true;
	if (!names->self)
		return NULL;
	struct cprof_elf *holder = names->debug ? names->debug : names->self;
	struct cprof_error *err = cprof_dwarf_new(holder, names->alt, &names->dwarf);
	if (!err && names->dwarf)
		cprof_dwarf_look_in(names->dwarf, names->module->root, names->module->path);
	return err;
}

/* Read when an address is not in the debug information: that may be of C code alone, linked to Go's. */
static struct cprof_error *need_go(struct cprof_names *names)
{
	if (names->go_read || !names->self)
		return NULL;
	names->go_read = true;
	return cprof_go_table_new(names->self, &names->go);
}

static struct cprof_error *need_dwarf(struct cprof_names *names)
{
	return names->dwarf_read ? NULL : read_dwarf(names);
}

struct cprof_error *cprof_names_need(struct cprof_names *names)
{
	struct cprof_error *err = need_symbols(names);
	if (!err)
		err = need_dwarf(names);
	return err || names->dwarf ? err : need_go(names);
}

void cprof_names_prefetch(struct cprof_names *names, uint64_t file_addr,
			  struct cprof_prefetch *prefetch, uint64_t *left)
{
	struct cprof_dwarf_frame frame;
	struct cprof_elf *holder = names->debug ? names->debug : names->self;
	if (!holder || names->dwarf_read || names->prefetch_asked ||
	    cprof_symbol_cache_get(&names->cache, file_addr, &frame, 1))
		return;
	names->prefetch_asked = true;
	cprof_dwarf_file_prefetch(holder, prefetch, left);
}

/* ---- one address ---- */

/*
 * The function that was not inlined is in the symbol table too, and there with its linkage name also where
 * the debug information leaves that out (functions with internal linkage, -gline-tables-only).
 */
static void prefer_symbol(const struct cprof_names *names, uint64_t file_addr,
			  struct cprof_dwarf_frame *frame)
{
	const struct cprof_symbol *symbol = cprof_symbols_find(&names->symbols, file_addr);
	bool nameless = !*frame->name && !*frame->linkage_name;
	if (symbol && (nameless || (symbol->rank & CPROF_SYMBOL_FUNCTION)))
		frame->linkage_name = symbol->name;
}

static struct cprof_error *ask_go(struct cprof_names *names, uint64_t file_addr,
				  struct cprof_dwarf_frame *frame)
{
	*frame = (struct cprof_dwarf_frame){ .name = "", .linkage_name = "", .file = "" };
	struct cprof_error *err = need_go(names);
	if (names->go)
		cprof_go_table_find(names->go, file_addr, frame);
	return err;
}

static bool was_left_out(const struct cprof_elf *elf)
{
	return elf && elf->image->account && elf->image->account->over;
}

/* Debug information that is there and could not be read at all, or not for the last answer. */
static bool lacks_form(const struct cprof_names *names)
{
	const struct cprof_elf *holder = names->debug ? names->debug : names->self;
	if (names->dwarf)
		return cprof_dwarf_lacks(names->dwarf);
	return holder && !was_left_out(holder) && cprof_elf_has_section(holder, ".debug_info");
}

struct cprof_error *cprof_names_frames(struct cprof_names *names, uint64_t file_addr,
				       struct cprof_dwarf_frame *frames, size_t cap, size_t *ret_n)
{
	size_t n = cprof_symbol_cache_get(&names->cache, file_addr, frames, cap);
	*ret_n = n;
	names->lacks = false;
	if (n)
		return NULL;
	struct cprof_error *err = cprof_names_need(names);
	if (err)
		return err;
	if (names->dwarf)
		n = cprof_dwarf_frames(names->dwarf, file_addr, frames, cap);
	names->lacks = lacks_form(names);
	bool by_go = !n;
	if (by_go) {
		err = ask_go(names, file_addr, &frames[0]);
		n = 1;
	}
	if (err)
		return err;
	prefer_symbol(names, file_addr, &frames[n - 1]);
	*ret_n = n;
	/* What Go's table says rests on data that is not in the fingerprint. Others may know more than an answer that lacks something. */
	return (names->cache_dir || names->keeps) && !(by_go && names->go) && !names->lacks
		       ? cprof_symbol_cache_put(&names->cache, file_addr, frames, n)
		       : NULL;
}

/* Without all its parts names are missing that may be there next time; so with a larger budget. */
static bool are_whole(const struct cprof_names *names)
{
	return !(names->dwarf && cprof_dwarf_met_split(names->dwarf)) &&
	       !was_left_out(names->self) && !was_left_out(names->debug) &&
	       !was_left_out(names->alt);
}

struct cprof_error *cprof_names_give_answers(const struct cprof_names *names,
					     struct cprof_buffer *out)
{
	return are_whole(names) ? cprof_symbol_cache_compose(&names->cache, names->fingerprint, out)
				: NULL;
}

bool cprof_names_take_answers(struct cprof_names *names, const uint8_t *bytes, size_t n)
{
	return cprof_symbol_cache_parse(&names->cache, bytes, n, names->fingerprint);
}

struct cprof_error *cprof_names_save(struct cprof_names *names, bool *ret_saved)
{
	*ret_saved = false;
	char key[2 * CPROF_BUILD_ID_MAX + 1];
	/* Symbol tables alone are read faster than a cache of them would be worth. */
	if (!names->cache_dir || !names->dwarf || names->cache.n_answers == names->cache.n_saved)
		return NULL;
	if (!are_whole(names))
		return NULL;
	/* Split parts parts are proved by an id alone, and are not in the fingerprint. */
	if (cprof_dwarf_used_split(names->dwarf))
		return NULL;
	if (!names->alt &&
	    cprof_elf_has_section(names->debug ? names->debug : names->self, ".gnu_debugaltlink"))
		return NULL;
	/* What was read must be what the fingerprint is of: the files may have been changed meanwhile. */
	uint64_t print;
	if (!take_fingerprint(names, &print) || print != names->fingerprint)
		return NULL;
	cprof_build_id_hex(names->module->build_id, names->module->build_id_len, key);
	struct cprof_error *err =
		cprof_symbol_cache_save(&names->cache, names->cache_dir, key, names->fingerprint);
	if (err)
		return err;
	names->cache.n_saved = names->cache.n_answers;
	*ret_saved = true;
	return NULL;
}
