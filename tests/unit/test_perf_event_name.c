/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_event_name.h"

#include <linux/perf_event.h>

#include "attach/perf/perf_tracepoint.h"
#include "tests/unit/test.h"

TEST(perf_event_name_knows_the_kernels_counters_as_libpfm4_does)
{
	static const char *const names[] = { "cpu-clock",      "task-clock",       "CPU-CLOCK",
					     "page-faults",    "faults",           "minor-faults",
					     "major-faults",   "context-switches", "cs",
					     "cpu-migrations", "migrations" };
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
	CHECK(!cprof_perf_event_name_find("page-faults:u", &name));
	CHECK(!name.is_clock && name.user_only);
	CHECK(!cprof_perf_event_name_find("cpu-clock:u", &name));
	CHECK(name.is_clock && name.user_only);
	struct cprof_error *err = cprof_perf_event_name_find("cpu-clocks", &name);
	CHECK(err);
	CHECK_UINT(err->code, CPROF_ERR_USAGE);
	cprof_error_free(err);
}

TEST(perf_event_name_takes_no_text_for_a_tracepoint_that_leads_elsewhere)
{
	static const char *const names[] = { "sched:",
					     ":sched_switch",
					     "sched:../../x",
					     "sched:a/b",
					     "sched:sched_switch:k",
					     "sched: x",
					     "sched:no_such_tracepoint" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct cprof_perf_event_name name;
		struct cprof_error *err = cprof_perf_event_name_find(names[i], &name);
		CHECK(err);
		CHECK_UINT(err->code, CPROF_ERR_USAGE);
		cprof_error_free(err);
	}
}

TEST(perf_event_name_has_a_tracepoints_number_from_tracefs)
{
	struct cprof_perf_event_name name;
	const uint64_t id = cprof_perf_tracepoint_id("sched", "sched_switch");
	if (!cprof_perf_tracepoints_readable() || !id)
		test_skip("tracefs is not ours to read");
	CHECK(!cprof_perf_event_name_find("sched:sched_switch", &name));
	CHECK_UINT(name.type, PERF_TYPE_TRACEPOINT);
	CHECK_UINT(name.config, id);
	CHECK(!name.is_clock);
}
