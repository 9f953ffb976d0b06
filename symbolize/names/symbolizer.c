/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/symbolizer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/printable_text.h"
#include "cprof/hash.h"
#include "cprof/intern.h"
#include "symbolize/names/jit_names.h"
#include "symbolize/names/kernel_names.h"
#include "symbolize/names/names.h"
#include "symbolize/names/names_library.h"
#include "symbolize/names/place_name.h"
#include "symbolize/names/plt.h"
#include "symbolize/names/symbolizer_names.h"

#define FRAMES_MAX                                                                                 \
	64 /* at one address; of a deeper nest the innermost are kept, and the function itself */

#define NAME_BYTES    4096  /* of a name or path that is kept; more is cut */
#define MANGLED_BYTES 16384 /* a longer symbol is not taken apart */
#define CUT_MARK      "..."
#define NOTES_MAX     16 /* files named as left out; a target may map tens of thousands */

struct answer {
	struct cprof_symbol_frame *frames; /* owned */
	size_t n;
};

struct cprof_symbolizer {
	const struct cprof_symbolizer_options *options;
	struct cprof_modules *modules;
	struct cprof_intern strings;
	struct cprof_map64 demangled;  /* string id of a symbol -> string id of its name */
	struct cprof_map64 *by_module; /* owned; [module id]: file address -> index of answer + 1 */
	size_t n_by_module;
	struct cprof_map64 elsewhere; /* run-time addresses outside modules, kernel addresses */
	struct answer *answers;       /* owned */
	size_t n_answers, cap_answers;
	struct cprof_jit_names jit;
	struct cprof_debuginfod debuginfod;
	struct cprof_kernel_names kernel;
	struct cprof_names_library library;
	size_t library_told; /* bytes of its notes that are among ours */
	struct cprof_buffer notes;
};

struct cprof_error *cprof_symbolizer_new(const struct cprof_symbolizer_options *options,
					 struct cprof_modules *modules,
					 struct cprof_symbolizer **ret_symbolizer)
{
	struct cprof_symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));
	if (!symbolizer)
		return cprof_error_no_memory();
	symbolizer->options = options;
	symbolizer->modules = modules;
	cprof_budget_start_time(&modules->budget);
	symbolizer->debuginfod.say = options->say;
	symbolizer->debuginfod.say_ctx = options->say_ctx;
	symbolizer->kernel.cache_dir = options->cache_dir;
	symbolizer->kernel.text = options->kernel_text;
	symbolizer->kernel.debug.modules = modules;
	symbolizer->kernel.debug.debuginfod = options->debuginfod ? &symbolizer->debuginfod : NULL;
	symbolizer->library.modules = modules;
	symbolizer->library.way = options->way;
	symbolizer->library.from = cprof_symbolizer_names_options(symbolizer);
	struct cprof_error *err = cprof_intern_init(&symbolizer->strings);
	if (err) {
		free(symbolizer);
		return err;
	}
	*ret_symbolizer = symbolizer;
	return NULL;
}

/* A cache that cannot be written costs time in the next profile and nothing in this one. */
static void save_caches(struct cprof_symbolizer *symbolizer)
{
	bool any = false, saved = false;
	for (size_t i = 0; i < symbolizer->modules->n; i++) {
		struct cprof_names *names = symbolizer->modules->all[i]->names.data;
		if (names)
			cprof_error_free(cprof_names_save(names, &saved));
		any |= saved;
		saved = false;
	}
	if (any)
		cprof_symbol_cache_trim(symbolizer->options->cache_dir);
}

void cprof_symbolizer_free(struct cprof_symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	if (symbolizer->options->cache_dir)
		save_caches(symbolizer);
	for (size_t i = 0; i < symbolizer->n_by_module; i++)
		cprof_map64_deinit(&symbolizer->by_module[i]);
	free(symbolizer->by_module);
	for (size_t i = 0; i < symbolizer->n_answers; i++)
		free(symbolizer->answers[i].frames);
	free(symbolizer->answers);
	cprof_map64_deinit(&symbolizer->elsewhere);
	cprof_map64_deinit(&symbolizer->demangled);
	cprof_jit_names_deinit(&symbolizer->jit);
	cprof_debuginfod_deinit(&symbolizer->debuginfod);
	cprof_kernel_names_deinit(&symbolizer->kernel);
	cprof_names_library_deinit(&symbolizer->library);
	cprof_buffer_deinit(&symbolizer->notes);
	cprof_intern_deinit(&symbolizer->strings);
	free(symbolizer);
}

/* Once for each module, however many addresses it concerns. */
static void note(struct cprof_symbolizer *symbolizer, const char *path, const char *text)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	cprof_printable_put_line(&line, path, text);
	if (!strstr(cprof_buffer_text(&symbolizer->notes), cprof_buffer_text(&line)))
		cprof_buffer_puts(&symbolizer->notes, cprof_buffer_text(&line));
}

/* Files of which not everything was read. The lines name each once, however much was left out. */
static void note_budget(struct cprof_symbolizer *symbolizer)
{
	const struct cprof_budget *budget = &symbolizer->modules->budget;
	size_t told = 0;
	for (size_t i = 0; i < budget->n && told < NOTES_MAX; i++) {
		if (!budget->accounts[i]->over)
			continue;
		told++;
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_buffer_puts(&text, "it is left out where reading it takes ");
		cprof_account_describe(budget->accounts[i], &text);
		cprof_buffer_puts(&text, "; names are missing");
		note(symbolizer, budget->accounts[i]->name, cprof_buffer_text(&text));
	}
	if (budget->n_over > told)
		cprof_buffer_printf(&symbolizer->notes, "%zu more files are left out likewise\n",
				    budget->n_over - told);
}

const char *cprof_symbolizer_notes(struct cprof_symbolizer *symbolizer)
{
	for (size_t i = 0; i < symbolizer->modules->n; i++) {
		const struct cprof_module *module = symbolizer->modules->all[i];
		const struct cprof_names *names = module->names.data;
		if (names && names->dwarf && cprof_dwarf_met_split(names->dwarf))
			note(symbolizer, module->path,
			     "its debug information is in .dwo files that were not found where it was compiled, "
			     "nor in a .dwp beside it: functions and lines are named, inlined calls are not");
	}
	note_budget(symbolizer);
	cprof_buffer_puts(&symbolizer->notes,
			  cprof_symbolizer_library_notes(symbolizer) + symbolizer->library_told);
	symbolizer->library_told = symbolizer->library.notes.len;
	return cprof_buffer_text(&symbolizer->notes);
}

const char *cprof_symbolizer_library_notes(const struct cprof_symbolizer *symbolizer)
{
	return cprof_buffer_text(&symbolizer->library.notes);
}

/* ---- strings ---- */

/* A text's number. What is longer than any name is cut and says so: files hold names of megabytes, and of any number. */
static struct cprof_error *number(struct cprof_symbolizer *symbolizer, const char *text,
				  uint32_t *ret_id)
{
	char cut[NAME_BYTES];
	size_t len = 0;
	while (len < NAME_BYTES && text[len])
		len++;
	if (len < NAME_BYTES)
		return cprof_intern_bytes(&symbolizer->strings, text, len, ret_id);
	memcpy(cut, text, sizeof(cut));
	memcpy(cut + sizeof(cut) - strlen(CUT_MARK), CUT_MARK, strlen(CUT_MARK));
	return cprof_intern_bytes(&symbolizer->strings, cut, sizeof(cut), ret_id);
}

static struct cprof_error *keep(struct cprof_symbolizer *symbolizer, const char *text,
				const char **ret_text)
{
	uint32_t id;
	struct cprof_error *err = number(symbolizer, text, &id);
	if (!err)
		*ret_text = cprof_intern_get(&symbolizer->strings, id);
	return err;
}

/* "ns::f<int>()" from what the linker knows it as. */
static struct cprof_error *demangle(struct cprof_symbolizer *symbolizer, const char *symbol,
				    uint32_t *ret_id)
{
	enum cprof_demangle form = symbolizer->options->demangle;
	CPROF_AUTO(free) char *text = NULL;
	if (strnlen(symbol, MANGLED_BYTES) < MANGLED_BYTES)
		text = cprof_demangle(symbol, form);
	if (!text && strnlen(symbol, MANGLED_BYTES) < MANGLED_BYTES)
		text = cprof_demangle_plain(symbol, form);
	return number(symbolizer, text && *text ? text : symbol, ret_id);
}

/* The name to show for a symbol, demangled once however often it is met. */
static struct cprof_error *show_name(struct cprof_symbolizer *symbolizer, const char *symbol,
				     const char **ret_name, const char **ret_system_name)
{
	uint32_t symbol_id, name_id;
	struct cprof_error *err = number(symbolizer, symbol, &symbol_id);
	if (err)
		return err;
	*ret_system_name = cprof_intern_get(&symbolizer->strings, symbol_id);
	bool is_new;
	uint64_t *known = cprof_map64_put(&symbolizer->demangled, symbol_id, &is_new);
	if (!known)
		return cprof_error_no_memory();
	if (is_new) {
		err = demangle(symbolizer, symbol, &name_id);
		if (err)
			return err;
		*known = name_id;
	}
	*ret_name = cprof_intern_get(&symbolizer->strings, (uint32_t)*known);
	return NULL;
}

/* ---- answers ---- */

static struct cprof_error *store(struct cprof_symbolizer *symbolizer,
				 const struct cprof_symbol_frame *frames, size_t n, uint64_t *place)
{
	if (!CPROF_ARRAY_ROOM(symbolizer->answers, symbolizer->n_answers, symbolizer->cap_answers,
			      1))
		return cprof_error_no_memory();
	struct cprof_symbol_frame *copy = malloc((n ? n : 1) * sizeof(*frames));
	if (!copy)
		return cprof_error_no_memory();
	memcpy(copy, frames, n * sizeof(*frames));
	symbolizer->answers[symbolizer->n_answers++] = (struct answer){ copy, n };
	*place = symbolizer->n_answers;
	return NULL;
}

static void give_answer(const struct cprof_symbolizer *symbolizer, uint64_t index,
			const struct cprof_symbol_frame **ret_frames, size_t *ret_n)
{
	const struct answer *answer = &symbolizer->answers[index - 1];
	*ret_frames = answer->frames;
	*ret_n = answer->n;
}

/* ---- one address ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

/* A name as it is. */
static struct cprof_error *keep_name(struct cprof_symbolizer *symbolizer, const char *name,
				     struct cprof_symbol_frame *frame)
{
	struct cprof_error *err = keep(symbolizer, name, &frame->name);
	frame->system_name = frame->name;
	return err;
}

/* "libc.so.6+0x1234": no name, but the place can be found again. */
static struct cprof_error *name_by_place(struct cprof_symbolizer *symbolizer, const char *module,
					 uint64_t offset, struct cprof_symbol_frame *frame)
{
	char text[300];
	snprintf(text, sizeof(text), "%.255s+0x%" PRIx64, module, offset);
	return keep_name(symbolizer, text, frame);
}

/* "ns::f@plt": an entry of the linkage table is named by what it calls, of which the first `len` bytes are the symbol. */
static struct cprof_error *show_entry(struct cprof_symbolizer *symbolizer, const char *symbol,
				      size_t len, struct cprof_symbol_frame *frame)
{
	CPROF_AUTO(free) char *plain = strndup(symbol, len);
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const char *name, *unused;
	if (!plain)
		return cprof_error_no_memory();
	struct cprof_error *err = show_name(symbolizer, plain, &name, &unused);
	if (err)
		return err;
	cprof_buffer_printf(&text, "%s" CPROF_PLT_SUFFIX, name);
	err = keep(symbolizer, cprof_buffer_text(&text), &frame->name);
	return err ? err : keep(symbolizer, symbol, &frame->system_name);
}

/* glibc's own symbol table writes "timer_delete@@GLIBC_2.34": the version is no part of the name. */
static struct cprof_error *show_symbol(struct cprof_symbolizer *symbolizer, const char *symbol,
				       struct cprof_symbol_frame *frame)
{
	const char *version = memchr(symbol + 1, '@', strnlen(symbol + 1, MANGLED_BYTES));
	if (!version)
		return show_name(symbolizer, symbol, &frame->name, &frame->system_name);
	if (strcmp(version, CPROF_PLT_SUFFIX) == 0)
		return show_entry(symbolizer, symbol, (size_t)(version - symbol), frame);
	CPROF_AUTO(free) char *plain = strndup(symbol, (size_t)(version - symbol));
	if (!plain)
		return cprof_error_no_memory();
	return show_name(symbolizer, plain, &frame->name, &frame->system_name);
}

static struct cprof_error *frame_from_dwarf(struct cprof_symbolizer *symbolizer,
					    const struct cprof_dwarf_frame *from,
					    struct cprof_symbol_frame *frame)
{
	struct cprof_error *err = keep(symbolizer, from->file, &frame->file);
	frame->line = from->line;
	frame->column = from->column;
	frame->start_line = from->start_line;
	if (err || (!*from->linkage_name && !*from->name))
		return err;
	return show_symbol(symbolizer, *from->linkage_name ? from->linkage_name : from->name,
			   frame);
}

struct cprof_names_options cprof_symbolizer_names_options(struct cprof_symbolizer *symbolizer)
{
	return (struct cprof_names_options){
		.cache_dir = symbolizer->options->cache_dir,
		.debuginfod = symbolizer->options->debuginfod ? &symbolizer->debuginfod : NULL,
	};
}

struct cprof_error *cprof_symbolizer_expect(struct cprof_symbolizer *symbolizer,
					    struct cprof_module *module, const uint64_t *file_addrs,
					    size_t n)
{
	const struct cprof_names_options from = cprof_symbolizer_names_options(symbolizer);
	struct cprof_names *names;
	struct cprof_error *err = cprof_names_get(module, &from, &names);
	return err ? err : cprof_names_learn(names, file_addrs, n);
}

static struct cprof_error *ask_module(struct cprof_symbolizer *symbolizer,
				      struct cprof_module *module, uint64_t file_addr,
				      uint64_t bias, struct cprof_symbol_frame *frames,
				      size_t *ret_n)
{
	const struct cprof_symbolizer_options *options = symbolizer->options;
	const struct cprof_names_options from = cprof_symbolizer_names_options(symbolizer);
	struct cprof_dwarf_frame found[FRAMES_MAX];
	struct cprof_names *names;
	size_t n = 0, first = 0;
	struct cprof_error *err = cprof_names_get(module, &from, &names);
	if (!err)
		err = cprof_names_library_frames(&symbolizer->library, names, file_addr, bias,
						 found, FRAMES_MAX, &n);
	if (err)
		return err;
	if (options->no_inlines) {
		/* The line is that of the address, wherever its text came from. */
		first = n - 1;
		found[first].file = found[0].file;
		found[first].line = found[0].line;
		found[first].column = found[0].column;
	}
	for (size_t i = first; i < n && !err; i++) {
		if (options->no_lines)
			found[i] =
				(struct cprof_dwarf_frame){ .name = found[i].name,
							    .linkage_name = found[i].linkage_name,
							    .file = "" };
		err = frame_from_dwarf(symbolizer, &found[i], &frames[i - first]);
		if (!err && !frames[i - first].name && i + 1 < n)
			err = keep(symbolizer, "[inlined]", &frames[i - first].name);
	}
	*ret_n = n - first;
	if (!err && !frames[n - first - 1].name)
		err = name_by_place(symbolizer, base_name(module->path),
				    cprof_names_start(names, file_addr), &frames[n - first - 1]);
	return err;
}

static struct cprof_error *grow_modules(struct cprof_symbolizer *symbolizer, uint32_t id)
{
	if (id < symbolizer->n_by_module)
		return NULL;
	size_t n = symbolizer->modules->n > id ? symbolizer->modules->n : id + 1;
	void *maps = realloc(symbolizer->by_module, n * sizeof(*symbolizer->by_module));
	if (!maps)
		return cprof_error_no_memory();
	symbolizer->by_module = maps;
	for (size_t i = symbolizer->n_by_module; i < n; i++)
		symbolizer->by_module[i] = (struct cprof_map64){ 0 };
	symbolizer->n_by_module = n;
	return NULL;
}

static void clear(struct cprof_symbol_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		frames[i] = (struct cprof_symbol_frame){ .file = "" };
}

/* An address that lies in no ELF image that we can read. */
static struct cprof_error *ask_elsewhere(struct cprof_symbolizer *symbolizer,
					 const struct cprof_maps *maps, const struct cprof_map *map,
					 uint64_t addr, struct cprof_symbol_frame *frame)
{
	struct cprof_jit_name name = { 0 };
	char region[CPROF_JIT_REGION_MAX];
	if (!map)
		return name_by_place(symbolizer, "[unknown]", addr, frame);
	struct cprof_error *err = maps->pid ? cprof_jit_names_find(&symbolizer->jit, maps,
								   &symbolizer->modules->budget,
								   addr, &symbolizer->notes, &name)
					    : NULL;
	if (err)
		return err;
	if (name.text && name.is_symbol)
		return show_name(symbolizer, name.text, &frame->name, &frame->system_name);
	if (name.text)
		return keep_name(symbolizer, name.text, frame);
	if (map->module && map->module->kind == CPROF_MODULE_OPAQUE && map->module->why)
		note(symbolizer, map->path, map->module->why);
	if (cprof_jit_names_region(map, region))
		return keep_name(symbolizer, region, frame);
	const char *path = map->path[0] ? base_name(map->path) : "[anon]";
	return name_by_place(symbolizer, path, addr - map->start + map->offset, frame);
}

/* `bias` is what the process has been given the module above the addresses of its file, which are the same for all processes. */
static struct cprof_error *
name_in_module(struct cprof_symbolizer *symbolizer, struct cprof_module *module, uint64_t file_addr,
	       uint64_t bias, const struct cprof_symbol_frame **ret_frames, size_t *ret_n)
{
	struct cprof_error *err = grow_modules(symbolizer, module->id);
	if (err)
		return err;
	uint64_t *place = cprof_map64_put(&symbolizer->by_module[module->id], file_addr, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!*place) {
		struct cprof_symbol_frame frames[FRAMES_MAX];
		size_t n;
		clear(frames, FRAMES_MAX);
		err = ask_module(symbolizer, module, file_addr, bias, frames, &n);
		if (!err)
			err = store(symbolizer, frames, n, place);
		if (err)
			return err;
	}
	give_answer(symbolizer, *place, ret_frames, ret_n);
	return NULL;
}

struct cprof_error *cprof_symbolizer_file_addr(struct cprof_symbolizer *symbolizer,
					       struct cprof_module *module, uint64_t file_addr,
					       const struct cprof_symbol_frame **ret_frames,
					       size_t *ret_n)
{
	return name_in_module(symbolizer, module, file_addr, 0, ret_frames, ret_n);
}

struct cprof_error *cprof_symbolizer_addr(struct cprof_symbolizer *symbolizer,
					  const struct cprof_maps *maps, struct cprof_map *map,
					  uint64_t addr,
					  const struct cprof_symbol_frame **ret_frames,
					  size_t *ret_n)
{
	struct cprof_module *module = map ? map->module : NULL;
	uint64_t file_addr;
	if (map && !module) {
		struct cprof_error *err =
			cprof_modules_get(symbolizer->modules, maps, map, &module);
		if (err)
			return err;
	}
	if (module && module->kind == CPROF_MODULE_MAPPED)
		note(symbolizer, map->path, module->why);
	if (module && cprof_module_file_addr(module, map, addr, &file_addr))
		return name_in_module(symbolizer, module, file_addr, addr - file_addr, ret_frames,
				      ret_n);
	/* Outside modules an address means something only within its process and mapping. */
	uint64_t where = cprof_hash_mix((uint64_t)maps->pid, map ? map->id + 1 : 0);
	uint64_t *place =
		cprof_map64_put(&symbolizer->elsewhere, cprof_hash_mix(where, addr), NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!*place) {
		struct cprof_symbol_frame frame = { .file = "" };
		struct cprof_error *err = ask_elsewhere(symbolizer, maps, map, addr, &frame);
		if (!err)
			err = store(symbolizer, &frame, 1, place);
		if (err)
			return err;
	}
	give_answer(symbolizer, *place, ret_frames, ret_n);
	return NULL;
}

/* ---- the kernel ---- */

/* By its debug information; *ret_n 0: there is none that names `addr`. */
static struct cprof_error *ask_kernel_debug(struct cprof_symbolizer *symbolizer, uint64_t addr,
					    const struct cprof_symbol_frame **ret_frames,
					    size_t *ret_n)
{
	struct cprof_module *module;
	uint64_t file_addr;
	*ret_n = 0;
	struct cprof_error *err = cprof_kernel_names_place(&symbolizer->kernel, addr,
							   &symbolizer->notes, &module, &file_addr);
	if (!err && module)
		err = name_in_module(symbolizer, module, file_addr, addr - file_addr, ret_frames,
				     ret_n);
	if (!err && *ret_n && cprof_place_name_is((*ret_frames)[*ret_n - 1].name))
		*ret_n = 0;
	return err;
}

struct cprof_error *cprof_symbolizer_kernel(struct cprof_symbolizer *symbolizer, uint64_t addr,
					    const struct cprof_symbol_frame **ret_frames,
					    size_t *ret_n)
{
	struct cprof_symbol_frame frame = { .file = "" };
	struct cprof_kernel_symbol symbol;
	struct cprof_error *err = ask_kernel_debug(symbolizer, addr, ret_frames, ret_n);
	if (err || *ret_n)
		return err;
	err = cprof_kernel_names_find(&symbolizer->kernel, addr, &symbolizer->notes, &symbol);
	uint64_t *place = err ? NULL : cprof_map64_put(&symbolizer->elsewhere, addr, NULL);
	if (!place)
		return err ? err : cprof_error_no_memory();
	if (!*place) {
		err = show_name(symbolizer, symbol.name ? symbol.name : "[kernel]", &frame.name,
				&frame.system_name);
		if (!err)
			err = store(symbolizer, &frame, 1, place);
		if (err)
			return err;
	}
	give_answer(symbolizer, *place, ret_frames, ret_n);
	return NULL;
}

bool cprof_symbolizer_kernel_range(struct cprof_symbolizer *symbolizer, uint64_t *ret_start,
				   uint64_t *ret_end)
{
	return cprof_kernel_names_range(&symbolizer->kernel, &symbolizer->notes, ret_start,
					ret_end);
}
