/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/continuous/beat.h"
#include "attach/continuous/cut.h"
#include "attach/continuous/stream.h"

#include <poll.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/delivery/pace.h"
#include "cprof/builder.h"
#include "cprof/hash.h"
#include "cprof/pprof_read.h"
#include "cprof/pprof_write.h"
#include "tests/unit/test.h"

#define NS_PER_S 1000000000ull

TEST(beat_ends_windows_at_the_phase_and_never_now)
{
	static const struct {
		uint64_t phase_ns, wall_ns, want;
	} cases[] = {
		{ 3, 0, 3 },   { 3, 2, 1 },   { 3, 3, 15 },   { 3, 4, 14 },
		{ 3, 17, 1 },  { 3, 18, 15 }, { 0, 0, 15 },   { 0, 14, 1 },
		{ 0, 15, 15 }, { 14, 13, 1 }, { 14, 14, 15 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cprof_beat beat = { .every_ns = 15, .phase_ns = cases[i].phase_ns };
		CHECK_UINT(cprof_beat_wait_ns(&beat, cases[i].wall_ns), cases[i].want);
	}
}

/* 10,000 hosts in 15 tenths of the interval: each has near a fifteenth of them. */
TEST(beat_spreads_hosts_and_processes_evenly)
{
	unsigned hosts[15] = { 0 }, pids[15] = { 0 };
	const uint64_t every_ns = 15 * NS_PER_S;
	for (int i = 0; i < 10000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "node-%d.example", i);
		const struct cprof_beat a = cprof_beat_of(name, 1, every_ns);
		const struct cprof_beat b = cprof_beat_of("node", i + 1, every_ns);
		CHECK(a.phase_ns < every_ns && b.phase_ns < every_ns);
		hosts[a.phase_ns / NS_PER_S]++;
		pids[b.phase_ns / NS_PER_S]++;
	}
	for (size_t i = 0; i < 15; i++) {
		CHECK(hosts[i] > 560 && hosts[i] < 780);
		CHECK(pids[i] > 560 && pids[i] < 780);
	}
	CHECK_UINT(cprof_beat_of("a", 5, every_ns).phase_ns,
		   cprof_beat_of("a", 5, every_ns).phase_ns);
}

/* ---- cuts ---- */

static void ok(struct cprof_error *err)
{
	if (err)
		TEST_FAIL("%s", err->message);
}

/* What a recording of `mode` tells when it has counted so far. */
static void take_part(struct cprof_builder *builder, const char *mode, int64_t from_ns,
		      int64_t until_ns, struct cprof_buffer *part)
{
	struct cprof_profile_form form = { .shape = CPROF_SHAPE_PART };
	struct cprof_profile *profile;
	CHECK(cprof_profile_form_of_mode(mode, &form));
	ok(cprof_builder_finish(builder, NULL, NULL, &profile));
	profile->time_ns = from_ns;
	profile->duration_ns = until_ns - from_ns;
	ok(cprof_profile_form_write(&form, profile, part));
}

static void add(struct cprof_builder *builder, uint64_t addr, const int64_t *values)
{
	const struct cprof_stack_frame frame = { .addr = addr, .mapping = 1 };
	ok(cprof_builder_add(builder, &frame, 1, 0, values));
}

static struct cprof_builder *start(const struct cprof_builder_type *types, size_t n)
{
	struct cprof_builder *builder;
	uint32_t number;
	ok(cprof_builder_new(types, n, &builder));
	ok(cprof_builder_mapping(
		builder, &(struct cprof_builder_mapping){ 0x1000, 0x9000, 0, "/app", "ab12" },
		&number));
	return builder;
}

/* The sum of a type over the samples of the window between two parts. */
static int64_t window(const char *mode, const struct cprof_buffer *first,
		      const struct cprof_buffer *last, uint32_t type, struct cprof_cut *cut)
{
	struct cprof_profile_form form = { .shape = CPROF_SHAPE_PART };
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_profile *profile;
	int64_t sum = 0;
	CHECK(cprof_profile_form_of_mode(mode, &form));
	ok(cprof_cut_make(&form, first, last, &bytes));
	CHECK(cprof_cut_read(&bytes, cut));
	if (!cut->n_file)
		return 0;
	ok(cprof_pprof_decode(cut->file, cut->n_file, &profile));
	for (size_t i = 0; i < profile->n_samples; i++)
		sum += profile->values[i * profile->n_types + type];
	CHECK_UINT(profile->time_ns, cut->from_wall_ns);
	CHECK_UINT(profile->duration_ns, cut->until_wall_ns - cut->from_wall_ns);
	cprof_profile_free(profile);
	return sum;
}

TEST(cut_has_every_sample_in_one_window_and_no_gap_between_them)
{
	static const struct cprof_builder_type types[] = { { "samples", "count" },
							   { "cpu", "nanoseconds" } };
	struct cprof_builder *builder = start(types, 2);
	struct cprof_buffer parts[7] = { { 0 } };
	struct cprof_cut cut;
	int64_t total = 0, seen = 0;
	uint64_t until_ns = 1000, chance = 1;
	for (unsigned i = 1; i < 7; i++) {
		for (unsigned k = 0; k < i * 40 && i != 3; k++) {
			chance = cprof_hash_u64(chance);
			const int64_t n = (int64_t)(chance % 7) + 1;
			add(builder, 0x1000 + chance % 23, (int64_t[]){ n, n * 10 });
			total += n;
		}
		take_part(builder, "cpu", 1000, 1000 + (int64_t)i * 15, &parts[i]);
	}
	for (unsigned i = 1; i < 7; i++) {
		const int64_t sum = window("cpu", i > 1 ? &parts[i - 1] : NULL, &parts[i], 0, &cut);
		CHECK((sum == 0) == (i == 3));
		CHECK_UINT(cut.from_wall_ns, until_ns);
		CHECK_UINT(cut.until_wall_ns - cut.from_wall_ns, 15);
		CHECK_STR(cut.build_id, "ab12");
		until_ns = cut.until_wall_ns;
		seen += sum;
	}
	CHECK_UINT(seen, total);
	/* One that was left out, because the machine was busy, makes the next one longer. */
	CHECK_UINT(window("cpu", &parts[1], &parts[4], 0, &cut) +
			   window("cpu", NULL, &parts[1], 0, &cut) +
			   window("cpu", &parts[4], &parts[6], 0, &cut),
		   total);
	for (unsigned i = 0; i < 7; i++)
		cprof_buffer_deinit(&parts[i]);
	cprof_builder_free(builder);
}

TEST(cut_of_a_heap_has_what_was_allocated_in_it_and_what_is_in_use_at_its_end)
{
	static const struct cprof_builder_type types[] = { { "alloc_objects", "count" },
							   { "alloc_space", "bytes" },
							   { "inuse_objects", "count" },
							   { "inuse_space", "bytes" } };
	struct cprof_builder *builder = start(types, 4);
	struct cprof_buffer first = { 0 }, last = { 0 };
	struct cprof_cut cut;
	add(builder, 0x1010, (int64_t[]){ 10, 1000, 4, 400 });
	take_part(builder, "heap", 0, 15, &first);
	add(builder, 0x1010, (int64_t[]){ 5, 500, -3, -300 });
	add(builder, 0x1020, (int64_t[]){ 1, 7, 1, 7 });
	take_part(builder, "heap", 0, 30, &last);
	CHECK_UINT(window("heap", NULL, &first, 1, &cut), 1000);
	CHECK_UINT(window("heap", &first, &last, 1, &cut), 507);
	CHECK_UINT(window("heap", &first, &last, 3, &cut), 107);
	cprof_buffer_deinit(&first);
	cprof_buffer_deinit(&last);
	cprof_builder_free(builder);
}

TEST(cut_refuses_what_is_no_profile)
{
	struct cprof_profile_form form = { .shape = CPROF_SHAPE_PART };
	struct cprof_buffer junk = { 0 }, out = { 0 };
	struct cprof_cut cut;
	CHECK(cprof_profile_form_of_mode("cpu", &form));
	CHECK(!cprof_profile_form_of_mode("cmdlines", &form));
	CHECK(!cprof_cut_read(&out, &cut));
	cprof_buffer_puts(&junk, "\x0a\xff\xff");
	struct cprof_error *err = cprof_cut_make(&form, NULL, &junk, &out);
	CHECK(err && err->code == CPROF_ERR_BAD_DATA);
	cprof_error_free(err);
	cprof_buffer_deinit(&junk);
	cprof_buffer_deinit(&out);
}

TEST(pace_is_one_and_a_half_times_the_rate_of_what_comes)
{
	CHECK_UINT(cprof_pace_ns(60 * NS_PER_S, 16), 2500000000);
	CHECK_UINT(cprof_pace_ns(60 * NS_PER_S, 0), 0);
	CHECK_UINT(cprof_pace_ns(0, 4), 0);
}

/* ---- streams ---- */

/* A snapshot of threads that waits to be cut; its samples are `n`. */
static void hold_snapshot(struct cprof_stream *stream, int64_t n)
{
	static const struct cprof_builder_type types[] = { { "threads", "count" } };
	const struct cprof_mode *mode;
	struct cprof_profile *profile;
	struct cprof_builder *builder = start(types, 1);
	ok(cprof_mode_find("threads", &mode));
	ok(cprof_stream_init(stream, mode, NULL, NULL));
	add(builder, 0x1000, &n);
	ok(cprof_builder_finish(builder, NULL, NULL, &profile));
	ok(cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &stream->last));
	cprof_builder_free(builder);
	cprof_profile_free(profile);
	stream->stage = CPROF_STREAM_HOLDING;
}

/* As the engine does: whatever the order, nothing may wait for a work when none goes on. */
TEST(stream_that_holds_a_window_waits_for_a_work_only_while_one_goes_on)
{
	struct cprof_stream streams[3];
	unsigned works = 0, windows = 0;
	const uint64_t until = cprof_clock_mono_ns() + 60 * NS_PER_S;
	for (int i = 0; i < 3; i++)
		hold_snapshot(&streams[i], i + 1);
	while (windows < 3) {
		struct pollfd fds[3];
		size_t n = 0;
		for (int i = 0; i < 3; i++) {
			CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
			struct cprof_error *err;
			windows += cprof_stream_run(&streams[i], &works, &bytes, &err);
			ok(err);
		}
		for (int i = 2; i >= 0; i--)
			ok(cprof_stream_cut(&streams[i], &works, 1));
		for (int i = 0; i < 3; i++)
			n = cprof_stream_poll(&streams[i], fds, n);
		CHECK_UINT(n, windows < 3);
		CHECK_UINT(works, n);
		CHECK(cprof_clock_mono_ns() < until);
		poll(fds, n, n ? 1000 : 0);
	}
	for (int i = 0; i < 3; i++) {
		CHECK(streams[i].stage == CPROF_STREAM_IDLE);
		cprof_stream_deinit(&streams[i]);
	}
}

/* One that was killed is begun again, also when the first attempt finds no room for it. */
TEST(channel_that_broke_is_begun_again_until_it_can_be)
{
	unsigned running = 0;
	struct cprof_channels channels = { .running = &running };
	struct cprof_channel *channel = &channels.all[3];
	const uint64_t now = cprof_clock_mono_ns();
	*channel = (struct cprof_channel){ .mode = &cprof_modes[0],
					   .stays = true,
					   .broke = true,
					   .failure = cprof_error_new(CPROF_ERR_OS, "killed") };
	channels.subject = &(struct cprof_subject){ .requests = &cprof_mode_defaults };
	CHECK(cprof_channels_due_mono_ns(&channels) <= now);
	cprof_channels_revive(&channels, now);
	CHECK(!channel->running);
	CHECK(channel->failure && channel->failure->code == CPROF_ERR_NO_MEMORY);
	CHECK_UINT(channel->revivals, 1);
	const uint64_t due = cprof_channels_due_mono_ns(&channels);
	CHECK(due > now && due < UINT64_MAX);
	cprof_channels_end(&channels);
}
