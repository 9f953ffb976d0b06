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

static void call_brk(void)
{
	syscall(SYS_brk, CPROF_PERF_TRACEPOINT_ARGUMENT);
}

static void call_munmap(void)
{
	syscall(SYS_munmap, 1, 0);
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
		{ .name = "sys_exit_brk", .call = call_brk, .guess = 200, .is_return = true },
		{ .name = "sys_enter_munmap", .call = call_munmap, .guess = 690 },
		{ .name = "sys_exit_munmap", .call = call_munmap, .guess = 690, .is_return = true },
	};
	enum { N = sizeof(tried) / sizeof(tried[0]) };
	struct cprof_error *err = cprof_perf_tracepoints_probe(tried, N);
	if (err && err->code == CPROF_ERR_DENIED)
		test_skip("system calls may not be traced here");
	if (err)
		TEST_FAIL("%s", err->message);
	for (size_t i = 0; i < N; i++) {
		CHECK(tried[i].id);
		for (size_t k = 0; k < i; k++)
			CHECK(tried[i].id != tried[k].id);
	}

	/* Where nobody mounted it, root mounts it for this test alone: each test is a process of its own. */
	if (access("/sys/kernel/tracing/events", F_OK) != 0 &&
	    (unshare(CLONE_NEWNS) != 0 ||
	     mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	     mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) != 0))
		test_skip("no tracefs to compare with, and none could be mounted");
	struct cprof_perf_tracepoint read[N];
	memcpy(read, tried, sizeof(read));
	CHECK(!cprof_perf_tracepoints_find(read, N, "tracepoints.test"));
	for (size_t i = 0; i < N; i++)
		CHECK_UINT(tried[i].id, read[i].id);
}
