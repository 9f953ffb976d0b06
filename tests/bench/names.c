/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names - look addresses of one file up, as cprof-attach does after its window; for bench_names.py and by hand.
 *
 * Usage: names FILE [-print] [-mangled] [-cache DIR] < hexadecimal addresses as in the file, one a line
 * Prints what was measured on stderr; with -print the frames on stdout in llvm-symbolizer's layout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "cprof/symbolizer.h"

#define ADDRS_MAX (1u << 20)

static void check(struct cprof_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "names: %s\n", err->message);
	exit(1);
}

static void print(uint64_t addr, const struct cprof_symbol_frame *frames, size_t n)
{
	printf("0x%" PRIx64 "\n", addr);
	for (size_t i = 0; i < n; i++)
		printf("%s\n%s:%" PRId64 ":%" PRId64 "\n", frames[i].name, frames[i].file,
		       frames[i].line, frames[i].column);
	printf("\n");
}

int main(int argc, char **argv)
{
	bool printing = false;
	struct cprof_symbolizer_options options = { 0 };
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "-print") == 0)
			printing = true;
		else if (strcmp(argv[i], "-mangled") == 0)
			options.demangle = CPROF_DEMANGLE_NONE;
		else if (strcmp(argv[i], "-cache") == 0 && i + 1 < argc)
			options.cache_dir = argv[++i];
	}
	if (argc < 2)
		return 2;
	uint64_t *addrs = malloc(ADDRS_MAX * sizeof(*addrs));
	size_t n_addrs = 0;
	char line[64];
	while (addrs && n_addrs < ADDRS_MAX && fgets(line, sizeof(line), stdin))
		addrs[n_addrs++] = strtoull(line, NULL, 16);

	uint64_t start_ns = cprof_clock_mono_ns();
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_symbolizer *symbolizer;
	cprof_modules_init(&modules);
	check(cprof_modules_open(&modules, argv[1], &module));
	check(cprof_symbolizer_new(&options, &modules, &symbolizer));
	check(cprof_symbolizer_expect(symbolizer, module, addrs, n_addrs));
	const struct cprof_symbol_frame *frames;
	size_t n, n_frames = 0, named = 0;
	for (size_t i = 0; i < n_addrs; i++) {
		check(cprof_symbolizer_file_addr(symbolizer, module, addrs[i], &frames, &n));
		n_frames += n;
		named += strstr(frames[n - 1].name, "+0x") == NULL;
		if (printing)
			print(addrs[i], frames, n);
	}
	uint64_t cold_ns = cprof_clock_mono_ns() - start_ns;
	start_ns = cprof_clock_mono_ns();
	for (size_t i = 0; i < n_addrs; i++)
		check(cprof_symbolizer_file_addr(symbolizer, module, addrs[i], &frames, &n));
	uint64_t warm_ns = cprof_clock_mono_ns() - start_ns;
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	fprintf(stderr,
		"addresses %zu named %zu frames %zu cold_ms %.2f warm_ns %.1f peak_mb %.1f\n",
		n_addrs, named, n_frames, (double)cold_ns / 1e6,
		n_addrs ? (double)warm_ns / (double)n_addrs : 0, (double)usage.ru_maxrss / 1024);
	const struct cprof_budget *budget = &modules.budget;
	fprintf(stderr, "disk_mb %.1f read_mb %.1f held_mb %.1f steps %" PRIu64 " over %zu\n",
		(double)budget->disk / 1e6, (double)budget->spent[CPROF_BUDGET_READ] / 1e6,
		(double)budget->spent[CPROF_BUDGET_HELD] / 1e6, budget->spent[CPROF_BUDGET_STEPS],
		budget->n_over);
	cprof_symbolizer_free(symbolizer);
	cprof_modules_deinit(&modules);
	free(addrs);
	return 0;
}
