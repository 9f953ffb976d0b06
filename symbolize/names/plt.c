/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/plt.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cprof/buffer.h"
#include "cprof/hash.h"

#define ENTRY_SIZE           16
#define HEADER_SIZE          32 /* AArch64 */
#define PLT_MAX              (1u << 18)
#define PLT_TEXT_MAX         (64u << 20)
#define CPROF_PLT_NAME_BYTES "4000" /* of a name; what is longer is cut */

struct table {
	uint64_t start; /* of the entry of the first relocation */
	uint64_t end;
};

/* Where entries lie: .plt starts with a common part of two of them. */
static bool find_table(struct cprof_elf *elf, struct table *table)
{
	const struct cprof_section *section = cprof_elf_section(elf, ".plt");
	if (!section || section->size < HEADER_SIZE)
		return false;
	table->start = section->addr + HEADER_SIZE;
	table->end = section->addr + section->size;
	return true;
}

/* The name of the symbol that relocation `index` is about; NULL: none. */
static const char *relocated(const struct cprof_elf *elf, const struct cprof_section *relocations,
			     size_t index, uint64_t *ret_place)
{
	const struct cprof_section *symbols = cprof_elf_section_at(elf, relocations->link);
	const struct cprof_section *strings =
		symbols ? cprof_elf_section_at(elf, symbols->link) : NULL;
	Elf64_Rela rela;
	Elf64_Sym sym;
	const uint8_t *bytes = cprof_section_at(relocations, index * sizeof(rela), sizeof(rela));
	if (!bytes || !strings)
		return NULL;
	memcpy(&rela, bytes, sizeof(rela));
	*ret_place = rela.r_offset;
	bytes = cprof_section_at(symbols, ELF64_R_SYM(rela.r_info) * sizeof(sym), sizeof(sym));
	if (!bytes || !ELF64_R_SYM(rela.r_info))
		return NULL;
	memcpy(&sym, bytes, sizeof(sym));
	const char *name = cprof_section_string(strings, sym.st_name);
	return name && *name ? name : NULL;
}

struct entry {
	uint64_t start, size;
	size_t name; /* offset in the text */
};

struct entries {
	struct cprof_buffer text; /* "name@plt" behind one another */
	struct cprof_buffer all;  /* struct entry behind one another */
};

static void add_entry(struct entries *entries, const char *name, uint64_t start, uint64_t size)
{
	struct entry entry = { start, size, entries->text.len };
	if (entries->text.len > PLT_TEXT_MAX)
		return;
	cprof_buffer_printf(&entries->text, "%." CPROF_PLT_NAME_BYTES "s" CPROF_PLT_SUFFIX, name);
	cprof_buffer_append(&entries->text, "", 1);
	cprof_buffer_append(&entries->all, &entry, sizeof(entry));
}

/* AArch64: entries in the order of .rela.plt. */
static void read_lazy(struct cprof_elf *elf, struct entries *entries)
{
	struct table table;
	const struct cprof_section *relocations = cprof_elf_section(elf, ".rela.plt");
	if (!relocations || !find_table(elf, &table))
		return;
	size_t n = relocations->size / sizeof(Elf64_Rela);
	for (size_t i = 0; i < n && i < PLT_MAX; i++) {
		uint64_t start = table.start + i * ENTRY_SIZE, place;
		const char *name = relocated(elf, relocations, i, &place);
		if (start + ENTRY_SIZE > table.end)
			break;
		if (name)
			add_entry(entries, name, start, ENTRY_SIZE);
	}
}

/* ---- x86-64: by the word of the GOT that an entry goes through ---- */

/* Where names of words of the GOT are: index of the relocation, and in which section. */
struct slots {
	struct cprof_map64 at; /* word of the GOT -> relocation + 1, or that and IN_DYN */
	const struct cprof_section *plt, *dyn;
};

#define IN_DYN (1ull << 62)

static void add_slots(struct cprof_elf *elf, struct slots *slots,
		      const struct cprof_section *relocations, uint64_t flag)
{
	size_t n = relocations ? relocations->size / sizeof(Elf64_Rela) : 0;
	for (size_t i = 0; i < n && i < PLT_MAX; i++) {
		uint64_t place, *known;
		if (relocated(elf, relocations, i, &place) &&
		    (known = cprof_map64_put(&slots->at, place, NULL)))
			*known = (i + 1) | flag;
	}
}

static const char *slot_name(struct cprof_elf *elf, const struct slots *slots, uint64_t place)
{
	const uint64_t *known = cprof_map64_get(&slots->at, place);
	uint64_t unused;
	if (!known)
		return NULL;
	return relocated(elf, *known & IN_DYN ? slots->dyn : slots->plt, (*known & ~IN_DYN) - 1,
			 &unused);
}

/* Does an instruction at `code` read a word of the GOT: "jmp *n(%rip)", or for retpolines "mov n(%rip),%r11"? */
static bool goes_through(const uint8_t *code, size_t left, uint64_t addr, uint64_t *ret_place)
{
	const size_t n = left >= 6 && code[0] == 0xff && code[1] == 0x25     ? 6
			 : left >= 7 && memcmp(code, "\x4c\x8b\x1d", 3) == 0 ? 7
									     : 0;
	int32_t offset;
	if (!n)
		return false;
	memcpy(&offset, code + n - sizeof(offset), sizeof(offset));
	*ret_place = addr + n + (uint64_t)(int64_t)offset;
	return true;
}

/* The name of what the `step` bytes at `offset` go to; *ret_any: they begin an entry, of whatever. NULL: none. */
static const char *entry_name(struct cprof_elf *elf, const struct slots *slots,
			      const struct cprof_section *section, const uint8_t *bytes,
			      uint64_t offset, uint64_t size, size_t step, bool *ret_any)
{
	const char *name = NULL;
	*ret_any = false;
	for (uint64_t at = offset; at < offset + step && at < size && !name; at++) {
		uint64_t place;
		if (!goes_through(bytes + at, size - at, section->addr + at, &place))
			continue;
		*ret_any = true;
		name = slot_name(elf, slots, place);
	}
	return name;
}

/* An entry may go on in the piece behind it, if nothing begins there (retpolines have 32 bytes). */
static void read_section(struct cprof_elf *elf, const struct slots *slots, const char *section_name,
			 struct entries *entries)
{
	const struct cprof_section *section = cprof_elf_section(elf, section_name);
	if (!section)
		return;
	/* .plt.got has shorter ones, most often. */
	size_t step = strcmp(section_name, ".plt.got") == 0 && section->entsize != 16 ? 8 : 16;
	/* What the header says is not what there is: the bytes decide, and how many entries a program may have. */
	uint64_t size = section->size < PLT_MAX * step ? section->size : PLT_MAX * step;
	const uint8_t *bytes = cprof_section_at(section, 0, size);
	for (uint64_t offset = 0; bytes && offset < size; offset += step) {
		bool any, next;
		const char *name = entry_name(elf, slots, section, bytes, offset, size, step, &any);
		uint64_t length = size - offset < step ? size - offset : step;
		if (!name)
			continue;
		entry_name(elf, slots, section, bytes, offset + step, size, step, &next);
		if (step == ENTRY_SIZE && !next && size - offset >= 2 * ENTRY_SIZE)
			length = 2 * ENTRY_SIZE;
		add_entry(entries, name, section->addr + offset, length);
	}
}

/* Linkers lay entries out in many ways, but each goes through its word of the GOT, which a relocation fills. */
static void read_by_slot(struct cprof_elf *elf, struct entries *entries)
{
	static const char *const sections[] = { ".plt", ".plt.sec", ".plt.got" };
	struct slots slots = { .plt = cprof_elf_section(elf, ".rela.plt"),
			       .dyn = cprof_elf_section(elf, ".rela.dyn") };
	add_slots(elf, &slots, slots.dyn, IN_DYN);
	add_slots(elf, &slots, slots.plt, 0);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		read_section(elf, &slots, sections[i], entries);
	cprof_map64_deinit(&slots.at);
}

struct cprof_error *cprof_plt_add(struct cprof_elf *elf, char **ret_names,
				  struct cprof_symbols *symbols)
{
	struct entries entries = { 0 };
	if (elf->machine == EM_X86_64)
		read_by_slot(elf, &entries);
	else
		read_lazy(elf, &entries);
	struct cprof_error *err = cprof_buffer_error(&entries.text);
	if (!err)
		err = cprof_buffer_error(&entries.all);
	*ret_names = (char *)cprof_take_ptr(&entries.text.data);
	for (size_t at = 0; at < entries.all.len && !err; at += sizeof(struct entry)) {
		struct entry entry;
		memcpy(&entry, entries.all.data + at, sizeof(entry));
		const struct cprof_symbol symbol = { .start = entry.start,
						     .end = entry.start + entry.size,
						     .name = *ret_names + entry.name,
						     .rank = CPROF_SYMBOL_FUNCTION |
							     CPROF_SYMBOL_SIZED };
		err = cprof_symbols_add(symbols, &symbol);
	}
	cprof_buffer_deinit(&entries.all);
	return err;
}
