/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_sleeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attach/locks/lock_word.h"
#include "attach/locks/wait_kind.h"
#include "attach/target/thread_regs.h"
#include "attach/threads/thread_fp.h"

#define TEXT_MAX  256
#define TRIES_MAX 4 /* for a thread that sleeps and runs all the time */

struct cprof_error *cprof_wait_sleepers_init(struct cprof_wait_sleepers *sleepers,
					     struct cprof_wait_intake *intake)
{
	const struct cprof_symbolizer_options options = cprof_wait_intake_symbolizer(intake);
	*sleepers = (struct cprof_wait_sleepers){
		.intake = intake,
		.cap = intake->request->stack_bytes,
	};
	sleepers->bytes = malloc(sleepers->cap);
	if (!sleepers->bytes)
		return cprof_error_no_memory();
	return cprof_thread_names_init(&sleepers->names, &options,
				       cprof_session_modules(intake->session),
				       &intake->process->maps);
}

void cprof_wait_sleepers_deinit(struct cprof_wait_sleepers *sleepers)
{
	cprof_thread_names_deinit(&sleepers->names);
	free(sleepers->bytes);
	sleepers->bytes = NULL;
}

/* ---- reading ---- */

static int open_file(pid_t pid, pid_t tid, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void cprof_wait_sleeper_open(pid_t pid, pid_t tid, struct cprof_wait_sleeper *ret_sleeper)
{
	*ret_sleeper = (struct cprof_wait_sleeper){
		.tid = tid,
		.syscall_fd = open_file(pid, tid, "syscall"),
		.schedstat_fd = -1,
	};
	if (ret_sleeper->syscall_fd >= 0)
		ret_sleeper->schedstat_fd = open_file(pid, tid, "schedstat");
}

void cprof_wait_sleeper_close(struct cprof_wait_sleeper *sleeper)
{
	if (sleeper->syscall_fd >= 0)
		close(sleeper->syscall_fd);
	if (sleeper->schedstat_fd >= 0)
		close(sleeper->schedstat_fd);
	sleeper->syscall_fd = sleeper->schedstat_fd = -1;
}

static bool read_at(int fd, char *text, size_t cap)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, cap - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* How often it was put on a CPU. A wait in which it stays the same is one wait. */
static uint64_t read_runs(const struct cprof_wait_sleeper *sleeper)
{
	char text[TEXT_MAX];
	struct cprof_thread_schedstat now;
	return read_at(sleeper->schedstat_fd, text, sizeof(text)) &&
			       cprof_thread_schedstat_parse(text, &now)
		       ? now.runs
		       : 0;
}

/* The count before the call: if it is still the same later, the thread has slept from the call on, or longer. */
bool cprof_wait_sleeper_read(struct cprof_wait_sleeper *sleeper)
{
	char text[TEXT_MAX];
	sleeper->runs = read_runs(sleeper);
	return read_at(sleeper->syscall_fd, text, sizeof(text)) &&
	       cprof_thread_call_parse(text, &sleeper->call) &&
	       sleeper->call.kind != CPROF_CALL_RUNNING;
}

bool cprof_wait_sleeper_has_switched(pid_t pid, pid_t tid, uint64_t switches)
{
	char text[4096];
	struct cprof_thread_status status;
	return cprof_thread_read(pid, tid, "status", text, sizeof(text)) > 0 &&
	       cprof_thread_status_parse(text, &status) && status.has_switches &&
	       status.switches == switches;
}

bool cprof_wait_sleeper_open_told(pid_t pid, pid_t tid, const struct cprof_thread_call *call,
				  uint64_t switches, struct cprof_wait_sleeper *ret_sleeper)
{
	*ret_sleeper = (struct cprof_wait_sleeper){
		.tid = tid,
		.syscall_fd = -1,
		.schedstat_fd = open_file(pid, tid, "schedstat"),
		.call = *call,
	};
	ret_sleeper->runs = read_runs(ret_sleeper);
	return cprof_wait_sleeper_has_switched(pid, tid, switches);
}

bool cprof_wait_sleeper_same(const struct cprof_wait_sleeper *before,
			     const struct cprof_wait_sleeper *now)
{
	return before->runs == now->runs && cprof_thread_call_same(&before->call, &now->call);
}

static bool sleeps_on(const struct cprof_wait_sleeper *sleeper)
{
	struct cprof_wait_sleeper now = *sleeper;
	if (sleeper->runs)
		return read_runs(sleeper) == sleeper->runs;
	return cprof_wait_sleeper_read(&now) && cprof_thread_call_same(&now.call, &sleeper->call);
}

/* ---- the wait it is in ---- */

bool cprof_wait_sleeper_in_scope(const struct cprof_wait_sleeper *sleeper,
				 const struct cprof_wait_intake *intake)
{
	const struct cprof_thread_call *call = &sleeper->call;
	if (call->kind == CPROF_CALL_OUTSIDE) /* a thread that has ended has no stack any more */
		return intake->request->all && call->sp;
	return call->kind == CPROF_CALL_BLOCKED &&
	       (intake->request->all || cprof_wait_is_futex((int32_t)call->nr));
}

struct cprof_wait cprof_wait_sleeper_wait(const struct cprof_wait_sleeper *sleeper,
					  struct cprof_wait_intake *intake)
{
	const struct cprof_thread_call *call = &sleeper->call;
	const bool blocked = call->kind == CPROF_CALL_BLOCKED;
	struct cprof_wait wait = {
		.tid = (uint32_t)sleeper->tid,
		.syscall = blocked ? (int32_t)call->nr : CPROF_WAIT_NO_SYSCALL,
		.futex_op = (uint32_t)call->args[1],
		.futex_val = (uint32_t)call->args[2],
		.addr = blocked ? call->args[0] : 0,
	};
	/* Believed only where kind and thread ids agree with it. */
	const struct cprof_memory memory = cprof_target_mem_view(&intake->process->mem);
	if (blocked && cprof_wait_is_futex(wait.syscall))
		wait.owner_tid =
			cprof_lock_word_beside(&memory, wait.addr, wait.futex_op, wait.futex_val);
	cprof_wait_intake_find_owner(&wait);
	return wait;
}

/* ---- walking ---- */

/* Bytes copied from a little below sp on; 0: not of this sleep. */
static size_t copy_of_sleep(const struct cprof_wait_sleepers *sleepers,
			    const struct cprof_wait_sleeper *sleeper, uint64_t addr)
{
	struct cprof_wait_sleeper again = *sleeper;
	struct cprof_target_mem *mem = &sleepers->intake->process->mem;
	for (int i = 0; i < TRIES_MAX; i++) {
		size_t n = cprof_target_mem_copy(mem, addr, sleepers->bytes, sleepers->cap);
		if (sleeps_on(&again))
			return n;
		if (!cprof_wait_sleeper_read(&again) ||
		    !cprof_thread_call_same(&again.call, &sleeper->call))
			return 0;
	}
	return 0;
}

static struct cprof_error *search_fp(struct cprof_wait_sleepers *sleepers,
				     const struct cprof_session_sample *sample,
				     struct cprof_session_stack *stack)
{
	const struct cprof_memory memory = cprof_target_mem_view(&sleepers->intake->process->mem);
	const struct cprof_thread_fp fp = { .session = sleepers->intake->session,
					    .names = &sleepers->names,
					    .memory = &memory };
	return cprof_thread_fp_search(&fp, sample, stack);
}

struct cprof_error *cprof_wait_sleepers_walk(struct cprof_wait_sleepers *sleepers,
					     const struct cprof_wait_sleeper *sleeper,
					     const struct cprof_regs *regs, bool *ret_caught,
					     struct cprof_session_stack *ret_stack)
{
	struct cprof_regs known;
	if (!regs)
		cprof_thread_regs_from_call(&sleeper->call, &known);
	const uint64_t addr = sleeper->call.sp - cprof_arch_host()->red_zone_bytes;
	const size_t n = copy_of_sleep(sleepers, sleeper, addr);
	const struct cprof_session_sample sample = {
		.process = sleepers->intake->process,
		.regs = regs ? regs : &known,
		.stack_addr = addr,
		.stack = sleepers->bytes,
		.n_stack = n,
		.live = n > 0, /* frames beyond the copy are left late */
	};
	*ret_caught = n > 0;
	struct cprof_error *err = cprof_wait_intake_walk(sleepers->intake, &sample, ret_stack);
	if (err || n == 0 || ret_stack->stop == CPROF_STOP_ROOT)
		return err;
	return search_fp(sleepers, &sample, ret_stack);
}
