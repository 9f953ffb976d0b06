/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/sample_ring.h"

#include "attach/run/ring_builder.h"
#include "base/cleanup.h"
#include "convert/profile/builder_carry.h"
#include "tests/unit/test.h"

#define MS 1000000ull

static void add(struct cprof_sample_ring *ring, uint64_t mono_ns, uint32_t stack, uint32_t labels)
{
	CHECK(!cprof_sample_ring_add(ring, mono_ns, stack, labels, (int64_t[]){ 1, 10 }, 2));
}

static uint64_t wanted(const struct cprof_sample_ring *ring)
{
	struct cprof_counts counts = { 0 };
	cprof_sample_ring_count(ring, &counts);
	return counts.samples;
}

TEST(sample_ring_lets_go_what_is_too_old_and_cuts_by_time)
{
	struct cprof_sample_ring ring = { .length_ns = 100 * MS, .bytes_max = 64 << 20 };
	const struct cprof_counts none = { 0 };
	for (uint64_t t = 0; t < 100000; t++) {
		add(&ring, t * MS, (uint32_t)t, 0);
		if (t % 10 == 9)
			cprof_sample_ring_turn(&ring, t * MS, &none);
	}
	CHECK_UINT(ring.n, 101); /* both ends of the last 100 ms */
	CHECK(ring.cap <= 4096); /* it has not grown in all the time */
	CHECK_UINT(cprof_sample_ring_at(&ring, 0)->mono_ns, 99899 * MS);
	ring.from_ns = 99950 * MS;
	ring.until_ns = 99960 * MS;
	CHECK_UINT(wanted(&ring), 10);
	CHECK_UINT(cprof_sample_ring_begin_ns(&ring), ring.from_ns);
	ring.until_ns = UINT64_MAX;
	CHECK_UINT(wanted(&ring), 50);
	cprof_sample_ring_deinit(&ring);
}

TEST(sample_ring_takes_times_in_any_order)
{
	struct cprof_sample_ring ring = { .length_ns = 100 * MS, .bytes_max = 1 << 20 };
	add(&ring, 5 * MS, 0, 0);
	add(&ring, 3 * MS, 1, 0);
	add(&ring, 4 * MS, 2, 0);
	ring.from_ns = 4 * MS;
	ring.until_ns = 5 * MS;
	CHECK_UINT(wanted(&ring), 1);
	cprof_sample_ring_deinit(&ring);
}

TEST(sample_ring_that_is_full_drops_the_oldest_and_knows_it)
{
	struct cprof_sample_ring ring = { .length_ns = 1000000 * MS, .bytes_max = 1 << 20 };
	for (uint64_t t = 0; t < 100000; t++)
		add(&ring, t * MS, 0, 0);
	CHECK(ring.cap * sizeof(*ring.entries) <= ring.bytes_max);
	CHECK_UINT(ring.n, ring.cap);
	CHECK_UINT(ring.dropped, 100000 - ring.n);
	ring.until_ns = UINT64_MAX;
	CHECK_UINT(cprof_sample_ring_begin_ns(&ring), (100000 - ring.n - 1) * MS + 1);
	ring.from_ns = 99000 * MS; /* of a time that is there as a whole nothing is missing */
	CHECK_UINT(cprof_sample_ring_begin_ns(&ring), ring.from_ns);
	cprof_sample_ring_deinit(&ring);
}

TEST(sample_ring_counts_what_was_lost_in_its_time)
{
	struct cprof_sample_ring ring = { .length_ns = 3200 * MS, .bytes_max = 1 << 20 };
	struct cprof_counts counts = { 0 };
	for (uint64_t t = 0; t <= 10000; t += 10) {
		counts.lost = t / 10; /* one each 10 ms */
		cprof_sample_ring_turn(&ring, t * MS, &counts);
	}
	ring.from_ns = 9000 * MS;
	ring.until_ns = UINT64_MAX;
	cprof_sample_ring_count(&ring, &counts);
	CHECK(counts.lost >= 100 && counts.lost <= 110);
	cprof_sample_ring_deinit(&ring);
}

TEST(sample_ring_of_which_nobody_asks_is_the_last_of_it)
{
	struct cprof_sample_ring ring = { .last_ns = 10 * MS };
	cprof_sample_ring_end(&ring, 100 * MS);
	CHECK_UINT(ring.from_ns, 90 * MS);
	CHECK_UINT(ring.until_ns, UINT64_MAX);
	ring.from_ns = 5, ring.until_ns = 7;
	cprof_sample_ring_end(&ring, 100 * MS);
	CHECK_UINT(ring.from_ns, 5);
	ring.from_ns = ring.until_ns = 0;
	cprof_sample_ring_end(&ring, 3 * MS); /* it is younger than that */
	CHECK_UINT(ring.from_ns, 0);
}

/* ---- with a builder ---- */

static const struct cprof_builder_type types[] = { { "samples", "count" },
						   { "cpu", "nanoseconds" } };

static uint32_t stack_of(struct cprof_builder *builder, uint64_t addr)
{
	const struct cprof_stack_frame frames[] = { { addr, 1 }, { addr + 1, 2 }, { 7, 0 } };
	uint32_t stack;
	CHECK(!cprof_builder_stack(builder, frames, 3, &stack));
	return stack;
}

static uint32_t labels_of(struct cprof_builder *builder, const char *thread, int64_t tid)
{
	const struct cprof_builder_label labels[] = { { .key = "thread", .str = thread },
						      { .key = "tid", .num = tid },
						      { .key = "t", .num = 0, .unit = "ms" } };
	uint32_t set;
	CHECK(!cprof_builder_labels(builder, labels, 3, &set));
	return set;
}

static struct cprof_builder *new_builder(void)
{
	struct cprof_builder *builder;
	const struct cprof_builder_mapping a = { 0x1000, 0x2000, 0, "/bin/a", "abcd" };
	const struct cprof_builder_mapping b = { 0x5000, 0x6000, 0x100, "/lib/b", NULL };
	uint32_t number;
	CHECK(!cprof_builder_new(types, 2, &builder));
	CHECK(!cprof_builder_mapping(builder, &a, &number));
	CHECK(!cprof_builder_mapping(builder, &b, &number));
	return builder;
}

TEST(ring_builder_carries_what_the_ring_has_and_forgets_the_rest)
{
	struct cprof_builder *from = new_builder(), *to;
	struct cprof_sample_ring ring = { .length_ns = 1000 * MS, .bytes_max = 1 << 20 };
	for (uint32_t i = 0; i < 5000; i++) /* stacks and threads that are over */
		stack_of(from, 0x9000 + i), labels_of(from, "old", i);
	for (uint32_t i = 0; i < 10; i++)
		add(&ring, i * MS, stack_of(from, 0x1000 + i % 2), labels_of(from, "new", i % 5));
	const size_t before = cprof_builder_bytes(from);
	CHECK(!cprof_builder_again(from, &to));
	CHECK(!cprof_ring_builder_carry(&ring, from, to));
	CHECK_UINT(cprof_builder_stacks(to)->n_stacks, 2);
	CHECK(cprof_builder_bytes(to) < before / 100);
	ring.until_ns = UINT64_MAX;
	ring.from_ns = 2 * MS;
	CHECK(!cprof_ring_builder_fill(&ring, to, NULL, 0));

	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	CHECK(!cprof_builder_finish(to, NULL, NULL, &profile));
	int64_t sum = 0;
	for (size_t i = 0; i < profile->n_samples; i++) {
		sum += profile->values[2 * i + 1];
		CHECK_UINT(profile->samples[i].n_labels, 3);
	}
	CHECK_UINT(sum, 80);
	CHECK_UINT(profile->n_mappings, 2);
	CHECK_STR(cprof_profile_text(profile, profile->mappings[0].filename), "/bin/a");
	CHECK_STR(cprof_profile_text(profile, profile->mappings[0].build_id), "abcd");
	CHECK_UINT(profile->mappings[1].offset, 0x100);
	const struct cprof_label *label = &profile->labels[profile->samples[0].first_label];
	bool zero = false;
	for (size_t i = 0; i < 3; i++)
		zero |= label[i].is_num && !label[i].num &&
			strcmp(cprof_profile_text(profile, label[i].text), "ms") == 0;
	CHECK(zero);
	cprof_builder_free(from);
	cprof_builder_free(to);
	cprof_sample_ring_deinit(&ring);
}

TEST(sample_ring_of_ever_new_stacks_stays_within_its_memory)
{
	struct cprof_builder *builder = new_builder(), *to;
	struct cprof_sample_ring ring = { .length_ns = 1000 * MS, .bytes_max = 4 << 20 };
	const struct cprof_counts none = { 0 };
	size_t most = 0;
	for (uint32_t i = 0; i < 300000; i++) { /* a day's worth of stacks, none of them twice */
		add(&ring, i * MS / 10, stack_of(builder, 0x1000 + 4ull * i),
		    labels_of(builder, "t", i % 7));
		if (i % 100)
			continue;
		cprof_sample_ring_turn(&ring, i * MS / 10, &none);
		const size_t bytes = cprof_builder_bytes(builder);
		most = bytes > most ? bytes : most;
		if (!cprof_sample_ring_is_full(&ring, bytes))
			continue;
		do {
			CHECK(!cprof_builder_again(builder, &to));
			CHECK(!cprof_ring_builder_carry(&ring, builder, to));
			cprof_builder_free(builder);
			builder = to;
		} while (cprof_sample_ring_thinned(&ring, cprof_builder_bytes(builder)));
	}
	CHECK(most <= ring.bytes_max + 65536);
	CHECK(ring.n > 1000);
	cprof_builder_free(builder);
	cprof_sample_ring_deinit(&ring);
}
