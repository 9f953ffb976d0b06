/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_lines.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/search.h"

#define NAMES_MAX   (1u << 20) /* directories or files of one table */
#define FORMATS_MAX 32
#define ROWS_MAX    (1u << 26)

void cprof_dwarf_lines_free(struct cprof_dwarf_lines *lines)
{
	if (!lines)
		return;
	for (size_t i = 0; i < lines->n_files; i++)
		free(lines->files[i].path);
	free(lines->files);
	free(lines->dirs);
	free(lines->rows);
	free(lines->sequences);
	free(lines);
}

struct program {
	const struct cprof_dwarf_unit *unit;
	struct cprof_dwarf_lines *lines;
	struct cprof_cursor header; /* what follows the fixed part */
	struct cprof_cursor code;
	uint8_t min_inst, max_ops, line_range, opcode_base, offset_size, addr_size;
	int8_t line_base;
	const uint8_t *operands; /* of standard opcode n at [n - 1] */
	bool no_memory;
};

/* ---- the header's names ---- */

static bool add_dir(struct program *program, const char *name)
{
	struct cprof_dwarf_lines *lines = program->lines;
	if (lines->n_dirs >= NAMES_MAX ||
	    !cprof_dwarf_file_pay(program->unit->file, 1, sizeof(*lines->dirs)) ||
	    !CPROF_ARRAY_ROOM(lines->dirs, lines->n_dirs, lines->cap_dirs, 1))
		return false;
	lines->dirs[lines->n_dirs++] = name;
	return true;
}

static bool add_file(struct program *program, const char *name, uint64_t dir)
{
	struct cprof_dwarf_lines *lines = program->lines;
	if (lines->n_files >= NAMES_MAX ||
	    !cprof_dwarf_file_pay(program->unit->file, 1, sizeof(*lines->files)) ||
	    !CPROF_ARRAY_ROOM(lines->files, lines->n_files, lines->cap_files, 1))
		return false;
	lines->files[lines->n_files++] = (struct cprof_line_file){ name, dir, NULL };
	return true;
}

/* DWARF 2 to 4: strings up to an empty one; directory and file 0 are the unit's own. */
static bool old_names(struct program *program)
{
	struct cprof_cursor *cursor = &program->header;
	if (!add_dir(program, program->unit->comp_dir) ||
	    !add_file(program, program->unit->name, 0))
		return false;
	for (const char *name; *(name = cprof_cursor_string(cursor));) {
		if (!add_dir(program, name))
			return false;
	}
	for (const char *name; *(name = cprof_cursor_string(cursor));) {
		uint64_t dir = cprof_cursor_uleb(cursor);
		cprof_cursor_skip_leb(cursor); /* time */
		cprof_cursor_skip_leb(cursor); /* size */
		if (!add_file(program, name, dir))
			return false;
	}
	return !cursor->failed;
}

/* DWARF 5: a description of the columns, then the rows; used for directories and for files. */
static bool new_table(struct program *program, bool is_files)
{
	struct cprof_cursor *cursor = &program->header;
	struct cprof_abbrev_attr formats[FORMATS_MAX];
	unsigned n_formats = cprof_cursor_u8(cursor);
	if (n_formats > FORMATS_MAX)
		return false;
	/* Sizes in here follow the table's own format, not the unit's. */
	struct cprof_dwarf_unit as = *program->unit;
	as.offset_size = program->offset_size;
	as.version = program->lines->version;
	for (unsigned i = 0; i < n_formats; i++) {
		formats[i] = (struct cprof_abbrev_attr){ 0 };
		formats[i].name = (uint16_t)cprof_cursor_uleb(cursor);
		formats[i].form = (uint16_t)cprof_cursor_uleb(cursor);
		formats[i].size = (int16_t)cprof_dwarf_form_size(&as, formats[i].form);
	}
	uint64_t n = cprof_cursor_uleb(cursor);
	for (uint64_t row = 0; row < n && !cursor->failed; row++) {
		const char *name = "";
		uint64_t dir = 0;
		for (unsigned i = 0; i < n_formats; i++) {
			struct cprof_value value;
			cprof_dwarf_unit_value(&as, &formats[i], cursor, &value);
			if (formats[i].name == DW_LNCT_path)
				name = value.string;
			else if (formats[i].name == DW_LNCT_directory_index)
				dir = value.u;
		}
		if (!(is_files ? add_file(program, name, dir) : add_dir(program, name)))
			return false;
	}
	return !cursor->failed;
}

/* ---- the header ---- */

static bool read_header(struct program *program)
{
	const struct cprof_dwarf_unit *unit = program->unit;
	const struct cprof_section *section = unit->file->line;
	uint64_t left =
		section && unit->stmt_list < section->size ? section->size - unit->stmt_list : 0;
	const uint8_t *start = left >= 12 ? cprof_section_at(section, unit->stmt_list, 12) : NULL;
	if (!start)
		return false;
	struct cprof_cursor cursor = { start, start + 12, false };
	uint64_t length = cprof_cursor_length(&cursor, &program->offset_size);
	uint64_t skip = (uint64_t)(cursor.at - start);
	if (cursor.failed || length > left - skip)
		return false;
	start = cprof_section_at(section, unit->stmt_list + skip, length);
	/* An instruction has a byte or more; overlapping programs cost each time. */
	if (!start || !cprof_dwarf_file_pay(unit->file, length / 2, 0))
		return false;
	cursor = (struct cprof_cursor){ start, start + length, false };
	program->lines->version = cprof_cursor_u16(&cursor);
	if (program->lines->version < 2 || program->lines->version > 5)
		return false;
	program->addr_size = unit->addr_size;
	if (program->lines->version >= 5) {
		program->addr_size = cprof_cursor_u8(&cursor);
		cprof_cursor_skip(&cursor, 1);
	}
	uint64_t header_length = cprof_cursor_fixed(&cursor, program->offset_size);
	if (cursor.failed || header_length > cprof_cursor_left(&cursor))
		return false;
	program->code = (struct cprof_cursor){ cursor.at + header_length, cursor.end, false };
	cursor.end = cursor.at + header_length;
	program->min_inst = cprof_cursor_u8(&cursor);
	program->max_ops = program->lines->version >= 4 ? cprof_cursor_u8(&cursor) : 1;
	cprof_cursor_skip(&cursor,
			  1); /* default_is_stmt: statements or not, addresses have lines */
	program->line_base = (int8_t)cprof_cursor_u8(&cursor);
	program->line_range = cprof_cursor_u8(&cursor);
	program->opcode_base = cprof_cursor_u8(&cursor);
	program->operands = cursor.at;
	cprof_cursor_skip(&cursor, program->opcode_base ? program->opcode_base - 1u : 0);
	program->header = cursor;
	return !cursor.failed && program->line_range && program->opcode_base;
}

/* ---- the program ---- */

struct state {
	uint64_t addr, file, column;
	uint32_t line;
	uint32_t first_row;
	bool dropped; /* the linker left this sequence without code */
};

static void advance(const struct program *program, struct state *state, uint64_t operations)
{
	/* Machines that pack several operations into an instruction (max_ops > 1) are none of ours. */
	state->addr += operations * program->min_inst;
}

/* A row is small, because a large program has millions of them. */
static struct cprof_line_row row_of(const struct state *state)
{
	return (struct cprof_line_row){
		.addr = state->addr,
		.line = state->line,
		.file = state->file < CPROF_LINE_NO_FILE ? (uint16_t)state->file
							 : CPROF_LINE_NO_FILE,
		.column = state->column < UINT16_MAX ? (uint16_t)state->column : 0,
	};
}

static bool emit(struct program *program, const struct state *state)
{
	struct cprof_dwarf_lines *lines = program->lines;
	if (state->dropped)
		return true;
	if (lines->n_rows >= ROWS_MAX)
		return false;
	struct cprof_line_row *last =
		lines->n_rows > state->first_row ? &lines->rows[lines->n_rows - 1] : NULL;
	/* Of several rows at an address the last one counts. Addresses only grow within a sequence. */
	if (last && last->addr == state->addr) {
		*last = row_of(state);
		return true;
	}
	if (last && last->addr > state->addr)
		return true;
	if (lines->n_rows == lines->cap_rows &&
	    !cprof_dwarf_file_pay(program->unit->file, 1,
				  (lines->cap_rows + 64) * sizeof(*lines->rows)))
		return false;
	if (!CPROF_ARRAY_ROOM(lines->rows, lines->n_rows, lines->cap_rows, 1)) {
		program->no_memory = true;
		return false;
	}
	lines->rows[lines->n_rows++] = row_of(state);
	return true;
}

static void start_sequence(const struct program *program, struct state *state)
{
	*state = (struct state){ .line = 1,
				 .file = 1,
				 .first_row = (uint32_t)program->lines->n_rows };
}

static bool end_sequence(struct program *program, struct state *state)
{
	struct cprof_dwarf_lines *lines = program->lines;
	uint32_t n = (uint32_t)lines->n_rows - state->first_row;
	if (n && state->addr > lines->rows[state->first_row].addr) {
		if (!CPROF_ARRAY_ROOM(lines->sequences, lines->n_sequences, lines->cap_sequences,
				      1)) {
			program->no_memory = true;
			return false;
		}
		lines->sequences[lines->n_sequences++] =
			(struct cprof_line_sequence){ lines->rows[state->first_row].addr,
						      state->addr, state->first_row, n };
	} else {
		lines->n_rows = state->first_row;
	}
	start_sequence(program, state);
	return true;
}

static bool extended(struct program *program, struct state *state)
{
	uint64_t len = cprof_cursor_uleb(&program->code);
	if (!len || len > cprof_cursor_left(&program->code))
		return false;
	struct cprof_cursor operand = { program->code.at, program->code.at + len, false };
	program->code.at += len;
	switch (cprof_cursor_u8(&operand)) {
	case DW_LNE_end_sequence:
		return end_sequence(program, state);
	case DW_LNE_set_address: {
		size_t size = cprof_cursor_left(&operand);
		state->addr = size <= 8 ? cprof_cursor_fixed(&operand, size) : 0;
		uint64_t top = size == 4 ? UINT32_MAX : UINT64_MAX;
		state->dropped = state->addr <= 1 || state->addr >= top - 1;
		return true;
	}
	default: /* define_file, discriminators and vendors' own say nothing about lines */
		return true;
	}
}

static bool standard(struct program *program, struct state *state, uint8_t opcode)
{
	struct cprof_cursor *code = &program->code;
	switch (opcode) {
	case DW_LNS_copy:
		return emit(program, state);
	case DW_LNS_advance_pc:
		advance(program, state, cprof_cursor_uleb(code));
		break;
	case DW_LNS_advance_line:
		state->line += (uint32_t)cprof_cursor_sleb(code);
		break;
	case DW_LNS_set_file:
		state->file = cprof_cursor_uleb(code);
		break;
	case DW_LNS_set_column:
		state->column = cprof_cursor_uleb(code);
		break;
	case DW_LNS_const_add_pc:
		advance(program, state, (255u - program->opcode_base) / program->line_range);
		break;
	case DW_LNS_fixed_advance_pc:
		state->addr += cprof_cursor_u16(code);
		break;
	default: /* flags we do not keep, and opcodes from the future: the header tells their operands */
		for (uint8_t i = program->operands[opcode - 1]; i; i--)
			cprof_cursor_skip_leb(code);
	}
	return true;
}

static void run_program(struct program *program)
{
	struct state state;
	bool good = true;
	start_sequence(program, &state);
	while (good && program->code.at != program->code.end) {
		uint8_t opcode = cprof_cursor_u8(&program->code);
		if (opcode >= program->opcode_base) {
			unsigned special = opcode - program->opcode_base;
			advance(program, &state, special / program->line_range);
			state.line += (uint32_t)(program->line_base +
						 (int)(special % program->line_range));
			good = emit(program, &state);
		} else if (opcode == 0) {
			good = extended(program, &state);
		} else {
			good = standard(program, &state, opcode);
		}
	}
	/* What no end_sequence closed has no end, so nothing can be said about it. */
	program->lines->n_rows = state.first_row;
	void *fitting = realloc(program->lines->rows,
				(program->lines->n_rows + 1) * sizeof(*program->lines->rows));
	if (fitting) {
		program->lines->rows = fitting;
		program->lines->cap_rows = program->lines->n_rows + 1;
	}
}

static int by_start(const void *a_, const void *b_)
{
	const struct cprof_line_sequence *a = a_, *b = b_;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->first_row < b->first_row ? -1 : a->first_row > b->first_row;
}

static bool read_names(struct program *program)
{
	return program->lines->version >= 5 ? new_table(program, false) && new_table(program, true)
					    : old_names(program);
}

struct cprof_error *cprof_dwarf_lines_read(const struct cprof_dwarf_unit *unit,
					   struct cprof_dwarf_lines **ret_lines)
{
	struct cprof_dwarf_lines *lines = calloc(1, sizeof(*lines));
	if (!lines)
		return cprof_error_no_memory();
	struct program program = { .unit = unit, .lines = lines };
	if (unit->has_stmt_list) {
		lines->broken = !read_header(&program) || !read_names(&program);
		if (!lines->broken)
			run_program(&program);
	}
	if (program.no_memory) {
		cprof_dwarf_lines_free(lines);
		return cprof_error_no_memory();
	}
	if (lines->n_sequences)
		qsort(lines->sequences, lines->n_sequences, sizeof(*lines->sequences), by_start);
	*ret_lines = lines;
	return NULL;
}

/* ---- asking ---- */

const struct cprof_line_row *cprof_dwarf_lines_find(const struct cprof_dwarf_lines *lines,
						    uint64_t addr)
{
	size_t after = CPROF_SEARCH(i, lines->n_sequences, lines->sequences[i].start <= addr);
	if (!after || addr >= lines->sequences[after - 1].end)
		return NULL;
	const struct cprof_line_sequence *sequence = &lines->sequences[after - 1];
	const struct cprof_line_row *rows = &lines->rows[sequence->first_row];
	size_t n = CPROF_SEARCH(i, sequence->n_rows, rows[i].addr <= addr);
	return n ? &rows[n - 1] : NULL;
}

static char *join(const char *a, const char *b)
{
	char *text;
	if (!*a || *b == '/')
		return strdup(b);
	return asprintf(&text, "%s%s%s", a, a[strlen(a) - 1] == '/' ? "" : "/", b) < 0 ? NULL
										       : text;
}

const char *cprof_dwarf_lines_path(const struct cprof_dwarf_unit *unit,
				   struct cprof_dwarf_lines *lines, uint64_t file)
{
	if (file >= lines->n_files || file == CPROF_LINE_NO_FILE)
		return "";
	struct cprof_line_file *entry = &lines->files[file];
	if (!entry->path) {
		const char *dir = entry->dir < lines->n_dirs ? lines->dirs[entry->dir] : "";
		char *whole_dir = join(unit->comp_dir, dir);
		entry->path =
			whole_dir ? join(*dir ? whole_dir : unit->comp_dir, entry->name) : NULL;
		free(whole_dir);
	}
	return entry->path ? entry->path : "";
}
