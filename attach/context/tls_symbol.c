/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/tls_symbol.h"

#include <elf.h>
#include <string.h>

#include "symbolize/elf/elf_relocations.h"

#define CHAIN_MAX       65536u /* symbols with one hash */
#define SYMBOLS_MAX     (4u << 20)
#define RELOCATIONS_MAX (4u << 20)
#define HEADERS_MAX     256

/* What the loader writes, by CPU. */
struct words {
	uint16_t machine;
	uint32_t offset, module, descriptor; /* types of relocations */
};
static const struct words words[] = {
	{ EM_X86_64, R_X86_64_TPOFF64, R_X86_64_DTPMOD64, R_X86_64_TLSDESC },
	{ EM_AARCH64, R_AARCH64_TLS_TPREL, R_AARCH64_TLS_DTPMOD, R_AARCH64_TLSDESC },
};

static const struct words *words_of(uint16_t machine)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].machine == machine)
			return &words[i];
	}
	return NULL;
}

/* ---- the symbol ---- */

struct look {
	struct cprof_elf *elf;
	const struct cprof_section *symbols, *strings;
	const char *name;
	struct cprof_tls_symbol *symbol;
	const struct words *words;
};

static bool is_it(const struct look *look, const Elf64_Sym *sym)
{
	if (ELF64_ST_TYPE(sym->st_info) != STT_TLS || sym->st_shndx == SHN_UNDEF)
		return false;
	const char *name = cprof_section_string(look->strings, sym->st_name);
	return name && strcmp(name, look->name) == 0;
}

static bool open_symbols(struct look *look, uint32_t type)
{
	look->symbols = cprof_elf_section_of_type(look->elf, type);
	look->strings = look->symbols ? cprof_elf_section_at(look->elf, look->symbols->link) : NULL;
	return look->strings;
}

/* The symbol number `i`. */
static bool try_symbol(struct look *look, size_t i)
{
	const uint8_t *bytes =
		cprof_section_at(look->symbols, i * sizeof(Elf64_Sym), sizeof(Elf64_Sym));
	Elf64_Sym sym;
	if (!bytes)
		return false;
	memcpy(&sym, bytes, sizeof(sym));
	if (!is_it(look, &sym))
		return false;
	look->symbol->value = sym.st_value;
	return true;
}

/* All of them. */
static bool scan(struct look *look)
{
	const size_t n = look->symbols->size / sizeof(Elf64_Sym);
	for (size_t i = 1; i < n && i < SYMBOLS_MAX; i++) {
		if (try_symbol(look, i))
			return true;
	}
	return false;
}

static uint32_t word_at(const struct cprof_section *section, uint64_t index)
{
	const uint8_t *bytes = cprof_section_at(section, index * 4, 4);
	uint32_t word = 0;
	if (bytes)
		memcpy(&word, bytes, sizeof(word));
	return word;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;
	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/*
 * By the loader's own table, so that an object that does not have it, as most, costs a few bytes: number of buckets, first symbol, size and
 * shift of a Bloom filter of 64-bit words, the filter, the buckets, and for each symbol its hash with the lowest bit as the end of a chain.
 */
static bool find_by_hash(struct look *look, const struct cprof_section *table)
{
	const uint32_t hash = gnu_hash(look->name), buckets = word_at(table, 0),
		       first = word_at(table, 1), words_n = word_at(table, 2);
	if (!buckets || !words_n)
		return false;
	const uint64_t filter = 4 + 2 * (uint64_t)((hash / 64) % words_n);
	const uint64_t word = word_at(table, filter) | (uint64_t)word_at(table, filter + 1) << 32;
	if (!(word >> (hash % 64) & word >> ((hash >> (word_at(table, 3) & 31)) % 64) & 1))
		return false;
	const uint64_t chains = 4 + 2 * (uint64_t)words_n + buckets;
	const uint64_t start = word_at(table, chains - buckets + hash % buckets);
	for (uint64_t i = start; i >= first && i && i - start < CHAIN_MAX; i++) {
		const uint32_t entry = word_at(table, chains + i - first);
		if ((entry | 1) == (hash | 1) && try_symbol(look, i))
			return true;
		if (entry & 1)
			return false;
	}
	return false;
}

static bool find_own(struct look *look)
{
	return open_symbols(look, SHT_SYMTAB) && scan(look);
}

static bool find_exported(struct look *look)
{
	if (!open_symbols(look, SHT_DYNSYM)) /* a static program */
		return find_own(look);
	const struct cprof_section *table = cprof_elf_section_of_type(look->elf, SHT_GNU_HASH);
	return table ? find_by_hash(look, table) : scan(look);
}

/* ---- the block ---- */

static bool find_block(struct cprof_image *image, struct cprof_tls_symbol *symbol)
{
	const uint8_t *bytes = cprof_image_at(image, 0, sizeof(Elf64_Ehdr));
	Elf64_Ehdr head;
	if (!bytes)
		return false;
	memcpy(&head, bytes, sizeof(head));
	for (size_t i = 0; i < head.e_phnum && i < HEADERS_MAX; i++) {
		Elf64_Phdr segment;
		bytes = cprof_image_at(image, head.e_phoff + i * sizeof(segment), sizeof(segment));
		if (!bytes)
			return false;
		memcpy(&segment, bytes, sizeof(segment));
		if (segment.p_type != PT_TLS)
			continue;
		symbol->block_addr = segment.p_vaddr;
		symbol->block_bytes = segment.p_memsz;
		symbol->block_align = segment.p_align ? segment.p_align : 1;
		return symbol->value < segment.p_memsz &&
		       !(symbol->block_align & (symbol->block_align - 1));
	}
	return false;
}

/* ---- the words ---- */

/* Of the variable itself, or of the object as a whole; a descriptor before a module, whose word code may have besides. */
static enum cprof_tls_way way_of(const struct look *look, uint32_t type)
{
	if (type == look->words->offset)
		return CPROF_TLS_OFFSET;
	if (type == look->words->descriptor)
		return CPROF_TLS_DESCRIPTOR;
	return type == look->words->module ? CPROF_TLS_MODULE : CPROF_TLS_NONE;
}

/* Where the word's variable is in the object's block; false: it is another object's. */
static bool place_of(const struct look *look, const struct cprof_section *relocations,
		     const Elf64_Rela *rela, int64_t *ret_at)
{
	const uint64_t index = ELF64_R_SYM(rela->r_info);
	const struct cprof_section *symbols = cprof_elf_section_at(look->elf, relocations->link);
	Elf64_Sym sym;
	*ret_at = rela->r_addend;
	if (!index)
		return true;
	const uint8_t *bytes =
		symbols ? cprof_section_at(symbols, index * sizeof(sym), sizeof(sym)) : NULL;
	if (!bytes)
		return false;
	memcpy(&sym, bytes, sizeof(sym));
	*ret_at = (int64_t)((uint64_t)rela->r_addend + sym.st_value);
	return sym.st_shndx != SHN_UNDEF;
}

static void look_at(void *ctx, const struct cprof_section *relocations, const Elf64_Rela *rela)
{
	const struct look *look = ctx;
	struct cprof_tls_symbol *symbol = look->symbol;
	const enum cprof_tls_way way = way_of(look, (uint32_t)ELF64_R_TYPE(rela->r_info));
	int64_t at;
	if (way == CPROF_TLS_NONE || !place_of(look, relocations, rela, &at))
		return;
	/* The first one, but one of the variable's own goes before. */
	const bool own = (uint64_t)at == symbol->value;
	if (symbol->way != CPROF_TLS_NONE && !(own && (uint64_t)symbol->addend != symbol->value))
		return;
	symbol->way = way;
	symbol->word = rela->r_offset;
	symbol->addend = at;
}

bool cprof_tls_symbol_find(const struct cprof_module *module, const char *name, bool any,
			   struct cprof_tls_symbol *ret_symbol)
{
	struct look look = { .name = name, .symbol = ret_symbol };
	if (!module->image)
		return false;
	struct cprof_error *err = cprof_elf_open(module->image, true, &look.elf);
	if (err) {
		cprof_error_free(err);
		return false;
	}
	*ret_symbol = (struct cprof_tls_symbol){ .machine = look.elf->machine };
	look.words = words_of(look.elf->machine);
	const bool found = look.words && (find_exported(&look) || (any && find_own(&look))) &&
			   find_block(module->image, ret_symbol);
	if (found)
		cprof_elf_relocations_each(look.elf, RELOCATIONS_MAX, look_at, &look);
	cprof_elf_free(look.elf);
	return found;
}

uint64_t cprof_tls_symbol_block(const struct cprof_module *module,
				struct cprof_tls_symbol *ret_symbol)
{
	*ret_symbol = (struct cprof_tls_symbol){ .machine = module->arch ? module->arch->elf_machine
									 : EM_NONE };
	return module->image && find_block(module->image, ret_symbol) ? ret_symbol->block_bytes : 0;
}
