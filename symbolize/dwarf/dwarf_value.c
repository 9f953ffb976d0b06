/* SPDX-License-Identifier: Apache-2.0 */
/* Attribute values of dwarf_file.h: how many bytes a form takes, and what they say. */
#include <dwarf.h>

#include "symbolize/dwarf/dwarf_file.h"

int cprof_dwarf_form_size(const struct cprof_dwarf_unit *unit, uint16_t form)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return unit->addr_size;
	case DW_FORM_ref_addr: /* DWARF 2 wrote an address there */
		return unit->version < 3 ? unit->addr_size : unit->offset_size;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_sec_offset:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return unit->offset_size;
	default:
		return -1;
	}
}

static void skip_form(const struct cprof_dwarf_unit *unit, uint16_t form,
		      struct cprof_cursor *cursor)
{
	/* DW_FORM_indirect names the form in the entry itself; chains of it make no sense. */
	if (form == DW_FORM_indirect)
		form = (uint16_t)cprof_cursor_uleb(cursor);
	int size = cprof_dwarf_form_size(unit, form);
	if (size >= 0) {
		cprof_cursor_skip(cursor, (uint64_t)size);
		return;
	}
	switch (form) {
	case DW_FORM_sdata:
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		cprof_cursor_skip_leb(cursor);
		break;
	case DW_FORM_string:
		cprof_cursor_string(cursor);
		break;
	case DW_FORM_block1:
		cprof_cursor_skip(cursor, cprof_cursor_u8(cursor));
		break;
	case DW_FORM_block2:
		cprof_cursor_skip(cursor, cprof_cursor_u16(cursor));
		break;
	case DW_FORM_block4:
		cprof_cursor_skip(cursor, cprof_cursor_u32(cursor));
		break;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		cprof_cursor_skip(cursor, cprof_cursor_uleb(cursor));
		break;
	default:
		cprof_cursor_fail(cursor); /* its size is unknown, so is what follows */
	}
}

void cprof_dwarf_unit_skip(const struct cprof_dwarf_unit *unit, const struct cprof_abbrev *abbrev,
			   struct cprof_cursor *cursor)
{
	if (abbrev->size >= 0) {
		cprof_cursor_skip(cursor, (uint64_t)abbrev->size);
		return;
	}
	const struct cprof_abbrev_attr *attrs = &unit->abbrevs->attrs[abbrev->first_attr];
	for (uint32_t i = 0; i < abbrev->n_attrs && !cursor->failed; i++)
		cprof_dwarf_unit_skip_value(unit, &attrs[i], cursor);
}

void cprof_dwarf_unit_skip_value(const struct cprof_dwarf_unit *unit,
				 const struct cprof_abbrev_attr *attr, struct cprof_cursor *cursor)
{
	if (attr->size >= 0)
		cprof_cursor_skip(cursor, (uint64_t)attr->size);
	else
		skip_form(unit, attr->form, cursor);
}

/* ---- values ---- */

bool cprof_dwarf_unit_addrx(const struct cprof_dwarf_unit *unit, uint64_t index, uint64_t *ret_addr)
{
	const struct cprof_section *table = unit->file->addr;
	if (!table || index > table->size)
		return false;
	const uint8_t *bytes =
		cprof_section_at(table, unit->addr_base + index * unit->addr_size, unit->addr_size);
	if (!bytes)
		return false;
	struct cprof_cursor cursor = { bytes, bytes + unit->addr_size, false };
	*ret_addr = cprof_cursor_fixed(&cursor, unit->addr_size);
	return true;
}

static void set_string(struct cprof_value *value, const struct cprof_section *section,
		       uint64_t offset)
{
	const char *text = section ? cprof_section_string(section, offset) : NULL;
	value->string = text ? text : "";
	value->kind = text ? CPROF_VALUE_STRING : CPROF_VALUE_NONE;
}

static void set_strx(const struct cprof_dwarf_unit *unit, uint64_t index, struct cprof_value *value)
{
	const struct cprof_section *table = unit->file->str_offsets;
	if (!table || index > table->size)
		return;
	const uint8_t *bytes = cprof_section_at(
		table, unit->str_offsets_base + index * unit->offset_size, unit->offset_size);
	if (!bytes)
		return;
	struct cprof_cursor cursor = { bytes, bytes + unit->offset_size, false };
	set_string(value, unit->file->str, cprof_cursor_fixed(&cursor, unit->offset_size));
}

static void set_addrx(const struct cprof_dwarf_unit *unit, uint64_t index,
		      struct cprof_value *value)
{
	if (cprof_dwarf_unit_addrx(unit, index, &value->u))
		value->kind = CPROF_VALUE_ADDR;
}

static void set_number(struct cprof_value *value, enum cprof_value_kind kind, uint64_t u)
{
	value->kind = kind;
	value->u = u;
}

void cprof_dwarf_unit_value(const struct cprof_dwarf_unit *unit,
			    const struct cprof_abbrev_attr *attr, struct cprof_cursor *cursor,
			    struct cprof_value *ret_value)
{
	struct cprof_value *value = ret_value;
	const struct cprof_dwarf_file *file = unit->file;
	uint16_t form = attr->form;
	int size = attr->size;
	*value = (struct cprof_value){ .kind = CPROF_VALUE_NONE, .string = "" };
	if (form == DW_FORM_indirect) {
		form = (uint16_t)cprof_cursor_uleb(cursor);
		size = cprof_dwarf_form_size(unit, form);
	}
	uint64_t u = size >= 1 && size <= 8 ? cprof_cursor_fixed(cursor, (size_t)size) : 0;
	switch (form) {
	case DW_FORM_flag_present:
		set_number(value, CPROF_VALUE_CONST, 1);
		break;
	case DW_FORM_implicit_const:
		set_number(value, CPROF_VALUE_CONST, (uint64_t)attr->implicit);
		break;
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_data4: /* DWARF 2 and 3 write section offsets so, too */
	case DW_FORM_data8:
	case DW_FORM_flag:
		set_number(value, CPROF_VALUE_CONST, u);
		break;
	case DW_FORM_udata:
		set_number(value, CPROF_VALUE_CONST, cprof_cursor_uleb(cursor));
		break;
	case DW_FORM_sdata:
		set_number(value, CPROF_VALUE_CONST, (uint64_t)cprof_cursor_sleb(cursor));
		break;
	case DW_FORM_sec_offset:
		set_number(value, CPROF_VALUE_OFFSET, u);
		break;
	case DW_FORM_rnglistx:
		set_number(value, CPROF_VALUE_LISTX, cprof_cursor_uleb(cursor));
		break;
	case DW_FORM_addr:
		set_number(value, CPROF_VALUE_ADDR, u);
		break;
	case DW_FORM_addrx:
	case DW_FORM_GNU_addr_index:
		set_addrx(unit, cprof_cursor_uleb(cursor), value);
		break;
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
		set_addrx(unit, u, value);
		break;
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
		set_number(value, CPROF_VALUE_REF, unit->offset + u);
		break;
	case DW_FORM_ref_udata:
		set_number(value, CPROF_VALUE_REF, unit->offset + cprof_cursor_uleb(cursor));
		break;
	case DW_FORM_ref_addr:
		set_number(value, CPROF_VALUE_REF, u);
		break;
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
		set_number(value, CPROF_VALUE_REF_ALT, u);
		break;
	case DW_FORM_string:
		value->string = cprof_cursor_string(cursor);
		value->kind = CPROF_VALUE_STRING;
		break;
	case DW_FORM_strp:
		set_string(value, file->str, u);
		break;
	case DW_FORM_line_strp:
		set_string(value, file->line_str, u);
		break;
	case DW_FORM_GNU_strp_alt:
	case DW_FORM_strp_sup:
		set_string(value, file->alt ? file->alt->str : NULL, u);
		break;
	case DW_FORM_strx:
	case DW_FORM_GNU_str_index:
		set_strx(unit, cprof_cursor_uleb(cursor), value);
		break;
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
		set_strx(unit, u, value);
		break;
	default:
		/* Nothing we use: blocks, signatures. Fixed ones up to 8 bytes were consumed above. */
		if (size < 0 || size > 8)
			skip_form(unit, form, cursor);
	}
}
