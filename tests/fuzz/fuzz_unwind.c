/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile stacks over real code: the input is the pc, the registers and the stack, in words of two bytes: the
 * low bits of a word choose whether it points into the C library's code, into the stack, or is a small number.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cprof/unwind.h"

#define STACK_ADDR 0x7ff000000000ull
#define WORDS_MAX  4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cprof_maps maps;
static struct cprof_modules modules;
static struct cprof_unwinder *unwinder;
static uint64_t words[WORDS_MAX];
static size_t n_words, n_copied;

static bool read_part(size_t n_bytes, uint64_t addr, void *buf, size_t n)
{
	if (addr < STACK_ADDR || addr - STACK_ADDR > n_bytes || n > n_bytes - (addr - STACK_ADDR))
		return false;
	memcpy(buf, (const uint8_t *)words + (addr - STACK_ADDR), n);
	return true;
}

static bool read_copy(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	return read_part(n_copied * 8, addr, buf, n);
}

static bool read_live(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	return read_part(n_words * 8, addr, buf, n);
}

static void start(void)
{
	cprof_modules_init(&modules);
	cprof_maps_init(&maps, getpid(), (struct cprof_memory){ 0 });
	struct cprof_error *err = cprof_maps_refresh(&maps);
	if (!err)
		err = cprof_unwinder_new(&cprof_arch_x86_64, &modules, &unwinder);
	if (err)
		abort();
}

/* The executable mappings take turns; they differ in what unwind information they have. */
static uint64_t code_addr(uint64_t value)
{
	size_t n = 0;
	for (size_t i = 0; i < maps.n_sorted; i++)
		n += (maps.sorted[i]->prot & PROT_EXEC) != 0;
	size_t wanted = n ? value % n : 0;
	for (size_t i = 0; i < maps.n_sorted; i++) {
		const struct cprof_map *map = maps.sorted[i];
		if ((map->prot & PROT_EXEC) && wanted-- == 0)
			return map->start + value * 7919 % (map->end - map->start);
	}
	return value;
}

static uint64_t word(uint64_t value)
{
	switch (value & 3) {
	case 0:
		return value >> 2;
	case 1:
		return STACK_ADDR + (value >> 2) * 8;
	default:
		return code_addr(value >> 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cprof_frame frames[1000];
	struct cprof_regs regs = { .valid = 0x1ffff };
	struct cprof_stack stack = { .frames = frames, .cap = 1000 };
	const struct cprof_memory copy = { read_copy, NULL }, live = { read_live, NULL };
	const struct cprof_unwind_input input = {
		.maps = &maps, .regs = &regs, .stack = &copy, .live = &live
	};
	if (!unwinder)
		start();
	n_words = 0;
	for (size_t i = 0; i + 1 < size && n_words < WORDS_MAX; i += 2)
		words[n_words++] = word((uint64_t)data[i] | (uint64_t)data[i + 1] << 8);
	if (n_words < 20)
		return 0;
	for (size_t i = 0; i < 16; i++)
		regs.r[i] = words[i + 1];
	regs.pc = words[0];
	regs.r[7] = STACK_ADDR + (words[17] % n_words) * 8;
	n_copied = words[18] % (n_words + 1);
	cprof_unwind(unwinder, &input, &stack);
	if (stack.len == 0 || stack.len > stack.cap || stack.stop >= CPROF_STOP_N)
		abort();
	return 0;
}
