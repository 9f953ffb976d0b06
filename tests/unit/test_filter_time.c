/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/filter_time.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/test.h"

#define S INT64_C(1000000000)

/* A sample a second for ten seconds, the first at `origin`, and one without a time; its value says which it is. */
static struct cprof_profile *ten_seconds(const char *key, const char *unit, int64_t second,
					 int64_t origin)
{
	struct cprof_profile *p;
	struct cprof_label label = { .is_num = true };
	CHECK(!cprof_profile_new(&p));
	CHECK(!cprof_profile_add_type(p, "cpu", "nanoseconds"));
	CHECK(!cprof_profile_string(p, key, &label.key));
	CHECK(!cprof_profile_string(p, unit, &label.text));
	for (int64_t i = 0; i < 10; i++) {
		const int64_t value = 1 << i;
		label.num = origin + i * second;
		CHECK(!cprof_profile_add_sample(p, NULL, 0, &label, 1, &value));
	}
	const int64_t without = 1 << 10;
	CHECK(!cprof_profile_add_sample(p, NULL, 0, NULL, 0, &without));
	return p;
}

static int64_t sum(const struct cprof_profile *p)
{
	int64_t total = 0;
	for (uint32_t i = 0; i < p->n_samples; i++)
		total += p->values[i];
	return total;
}

TEST(filter_time_keeps_a_part_of_every_kind_of_time)
{
	static const struct {
		const char *key, *unit;
		int64_t second, origin;
	} kinds[] = {
		{ "time_ms", "milliseconds", 1000, 0 },
		{ "time_ms", "", 1000, 0 },
		{ "time_ms", "nanoseconds", S, 0 },
		{ "end_timestamp_ns", "", S, 1795000000 * S },
		{ "end_timestamp_ns", "nanoseconds", S, 1795000000 * S },
		{ "timestamp", "", S, 1795000000 * S },
		{ "timestamp", "seconds", 1, 1795000000 },
		{ "timestamp_ms", "", 1000, 1795000000000 },
	};
	static const struct {
		const char *from, *to;
		int64_t want;
	} parts[] = {
		{ "", "", 2047 },     { "2s", "5s", 4 + 8 + 16 }, { "2", "5", 4 + 8 + 16 },
		{ "", "1500ms", 3 },  { "8500ms", "", 512 },      { "0", "1ms", 1 },
		{ "9s", "1h", 512 },  { "10s", "20s", 0 },        { "1s1ms", "2s", 0 },
		{ "0", "10s", 1023 }, { "0", "290y", -1 },        { "", "292h", 1023 },
	};
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			CPROF_AUTO(profile)
			struct cprof_profile *p = ten_seconds(kinds[k].key, kinds[k].unit,
							      kinds[k].second, kinds[k].origin);
			CPROF_AUTO(buffer) struct cprof_buffer warnings = { 0 };
			struct cprof_config config;
			CHECK(!cprof_config_init(&config));
			config.from = parts[i].from;
			config.to = parts[i].to;
			struct cprof_error *err = cprof_filter_time_apply(p, &config, &warnings);
			CHECK((err != NULL) == (parts[i].want < 0));
			cprof_error_free(err);
			if (parts[i].want < 0)
				continue;
			CHECK(sum(p) == parts[i].want);
			CHECK((warnings.len > 0) == (parts[i].want == 0));
			if (warnings.len)
				CHECK(strstr(cprof_buffer_text(&warnings), "they are of 0 to 9s"));
		}
	}
}

TEST(filter_time_refuses_what_is_no_part_of_the_time)
{
	static const struct {
		const char *key, *from, *to, *why;
	} rows[] = {
		{ "time_ms", "5s", "5s", "from 5s is not before to 5s" },
		{ "time_ms", "5s", "2s", "from 5s is not before to 2s" },
		{ "time_ms", "", "0", "from 0 is not before to 0" },
		{ "time_ms", "x", "", "-from: \"x\" is not a duration" },
		{ "time_ms", "", "5 s", "-to: \"5 s\" is not a duration" },
		{ "time_ms", "-1s", "", "-from: \"-1s\" is not a duration" },
		{ "time_ms", "1e300", "", "-from: \"1e300\" is not a duration" },
		{ "time_ms", "nan", "", "-from: \"nan\" is not a duration" },
		{ "tid", "1s", "", "no sample of this profile says when it was" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(profile) struct cprof_profile *p = ten_seconds(rows[i].key, "", 1000, 0);
		CPROF_AUTO(buffer) struct cprof_buffer warnings = { 0 };
		struct cprof_config config;
		CHECK(!cprof_config_init(&config));
		config.from = rows[i].from;
		config.to = rows[i].to;
		struct cprof_error *err = cprof_filter_time_apply(p, &config, &warnings);
		CHECK(err && err->code == CPROF_ERR_USAGE && strstr(err->message, rows[i].why));
		cprof_error_free(err);
		CHECK(sum(p) == 2047);
	}
}

TEST(filter_time_takes_times_that_are_as_far_apart_as_numbers_can_be)
{
	static const struct {
		const char *from, *to;
	} parts[] = { { "1s", "2s" }, { "", "1ms" }, { "292y", "" }, { "290h", "" } };
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		CPROF_AUTO(profile)
		struct cprof_profile *p =
			ten_seconds("end_timestamp_ns", "nanoseconds", 1, INT64_MAX - 9);
		CPROF_AUTO(buffer) struct cprof_buffer warnings = { 0 };
		struct cprof_config config;
		p->labels[0].num = INT64_MIN;
		CHECK(!cprof_config_init(&config));
		config.from = parts[i].from;
		config.to = parts[i].to;
		cprof_error_free(cprof_filter_time_apply(p, &config, &warnings));
	}
}
