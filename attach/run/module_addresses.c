/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/module_addresses.h"

#include <stdlib.h>

#include "base/cleanup.h"

struct place {
	uint64_t addr;
	struct cprof_module *module;
};

static int by_module(const void *a_, const void *b_)
{
	const struct place *a = a_, *b = b_;
	if (a->module != b->module)
		return a->module->id < b->module->id ? -1 : 1;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static bool find_place(const struct cprof_mapping_numbers *numbers,
		       const struct cprof_stack_frame *frame, struct place *place)
{
	const struct cprof_mapping_source *source =
		cprof_mapping_numbers_source(numbers, frame->mapping);
	place->module = source && source->maps ? source->map->module : NULL;
	return place->module && place->module->image &&
	       cprof_module_file_addr(place->module, source->map, frame->addr, &place->addr);
}

/* The addresses of one module at the start of `places`; how many places they took. */
static size_t take_module(const struct place *places, size_t n, uint64_t *addrs, size_t *ret_n)
{
	size_t i = 0;
	*ret_n = 0;
	for (; i < n && places[i].module == places[0].module; i++) {
		if (!i || places[i].addr != places[i - 1].addr)
			addrs[(*ret_n)++] = places[i].addr;
	}
	return i;
}

struct cprof_error *cprof_module_addresses(const struct cprof_mapping_numbers *numbers,
					   uint32_t from, uint32_t until,
					   cprof_module_addresses_fn *fn, void *ctx)
{
	const struct cprof_stack_table *stacks = cprof_builder_stacks(numbers->builder);
	const size_t n_frames = until > from ? until - from : 0;
	CPROF_AUTO(free) struct place *places = calloc(n_frames + 1, sizeof(*places));
	CPROF_AUTO(free) uint64_t *addrs = calloc(n_frames + 1, sizeof(*addrs));
	struct cprof_error *err = NULL;
	size_t n = 0, n_addrs;
	if (!places || !addrs)
		return cprof_error_no_memory();
	for (uint32_t i = from; i < until; i++)
		n += find_place(numbers, &stacks->frames[i], &places[n]);
	if (n)
		qsort(places, n, sizeof(*places), by_module);
	for (size_t at = 0; at < n && !err;) {
		struct cprof_module *module = places[at].module;
		at += take_module(&places[at], n - at, addrs, &n_addrs);
		err = fn(ctx, module, addrs, n_addrs);
	}
	return err;
}
