/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_event_set.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attach/perf/perf_host.h"
#include "attach/target/foreign_pid.h"
#include "attach/target/thread_proc.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/arch.h"

/* Of all CPUs together; a storm of waits on two of them wants as much as it can get. */
#define RINGS_BYTES ((size_t)64 << 20)
#define RING_MOST   ((size_t)32 << 20)
#define RING_FEW    ((size_t)2 << 20) /* but for a user's limit of locked memory never less */
#define RING_LEAST  ((size_t)64 << 10)
#define WAITV_LOOKS 64
#define ROUNDS_MAX  10 /* of reading the list of threads until it has nobody new */
#define THREADS_MAX                                                                                \
	65536 /* with three events per CPU each this is far beyond any limit of open files */

/* ---- which events ---- */

enum what { ENTRY, RESULT, STACK };

struct row {
	enum what what;
	size_t point;        /* in struct cprof_futex_tracepoints */
	const char *returns; /* in block mode: results that end no wait are not told */
};

/*
 * Of two events on one tracepoint the kernel serves the one first that was opened later: a return with a stack is known before the same one
 * without. Waits return 0 or an error, wakes how many they woke, UNLOCK_PI 0 too; futex_waitv returns which word was woken.
 */
#define FUTEX_RETURNS "ret <= 0 && ret != -11"
#define WAITV_RETURNS "ret != -11"
static const struct row futex_rows[] = {
	{ ENTRY, offsetof(struct cprof_futex_tracepoints, enter_futex), NULL },
	{ RESULT, offsetof(struct cprof_futex_tracepoints, exit_futex), FUTEX_RETURNS },
	{ STACK, offsetof(struct cprof_futex_tracepoints, exit_futex), FUTEX_RETURNS },
};
static const struct row waitv_rows[] = {
	{ ENTRY, offsetof(struct cprof_futex_tracepoints, enter_waitv), NULL },
	{ RESULT, offsetof(struct cprof_futex_tracepoints, exit_waitv), WAITV_RETURNS },
	{ STACK, offsetof(struct cprof_futex_tracepoints, exit_waitv), WAITV_RETURNS },
};
#define N_ROWS (sizeof(futex_rows) / sizeof(futex_rows[0]))
static_assert(N_ROWS == sizeof(waitv_rows) / sizeof(waitv_rows[0]), "counted alike");

static uint64_t point_of(const struct cprof_wait_event_set *set, const struct row *row)
{
	return *(const uint64_t *)(const void *)((const char *)&set->points + row->point);
}

/* Releases want to know of waits that failed, too. */
static const char *returns_of(const struct cprof_wait_event_set *set, const struct row *row)
{
	if (!set->releases)
		return row->returns;
	return row->what == STACK ? "ret >= 0" : NULL;
}

static void put_condition(const struct cprof_wait_event_set *set, const struct row *row,
			  struct cprof_buffer *out)
{
	const char *returns = returns_of(set, row);
	if (returns)
		cprof_buffer_puts(out, returns);
	if (!set->wide)
		return;
	cprof_buffer_puts(out, returns ? " && (" : "");
	cprof_thread_runs_filter(&set->runs, out);
	cprof_buffer_puts(out, returns ? ")" : "");
}

/* Where each return brings its stack it says the result as well. */
static bool wants_results(const struct cprof_wait_event_set *set)
{
	return set->releases || set->period > 1;
}

static size_t ring_bytes(const struct cprof_wait_event_set *set)
{
	size_t bytes = RING_MOST;
	while (bytes > RING_FEW && bytes * set->n_cpus > RINGS_BYTES)
		bytes /= 2;
	return bytes;
}

static struct perf_event_attr base_attr(const struct cprof_wait_event_set *set)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.sample_type = set->light.sample_type,
		.exclude_kernel =
			1, /* what an ordinary user may ask for; the registers are the user's anyhow */
		.inherit = !set->wide,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(geteuid() == 0 ? ring_bytes(set) / 4 : RING_LEAST),
	};
}

static struct perf_event_attr row_attr(const struct cprof_wait_event_set *set,
				       const struct row *row)
{
	struct perf_event_attr attr = base_attr(set);
	attr.type = PERF_TYPE_TRACEPOINT;
	attr.config = point_of(set, row);
	attr.sample_period = row->what == STACK ? set->period : 1;
	attr.disabled = set->wide || (row->what == RESULT && !wants_results(set));
	attr.task = row->what == ENTRY && !set->wide;
	if (row->what == STACK) {
		attr.sample_type = set->heavy.sample_type;
		attr.sample_regs_user = cprof_arch_host()->perf_regs_mask;
		attr.sample_stack_user = set->stack_bytes;
	}
	return attr;
}

/* ---- opening ---- */

static struct cprof_error *keep_fd(struct cprof_wait_event_fds *fds, int fd)
{
	if (!CPROF_ARRAY_ROOM(fds->fds, fds->n, fds->cap, 1)) {
		close(fd);
		return cprof_error_no_memory();
	}
	fds->fds[fds->n++] = fd;
	return NULL;
}

static void close_fds(struct cprof_wait_event_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++)
		close(fds->fds[i]);
	free(fds->fds);
	*fds = (struct cprof_wait_event_fds){ 0 };
}

static struct cprof_wait_event_fds *fds_of(struct cprof_wait_event_set *set, enum what what)
{
	return what == ENTRY ? &set->entries : what == RESULT ? &set->results : &set->stacks;
}

/* A CPU's first event becomes its ring; it takes `fd` if that is so. */
static struct cprof_error *share_ring(struct cprof_wait_event_set *set, int fd, size_t cpu,
				      bool *ret_taken)
{
	*ret_taken = false;
	if (cpu < set->n_rings)
		return ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, set->rings[cpu]->fd) < 0
			       ? cprof_error_os(errno, "share a ring")
			       : NULL;
	struct cprof_error *err =
		cprof_perf_event_map(fd, ring_bytes(set), RING_LEAST, &set->rings[set->n_rings]);
	*ret_taken = !err;
	set->n_rings += !err;
	return err;
}

/* Open, filter, and send to the CPU's ring. `tid` -1: of the whole CPU. */
static struct cprof_error *open_row(struct cprof_wait_event_set *set, const struct row *row,
				    pid_t tid, size_t cpu)
{
	CPROF_AUTO(buffer) struct cprof_buffer filter = { 0 };
	struct perf_event_attr attr = row_attr(set, row);
	bool taken;
	put_condition(set, row, &filter);
	struct cprof_error *err = cprof_buffer_error(&filter);
	if (err)
		return err;
	CPROF_AUTO(close) int fd = cprof_perf_event_open(&attr, tid, set->cpus[cpu], -1);
	if (fd < 0)
		return cprof_perf_event_refused(errno, "futex tracepoint");
	if (filter.len && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, cprof_buffer_text(&filter)) < 0)
		return cprof_error_os(errno, "filter futex calls by \"%s\"",
				      cprof_buffer_text(&filter));
	err = share_ring(set, fd, cpu, &taken);
	if (err)
		return err;
	const int opened = cprof_take_fd(&fd);
	return taken ? NULL : keep_fd(fds_of(set, row->what), opened);
}

static struct cprof_error *open_rows(struct cprof_wait_event_set *set, const struct row *rows,
				     pid_t tid, size_t cpu)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < N_ROWS; i++)
		err = open_row(set, &rows[i], tid, cpu);
	return err;
}

/* ---- of each thread ---- */

static struct cprof_error *too_many(struct cprof_error *err, size_t n, size_t wanted)
{
	if (err->os_errno != EMFILE)
		return err;
	return cprof_error_hint(
		err,
		"%zu threads need %zu descriptors: raise ulimit -n, or run as root, for "
		"whom one event a CPU sees them all",
		n, wanted);
}

/* Give `rows` to every thread that has not got them, by `followed`. */
static struct cprof_error *open_new_threads(struct cprof_wait_event_set *set,
					    const struct row *rows, struct cprof_map64 *followed,
					    size_t *ret_new)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	*ret_new = 0;
	struct cprof_error *err = cprof_target_threads(set->target, &tids, &n);
	if (err)
		return err;
	const size_t wanted = (n + 1) * set->n_cpus * N_ROWS * (set->waitv ? 2 : 1);
	cprof_perf_host_raise_files(wanted);
	for (size_t i = 0; i < n && i < THREADS_MAX; i++) {
		bool added;
		if (!cprof_map64_put(followed, (uint64_t)tids[i], &added))
			return cprof_error_no_memory();
		*ret_new += added;
		for (size_t cpu = 0; !err && added && cpu < set->n_cpus; cpu++)
			err = open_rows(set, rows, tids[i], cpu);
		if (err && err->code == CPROF_ERR_NO_TARGET) { /* ended meanwhile */
			cprof_error_free(err);
			err = NULL;
		}
		if (err)
			return too_many(err, n, wanted);
	}
	return NULL;
}

/* A thread born while we read the list is inherited by its creator, or is in the next list; in both, it is told twice. */
static struct cprof_error *open_threads(struct cprof_wait_event_set *set, const struct row *rows,
					struct cprof_map64 *followed)
{
	size_t added = 1;
	struct cprof_error *err = NULL;
	for (int round = 0; !err && added && round < ROUNDS_MAX; round++)
		err = open_new_threads(set, rows, followed, &added);
	return err;
}

static bool sleeps_in_waitv(pid_t pid, pid_t tid)
{
	char text[256];
	struct cprof_thread_call call;
	return cprof_thread_read(pid, tid, "syscall", text, sizeof(text)) > 0 &&
	       cprof_thread_call_parse(text, &call) && call.kind == CPROF_CALL_BLOCKED &&
	       call.nr == SYS_futex_waitv;
}

/*
 * Three events more for each thread and CPU, which each of its turns on a CPU pays for, are only for programs that use it. A
 * few threads are looked at, each time the next ones.
 */
static bool uses_waitv(struct cprof_wait_event_set *set, size_t most)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_target_threads(set->target, &tids, &n));
	for (size_t i = 0; i < n && i < most; i++) {
		if (sleeps_in_waitv(set->target->pid, tids[set->looked++ % n]))
			return true;
	}
	return false;
}

static bool wants_waitv(const struct cprof_wait_event_set *set)
{
	return !set->releases && set->points.enter_waitv && set->points.exit_waitv;
}

static struct cprof_error *follow_waitv(struct cprof_wait_event_set *set)
{
	set->waitv = true;
	return open_threads(set, waitv_rows, &set->followed_waitv);
}

struct cprof_error *cprof_wait_event_set_look(struct cprof_wait_event_set *set)
{
	return !set->waitv && wants_waitv(set) && uses_waitv(set, WAITV_LOOKS) ? follow_waitv(set)
									       : NULL;
}

static struct cprof_error *open_each_thread(struct cprof_wait_event_set *set)
{
	struct cprof_error *err = open_threads(set, futex_rows, &set->followed);
	if (!err && !set->n_rings)
		err = cprof_error_os(ESRCH, "follow the threads of %d", (int)set->target->pid);
	return !err && wants_waitv(set) && uses_waitv(set, THREADS_MAX) ? follow_waitv(set) : err;
}

/* ---- of whole CPUs ---- */

/* The number that was given out last: the fifth field of /proc/loadavg, proc(5). */
static uint32_t newest_thread(void)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	unsigned newest = UINT32_MAX;
	cprof_error_free(cprof_file_read("/proc/loadavg", 256, &text));
	if (sscanf(cprof_buffer_text(&text), "%*s %*s %*s %*s %u", &newest) != 1)
		return 0; /* then everybody passes */
	return newest;
}

/* A thread born after the number was read is beyond it, one before is in the list. */
static struct cprof_error *find_runs(struct cprof_wait_event_set *set)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	const uint32_t newest = newest_thread();
	struct cprof_error *err = cprof_target_threads(set->target, &tids, &n);
	if (!err)
		cprof_thread_runs_of(tids, n, newest, &set->runs);
	return err;
}

/* Births and deaths, and the ring itself: it stays when events are exchanged. */
static struct cprof_error *open_rings(struct cprof_wait_event_set *set)
{
	struct cprof_error *err = NULL;
	struct perf_event_attr attr = base_attr(set);
	attr.type = PERF_TYPE_SOFTWARE;
	attr.config = PERF_COUNT_SW_DUMMY;
	attr.task = 1;
	for (size_t cpu = set->n_rings; !err && cpu < set->n_cpus; cpu++) {
		bool taken;
		CPROF_AUTO(close) int fd = cprof_perf_event_open(&attr, -1, set->cpus[cpu], -1);
		if (fd < 0)
			return cprof_perf_event_refused(errno, "births and ends of threads");
		err = share_ring(set, fd, cpu, &taken);
		if (taken)
			(void)cprof_take_fd(&fd);
	}
	return err;
}

static void tell_all(const struct cprof_wait_event_fds *fds, unsigned long request)
{
	for (size_t i = 0; i < fds->n; i++)
		ioctl(fds->fds[i], request, 0);
}

/* What is open, for what is in `other`. */
static void exchange(struct cprof_wait_event_set *set, struct cprof_wait_event_fds *other)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct cprof_wait_event_fds mine = *fds_of(set, (enum what)i);
		*fds_of(set, (enum what)i) = other[i];
		other[i] = mine;
	}
}

static struct cprof_error *open_all_rows(struct cprof_wait_event_set *set)
{
	struct cprof_error *err = open_rings(set);
	for (size_t cpu = 0; !err && cpu < set->n_cpus; cpu++) {
		err = open_rows(set, futex_rows, -1, cpu);
		if (!err && set->waitv)
			err = open_rows(set, waitv_rows, -1, cpu);
	}
	return err;
}

/* New ones in the place of old ones: none are told twice, and what comes in the microseconds between is missed. */
static struct cprof_error *open_wide(struct cprof_wait_event_set *set)
{
	struct cprof_wait_event_fds other[N_ROWS] = { 0 };
	struct cprof_error *err = find_runs(set);
	if (err)
		return err;
	cprof_perf_host_raise_files(set->n_cpus * (N_ROWS * 4 + 1));
	set->waitv = wants_waitv(set);
	exchange(set, other);
	err = open_all_rows(set);
	if (err)
		exchange(set, other);
	for (size_t i = 0; !err && i < N_ROWS; i++)
		tell_all(&other[i], PERF_EVENT_IOC_DISABLE);
	for (size_t i = 0; !err && i < N_ROWS; i++) {
		/* In this order, which is that of the rows. */
		if (i != RESULT || wants_results(set))
			tell_all(fds_of(set, (enum what)i), PERF_EVENT_IOC_ENABLE);
	}
	for (size_t i = 0; i < N_ROWS; i++)
		close_fds(&other[i]);
	return err;
}

struct cprof_error *cprof_wait_event_set_refresh(struct cprof_wait_event_set *set)
{
	return set->wide ? open_wide(set) : NULL;
}

/* ---- the whole ---- */

static void close_rings(struct cprof_wait_event_set *set)
{
	for (size_t i = 0; set->rings && i < set->n_rings; i++)
		cprof_perf_event_unmap(set->rings[i]);
	set->n_rings = 0;
}

/* Of CPUs where we may; whatever speaks against it, each thread can still have its own. */
static bool try_wide(struct cprof_wait_event_set *set)
{
	if (!cprof_foreign_pid_in_first_namespace())
		return false;
	set->wide = true;
	struct cprof_error *err = open_wide(set);
	if (!err)
		return true;
	cprof_error_free(err);
	close_rings(set);
	set->wide = set->waitv = false;
	return false;
}

struct cprof_error *cprof_wait_event_set_open(struct cprof_wait_event_set *set, bool each_thread)
{
	const uint64_t light = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW;
	set->light.sample_type = light;
	set->heavy = (struct cprof_perf_layout){
		.sample_type = light | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.n_regs = cprof_arch_host()->n_perf_regs,
	};
	set->period = 1;
	struct cprof_error *err = cprof_futex_tracepoints_find(&set->points);
	if (!err)
		err = cprof_perf_host_cpus(&set->cpus, &set->n_cpus);
	if (!err) {
		set->rings = calloc(set->n_cpus, sizeof(*set->rings));
		err = set->rings ? NULL : cprof_error_no_memory();
	}
	if (err || (!each_thread && try_wide(set)))
		return err;
	return open_each_thread(set);
}

void cprof_wait_event_set_close(struct cprof_wait_event_set *set)
{
	for (size_t i = 0; i < N_ROWS; i++)
		close_fds(fds_of(set, (enum what)i));
	close_rings(set);
	cprof_map64_deinit(&set->followed);
	cprof_map64_deinit(&set->followed_waitv);
	free(set->rings);
	free(set->cpus);
}

void cprof_wait_event_set_thin(struct cprof_wait_event_set *set, uint64_t period)
{
	const bool told = wants_results(set);
	set->period = period;
	/* The kernel serves first what was put in place last: the others go once more behind them. */
	if (!told && wants_results(set)) {
		tell_all(&set->results, PERF_EVENT_IOC_ENABLE);
		tell_all(&set->stacks, PERF_EVENT_IOC_DISABLE);
		tell_all(&set->stacks, PERF_EVENT_IOC_ENABLE);
	}
	for (size_t i = 0; i < set->stacks.n; i++)
		ioctl(set->stacks.fds[i], PERF_EVENT_IOC_PERIOD, &period);
	if (told && !wants_results(set))
		tell_all(&set->results, PERF_EVENT_IOC_DISABLE);
}
