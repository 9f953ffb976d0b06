/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_file.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/search.h"

#define UNITS_MAX        (1u << 22)
#define ABBREVS_MAX      (1u << 20)
#define ABBREV_ATTRS_MAX (1u << 22)
#define ENTRY_ATTRS_MAX  1024 /* of one entry; compilers write 30, and some take no byte of it */
#define ROOT_BYTES       4096 /* of a unit, for its first entry */
#define READ_TIMES                                                                                 \
	2 /* units that are read again and again stay, from so many times all of them on */
#define ABBREV_WORK                                                                                \
	(256u << 20) /* bytes of tables read for one file; hostile files have overlapping ones */

bool cprof_dwarf_file_init(struct cprof_dwarf_file *file, struct cprof_elf *elf)
{
	*file = (struct cprof_dwarf_file){ .elf = elf };
	file->info = cprof_elf_section(elf, ".debug_info");
	file->abbrev = cprof_elf_section(elf, ".debug_abbrev");
	if (!file->info || !file->abbrev)
		return false;
	file->str = cprof_elf_section(elf, ".debug_str");
	file->line = cprof_elf_section(elf, ".debug_line");
	file->line_str = cprof_elf_section(elf, ".debug_line_str");
	file->ranges = cprof_elf_section(elf, ".debug_ranges");
	file->rnglists = cprof_elf_section(elf, ".debug_rnglists");
	file->addr = cprof_elf_section(elf, ".debug_addr");
	file->str_offsets = cprof_elf_section(elf, ".debug_str_offsets");
	file->aranges = cprof_elf_section(elf, ".debug_aranges");
	return true;
}

void cprof_dwarf_file_prefetch(struct cprof_elf *elf, struct cprof_prefetch *prefetch,
			       uint64_t *left)
{
	/* In the order in which cprof_dwarf_file_init() will ask. */
	static const char *const names[] = {
		".debug_info",        ".debug_abbrev",  ".debug_str",      ".debug_line",
		".debug_line_str",    ".debug_ranges",  ".debug_rnglists", ".debug_addr",
		".debug_str_offsets", ".debug_aranges",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cprof_elf_section_prefetch(elf, names[i], prefetch, left);
}

bool cprof_dwarf_file_init_split(struct cprof_dwarf_file *file, struct cprof_elf *elf,
				 const struct cprof_dwarf_file *skeleton)
{
	*file = (struct cprof_dwarf_file){ .elf = elf };
	file->info = cprof_elf_section(elf, ".debug_info.dwo");
	file->abbrev = cprof_elf_section(elf, ".debug_abbrev.dwo");
	file->str = cprof_elf_section(elf, ".debug_str.dwo");
	file->str_offsets = cprof_elf_section(elf, ".debug_str_offsets.dwo");
	file->rnglists = cprof_elf_section(elf, ".debug_rnglists.dwo");
	file->addr = skeleton->addr;
	file->ranges = skeleton->ranges;
	return file->info && file->abbrev;
}

void cprof_dwarf_file_init_package(struct cprof_dwarf_file *file, struct cprof_elf *elf,
				   struct cprof_dwarf_slices *slices,
				   const struct cprof_dwarf_file *skeleton)
{
	*file = (struct cprof_dwarf_file){ .elf = elf };
	file->info = &slices->info;
	file->abbrev = &slices->abbrev;
	file->str =
		cprof_elf_section(elf, ".debug_str.dwo"); /* one for all, with offsets put right */
	file->str_offsets = slices->str_offsets.size ? &slices->str_offsets : NULL;
	file->rnglists = slices->rnglists.size ? &slices->rnglists : NULL;
	file->addr = skeleton->addr;
	file->ranges = skeleton->ranges;
}

static void abbrevs_free(struct cprof_abbrevs *abbrevs)
{
	if (!abbrevs)
		return;
	free(abbrevs->all);
	free(abbrevs->attrs);
	free(abbrevs);
}

void cprof_dwarf_file_deinit(struct cprof_dwarf_file *file)
{
	for (size_t i = 0; i < file->n_units; i++)
		free(file->units[i]);
	free(file->units);
	free(file->order);
	for (size_t i = 0; i < file->n_tables; i++)
		abbrevs_free(file->tables[i]);
	free(file->tables);
	cprof_map64_deinit(&file->unit_at);
	cprof_map64_deinit(&file->table_at);
	*file = (struct cprof_dwarf_file){ 0 };
}

/* ---- abbreviations ---- */

static void note_name(struct cprof_abbrev *abbrev, uint64_t name)
{
	abbrev->has_sibling |= name == DW_AT_sibling;
	abbrev->has_code |= name == DW_AT_low_pc || name == DW_AT_ranges;
	abbrev->has_name |= name == DW_AT_name;
	abbrev->has_linkage_name |= name == DW_AT_linkage_name || name == DW_AT_MIPS_linkage_name;
}

static bool read_abbrev(const struct cprof_dwarf_unit *unit, struct cprof_cursor *cursor,
			uint64_t code, struct cprof_abbrevs *abbrevs)
{
	if (abbrevs->n >= ABBREVS_MAX ||
	    !CPROF_ARRAY_ROOM(abbrevs->all, abbrevs->n, abbrevs->cap, 1))
		return false;
	struct cprof_abbrev abbrev = { .code = code, .first_attr = (uint32_t)abbrevs->n_attrs };
	abbrev.tag = (uint16_t)cprof_cursor_uleb(cursor);
	abbrev.has_children = cprof_cursor_u8(cursor) != 0;
	int size = 0;
	while (!cursor->failed) {
		struct cprof_abbrev_attr attr = { 0 };
		uint64_t name = cprof_cursor_uleb(cursor), form = cprof_cursor_uleb(cursor);
		if (!name && !form)
			break;
		attr.name = name > UINT16_MAX ? UINT16_MAX : (uint16_t)name;
		attr.form = form > UINT16_MAX ? UINT16_MAX : (uint16_t)form;
		attr.size = (int16_t)cprof_dwarf_form_size(unit, attr.form);
		if (form == DW_FORM_implicit_const)
			attr.implicit = cprof_cursor_sleb(cursor);
		if (abbrevs->n_attrs >= ABBREV_ATTRS_MAX ||
		    abbrevs->n_attrs - abbrev.first_attr >= ENTRY_ATTRS_MAX ||
		    !CPROF_ARRAY_ROOM(abbrevs->attrs, abbrevs->n_attrs, abbrevs->cap_attrs, 1))
			return false;
		abbrevs->attrs[abbrevs->n_attrs++] = attr;
		note_name(&abbrev, name);
		size = size < 0 || attr.size < 0 || size + attr.size > INT16_MAX ? -1
										 : size + attr.size;
	}
	abbrev.n_attrs = (uint32_t)(abbrevs->n_attrs - abbrev.first_attr);
	abbrev.size = (int16_t)size;
	abbrevs->dense = abbrevs->dense && code == abbrevs->n + 1;
	abbrevs->all[abbrevs->n++] = abbrev;
	return !cursor->failed;
}

static int by_code(const void *a_, const void *b_)
{
	const struct cprof_abbrev *a = a_, *b = b_;
	return a->code < b->code ? -1 : a->code > b->code;
}

static struct cprof_abbrevs *read_table(struct cprof_dwarf_file *file,
					const struct cprof_dwarf_unit *unit)
{
	uint64_t offset = unit->abbrev_offset;
	const uint8_t *bytes =
		offset < file->abbrev->size
			? cprof_section_at(file->abbrev, offset, file->abbrev->size - offset)
			: NULL;
	struct cprof_abbrevs *abbrevs = bytes ? calloc(1, sizeof(*abbrevs)) : NULL;
	if (!abbrevs)
		return NULL;
	struct cprof_cursor cursor = { bytes, bytes + (file->abbrev->size - offset), false };
	abbrevs->dense = true;
	/* Never NULL, also where no entry has an attribute. */
	bool good = CPROF_ARRAY_ROOM(abbrevs->attrs, 0, abbrevs->cap_attrs, 1);
	for (uint64_t code; good && (code = cprof_cursor_uleb(&cursor)) != 0;) {
		size_t before = abbrevs->n_attrs;
		good = file->abbrev_work < ABBREV_WORK &&
		       read_abbrev(unit, &cursor, code, abbrevs) &&
		       cprof_dwarf_file_pay(file, 1 + abbrevs->n_attrs - before,
					    sizeof(*abbrevs->all) +
						    (abbrevs->n_attrs - before) *
							    sizeof(*abbrevs->attrs));
	}
	file->abbrev_work += (uint64_t)(cursor.at - bytes);
	if (!good) {
		abbrevs_free(abbrevs);
		return NULL;
	}
	if (!abbrevs->dense && abbrevs->n)
		qsort(abbrevs->all, abbrevs->n, sizeof(*abbrevs->all), by_code);
	return abbrevs;
}

static const struct cprof_abbrevs *table_of(struct cprof_dwarf_file *file,
					    const struct cprof_dwarf_unit *unit)
{
	/* The sizes of entries depend on how the unit writes offsets, so that is part of the key. */
	uint64_t key = unit->abbrev_offset << 8 | (uint64_t)(unit->version < 3) << 7 |
		       (uint64_t)unit->offset_size << 3 | (unit->addr_size & 7);
	uint64_t *known = cprof_map64_put(&file->table_at, key, NULL);
	if (!known)
		return NULL;
	if (!*known) {
		struct cprof_abbrevs *table = read_table(file, unit);
		if (!CPROF_ARRAY_ROOM(file->tables, file->n_tables, file->cap_tables, 1)) {
			abbrevs_free(table);
			return NULL;
		}
		file->tables[file->n_tables++] = table;
		*known = file->n_tables;
	}
	return file->tables[*known - 1];
}

static const struct cprof_abbrev *find_abbrev(const struct cprof_abbrevs *abbrevs, uint64_t code)
{
	if (abbrevs->dense)
		return code - 1 < abbrevs->n ? &abbrevs->all[code - 1] : NULL;
	size_t at = CPROF_SEARCH(i, abbrevs->n, abbrevs->all[i].code < code);
	return at < abbrevs->n && abbrevs->all[at].code == code ? &abbrevs->all[at] : NULL;
}

/* ---- units ---- */

/* The header at `offset`; false where it makes no sense, and then nothing after it can be found. */
static bool read_header(struct cprof_dwarf_file *file, uint64_t offset,
			struct cprof_dwarf_unit *unit)
{
	uint64_t left = file->info->size - offset, want = left < 40 ? left : 40;
	const uint8_t *bytes = cprof_section_at(file->info, offset, want);
	if (!bytes)
		return false;
	struct cprof_cursor cursor = { bytes, bytes + want, false };
	uint64_t length = cprof_cursor_length(&cursor, &unit->offset_size);
	uint64_t start = (uint64_t)(cursor.at - bytes);
	if (cursor.failed || length < 2 || length > left - start)
		return false;
	unit->file = file;
	unit->offset = offset;
	unit->end = offset + start + length;
	unit->comp_dir = unit->name = unit->dwo_name = "";
	unit->version = cprof_cursor_u16(&cursor);
	unit->type = DW_UT_compile;
	if (unit->version >= 5) {
		unit->type = cprof_cursor_u8(&cursor);
		unit->addr_size = cprof_cursor_u8(&cursor);
		unit->abbrev_offset = cprof_cursor_fixed(&cursor, unit->offset_size);
		if (unit->type == DW_UT_skeleton || unit->type == DW_UT_split_compile)
			unit->dwo_id = cprof_cursor_u64(&cursor);
		else if (unit->type == DW_UT_type || unit->type == DW_UT_split_type)
			cprof_cursor_skip(&cursor, 8ull + unit->offset_size);
	} else {
		unit->abbrev_offset = cprof_cursor_fixed(&cursor, unit->offset_size);
		unit->addr_size = cprof_cursor_u8(&cursor);
	}
	unit->entries = offset + (uint64_t)(cursor.at - bytes);
	unit->broken = cursor.failed || unit->version < 2 || unit->version > 5 ||
		       (unit->addr_size != 8 && unit->addr_size != 4) || unit->entries > unit->end;
	return true;
}

static struct cprof_dwarf_unit *add_unit(struct cprof_dwarf_file *file, uint64_t offset)
{
	struct cprof_dwarf_unit header = { 0 };
	if (offset >= file->info->size || file->n_units >= UNITS_MAX ||
	    !read_header(file, offset, &header))
		return NULL;
	uint64_t *place = cprof_map64_put(&file->unit_at, offset, NULL);
	if (place && *place)
		return file->units[*place - 1];
	if (!place || !CPROF_ARRAY_ROOM(file->units, file->n_units, file->cap_units, 1))
		return NULL;
	struct cprof_dwarf_unit *unit =
		cprof_dwarf_file_pay(file, 1, sizeof(*unit)) ? malloc(sizeof(*unit)) : NULL;
	if (!unit)
		return NULL;
	*unit = header;
	file->units[file->n_units++] = unit;
	*place = file->n_units;
	return unit;
}

static void note_root(struct cprof_dwarf_unit *unit, uint16_t name, const struct cprof_value *value)
{
	switch (name) {
	case DW_AT_stmt_list:
		unit->has_stmt_list = value->kind != CPROF_VALUE_NONE;
		unit->stmt_list = value->u;
		break;
	case DW_AT_comp_dir:
		unit->comp_dir = value->kind == CPROF_VALUE_STRING ? value->string : "";
		break;
	case DW_AT_name:
		unit->name = value->kind == CPROF_VALUE_STRING ? value->string : "";
		break;
	case DW_AT_low_pc:
		unit->low_pc = value->u;
		break;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		/* The .dwo file's own unit may have it, too. */
		unit->is_split = unit->type != DW_UT_split_compile && unit->file->line;
		unit->dwo_name = value->kind == CPROF_VALUE_STRING ? value->string : "";
		break;
	case DW_AT_GNU_dwo_id:
		unit->dwo_id = value->u;
		break;
	case DW_AT_GNU_ranges_base:
		unit->split_ranges_base = value->u;
		break;
	default:
		break;
	}
}

/* The bases that other attributes of the same entry may need: they can stand after those, so they go first. */
static void read_bases(struct cprof_dwarf_unit *unit, const struct cprof_abbrev *abbrev,
		       struct cprof_cursor cursor)
{
	struct cprof_value value;
	for (uint32_t i = 0; i < abbrev->n_attrs; i++) {
		const struct cprof_abbrev_attr *attr =
			&unit->abbrevs->attrs[abbrev->first_attr + i];
		cprof_dwarf_unit_value(unit, attr, &cursor, &value);
		if (attr->name == DW_AT_str_offsets_base)
			unit->str_offsets_base = value.u;
		else if (attr->name == DW_AT_addr_base || attr->name == DW_AT_GNU_addr_base)
			unit->addr_base = value.u;
		else if (attr->name == DW_AT_rnglists_base)
			unit->rnglists_base = value.u;
	}
}

static bool need_whole(struct cprof_dwarf_unit *unit)
{
	uint64_t size = unit->end - unit->offset;
	if (unit->whole)
		return true;
	unit->whole = cprof_section_at(unit->file->info, unit->offset, size) != NULL;
	unit->file->read += unit->whole ? size : 0;
	unit->file->held += unit->whole ? size : 0;
	return unit->whole;
}

static uint64_t root_bytes(const struct cprof_dwarf_unit *unit)
{
	uint64_t size = unit->end - unit->offset, want = unit->entries - unit->offset + ROOT_BYTES;
	return unit->whole || size < want ? size : want;
}

static bool read_root(struct cprof_dwarf_unit *unit)
{
	struct cprof_cursor cursor = cprof_dwarf_unit_root_cursor(unit);
	const struct cprof_abbrev *abbrev = cprof_dwarf_unit_entry(unit, &cursor);
	if (!abbrev)
		return false;
	/* Without the attribute the table of a unit of its own starts after one header. */
	if (unit->version >= 5)
		unit->str_offsets_base = unit->offset_size == 8 ? 16 : 8;
	unit->rnglists_base = unit->offset_size == 8 ? 20 : 12;
	read_bases(unit, abbrev, cursor);
	for (uint32_t i = 0; i < abbrev->n_attrs; i++) {
		const struct cprof_abbrev_attr *attr =
			&unit->abbrevs->attrs[abbrev->first_attr + i];
		struct cprof_value value;
		cprof_dwarf_unit_value(unit, attr, &cursor, &value);
		note_root(unit, attr->name, &value);
	}
	/* A longer entry than any compiler writes. */
	return !cursor.failed || unit->whole || !need_whole(unit) || read_root(unit);
}

static struct cprof_dwarf_unit *open_unit(struct cprof_dwarf_unit *unit)
{
	if (!unit->opened && !unit->broken) {
		struct cprof_dwarf_file *file = unit->file;
		unit->opened = true;
		unit->bytes = cprof_section_at(file->info, unit->offset, root_bytes(unit));
		unit->abbrevs = unit->bytes ? table_of(file, unit) : NULL;
		unit->broken = !unit->abbrevs || !read_root(unit);
	}
	unit->file->met_broken |= unit->broken;
	return unit->broken ? NULL : unit;
}

struct cprof_dwarf_unit *cprof_dwarf_file_unit(struct cprof_dwarf_file *file, uint64_t offset)
{
	struct cprof_dwarf_unit *unit = add_unit(file, offset);
	return unit ? open_unit(unit) : NULL;
}

static void close_unit(struct cprof_dwarf_unit *unit)
{
	unit->opened = unit->whole = false;
	unit->bytes = NULL;
	unit->comp_dir = unit->name = unit->dwo_name = "";
}

void cprof_dwarf_file_forget(struct cprof_dwarf_file *file, uint64_t offset)
{
	file->held = 0;
	/* Where units refer to each other all over the file, memory is what makes it fast. */
	if (file->borrowed || file->read > READ_TIMES * file->info->size)
		return;
	for (size_t i = 0; i < file->n_units; i++)
		close_unit(file->units[i]);
	cprof_section_forget(file->info, 0, offset);
}

bool cprof_dwarf_file_scan_next(struct cprof_dwarf_file *file)
{
	struct cprof_dwarf_unit *unit = NULL;
	if (!file->scanned && file->scan_at < file->info->size &&
	    CPROF_ARRAY_ROOM(file->order, file->n_order, file->cap_order, 1))
		unit = add_unit(file, file->scan_at);
	file->met_broken |= !unit && !file->scanned && file->scan_at < file->info->size;
	file->scanned = !unit;
	if (!unit)
		return false;
	const uint64_t *place = cprof_map64_get(&file->unit_at, file->scan_at);
	file->order[file->n_order++] = (uint32_t)(*place - 1);
	file->scan_at = unit->end;
	return true;
}

void cprof_dwarf_file_scan(struct cprof_dwarf_file *file)
{
	while (cprof_dwarf_file_scan_next(file))
		;
}

struct cprof_dwarf_unit *cprof_dwarf_file_unit_around(struct cprof_dwarf_file *file,
						      uint64_t offset)
{
	while (file->scan_at <= offset && cprof_dwarf_file_scan_next(file))
		;
	size_t after =
		CPROF_SEARCH(i, file->n_order, file->units[file->order[i]]->offset <= offset);
	struct cprof_dwarf_unit *unit = after ? file->units[file->order[after - 1]] : NULL;
	return unit && offset < unit->end ? open_unit(unit) : NULL;
}

/* ---- entries ---- */

struct cprof_cursor cprof_dwarf_unit_root_cursor(struct cprof_dwarf_unit *unit)
{
	return (struct cprof_cursor){ unit->bytes + (unit->entries - unit->offset),
				      unit->bytes + root_bytes(unit), false };
}

struct cprof_cursor cprof_dwarf_unit_cursor(struct cprof_dwarf_unit *unit, uint64_t offset)
{
	const uint8_t *end = unit->bytes + (unit->end - unit->offset);
	if (offset < unit->entries || offset > unit->end || !need_whole(unit))
		return (struct cprof_cursor){ end, end, true };
	return (struct cprof_cursor){ unit->bytes + (offset - unit->offset), end, false };
}

const struct cprof_abbrev *cprof_dwarf_unit_entry(const struct cprof_dwarf_unit *unit,
						  struct cprof_cursor *cursor)
{
	uint64_t code = cprof_cursor_uleb(cursor);
	if (!code)
		return NULL;
	const struct cprof_abbrev *abbrev = find_abbrev(unit->abbrevs, code);
	if (!abbrev)
		cprof_cursor_fail(cursor);
	return abbrev;
}
