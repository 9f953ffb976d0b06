/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real ELF files whose tables say something else: the whole way from the file to names, lines and unwinding, under a budget.
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
#include "tests/fuzz/mutate_elf.h"

#define STEPS (1u << 22)
#define BYTES (48ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	const struct cprof_symbolizer_options options = { .way = CPROF_SYMBOLIZER_INDEX,
							  .demangle = CPROF_DEMANGLE_FULL };
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
