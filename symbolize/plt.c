#include "symbolize/plt.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define ENTRY_SIZE   16
#define PLT_MAX      (1u << 18)
#define PLT_TEXT_MAX (64u << 20)

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

/* Writes "name@plt" behind one another; a relocation without a name gets an empty string. */
static struct cprof_error *write_names(const struct cprof_elf *elf,
				       const struct cprof_section *relocations, size_t n,
				       struct cprof_buffer *text)
{
	const struct cprof_section *symbols = cprof_elf_section_at(elf, relocations->link);
	const struct cprof_section *strings =
		symbols ? cprof_elf_section_at(elf, symbols->link) : NULL;
	for (size_t i = 0; i < n && text->len < PLT_TEXT_MAX; i++) {
		Elf64_Rela rela;
		Elf64_Sym sym;
		const uint8_t *bytes =
			cprof_section_at(relocations, i * sizeof(rela), sizeof(rela));
		if (!bytes)
			break;
		memcpy(&rela, bytes, sizeof(rela));
		bytes = symbols ? cprof_section_at(symbols, ELF64_R_SYM(rela.r_info) * sizeof(sym),
						   sizeof(sym))
				: NULL;
		const char *name = NULL;
		if (bytes && strings) {
			memcpy(&sym, bytes, sizeof(sym));
			name = cprof_section_string(strings, sym.st_name);
		}
		if (name && *name)
			cprof_buffer_printf(text, "%s" CPROF_PLT_SUFFIX, name);
		cprof_buffer_append(text, "", 1);
	}
	return cprof_buffer_error(text);
}

struct cprof_error *cprof_plt_add(struct cprof_elf *elf, char **ret_names,
				  struct cprof_symbols *symbols)
{
	struct table table;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const struct cprof_section *relocations = cprof_elf_section(elf, ".rela.plt");
	*ret_names = NULL;
	if (!relocations || !find_table(elf, &table))
		return NULL;
	size_t n = relocations->size / sizeof(Elf64_Rela);
	if (n > (table.end - table.start) / ENTRY_SIZE)
		n = (table.end - table.start) / ENTRY_SIZE;
	if (n > PLT_MAX)
		n = PLT_MAX;
	struct cprof_error *err = write_names(elf, relocations, n, &text);
	const char *at = cprof_buffer_text(&text), *end = at + text.len;
	for (size_t i = 0; i < n && at < end && !err; i++, at += strlen(at) + 1) {
		struct cprof_symbol symbol = { .start = table.start + i * ENTRY_SIZE, .name = at };
		symbol.end = symbol.start + ENTRY_SIZE;
		symbol.rank = CPROF_SYMBOL_FUNCTION | CPROF_SYMBOL_SIZED;
		if (*at)
			err = cprof_symbols_add(symbols, &symbol);
	}
	*ret_names = (char *)cprof_take_ptr(&text.data);
	text = (struct cprof_buffer){ 0 };
	return err;
}
