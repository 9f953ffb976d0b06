/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/cfi.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/search.h"
#include "symbolize/elf/elf_file.h"
#include "symbolize/process/debug_file.h"
#include "symbolize/unwind/cfi_reader.h"

#define LETTERS_MAX 32 /* of an augmentation; compilers write five */
/* More than any program needs, less than what hostile section headers would cost in time. */
#define ENTRIES_MAX        (8u << 20)
#define HDR_TABLE_ENCODING (CPROF_CFI_PE_DATAREL | CPROF_CFI_PE_SDATA4)

/* One FDE in an index of ours. */
struct entry {
	uint64_t start;
	uint64_t offset; /* in its section */
};

struct index {
	struct entry *entries; /* owned; by start */
	size_t n, cap;
	bool built;
};

struct cprof_cfi {
	struct cprof_cfi_section eh_frame, hdr, debug_frame;
	const uint8_t *table; /* in hdr: n_table pairs of (start, entry), relative to hdr */
	size_t n_table;
	struct index eh_index, debug_index;
	struct cprof_elf *elf; /* owned; the module's file, or its separate debug file */
	/* Where the separate debug file is looked for, once, when all else has no answer. */
	struct cprof_module *module;
	struct cprof_cfi *separate; /* owned; of that file; has no `module` itself */
};

/* What a common information entry says. */
struct cie {
	uint64_t code_align, ra_column;
	int64_t data_align;
	uint8_t encoding;
	uint8_t lsda_encoding; /* without 'z': of a pointer in front of the FDE's program; OMIT: none */
	bool has_sizes;        /* augmentation 'z': FDEs carry a length of augmentation data */
	bool signal;
	const uint8_t *program, *program_end;
};

/* Have bytes [at, at + n) of the section read from the file; false if they are not there. */
static bool need(const struct cprof_cfi_section *section, uint64_t at, uint64_t n)
{
	if (at > section->size || n > section->size - at)
		return false;
	return !section->image || cprof_image_at(section->image, section->offset + at, n);
}

/* ---- entries ---- */

/*
 * The length field at r->at and the id behind it. ret_entry reads what follows the id, up to the entry's
 * end; r moves on to the next entry. False at a terminator or at what is no entry.
 */
static bool entry_open(const struct cprof_cfi_section *section, struct cprof_cfi_reader *r,
		       struct cprof_cfi_reader *ret_entry, uint64_t *ret_id,
		       const uint8_t **ret_id_at, bool *ret_dwarf64)
{
	uint64_t at = (uint64_t)(r->at - section->bytes), left = cprof_cfi_left(r);
	r->bad = r->bad || !need(section, at, left < 12 ? left : 12);
	uint64_t length = cprof_cfi_fixed(r, 4);
	bool dwarf64 = length == 0xffffffff;
	if (dwarf64)
		length = cprof_cfi_fixed(r, 8);
	r->bad = r->bad || !need(section, (uint64_t)(r->at - section->bytes), length);
	const uint8_t *bytes = cprof_cfi_bytes(r, length);
	if (!bytes || length == 0)
		return false;
	*ret_entry = (struct cprof_cfi_reader){ bytes, bytes + length, false };
	*ret_id_at = bytes;
	*ret_id = cprof_cfi_fixed(ret_entry, dwarf64 ? 8 : 4);
	*ret_dwarf64 = dwarf64;
	return !ret_entry->bad;
}

/* Whether none of `letters` says more than that something is so: behind one that is not known nobody can find their data. */
static bool have_no_data(const char *letters)
{
	return !strpbrk(letters, "LRP");
}

/* What the letters say; their data is what `data` reads, to its end if `sized`. */
static bool take_letters(const char *letters, bool sized, struct cprof_cfi_reader *data,
			 struct cie *cie)
{
	const struct cprof_cfi_base nowhere = { data->at, 0, 1 };
	for (; *letters; letters++) {
		uint8_t encoding;
		switch (*letters) {
		case 'R':
			cie->encoding = cprof_cfi_u8(data);
			break;
		case 'L':
			cie->lsda_encoding = cprof_cfi_u8(data);
			break;
		case 'P':
			encoding = cprof_cfi_u8(data);
			/* Only its length matters here; an indirect one is as long. */
			cprof_cfi_pointer(data, encoding & 0x0f, &nowhere);
			break;
		case 'S':
			cie->signal = true;
			break;
		case 'B': /* AArch64: return addresses are signed with key B */
		case 'G': /* AArch64: tagged stack */
			break;
		default:
			/* A letter to come: the length says where its data ends. */
			if (!sized || !have_no_data(letters))
				return false;
		}
	}
	return !data->bad;
}

static bool augmentation(struct cprof_cfi_reader *r, const char *letters, struct cie *cie)
{
	if (!cie->has_sizes)
		return take_letters(letters, false, r, cie);
	uint64_t size = cprof_cfi_uleb(r);
	const uint8_t *bytes = cprof_cfi_bytes(r, size);
	struct cprof_cfi_reader data = { bytes, bytes ? bytes + size : bytes, false };
	return bytes && take_letters(letters + 1, true, &data, cie);
}

/* `r` stands behind the id. */
static bool cie_parse(struct cprof_cfi_reader *r, bool is_eh, struct cie *cie)
{
	*cie = (struct cie){ .encoding = CPROF_CFI_PE_ABSPTR, .lsda_encoding = CPROF_CFI_PE_OMIT };
	uint8_t version = cprof_cfi_u8(r);
	const char *letters = (const char *)r->at;
	const size_t left = cprof_cfi_left(r);
	const uint8_t *zero = memchr(r->at, 0, left < LETTERS_MAX ? left : LETTERS_MAX);
	if (r->bad || !zero || (version != 1 && version != 3 && version != 4))
		return false;
	r->at = zero + 1;
	if (version == 4) {
		const uint8_t addr_bytes = cprof_cfi_u8(r), segment_bytes = cprof_cfi_u8(r);
		if (addr_bytes != 8 || segment_bytes != 0)
			return false;
	}
	if (is_eh && letters[0] == 'e' && letters[1] == 'h') {
		cprof_cfi_fixed(r, 8);
		letters += 2;
	}
	cie->code_align = cprof_cfi_uleb(r);
	cie->data_align = cprof_cfi_sleb(r);
	cie->ra_column = version == 1 ? cprof_cfi_u8(r) : cprof_cfi_uleb(r);
	cie->has_sizes = letters[0] == 'z';
	if (!augmentation(r, letters, cie))
		return false;
	cie->program = r->at;
	cie->program_end = r->end;
	return !r->bad && cie->ra_column < CPROF_ARCH_MAX_REGS;
}

static bool cie_find(const struct cprof_cfi_section *section, bool is_eh, uint64_t offset,
		     struct cie *cie)
{
	struct cprof_cfi_reader r = cprof_cfi_reader_of(section->bytes, section->size), entry;
	const uint8_t *id_at;
	uint64_t id;
	bool dwarf64;
	if (offset >= section->size)
		return false;
	r.at += offset;
	if (!entry_open(section, &r, &entry, &id, &id_at, &dwarf64))
		return false;
	if (is_eh ? id != 0 : id != (dwarf64 ? UINT64_MAX : 0xffffffff))
		return false;
	return cie_parse(&entry, is_eh, cie);
}

/* Where an FDE's id says that its CIE is; false where the id is that of a CIE. */
static bool cie_offset(const struct cprof_cfi_section *section, bool is_eh, uint64_t id,
		       const uint8_t *id_at, bool dwarf64, uint64_t *ret_offset)
{
	uint64_t here = (uint64_t)(id_at - section->bytes);
	if (is_eh ? id == 0 : id == (dwarf64 ? UINT64_MAX : 0xffffffff))
		return false;
	if (is_eh && id > here)
		return false;
	*ret_offset = is_eh ? here - id : id;
	return true;
}

/* The FDE's addresses; `entry` stands behind the id. */
static bool fde_range(struct cprof_cfi_reader *entry, const struct cprof_cfi_section *section,
		      uint64_t data_addr, const struct cie *cie, uint64_t *ret_start,
		      uint64_t *ret_end)
{
	const struct cprof_cfi_base base = { section->bytes, section->addr, data_addr };
	uint64_t start = cprof_cfi_pointer(entry, cie->encoding, &base);
	uint64_t size = cprof_cfi_pointer(entry, cie->encoding & 0x0f, &base);
	if (entry->bad || size == 0 || start + size < start)
		return false;
	*ret_start = start;
	*ret_end = start + size;
	return true;
}

/* What stands between the FDE's addresses and its program. */
static void skip_augmentation(struct cprof_cfi_reader *entry,
			      const struct cprof_cfi_section *section, const struct cie *cie)
{
	const struct cprof_cfi_base base = { section->bytes, section->addr, 0 };
	if (cie->has_sizes)
		cprof_cfi_bytes(entry, cprof_cfi_uleb(entry));
	else if (cie->lsda_encoding != CPROF_CFI_PE_OMIT)
		cprof_cfi_pointer(entry, cie->lsda_encoding & 0x0f, &base);
}

/* The FDE at `offset`, whole; false if there is none that is well-formed. */
static bool fde_parse(const struct cprof_cfi *cfi, bool is_eh, uint64_t offset,
		      struct cprof_cfi_fde *ret_fde)
{
	const struct cprof_cfi_section *section = is_eh ? &cfi->eh_frame : &cfi->debug_frame;
	struct cprof_cfi_reader r = cprof_cfi_reader_of(section->bytes, section->size), entry;
	const uint8_t *id_at;
	uint64_t id, cie_at, start, end;
	bool dwarf64;
	struct cie cie;
	if (offset >= section->size)
		return false;
	r.at += offset;
	if (!entry_open(section, &r, &entry, &id, &id_at, &dwarf64) ||
	    !cie_offset(section, is_eh, id, id_at, dwarf64, &cie_at) ||
	    !cie_find(section, is_eh, cie_at, &cie) ||
	    !fde_range(&entry, section, cfi->hdr.addr, &cie, &start, &end))
		return false;
	skip_augmentation(&entry, section, &cie);
	if (entry.bad)
		return false;
	*ret_fde = (struct cprof_cfi_fde){
		.start = start,
		.end = end,
		.code_align = cie.code_align,
		.data_align = cie.data_align,
		.ra_column = cie.ra_column,
		.signal = cie.signal,
		.encoding = cie.encoding,
		.cie_program = cie.program,
		.cie_program_end = cie.program_end,
		.program = entry.at,
		.program_end = entry.end,
		.section = *section,
	};
	return true;
}

/* ---- the table in .eh_frame_hdr ---- */

/* Take the table if it has the one encoding that linkers write; else there is our own index. */
static void hdr_open(struct cprof_cfi *cfi)
{
	const struct cprof_cfi_section *hdr = &cfi->hdr;
	const struct cprof_cfi_base base = { hdr->bytes, hdr->addr, hdr->addr };
	struct cprof_cfi_reader r = cprof_cfi_reader_of(hdr->bytes, hdr->size);
	if (!hdr->bytes || !cfi->eh_frame.bytes || !need(hdr, 0, hdr->size < 32 ? hdr->size : 32) ||
	    cprof_cfi_u8(&r) != 1)
		return;
	uint8_t frame_encoding = cprof_cfi_u8(&r), count_encoding = cprof_cfi_u8(&r);
	uint8_t table_encoding = cprof_cfi_u8(&r);
	if (count_encoding == CPROF_CFI_PE_OMIT || table_encoding != HDR_TABLE_ENCODING)
		return;
	cprof_cfi_pointer(&r, frame_encoding, &base);
	uint64_t count = cprof_cfi_pointer(&r, count_encoding, &base);
	if (r.bad)
		return;
	cfi->table = r.at;
	cfi->n_table = cprof_cfi_left(&r) / 8;
	if (count < cfi->n_table)
		cfi->n_table = (size_t)count;
}

static uint64_t table_addr(const struct cprof_cfi *cfi, size_t at, size_t column)
{
	int32_t relative;
	memcpy(&relative, cfi->table + at * 8 + column * 4, 4);
	return cfi->hdr.addr + (uint64_t)(int64_t)relative;
}

/*
 * An unsorted or lying table, or one that cannot be read in part, leads to an entry that does not cover the address: then
 * the index answers.
 */
static bool table_find(const struct cprof_cfi *cfi, uint64_t file_addr,
		       struct cprof_cfi_fde *ret_fde)
{
	const uint64_t table_at = (uint64_t)(cfi->table - cfi->hdr.bytes);
	size_t after = CPROF_SEARCH(i, cfi->n_table,
				    need(&cfi->hdr, table_at + i * 8, 8) &&
					    table_addr(cfi, i, 0) <= file_addr);
	return after > 0 && need(&cfi->hdr, table_at + (after - 1) * 8, 8) &&
	       fde_parse(cfi, true, table_addr(cfi, after - 1, 1) - cfi->eh_frame.addr, ret_fde) &&
	       ret_fde->start <= file_addr && file_addr < ret_fde->end;
}

/* ---- our own index ---- */

static bool index_add(struct index *index, uint64_t start, uint64_t offset)
{
	if (index->n >= ENTRIES_MAX || !CPROF_ARRAY_ROOM(index->entries, index->n, index->cap, 1))
		return false;
	index->entries[index->n++] = (struct entry){ start, offset };
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return (x->start > y->start) - (x->start < y->start);
}

/* Sections that are no part of a file, in tests, are for free. */
static bool pay(const struct cprof_cfi_section *section, uint64_t steps, uint64_t bytes)
{
	struct cprof_account *account = section->image ? section->image->account : NULL;
	return cprof_account_charge(account, CPROF_BUDGET_STEPS, steps) &&
	       (!bytes || cprof_account_charge(account, CPROF_BUDGET_HELD, bytes));
}

/* All FDEs of a section, once. What is malformed is left out; out of memory leaves out the rest. */
static void index_build(const struct cprof_cfi *cfi, bool is_eh, struct index *index)
{
	const struct cprof_cfi_section *section = is_eh ? &cfi->eh_frame : &cfi->debug_frame;
	struct cprof_cfi_reader r = cprof_cfi_reader_of(section->bytes, section->size), entry;
	uint64_t id, known_at = UINT64_MAX, cie_at, start, end;
	struct cie cie;
	bool dwarf64, known = false;
	const uint8_t *id_at;

	index->built = true;
	while (r.at < r.end) {
		uint64_t offset = (uint64_t)(r.at - section->bytes);
		if (!pay(section, 1, 0))
			break;
		if (!entry_open(section, &r, &entry, &id, &id_at, &dwarf64)) {
			if (r.bad)
				break;
			continue; /* a terminator: the linker may have put more behind it */
		}
		if (!cie_offset(section, is_eh, id, id_at, dwarf64, &cie_at))
			continue;
		if (cie_at != known_at) {
			known = cie_find(section, is_eh, cie_at, &cie);
			known_at = cie_at;
		}
		if (known && fde_range(&entry, section, cfi->hdr.addr, &cie, &start, &end) &&
		    (!pay(section, 1, sizeof(*index->entries)) || !index_add(index, start, offset)))
			break;
	}
	if (index->n)
		qsort(index->entries, index->n, sizeof(*index->entries), by_start);
}

static bool index_find(const struct cprof_cfi *cfi, bool is_eh, const struct index *index,
		       uint64_t file_addr, struct cprof_cfi_fde *ret_fde)
{
	size_t after = CPROF_SEARCH(i, index->n, index->entries[i].start <= file_addr);
	return after > 0 && fde_parse(cfi, is_eh, index->entries[after - 1].offset, ret_fde) &&
	       ret_fde->start <= file_addr && file_addr < ret_fde->end;
}

/* A section's bytes, left in the file's image, which reads them when they are needed. */
static struct cprof_cfi_section section_bytes(struct cprof_elf *elf, const char *name)
{
	const struct cprof_section *section = cprof_elf_section(elf, name);
	const uint8_t *bytes = section ? cprof_section_at(section, 0, 0) : NULL;
	if (!bytes || !section->size)
		return (struct cprof_cfi_section){ 0 };
	/* A header may promise more than the file has. */
	uint64_t left = section->image->size - section->offset;
	return (struct cprof_cfi_section){ .bytes = bytes,
					   .size = section->size < left ? section->size : left,
					   .addr = section->addr,
					   .image = section->image,
					   .offset = section->offset };
}

/*
 * The .debug_frame of the module's separate debug file, from this machine only: nobody waits for a server in the
 * middle of a walk.
 */
static void open_separate(struct cprof_cfi *cfi)
{
	const struct cprof_debug_roots roots = { .target_root = cfi->module->root,
						 .module_path = cfi->module->path };
	struct cprof_elf *elf = NULL;
	struct cprof_error *err =
		cfi->elf ? cprof_debug_file_find(cfi->elf, &roots, NULL, &elf) : NULL;
	cfi->module = NULL;
	if (!err && elf) {
		const struct cprof_cfi_section none = { 0 };
		err = cprof_cfi_new(none, none, section_bytes(elf, ".debug_frame"), &cfi->separate);
		if (!err)
			cfi->separate->elf = elf;
		else
			cprof_elf_free(elf);
	}
	cprof_error_free(err);
}

bool cprof_cfi_find(struct cprof_cfi *cfi, uint64_t file_addr, struct cprof_cfi_fde *ret_fde)
{
	if (cfi->n_table && table_find(cfi, file_addr, ret_fde))
		return true;
	if (!cfi->eh_index.built)
		index_build(cfi, true, &cfi->eh_index);
	if (index_find(cfi, true, &cfi->eh_index, file_addr, ret_fde))
		return true;
	if (!cfi->debug_index.built)
		index_build(cfi, false, &cfi->debug_index);
	if (index_find(cfi, false, &cfi->debug_index, file_addr, ret_fde))
		return true;
	if (cfi->module)
		open_separate(cfi);
	return cfi->separate && cprof_cfi_find(cfi->separate, file_addr, ret_fde);
}

size_t cprof_cfi_bytes_held(const struct cprof_cfi *cfi)
{
	return sizeof(*cfi) + (cfi->eh_index.cap + cfi->debug_index.cap) * sizeof(struct entry) +
	       (cfi->separate ? cprof_cfi_bytes_held(cfi->separate) : 0);
}

/* ---- finding the sections ---- */

struct cprof_error *cprof_cfi_new(struct cprof_cfi_section eh_frame, struct cprof_cfi_section hdr,
				  struct cprof_cfi_section debug_frame, struct cprof_cfi **ret_cfi)
{
	struct cprof_cfi *cfi = calloc(1, sizeof(*cfi));
	if (!cfi)
		return cprof_error_no_memory();
	cfi->eh_frame = eh_frame;
	cfi->hdr = hdr;
	cfi->debug_frame = debug_frame;
	hdr_open(cfi);
	*ret_cfi = cfi;
	return NULL;
}

void cprof_cfi_free(struct cprof_cfi *cfi)
{
	if (!cfi)
		return;
	free(cfi->eh_index.entries);
	free(cfi->debug_index.entries);
	cprof_cfi_free(cfi->separate);
	cprof_elf_free(cfi->elf);
	free(cfi);
}

static void from_section_headers(const struct cprof_module *module, struct cprof_cfi *cfi)
{
	struct cprof_error *err = cprof_elf_open(module->image, true, &cfi->elf);
	if (err) {
		cprof_error_free(err);
		return;
	}
	cfi->eh_frame = section_bytes(cfi->elf, ".eh_frame");
	cfi->hdr = section_bytes(cfi->elf, ".eh_frame_hdr");
	cfi->debug_frame = section_bytes(cfi->elf, ".debug_frame");
}

/* The bytes from `file_addr` to the end of its segment. */
static struct cprof_cfi_section segment_bytes(const struct cprof_module *module, uint64_t file_addr)
{
	struct cprof_image *image = module->image;
	for (size_t i = 0; i < module->n_segments; i++) {
		const struct cprof_segment *s = &module->segments[i];
		uint64_t at = file_addr - s->file_addr;
		if (file_addr < s->file_addr || at >= s->file_size || s->offset > image->size ||
		    s->file_size > image->size - s->offset)
			continue;
		return (struct cprof_cfi_section){ .bytes = image->copy + s->offset + at,
						   .size = s->file_size - at,
						   .addr = file_addr,
						   .image = image,
						   .offset = s->offset + at };
	}
	return (struct cprof_cfi_section){ 0 };
}

/* A file without section headers still has PT_GNU_EH_FRAME, which C++ exceptions need. */
static void from_program_headers(const struct cprof_module *module, struct cprof_cfi *cfi)
{
	if (module->eh_frame_hdr)
		cfi->hdr = segment_bytes(module, module->eh_frame_hdr);
	const struct cprof_cfi_base base = { cfi->hdr.bytes, cfi->hdr.addr, cfi->hdr.addr };
	struct cprof_cfi_reader r = cprof_cfi_reader_of(cfi->hdr.bytes, cfi->hdr.size);
	if (!cfi->hdr.bytes || !need(&cfi->hdr, 0, 12) || cprof_cfi_u8(&r) != 1)
		return;
	uint8_t encoding = cprof_cfi_u8(&r);
	cprof_cfi_fixed(&r, 2);
	uint64_t eh_frame = cprof_cfi_pointer(&r, encoding, &base);
	if (!r.bad)
		cfi->eh_frame = segment_bytes(module, eh_frame);
}

static void free_part(void *data)
{
	cprof_cfi_free(data);
}

struct cprof_error *cprof_cfi_get(struct cprof_module *module, struct cprof_cfi **ret_cfi)
{
	if (!module->unwind.data) {
		struct cprof_cfi *cfi;
		struct cprof_cfi_section none = { 0 };
		struct cprof_error *err = cprof_cfi_new(none, none, none, &cfi);
		if (err)
			return err;
		if (module->image) {
			from_section_headers(module, cfi);
			if (!cfi->eh_frame.bytes)
				from_program_headers(module, cfi);
			hdr_open(cfi);
			cfi->module = module;
		}
		module->unwind.data = cfi;
		module->unwind.free = free_part;
	}
	*ret_cfi = module->unwind.data;
	return NULL;
}
