/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_event.h"
#include "attach/waits/futex_tracepoint.h"
#include "attach/waits/wait_events.h"
#include "tests/unit/test.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* On this process itself; the caller closes both. */
static struct cprof_wait_events *open_own(struct cprof_target **ret_target)
{
	struct cprof_target *target;
	struct cprof_wait_events *events;
	struct cprof_error *err = cprof_target_open(getpid(), &target);
	if (!err)
		err = cprof_wait_events_open(target, false, 2048, &events);
	if (err && err->code == CPROF_ERR_DENIED)
		test_skip(err->message);
	if (err)
		TEST_FAIL("%s", err->message);
	*ret_target = target;
	return events;
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

TEST(wait_events_tell_calls_of_a_thread_born_later_in_order_and_with_their_stacks)
{
	struct cprof_target *target;
	struct cprof_wait_events *events = open_own(&target);
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
