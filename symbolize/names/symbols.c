/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/symbols.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/search.h"

#define SYMBOLS_MAX (1u << 24)
#define COMPARED    256 /* bytes of names */
#define NESTING_MAX 256 /* how many overlapping symbols are tried around one address */
#define RANK_GLOBAL 0x0c
#define RANK_LOCAL  0x08
#define RANK_WEAK   0x04

void cprof_symbols_deinit(struct cprof_symbols *symbols)
{
	free(symbols->all);
	free(symbols->reach);
	*symbols = (struct cprof_symbols){ 0 };
}

struct cprof_error *cprof_symbols_add(struct cprof_symbols *symbols,
				      const struct cprof_symbol *symbol)
{
	if (!CPROF_ARRAY_ROOM(symbols->all, symbols->n, symbols->cap, 1))
		return cprof_error_no_memory();
	symbols->all[symbols->n++] = *symbol;
	symbols->sorted = false;
	return NULL;
}

/* ---- what a symbol is worth ---- */

static uint8_t rank_of(const Elf64_Sym *sym)
{
	unsigned rank = 0;
	switch (ELF64_ST_BIND(sym->st_info)) {
	case STB_GLOBAL:
	case STB_GNU_UNIQUE:
		rank = RANK_GLOBAL;
		break;
	case STB_LOCAL:
		rank = RANK_LOCAL;
		break;
	default:
		rank = RANK_WEAK;
	}
	if (ELF64_ST_TYPE(sym->st_info) != STT_NOTYPE)
		rank |= CPROF_SYMBOL_FUNCTION;
	if (sym->st_size)
		rank |= CPROF_SYMBOL_SIZED;
	return (uint8_t)rank;
}

/* Labels that tools leave in tables: ARM mapping symbols and compiler temporaries are no functions. */
static bool is_label_noise(const char *name)
{
	return name[0] == '$' || strncmp(name, ".L", 2) == 0;
}

static bool is_code(const struct cprof_elf *elf, const Elf64_Sym *sym)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);
	if (sym->st_shndx == SHN_UNDEF)
		return false;
	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return true;
	if (type != STT_NOTYPE)
		return false;
	const struct cprof_section *section = cprof_elf_section_at(elf, sym->st_shndx);
	return section && (section->flags & SHF_EXECINSTR);
}

/* In relocatable files values count from their section's start. False: that is not in memory, as far as anybody knows. */
static bool relocate(const struct cprof_elf *elf, Elf64_Sym *sym)
{
	const struct cprof_section *section = cprof_elf_section_at(elf, sym->st_shndx);
	if (elf->type != ET_REL)
		return true;
	if (!section || !section->addr)
		return false;
	sym->st_value += section->addr;
	return true;
}

/* Where a symbol without size ends at the latest. */
static uint64_t section_end(const struct cprof_elf *elf, const Elf64_Sym *sym)
{
	const struct cprof_section *section = cprof_elf_section_at(elf, sym->st_shndx);
	if (!section || sym->st_value < section->addr)
		return sym->st_value + 1;
	return section->addr + section->size;
}

struct cprof_error *cprof_symbols_add_table(struct cprof_symbols *symbols, struct cprof_elf *elf,
					    const struct cprof_section *table, size_t *ret_added)
{
	const struct cprof_section *names = cprof_elf_section_at(elf, table->link);
	size_t n = table->size / sizeof(Elf64_Sym), added = 0;
	if (n > SYMBOLS_MAX)
		n = SYMBOLS_MAX;
	if (ret_added)
		*ret_added = 0;
	if (!cprof_account_charge(elf->image->account, CPROF_BUDGET_STEPS, n) ||
	    !cprof_account_charge(elf->image->account, CPROF_BUDGET_HELD,
				  n * (sizeof(struct cprof_symbol) + sizeof(uint64_t))))
		return NULL;
	const uint8_t *bytes = cprof_section_at(table, 0, n * sizeof(Elf64_Sym));
	/* All names at once: asking for each would test the same pieces of the file again and again. */
	const uint8_t *text = names ? cprof_section_at(names, 0, names->size) : NULL;
	size_t text_len = text ? names->size : 0;
	while (text_len && text[text_len - 1])
		text_len--;
	for (size_t i = 1; bytes && i < n; i++) {
		Elf64_Sym sym;
		memcpy(&sym, bytes + i * sizeof(sym), sizeof(sym));
		if (sym.st_name >= text_len || !is_code(elf, &sym) || !relocate(elf, &sym))
			continue;
		const char *name = (const char *)text + sym.st_name;
		if (!*name || is_label_noise(name))
			continue;
		struct cprof_symbol symbol = { .start = sym.st_value, .name = name };
		symbol.rank = rank_of(&sym);
		symbol.indirect = ELF64_ST_TYPE(sym.st_info) == STT_GNU_IFUNC;
		symbol.end = sym.st_size ? sym.st_value + sym.st_size : section_end(elf, &sym);
		if (symbol.end <= symbol.start)
			continue;
		struct cprof_error *err = cprof_symbols_add(symbols, &symbol);
		if (err)
			return err;
		added++;
	}
	if (ret_added)
		*ret_added = added;
	return NULL;
}

/* ---- order ---- */

/* What says "not for users": glibc's "__GI_" aliases come after everything else. */
static size_t underscores(const char *name)
{
	size_t n = 0;
	while (n < COMPARED && name[n] == '_')
		n++;
	return strncmp(name, "__GI_", 5) == 0 ? SIZE_MAX : n;
}

/* Names may differ only megabytes from their start: then it is the one that lies first in the file. */
static bool is_better_name(const char *a, const char *b)
{
	size_t au = underscores(a), bu = underscores(b);
	if (au != bu)
		return au < bu;
	int order = strncmp(a, b, COMPARED);
	return order ? order < 0 : (uintptr_t)a < (uintptr_t)b;
}

bool cprof_symbol_is_plainer(const struct cprof_symbol *a, const struct cprof_symbol *b)
{
	size_t au = underscores(a->name), bu = underscores(b->name);
	if (au != bu)
		return au < bu;
	return a->rank != b->rank ? a->rank > b->rank : is_better_name(a->name, b->name);
}

static int compare(const void *a_, const void *b_)
{
	const struct cprof_symbol *a = a_, *b = b_;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->rank != b->rank ? (a->rank > b->rank ? -1 : 1) : 0;
}

/* Another symbol at the place of `kept`, which is of no higher rank. */
static void meet(struct cprof_symbol *kept, const struct cprof_symbol *other)
{
	uint64_t end = other->end > kept->end ? other->end : kept->end;
	if (other->rank == kept->rank && is_better_name(other->name, kept->name)) {
		bool sized = kept->rank & CPROF_SYMBOL_SIZED;
		*kept = (struct cprof_symbol){ .start = kept->start,
					       .end = sized ? end : other->end,
					       .name = other->name,
					       .rank = kept->rank,
					       .indirect = other->indirect };
	} else if (other->rank & CPROF_SYMBOL_SIZED) {
		kept->end = end;
	}
}

/* At one address only the best stays; it may not lose reach by that. */
static void drop_losers(struct cprof_symbols *symbols)
{
	size_t kept = 0;
	for (size_t i = 0; i < symbols->n; i++) {
		struct cprof_symbol *last = kept ? &symbols->all[kept - 1] : NULL;
		if (!last || last->start != symbols->all[i].start)
			symbols->all[kept++] = symbols->all[i];
		else
			meet(last, &symbols->all[i]);
	}
	symbols->n = kept;
}

/* A label inside a function that says where it ends is a place in it, not another function. */
static void drop_labels(struct cprof_symbols *symbols)
{
	size_t kept = 0;
	uint64_t reach = 0;
	for (size_t i = 0; i < symbols->n; i++) {
		struct cprof_symbol symbol = symbols->all[i];
		bool sized = symbol.rank & CPROF_SYMBOL_SIZED;
		if (sized && symbol.end > reach)
			reach = symbol.end;
		if (sized || symbol.start >= reach)
			symbols->all[kept++] = symbol;
	}
	symbols->n = kept;
}

struct cprof_error *cprof_symbols_sort(struct cprof_symbols *symbols)
{
	if (symbols->n)
		qsort(symbols->all, symbols->n, sizeof(*symbols->all), compare);
	drop_losers(symbols);
	drop_labels(symbols);
	for (size_t i = 0; i + 1 < symbols->n; i++) {
		struct cprof_symbol *symbol = &symbols->all[i];
		if (!(symbol->rank & CPROF_SYMBOL_SIZED) && symbol->end > symbol[1].start)
			symbol->end = symbol[1].start;
	}
	free(symbols->reach);
	symbols->reach = malloc((symbols->n + 1) * sizeof(*symbols->reach));
	if (!symbols->reach)
		return cprof_error_no_memory();
	uint64_t reach = 0;
	for (size_t i = 0; i < symbols->n; i++) {
		if (symbols->all[i].end > reach)
			reach = symbols->all[i].end;
		symbols->reach[i] = reach;
	}
	symbols->sorted = true;
	return NULL;
}

const struct cprof_symbol *cprof_symbols_find(const struct cprof_symbols *symbols,
					      uint64_t file_addr)
{
	size_t after = CPROF_SEARCH(i, symbols->n, symbols->all[i].start <= file_addr);
	for (size_t i = after, tries = 0; i-- > 0 && tries < NESTING_MAX; tries++) {
		if (symbols->all[i].end > file_addr)
			return &symbols->all[i];
		if (symbols->reach[i] <= file_addr)
			break;
	}
	return NULL;
}
