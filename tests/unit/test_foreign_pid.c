/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/foreign_pid.h"

#include <unistd.h>

#include "tests/unit/test.h"

TEST(foreign_pid_takes_the_innermost_id_of_a_status)
{
	static const struct {
		const char *what, *status;
		uint64_t pid;
	} rows[] = {
		{ "one namespace", "Name:\tx\nNSpid:\t42\nUid:\t0\n", 42 },
		{ "three", "Name:\tx\nNSpid:\t42\t7\t1\nNSpgid:\t9\n", 1 },
		{ "none", "Name:\tx\nPid:\t42\n", 0 },
		{ "empty", "", 0 },
		{ "no number", "NSpid:\tx\n", 0 },
		{ "no number, then a line of one", "NSpid:\n17\n", 0 },
		{ "a name that looks like it", "Name:\tNSpid:\t9\nNSpid:\t3\n", 3 },
		{ "cut off", "NSpid:\t42\t7", 7 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t pid = cprof_foreign_pid_ns_pid(rows[i].status);
		if (pid != rows[i].pid)
			TEST_FAIL("%s: %llu", rows[i].what, (unsigned long long)pid);
	}
}

TEST(foreign_pid_knows_a_pidfd_by_its_fdinfo)
{
	CHECK_UINT(cprof_foreign_pid_of_fdinfo("pos:\t0\nflags:\t02\nPid:\t42\nNSpid:\t42\n"), 42);
	CHECK_UINT(cprof_foreign_pid_of_fdinfo("pos:\t0\nflags:\t02\n"), 0);
	CHECK_UINT(cprof_foreign_pid_of_fdinfo("Pid:\t-1\n"), 0);
	CHECK_UINT(cprof_foreign_pid_of_fdinfo("Pid:\t99999999999\n"), 0);
	CHECK_UINT(cprof_foreign_pid_of_fdinfo("ino:\t3 Pid:\t5\n"), 0);
}

TEST(foreign_pid_finds_itself_and_nobody_who_began_at_another_time)
{
	struct cprof_foreign_pid self = cprof_foreign_pid_self();
	pid_t pid;
	CHECK_UINT(cprof_foreign_pid_find(&self, &pid), CPROF_FOREIGN_HERE);
	CHECK_UINT(pid, getpid());
	self.start_ticks++;
	CHECK_UINT(cprof_foreign_pid_find(&self, &pid), CPROF_FOREIGN_GONE);
	CHECK_UINT(pid, 0);
	self = (struct cprof_foreign_pid){ UINT64_MAX, 1, 1 };
	CHECK_UINT(cprof_foreign_pid_find(&self, &pid), CPROF_FOREIGN_GONE);
}
