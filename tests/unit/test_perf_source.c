/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_source.h"

#include "tests/unit/test.h"

#define RING_SIZE 4096

/* A source with rings in plain memory; records are COMM ones whose name is their mark. */
struct fake {
	struct cprof_perf_source source;
	struct cprof_run_log log;
	struct cprof_perf_source_ring slots[3];
	struct cprof_perf_event_ring events[3];
	struct perf_event_mmap_page metas[3];
	_Alignas(8) uint8_t data[3][RING_SIZE];
	char seen[64];
	size_t n_seen;
};

static struct fake *fake_new(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	CHECK(fake);
	fake->source.rings = fake->slots;
	fake->source.n_rings = 3;
	fake->source.layout.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
	fake->source.request.log = &fake->log;
	for (int i = 0; i < 3; i++) {
		fake->slots[i].event = &fake->events[i];
		fake->slots[i].samples = i < 2;
		fake->events[i].fd = -1;
		fake->events[i].ring.meta = &fake->metas[i];
		fake->events[i].ring.data = fake->data[i];
		fake->events[i].ring.size = RING_SIZE;
	}
	return fake;
}

static void fake_free(struct fake *fake)
{
	cprof_run_log_deinit(&fake->log);
	free(fake);
}

static void put(struct fake *fake, int ring, uint32_t type, uint64_t first, uint64_t second,
		uint64_t time_ns)
{
	uint64_t words[5] = { 0, first, second, 0, time_ns };
	struct perf_event_header header = { .type = type, .size = sizeof(words) };
	memcpy(words, &header, sizeof(header));
	uint64_t at = fake->metas[ring].data_head;
	memcpy(&fake->data[ring][at % RING_SIZE], words, sizeof(words));
	fake->metas[ring].data_head += sizeof(words);
}

static void put_mark(struct fake *fake, int ring, char mark, uint64_t time_ns)
{
	put(fake, ring, PERF_RECORD_COMM, 1, (uint64_t)mark, time_ns);
}

static struct cprof_error *see(void *ctx, const struct cprof_perf_record *record)
{
	struct fake *fake = ctx;
	fake->seen[fake->n_seen++] = record->comm[0];
	return NULL;
}

TEST(perf_source_merges_rings_in_the_order_of_time)
{
	struct fake *fake = fake_new();
	put_mark(fake, 0, 'b', 20);
	put_mark(fake, 0, 'd', 40);
	put_mark(fake, 0, 'f', 60);
	put_mark(fake, 1, 'a', 10);
	put_mark(fake, 1, 'e', 50);
	put_mark(fake, 2, 'c', 30);
	CHECK(!cprof_perf_source_drain(&fake->source, UINT64_MAX, see, fake));
	CHECK_STR(fake->seen, "abcdef");
	for (int i = 0; i < 3; i++)
		CHECK_UINT(fake->metas[i].data_tail, fake->metas[i].data_head);
	fake_free(fake);
}

TEST(perf_source_leaves_what_is_later_than_asked_for_the_next_round)
{
	struct fake *fake = fake_new();
	put_mark(fake, 0, 'a', 10);
	put_mark(fake, 0, 'c', 30);
	put_mark(fake, 1, 'd', 31);
	CHECK(!cprof_perf_source_drain(&fake->source, 30, see, fake));
	CHECK_STR(fake->seen, "ac");
	put_mark(fake, 2, 'b', 25); /* arrives late: better late than never */
	CHECK(!cprof_perf_source_drain(&fake->source, UINT64_MAX, see, fake));
	CHECK_STR(fake->seen, "acbd");
	fake_free(fake);
}

TEST(perf_source_counts_losses_of_samples_apart_from_others)
{
	struct fake *fake = fake_new();
	put(fake, 0, PERF_RECORD_LOST, 7, 100, 1);
	put(fake, 1, PERF_RECORD_LOST, 7, 23, 2);
	put(fake, 2, PERF_RECORD_LOST, 7, 5, 3);
	put(fake, 0, PERF_RECORD_THROTTLE, 0, 0, 4);
	CHECK(!cprof_perf_source_drain(&fake->source, UINT64_MAX, see, fake));
	CHECK_UINT(fake->source.lost_records, 123);
	CHECK_UINT(fake->source.lost_other, 5);
	CHECK_UINT(fake->source.throttled, 1);
	CHECK_UINT(fake->n_seen, 0);
	fake_free(fake);
}

TEST(perf_source_goes_on_after_a_ring_of_nonsense)
{
	struct fake *fake = fake_new();
	memset(fake->data[0], 0xff, 64); /* a record of 65,535 bytes */
	fake->metas[0].data_head = 64;
	put_mark(fake, 1, 'a', 10);
	CHECK(!cprof_perf_source_drain(&fake->source, UINT64_MAX, see, fake));
	CHECK_STR(fake->seen, "a");
	CHECK_UINT(fake->log.n_notes, 1);
	CHECK_UINT(fake->log.notes[0].kind, CPROF_NOTE_WARNING);
	put_mark(fake, 0, 'b', 20);
	CHECK(!cprof_perf_source_drain(&fake->source, UINT64_MAX, see, fake));
	CHECK_STR(fake->seen, "ab");
	fake_free(fake);
}
