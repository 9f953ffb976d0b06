/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_tracepoint.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/test.h"

static void call_clone(void)
{
	syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0);
}

static void call_clone3(void)
{
	syscall(SYS_clone3, NULL, 0);
}

TEST(perf_tracepoints_found_by_trying_are_those_of_tracefs)
{
	struct cprof_perf_tracepoint tried[] = {
		{ .name = "sys_enter_clone", .call = call_clone, .guess = 200 },
		{ .name = "sys_enter_clone3", .call = call_clone3, .guess = 200 },
	};
	struct cprof_error *err = cprof_perf_tracepoints_probe(tried, 2);
	if (err && err->code == CPROF_ERR_DENIED)
		test_skip("system calls may not be traced here");
	if (err)
		TEST_FAIL("%s", err->message);
	CHECK(tried[0].id && tried[1].id && tried[0].id != tried[1].id);

	/* Where nobody mounted it, root mounts it for this test alone: each test is a process of its own. */
	if (access("/sys/kernel/tracing/events", F_OK) != 0 &&
	    (unshare(CLONE_NEWNS) != 0 ||
	     mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	     mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) != 0))
		test_skip("no tracefs to compare with, and none could be mounted");
	struct cprof_perf_tracepoint read[] = { tried[0], tried[1] };
	CHECK(!cprof_perf_tracepoints_find(read, 2, "tracepoints.test"));
	CHECK_UINT(tried[0].id, read[0].id);
	CHECK_UINT(tried[1].id, read[1].id);
}
