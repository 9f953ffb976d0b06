/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/plt.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cprof/buffer.h"
#include "cprof/hash.h"

#define ENTRY_SIZE           16
#define COMMON_MAX           64 /* bytes that come before the entries */
#define SHORT_SIZE           8
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

struct entry {
	uint64_t start, size;
	size_t name; /* offset in the text */
};

struct entries {
	struct cprof_buffer text; /* "name@plt" behind one another */
	struct cprof_buffer all;  /* struct entry behind one another */
};

static void add(struct entries *entries, const char *name, const char *suffix, uint64_t start,
		uint64_t size)
{
	struct entry entry = { start, size, entries->text.len };
	if (entries->text.len > PLT_TEXT_MAX)
		return;
	cprof_buffer_printf(&entries->text, "%." CPROF_PLT_NAME_BYTES "s%s", name, suffix);
	cprof_buffer_append(&entries->text, "", 1);
	cprof_buffer_append(&entries->all, &entry, sizeof(entry));
}

static void add_entry(struct entries *entries, const char *name, uint64_t start, uint64_t size)
{
	add(entries, name, CPROF_PLT_SUFFIX, start, size);
}

/* ---- what relocations fill words of the GOT with ---- */

struct slots {
	const struct cprof_elf *elf;           /* borrowed */
	const struct cprof_symbols *symbols;   /* borrowed; not sorted */
	const struct cprof_section *plt, *dyn; /* relocations; NULL: none */
	struct cprof_map64 at;        /* word of the GOT -> relocation + 1, or that and IN_DYN */
	struct cprof_map64 resolvers; /* resolver of an indirect function -> symbol + 1 */
};

#define IN_DYN (1ull << 62)

static bool is_indirect(const struct slots *slots, const Elf64_Rela *rela)
{
	return ELF64_R_TYPE(rela->r_info) ==
	       (slots->elf->machine == EM_X86_64 ? R_X86_64_IRELATIVE : R_AARCH64_IRELATIVE);
}

/* What the loader asks for an address has the function's name, where the program still has symbols. */
static const char *resolved_name(const struct slots *slots, uint64_t resolver)
{
	const uint64_t *known = cprof_map64_get(&slots->resolvers, resolver);
	return known ? slots->symbols->all[*known - 1].name : NULL;
}

static const char *symbol_name(const struct slots *slots, const struct cprof_section *relocations,
			       uint64_t index)
{
	const struct cprof_section *symbols = cprof_elf_section_at(slots->elf, relocations->link);
	const struct cprof_section *strings =
		symbols ? cprof_elf_section_at(slots->elf, symbols->link) : NULL;
	Elf64_Sym sym;
	const uint8_t *bytes = strings && index
				       ? cprof_section_at(symbols, index * sizeof(sym), sizeof(sym))
				       : NULL;
	if (!bytes)
		return NULL;
	memcpy(&sym, bytes, sizeof(sym));
	return cprof_section_string(strings, sym.st_name);
}

/* The name of what relocation `index` is about; NULL: none. ret_place may be NULL. */
static const char *relocated(const struct slots *slots, const struct cprof_section *relocations,
			     uint64_t index, uint64_t *ret_place)
{
	Elf64_Rela rela;
	const uint8_t *bytes =
		relocations ? cprof_section_at(relocations, index * sizeof(rela), sizeof(rela))
			    : NULL;
	if (!bytes)
		return NULL;
	memcpy(&rela, bytes, sizeof(rela));
	if (ret_place)
		*ret_place = rela.r_offset;
	const char *name = is_indirect(slots, &rela)
				   ? resolved_name(slots, (uint64_t)rela.r_addend)
				   : symbol_name(slots, relocations, ELF64_R_SYM(rela.r_info));
	return name && *name ? name : NULL;
}

static void add_resolvers(struct slots *slots)
{
	const struct cprof_symbol *all = slots->symbols->all;
	for (size_t i = 0; i < slots->symbols->n; i++) {
		uint64_t *best = all[i].indirect
					 ? cprof_map64_put(&slots->resolvers, all[i].start, NULL)
					 : NULL;
		if (best && (!*best || cprof_symbol_is_plainer(&all[i], &all[*best - 1])))
			*best = i + 1;
	}
}

static void add_slots(struct slots *slots, const struct cprof_section *relocations, uint64_t flag)
{
	size_t n = relocations ? relocations->size / sizeof(Elf64_Rela) : 0;
	for (size_t i = 0; i < n && i < PLT_MAX; i++) {
		uint64_t place, *known;
		if (relocated(slots, relocations, i, &place) &&
		    (known = cprof_map64_put(&slots->at, place, NULL)))
			*known = (i + 1) | flag;
	}
}

static void slots_init(struct slots *slots, const struct cprof_elf *elf,
		       const struct cprof_section *plt, const struct cprof_section *dyn,
		       const struct cprof_symbols *symbols)
{
	*slots = (struct slots){ .elf = elf, .symbols = symbols, .plt = plt, .dyn = dyn };
	add_resolvers(slots);
	add_slots(slots, slots->dyn, IN_DYN);
	add_slots(slots, slots->plt, 0);
}

static void slots_deinit(struct slots *slots)
{
	cprof_map64_deinit(&slots->at);
	cprof_map64_deinit(&slots->resolvers);
}

static const char *slot_name(const struct slots *slots, uint64_t place)
{
	const uint64_t *known = cprof_map64_get(&slots->at, place);
	return known ? relocated(slots, *known & IN_DYN ? slots->dyn : slots->plt,
				 (*known & ~IN_DYN) - 1, NULL)
		     : NULL;
}

/* ---- AArch64: entries in the order of .rela.plt ---- */

static void read_lazy(struct cprof_elf *elf, const struct slots *slots, struct entries *entries)
{
	struct table table;
	if (!slots->plt || !find_table(elf, &table))
		return;
	size_t n = slots->plt->size / sizeof(Elf64_Rela);
	for (size_t i = 0; i < n && i < PLT_MAX; i++) {
		uint64_t start = table.start + i * ENTRY_SIZE;
		const char *name = relocated(slots, slots->plt, i, NULL);
		if (start + ENTRY_SIZE > table.end)
			break;
		if (name)
			add_entry(entries, name, start, ENTRY_SIZE);
	}
}

/* ---- x86-64: by the word of the GOT that an entry goes through ---- */

/* A section of entries, and how far apart they begin. */
struct pieces {
	const struct cprof_section *section;
	const uint8_t *bytes;
	uint64_t size;
	size_t step;
};

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

/* "endbr64; push $n" of a table of its own, for what has no address yet (.plt beside .plt.sec): n is the relocation. */
static bool asks_for(const uint8_t *code, size_t left, uint32_t *ret_relocation)
{
	if (left < 9 || memcmp(code, "\xf3\x0f\x1e\xfa\x68", 5) != 0)
		return false;
	memcpy(ret_relocation, code + 5, sizeof(*ret_relocation));
	return true;
}

/* The name of what the piece at `offset` goes to; *ret_any: an entry begins there, of whatever. NULL: none. */
static const char *entry_name(const struct slots *slots, const struct pieces *pieces,
			      uint64_t offset, bool *ret_any)
{
	const char *name = NULL;
	uint32_t relocation;
	*ret_any = false;
	for (uint64_t at = offset; at < offset + pieces->step && at < pieces->size && !name; at++) {
		uint64_t place;
		if (!goes_through(pieces->bytes + at, pieces->size - at, pieces->section->addr + at,
				  &place))
			continue;
		*ret_any = true;
		name = slot_name(slots, place);
	}
	if (*ret_any || offset >= pieces->size ||
	    !asks_for(pieces->bytes + offset, pieces->size - offset, &relocation))
		return name;
	*ret_any = true;
	return relocated(slots, slots->plt, relocation, NULL);
}

/* Of .plt.got, and of programs without a loader: nothing but the jump. */
static bool is_short(const char *section_name, const struct pieces *pieces)
{
	uint64_t unused;
	if (strcmp(section_name, ".plt.got") == 0 && pieces->section->entsize != 16)
		return true;
	return pieces->bytes && pieces->size >= 2 * SHORT_SIZE &&
	       goes_through(pieces->bytes, pieces->size, 0, &unused) &&
	       goes_through(pieces->bytes + SHORT_SIZE, pieces->size - SHORT_SIZE, 0, &unused);
}

/* What the header says is not what there is: the bytes decide, and how many entries a program may have. */
static bool find_pieces(struct cprof_elf *elf, const char *section_name, struct pieces *pieces)
{
	pieces->section = cprof_elf_section(elf, section_name);
	if (!pieces->section)
		return false;
	pieces->size = pieces->section->size < PLT_MAX * SHORT_SIZE ? pieces->section->size
								    : PLT_MAX * SHORT_SIZE;
	pieces->bytes = cprof_section_at(pieces->section, 0, pieces->size);
	pieces->step = is_short(section_name, pieces) ? SHORT_SIZE : ENTRY_SIZE;
	return pieces->bytes != NULL;
}

/*
 * What stands before the first entry is common to all, and called as the section is: each call by lld's retpolines goes
 * through it. An entry may go on in the piece behind it, if nothing begins there (retpolines have 32 bytes).
 */
static void read_section(struct cprof_elf *elf, const struct slots *slots, const char *section_name,
			 struct entries *entries)
{
	struct pieces pieces;
	bool begun = false;
	if (!find_pieces(elf, section_name, &pieces))
		return;
	for (uint64_t offset = 0; offset < pieces.size; offset += pieces.step) {
		bool any, next;
		const char *name = entry_name(slots, &pieces, offset, &any);
		uint64_t left = pieces.size - offset;
		uint64_t length = left < pieces.step ? left : pieces.step;
		if (!name)
			continue;
		if (!begun && offset && offset <= COMMON_MAX)
			add(entries, section_name, "", pieces.section->addr, offset);
		begun = true;
		entry_name(slots, &pieces, offset + pieces.step, &next);
		if (pieces.step == ENTRY_SIZE && !next && left >= 2 * ENTRY_SIZE)
			length = 2 * ENTRY_SIZE;
		add_entry(entries, name, pieces.section->addr + offset, length);
	}
}

/* Linkers lay entries out in many ways, but each goes through its word of the GOT, which a relocation fills. */
static void read_by_slot(struct cprof_elf *elf, const struct slots *slots, struct entries *entries)
{
	static const char *const sections[] = { ".plt", ".plt.sec", ".plt.got", ".iplt" };
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		read_section(elf, slots, sections[i], entries);
}

struct cprof_error *cprof_plt_add(struct cprof_elf *elf, char **ret_names,
				  struct cprof_symbols *symbols)
{
	struct entries entries = { 0 };
	struct slots slots;
	slots_init(&slots, elf, cprof_elf_section(elf, ".rela.plt"),
		   cprof_elf_section(elf, ".rela.dyn"), symbols);
	if (elf->machine == EM_X86_64)
		read_by_slot(elf, &slots, &entries);
	else
		read_lazy(elf, &slots, &entries);
	slots_deinit(&slots);
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
