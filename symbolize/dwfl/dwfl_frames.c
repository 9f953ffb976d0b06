/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/dwfl_frames.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

#define HOPS_MAX     16 /* references followed from a function to its name */
#define UNITS_MAX    (1u << 22)
#define RANGES_MAX   (1u << 24)
#define UNKNOWN_FILE "???" /* what libdw calls file 0 before DWARF 5 */

static void forget_texts(struct cprof_dwfl_namer *namer)
{
	for (size_t i = 0; i < namer->n_texts; i++)
		free(namer->texts[i]);
	namer->n_texts = 0;
}

void cprof_dwfl_namer_deinit(struct cprof_dwfl_namer *namer)
{
	forget_texts(namer);
	cprof_intervals_deinit(&namer->units);
	free(namer->dies);
	*namer = (struct cprof_dwfl_namer){ 0 };
}

/* ---- units ---- */

static void add_unit(struct cprof_dwfl_namer *namer, Dwarf_Die *die)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;
	if (!CPROF_ARRAY_ROOM(namer->dies, namer->n_dies, namer->cap_dies, 1))
		return;
	namer->dies[namer->n_dies++] = die;
	while (namer->units.n_added < RANGES_MAX &&
	       (at = libdw->dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		const struct cprof_interval interval = { start, end, 0,
							 (uint32_t)namer->n_dies - 1 };
		if (start < end)
			cprof_error_free(cprof_intervals_add(&namer->units, &interval));
	}
}

static void read_units(struct cprof_dwfl_namer *namer)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	Dwarf_Addr bias;
	Dwarf_Die *die = NULL;
	namer->units_read = true;
	while (namer->n_dies < UNITS_MAX &&
	       (die = libdw->dwfl_module_nextcu(namer->module->mod, die, &bias)))
		add_unit(namer, die);
	cprof_error_free(cprof_intervals_flatten(&namer->units));
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
	if (die)
		return die;
	if (!namer->units_read)
		read_units(namer);
	const uint32_t what = cprof_intervals_find(&namer->units, *ret_at);
	return what == CPROF_INTERVAL_NONE ? NULL : namer->dies[what];
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

/* "ns::inner::name": the namespaces that the entry stands in, before its name. */
static const char *qualify(struct cprof_dwfl_namer *namer, const Dwarf_Die *die, const char *name)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	Dwarf_Die giver;
	CPROF_AUTO(free) Dwarf_Die *scopes = NULL;
	const int n =
		name_giver(libdw, die, &giver) ? libdw->dwarf_getscopes_die(&giver, &scopes) : 0;
	char *text = NULL;
	for (int i = 1; i < n; i++) {
		char *longer;
		const char *scope = libdw->dwarf_diename(&scopes[i]);
		if (libdw->dwarf_tag(&scopes[i]) != DW_TAG_namespace)
			continue;
		if (asprintf(&longer, "%s::%s", scope ? scope : "(anonymous namespace)",
			     text ? text : name) < 0)
			break;
		free(text);
		text = longer;
	}
	if (!text || namer->n_texts == CPROF_DWFL_TEXTS) {
		free(text);
		return name;
	}
	namer->texts[namer->n_texts++] = text;
	return text;
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

static const char *known_file(const char *file)
{
	return file && strcmp(file, UNKNOWN_FILE) != 0 ? file : "";
}

static struct place place_at(const struct cprof_libdw *libdw, Dwarf_Die *unit, Dwarf_Addr at)
{
	struct place place = { "", 0, 0 };
	int line = 0, column = 0;
	Dwarf_Line *row = libdw->dwarf_getsrc_die(unit, at);
	if (!row)
		return place;
	place.file = known_file(libdw->dwarf_linesrc(row, NULL, NULL));
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

static struct place place_of_call(const struct cprof_libdw *libdw, Dwarf_Die *unit, Dwarf_Die *call)
{
	struct place place = { "", number_of(libdw, call, DW_AT_call_line),
			       number_of(libdw, call, DW_AT_call_column) };
	Dwarf_Attribute attr;
	Dwarf_Word number;
	Dwarf_Files *files;
	size_t n;
	if (libdw->dwarf_attr(call, DW_AT_call_file, &attr) &&
	    libdw->dwarf_formudata(&attr, &number) == 0 &&
	    libdw->dwarf_getsrcfiles(unit, &files, &n) == 0 && number < n)
		place.file = known_file(libdw->dwarf_filesrc(files, (size_t)number, NULL, NULL));
	return place;
}

/* ---- one address ---- */

/* The entries around `at`, innermost first, as they stand in the unit. */
static int chain_at(const struct cprof_libdw *libdw, Dwarf_Die *unit, Dwarf_Addr at,
		    Dwarf_Die **ret_chain)
{
	CPROF_AUTO(free) Dwarf_Die *scopes = NULL;
	/* Behind an inlined call it lists the scopes that the function was written in. */
	const int n = libdw->dwarf_getscopes(unit, at, &scopes);
	return n > 0 ? libdw->dwarf_getscopes_die(&scopes[0], ret_chain) : 0;
}

static size_t frames_of_unit(struct cprof_dwfl_namer *namer, Dwarf_Die *unit, Dwarf_Addr at,
			     struct cprof_dwarf_frame *frames, size_t cap)
{
	const struct cprof_libdw *libdw = namer->module->libdw;
	CPROF_AUTO(free) Dwarf_Die *chain = NULL;
	const int n_chain = chain_at(libdw, unit, at, &chain);
	struct place place = place_at(libdw, unit, at);
	size_t n = 0;
	for (int i = 0; i < n_chain; i++) {
		const int tag = libdw->dwarf_tag(&chain[i]);
		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
			continue;
		/* Too deep a nest keeps its innermost frames and the function itself. */
		if (n == cap)
			n--;
		frames[n] = (struct cprof_dwarf_frame){ "",         "",           place.file,
							place.line, place.column, 0 };
		set_names(namer, &chain[i], &frames[n++]);
		if (tag == DW_TAG_subprogram)
			break;
		place = place_of_call(libdw, unit, &chain[i]);
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
