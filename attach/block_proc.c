/*
 * The /proc tier: where no event may be had, look at /proc/PID/task/TID/syscall every T. A wait of d is met with
 * p = min(1, d / T): that is Go's law at rate T, by nature. So the sum of delays is unbiased: each look that meets a
 * thread asleep stands for T. How many waits those were is known for the long ones, which are met twice; for those
 * met once it is told from how often the thread was put on a CPU since it was met before (/proc/TID/schedstat).
 *
 * Nothing is opened by the kernel for us, nobody is stopped. Registers but pc and sp are unknown, so a stack may end
 * at a frame that needs them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/block.h"
#include "attach/perf_source.h"
#include "attach/thread_proc.h"
#include "attach/thread_regs.h"
#include "attach/wait_kind.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"

#define LOOK_NS     1000000ull /* T for few threads; 3 us of ours for each thread and look */
#define LOOK_MAX_NS 50000000ull
#define SHARE       20 /* at most one part in so many of our time goes into looking */
#define LIST_NS     100000000ull
#define THREADS_MAX 8192
#define TEXT_MAX    256

struct seen {
	pid_t tid;
	int syscall_fd, schedstat_fd; /* owned */
	bool listed;                  /* in the last list of threads */
	bool asleep;                  /* at the last look, in `call` */
	struct cprof_thread_call call;
	uint64_t runs;  /* how often it had been put on a CPU then */
	double guessed; /* how many waits this one was counted as */
	uint32_t row;   /* of the sums, where this wait is */
};

struct proc_tier {
	struct cprof_block *block; /* borrowed */
	struct seen *threads;      /* owned */
	size_t n, cap;
	struct cprof_map64 by_tid; /* -> index + 1; 0: gone */
	uint64_t listed_ns, looked_ns, look_ns;
	uint64_t took_ns; /* CPU time of a look, running mean */
	uint64_t unfollowed;
	int task_fd; /* owned; /proc/PID/task */
	uint64_t links;
};

/* ---- threads ---- */

static void forget(struct seen *seen)
{
	if (seen->syscall_fd >= 0)
		close(seen->syscall_fd);
	if (seen->schedstat_fd >= 0)
		close(seen->schedstat_fd);
	seen->syscall_fd = seen->schedstat_fd = -1;
}

static int open_file(pid_t pid, pid_t tid, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static struct cprof_error *follow(struct proc_tier *tier, pid_t tid)
{
	if (tier->n == tier->cap) {
		size_t cap = tier->cap ? tier->cap * 2 : 64;
		void *grown = realloc(tier->threads, cap * sizeof(*tier->threads));
		if (!grown)
			return cprof_error_no_memory();
		tier->threads = grown;
		tier->cap = cap;
	}
	pid_t pid = tier->block->process->target->pid;
	struct seen seen = { .tid = tid, .listed = true };
	seen.syscall_fd = open_file(pid, tid, "syscall");
	int why = errno;
	if (seen.syscall_fd < 0 && (why == EMFILE || why == ENFILE)) {
		tier->unfollowed++;
		return NULL;
	}
	if (seen.syscall_fd < 0 && why != ENOENT && why != ESRCH)
		return cprof_error_os(why, "open /proc/%d/task/%d/syscall", (int)pid, (int)tid);
	if (seen.syscall_fd < 0)
		return NULL;
	seen.schedstat_fd = open_file(pid, tid, "schedstat");
	uint64_t *index = cprof_map64_put(&tier->by_tid, (uint64_t)tid, NULL);
	if (!index) {
		forget(&seen);
		return cprof_error_no_memory();
	}
	tier->threads[tier->n++] = seen;
	*index = tier->n;
	return NULL;
}

/* Close what has gone; the list and its index are made anew, so both stay as long as the process has threads. */
static struct cprof_error *drop_unlisted(struct proc_tier *tier)
{
	size_t kept = 0;
	cprof_map64_deinit(&tier->by_tid);
	for (size_t i = 0; i < tier->n; i++) {
		if (!tier->threads[i].listed) {
			forget(&tier->threads[i]);
			continue;
		}
		tier->threads[kept] = tier->threads[i];
		uint64_t *index =
			cprof_map64_put(&tier->by_tid, (uint64_t)tier->threads[kept].tid, NULL);
		if (index)
			*index = ++kept;
		else
			forget(&tier->threads[i]);
	}
	tier->n = kept;
	return NULL;
}

static struct cprof_error *list_threads(struct proc_tier *tier, uint64_t now_ns)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	tier->listed_ns = now_ns;
	struct cprof_error *err = cprof_target_threads(tier->block->process->target, &tids, &n);
	if (err && err->code == CPROF_ERR_NO_TARGET) {
		cprof_error_free(err);
		err = NULL;
	}
	for (size_t i = 0; i < tier->n; i++)
		tier->threads[i].listed = false;
	for (size_t i = 0; !err && i < n; i++) {
		const uint64_t *index = cprof_map64_get(&tier->by_tid, (uint64_t)tids[i]);
		if (index)
			tier->threads[*index - 1].listed = true;
		else if (tier->n < THREADS_MAX)
			err = follow(tier, tids[i]);
	}
	return err ? err : drop_unlisted(tier);
}

/* ---- looking ---- */

static bool read_at(int fd, char *text, size_t cap)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, cap - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* The third number: how often it was put on a CPU. A wait in which it stays the same is one wait. */
static uint64_t read_runs(const struct seen *seen)
{
	char text[TEXT_MAX];
	unsigned long long ran_ns, queued_ns, runs;
	if (!read_at(seen->schedstat_fd, text, sizeof(text)) ||
	    sscanf(text, "%llu %llu %llu", &ran_ns, &queued_ns, &runs) != 3)
		return 0;
	return runs;
}

static bool in_scope(const struct proc_tier *tier, const struct cprof_thread_call *call)
{
	if (call->kind == CPROF_CALL_OUTSIDE) /* a thread that has ended has no stack any more */
		return tier->block->all && call->sp;
	return call->kind == CPROF_CALL_BLOCKED &&
	       (tier->block->all || cprof_wait_is_futex((int32_t)call->nr));
}

/* This look stands for `delay_ns` of waiting, and for `count` waits. */
static struct cprof_error *take_look(struct proc_tier *tier, struct seen *seen, double count,
				     uint64_t delay_ns)
{
	const struct cprof_thread_call *call = &seen->call;
	const bool blocked = call->kind == CPROF_CALL_BLOCKED;
	struct cprof_wait wait = {
		.tid = (uint32_t)seen->tid,
		.syscall = blocked ? (int32_t)call->nr : CPROF_WAIT_NO_SYSCALL,
		.futex_op = (uint32_t)call->args[1],
		.futex_val = (uint32_t)call->args[2],
		.addr = blocked ? call->args[0] : 0,
		.count = count,
		.delay_ns = (double)delay_ns,
	};
	uint32_t owner;
	if (blocked && cprof_wait_is_futex(wait.syscall) &&
	    cprof_target_mem_read(&tier->block->process->mem, wait.addr + 8, &owner, sizeof(owner)))
		wait.owner_tid = owner;
	cprof_block_find_owner(&wait);
	struct cprof_regs regs;
	cprof_thread_regs_from_call(call, &regs);
	const struct cprof_session_moment moment = {
		.process = tier->block->process,
		.regs = &regs,
		.stack_addr = call->sp,
		.live = true,
	};
	return cprof_block_take(tier->block, &wait, &moment, &seen->row);
}

/*
 * A wait met anew is as many waits as the thread made since it was met before, at least one. If the next look meets
 * the same one it is a long one, and the guess is taken back: it is one.
 */
static double count_look(struct seen *seen, bool same, uint64_t runs)
{
	double before = same ? seen->guessed : 0;
	seen->guessed = !same && seen->runs && runs > seen->runs ? (double)(runs - seen->runs) : 1;
	return seen->guessed - before;
}

static struct cprof_error *look_at(struct proc_tier *tier, struct seen *seen, uint64_t step_ns)
{
	char text[TEXT_MAX];
	struct cprof_thread_call call;
	bool asleep = read_at(seen->syscall_fd, text, sizeof(text)) &&
		      cprof_thread_call_parse(text, &call) && call.kind != CPROF_CALL_RUNNING;
	if (!asleep) {
		seen->asleep = false;
		return NULL;
	}
	/* Also of a wait that is out of scope, so that its runs are not put down to the next one. */
	uint64_t runs = read_runs(seen);
	bool same =
		seen->asleep && runs == seen->runs && cprof_thread_call_same(&seen->call, &call);
	double count = count_look(seen, same, runs);
	if (same && in_scope(tier, &call)) { /* its stack is what it was */
		struct cprof_wait_row *row = &tier->block->table.rows[seen->row];
		row->count += count;
		row->delay_ns += (double)step_ns;
		return NULL;
	}
	seen->asleep = true;
	seen->call = call;
	seen->runs = runs;
	return in_scope(tier, &call) ? take_look(tier, seen, count, step_ns) : NULL;
}

/* Many threads make a look dear: then looks become rarer and the profile coarser, not the machine slower. */
static void follow_pace(struct proc_tier *tier, uint64_t took_ns)
{
	if (!tier->block->adaptive)
		return;
	tier->took_ns = (tier->took_ns * 15 + took_ns) / 16;
	tier->look_ns = tier->took_ns * SHARE > LOOK_NS ? tier->took_ns * SHARE : LOOK_NS;
	if (tier->look_ns > LOOK_MAX_NS)
		tier->look_ns = LOOK_MAX_NS;
	tier->block->rate_ns = tier->look_ns;
}

static struct cprof_error *drain(void *state)
{
	struct proc_tier *tier = state;
	uint64_t now_ns = cprof_clock_mono_ns();
	struct cprof_error *err = NULL;
	/* The task folder has two links more than there are threads; one may still come as another goes. */
	struct stat st;
	if (fstat(tier->task_fd, &st) == 0 && (uint64_t)st.st_nlink != tier->links) {
		tier->links = st.st_nlink;
		tier->listed_ns = 0;
	}
	if (now_ns - tier->listed_ns >= LIST_NS)
		err = list_threads(tier, now_ns);
	uint64_t step_ns = now_ns - tier->looked_ns;
	if (err || step_ns < tier->look_ns / 2)
		return err;
	tier->looked_ns = now_ns;
	uint64_t cpu_ns = cprof_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0; !err && i < tier->n; i++)
		err = look_at(tier, &tier->threads[i], step_ns);
	follow_pace(tier, cprof_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns);
	return err;
}

/* ---- opening ---- */

static void close_tier(void *state)
{
	struct proc_tier *tier = state;
	for (size_t i = 0; i < tier->n; i++)
		forget(&tier->threads[i]);
	if (tier->task_fd >= 0)
		close(tier->task_fd);
	free(tier->threads);
	cprof_map64_deinit(&tier->by_tid);
	free(tier);
}

static struct cprof_error *open_tier(struct cprof_block *block, void **ret_state)
{
	struct proc_tier *tier = calloc(1, sizeof(*tier));
	if (!tier)
		return cprof_error_no_memory();
	tier->block = block;
	tier->look_ns = block->adaptive ? LOOK_NS : block->rate_ns;
	tier->looked_ns = cprof_clock_mono_ns();
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)block->process->target->pid);
	tier->task_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cprof_perf_source_raise_files(2048);
	struct cprof_error *err = list_threads(tier, tier->looked_ns);
	char text[TEXT_MAX];
	if (!err && tier->n && !read_at(tier->threads[0].syscall_fd, text, sizeof(text)))
		err = cprof_error_os(errno, "read /proc/%d/syscall",
				     (int)block->process->target->pid);
	if (err && err->code == CPROF_ERR_DENIED)
		err = cprof_error_hint(err, "run as root, or allow it with sysctl "
					    "kernel.yama.ptrace_scope=0");
	if (err) {
		close_tier(tier);
		return err;
	}
	*ret_state = tier;
	return NULL;
}

static uint64_t pause_ns(const void *state)
{
	const struct proc_tier *tier = state;
	return tier->look_ns;
}

static void report(void *state)
{
	const struct proc_tier *tier = state;
	if (tier->unfollowed)
		cprof_report_note(
			tier->block->run->report, CPROF_NOTE_WARNING,
			"some threads were not looked at: out of descriptors; raise ulimit -n");
}

const struct cprof_block_tier cprof_block_tier_proc = {
	.name = "proc",
	.exactly =
		"by looking every so often; delays are unbiased, counts of waits shorter than that are guessed",
	.tells_releases = false,
	.tells_all = true,
	.counts_open = true,
	.thins = true,
	.drain_ns = LOOK_NS,
	.pause_ns = pause_ns,
	.open = open_tier,
	.close = close_tier,
	.drain = drain,
	.report = report,
};
