#include "symbolize/names/plt.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cprof/buffer.h"
#include "cprof/hash.h"

#define ENTRY_SIZE           16
#define PLT_MAX              (1u << 18)
#define PLT_TEXT_MAX         (64u << 20)
#define CPROF_PLT_NAME_BYTES "4000" /* of a name; what is longer is cut */

struct table {
	uint64_t start; /* of the entry of the first relocation */
	uint64_t end;
};

/* Where entries lie: .plt.sec (with branch protection) has nothing but entries, .plt starts with a common part. */
static bool find_table(struct cprof_elf *elf, struct table *table)
{
	const struct cprof_section *section = cprof_elf_section(elf, ".plt.sec");
	uint64_t header = 0;
	if (!section) {
		section = cprof_elf_section(elf, ".plt");
		header = elf->machine == EM_AARCH64 ? 32 : ENTRY_SIZE;
	}
	if (!section || section->size < header)
		return false;
	table->start = section->addr + header;
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

/* Entries in the order of .rela.plt. */
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

/* Which word of the GOT the x86-64 entry jumps through: "jmp *offset(%rip)", perhaps after endbr64. */
static bool jumps_through(const uint8_t *code, size_t size, uint64_t addr, uint64_t *ret_place)
{
	for (size_t i = 0; i + 6 <= size; i++) {
		int32_t offset;
		if (code[i] != 0xff || code[i + 1] != 0x25)
			continue;
		memcpy(&offset, code + i + 2, sizeof(offset));
		*ret_place = addr + i + 6 + (uint64_t)(int64_t)offset;
		return true;
	}
	return false;
}

/* Entries of functions whose address is also taken: these jump through words that .rela.dyn fills. */
static void read_eager(struct cprof_elf *elf, struct entries *entries)
{
	const struct cprof_section *section = cprof_elf_section(elf, ".plt.got");
	const struct cprof_section *relocations = cprof_elf_section(elf, ".rela.dyn");
	struct cprof_map64 at = { 0 }; /* word of the GOT -> relocation + 1 */
	if (!section || !relocations || elf->machine != EM_X86_64)
		return;
	/* What the header says is not what there is: the bytes decide, and how many entries a program may have. */
	size_t step = section->entsize == 16 ? 16 : 8;
	uint64_t size = section->size < PLT_MAX * step ? section->size : PLT_MAX * step;
	const uint8_t *bytes = cprof_section_at(section, 0, size);
	if (!bytes)
		return;
	size_t n = relocations->size / sizeof(Elf64_Rela);
	for (size_t i = 0; i < n && i < PLT_MAX; i++) {
		uint64_t place, *known;
		if (relocated(elf, relocations, i, &place) &&
		    (known = cprof_map64_put(&at, place, NULL)))
			*known = i + 1;
	}
	for (uint64_t offset = 0; offset + step <= size; offset += step) {
		uint64_t place, addr = section->addr + offset;
		if (!jumps_through(bytes + offset, step, addr, &place))
			continue;
		const uint64_t *index = cprof_map64_get(&at, place);
		if (index)
			add_entry(entries, relocated(elf, relocations, *index - 1, &place), addr,
				  step);
	}
	cprof_map64_deinit(&at);
}

struct cprof_error *cprof_plt_add(struct cprof_elf *elf, char **ret_names,
				  struct cprof_symbols *symbols)
{
	struct entries entries = { 0 };
	read_lazy(elf, &entries);
	read_eager(elf, &entries);
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
