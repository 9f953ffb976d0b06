/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_regs.h"
#include "attach/threads/thread_iter.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

TEST(thread_regs_from_call_leaves_what_proc_does_not_tell_unknown)
{
	const struct cprof_arch *arch = cprof_arch_host();
	struct cprof_thread_call blocked = { .kind = CPROF_CALL_BLOCKED,
					     .nr = SYS_read,
					     .args = { 1, 2, 3, 4, 5, 6 },
					     .sp = 0x7000,
					     .pc = 0x4000 };
	struct cprof_regs regs;
	cprof_thread_regs_from_call(&blocked, &regs);
	CHECK_UINT(regs.pc, 0x4000);
	CHECK_UINT(regs.r[arch->sp], 0x7000);
	CHECK_UINT(regs.valid & arch->callee_saved, 0);
	CHECK_UINT(__builtin_popcountll(regs.valid), 7);

	blocked.kind = CPROF_CALL_OUTSIDE;
	cprof_thread_regs_from_call(&blocked, &regs);
	CHECK_UINT(regs.valid, 1ull << arch->sp);
}

#if defined(__x86_64__)
TEST(thread_regs_from_kernel_follows_the_order_of_pt_regs)
{
	/* Word i holds 100 + i; r15 is the first word and DWARF number 15, rsp the 20th and DWARF number 7. */
	static const uint64_t want[16] = { 110, 112, 111, 105, 113, 114, 104, 119,
					   109, 108, 107, 106, 103, 102, 101, 100 };
	uint64_t words[CPROF_THREAD_REGS_WORDS];
	struct cprof_regs regs;
	struct cprof_thread_call call;
	for (size_t i = 0; i < CPROF_THREAD_REGS_WORDS; i++)
		words[i] = 100 + i;
	cprof_thread_regs_from_kernel(words, &regs);
	for (size_t i = 0; i < 16; i++)
		CHECK_UINT(regs.r[i], want[i]);
	CHECK_UINT(regs.valid, 0xffff);
	CHECK_UINT(regs.pc, 116);

	cprof_thread_regs_call(words, &call);
	CHECK_UINT(call.kind, CPROF_CALL_BLOCKED);
	CHECK_UINT(call.nr, 115);
	CHECK_UINT(call.args[0], 114);
	CHECK_UINT(call.args[3], 107);
	CHECK_UINT(call.args[5], 108);
	words[15] = (uint64_t)-1;
	cprof_thread_regs_call(words, &call);
	CHECK_UINT(call.kind, CPROF_CALL_OUTSIDE);
	words[15] = (uint64_t)-35; /* an interrupt vector */
	cprof_thread_regs_call(words, &call);
	CHECK_UINT(call.kind, CPROF_CALL_OUTSIDE);
}
#endif

static void *sleep_in_pipe(void *fd)
{
	char byte;
	while (read(*(int *)fd, &byte, 1) < 0)
		;
	return NULL;
}

/* The BPF iterator against /proc, for a thread that is known to sleep in read(2). */
TEST(thread_iter_shows_the_registers_that_proc_shows)
{
	struct cprof_thread_iter *iter;
	struct cprof_error *err = cprof_thread_iter_open(getpid(), NULL, &iter);
	if (err) {
		static char reason[256];
		snprintf(reason, sizeof(reason), "%s", err->message);
		test_skip(reason);
	}
	int pipes[2];
	pthread_t thread;
	pid_t *tids;
	size_t n_tids, n;
	CHECK(pipe(pipes) == 0);
	CHECK(pthread_create(&thread, NULL, sleep_in_pipe, &pipes[0]) == 0);
	CHECK(pthread_setname_np(thread, "piper") == 0);
	CHECK(!cprof_thread_list(getpid(), &tids, &n_tids));
	CHECK_UINT(n_tids, 2);

	struct cprof_thread_call by_proc = { 0 }, by_iter;
	while (by_proc.kind != CPROF_CALL_BLOCKED || by_proc.nr != SYS_read) {
		char text[256];
		CHECK(cprof_thread_read(getpid(), tids[1], "syscall", text, sizeof(text)) > 0);
		CHECK(cprof_thread_call_parse(text, &by_proc));
	}
	struct cprof_thread_iter_row *rows;
	CHECK(!cprof_thread_iter_read(iter, &rows, &n));
	CHECK_UINT(n, 2);
	const struct cprof_thread_iter_row *row =
		rows[0].tid == (uint32_t)tids[1] ? &rows[0] : &rows[1];
	CHECK_UINT(row->tid, tids[1]);
	CHECK_STR(row->name, "piper");
	CHECK_UINT(cprof_thread_iter_state(row), 'S');
	CHECK_UINT(row->on_cpu, 0);
	cprof_thread_regs_call(row->regs, &by_iter);
	CHECK(cprof_thread_call_same(&by_proc, &by_iter));
	CHECK_UINT(row[row == rows ? 1 : -1].on_cpu, 1);
	CHECK_UINT(cprof_thread_iter_state(&row[row == rows ? 1 : -1]), 'R');

	CHECK(write(pipes[1], "x", 1) == 1);
	pthread_join(thread, NULL);
	free(rows);
	free(tids);
	cprof_thread_iter_close(iter);
}

TEST(thread_iter_state_is_the_letter_that_proc_shows)
{
	/* include/linux/sched.h of 6.18; TASK_FREEZABLE is 0x2000, TASK_FROZEN 0x8000. */
	static const struct {
		uint32_t state, exit_state;
		char want;
	} cases[] = {
		{ 0, 0, 'R' },       { 0x1, 0, 'S' },    { 0x2001, 0, 'S' }, { 0x2, 0, 'D' },
		{ 0x102, 0, 'D' },   { 0x402, 0, 'I' },  { 0x104, 0, 'T' },  { 0x108, 0, 't' },
		{ 0x40, 0, 'P' },    { 0x1000, 0, 'D' }, { 0x8000, 0, 'D' }, { 0x80, 0x20, 'Z' },
		{ 0x80, 0x10, 'X' },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cprof_thread_iter_row row = { .state = cases[i].state,
							   .exit_state = cases[i].exit_state };
		CHECK_UINT(cprof_thread_iter_state(&row), cases[i].want);
	}
}
