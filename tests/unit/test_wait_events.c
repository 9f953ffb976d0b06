/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_event.h"
#include "attach/target/thread_proc.h"
#include "attach/waits/futex_tracepoint.h"
#include "attach/waits/wait_events.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* On this process itself; the caller closes both. */
static struct cprof_wait_events *open_reach(bool each_thread, struct cprof_target **ret_target)
{
	const struct cprof_wait_events_options options = { .each_thread = each_thread,
							   .stack_bytes = 2048 };
	struct cprof_target *target;
	struct cprof_wait_events *events;
	struct cprof_error *err = cprof_target_open(getpid(), &target);
	if (!err)
		err = cprof_wait_events_open(target, &options, &events);
	if (err && err->code == CPROF_ERR_DENIED)
		test_skip(err->message);
	if (err)
		TEST_FAIL("%s", err->message);
	*ret_target = target;
	return events;
}

static struct cprof_wait_events *open_own(struct cprof_target **ret_target)
{
	return open_reach(false, ret_target);
}

struct seen {
	unsigned enters, exits, ended, with_stack;
	uint64_t last_ns;
};

static struct cprof_error *note(void *ctx, const struct cprof_wait_events_call *call)
{
	struct seen *seen = ctx;
	CHECK(call->time_ns >= seen->last_ns);
	seen->last_ns = call->time_ns;
	if (call->kind == CPROF_WAIT_EVENTS_ENTER)
		seen->enters++;
	else if (call->kind == CPROF_WAIT_EVENTS_ENDED)
		seen->ended++;
	else
		seen->exits++;
	if (call->kind == CPROF_WAIT_EVENTS_EXIT && call->record->sample.regs &&
	    call->record->sample.n_stack)
		seen->with_stack++;
	return NULL;
}

static void *wait_for_nothing(void *arg)
{
	uint32_t word = 0;
	struct timespec soon = { 0, 1000000 };
	(void)arg;
	for (int i = 0; i < 5; i++)
		syscall(SYS_futex, &word, 128 /* WAIT, private */, 0, &soon, NULL, 0);
	return NULL;
}

/* struct futex_waitv of linux/futex.h */
struct word {
	uint64_t value, addr;
	uint32_t flags, reserved;
};

static void *wait_for_words(void *arg)
{
	uint32_t *gate = arg, other = 0;
	struct timespec soon;
	struct word words[] = { { 0, (uint64_t)(uintptr_t)gate, 2 | 128, 0 },
				{ 0, (uint64_t)(uintptr_t)&other, 2 | 128, 0 } };
	while (!__atomic_load_n(gate, __ATOMIC_SEQ_CST))
		if (syscall(SYS_futex_waitv, words, 2, 0, NULL, CLOCK_MONOTONIC) < 0 &&
		    errno == ENOSYS)
			return gate;
	words[0] = words[1];
	for (int i = 0; i < 5; i++) {
		clock_gettime(CLOCK_MONOTONIC, &soon);
		soon.tv_sec += soon.tv_nsec >= 999000000;
		soon.tv_nsec = (soon.tv_nsec + 1000000) % 1000000000;
		syscall(SYS_futex_waitv, words, 1, 0, &soon, CLOCK_MONOTONIC);
	}
	return NULL;
}

static bool sleeps_in_waitv(void)
{
	pid_t *tids;
	size_t n;
	char text[256] = "";
	struct cprof_thread_call call = { 0 };
	CHECK(!cprof_thread_list(getpid(), &tids, &n));
	for (size_t i = 0; i < n && call.nr != SYS_futex_waitv; i++) {
		if (cprof_thread_read(getpid(), tids[i], "syscall", text, sizeof(text)) <= 0 ||
		    !cprof_thread_call_parse(text, &call))
			call.nr = 0;
	}
	free(tids);
	return call.nr == SYS_futex_waitv;
}

/* Both threads call: an exit belongs to the last entry of its own. */
static struct cprof_error *note_waitv(void *ctx, const struct cprof_wait_events_call *call)
{
	static uint32_t in_waitv;
	if (call->kind == CPROF_WAIT_EVENTS_ENTER && call->op == CPROF_WAIT_PAIR_WAITV)
		in_waitv = call->tid;
	else if (call->kind == CPROF_WAIT_EVENTS_ENTER)
		return NULL;
	return call->tid == in_waitv && call->kind != CPROF_WAIT_EVENTS_ENDED ? note(ctx, call)
									      : NULL;
}

static void tell_waitv(bool each_thread)
{
	struct cprof_target *target;
	struct seen seen = { 0 };
	static uint32_t gate;
	void *refused;
	pthread_t thread;
	if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS)
		test_skip("this kernel has no futex_waitv");
	CHECK(pthread_create(&thread, NULL, wait_for_words, &gate) == 0);
	const uint64_t until = cprof_clock_mono_ns() + 60 * CPROF_NS_PER_S;
	while (!sleeps_in_waitv()) {
		CHECK(cprof_clock_mono_ns() < until);
		usleep(1000);
	}
	struct cprof_wait_events *events = open_reach(each_thread, &target);
	__atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &gate, 129 /* WAKE, private */, 1, NULL, NULL, 0);
	CHECK(pthread_join(thread, &refused) == 0 && !refused);
	struct cprof_error *err = cprof_wait_events_drain(events, UINT64_MAX, note_waitv, &seen);
	if (err)
		TEST_FAIL("%s", err->message);
	CHECK_UINT(seen.enters, 5);
	CHECK_UINT(seen.exits, 5);
	CHECK_UINT(seen.with_stack, 5);
	cprof_wait_events_close(events);
	cprof_target_close(target);
}

TEST(wait_events_tell_futex_waitv_where_a_thread_sleeps_in_it)
{
	tell_waitv(true);
}

TEST(wait_events_of_cpus_tell_futex_waitv)
{
	tell_waitv(false);
}

static void tell_later_born(bool each_thread)
{
	struct cprof_target *target;
	struct cprof_wait_events *events = open_reach(each_thread, &target);
	struct seen seen = { 0 };
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, wait_for_nothing, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	struct cprof_error *err = cprof_wait_events_drain(events, UINT64_MAX, note, &seen);
	if (err)
		TEST_FAIL("%s", err->message);
	CHECK(seen.enters >= 5 && seen.exits >= 5);
	CHECK_UINT(seen.ended, 1);
	CHECK_UINT(seen.with_stack, seen.exits);
	cprof_wait_events_close(events);
	cprof_target_close(target);
}

TEST(wait_events_tell_calls_of_a_thread_born_later_in_order_and_with_their_stacks)
{
	tell_later_born(true);
}

TEST(wait_events_of_cpus_tell_calls_of_a_thread_born_later_in_order_and_with_their_stacks)
{
	tell_later_born(false);
}

/* What the calls of one word were told as. */
struct thinned {
	uint32_t tid;
	unsigned enters, ended_with, ended_without, doubled;
	bool inside;
};

static struct cprof_error *note_thinned(void *ctx, const struct cprof_wait_events_call *call)
{
	struct thinned *seen = ctx;
	if (call->tid != seen->tid || call->kind == CPROF_WAIT_EVENTS_ENDED)
		return NULL;
	if (call->kind == CPROF_WAIT_EVENTS_ENTER)
		seen->enters++;
	else if (!seen->inside)
		seen->doubled += !call->has_stack;
	else if (call->has_stack)
		seen->ended_with++;
	else
		seen->ended_without++;
	seen->inside = call->kind == CPROF_WAIT_EVENTS_ENTER;
	return NULL;
}

static void wait_often(struct cprof_wait_events *events, unsigned n, struct thinned *seen)
{
	uint32_t word = 0;
	struct timespec at_once = { 0, 1 };
	for (unsigned i = 0; i < n; i++)
		syscall(SYS_futex, &word, 128 /* WAIT, private */, 0, &at_once, NULL, 0);
	*seen = (struct thinned){ .tid = (uint32_t)gettid() };
	struct cprof_error *err = cprof_wait_events_drain(events, UINT64_MAX, note_thinned, seen);
	if (err)
		TEST_FAIL("%s", err->message);
	CHECK(seen->enters >= n);
	CHECK_UINT(seen->ended_with + seen->ended_without, seen->enters);
}

static void thin(bool each_thread)
{
	struct cprof_target *target;
	struct cprof_wait_events *events = open_reach(each_thread, &target);
	struct thinned seen;
	wait_often(events, 50, &seen);
	CHECK_UINT(seen.ended_without, 0);
	cprof_wait_events_thin(events, 7);
	wait_often(events, 700, &seen);
	/* One in seven; each CPU that the thread was on counts for itself. All of them come once more without. */
	CHECK(seen.ended_with >= 50 && seen.ended_with <= 150);
	CHECK_UINT(seen.doubled, seen.ended_with);
	cprof_wait_events_thin(events, 1);
	wait_often(events, 50, &seen);
	CHECK_UINT(seen.ended_without, 0);
	CHECK_UINT(seen.doubled, 0);
	cprof_wait_events_close(events);
	cprof_target_close(target);
}

TEST(wait_events_bring_one_stack_in_so_many_and_every_end)
{
	thin(true);
}

TEST(wait_events_of_cpus_bring_one_stack_in_so_many_and_every_end)
{
	thin(false);
}

/* What an early version of a well-known tool does: a program on the tracepoint that returns 0. */
static int blind_everybody(uint64_t id, int program)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .config = id, .sample_period = 1
	};
	int fd = cprof_perf_event_open(&attr, -1, 0, -1);
	if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

TEST(wait_events_notice_when_a_program_of_somebody_else_hides_futex_calls)
{
	const struct bpf_insn hides[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct cprof_futex_tracepoints points;
	struct cprof_target *target;
	struct cprof_wait_events *events = open_own(&target);
	CHECK(!cprof_futex_tracepoints_find(&points));
	CHECK(cprof_wait_events_see(events));

	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int program = bpf_prog_load(BPF_PROG_TYPE_TRACEPOINT, "hides", "GPL", hides, 2, &opts);
	int fd = program < 0 ? -1 : blind_everybody(points.enter_futex, program);
	if (fd < 0)
		test_skip("may not attach a BPF program to a tracepoint");
	CHECK(!cprof_wait_events_see(events));
	close(fd);
	CHECK(cprof_wait_events_see(events));
	close(program);
	cprof_wait_events_close(events);
	cprof_target_close(target);
}
