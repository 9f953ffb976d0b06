/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/timeline.h"

#include <string.h>

#include "attach/run/thread_choice.h"
#include "attach/run/thread_pool.h"
#include "attach/run/timeline_fit.h"
#include "base/cleanup.h"
#include "cprof/pprof_write.h"
#include "tests/unit/test.h"

#define MS 1000000ull

/* ---- pools ---- */

TEST(thread_pool_folds_numbers_that_tell_threads_apart)
{
	static const struct {
		const char *name, *pool; /* NULL: none */
	} rows[] = {
		{ "worker-12", "worker-#" },
		{ "worker12", "worker#" },
		{ "GC Thread#3", "GC Thread#" },
		{ "pool-1-thread-3", "pool-#-thread-#" },
		{ "kworker/0:1", "kworker/#:#" },
		{ "http-nio-8080-e", "http-nio-#-e" },
		{ "C2 CompilerThre", NULL },
		{ "x264enc", NULL },
		{ "main", NULL },
		{ "", NULL },
		{ "17", NULL },
		{ "prog2", NULL }, /* the process's own */
		{ "rx9 3", "rx9 #" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char pool[16] = "untouched";
		const bool has = cprof_thread_pool_name(rows[i].name, "prog2", pool, sizeof(pool));
		CHECK(has == (rows[i].pool != NULL));
		CHECK_STR(pool, rows[i].pool ? rows[i].pool : "untouched");
	}
}

/* ---- choice ---- */

TEST(thread_choice_takes_names_and_ids)
{
	struct cprof_thread_choice *choice;
	CHECK(!cprof_thread_choice_new("^worker-", "7,8", &choice));
	CHECK(!cprof_thread_choice_was_met(choice));
	CHECK(!cprof_thread_choice_has(choice, 1, "main"));
	CHECK(!cprof_thread_choice_was_met(choice));
	CHECK(cprof_thread_choice_has(choice, 1, "worker-3"));
	CHECK(cprof_thread_choice_has(choice, 8, "main"));
	CHECK(!cprof_thread_choice_has(choice, 78, "a worker-3"));
	CHECK(cprof_thread_choice_was_met(choice));
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_thread_choice_describe(choice, &text);
	CHECK_STR(cprof_buffer_text(&text), "-threads '^worker-' -tid 7,8");
	cprof_thread_choice_free(choice);
	CHECK(cprof_thread_choice_has(NULL, 1, "anybody"));
}

TEST(thread_choice_refuses_what_chooses_nothing)
{
	static const struct {
		const char *pattern, *tids;
	} rows[] = {
		{ "(", NULL },   { "", NULL },     { NULL, "" },    { NULL, "x" },
		{ NULL, "1," },  { NULL, ",1" },   { NULL, "0" },   { NULL, "-1" },
		{ NULL, "1 2" }, { NULL, "1,,2" }, { NULL, "1.5" }, { NULL, "99999999999" },
		{ "a\\", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_thread_choice *choice;
		struct cprof_error *err =
			cprof_thread_choice_new(rows[i].pattern, rows[i].tids, &choice);
		CHECK(err && err->code == CPROF_ERR_USAGE);
		cprof_error_free(err);
	}
}

/* ---- rows ---- */

static struct cprof_builder *new_builder(void)
{
	static const struct cprof_builder_type types[] = { { "samples", "count" },
							   { "cpu", "nanoseconds" } };
	struct cprof_builder *builder;
	CHECK(!cprof_builder_new(types, 2, &builder));
	return builder;
}

static uint32_t stack_of(struct cprof_builder *builder, uint64_t addr)
{
	const struct cprof_stack_frame frame = { .addr = addr };
	uint32_t stack;
	CHECK(!cprof_builder_stack(builder, &frame, 1, &stack));
	return stack;
}

static uint32_t thread_of(struct cprof_builder *builder, const char *name)
{
	const struct cprof_builder_label label = { .key = "thread", .str = name };
	uint32_t labels;
	CHECK(!cprof_builder_labels(builder, &label, 1, &labels));
	return labels;
}

static struct cprof_profile *finish(struct cprof_timeline *timeline, struct cprof_builder *builder)
{
	struct cprof_profile *profile;
	CHECK(!cprof_timeline_flush(timeline, builder));
	CHECK(!cprof_builder_finish(builder, NULL, NULL, &profile));
	cprof_builder_free(builder);
	cprof_timeline_free(timeline);
	return profile;
}

/* The time of a sample; -1: it has none. */
static int64_t time_of(const struct cprof_profile *profile, uint32_t sample)
{
	const struct cprof_sample *s = &profile->samples[sample];
	for (uint32_t i = 0; i < s->n_labels; i++) {
		const struct cprof_label *label = &profile->labels[s->first_label + i];
		if (!label->is_num)
			continue;
		CHECK_STR(cprof_profile_text(profile, label->key), "time_ms");
		CHECK_STR(cprof_profile_text(profile, label->text), "milliseconds");
		return label->num;
	}
	return -1;
}

static int64_t sum(const struct cprof_profile *profile, uint32_t type)
{
	int64_t total = 0;
	for (uint32_t i = 0; i < profile->n_samples; i++)
		total += profile->values[(size_t)i * profile->n_types + type];
	return total;
}

TEST(timeline_keeps_equal_stacks_of_a_bucket_one_sample)
{
	struct cprof_builder *builder = new_builder();
	struct cprof_timeline *timeline;
	const int64_t values[] = { 1, 10 };
	const uint32_t a = stack_of(builder, 0x10), b = stack_of(builder, 0x20);
	const uint32_t one = thread_of(builder, "one"), two = thread_of(builder, "two");
	CHECK(!cprof_timeline_new(2, 100 * MS, &timeline));
	CHECK(!cprof_timeline_add(timeline, a, one, 0, values));
	CHECK(!cprof_timeline_add(timeline, a, one, 99 * MS + 999999, values));
	CHECK(!cprof_timeline_add(timeline, a, two, 50 * MS, values));
	CHECK(!cprof_timeline_add(timeline, b, one, 50 * MS, values));
	CHECK(!cprof_timeline_add(timeline, a, one, 100 * MS, values));
	CHECK(!cprof_timeline_add(timeline, a, 0, 250 * MS, values));
	struct cprof_profile *profile = finish(timeline, builder);
	static const int64_t times[] = { 0, 0, 0, 100, 200 }, counts[] = { 2, 1, 1, 1, 1 };
	CHECK_UINT(profile->n_samples, 5);
	for (uint32_t i = 0; i < 5; i++) {
		CHECK(time_of(profile, i) == times[i]);
		CHECK(profile->values[i * 2] == counts[i]);
		CHECK(profile->values[i * 2 + 1] == 10 * counts[i]);
	}
	cprof_profile_free(profile);
}

TEST(timeline_finds_the_bucket_of_what_comes_late)
{
	enum { STACKS = 3, BUCKETS = 40 };
	struct cprof_builder *builder = new_builder();
	struct cprof_timeline *timeline;
	int64_t wanted[STACKS][BUCKETS] = { { 0 } };
	uint32_t stacks[STACKS], random = 1, rows = 0;
	for (uint32_t i = 0; i < STACKS; i++)
		stacks[i] = stack_of(builder, 0x10 + i);
	CHECK(!cprof_timeline_new(2, MS, &timeline));
	for (uint32_t i = 0; i < 4000; i++) {
		/* At first in order, then now and then a little late, then at any time. */
		random = random * 1664525 + 1013904223;
		const uint32_t late = i < 1000 ? 0 : i < 2000 ? i % 100 == 99 : random >> 16;
		const uint32_t ms = i < 2000 ? i / 50 - late : late % BUCKETS;
		const int64_t values[] = { 1, i };
		wanted[i % STACKS][ms] += i;
		CHECK(!cprof_timeline_add(timeline, stacks[i % STACKS], 0, ms * MS, values));
	}
	for (uint32_t i = 0; i < STACKS * BUCKETS; i++)
		rows += wanted[i / BUCKETS][i % BUCKETS] != 0;
	struct cprof_profile *profile = finish(timeline, builder);
	CHECK_UINT(profile->n_samples, rows);
	CHECK(sum(profile, 0) == 4000);
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const struct cprof_sample *s = &profile->samples[i];
		const uint32_t location = profile->stacks[s->first_location];
		CHECK(profile->values[i * 2 + 1] ==
		      wanted[profile->locations[location].address - 0x10][time_of(profile, i)]);
	}
	cprof_profile_free(profile);
}

TEST(timeline_spreads_a_span_over_its_buckets_exactly)
{
	static const struct {
		uint64_t from, to;
		int64_t parts[5]; /* of the buckets from 0 ms on, each of 10 ms */
	} rows[] = {
		{ 0, 10 * MS, { 1000 } },
		{ 5 * MS, 15 * MS, { 500, 500 } },
		{ 9 * MS, 41 * MS, { 31, 312, 313, 312, 32 } },
		{ 12 * MS, 12 * MS, { 0, 1000 } },
		{ 20 * MS, 3 * MS, { 0, 0, 1000 } }, /* backwards: the moment that it began */
	};
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct cprof_builder *builder = new_builder();
		struct cprof_timeline *timeline;
		const int64_t values[] = { 0, 1000 };
		const uint32_t stack = stack_of(builder, 0x10);
		CHECK(!cprof_timeline_new(2, 10 * MS, &timeline));
		CHECK(!cprof_timeline_add_span(timeline, stack, 0, rows[row].from, rows[row].to,
					       values));
		struct cprof_profile *profile = finish(timeline, builder);
		CHECK(sum(profile, 1) == 1000);
		for (uint32_t i = 0; i < profile->n_samples; i++)
			CHECK(profile->values[i * 2 + 1] ==
			      rows[row].parts[time_of(profile, i) / 10]);
		cprof_profile_free(profile);
	}
}

TEST(timeline_widens_buckets_when_there_are_too_many_rows)
{
	struct cprof_builder *builder = new_builder();
	struct cprof_timeline *timeline;
	const int64_t values[] = { 1, 10 };
	const uint32_t stack = stack_of(builder, 0x10);
	const uint32_t n = CPROF_TIMELINE_ROWS_MAX + 1000;
	CHECK(!cprof_timeline_new(2, 0, &timeline));
	for (uint32_t i = 0; i < n; i++)
		CHECK(!cprof_timeline_add(timeline, stack, 0, i * MS, values));
	CHECK_UINT(cprof_timeline_bucket_ns(timeline), 10 * MS);
	/* However late, however long: it fits, and nothing is lost. */
	CHECK(!cprof_timeline_add(timeline, stack, 0, UINT64_MAX / 2, values));
	CHECK(!cprof_timeline_add_span(timeline, stack, 0, 0, UINT64_MAX / 2, values));
	struct cprof_profile *profile = finish(timeline, builder);
	CHECK(sum(profile, 0) == n + 2);
	CHECK(sum(profile, 1) == 10 * (int64_t)(n + 2));
	CHECK(profile->n_samples < 40000);
	cprof_profile_free(profile);
}

/* ---- width ---- */

static size_t size_of(const struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	CHECK(!cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &bytes));
	return bytes.len;
}

/* As many distinct stacks, met again and again for so long, a sample a millisecond, in buckets of 1 ms or of `step_ms`. */
static struct cprof_profile *busy_in(uint32_t stacks, uint32_t length_ms, uint64_t step_ms)
{
	struct cprof_builder *builder = new_builder();
	struct cprof_timeline *timeline;
	const int64_t values[] = { 1, 1000000 };
	uint32_t random = 1;
	CHECK(!cprof_timeline_new(2, 0, &timeline));
	for (uint32_t i = 0; i < length_ms; i++) {
		random = random * 1664525 + 1013904223;
		CHECK(!cprof_timeline_add(timeline,
					  stack_of(builder, 0x10 + (random >> 8) % stacks * 64), 0,
					  i * MS, values));
	}
	CHECK(!cprof_timeline_widen(timeline, step_ms * MS));
	CHECK_UINT(cprof_timeline_bucket_ns(timeline), step_ms * MS);
	return finish(timeline, builder);
}

static struct cprof_profile *busy(uint32_t stacks, uint32_t length_ms)
{
	return busy_in(stacks, length_ms, 1);
}

/* The same file comes of buckets that are at once as wide as they may become. */
static void check_at_once(uint32_t stacks, uint32_t length_ms, uint64_t least, uint64_t step_ms,
			  const struct cprof_profile *wanted)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 }, wanted_bytes = { 0 };
	struct cprof_profile *profile = busy_in(stacks, length_ms, step_ms);
	struct cprof_timeline_fitted fitted;
	CHECK_UINT(cprof_timeline_fit_step(1, length_ms), step_ms);
	CHECK(!cprof_timeline_fit(&profile, step_ms, length_ms, least, 0, &fitted));
	CHECK(!cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &bytes));
	CHECK(!cprof_pprof_encode(wanted, CPROF_PPROF_GZIP_FAST, &wanted_bytes));
	CHECK_UINT(bytes.len, wanted_bytes.len);
	CHECK(memcmp(bytes.data, wanted_bytes.data, bytes.len) == 0);
	cprof_profile_free(profile);
}

TEST(timeline_fit_keeps_the_file_below_twice_its_size)
{
	static const struct {
		uint32_t stacks, length_ms;
		uint64_t least, step;
	} rows[] = {
		{ 1, 5000, 10, 1 },     { 10, 30000, 10, 10 }, { 1000, 30000, 10, 10 },
		{ 3000, 3000, 10, 1 },  { 50, 100, 2, 1 },     { 2, 10000, 10, 10 },
		{ 500, 10001, 10, 10 }, { 7, 5001, 10, 10 },   { 3, 100000, 10, 100 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_profile *profile = busy(rows[i].stacks, rows[i].length_ms);
		struct cprof_timeline_fitted fitted;
		const int64_t count = sum(profile, 0), weight = sum(profile, 1);
		CHECK(!cprof_timeline_fit(&profile, 1, rows[i].length_ms, rows[i].least, 0,
					  &fitted));
		CHECK(sum(profile, 0) == count && sum(profile, 1) == weight);
		CHECK_UINT(size_of(profile), fitted.bytes);
		CHECK(fitted.bytes <= CPROF_TIMELINE_GROWTH_MAX * fitted.bytes_without);
		CHECK(fitted.tried);
		if (fitted.bucket_ms) {
			CHECK(rows[i].length_ms / fitted.bucket_ms <= CPROF_TIMELINE_BUCKETS_MAX);
			CHECK(rows[i].length_ms / fitted.bucket_ms >= rows[i].least);
		}
		for (uint32_t s = 0; s < profile->n_samples; s++) {
			const int64_t time = time_of(profile, s);
			CHECK(fitted.bucket_ms ? time % (int64_t)fitted.bucket_ms == 0
					       : time == -1);
		}
		check_at_once(rows[i].stacks, rows[i].length_ms, rows[i].least, rows[i].step,
			      profile);
		cprof_profile_free(profile);
	}
}

TEST(timeline_fit_of_an_empty_or_short_window_has_no_times)
{
	static const uint32_t lengths[] = { 0, 1, 9 };
	for (size_t i = 0; i < 3; i++) {
		struct cprof_profile *profile = busy(2, lengths[i]);
		struct cprof_timeline_fitted fitted;
		CHECK(!cprof_timeline_fit(&profile, 1, lengths[i], 10, 0, &fitted));
		CHECK_UINT(fitted.bucket_ms, 0);
		CHECK(!fitted.tried);
		CHECK(sum(profile, 0) == lengths[i]);
		cprof_profile_free(profile);
	}
}
