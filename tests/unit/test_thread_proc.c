/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_proc.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

TEST(thread_stat_parse_reads_the_fields_whatever_the_name_holds)
{
	static const char rest[] =
		" S 22078 22078 6783 0 -1 4194304 128 0 1 0 11 22 0 0 20 0 1 0 180275"
		" 2990080 421 18446744073709551615 1 2 3 0 0 0 0 6 0 1 0 0 17 1 0 0 0\n";
	/* clang-format off */
	static const struct {
		const char *comm, *want;
	} cases[] = {
		{ "sleep", "sleep" },
		{ "", "" },
		{ "a) R 1 (b", "a) R 1 (b" },
		{ "))))", "))))" },
		{ "tab\there\x1b[2J", "tab?here?[2J" },
		{ "na\xc3\xafve", "na\xc3\xafve" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		struct cprof_thread_stat stat;
		snprintf(text, sizeof(text), "22082 (%s)%s", cases[i].comm, rest);
		CHECK(cprof_thread_stat_parse(text, &stat));
		CHECK_STR(stat.name, cases[i].want);
		CHECK_UINT(stat.tid, 22082);
		CHECK_UINT(stat.state, 'S');
		CHECK_UINT(stat.flags, 4194304);
		CHECK_UINT(stat.user_ticks, 11);
		CHECK_UINT(stat.system_ticks, 22);
		CHECK_UINT(stat.start_ticks, 180275);
		CHECK_UINT(stat.cpu, 1);
	}
}

TEST(thread_stat_parse_refuses_what_is_no_stat_line)
{
	static const char *const bad[] = {
		"",
		"\n",
		"12",
		"12 (a",
		"12 a) S 1",
		")( S 1 1 1",
		"12 (a) ",
		"12 (a) S 1 2 3",
		"0 (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
		"-4 (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
		"12 (a) ! 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
		"99999999999 (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cprof_thread_stat stat;
		if (cprof_thread_stat_parse(bad[i], &stat))
			TEST_FAIL("accepted: \"%s\"", bad[i]);
	}
}

TEST(thread_call_parse_tells_running_blocked_and_outside_apart)
{
	struct cprof_thread_call call;
	CHECK(cprof_thread_call_parse("running\n", &call));
	CHECK_UINT(call.kind, CPROF_CALL_RUNNING);

	CHECK(cprof_thread_call_parse("-1 0x7ffc0bdb2078 0x7f71fa4ee503\n", &call));
	CHECK_UINT(call.kind, CPROF_CALL_OUTSIDE);
	CHECK_UINT(call.sp, 0x7ffc0bdb2078);
	CHECK_UINT(call.pc, 0x7f71fa4ee503);

	CHECK(cprof_thread_call_parse(
		"202 0x1 0x80 0x2 0xffffffffffffffff 0x5 0x6 0x7ffc0bdb2078 0x7f71fa4ee503\n",
		&call));
	CHECK_UINT(call.kind, CPROF_CALL_BLOCKED);
	CHECK_UINT(call.nr, 202);
	CHECK_UINT(call.args[0], 1);
	CHECK_UINT(call.args[3], UINT64_MAX);
	CHECK_UINT(call.args[5], 6);
	CHECK_UINT(call.sp, 0x7ffc0bdb2078);
	CHECK_UINT(call.pc, 0x7f71fa4ee503);
}

TEST(thread_call_parse_refuses_torn_lines)
{
	static const char *const bad[] = {
		"",   "runnin", "running away", "202", "202 0x1 0x80",
		"-1", "-1 0x1", "x 0x1 0x2",    " \n", "202 0x1 0x80 0x2 0x0 0x0 0x0 0x7ffc",
		"0x",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cprof_thread_call call;
		if (cprof_thread_call_parse(bad[i], &call))
			TEST_FAIL("accepted: \"%s\"", bad[i]);
	}
}

TEST(thread_call_same_sees_a_change_of_any_one_field)
{
	const struct cprof_thread_call one = { .kind = CPROF_CALL_BLOCKED,
					       .nr = 202,
					       .args = { 1, 2, 3, 4, 5, 6 },
					       .sp = 7,
					       .pc = 8 };
	struct cprof_thread_call other = one;
	CHECK(cprof_thread_call_same(&one, &other));
	other.args[5]++;
	CHECK(!cprof_thread_call_same(&one, &other));
	other = one;
	other.sp++;
	CHECK(!cprof_thread_call_same(&one, &other));
	other = one;
	other.nr++;
	CHECK(!cprof_thread_call_same(&one, &other));
	other = one;
	other.kind = CPROF_CALL_OUTSIDE;
	CHECK(!cprof_thread_call_same(&one, &other));
}

TEST(thread_sched_parse_reads_switches_and_nanoseconds)
{
	static const char text[] =
		"cat (22080, #threads: 1)\n-------\n"
		"se.exec_start                                :       1802613.513028\n"
		"se.sum_exec_runtime                          :             0.287348\n"
		"nr_switches                                  :                   42\n"
		"nr_voluntary_switches                        :                    2\n";
	struct cprof_thread_switches switches;
	CHECK(cprof_thread_sched_parse(text, &switches));
	CHECK_UINT(switches.count, 42);
	CHECK_UINT(switches.last_ns, 1802613513028);
	CHECK_UINT(switches.ran_ns, 287348);

	CHECK(cprof_thread_sched_parse("nr_switches : 7\n", &switches));
	CHECK_UINT(switches.count, 7);
	CHECK_UINT(switches.last_ns, 0);
	CHECK(!cprof_thread_sched_parse("", &switches));
	CHECK(!cprof_thread_sched_parse("nr_switches 7\n", &switches));
	CHECK(!cprof_thread_sched_parse("xnr_switches : 7\n", &switches));
	CHECK(!cprof_thread_sched_parse("nr_switches :\n", &switches));
	CHECK(cprof_thread_sched_parse("se.exec_start : 1.5\nnr_switches : 7\n", &switches));
	CHECK_UINT(switches.last_ns, 0);
	CHECK(cprof_thread_sched_parse(
		"se.exec_start : 18446744073709551615.999999\nnr_switches : 7\n", &switches));
	CHECK_UINT(switches.last_ns, 0);
}

TEST(thread_io_parse_reads_how_many_writes_have_ended)
{
	uint64_t writes;
	CHECK(cprof_thread_io_parse("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\n",
				    &writes));
	CHECK_UINT(writes, 4);
	CHECK(!cprof_thread_io_parse("", &writes));
	CHECK(!cprof_thread_io_parse("syscw", &writes));
	CHECK(!cprof_thread_io_parse("syscw:\n", &writes));
	CHECK(!cprof_thread_io_parse("wchar: 2\nxsyscw: 4\n", &writes));
}

TEST(thread_schedstat_parse_reads_three_numbers)
{
	struct cprof_thread_schedstat now;
	CHECK(cprof_thread_schedstat_parse("120500 3000 17\n", &now));
	CHECK_UINT(now.ran_ns, 120500);
	CHECK_UINT(now.queued_ns, 3000);
	CHECK_UINT(now.runs, 17);
	CHECK(!cprof_thread_schedstat_parse("", &now));
	CHECK(!cprof_thread_schedstat_parse("1 2", &now));
	CHECK(!cprof_thread_schedstat_parse("1 x 3", &now));
}

TEST(thread_status_parse_takes_the_innermost_thread_id)
{
	static const char text[] =
		"Name:\tx\nState:\tS (sleeping)\nTgid:\t22080\nPid:\t22081\nTracerPid:\t9\n"
		"NSpid:\t22081\t14\t2\nSeccomp:\t2\nvoluntary_ctxt_switches:\t30\n"
		"nonvoluntary_ctxt_switches:\t12\n";
	struct cprof_thread_status status;
	CHECK(cprof_thread_status_parse(text, &status));
	CHECK_UINT(status.tgid, 22080);
	CHECK_UINT(status.ns_tid, 2);
	CHECK_UINT(status.tracer, 9);
	CHECK_UINT(status.seccomp, 2);
	CHECK_UINT(status.switches, 42);
	CHECK_UINT(status.state, 'S');
	CHECK(!cprof_thread_status_parse("", &status));
	CHECK(!cprof_thread_status_parse("State:\tS\n", &status));
	CHECK(!cprof_thread_status_parse("Tgid:\t22080\n", &status));
	CHECK(!cprof_thread_status_parse("State:\tS\nTgid:\t-3\n", &status));
	CHECK(cprof_thread_status_parse("State:\tS\nTgid:\t3\nNSpid:\tx\n", &status));
	CHECK_UINT(status.ns_tid, 0);
}

static void *wait_on(void *fd)
{
	char byte;
	while (read(*(int *)fd, &byte, 1) < 0)
		;
	return NULL;
}

TEST(thread_list_and_read_see_a_real_thread)
{
	pthread_t thread;
	pid_t *tids;
	size_t n;
	int pipes[2];
	char text[4096];
	struct cprof_thread_stat stat;
	CHECK(pipe(pipes) == 0);
	CHECK(pthread_create(&thread, NULL, wait_on, &pipes[0]) == 0);
	CHECK(pthread_setname_np(thread, "reader) (x") == 0);
	CHECK(!cprof_thread_list(getpid(), &tids, &n));
	CHECK_UINT(n, 2);
	CHECK_UINT(tids[0], getpid());
	CHECK(cprof_thread_read(getpid(), tids[1], "stat", text, sizeof(text)) > 0);
	CHECK(cprof_thread_stat_parse(text, &stat));
	CHECK_STR(stat.name, "reader) (x");
	CHECK_UINT(stat.tid, tids[1]);
	CHECK(cprof_thread_read(getpid(), 1 << 22, "stat", text, sizeof(text)) == -ENOENT);
	CHECK(write(pipes[1], "x", 1) == 1);
	pthread_join(thread, NULL);
	free(tids);

	struct cprof_error *err = cprof_thread_list(1 << 22, &tids, &n);
	CHECK(err && err->code == CPROF_ERR_NO_TARGET);
	cprof_error_free(err);
}
