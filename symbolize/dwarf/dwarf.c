/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "symbolize/dwarf/dwarf_functions.h"
#include "symbolize/dwarf/dwarf_index.h"
#include "symbolize/dwarf/dwarf_lines.h"
#include "symbolize/dwarf/dwarf_split.h"

#define LARGE      (64ull << 20) /* bytes of entries */
#define HELD_MAX   (24ull << 20) /* of units that were read, and what was made of them */
#define SPLIT_LOOK 64            /* units asked whether they are skeletons */

struct cprof_dwarf {
	struct cprof_dwarf_file file, alt;
	struct cprof_dwarf_index index;
	struct cprof_dwarf_functions functions;
	struct cprof_map64 lines;             /* offset in .debug_line -> index in all_lines + 1 */
	struct cprof_dwarf_lines **all_lines; /* owned */
	size_t n_lines, cap_lines;
	bool met_split;
	bool lacks; /* the last answer */
	struct cprof_dwarf_split split;
};

struct cprof_error *cprof_dwarf_new(struct cprof_elf *elf, struct cprof_elf *alt,
				    struct cprof_dwarf **ret_dwarf)
{
	*ret_dwarf = NULL;
	struct cprof_dwarf *dwarf = calloc(1, sizeof(*dwarf));
	if (!dwarf)
		return cprof_error_no_memory();
	if (!cprof_dwarf_file_init(&dwarf->file, elf)) {
		cprof_dwarf_free(dwarf);
		return NULL;
	}
	if (alt && cprof_dwarf_file_init(&dwarf->alt, alt))
		dwarf->file.alt = &dwarf->alt;
	cprof_dwarf_split_init(&dwarf->split, &dwarf->file);
	*ret_dwarf = dwarf;
	return NULL;
}

/* Functions and lines of all units that were read. */
static void drop_answers(struct cprof_dwarf *dwarf)
{
	for (size_t i = 0; i < dwarf->n_lines; i++)
		cprof_dwarf_lines_free(dwarf->all_lines[i]);
	free(dwarf->all_lines);
	dwarf->all_lines = NULL;
	dwarf->n_lines = dwarf->cap_lines = 0;
	cprof_map64_deinit(&dwarf->lines);
	dwarf->lines = (struct cprof_map64){ 0 };
	cprof_dwarf_functions_deinit(&dwarf->functions);
}

void cprof_dwarf_free(struct cprof_dwarf *dwarf)
{
	if (!dwarf)
		return;
	drop_answers(dwarf);
	cprof_dwarf_split_deinit(&dwarf->split);
	cprof_dwarf_index_deinit(&dwarf->index);
	cprof_dwarf_file_deinit(&dwarf->file);
	cprof_dwarf_file_deinit(&dwarf->alt);
	free(dwarf);
}

/* ---- what was read already ---- */

static struct cprof_dwarf_lines *lines_of(struct cprof_dwarf *dwarf,
					  const struct cprof_dwarf_unit *unit)
{
	uint64_t key = unit->has_stmt_list ? unit->stmt_list : UINT64_MAX;
	uint64_t *place = cprof_map64_put(&dwarf->lines, key, NULL);
	if (!place || !CPROF_ARRAY_ROOM(dwarf->all_lines, dwarf->n_lines, dwarf->cap_lines, 1))
		return NULL;
	if (!*place) {
		struct cprof_dwarf_lines *lines;
		struct cprof_error *err = cprof_dwarf_lines_read(unit, &lines);
		if (err) {
			cprof_error_free(err);
			return NULL;
		}
		dwarf->all_lines[dwarf->n_lines++] = lines;
		*place = dwarf->n_lines;
	}
	return dwarf->all_lines[*place - 1];
}

void cprof_dwarf_look_in(struct cprof_dwarf *dwarf, const char *root, const char *program_path)
{
	dwarf->split.root = root;
	dwarf->split.program_path = program_path;
}

/* ---- one address ---- */

/* Where execution stands in the innermost frame; in each outer one it is the place of the call. */
struct place {
	const char *file;
	uint32_t line, column;
};

/* A number that the table of files does not explain is of a form that we do not know. */
static const char *path_of(struct cprof_dwarf *dwarf, const struct cprof_dwarf_unit *unit,
			   struct cprof_dwarf_lines *lines, uint64_t file)
{
	const char *path = cprof_dwarf_lines_path(unit, lines, file);
	dwarf->lacks |= !*path;
	return path;
}

static size_t frames_of_calls(struct cprof_dwarf *dwarf, struct cprof_dwarf_unit *unit,
			      const struct cprof_dwarf_unit *lines_unit, uint64_t file_addr,
			      struct place place, struct cprof_dwarf_lines *lines,
			      struct cprof_dwarf_frame *frames, size_t cap)
{
	struct cprof_dwarf_functions *functions = &dwarf->functions;
	struct cprof_dwarf_call *call = cprof_dwarf_functions_find(functions, unit, file_addr);
	size_t n = 0;
	for (; call; call = cprof_dwarf_functions_outer(functions, unit, call)) {
		/* Too deep a nest keeps its innermost frames and the function itself. */
		if (n == cap)
			n--;
		frames[n++] = (struct cprof_dwarf_frame){
			call->name, call->linkage_name, place.file,
			place.line, place.column,       call->start_line,
		};
		place = (struct place){ "", call->call_line, call->call_column };
		if (lines && call->call_file != CPROF_CALL_NONE &&
		    (call->call_file || lines->version >= 5))
			place.file = path_of(dwarf, lines_unit, lines, call->call_file);
	}
	return n;
}

size_t cprof_dwarf_frames(struct cprof_dwarf *dwarf, uint64_t file_addr,
			  struct cprof_dwarf_frame *frames, size_t cap)
{
	struct cprof_dwarf_unit *unit =
		cprof_dwarf_index_find(&dwarf->index, &dwarf->file, file_addr);
	dwarf->lacks = !unit && dwarf->file.met_broken;
	if (!unit || !cap)
		return 0;
	dwarf->file.borrowed = true;
	struct cprof_dwarf_unit *code =
		unit->is_split ? cprof_dwarf_split_unit(&dwarf->split, unit) : unit;
	dwarf->met_split |= !code;
	/* The skeleton itself knows no functions, but lines. */
	code = code ? code : unit;
	struct cprof_dwarf_lines *lines = lines_of(dwarf, unit);
	const struct cprof_line_row *row = lines ? cprof_dwarf_lines_find(lines, file_addr) : NULL;
	struct place place = { "", 0, 0 };
	if (row)
		place = (struct place){ path_of(dwarf, unit, lines, row->file), row->line,
					row->column };
	dwarf->lacks |=
		!lines || lines->broken || cprof_dwarf_functions_broken(&dwarf->functions, code);
	size_t n = frames_of_calls(dwarf, code, unit, file_addr, place, lines, frames, cap);
	if (!n && row)
		frames[n++] = (struct cprof_dwarf_frame){ "",         "",           place.file,
							  place.line, place.column, 0 };
	return n;
}

bool cprof_dwarf_lacks(const struct cprof_dwarf *dwarf)
{
	const struct cprof_account *account = dwarf->file.elf->image->account;
	return dwarf->lacks && !(account && account->over);
}

/* ---- many addresses ---- */

bool cprof_dwarf_is_large(const struct cprof_dwarf *dwarf)
{
	return dwarf->file.info->size >= LARGE;
}

uint64_t cprof_dwarf_unit_of(struct cprof_dwarf *dwarf, uint64_t file_addr)
{
	return cprof_dwarf_index_order(&dwarf->index, &dwarf->file, file_addr);
}

void cprof_dwarf_forget(struct cprof_dwarf *dwarf, uint64_t unit)
{
	struct cprof_dwarf_file *file = &dwarf->file;
	if (file->held < HELD_MAX && unit < file->info->size)
		return;
	drop_answers(dwarf);
	file->borrowed = false;
	/* Whoever goes on to read units passes by those before; at the end that would be a walk over all of them for nothing. */
	if (unit < file->info->size)
		cprof_dwarf_index_pass(&dwarf->index, file, unit);
	cprof_dwarf_file_forget(file, unit);
	if (file->line)
		cprof_section_forget(file->line, 0, file->line->size);
}

bool cprof_dwarf_used_split(const struct cprof_dwarf *dwarf)
{
	return dwarf->split.n_parts > 0;
}

bool cprof_dwarf_met_split(const struct cprof_dwarf *dwarf)
{
	return dwarf->met_split;
}

bool cprof_dwarf_missing_split(struct cprof_dwarf *dwarf)
{
	struct cprof_dwarf_file *file = &dwarf->file;
	cprof_dwarf_file_scan(file);
	/* One toolchain builds a file: the first units tell for all. */
	for (size_t i = 0; i < file->n_units && i < SPLIT_LOOK; i++) {
		const struct cprof_dwarf_unit *unit =
			cprof_dwarf_file_unit(file, file->units[i]->offset);
		if (unit && unit->is_split && !cprof_dwarf_split_unit(&dwarf->split, unit))
			return true;
	}
	return false;
}
