/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_scribble - a process that lies: it allocates, and writes over the region that a heap profiler put into it.
 *
 * Usage: heap_scribble HOW. It prints its pid and "ready", and "found" once it has seen the region. HOW:
 *   sizes    every sample that waits says that it is of 2^63 bytes, and its period of 2^62
 *   sums     the counts of lost samples and bytes are near 2^64
 *   flood    all cells are ready always, each with a stack of its own; every entry of the table of live blocks is taken
 *   random   seeded nonsense everywhere but in the sign that the region is theirs
 * The harm would be the process's own; it ends 0 at SIGTERM.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/heap/shim/shim_proto.h"

static volatile sig_atomic_t stop;
static struct cprof_shim_image *image;
static sigjmp_buf gone;
static uint64_t state = 88172645463325252ull;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

/* The region is gone, or what was written to it led astray. */
static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(gone, 1);
}

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* An executable mapping that begins with the image's sign. */
static void look(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	while (maps && fgets(line, sizeof(line), maps)) {
		uint64_t start, end, magic = CPROF_SHIM_MAGIC;
		char perms[5];
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, perms) != 3 ||
		    perms[0] != 'r' || perms[2] != 'x' || end - start < CPROF_SHIM_IMAGE_BYTES ||
		    strstr(line, "[v"))
			continue;
		if (memcmp((void *)(uintptr_t)start, &magic, sizeof(magic)) == 0)
			image = (struct cprof_shim_image *)(uintptr_t)start;
	}
	if (maps)
		fclose(maps);
	if (image) {
		printf("found\n");
		fflush(stdout);
	}
}

static void sizes(struct cprof_shim_data *data)
{
	for (int i = 0; i < CPROF_SHIM_CELLS; i++) {
		data->cells[i].size = 1ull << 63;
		data->cells[i].period = 1ull << 62;
		data->cells[i].state = CPROF_SHIM_CELL_READY;
	}
}

static void sums(struct cprof_shim_data *data)
{
	data->control.lost = data->control.lost_bytes = UINT64_MAX - next() % 1000;
	data->control.table_full = data->control.nested = data->control.ticket = UINT64_MAX;
}

static void flood(struct cprof_shim_data *data)
{
	for (int i = 0; i < CPROF_SHIM_CELLS; i++) {
		struct cprof_shim_cell *cell = &data->cells[i];
		cell->id = next();
		cell->size = 1 + next() % 100000;
		cell->period = 524288;
		/* Somewhere in the C library: each is a place of its own. */
		cell->ret = (uint64_t)(uintptr_t)&qsort + next() % 500000;
		cell->image = UINT32_MAX / 2;
		cell->stack_bytes = CPROF_SHIM_STACK_BYTES;
		for (int k = 0; k < 32; k++)
			memcpy(&data->stacks[i][8 * (next() % 2000)], (uint64_t[]){ next() }, 8);
		cell->state = CPROF_SHIM_CELL_READY;
	}
	data->control.ticket += CPROF_SHIM_CELLS;
	for (uint64_t i = 0; i <= image->live_mask; i++)
		data->live[i] = (struct cprof_shim_live){ 4096 + i, next() };
}

static void nonsense(struct cprof_shim_data *data)
{
	uint8_t *bytes = (uint8_t *)data;
	for (int i = 0; i < 100000; i++) {
		size_t at = 8 + next() % (sizeof(*data) - 16);
		memcpy(bytes + at, (uint64_t[]){ next() >> next() % 64 }, 8);
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "sizes";
	signal(SIGTERM, on_term);
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	static uint64_t turns;
	if (sigsetjmp(gone, 1) != 0) {
		image = NULL;
		printf("gone\n");
		fflush(stdout);
		/* At work still, as whoever waits for that can see, but not with an allocator that was left in its middle. */
		while (!stop)
			turns++;
		return 0;
	}
	while (!stop) {
		/* Large ones: each is likely to be sampled. */
		char *block = malloc(1000000);
		if (!block)
			return 1;
		block[turns % 1000000] = 1;
		free(block);
		if (!image && turns++ % 1000 == 0)
			look();
		if (!image)
			continue;
		struct cprof_shim_data *data = (struct cprof_shim_data *)(uintptr_t)image->data;
		if (strcmp(how, "sizes") == 0)
			sizes(data);
		else if (strcmp(how, "sums") == 0)
			sums(data);
		else if (strcmp(how, "flood") == 0)
			flood(data);
		else
			nonsense(data);
	}
	return 0;
}
