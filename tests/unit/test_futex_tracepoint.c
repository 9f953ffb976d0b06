/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/futex_tracepoint.h"
#include "tests/unit/test.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

/* Where nobody mounted it, root mounts it for this test alone: each test is a process of its own. */
static void see_tracefs(void)
{
	if (access("/sys/kernel/tracing/events", F_OK) == 0 || unshare(CLONE_NEWNS) != 0)
		return;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) != 0)
		perror("mount tracefs");
}

static uint64_t tracefs_id(const char *event)
{
	char path[128];
	unsigned long long id = 0;
	snprintf(path, sizeof(path), "/sys/kernel/tracing/events/syscalls/%s/id", event);
	FILE *file = fopen(path, "r");
	if (file && fscanf(file, "%llu", &id) != 1)
		id = 0;
	if (file)
		fclose(file);
	return id;
}

TEST(futex_tracepoints_found_by_probing_are_those_of_tracefs)
{
	struct cprof_futex_tracepoints found;
	see_tracefs();
	if (!tracefs_id("sys_enter_futex"))
		test_skip("no tracefs to compare with, and none could be mounted");
	struct cprof_error *err = cprof_futex_tracepoints_probe(&found);
	if (err)
		TEST_FAIL("%s", err->message);
	CHECK_UINT(found.enter_futex, tracefs_id("sys_enter_futex"));
	CHECK_UINT(found.exit_futex, tracefs_id("sys_exit_futex"));
	CHECK_UINT(found.enter_waitv, tracefs_id("sys_enter_futex_waitv"));
	CHECK_UINT(found.exit_waitv, tracefs_id("sys_exit_futex_waitv"));
}

/* Every user may do this for his own processes; no capability, no tracefs. */
TEST(futex_tracepoints_are_found_by_a_user_without_privileges)
{
	struct cprof_futex_tracepoints found;
	see_tracefs();
	uint64_t want = tracefs_id("sys_enter_futex");
	if (geteuid() != 0 || !want)
		test_skip("needs root, to read tracefs first and to become nobody then");
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	struct cprof_error *err = cprof_futex_tracepoints_probe(&found);
	if (err)
		TEST_FAIL("%s", err->message);
	CHECK_UINT(found.enter_futex, want);
}
