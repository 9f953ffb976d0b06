/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region that a heap profile shares with its target, while the target scribbles over it: the reader copies out of our own
 * memory, which another thread changes all the time. Byte 0 says in which of six ways, the rest is the seed. What comes
 * out must be whole, in bounds and true to itself.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/heap/heap_profile.h"
#include "attach/heap/inject/heap_reader.h"

#define LIVE  65536u /* entries, as at an ordinary rate */
#define NONCE 0x1234567887654321ull
#define POLLS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scribbler {
	struct cprof_shim_data *region;
	uint64_t state;
	unsigned way;
	atomic_bool stop;
};

static uint64_t next(struct scribbler *s)
{
	s->state ^= s->state << 13;
	s->state ^= s->state >> 7;
	s->state ^= s->state << 17;
	return s->state;
}

/* Small, huge, negative, odd: what comes near a bound. */
static uint64_t nasty(struct scribbler *s)
{
	uint64_t n = next(s);
	switch (n >> 61) {
	case 0:
		return UINT64_MAX - n % 16;
	case 1:
		return 1ull << n % 64;
	case 2:
		return n % 32768;
	case 3:
		return 524288;
	default:
		return n >> n % 64;
	}
}

static void fill_cell(struct scribbler *s, struct cprof_shim_cell *cell)
{
	cell->id = nasty(s);
	cell->ptr = nasty(s);
	cell->size = nasty(s);
	cell->period = nasty(s);
	cell->sp = cell->ret = nasty(s);
	cell->thread_pointer = nasty(s);
	cell->entry = (uint32_t)nasty(s);
	cell->image = (uint32_t)nasty(s);
	cell->bounded = 1;
	cell->stack_bytes = (uint32_t)nasty(s);
	cell->other_bytes = (uint32_t)nasty(s);
	cell->state = CPROF_SHIM_CELL_READY;
}

static void scribble(struct scribbler *s)
{
	struct cprof_shim_data *region = s->region;
	struct cprof_shim_cell *cell = &region->cells[next(s) % CPROF_SHIM_CELLS];
	uint64_t *counts = &region->control.enabled;
	switch (s->way) {
	case 0: /* sizes and periods */
		fill_cell(s, cell);
		break;
	case 1: /* counts */
		counts[next(s) % (sizeof(region->control) / 8 - 1)] = nasty(s);
		break;
	case 2: /* states, whatever is in the cells */
		cell->state = (uint32_t)(next(s) % 4);
		break;
	case 3: /* how much of a stack there is */
		cell->stack_bytes = (uint32_t)nasty(s);
		cell->other_bytes = next(s) % 2 ? (uint32_t)nasty(s) : 0;
		cell->state = CPROF_SHIM_CELL_READY;
		break;
	case 4: /* what lives, and threads */
		region->live[next(s) % LIVE] = (struct cprof_shim_live){ next(s), nasty(s) };
		region->slots[next(s) % (1u << CPROF_SHIM_SLOTS_LOG2)].key = nasty(s);
		break;
	default: /* anything but the sign that the region is ours */
		((uint64_t *)region)[1 + next(s) % (sizeof(*region) / 8 - 1)] = nasty(s);
	}
}

static void *run(void *ctx)
{
	struct scribbler *s = ctx;
	while (!atomic_load_explicit(&s->stop, memory_order_relaxed))
		scribble(s);
	return NULL;
}

static struct cprof_error *on_sample(void *ctx, const struct cprof_shim_cell *cell,
				     const uint8_t *stack)
{
	struct cprof_heap_profile *profile = ctx;
	uint64_t sum = 0;
	const uint64_t bytes = cprof_shim_copied(cell);
	if (bytes > CPROF_SHIM_STACK_BYTES)
		abort();
	/* All that it says is there must be readable. */
	for (uint64_t i = 0; i < bytes; i += 61)
		sum += stack[i];
	if (bytes)
		sum += stack[bytes - 1];
	return cprof_heap_profile_add(profile, cell->id, cell->size, cell->period,
				      (uint32_t)(sum % 1000));
}

static void check(const struct cprof_heap_profile *profile)
{
	int64_t bytes = 0, objects = 0;
	for (uint32_t i = 0; i < profile->n_rows; i++) {
		const struct cprof_heap_row *row = &profile->rows[i];
		int64_t b = cprof_heap_value(row->alloc.bytes, profile->alloc.bytes);
		int64_t o = cprof_heap_value(row->alloc.objects, profile->alloc.objects);
		if (b < 0 || o < 0 || __builtin_add_overflow(bytes, b, &bytes) ||
		    __builtin_add_overflow(objects, o, &objects))
			abort();
	}
	cprof_heap_profile_plausible(profile);
}

static void read_all(struct cprof_heap_reader *reader, struct cprof_heap_profile *profile)
{
	struct cprof_map64 alive = { 0 };
	size_t n;
	for (int i = 0; i < POLLS; i++)
		cprof_error_free(cprof_heap_reader_poll(reader, on_sample, profile, &n));
	cprof_error_free(cprof_heap_reader_keep(reader));
	cprof_error_free(cprof_heap_reader_live(reader, &alive));
	cprof_error_free(cprof_heap_reader_kept(reader, on_sample, profile));
	if (reader->control.lost > 1ull << 44 || reader->control.lost_bytes > 1ull << 60 ||
	    alive.len > LIVE)
		abort();
	cprof_heap_profile_settle(profile, &alive);
	check(profile);
	cprof_map64_deinit(&alive);
}

static struct cprof_shim_data *map_region(void)
{
	size_t bytes = sizeof(struct cprof_shim_data) + LIVE * sizeof(struct cprof_shim_live);
	void *region =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return region == MAP_FAILED ? NULL : region;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cprof_shim_data *region;
	struct cprof_target target = { .pid = getpid(), .pidfd = -1 };
	struct cprof_maps maps;
	struct cprof_heap_reader reader;
	struct cprof_heap_profile profile = { 0 };
	struct scribbler s = { .way = size ? data[0] % 6 : 0, .state = 88172645463325252ull };
	pthread_t thread;
	if (!region)
		region = map_region();
	if (!region)
		return 0;
	for (size_t i = 1; i < size; i++)
		s.state = s.state * 31 + data[i];
	s.state |= 1;
	s.region = region;
	region->control = (struct cprof_shim_control){ .magic = NONCE, .enabled = 1 };
	memset(region->cells, 0, sizeof(region->cells));
	for (int i = 0; i < 64; i++) {
		fill_cell(&s, &region->cells[i]);
		region->control.ticket++;
	}
	cprof_maps_init(&maps, 0, (struct cprof_memory){ 0 });
	const struct cprof_heap_pages pages = { .target = &target,
						.maps = &maps,
						.data = (uint64_t)(uintptr_t)region,
						.size = { .live_entries = LIVE },
						.data_mapped = true,
						.nonce = NONCE };
	if (!cprof_heap_reader_init(&reader, &pages) &&
	    pthread_create(&thread, NULL, run, &s) == 0) {
		read_all(&reader, &profile);
		atomic_store(&s.stop, true);
		pthread_join(thread, NULL);
	}
	cprof_heap_reader_deinit(&reader);
	cprof_heap_profile_deinit(&profile);
	cprof_maps_deinit(&maps);
	return 0;
}
