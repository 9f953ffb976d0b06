/* SPDX-License-Identifier: Apache-2.0 */
/* Records of Google's tcmalloc as its versions lay them out, in memory made by hand. */
#include <string.h>

#include "attach/heap/baseline/google_samples.h"
#include "tests/unit/test.h"

#define VARIABLES 0x600000ull
#define RECORDS   0x700000ull
#define CODE      0x400000ull
#define STEP      1024
#define RECORDS_N 8

/* Where a record of a version has its fields, from its beginning. */
struct layout {
	const char *what;
	unsigned requested, bytes, weight, time, depth, stack, handle;
};

static const struct layout layouts[] = {
	{ "2024", 40, 56, 72, 80, 104, 112, 24 },
	{ "with data of the program's own", 40, 56, 72, 88, 112, 120, 24 },
	{ "2023, flag behind", 40, 56, 592, 600, 72, 80, 24 },
	{ "2023, flag in front", 40, 64, 600, 608, 80, 88, 24 },
	{ "2022", 32, 48, 584, 0, 64, 72, 0 },
};

struct world {
	struct cprof_maps maps;
	struct cprof_baseline_memory memory;
	uint8_t variables[4096], records[RECORDS_N * STEP];
};

static bool read_world(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct world *world = ctx;
	const struct {
		uint64_t start;
		const uint8_t *bytes;
		size_t n;
	} parts[] = {
		{ VARIABLES, world->variables, sizeof(world->variables) },
		{ RECORDS, world->records, sizeof(world->records) },
	};
	for (size_t i = 0; i < 2; i++) {
		if (addr >= parts[i].start && addr - parts[i].start <= parts[i].n &&
		    parts[i].n - (addr - parts[i].start) >= n) {
			memcpy(buf, parts[i].bytes + (addr - parts[i].start), n);
			return true;
		}
	}
	return false;
}

static void put(uint8_t *at, unsigned offset, uint64_t value)
{
	memcpy(at + offset, &value, sizeof(value));
}

static uint64_t record_at(unsigned i)
{
	return RECORDS + (uint64_t)i * STEP;
}

/* Record `i`: 100 + i bytes asked for, three frames; `next` and `dead` are addresses. */
static void put_record(struct world *world, const struct layout *layout, unsigned i, uint64_t next,
		       uint64_t dead)
{
	uint8_t *at = world->records + (size_t)i * STEP;
	put(at, 8, next);
	put(at, 16, dead);
	put(at, layout->requested, 100 + i);
	put(at, layout->bytes, 112);
	put(at, layout->weight, 1 << 21);
	if (layout->time) {
		put(at, layout->time, 1700000000);
		put(at, layout->time + 8, 4000);
	}
	if (layout->handle)
		put(at, layout->handle, 10 + i);
	put(at, layout->depth, 3);
	for (unsigned k = 0; k < 3; k++)
		put(at, layout->stack + 8 * k, CODE + 16 + 16 * k + i);
}

/* A recorder at `offset` of the variables: its first record, and the ring of the dead. */
static void put_recorder(struct world *world, unsigned offset, uint64_t first, uint64_t dead)
{
	put(world->variables, offset, first);
	put(world->variables, offset + 24, dead ? dead : VARIABLES + offset + 8);
}

static void begin(struct world *world)
{
	static const char text[] = "400000-401000 r-xp 00000000 08:01 5 /bin/it\n"
				   "600000-601000 rw-p 00002000 08:01 5 /bin/it\n"
				   "700000-702000 rw-p 00000000 00:00 0\n";
	memset(world, 0, sizeof(*world));
	cprof_maps_init(&world->maps, 0, (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_parse(&world->maps, text, sizeof(text) - 1));
	CHECK(cprof_baseline_memory_init(&world->memory, 0,
					 (struct cprof_memory){ read_world, world }));
}

static void end(struct world *world)
{
	cprof_baseline_memory_deinit(&world->memory);
	cprof_maps_deinit(&world->maps);
}

struct found {
	unsigned n, living;
	uint64_t requested, born_ns, handles;
};

static struct cprof_error *on_sample(void *ctx, const struct cprof_google_sample *sample)
{
	struct found *found = ctx;
	found->n++;
	found->living += sample->lives;
	if (sample->lives)
		found->requested += sample->requested;
	found->born_ns = sample->born_ns;
	found->handles += sample->handle;
	CHECK_UINT(sample->bytes, 112);
	CHECK_UINT(sample->weight, 1 << 21);
	CHECK_UINT(sample->n, 3);
	CHECK_UINT(sample->addrs[2] - sample->addrs[0], 32);
	return NULL;
}

static struct found look(struct world *world)
{
	struct cprof_google google = { .maps = &world->maps };
	struct found found = { 0 };
	uint64_t broken;
	cprof_google_find(&world->memory, VARIABLES, VARIABLES + sizeof(world->variables), &google);
	if (google.first)
		CHECK(!cprof_google_samples_each(&world->memory, &google, on_sample, &found,
						 &broken));
	return found;
}

TEST(google_samples_are_found_in_the_records_of_each_version)
{
	static struct world world;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		begin(&world);
		for (unsigned k = 0; k < 4; k++)
			put_record(&world, &layouts[i], k, k < 3 ? record_at(k + 1) : 0, 0);
		put_recorder(&world, 0x108, record_at(0), 0);
		const struct found found = look(&world);
		if (found.n != 4)
			TEST_FAIL("%s: %u records", layouts[i].what, found.n);
		CHECK_UINT(found.living, 4);
		CHECK_UINT(found.requested, 406);
		CHECK_UINT(found.born_ns, layouts[i].time ? 1700000000000001000ull : 0);
		CHECK_UINT(found.handles, layouts[i].handle ? 46 : 0);
		end(&world);
	}
}

TEST(google_samples_that_were_freed_are_told_apart)
{
	static struct world world;
	begin(&world);
	for (unsigned k = 0; k < 4; k++)
		put_record(&world, &layouts[0], k, k < 3 ? record_at(k + 1) : 0,
			   k == 1   ? record_at(3)
			   : k == 3 ? VARIABLES + 0x110
				    : 0);
	put_recorder(&world, 0x108, record_at(0), record_at(1));
	const struct found found = look(&world);
	CHECK_UINT(found.n, 4);
	CHECK_UINT(found.living, 2);
	CHECK_UINT(found.requested, 202);
	end(&world);
}

TEST(google_samples_are_of_now_and_not_of_when_the_heap_was_largest)
{
	static struct world world;
	/* The same blocks in both lists; of ours one was freed. In either order. */
	for (unsigned order = 0; order < 2; order++) {
		begin(&world);
		for (unsigned k = 0; k < 6; k++)
			put_record(&world, &layouts[0], k, k % 3 < 2 ? record_at(k + 1) : 0,
				   k == 1 ? VARIABLES + (order ? 0x410 : 0x110) : 0);
		for (unsigned k = 3; k < 6; k++)
			put(world.records + (size_t)k * STEP, layouts[0].handle, 10 + k - 3);
		put_recorder(&world, order ? 0x408 : 0x108, record_at(0), record_at(1));
		put_recorder(&world, order ? 0x108 : 0x408, record_at(3), 0);
		CHECK_UINT(look(&world).living, 2);
		/* Or the larger one has something newer. */
		put(world.records + (size_t)4 * STEP, layouts[0].handle, 99);
		CHECK_UINT(look(&world).living, 3);
		end(&world);
	}
}

TEST(google_samples_that_are_none_are_not_believed)
{
	static const struct {
		const char *what;
		unsigned offset;
		uint64_t value;
	} cases[] = {
		{ "no frames", 104, 0 },
		{ "more frames than there can be", 104, 65 },
		{ "a stack that is no code", 112, RECORDS },
		{ "no size", 56, 0 },
		{ "asked for more than it has", 40, 113 },
		{ "no weight", 72, 0 },
		{ "a weight without end", 72, UINT64_MAX },
		{ "a lock that is none", 0, 1ull << 40 },
		{ "a next one that is nowhere", 8, 0x7777777777777778 },
		{ "a next one that is no record", 8, RECORDS + 5 * STEP },
	};
	static struct world world;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&world);
		put_record(&world, &layouts[0], 0, 0, 0);
		put(world.records, cases[i].offset, cases[i].value);
		put_recorder(&world, 0x108, record_at(0), 0);
		if (look(&world).n)
			TEST_FAIL("believed: %s", cases[i].what);
		end(&world);
	}
	/* A list that is a ring ends all the same, and dead ones that lead nowhere are no ring. */
	begin(&world);
	put_record(&world, &layouts[0], 0, record_at(0), 0);
	put_recorder(&world, 0x108, record_at(0), 0);
	CHECK(look(&world).n >= 1);
	end(&world);
	begin(&world);
	put_record(&world, &layouts[0], 0, record_at(1), 0);
	put_record(&world, &layouts[0], 1, 0, 0);
	put_recorder(&world, 0x108, record_at(0), record_at(1));
	CHECK_UINT(look(&world).n, 0);
	end(&world);
}
