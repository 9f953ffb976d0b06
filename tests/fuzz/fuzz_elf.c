/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real ELF files whose tables say something else: the whole way from the file to names, lines and unwinding, under a budget.
 * Bytes are changed where they mean something: headers of the file, its sections and segments, words inside of sections.
 * The budget's limits must hold whatever the file says.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cprof/symbolizer.h"
#include "symbolize/names/why.h"
#include "symbolize/unwind/cfi.h"

#define STEPS (1u << 22)
#define BYTES (48ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* ---- mutations ---- */

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t nasty(uint64_t *state, uint64_t was, size_t size)
{
	uint64_t n = next(state);
	switch (n % 10) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX - (n >> 32) % 64;
	case 2:
		return 1ull << (n >> 32) % 64;
	case 3:
		return was + (n >> 32) % 32 - 16;
	case 4:
		return size - (n >> 32) % 64;
	case 5:
		return (n >> 32) % (size + 1);
	case 6:
		return (n >> 32) % 64;
	case 7:
		return 0x7fffffff + (n >> 32) % 3;
	default:
		return was ^ 1ull << (n >> 32) % 64;
	}
}

static void change_word(uint8_t *data, size_t size, size_t at, size_t bytes, uint64_t *state)
{
	uint64_t word = 0;
	if (at > size || bytes > size - at)
		return;
	memcpy(&word, data + at, bytes);
	word = nasty(state, word, size);
	memcpy(data + at, &word, bytes);
}

/* A field of entry `index` of a table, or a word in what a section header leads to. */
static void change_section(uint8_t *data, size_t size, const Elf64_Ehdr *ehdr, uint64_t *state)
{
	static const size_t fields[] = { 0, 4, 8, 16, 24, 32, 40, 44, 48, 56 };
	static const size_t widths[] = { 4, 4, 8, 8, 8, 8, 4, 4, 8, 8 };
	uint64_t n = next(state), index = ehdr->e_shnum ? n % ehdr->e_shnum : 0;
	size_t at = ehdr->e_shoff + index * sizeof(Elf64_Shdr), field = (n >> 16) % 10;
	Elf64_Shdr shdr;
	if (at > size || sizeof(shdr) > size - at)
		return;
	memcpy(&shdr, data + at, sizeof(shdr));
	if (n >> 32 & 1) {
		change_word(data, size, at + fields[field], widths[field], state);
	} else if (n >> 33 & 7) {
		size_t word = 1u << (n >> 40) % 4;
		if (shdr.sh_size)
			change_word(data, size, shdr.sh_offset + next(state) % shdr.sh_size, word,
				    state);
	} else {
		/* The bytes of another one. */
		size_t other = ehdr->e_shoff + next(state) % (ehdr->e_shnum + 1u) * sizeof(shdr);
		if (other <= size && sizeof(shdr) <= size - other)
			memcpy(data + at + 24, data + other + 24, 16);
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	Elf64_Ehdr ehdr;
	uint64_t state = seed * 0x9e3779b97f4a7c15ull | 1;
	if (size < sizeof(ehdr) || next(&state) % 8 == 0)
		return LLVMFuzzerMutate(data, size, max);
	memcpy(&ehdr, data, sizeof(ehdr));
	for (uint64_t turns = 1 + next(&state) % 4; turns; turns--) {
		uint64_t n = next(&state);
		if (n % 16 == 0)
			change_word(data, size, 16 + (n >> 8) % 48, 1u << (n >> 16) % 4, &state);
		else if (n % 16 < 4 && ehdr.e_phnum)
			change_word(data, size,
				    ehdr.e_phoff + (n >> 8) % ehdr.e_phnum * sizeof(Elf64_Phdr) +
					    (n >> 24) % 7 * 8,
				    8, &state);
		else
			change_section(data, size, &ehdr, &state);
	}
	return size;
}

/* ---- the way ---- */

static void unwind(struct cprof_module *module, uint64_t addr)
{
	struct cprof_cfi *cfi;
	struct cprof_cfi_fde fde;
	struct cprof_cfi_row row;
	uint32_t steps = 5000;
	struct cprof_error *err = cprof_cfi_get(module, &cfi);
	if (!err && cprof_cfi_find(cfi, addr, &fde))
		cprof_cfi_run(&fde, addr, &steps, &row);
	cprof_error_free(err);
}

static void ask(struct cprof_symbolizer *symbolizer, struct cprof_module *module, uint64_t addr)
{
	const struct cprof_symbol_frame *frames;
	size_t n;
	struct cprof_error *err = cprof_symbolizer_file_addr(symbolizer, module, addr, &frames, &n);
	for (size_t i = 0; !err && i < n; i++) {
		if (!frames[i].name || strlen(frames[i].name) > 4096 ||
		    strlen(frames[i].file) > 4096)
			abort();
	}
	cprof_error_free(err);
	unwind(module, addr);
}

static void ask_all(struct cprof_modules *modules, struct cprof_module *module)
{
	const struct cprof_symbolizer_options options = { .demangle = CPROF_DEMANGLE_FULL };
	struct cprof_symbolizer *symbolizer;
	struct cprof_error *err = cprof_symbolizer_new(&options, modules, &symbolizer);
	if (err) {
		cprof_error_free(err);
		return;
	}
	for (size_t i = 0; i < module->n_segments && i < 8; i++) {
		const struct cprof_segment *s = &module->segments[i];
		for (uint64_t at = 0; at < 48 && at * 29 < s->mem_size; at++)
			ask(symbolizer, module, s->file_addr + at * 29);
	}
	cprof_symbolizer_notes(symbolizer);
	cprof_symbolizer_free(symbolizer);
}

static void explain(struct cprof_module *module)
{
	const struct cprof_why_options options = { .ask_servers = "-debuginfod" };
	struct cprof_buffer out = { 0 };
	module->path[0] = 0; /* no package has it, and none needs to be looked for */
	cprof_error_free(cprof_why_module(module, &options, &out));
	cprof_buffer_deinit(&out);
}

/* As if most of the budget were spent: what the file may still cost is little, so that a lie shows at once. */
static void spend(struct cprof_budget *budget)
{
	uint64_t steps = cprof_budget_limit(budget, NULL, CPROF_BUDGET_STEPS);
	uint64_t held = cprof_budget_limit(budget, NULL, CPROF_BUDGET_HELD);
	budget->spent[CPROF_BUDGET_STEPS] = steps - STEPS;
	budget->spent[CPROF_BUDGET_HELD] = held > BYTES ? held - BYTES : 0;
}

static void check(const struct cprof_budget *budget)
{
	for (int kind = 0; kind < CPROF_BUDGET_KINDS; kind++) {
		enum cprof_budget_kind k = (enum cprof_budget_kind)kind;
		if (budget->spent[k] > cprof_budget_limit(budget, NULL, k))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_modules modules;
	struct cprof_module *module;
	char path[64];
	int fd = memfd_create("fuzz", 0);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cprof_modules_init(&modules);
	spend(&modules.budget);
	struct cprof_error *err = cprof_modules_open(&modules, path, &module);
	if (!err) {
		ask_all(&modules, module);
		explain(module);
	}
	check(&modules.budget);
	cprof_error_free(err);
	cprof_modules_deinit(&modules);
	close(fd);
	return 0;
}
