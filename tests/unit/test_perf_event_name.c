/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_event_name.h"

#include "tests/unit/test.h"

TEST(perf_event_name_knows_the_clocks_as_libpfm4_does)
{
	static const char *const names[] = { "cpu-clock", "task-clock", "CPU-CLOCK" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct cprof_perf_event_name ours, theirs;
		CHECK(!cprof_perf_event_name_find(names[i], &ours));
		CHECK(!cprof_perf_event_name_ask(names[i], &theirs));
		CHECK_UINT(ours.type, theirs.type);
		CHECK_UINT(ours.config, theirs.config);
		CHECK_UINT(ours.config1, theirs.config1);
		CHECK_UINT(ours.config2, theirs.config2);
		CHECK_UINT(ours.is_clock, theirs.is_clock);
		CHECK_UINT(ours.user_only, theirs.user_only);
	}
}

TEST(perf_event_name_asks_libpfm4_for_everything_else)
{
	struct cprof_perf_event_name name;
	CHECK(!cprof_perf_event_name_find("page-faults", &name));
	CHECK(!name.is_clock);
	CHECK(!cprof_perf_event_name_find("cpu-clock:u", &name));
	CHECK(name.is_clock && name.user_only);
	struct cprof_error *err = cprof_perf_event_name_find("cpu-clocks", &name);
	CHECK(err);
	CHECK_UINT(err->code, CPROF_ERR_USAGE);
	cprof_error_free(err);
}
