/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else's program: asks for the name, file and line of an address of its own. */
#define _GNU_SOURCE
#include <cprof/symbolizer.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((noinline)) static int a_function_to_find(int x)
{
	return x * 3;
}

static bool read_own(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	memcpy(buf, (const void *)(uintptr_t)addr, n);
	return true;
}

int main(void)
{
	const struct cprof_symbolizer_options options = { .demangle = CPROF_DEMANGLE_SHORT };
	const struct cprof_memory memory = { .read = read_own };
	const uint64_t addr = (uint64_t)(uintptr_t)a_function_to_find;
	const struct cprof_symbol_frame *frames;
	struct cprof_symbolizer *symbolizer = NULL;
	struct cprof_modules modules;
	struct cprof_maps maps;
	size_t n = 0;
	cprof_maps_init(&maps, getpid(), memory);
	cprof_modules_init(&modules);
	struct cprof_error *err = cprof_maps_refresh(&maps);
	if (!err)
		err = cprof_symbolizer_new(&options, &modules, &symbolizer);
	if (!err)
		err = cprof_symbolizer_addr(symbolizer, &maps, cprof_maps_find(&maps, addr), addr,
					    &frames, &n);
	if (err)
		fprintf(stderr, "%s\n", err->message);
	else if (n && a_function_to_find(1) == 3)
		printf("%s %s:%" PRId64 "\n", frames[n - 1].name, frames[n - 1].file,
		       frames[n - 1].line);
	cprof_symbolizer_free(symbolizer);
	cprof_modules_deinit(&modules);
	cprof_maps_deinit(&maps);
	return err != NULL;
}
