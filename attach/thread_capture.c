#include "attach/thread_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attach/thread_freeze.h"
#include "attach/thread_iter.h"
#include "attach/thread_running.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* How often a thread that has moved while it was read is read again. */
#define ROUNDS_MAX 4
/* Inode of the initial pid namespace: PROC_PID_INIT_INO in include/linux/proc_ns.h. */
#define INITIAL_PIDNS_INODE 0xEFFFFFFCul

struct cprof_thread_capture {
	struct cprof_target *target; /* borrowed */
	struct cprof_report *report; /* borrowed */
	struct cprof_thread_capture_options options;
	struct cprof_thread_iter *iter; /* owned; NULL: not to be had */
	uint64_t tick_ns;
	int task_fd; /* /proc/PID/task */
	int perf_fd; /* keeps perf warm; -1: none */
};

/* A BPF program sees the numbers of the initial namespace; elsewhere they would be other processes'. */
static bool in_initial_pidns(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INITIAL_PIDNS_INODE;
}

static void open_iter(struct cprof_thread_capture *capture)
{
	if (capture->options.no_iter)
		return;
	if (!in_initial_pidns()) {
		cprof_report_note(
			capture->report, CPROF_NOTE_DETAIL,
			"threads: no BPF task iterator inside a pid namespace; using /proc");
		return;
	}
	struct cprof_error *err = cprof_thread_iter_open(capture->target->pid, &capture->iter);
	if (err)
		cprof_report_note(capture->report, CPROF_NOTE_DETAIL, "threads: %s; using /proc",
				  err->message);
	cprof_error_free(err);
}

struct cprof_error *cprof_thread_capture_new(struct cprof_target *target,
					     const struct cprof_thread_capture_options *options,
					     struct cprof_report *report,
					     struct cprof_thread_capture **ret_capture)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)target->pid);
	CPROF_AUTO(close) int task_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (task_fd < 0)
		return cprof_error_os(errno == ENOENT ? ESRCH : errno, "open %s", path);
	struct cprof_thread_capture *capture = calloc(1, sizeof(*capture));
	if (!capture)
		return cprof_error_no_memory();
	long ticks = sysconf(_SC_CLK_TCK);
	*capture = (struct cprof_thread_capture){
		.target = target,
		.report = report,
		.options = *options,
		.tick_ns = CPROF_NS_PER_S / (uint64_t)(ticks > 0 ? ticks : 100),
		.task_fd = cprof_take_fd(&task_fd),
		.perf_fd = options->no_perf ? -1 : cprof_thread_running_prepare(),
	};
	open_iter(capture);
	*ret_capture = capture;
	return NULL;
}

void cprof_thread_capture_free(struct cprof_thread_capture *capture)
{
	if (!capture)
		return;
	cprof_thread_iter_close(capture->iter);
	close(capture->task_fd);
	if (capture->perf_fd >= 0)
		close(capture->perf_fd);
	free(capture);
}

/*
 * The scheduler's clock now, the one that exec_start is in: our own exec_start, which yielding brings up to date.
 * 0 where the kernel does not show it. Differs between CPUs by the time stolen from each.
 */
static uint64_t scheduler_now_ns(void)
{
	char text[4096];
	struct cprof_thread_switches self;
	sched_yield();
	if (cprof_thread_read(getpid(), gettid(), "sched", text, sizeof(text)) <= 0 ||
	    !cprof_thread_sched_parse(text, &self))
		return 0;
	return self.last_ns;
}

static uint64_t idle_since(uint64_t now_ns, uint64_t last_ns)
{
	return now_ns > last_ns && last_ns ? now_ns - last_ns : 0;
}

static bool has_stack(char state)
{
	return state != 'Z' && state != 'X' && state != 'x';
}

/* ---- one thread, by iterator ---- */

static void fill_from_iter(const struct cprof_thread_iter_row *row, uint64_t now_ns,
			   struct cprof_thread *thread)
{
	thread->tid = (pid_t)row->tid;
	memcpy(thread->name, row->name, sizeof(row->name));
	thread->name[sizeof(row->name)] = 0;
	cprof_thread_name_clean(thread->name);
	thread->state = cprof_thread_iter_state(row);
	thread->cpu = (int)row->cpu;
	thread->start = row->start_ns;
	thread->cpu_ns = row->ran_ns;
	thread->switches = row->voluntary + row->involuntary;
	/* One that is ready to run is not waiting for anything but a CPU. */
	thread->idle_ns = thread->state == 'R' ? 0 : idle_since(now_ns, row->last_ns);
	thread->means = CPROF_MEANS_NONE;
	thread->why = NULL;
	thread->call = (struct cprof_thread_call){ .kind = CPROF_CALL_RUNNING, .nr = -1 };
	if (!has_stack(thread->state) || row->on_cpu)
		return;
	/* Also of a thread that waits for a CPU: it went into the kernel to be preempted. */
	cprof_thread_regs_from_kernel(row->regs, &thread->regs);
	thread->means = CPROF_MEANS_ITER;
	if (thread->state != 'R')
		cprof_thread_regs_call(row->regs, &thread->call);
}

/* ---- one thread, by /proc ---- */

static bool read_at(const struct cprof_thread_capture *capture, pid_t tid, const char *name,
		    char *buf, size_t cap)
{
	char path[64];
	snprintf(path, sizeof(path), "%d/%s", (int)tid, name);
	CPROF_AUTO(close) int fd = openat(capture->task_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, cap - 1);
	if (n <= 0)
		return false;
	buf[n] = 0;
	return true;
}

/* How often it has run: from `sched`; where the kernel was built without, from `status`. */
static void read_switches(const struct cprof_thread_capture *capture, uint64_t now_ns,
			  struct cprof_thread *thread)
{
	char text[4096];
	struct cprof_thread_switches switches;
	struct cprof_thread_status status;
	if (read_at(capture, thread->tid, "sched", text, sizeof(text)) &&
	    cprof_thread_sched_parse(text, &switches)) {
		thread->switches = switches.count;
		thread->cpu_ns = switches.ran_ns ? switches.ran_ns : thread->cpu_ns;
		thread->idle_ns = idle_since(now_ns, switches.last_ns);
	} else if (read_at(capture, thread->tid, "status", text, sizeof(text)) &&
		   cprof_thread_status_parse(text, &status) && status.has_switches) {
		thread->switches = status.switches;
	}
}

static void fill_from_proc(const struct cprof_thread_capture *capture, pid_t tid, uint64_t now_ns,
			   struct cprof_thread *thread)
{
	char text[1024];
	struct cprof_thread_stat stat;
	thread->tid = tid;
	thread->cpu = -1;
	thread->means = CPROF_MEANS_NONE;
	thread->why = NULL;
	thread->call = (struct cprof_thread_call){ .kind = CPROF_CALL_UNKNOWN, .nr = -1 };
	if (!read_at(capture, tid, "stat", text, sizeof(text)) ||
	    !cprof_thread_stat_parse(text, &stat)) {
		thread->state = 'X';
		thread->why = "it has ended";
		return;
	}
	memcpy(thread->name, stat.name, sizeof(stat.name));
	thread->state = stat.state;
	thread->cpu = stat.cpu;
	thread->start = stat.start_ticks;
	thread->cpu_ns = (stat.user_ticks + stat.system_ticks) * capture->tick_ns;
	read_switches(capture, now_ns, thread);
	if (!has_stack(stat.state))
		return;
	if (!read_at(capture, tid, "syscall", text, sizeof(text)) ||
	    !cprof_thread_call_parse(text, &thread->call)) {
		thread->why = "/proc/PID/task/TID/syscall cannot be read";
		return;
	}
	if (thread->call.kind == CPROF_CALL_RUNNING) {
		thread->idle_ns = 0;
		return;
	}
	cprof_thread_regs_from_call(&thread->call, &thread->regs);
	thread->means = CPROF_MEANS_PROC;
}

/* ---- all threads ---- */

static struct cprof_error *room_for(struct cprof_thread_snapshot *snapshot, size_t n)
{
	snapshot->threads = calloc(n ? n : 1, sizeof(*snapshot->threads));
	return snapshot->threads ? NULL : cprof_error_no_memory();
}

static struct cprof_error *observe_by_iter(struct cprof_thread_capture *capture,
					   struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) struct cprof_thread_iter_row *rows = NULL;
	size_t n;
	uint64_t now_ns = scheduler_now_ns();
	struct cprof_error *err = cprof_thread_iter_read(capture->iter, &rows, &n);
	if (!err && n == 0)
		err = cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended",
				      (int)capture->target->pid);
	if (!err)
		err = room_for(snapshot, n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		fill_from_iter(&rows[i], now_ns, &snapshot->threads[snapshot->n++]);
	cprof_thread_snapshot_sort(snapshot);
	return NULL;
}

static struct cprof_error *observe_by_proc(struct cprof_thread_capture *capture,
					   struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	struct cprof_error *err = cprof_thread_list(capture->target->pid, &tids, &n);
	if (!err)
		err = room_for(snapshot, n);
	if (err)
		return err;
	uint64_t now_ns = scheduler_now_ns();
	for (size_t i = 0; i < n; i++)
		fill_from_proc(capture, tids[i], now_ns, &snapshot->threads[snapshot->n++]);
	cprof_thread_snapshot_sort(snapshot);
	return NULL;
}

static struct cprof_error *observe(struct cprof_thread_capture *capture,
				   struct cprof_thread_snapshot *snapshot)
{
	struct cprof_error *err = capture->iter ? observe_by_iter(capture, snapshot)
						: observe_by_proc(capture, snapshot);
	snapshot->mono_ns = cprof_clock_mono_ns();
	return err;
}

struct cprof_error *cprof_thread_capture_states(struct cprof_thread_capture *capture,
						struct cprof_thread_snapshot *ret_snapshot)
{
	struct cprof_thread_snapshot snapshot = { 0 };
	struct cprof_error *err = observe(capture, &snapshot);
	if (err)
		cprof_thread_snapshot_deinit(&snapshot);
	else
		*ret_snapshot = snapshot;
	return err;
}

/* ---- stacks ---- */

/* From sp outwards as far as memory goes, at most `cap` bytes. 0: unreadable. */
static size_t copy_stack(pid_t reader, uint64_t sp, uint8_t *buf, size_t cap)
{
	struct iovec local = { .iov_base = buf, .iov_len = cap };
	struct iovec remote[2];
	/* One page at least on its own, so that what lies behind the end of the stack does not spoil it. */
	size_t first = 4096 - (sp & 4095);
	if (first > cap)
		first = cap;
	remote[0] = (struct iovec){ .iov_base = (void *)(uintptr_t)sp, .iov_len = first };
	remote[1] = (struct iovec){ .iov_base = (void *)(uintptr_t)(sp + first),
				    .iov_len = cap - first };
	ssize_t n = process_vm_readv(reader, &local, 1, remote, cap > first ? 2 : 1, 0);
	return n > 0 ? (size_t)n : 0;
}

/* Copies into a buffer of its own size, since most stacks are short. */
static struct cprof_error *take_stack(const struct cprof_thread_capture *capture, pid_t reader,
				      uint8_t *scratch, struct cprof_thread *thread)
{
	uint8_t sp_reg = cprof_arch_host()->sp;
	uint64_t sp = thread->regs.r[sp_reg] - cprof_arch_host()->red_zone_bytes;
	size_t n = copy_stack(reader, sp, scratch, capture->options.stack_bytes);
	free(thread->stack);
	thread->stack = NULL;
	thread->stack_addr = sp;
	thread->n_stack = 0;
	if (n == 0) {
		thread->why = "its stack cannot be read";
		return NULL;
	}
	thread->stack = malloc(n);
	if (!thread->stack)
		return cprof_error_no_memory();
	memcpy(thread->stack, scratch, n);
	thread->n_stack = n;
	return NULL;
}

static bool still_there(const struct cprof_thread *before, const struct cprof_thread *now)
{
	return now->means != CPROF_MEANS_NONE && before->start == now->start &&
	       before->switches == now->switches && before->regs.pc == now->regs.pc &&
	       memcmp(before->regs.r, now->regs.r, sizeof(now->regs.r)) == 0;
}

/* Put the newer look at a thread in place of the older one, which gives up its stack. */
static void replace(struct cprof_thread *old, const struct cprof_thread *now)
{
	uint8_t *stack = old->stack;
	*old = *now;
	free(stack);
	old->stack = NULL;
	old->n_stack = 0;
}

/* Look at the pending threads once more. Those that have not moved are done; the others begin anew. */
static struct cprof_error *confirm_by_iter(struct cprof_thread_capture *capture,
					   struct cprof_thread_snapshot *snapshot, bool *pending,
					   size_t *n_pending)
{
	struct cprof_thread_snapshot now = { 0 };
	struct cprof_error *err = observe_by_iter(capture, &now);
	if (err) {
		cprof_thread_snapshot_deinit(&now);
		return err;
	}
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		if (!pending[i])
			continue;
		size_t at = cprof_thread_snapshot_find(&now, thread->tid);
		if (at == SIZE_MAX) {
			thread->state = 'X';
			thread->means = CPROF_MEANS_NONE;
			thread->why = "it has ended";
			pending[i] = false;
		} else if (still_there(thread, &now.threads[at])) {
			pending[i] = false;
		} else {
			replace(thread, &now.threads[at]);
			pending[i] = thread->means != CPROF_MEANS_NONE;
		}
		*n_pending += pending[i];
	}
	cprof_thread_snapshot_deinit(&now);
	return NULL;
}

/* Still in the same call, and not run since: two files instead of three. */
static bool keeps_still(const struct cprof_thread_capture *capture,
			const struct cprof_thread *thread, uint64_t now_ns)
{
	char text[1024];
	struct cprof_thread now = { .tid = thread->tid };
	if (!read_at(capture, thread->tid, "syscall", text, sizeof(text)) ||
	    !cprof_thread_call_parse(text, &now.call) ||
	    !cprof_thread_call_same(&thread->call, &now.call))
		return false;
	read_switches(capture, now_ns, &now);
	return now.switches == thread->switches;
}

static void confirm_by_proc(struct cprof_thread_capture *capture, struct cprof_thread *thread,
			    uint64_t now_ns, bool *pending)
{
	if (keeps_still(capture, thread, now_ns)) {
		*pending = false;
		return;
	}
	struct cprof_thread now = { 0 };
	fill_from_proc(capture, thread->tid, now_ns, &now);
	replace(thread, &now);
	*pending = thread->means != CPROF_MEANS_NONE;
}

/* One round: copy the stack of every pending thread, then see which of them have kept still. */
static struct cprof_error *copy_round(struct cprof_thread_capture *capture,
				      struct cprof_thread_snapshot *snapshot, bool *pending,
				      uint8_t *scratch, size_t *ret_pending)
{
	pid_t reader = cprof_target_living_tid(capture->target);
	uint64_t now_ns = capture->iter ? 0 : scheduler_now_ns();
	*ret_pending = 0;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (!pending[i])
			continue;
		struct cprof_error *err =
			take_stack(capture, reader, scratch, &snapshot->threads[i]);
		if (err)
			return err;
		/* By /proc each thread is asked by itself: right away, while it is still likely to be there. */
		if (!capture->iter) {
			confirm_by_proc(capture, &snapshot->threads[i], now_ns, &pending[i]);
			*ret_pending += pending[i];
		}
	}
	return capture->iter ? confirm_by_iter(capture, snapshot, pending, ret_pending) : NULL;
}

static struct cprof_error *copy_stacks(struct cprof_thread_capture *capture,
				       struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) bool *pending = calloc(snapshot->n ? snapshot->n : 1, sizeof(*pending));
	CPROF_AUTO(free) uint8_t *scratch = malloc(capture->options.stack_bytes);
	size_t n_pending = 0;
	if (!pending || !scratch)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct cprof_thread *thread = &snapshot->threads[i];
		pending[i] = thread->means != CPROF_MEANS_NONE && !thread->n_stack;
		n_pending += pending[i];
	}
	for (int round = 0; n_pending && round < ROUNDS_MAX; round++) {
		struct cprof_error *err =
			copy_round(capture, snapshot, pending, scratch, &n_pending);
		if (err)
			return err;
	}
	for (size_t i = 0; i < snapshot->n; i++) {
		if (pending[i]) /* it runs and sleeps all the time: as good as running */
			snapshot->threads[i].means = CPROF_MEANS_NONE;
	}
	return NULL;
}

/* ---- the other means ---- */

/* Threads that have a stack but whose registers we do not have. `*ret_list` is malloc'ed. */
static struct cprof_error *unreached(const struct cprof_thread_snapshot *snapshot, bool everybody,
				     struct cprof_thread ***ret_list, size_t *ret_n)
{
	size_t n = 0;
	struct cprof_thread **list = calloc(snapshot->n ? snapshot->n : 1, sizeof(*list));
	if (!list)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		if (has_stack(thread->state) && (everybody || thread->means == CPROF_MEANS_NONE))
			list[n++] = thread;
	}
	*ret_list = list;
	*ret_n = n;
	return NULL;
}

static struct cprof_error *sample_running(struct cprof_thread_capture *capture,
					  struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) struct cprof_thread **list = NULL;
	size_t n;
	struct cprof_error *err = unreached(snapshot, false, &list, &n);
	if (err || n == 0 || capture->options.no_perf)
		return err;
	err = cprof_thread_running_sample(list, n, capture->options.running_ns);
	if (!err)
		return NULL;
	cprof_report_note(capture->report, CPROF_NOTE_DETAIL, "threads: running threads: %s",
			  err->message);
	cprof_error_free(err);
	return NULL;
}

static bool lacks_some(const struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		if (has_stack(snapshot->threads[i].state) &&
		    snapshot->threads[i].means == CPROF_MEANS_NONE)
			return true;
	}
	return false;
}

/* A thread that ran when it was looked at and slept when a sample of it was waited for. */
static struct cprof_error *look_again(struct cprof_thread_capture *capture,
				      struct cprof_thread_snapshot *snapshot)
{
	struct cprof_thread_snapshot now = { 0 };
	struct cprof_error *err = observe(capture, &now);
	size_t found = 0;
	for (size_t i = 0; !err && i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		size_t at = cprof_thread_snapshot_find(&now, thread->tid);
		if (thread->means != CPROF_MEANS_NONE || at == SIZE_MAX ||
		    now.threads[at].means == CPROF_MEANS_NONE)
			continue;
		replace(thread, &now.threads[at]);
		found++;
	}
	cprof_thread_snapshot_deinit(&now);
	return err || !found ? err : copy_stacks(capture, snapshot);
}

static struct cprof_error *freeze(struct cprof_thread_capture *capture,
				  struct cprof_thread_snapshot *snapshot, bool everybody,
				  size_t *ret_born)
{
	CPROF_AUTO(free) struct cprof_thread **list = NULL;
	size_t n;
	*ret_born = 0;
	struct cprof_error *err = unreached(snapshot, everybody, &list, &n);
	if (err || n == 0)
		return err;
	struct cprof_thread_freeze freeze = {
		.target = capture->target,
		.threads = list,
		.n = n,
		.everybody = everybody,
		.stack_bytes = capture->options.stack_bytes,
	};
	err = cprof_thread_freeze_take(&freeze);
	*ret_born = freeze.born;
	snapshot->stops += freeze.stops;
	if (freeze.longest_stop_ns > snapshot->longest_stop_ns)
		snapshot->longest_stop_ns = freeze.longest_stop_ns;
	return err;
}

/* Nobody may be born between the list and the stop. */
static struct cprof_error *freeze_everybody(struct cprof_thread_capture *capture,
					    struct cprof_thread_snapshot *snapshot)
{
	size_t born = 0;
	for (int round = 0; round < ROUNDS_MAX; round++) {
		struct cprof_error *err = freeze(capture, snapshot, true, &born);
		if (err || !born)
			return err;
		struct cprof_thread_snapshot again = { .stops = snapshot->stops,
						       .longest_stop_ns =
							       snapshot->longest_stop_ns };
		err = observe(capture, &again);
		cprof_thread_snapshot_deinit(snapshot);
		*snapshot = again;
		if (err)
			return err;
	}
	cprof_report_note(
		capture->report, CPROF_NOTE_WARNING,
		"threads: %d begins new threads faster than they can be stopped; the snapshot is "
		"not of one moment",
		(int)capture->target->pid);
	return copy_stacks(capture, snapshot);
}

/* Why a thread that was not reached was not, as far as its state tells. */
static void explain(const struct cprof_thread_capture *capture,
		    struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		snapshot->by_means[thread->means]++;
		if (thread->state == 'D')
			read_at(capture, thread->tid, "wchan", thread->wchan,
				sizeof(thread->wchan));
		if (thread->means != CPROF_MEANS_NONE || thread->why)
			continue;
		if (thread->state == 'Z')
			thread->why = "it has ended, others of the process go on";
		else if (!has_stack(thread->state))
			thread->why = "it has ended";
		else
			thread->why = "it runs, and no sample of it came in time";
	}
}

static struct cprof_error *take(struct cprof_thread_capture *capture,
				struct cprof_thread_snapshot *snapshot)
{
	size_t born;
	struct cprof_error *err = observe(capture, snapshot);
	if (err)
		return err;
	if (capture->options.stops == CPROF_STOPS_ALL)
		return freeze_everybody(capture, snapshot);
	err = copy_stacks(capture, snapshot);
	if (!err)
		err = sample_running(capture, snapshot);
	if (!err && lacks_some(snapshot))
		err = look_again(capture, snapshot);
	if (!err && capture->options.stops == CPROF_STOPS_LAST)
		err = freeze(capture, snapshot, false, &born);
	return err;
}

struct cprof_error *cprof_thread_capture_take(struct cprof_thread_capture *capture,
					      struct cprof_thread_snapshot *ret_snapshot)
{
	struct cprof_thread_snapshot snapshot = { 0 };
	uint64_t start_ns = cprof_clock_mono_ns();
	struct cprof_error *err = take(capture, &snapshot);
	if (err) {
		cprof_thread_snapshot_deinit(&snapshot);
		return cprof_error_wrap(err, "threads of %d", (int)capture->target->pid);
	}
	explain(capture, &snapshot);
	snapshot.capture_ns = cprof_clock_mono_ns() - start_ns;
	*ret_snapshot = snapshot;
	return NULL;
}
