/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/dwfl_frames.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

#define HOPS_MAX     16 /* references followed from a function to its name */
#define ENTRIES_MAX  (1u << 22)
#define DEPTH_MAX    512
#define CALLS_MAX    256 /* at one address */
#define RANGES_MAX   (1u << 24)
#define UNKNOWN_FILE "???" /* what libdw calls file 0 before DWARF 5 */

static void forget_texts(struct cprof_dwfl_namer *namer)
{
	for (size_t i = 0; i < namer->n_texts; i++)
		free(namer->texts[i]);
	namer->n_texts = 0;
}

static void entries_deinit(struct cprof_dwfl_entries *entries)
{
	cprof_intervals_deinit(&entries->by_addr);
	free(entries->dies);
}

void cprof_dwfl_namer_deinit(struct cprof_dwfl_namer *namer)
{
	forget_texts(namer);
	entries_deinit(&namer->units);
	for (size_t i = 0; i < namer->n_functions; i++)
		entries_deinit(&namer->functions[i]);
	free(namer->functions);
	cprof_map64_deinit(&namer->functions_of);
	*namer = (struct cprof_dwfl_namer){ 0 };
}

/* `text`, which is taken, until the next question; `otherwise` where there is none. */
static const char *keep_text(struct cprof_dwfl_namer *namer, char *text, const char *otherwise)
{
	if (!text || namer->n_texts == CPROF_DWFL_TEXTS) {
		free(text);
		return otherwise;
	}
	namer->texts[namer->n_texts++] = text;
	return text;
}

/* ---- entries by address ---- */

static void add_entry(const struct cprof_libdw *libdw, struct cprof_dwfl_entries *entries,
		      Dwarf_Die *die, uint32_t depth)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;
	if (entries->n >= ENTRIES_MAX ||
	    !CPROF_ARRAY_ROOM(entries->dies, entries->n, entries->cap, 1))
		return;
	entries->dies[entries->n] = *die;
	while (entries->by_addr.n_added < RANGES_MAX &&
	       (at = libdw->dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		const struct cprof_interval interval = { start, end, depth, (uint32_t)entries->n };
		/* 0 is where linkers leave what they drop. */
		if (start && start < end)
			cprof_error_free(cprof_intervals_add(&entries->by_addr, &interval));
	}
	entries->n++;
}

static Dwarf_Die *entry_at(struct cprof_dwfl_entries *entries, Dwarf_Addr at)
{
	const uint32_t what = cprof_intervals_find(&entries->by_addr, at);
	return what == CPROF_INTERVAL_NONE ? NULL : &entries->dies[what];
}

/* ---- functions ---- */

/* What functions can stand in. */
static bool may_hold_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_class_type ||
	       tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_module ||
	       tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block;
}

static void read_functions(const struct cprof_libdw *libdw, Dwarf_Die *unit,
			   struct cprof_dwfl_entries *entries)
{
	Dwarf_Die way[DEPTH_MAX]; /* the entry at each depth */
	size_t depth = 0;
	bool more = libdw->dwarf_child(unit, &way[0]) == 0;
	while (more) {
		const int tag = libdw->dwarf_tag(&way[depth]);
		if (tag == DW_TAG_subprogram)
			add_entry(libdw, entries, &way[depth], (uint32_t)depth);
		if (may_hold_functions(tag) && depth + 1 < DEPTH_MAX &&
		    libdw->dwarf_child(&way[depth], &way[depth + 1]) == 0) {
			depth++;
			continue;
		}
		while ((more = libdw->dwarf_siblingof(&way[depth], &way[depth]) == 0) == false &&
		       depth)
			depth--;
	}
	cprof_error_free(cprof_intervals_flatten(&entries->by_addr));
}

/* The functions of a unit, read when one is first asked for; NULL: no memory. */
static struct cprof_dwfl_entries *functions_of(struct cprof_dwfl_namer *namer, Dwarf_Die *unit)
{
	uint64_t *place = cprof_map64_put(&namer->functions_of, (uintptr_t)unit->addr, NULL);
	if (!place ||
	    !CPROF_ARRAY_ROOM(namer->functions, namer->n_functions, namer->cap_functions, 1))
		return NULL;
	if (!*place) {
		struct cprof_dwfl_entries *entries = &namer->functions[namer->n_functions++];
		*entries = (struct cprof_dwfl_entries){ 0 };
		*place = namer->n_functions;
		read_functions(namer->module->libdw, unit, entries);
	}
	return &namer->functions[*place - 1];
}

/* The block or inlined call directly below `die` that holds `at`. */
static bool step_in(const struct cprof_libdw *libdw, Dwarf_Die *die, Dwarf_Addr at,
		    Dwarf_Die *ret_die)
{
	Dwarf_Die child;
	int rc = libdw->dwarf_child(die, &child);
	for (; rc == 0; rc = libdw->dwarf_siblingof(&child, &child)) {
		const int tag = libdw->dwarf_tag(&child);
		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
		     tag == DW_TAG_try_block || tag == DW_TAG_catch_block) &&
		    libdw->dwarf_haspc(&child, at) > 0) {
			*ret_die = child;
			return true;
		}
	}
	return false;
}

/* The function at `at` and the calls inlined there, outermost first; how many. */
static size_t calls_at(struct cprof_dwfl_namer *namer, Dwarf_Die *unit, Dwarf_Addr at,
		       Dwarf_Die *calls)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	struct cprof_dwfl_entries *functions = functions_of(namer, unit);
	Dwarf_Die *function = functions ? entry_at(functions, at) : NULL;
	size_t n = 0;
	if (!function)
		return 0;
	Dwarf_Die die = calls[n++] = *function;
	for (int depth = 0; depth < DEPTH_MAX && step_in(libdw, &die, at, &die); depth++) {
		if (libdw->dwarf_tag(&die) == DW_TAG_inlined_subroutine && n < CALLS_MAX)
			calls[n++] = die;
	}
	return n;
}

/* ---- units ---- */

static void read_units(struct cprof_dwfl_namer *namer)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	Dwarf_Addr bias;
	Dwarf_Die *die = NULL;
	namer->units_read = true;
	while ((die = libdw->dwfl_module_nextcu(namer->module->mod, die, &bias)))
		add_entry(libdw, &namer->units, die, 0);
	cprof_error_free(cprof_intervals_flatten(&namer->units.by_addr));
}

/* The unit that holds `addr`, and *ret_at, that address as the debug information has it. */
static Dwarf_Die *unit_of(struct cprof_dwfl_namer *namer, uint64_t addr, Dwarf_Addr *ret_at)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	Dwfl_Module *mod = namer->module->mod;
	Dwarf_Addr bias;
	Dwarf_Die *die = libdw->dwfl_module_addrdie(mod, addr, &bias);
	if (!die && !libdw->dwfl_module_getdwarf(mod, &bias))
		return NULL;
	*ret_at = addr - bias;
	/* It takes a gap between two units for the first one's. */
	if (die && libdw->dwarf_haspc(die, *ret_at) > 0)
		return die;
	if (!namer->units_read)
		read_units(namer);
	return entry_at(&namer->units, *ret_at);
}

/* ---- names ---- */

static const char *string_of(const struct cprof_libdw *libdw, Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	const char *text = libdw->dwarf_attr_integrate(die, name, &attr)
				   ? libdw->dwarf_formstring(&attr)
				   : NULL;
	return text ? text : "";
}

/* The entry that `die` gets its name from: itself, or what it refers to. */
static bool name_giver(const struct cprof_libdw *libdw, const Dwarf_Die *die, Dwarf_Die *ret_die)
{
	Dwarf_Attribute attr;
	Dwarf_Die at = *die;
	for (int hop = 0; hop < HOPS_MAX; hop++) {
		Dwarf_Die next;
		if (libdw->dwarf_attr(&at, DW_AT_name, &attr)) {
			*ret_die = at;
			return true;
		}
		if (!libdw->dwarf_attr(&at, DW_AT_abstract_origin, &attr) &&
		    !libdw->dwarf_attr(&at, DW_AT_specification, &attr))
			return false;
		if (!libdw->dwarf_formref_die(&attr, &next))
			return false;
		at = next;
	}
	return false;
}

/* "ns::inner::name" where the entry stands in namespaces; not for members of classes, which our readers have no classes for. */
static const char *qualify(struct cprof_dwfl_namer *namer, const Dwarf_Die *die, const char *name)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	Dwarf_Die giver;
	CPROF_AUTO(free) Dwarf_Die *scopes = NULL;
	const int n =
		name_giver(libdw, die, &giver) ? libdw->dwarf_getscopes_die(&giver, &scopes) : 0;
	char *text = NULL;
	for (int i = 1; i < n && libdw->dwarf_tag(&scopes[i]) == DW_TAG_namespace; i++) {
		char *longer;
		const char *scope = libdw->dwarf_diename(&scopes[i]);
		if (asprintf(&longer, "%s::%s", scope ? scope : "(anonymous namespace)",
			     text ? text : name) < 0)
			break;
		free(text);
		text = longer;
	}
	return keep_text(namer, text, name);
}

static void set_names(struct cprof_dwfl_namer *namer, Dwarf_Die *die,
		      struct cprof_dwarf_frame *frame)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	const char *name = libdw->dwarf_diename(die);
	int line;
	frame->name = name ? name : "";
	frame->linkage_name = string_of(libdw, die, DW_AT_linkage_name);
	if (!*frame->linkage_name)
		frame->linkage_name = string_of(libdw, die, DW_AT_MIPS_linkage_name);
	if (*frame->name && !*frame->linkage_name)
		frame->name = qualify(namer, die, frame->name);
	if (libdw->dwarf_decl_line(die, &line) == 0 && line > 0)
		frame->start_line = (uint32_t)line;
}

/* ---- places ---- */

/* Where execution stands in the innermost frame; in each outer one it is the place of the call. */
struct place {
	const char *file;
	uint32_t line, column;
};

/* A path; where the unit names its files by how they lie from the directory of compilation, from there. */
static const char *whole_path(struct cprof_dwfl_namer *namer, Dwarf_Die *unit, const char *file)
{
	char *text;
	if (!file || strcmp(file, UNKNOWN_FILE) == 0)
		return "";
	const char *dir = *file == '/' ? "" : string_of(namer->module->libdw, unit, DW_AT_comp_dir);
	const size_t len = strlen(dir);
	if (!len || asprintf(&text, "%s%s%s", dir, dir[len - 1] == '/' ? "" : "/", file) < 0)
		return file;
	return keep_text(namer, text, file);
}

static struct place place_at(struct cprof_dwfl_namer *namer, Dwarf_Die *unit, Dwarf_Addr at)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	struct place place = { "", 0, 0 };
	int line = 0, column = 0;
	Dwarf_Line *row = libdw->dwarf_getsrc_die(unit, at);
	if (!row)
		return place;
	place.file = whole_path(namer, unit, libdw->dwarf_linesrc(row, NULL, NULL));
	if (libdw->dwarf_lineno(row, &line) == 0 && line > 0)
		place.line = (uint32_t)line;
	if (libdw->dwarf_linecol(row, &column) == 0 && column > 0)
		place.column = (uint32_t)column;
	return place;
}

static uint32_t number_of(const struct cprof_libdw *libdw, Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;
	return libdw->dwarf_attr(die, name, &attr) && libdw->dwarf_formudata(&attr, &value) == 0 &&
			       value <= UINT32_MAX
		       ? (uint32_t)value
		       : 0;
}

static struct place place_of_call(struct cprof_dwfl_namer *namer, Dwarf_Die *unit, Dwarf_Die *call)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	struct place place = { "", number_of(libdw, call, DW_AT_call_line),
			       number_of(libdw, call, DW_AT_call_column) };
	Dwarf_Attribute attr;
	Dwarf_Word number;
	Dwarf_Files *files;
	size_t n;
	if (libdw->dwarf_attr(call, DW_AT_call_file, &attr) &&
	    libdw->dwarf_formudata(&attr, &number) == 0 &&
	    libdw->dwarf_getsrcfiles(unit, &files, &n) == 0 && number < n)
		place.file = whole_path(namer, unit,
					libdw->dwarf_filesrc(files, (size_t)number, NULL, NULL));
	return place;
}

/* ---- one address ---- */

static size_t frames_of_unit(struct cprof_dwfl_namer *namer, Dwarf_Die *unit, Dwarf_Addr at,
			     struct cprof_dwarf_frame *frames, size_t cap)
{
	Dwarf_Die calls[CALLS_MAX];
	struct place place = place_at(namer, unit, at);
	size_t n = 0;
	for (size_t i = calls_at(namer, unit, at, calls); i-- > 0;) {
		/* Too deep a nest keeps its innermost frames and the function itself. */
		if (n == cap)
			n--;
		frames[n] = (struct cprof_dwarf_frame){ "",         "",           place.file,
							place.line, place.column, 0 };
		set_names(namer, &calls[i], &frames[n++]);
		if (i)
			place = place_of_call(namer, unit, &calls[i]);
	}
	if (!n && (*place.file || place.line))
		frames[n++] = (struct cprof_dwarf_frame){ "",         "",           place.file,
							  place.line, place.column, 0 };
	return n;
}

/* The function that was not inlined has its linkage name in the symbol table, whatever the debug information says. */
static void prefer_symbol(const struct cprof_dwfl_module *module, uint64_t addr,
			  struct cprof_dwarf_frame *frames, size_t *n)
{
	GElf_Sym symbol;
	GElf_Off offset;
	const char *name = module->libdw->dwfl_module_addrinfo(module->mod, addr, &offset, &symbol,
							       NULL, NULL, NULL);
	if (!name || !*name)
		return;
	if (!*n)
		frames[(*n)++] =
			(struct cprof_dwarf_frame){ .name = "", .linkage_name = "", .file = "" };
	struct cprof_dwarf_frame *last = &frames[*n - 1];
	const int type = GELF_ST_TYPE(symbol.st_info);
	if (type == STT_FUNC || type == STT_GNU_IFUNC || (!*last->name && !*last->linkage_name))
		last->linkage_name = name;
}

size_t cprof_dwfl_namer_ask(struct cprof_dwfl_namer *namer, uint64_t addr,
			    struct cprof_dwarf_frame *frames, size_t cap)
{
	Dwarf_Addr at;
	forget_texts(namer);
	if (!cap)
		return 0;
	Dwarf_Die *unit = unit_of(namer, addr, &at);
	size_t n = unit ? frames_of_unit(namer, unit, at, frames, cap) : 0;
	prefer_symbol(namer->module, addr, frames, &n);
	return n;
}
