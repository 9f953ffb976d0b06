/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/symbolizer.h"
#include "tests/unit/test.h"

#include <sys/uio.h>
#include <unistd.h>

static bool read_self(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	struct iovec local = { buf, n }, remote = { (void *)(uintptr_t)addr, n };
	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

struct self {
	struct cprof_maps maps;
	struct cprof_modules modules;
	struct cprof_symbolizer_options options;
	struct cprof_symbolizer *symbolizer;
};

static void self_init(struct self *self)
{
	*self = (struct self){ 0 };
	cprof_maps_init(&self->maps, getpid(), (struct cprof_memory){ read_self, NULL });
	CHECK(!cprof_maps_refresh(&self->maps));
	cprof_modules_init(&self->modules);
	CHECK(!cprof_symbolizer_new(&self->options, &self->modules, &self->symbolizer));
}

static void self_deinit(struct self *self)
{
	cprof_symbolizer_free(self->symbolizer);
	cprof_modules_deinit(&self->modules);
	cprof_maps_deinit(&self->maps);
}

static const struct cprof_symbol_frame *name(struct self *self, uint64_t addr, size_t *n)
{
	const struct cprof_symbol_frame *frames;
	CHECK(!cprof_symbolizer_addr(self->symbolizer, &self->maps,
				     cprof_maps_find(&self->maps, addr), addr, &frames, n));
	CHECK(*n > 0);
	return frames;
}

static __attribute__((noinline)) int here(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x;
}

TEST(symbolizer_names_a_function_of_this_very_program_with_file_and_line)
{
	struct self self;
	self_init(&self);
	size_t n;
	const struct cprof_symbol_frame *frames = name(&self, (uint64_t)(uintptr_t)&here, &n);
	CHECK_UINT(n, 1);
	CHECK_STR(frames[0].name, "here");
	CHECK(strstr(frames[0].file, "tests/unit/test_symbolizer.c"));
	CHECK(frames[0].start_line > 0 && frames[0].line >= frames[0].start_line);
	CHECK(frames[0].line <= frames[0].start_line + 4);
	CHECK(name(&self, (uint64_t)(uintptr_t)&here, &n) == frames);
	CHECK(here(1) == 1);
	self_deinit(&self);
}

TEST(symbolizer_falls_back_to_module_and_offset_and_never_to_an_empty_name)
{
	struct self self;
	self_init(&self);
	size_t n;
	CHECK_STR(name(&self, 16, &n)[0].name, "[unknown]+0x10");
	CHECK_UINT(n, 1);
	for (size_t i = 0; i < self.maps.n_sorted; i++) {
		const struct cprof_symbol_frame *frames =
			name(&self, self.maps.sorted[i]->start, &n);
		for (size_t j = 0; j < n; j++)
			CHECK(frames[j].name[0] && frames[j].system_name[0] && frames[j].file);
	}
	self_deinit(&self);
}
