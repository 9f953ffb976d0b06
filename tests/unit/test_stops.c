/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/remote_permit.h"
#include "attach/target/stop_effect.h"
#include "attach/target/stop_tally.h"
#include "attach/target/thread_look.h"
#include "attach/target/thread_proc.h"
#include "attach/target/thread_progress.h"
#include "attach/target/tracer.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(stop_effect_depends_on_the_call_its_time_limit_and_its_mask)
{
	static const struct {
		const char *what;
		int64_t nr;
		uint64_t args[6];
		enum cprof_stop_effect want;
	} cases[] = {
		{ "none", -1, { 0 }, CPROF_STOP_RESTARTS },
		{ "read", SYS_read, { 1, 2, 3 }, CPROF_STOP_RESTARTS },
		{ "endless", SYS_epoll_pwait, { 3, 1, 1, UINT32_MAX, 0 }, CPROF_STOP_AGAIN },
		{ "-1 in 64 bits", SYS_epoll_pwait, { 3, 1, 1, UINT64_MAX, 0 }, CPROF_STOP_AGAIN },
		{ "limited", SYS_epoll_pwait, { 3, 1, 1, 100, 0 }, CPROF_STOP_INTERRUPTED },
		{ "masked", SYS_epoll_pwait, { 3, 1, 1, UINT64_MAX, 7 }, CPROF_STOP_AGAIN },
		{ "semop", SYS_semop, { 1, 2, 3, 4, 5, 6 }, CPROF_STOP_AGAIN },
		{ "no limit", SYS_semtimedop, { 1, 2, 3, 0 }, CPROF_STOP_AGAIN },
		{ "a limit", SYS_semtimedop, { 1, 2, 3, 9 }, CPROF_STOP_INTERRUPTED },
		{ "write", SYS_write, { 1 }, CPROF_STOP_CUT_SHORT },
		{ "some", SYS_recvfrom, { 1, 2, 3, 0 }, CPROF_STOP_RESTARTS },
		{ "all", SYS_recvfrom, { 1, 2, 3, MSG_WAITALL }, CPROF_STOP_CUT_SHORT },
		{ "all", SYS_recvmsg, { 1, 2, MSG_WAITALL }, CPROF_STOP_CUT_SHORT },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cprof_stop_effect(cases[i].nr, cases[i].args) != cases[i].want)
			TEST_FAIL("%s (call %d)", cases[i].what, (int)cases[i].nr);
	}
}

TEST(stop_effect_knows_a_part_of_a_write_from_all_of_it)
{
	const uint64_t args[6] = { 1, 2, 100 };
	CHECK(cprof_stop_effect_partial(SYS_write, args, 1));
	CHECK(cprof_stop_effect_partial(SYS_sendto, args, 99));
	CHECK(!cprof_stop_effect_partial(SYS_write, args, 100));
	CHECK(!cprof_stop_effect_partial(SYS_write, args, 0));
	CHECK(!cprof_stop_effect_partial(SYS_write, args, -512));
	CHECK(!cprof_stop_effect_partial(SYS_writev, args, 1));
	CHECK(!cprof_stop_effect_partial(-1, args, 1));
}

TEST(remote_dispatch_passes_calls_of_the_exempt_range_only)
{
	static const struct {
		struct cprof_remote_dispatch dispatch;
		uint64_t ip;
		bool want;
	} cases[] = {
		{ { .mode = 0 }, 0x1000, true },
		{ { .mode = 1 }, 0x1000, false },
		{ { .mode = 1, .offset = 0x1000, .len = 0x10 }, 0x1000, true },
		{ { .mode = 1, .offset = 0x1000, .len = 0x10 }, 0x100f, true },
		{ { .mode = 1, .offset = 0x1000, .len = 0x10 }, 0x1010, false },
		{ { .mode = 1, .offset = 0x1000, .len = 0x10 }, 0xfff, false },
		/* All but 0x1000 to 0x100f, as the kernel stores it. */
		{ { .mode = 1, .offset = 0x1010, .len = -(uint64_t)0x10 }, 0x1008, false },
		{ { .mode = 1, .offset = 0x1010, .len = -(uint64_t)0x10 }, 0x1010, true },
		{ { .mode = 1, .offset = 0x1010, .len = -(uint64_t)0x10 }, 0xfff, true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(cprof_remote_dispatch_passes(&cases[i].dispatch, cases[i].ip) ==
		      cases[i].want);
}

TEST(thread_look_takes_a_thread_for_stuck_that_has_not_run)
{
	const struct cprof_thread_look before = { .blocked = { { 7, 10 }, { 8, 20 } },
						  .n_blocked = 2 };
	const struct cprof_thread_look moved = { .blocked = { { 7, 11 }, { 9, 20 } },
						 .n_blocked = 2 };
	const struct cprof_thread_look same = { .blocked = { { 7, 12 }, { 8, 20 } },
						.n_blocked = 2 };
	const struct cprof_thread_look none = { 0 };
	CHECK_UINT(cprof_thread_look_stuck(&before, &moved), 0);
	CHECK_UINT(cprof_thread_look_stuck(&before, &same), 8);
	CHECK_UINT(cprof_thread_look_stuck(&before, &none), 0);
	CHECK_UINT(cprof_thread_look_stuck(&none, &before), 0);
}

TEST(thread_look_finds_the_group_of_a_controller)
{
	static const char text[] = "9:cpu,cpuacct:/a\n7:freezer:/b c\n1:name=systemd:/d\n0::/e:f\n";
	char path[8];
	CHECK(cprof_thread_look_group(text, "freezer", path, sizeof(path)));
	CHECK_STR(path, "/b c");
	CHECK(cprof_thread_look_group(text, "", path, sizeof(path)));
	CHECK_STR(path, "/e:f");
	CHECK(!cprof_thread_look_group(text, "memory", path, sizeof(path)));
	CHECK(!cprof_thread_look_group(text, "freezer", path, 4));
	static const char *const bad[] = {
		"", "\n", "7", "7:", "7:freezer", "7:freezer\n0::", ":"
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!cprof_thread_look_group(bad[i], "freezer", path, sizeof(path)));
}

TEST(thread_status_parse_reads_signals_and_the_shadow_stack)
{
	struct cprof_thread_status status;
	CHECK(cprof_thread_status_parse("State:\tS\nTgid:\t3\nSigPnd:\t0000000000000001\n"
					"ShdPnd:\t0000000000000100\nSigBlk:\t0000000000000002\n"
					"SigCgt:\t0000000040000000\n"
					"x86_Thread_features:\tshstk wrss \n",
					&status));
	CHECK_UINT(status.pending, 0x101);
	CHECK_UINT(status.blocked, 2);
	CHECK_UINT(status.caught, 0x40000000);
	CHECK(status.shadow_stack);
	CHECK(cprof_thread_status_parse("State:\tS\nTgid:\t3\nx86_Thread_features:\t\n"
					"x86_Thread_features_locked:\tshstk wrss\n",
					&status));
	CHECK(!status.shadow_stack);
	CHECK_UINT(status.caught, 0);
}

TEST(stop_tally_counts_every_stop_and_names_those_in_vain)
{
	char text[128];
	struct cprof_stop_tally tally = { 0 }, other = { .cut_short = 2, .interrupted = 3 };
	cprof_stop_tally_text(&tally, text, sizeof(text));
	CHECK_STR(text, "0 times");
	cprof_stop_tally_add(&tally, 1500, false);
	cprof_stop_tally_text(&tally, text, sizeof(text));
	CHECK_STR(text, "1 time, at most 1 us, 1 us in all");
	cprof_stop_tally_add(&other, 20000000, true);
	cprof_stop_tally_join(&tally, &other);
	cprof_stop_tally_text(&tally, text, sizeof(text));
	CHECK_STR(text, "2 times, at most 20000 us, 20001 us in all; 1 of them in vain");
	CHECK_UINT(tally.cut_short, 2);
	CHECK_UINT(tally.interrupted, 3);
}

struct seen {
	pid_t tid;
	unsigned calls;
	bool straggler;
};

static bool see(void *ctx)
{
	struct seen *seen = ctx;
	seen->tid = gettid();
	seen->calls++;
	return seen->straggler;
}

TEST(tracer_keeps_its_thread_until_there_is_a_straggler)
{
	struct cprof_tracer tracer = { 0 };
	struct seen seen = { 0 };
	cprof_tracer_run(&tracer, see, &seen);
	const pid_t first = seen.tid;
	CHECK(first != gettid());
	cprof_tracer_run(&tracer, see, &seen);
	CHECK_UINT(seen.tid, first);
	seen.straggler = true;
	cprof_tracer_run(&tracer, see, &seen);
	CHECK(!tracer.running);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)first);
	CHECK(access(path, F_OK) != 0);
	seen.straggler = false;
	cprof_tracer_run(&tracer, see, &seen);
	CHECK(tracer.running);
	cprof_tracer_deinit(&tracer);
	cprof_tracer_deinit(&tracer);
	CHECK_UINT(seen.calls, 4);
}

/* A child that works, sleeps, is stopped, or is gone: nobody waits for more than for a processor. */
TEST(thread_progress_waits_for_who_wants_to_run_and_for_nobody_else)
{
	enum { WORKS, SLEEPS, STOPPED, GONE, CASES };
	for (int what = WORKS; what < CASES; what++) {
		const pid_t child = fork();
		while (child == 0 && what == WORKS)
			;
		while (child == 0)
			pause();
		struct cprof_thread_progress progress;
		const uint64_t until_ns = cprof_clock_mono_ns() + 600 * CPROF_NS_PER_S;
		CHECK(child > 0);
		if (what == STOPPED)
			CHECK(kill(child, SIGSTOP) == 0 &&
			      waitpid(child, NULL, WUNTRACED) == child);
		cprof_thread_progress_begin_of(&progress, child, &child, 1);
		CHECK_UINT(progress.n, 1);
		if (what == GONE)
			CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
		cprof_thread_progress_await(&progress, until_ns);
		CHECK(cprof_clock_mono_ns() < until_ns);
		if (what == GONE)
			continue;
		kill(child, SIGKILL);
		CHECK(waitpid(child, NULL, 0) == child);
	}
}
