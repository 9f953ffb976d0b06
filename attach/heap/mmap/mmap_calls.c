/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/mmap/mmap_calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/heap/mmap/mmap_bpf.h"
#include "attach/heap/mmap/mmap_program.h"
#include "attach/perf/perf_host.h"
#include "attach/perf/perf_source.h"
#include "attach/perf/perf_tracepoint.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define NO_STACK 8
#define NAMED    32 /* calls of several threads can be under way at once */
#define ATTACHED                                                                                   \
	4096 /* in one drain; of more than that /proc/PID/maps has to tell how much it was */
#define FOLLOW_NS  100000000ull
#define CACHE_FILE "tracepoints.mmap-shm"
#define PAGE       4096ull
#define ADDRESSES  (1ull << 56) /* five levels of page tables: no user address is beyond */
#define ERRNO_MAX  4095ull

/* ---- one call ---- */

/* DWARF numbers of x86-64's registers, in the order of a system call's arguments; rax is 0. */
static const uint8_t arguments[] = { 5, 4, 1, 10, 8, 9 };

static bool pages(uint64_t start, uint64_t bytes, uint64_t *ret_start, uint64_t *ret_end)
{
	if (start % PAGE || start >= ADDRESSES || bytes > ADDRESSES)
		return false;
	*ret_start = start;
	*ret_end = start + ((bytes + PAGE - 1) & ~(PAGE - 1));
	return true;
}

/* With an old size of 0 a shared mapping is mapped once more, and by MREMAP_DONTUNMAP the old one stays, empty. */
static bool read_remap(const uint64_t *argument, uint64_t result, struct cprof_mmap_call *call)
{
	if (!pages(argument[0], argument[1], &call->old_start, &call->old_end) ||
	    !pages(result, argument[2], &call->start, &call->end))
		return false;
	if (argument[3] & MREMAP_DONTUNMAP)
		call->old_end = call->old_start;
	return true;
}

bool cprof_mmap_call_read(enum cprof_mmap_call_kind kind, const struct cprof_regs *regs,
			  struct cprof_mmap_call *ret_call)
{
	uint64_t argument[sizeof(arguments)];
	const uint64_t result = regs->r[0];
	struct cprof_mmap_call call = { .kind = kind };
	for (size_t i = 0; i < sizeof(arguments); i++)
		argument[i] = regs->r[arguments[i]];
	bool ok = kind == CPROF_MMAP_CALL_UNMAP || result < -ERRNO_MAX;
	if (kind == CPROF_MMAP_CALL_MAP)
		ok = ok && pages(result, argument[1], &call.start, &call.end);
	else if (kind == CPROF_MMAP_CALL_UNMAP)
		ok = ok && pages(argument[0], argument[1], &call.start, &call.end);
	else if (kind == CPROF_MMAP_CALL_REMAP)
		ok = ok && read_remap(argument, result, &call);
	else if (kind == CPROF_MMAP_CALL_BRK)
		ok = ok && pages(0, result, &call.start, &call.end);
	else if (kind == CPROF_MMAP_CALL_ATTACH)
		ok = ok && pages(result, 0, &call.start, &call.end);
	else
		ok = pages(argument[0], 0, &call.start, &call.end);
	call.prot = (uint32_t)argument[2];
	call.flags = (uint32_t)argument[3];
	if (ok)
		*ret_call = call;
	return ok;
}

/* ---- the tracepoints ---- */

/* A user's rings are small (kernel.perf_event_mlock_kb). The walk goes on in the live process anyhow. */
struct room {
	uint64_t stack_bytes;
	double rate_hz; /* calls a second and processor for which rings have room: more are lost, and counted */
};
static const struct room rooms[] = { { 2048, 20 }, { 8192, 400 } };

static void call_mmap(void)
{
	syscall(SYS_mmap, 0, 0, 0, 0, -1, 0); /* of no bytes: it is refused */
}

static void call_munmap(void)
{
	syscall(SYS_munmap, 1, 0);
}

static void call_mremap(void)
{
	syscall(SYS_mremap, 1, 0, 0, 0, 0);
}

static void call_brk(void)
{
	syscall(SYS_brk, CPROF_PERF_TRACEPOINT_ARGUMENT); /* below the heap: it stays where it is */
}

static void call_shmat(void)
{
	syscall(SYS_shmat, -1, 0, 0);
}

static void call_shmdt(void)
{
	syscall(SYS_shmdt, CPROF_PERF_TRACEPOINT_ARGUMENT);
}

static const struct cprof_perf_tracepoint tracepoints[CPROF_N_MMAP_CALLS] = {
	[CPROF_MMAP_CALL_MAP] = { .name = "sys_exit_mmap",
				  .call = call_mmap,
				  .guess = 174,
				  .is_return = true },
	[CPROF_MMAP_CALL_UNMAP] = { .name = "sys_enter_munmap", .call = call_munmap, .guess = 693 },
	[CPROF_MMAP_CALL_REMAP] = { .name = "sys_exit_mremap",
				    .call = call_mremap,
				    .guess = 706,
				    .is_return = true },
	[CPROF_MMAP_CALL_BRK] = { .name = "sys_exit_brk",
				  .call = call_brk,
				  .guess = 692,
				  .is_return = true },
	[CPROF_MMAP_CALL_ATTACH] = { .name = "sys_exit_shmat",
				     .call = call_shmat,
				     .guess = 2049,
				     .is_return = true },
	[CPROF_MMAP_CALL_DETACH] = { .name = "sys_enter_shmdt", .call = call_shmdt, .guess = 2048 },
};

struct cprof_mmap_calls {
	struct cprof_mmap_program *
		program; /* owned; says of each sample what it is. NULL: a source has calls of one kind */
	struct cprof_perf_source *sources[CPROF_N_MMAP_CALLS]; /* owned */

	/* During a drain. */
	enum cprof_mmap_call_kind now;
	cprof_mmap_call_fn *fn;
	void *ctx;
	struct cprof_target *target; /* borrowed */
	uint64_t followed_ns;        /* when new threads were looked for last */

	/* What was mapped last: the kernel tells it with its name just before the call returns. */
	struct named {
		uint64_t start;
		char path[CPROF_MMAP_CALL_PATH];
	} named[NAMED];
	size_t n_named;

	/* How much was attached: that stands among what mmap's event tells, which is read before shmat's. */
	struct attached {
		uint64_t start, end, time_ns;
	} attached[ATTACHED];
	size_t n_attached;
};

static bool has_stack(enum cprof_mmap_call_kind kind)
{
	return kind != CPROF_MMAP_CALL_UNMAP && kind != CPROF_MMAP_CALL_DETACH;
}

/* A kernel may have been built without. */
static bool can_miss(enum cprof_mmap_call_kind kind)
{
	return kind == CPROF_MMAP_CALL_ATTACH || kind == CPROF_MMAP_CALL_DETACH;
}

static struct cprof_error *open_source(struct cprof_mmap_calls *calls, struct cprof_run_log *log,
				       const struct perf_event_attr *attr, const char *name,
				       const char *strategy, enum cprof_mmap_call_kind kind)
{
	const struct room *room = &rooms[geteuid() == 0];
	const struct cprof_perf_source_request request = {
		.attr = *attr,
		.name = name,
		.stack_bytes = has_stack(kind) ? room->stack_bytes : NO_STACK,
		.rate_hz = room->rate_hz,
		.strategy = strategy,
		.targets = &calls->target,
		.n_targets = 1,
		.log = log,
	};
	struct cprof_error *err = cprof_perf_source_open(&request, &calls->sources[kind]);
	if (!err)
		cprof_perf_source_enable(calls->sources[kind]);
	return err;
}

/* ---- by a program: for all threads at once ---- */

static struct cprof_error *open_program(struct cprof_mmap_calls *calls, struct cprof_run_log *log)
{
	static const char name[] = "BPF output of mmap and brk";
	struct perf_event_attr attr = cprof_mmap_program_attr();
	struct cprof_error *err =
		open_source(calls, log, &attr, name, "cpu", CPROF_MMAP_CALL_UNMAP);
	attr.mmap_data = 1;
	if (!err)
		err = open_source(calls, log, &attr, name, "cpu", CPROF_MMAP_CALL_MAP);
	return err ? err
		   : cprof_mmap_program_open(
			     calls->target->pid, calls->sources[CPROF_MMAP_CALL_MAP],
			     calls->sources[CPROF_MMAP_CALL_UNMAP], &calls->program);
}

static bool kind_of(int nr, enum cprof_mmap_call_kind *ret_kind)
{
	static const struct {
		int nr;
		enum cprof_mmap_call_kind kind;
	} kinds[] = {
		{ CPROF_MMAP_BPF_MMAP, CPROF_MMAP_CALL_MAP },
		{ CPROF_MMAP_BPF_MUNMAP, CPROF_MMAP_CALL_UNMAP },
		{ CPROF_MMAP_BPF_MREMAP, CPROF_MMAP_CALL_REMAP },
		{ CPROF_MMAP_BPF_BRK, CPROF_MMAP_CALL_BRK },
		{ CPROF_MMAP_BPF_SHMAT, CPROF_MMAP_CALL_ATTACH },
		{ CPROF_MMAP_BPF_SHMDT, CPROF_MMAP_CALL_DETACH },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].nr == nr) {
			*ret_kind = kinds[i].kind;
			return true;
		}
	}
	return false;
}

static void close_all(struct cprof_mmap_calls *calls)
{
	cprof_mmap_program_close(calls->program);
	calls->program = NULL;
	for (size_t i = 0; i < CPROF_N_MMAP_CALLS; i++) {
		cprof_perf_source_close(calls->sources[i]);
		calls->sources[i] = NULL;
	}
}

/* ---- by the tracepoint of each call: for each thread ---- */

static struct cprof_error *open_tracepoint(struct cprof_mmap_calls *calls,
					   struct cprof_run_log *log,
					   const struct cprof_perf_tracepoint *point,
					   enum cprof_mmap_call_kind kind)
{
	const struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.config = point->id,
		.sample_period = 1,
		.mmap_data = kind == CPROF_MMAP_CALL_MAP,
		.exclude_kernel = 1,
	};
	return open_source(calls, log, &attr, point->name, "auto", kind);
}

/*
 * An event of each kind for each thread is the least. Said before one is opened: the kernel takes long to close them again, and a thread
 * that is left out would map what nobody sees.
 */
static struct cprof_error *check_files(const struct cprof_mmap_calls *calls, size_t n_kinds)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	struct cprof_error *err = cprof_target_threads(calls->target, &tids, &n);
	if (err || cprof_perf_host_has_files(n * n_kinds))
		return err;
	err = cprof_error_new(CPROF_ERR_DENIED,
			      "its %zu threads want %zu descriptors, one for each and each of %zu "
			      "system calls, and ulimit -Hn allows fewer",
			      n, n * n_kinds, n_kinds);
	err->os_errno = EMFILE;
	return cprof_error_hint(
		err, "run as root, or give cprof-attach CAP_BPF and CAP_PERFMON: then a few "
		     "are enough; or raise ulimit -Hn; or leave -heap-mmap out");
}

static struct cprof_error *open_tracepoints(struct cprof_mmap_calls *calls,
					    struct cprof_run_log *log)
{
	struct cprof_perf_tracepoint points[CPROF_N_MMAP_CALLS];
	size_t n = 0;
	memcpy(points, tracepoints, sizeof(points));
	struct cprof_error *err =
		cprof_perf_tracepoints_find(points, CPROF_N_MMAP_CALLS, CACHE_FILE);
	for (unsigned i = 0; i < CPROF_N_MMAP_CALLS; i++)
		n += points[i].id != 0;
	if (!err)
		err = check_files(calls, n);
	for (unsigned i = 0; !err && i < CPROF_N_MMAP_CALLS; i++) {
		if (!points[i].id && can_miss(i))
			continue;
		if (!points[i].id)
			err = cprof_error_new(CPROF_ERR_UNSUPPORTED,
					      "this kernel has no tracepoint %s", points[i].name);
		else
			err = open_tracepoint(calls, log, &points[i], i);
	}
	return err;
}

struct cprof_error *cprof_mmap_calls_open(struct cprof_target *target, struct cprof_run_log *log,
					  struct cprof_mmap_calls **ret_calls)
{
	struct cprof_mmap_calls *calls = calloc(1, sizeof(*calls));
	if (!calls)
		return cprof_error_no_memory();
	calls->target = target;
	struct cprof_error *err = open_program(calls, log);
	if (err) {
		cprof_run_log_note(log, CPROF_NOTE_DETAIL,
				   "mappings are followed thread by thread: %s", err->message);
		cprof_error_free(err);
		close_all(calls);
		err = open_tracepoints(calls, log);
	}
	if (err) {
		cprof_mmap_calls_close(calls);
		return err;
	}
	*ret_calls = calls;
	return NULL;
}

void cprof_mmap_calls_close(struct cprof_mmap_calls *calls)
{
	if (calls)
		close_all(calls);
	free(calls);
}

/* ---- reading ---- */

static void note_attached(struct cprof_mmap_calls *calls, const struct cprof_perf_record *record)
{
	static const char name[] = "/SYSV";
	if (strncmp(record->map.path, name, sizeof(name) - 1) == 0)
		calls->attached[calls->n_attached++ % ATTACHED] =
			(struct attached){ .start = record->map.start,
					   .end = record->map.start + record->map.len,
					   .time_ns = record->time_ns };
}

static void name(struct cprof_mmap_calls *calls, const struct cprof_perf_record *record)
{
	struct named *named = &calls->named[calls->n_named++ % NAMED];
	named->start = record->map.start;
	snprintf(named->path, sizeof(named->path), "%s", record->map.path);
}

/* Once: the next one there is another one. */
static void take_name(struct cprof_mmap_calls *calls, struct cprof_mmap_call *call)
{
	for (size_t i = 0; i < NAMED; i++) {
		if (calls->named[i].start != call->start)
			continue;
		memcpy(call->path, calls->named[i].path, sizeof(call->path));
		calls->named[i].start = 0;
	}
}

/* The last one there before the call's end. */
static void take_attached(const struct cprof_mmap_calls *calls, struct cprof_mmap_call *call)
{
	const size_t n = calls->n_attached < ATTACHED ? calls->n_attached : ATTACHED;
	const struct attached *last = NULL;
	for (size_t i = 0; i < n; i++) {
		const struct attached *one = &calls->attached[i];
		if (one->start == call->start && one->time_ns <= call->time_ns &&
		    (!last || one->time_ns > last->time_ns))
			last = one;
	}
	if (last)
		call->end = last->end;
}

/* What the kernel tells beside the samples is not wanted, but for names. */
static struct cprof_error *on_record(void *ctx, const struct cprof_perf_record *record)
{
	struct cprof_mmap_calls *calls = ctx;
	enum cprof_mmap_call_kind kind = calls->now;
	struct cprof_mmap_call call;
	struct cprof_regs regs;
	if (record->kind == CPROF_PERF_MAP && (pid_t)record->pid == calls->target->pid) {
		name(calls, record);
		note_attached(calls, record);
	}
	if (record->kind != CPROF_PERF_SAMPLE || (pid_t)record->pid != calls->target->pid ||
	    !record->sample.regs || record->sample.regs_32bit)
		return NULL;
	if (calls->program && !kind_of(cprof_mmap_program_call(record), &kind))
		return NULL;
	cprof_arch_regs_from_perf(cprof_arch_host(), record->sample.regs, &regs);
	if (!cprof_mmap_call_read(kind, &regs, &call))
		return NULL;
	call.time_ns = record->time_ns;
	if (call.kind == CPROF_MMAP_CALL_MAP)
		take_name(calls, &call);
	if (call.kind == CPROF_MMAP_CALL_ATTACH)
		take_attached(calls, &call);
	return calls->fn(calls->ctx, &call, &regs, record);
}

struct cprof_error *cprof_mmap_calls_drain(struct cprof_mmap_calls *calls, uint64_t until_ns,
					   cprof_mmap_call_fn *fn, void *ctx)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	const bool follow = now_ns - calls->followed_ns > FOLLOW_NS;
	struct cprof_error *err = NULL;
	calls->fn = fn;
	calls->ctx = ctx;
	if (follow)
		calls->followed_ns = now_ns;
	for (unsigned i = 0; !err && i < CPROF_N_MMAP_CALLS; i++) {
		struct cprof_perf_source *source = calls->sources[i];
		calls->now = i;
		if (!source)
			continue;
		if (follow && source->opener->follow)
			err = source->opener->follow(source);
		if (!err)
			err = cprof_perf_source_drain(source, until_ns, on_record, calls);
	}
	return err;
}

uint64_t cprof_mmap_calls_lost(const struct cprof_mmap_calls *calls)
{
	uint64_t lost = 0;
	for (size_t i = 0; i < CPROF_N_MMAP_CALLS; i++)
		lost += calls->sources[i] ? cprof_perf_source_lost(calls->sources[i]) : 0;
	return lost;
}
