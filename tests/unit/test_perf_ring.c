/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_ring.h"
#include "tests/unit/test.h"

#define RING_SIZE 64

/* A ring in plain memory, playing the kernel's side of the protocol. */
struct fake {
	struct perf_event_mmap_page meta;
	_Alignas(8) uint8_t data[RING_SIZE];
	struct cprof_perf_ring ring;
	char seen[64]; /* the first body byte of every record handed to us */
	size_t n_seen;
};

static struct fake *fake_new(uint64_t start)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	CHECK(fake);
	fake->meta.data_head = fake->meta.data_tail = start;
	fake->ring.meta = &fake->meta;
	fake->ring.data = fake->data;
	fake->ring.size = RING_SIZE;
	return fake;
}

static void put_header(struct fake *fake, uint64_t pos, uint16_t size)
{
	struct perf_event_header header = { .type = PERF_RECORD_SAMPLE, .size = size };
	memcpy(&fake->data[pos % RING_SIZE], &header, sizeof(header));
}

/* Append a record whose body is `mark` repeated; the body wraps where it must. */
static void produce(struct fake *fake, uint16_t size, char mark)
{
	put_header(fake, fake->meta.data_head, size);
	for (uint64_t i = sizeof(struct perf_event_header); i < size; i++)
		fake->data[(fake->meta.data_head + i) % RING_SIZE] = (uint8_t)mark;
	fake->meta.data_head += size;
}

static struct cprof_error *see(const struct perf_event_header *record, void *ctx)
{
	struct fake *fake = ctx;
	const char *body = (const char *)(record + 1);
	for (size_t i = 1; i < record->size - sizeof(*record); i++)
		CHECK(body[i] == body[0]);
	fake->seen[fake->n_seen++] = body[0];
	return body[0] == '!' ? cprof_error_new(CPROF_ERR_UNSUPPORTED, "asked to stop") : NULL;
}

TEST(perf_ring_hands_over_every_record_in_order_and_frees_the_space)
{
	struct fake *fake = fake_new(0);
	produce(fake, 16, 'a');
	produce(fake, 24, 'b');

	size_t records;
	CHECK(!cprof_perf_ring_drain(&fake->ring, see, fake, &records));
	CHECK_UINT(records, 2);
	CHECK_STR(fake->seen, "ab");
	CHECK_UINT(fake->meta.data_tail, fake->meta.data_head);
	free(fake);
}

TEST(perf_ring_joins_a_record_that_wraps_at_every_possible_offset)
{
	for (uint64_t start = 0; start < 2 * RING_SIZE; start += 8) {
		struct fake *fake = fake_new(start);
		produce(fake, 40, 'w');

		size_t records;
		CHECK(!cprof_perf_ring_drain(&fake->ring, see, fake, &records));
		CHECK_UINT(records, 1);
		CHECK_STR(fake->seen, "w");
		free(fake);
	}
}

TEST(perf_ring_rejects_impossible_sizes_and_recovers)
{
	static const uint16_t sizes[] = { 0, 7, 24, UINT16_MAX }; /* 16 bytes are left below head */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fake *fake = fake_new(0);
		produce(fake, 16, 'a');
		put_header(fake, 16, sizes[i]);
		fake->meta.data_head = 32;

		size_t records;
		struct cprof_error *err = cprof_perf_ring_drain(&fake->ring, see, fake, &records);
		CHECK(err);
		CHECK_UINT(err->code, CPROF_ERR_BAD_DATA);
		CHECK_UINT(records, 1);
		cprof_error_free(err);

		produce(fake, 16, 'b');
		CHECK(!cprof_perf_ring_drain(&fake->ring, see, fake, &records));
		CHECK_STR(fake->seen, "ab");
		free(fake);
	}
}

TEST(perf_ring_keeps_what_the_callback_had_not_reached)
{
	struct fake *fake = fake_new(0);
	produce(fake, 16, '!');
	produce(fake, 16, 'b');

	size_t records;
	struct cprof_error *err = cprof_perf_ring_drain(&fake->ring, see, fake, &records);
	CHECK_UINT(err->code, CPROF_ERR_UNSUPPORTED);
	CHECK_UINT(records, 1);
	cprof_error_free(err);

	CHECK(!cprof_perf_ring_drain(&fake->ring, see, fake, &records));
	CHECK_STR(fake->seen, "!b");
	free(fake);
}
