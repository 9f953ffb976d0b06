/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF tier: a program in the kernel times every wait and keeps some by Go's law; perf copies registers and stack
 * of those into a ring per CPU. attach/waits/wait.bpf.c is the program and says how it works.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attach/locks/lock_word.h"
#include "attach/perf/bpf_load.h"
#include "attach/perf/bpf_quiet.h"
#include "attach/perf/other_stack.h"
#include "attach/perf/perf_event.h"
#include "attach/perf/perf_host.h"
#include "attach/perf/perf_record.h"
#include "attach/waits/futex_tracepoint.h"
#include "attach/waits/wait_bpf.h"
#include "attach/waits/wait_edges.h"
#include "attach/waits/wait_fault.h"
#include "attach/waits/wait_tier.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include "wait.skel.h"

#define RING_BYTES  ((size_t)4 << 20)
#define RING_LEAST  ((size_t)256 << 10)
#define RATE_MAX_NS 4000000000ull /* the program multiplies it with 32 random bits */

struct bpf_tier {
	struct cprof_wait_intake *intake; /* borrowed */
	struct wait_bpf *skel;            /* owned */
	struct cprof_perf_layout layout;
	struct ring {
		struct cprof_perf_event_ring *event; /* owned */
	} * rings;                                   /* owned */
	size_t n_rings;
	int *exit_fds; /* owned; tracepoints of returning system calls, with our program */
	size_t n_exit_fds;
	bool at_resume; /* waits are told where a thread goes on */
	bool at_return; /* else where its call returns; releases need neither */
	uint64_t full_told;
	struct cprof_wait_faults faults; /* with -block all */
};

/* ---- opening ---- */

/* Returns an errno value. */
static int load_with(struct bpf_tier *tier, const struct cprof_other_switches *switches)
{
	const struct cprof_wait_intake *intake = tier->intake;
	struct wait_bpf *skel = tier->skel = wait_bpf__open();
	if (!skel)
		return errno;
	skel->rodata->target_tgid = (uint32_t)intake->process->target->pid;
	skel->rodata->all_syscalls = intake->request->all;
	skel->rodata->tell_releases = intake->request->releases;
	skel->rodata->tell_waits = !intake->request->releases;
	skel->data->rate_ns = intake->rate_ns;
	skel->rodata->tell_at_resume = tier->at_resume;
	skel->rodata->other_n_switches = switches->n;
	memcpy(skel->rodata->other_switches, switches->all, sizeof(switches->all));
	bpf_program__set_autoload(skel->progs.on_any_return,
				  tier->at_return && intake->request->all);
	bpf_program__set_autoload(skel->progs.on_futex_return,
				  tier->at_return && !intake->request->all);
	bpf_program__set_autoload(skel->progs.on_resume, tier->at_resume);
	return -wait_bpf__load(skel);
}

static struct cprof_error *load(struct bpf_tier *tier)
{
	const struct cprof_wait_intake *intake = tier->intake;
	struct cprof_other_switches switches;
	struct cprof_error *err = cprof_process_refresh(intake->process, CPROF_NS_PER_S);
	if (!err)
		err = cprof_other_switches_find(&switches, &intake->process->maps,
						cprof_session_modules(intake->session));
	if (err)
		return err;
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	int why = load_with(tier, &switches);
	while (cprof_other_switches_fewer(&switches, why)) {
		wait_bpf__destroy(tier->skel);
		why = load_with(tier, &switches);
	}
	cprof_bpf_quiet_end(before);
	return cprof_bpf_load_error(why);
}

static struct cprof_error *open_ring(struct bpf_tier *tier, int cpu)
{
	struct perf_event_attr attr = cprof_perf_event_bpf_output(PERF_SAMPLE_STACK_USER);
	attr.sample_stack_user = (uint32_t)tier->intake->request->stack_bytes;
	attr.watermark = 1;
	attr.wakeup_watermark = RING_BYTES / 4;
	tier->layout = (struct cprof_perf_layout){ .sample_type = attr.sample_type,
						   .n_regs = cprof_arch_host()->n_perf_regs };
	int fd = cprof_perf_event_open(&attr, -1, cpu, -1);
	if (fd < 0)
		return cprof_perf_event_refused(errno, "ring for the BPF program");
	struct cprof_perf_event_ring *event;
	struct cprof_error *err = cprof_perf_event_map(fd, RING_BYTES, RING_LEAST, &event);
	if (err) {
		close(fd);
		return err;
	}
	tier->rings[tier->n_rings++].event = event;
	uint32_t key = (uint32_t)cpu;
	if (bpf_map__update_elem(tier->skel->maps.events, &key, sizeof(key), &fd, sizeof(fd), 0))
		return cprof_error_os(errno, "give CPU %d's ring to the BPF program", cpu);
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	return NULL;
}

static struct cprof_error *open_rings(struct bpf_tier *tier)
{
	CPROF_AUTO(free) int *cpus = NULL;
	size_t n;
	struct cprof_error *err = cprof_perf_host_cpus(&cpus, &n);
	if (err)
		return err;
	tier->rings = calloc(n, sizeof(*tier->rings));
	if (!tier->rings)
		return cprof_error_no_memory();
	for (size_t i = 0; !err && i < n; i++)
		err = open_ring(tier, cpus[i]);
	return err;
}

/* One event for the whole machine: a program on a tracepoint runs for every process, whoever opened it. */
static struct cprof_error *hook_return(struct bpf_tier *tier, uint64_t id)
{
	/* Never enabled: the program runs all the same, and CPU 0 has no event to count. */
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = id,
		.disabled = 1,
	};
	int fd = cprof_perf_event_open(&attr, -1, 0, -1);
	if (fd < 0)
		return cprof_perf_event_refused(errno, "system call return");
	tier->exit_fds[tier->n_exit_fds++] = fd;
	int program = bpf_program__fd(tier->skel->progs.on_futex_return);
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) < 0)
		return cprof_error_os(errno, "attach the BPF program to the return of futex");
	return NULL;
}

static struct cprof_error *hook(struct bpf_tier *tier)
{
	struct cprof_futex_tracepoints points;
	struct cprof_error *err = NULL;
	const bool returns = tier->at_return && !tier->intake->request->all;
	if (returns)
		err = cprof_futex_tracepoints_find(&points);
	if (!err && returns)
		err = hook_return(tier, points.exit_futex);
	if (!err && returns && points.exit_waitv)
		err = hook_return(tier, points.exit_waitv);
	if (err)
		return err;
	int why = -wait_bpf__attach(tier->skel);
	return why ? cprof_error_os(why, "attach the BPF programs to the scheduler") : NULL;
}

/* One that has woken meanwhile would be taken for asleep until it sleeps again: then it is taken back. */
static void put_sleeper(void *ctx, const struct cprof_wait_edges_sleeper *sleeper)
{
	struct bpf_tier *tier = ctx;
	struct bpf_map *threads = tier->skel->maps.threads;
	const uint32_t tid = (uint32_t)sleeper->tid;
	const struct cprof_memory memory = cprof_target_mem_view(&tier->intake->process->mem);
	uint32_t owner = 0; /* as the program reads it where a wait begins */
	if (sleeper->nr == SYS_futex)
		owner = cprof_lock_word_beside(&memory, sleeper->addr, sleeper->op, sleeper->val);
	const struct cprof_wait_bpf_thread thread = {
		.asleep_since_ns = sleeper->now_ns,
		.owner = owner,
		.addr = sleeper->addr,
		.syscall = sleeper->nr,
		.op = sleeper->op,
		.val = sleeper->val,
		.unsure = 1,
	};
	if (bpf_map__update_elem(threads, &tid, sizeof(tid), &thread, sizeof(thread),
				 BPF_NOEXIST) == 0 &&
	    !cprof_wait_edges_still(tier->intake, sleeper))
		bpf_map__delete_elem(threads, &tid, sizeof(tid), 0);
}

static void close_tier(void *state)
{
	struct bpf_tier *tier = state;
	if (!tier)
		return;
	for (size_t i = 0; i < tier->n_exit_fds; i++)
		close(tier->exit_fds[i]);
	wait_bpf__destroy(tier->skel);
	for (size_t i = 0; i < tier->n_rings; i++)
		cprof_perf_event_unmap(tier->rings[i].event);
	free(tier->rings);
	free(tier->exit_fds);
	cprof_wait_faults_deinit(&tier->faults);
	free(tier);
}

/* Since Linux 6.16. */
static bool has_resume(void)
{
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	bool has = libbpf_find_vmlinux_btf_id("sched_exit_tp", BPF_TRACE_RAW_TP) > 0;
	cprof_bpf_quiet_end(before);
	return has;
}

static struct cprof_error *open_tier(struct cprof_wait_intake *intake, void **ret_state)
{
	struct cprof_error *err = cprof_bpf_check_namespace();
	if (err)
		return err;
	struct bpf_tier *tier = calloc(1, sizeof(*tier));
	if (!tier)
		return cprof_error_no_memory();
	tier->intake = intake;
	tier->exit_fds = calloc(2, sizeof(*tier->exit_fds));
	tier->at_resume = (!intake->request->all || intake->request->sleeps) &&
			  !intake->request->releases && has_resume();
	tier->at_return = !intake->request->releases && !tier->at_resume;
	if (!tier->exit_fds)
		err = cprof_error_no_memory();
	if (!err && intake->request->all)
		err = cprof_wait_faults_init(&tier->faults, intake);
	if (!err)
		err = load(tier);
	if (!err)
		err = open_rings(tier);
	if (!err)
		err = hook(tier);
	if (!err && !intake->request->releases)
		cprof_wait_edges_before(intake, put_sleeper, tier);
	if (err) {
		close_tier(tier);
		return err;
	}
	*ret_state = tier;
	return NULL;
}

/* ---- reading ---- */

static struct cprof_session_sample sample_of(const struct bpf_tier *tier,
					     const struct cprof_perf_record *record,
					     const struct cprof_regs *regs)
{
	return (struct cprof_session_sample){
		.process = tier->intake->process,
		.regs = regs,
		.stack_addr = regs->r[cprof_arch_host()->sp],
		.stack = record->sample.stack,
		.n_stack = record->sample.n_stack,
		.live = true, /* beyond the copy are frames that the thread has not left yet */
	};
}

/* `part_ns` of its time lie in the window; it has run again at `ran_ns`. */
static struct cprof_error *take_wait(struct bpf_tier *tier,
				     const struct cprof_wait_bpf_event *event, uint64_t part_ns,
				     uint64_t ran_ns, const struct cprof_session_sample *sample,
				     uint32_t request, bool open)
{
	const uint64_t end_ns = cprof_wait_intake_end_ns(tier->intake),
		       woken_ns = ran_ns - event->queue_ns;
	const struct cprof_wait_weight weight =
		cprof_wait_weigh_part(event->delay_ns, part_ns, event->rate_ns);
	struct cprof_wait wait = {
		.tid = event->tid,
		.syscall = event->syscall < 0 ? CPROF_WAIT_NO_SYSCALL : event->syscall,
		.futex_op = event->op,
		.futex_val = event->val,
		.addr = event->addr,
		.owner_tid = event->owner,
		.waker_tid = event->waker,
		.word = event->word,
		.has_word = event->has_word,
		.disk = event->disk,
		.open = open,
		.request = request,
		.count = weight.count,
		.delay_ns = weight.delay_ns,
		.queue_ns = (double)event->queue_ns * weight.count,
		.began_ns = woken_ns - event->delay_ns,
		.woken_ns = woken_ns < end_ns ? woken_ns : end_ns,
		.ran_ns = ran_ns < end_ns ? ran_ns : end_ns,
	};
	cprof_wait_intake_find_owner(&wait);
	return cprof_wait_intake_take(tier->intake, &wait, sample, NULL);
}

static struct cprof_error *take_sample(struct bpf_tier *tier,
				       const struct cprof_perf_record *record)
{
	struct cprof_wait_bpf_event event;
	struct cprof_regs regs;
	if (record->sample.n_raw < sizeof(event))
		return NULL;
	memcpy(&event, record->sample.raw, sizeof(event));
	if (event.what == CPROF_WAIT_BPF_FAULT_END) {
		/* Told while another thread leaves the CPU: the registers are that one's, and the idle one has none. */
		return cprof_wait_faults_end(&tier->faults, &event, record->time_ns);
	}
	if (!record->sample.regs || record->sample.regs_32bit)
		return NULL;
	cprof_arch_regs_from_perf(cprof_arch_host(), record->sample.regs, &regs);
	struct cprof_session_sample sample = sample_of(tier, record, &regs);
	const uint8_t *tail = (const uint8_t *)record->sample.raw + sizeof(event);
	const size_t n_tail = record->sample.n_raw - sizeof(event);
	if (!event.context)
		cprof_other_stack_add(&sample, tail, n_tail);
	const uint32_t request = cprof_contexts_number(
		tier->intake->contexts, tier->intake->process, tail, event.context ? n_tail : 0);
	if (event.what == CPROF_WAIT_BPF_FAULT)
		return cprof_wait_faults_begin(&tier->faults, &event, &sample);
	const uint64_t start_ns = tier->intake->run->window->start_mono_ns,
		       end_ns = cprof_wait_intake_end_ns(tier->intake);
	/* The programs run a while before the window begins, and before they know where threads have their context. */
	if (tier->intake->request->releases)
		return record->time_ns < start_ns || record->time_ns > end_ns
			       ? NULL
			       : take_wait(tier, &event, event.delay_ns, record->time_ns, &sample,
					   request, false);
	/* We begin late and end late where the machine is busy: what reaches out of the window counts up to there. */
	const uint64_t woken_ns = record->time_ns - event.queue_ns;
	const uint64_t part_ns =
		cprof_wait_part_ns(woken_ns - event.delay_ns, woken_ns, start_ns, end_ns);
	return part_ns ? take_wait(tier, &event, part_ns, record->time_ns, &sample, request,
				   woken_ns > end_ns)
		       : NULL;
}

static struct cprof_error *take_record(const struct perf_event_header *header, void *ctx)
{
	struct bpf_tier *tier = ctx;
	struct cprof_perf_record record;
	struct cprof_error *err = cprof_perf_record_decode(&tier->layout, header, &record);
	if (err)
		return err;
	if (record.kind == CPROF_PERF_LOST)
		tier->intake->lost += record.lost;
	return record.kind == CPROF_PERF_SAMPLE ? take_sample(tier, &record) : NULL;
}

static struct cprof_wait_bpf_counts sum_counts(const struct bpf_tier *tier)
{
	struct cprof_wait_bpf_counts sum = { 0 };
	for (size_t i = 0; i < CPROF_WAIT_BPF_CPUS; i++) {
		const struct cprof_wait_bpf_counts *one = &tier->skel->bss->counts[i];
		sum.waits += one->waits;
		sum.kept += one->kept;
		sum.releases += one->releases;
		sum.owned += one->owned;
		sum.agreed += one->agreed;
		sum.full += one->full;
		sum.delay_ns += one->delay_ns;
	}
	return sum;
}

static struct cprof_error *drain(void *state)
{
	struct bpf_tier *tier = state;
	struct cprof_error *err = NULL;
	tier->skel->data->rate_ns =
		tier->intake->rate_ns < RATE_MAX_NS ? tier->intake->rate_ns : RATE_MAX_NS;
	for (size_t i = 0; !err && i < tier->n_rings; i++) {
		size_t n;
		err = cprof_perf_ring_drain(&tier->rings[i].event->ring, take_record, tier, &n);
	}
	uint64_t full = sum_counts(tier).full;
	tier->intake->lost += full - tier->full_told;
	tier->full_told = full;
	return err;
}

static size_t fds(void *state, struct pollfd *fds, size_t cap)
{
	const struct bpf_tier *tier = state;
	size_t n = 0;
	for (; n < tier->n_rings && n < cap; n++)
		fds[n] = (struct pollfd){ .fd = tier->rings[n].event->fd, .events = POLLIN };
	return n;
}

static bool since(void *state, uint32_t tid, uint64_t *ret_mono_ns)
{
	const struct bpf_tier *tier = state;
	struct cprof_wait_bpf_thread thread;
	if (bpf_map__lookup_elem(tier->skel->maps.threads, &tid, sizeof(tid), &thread,
				 sizeof(thread), 0))
		return false; /* asleep since before our time */
	/* It has woken since its call was read: that wait has been told. */
	*ret_mono_ns = thread.asleep_since_ns ? thread.asleep_since_ns : UINT64_MAX;
	return true;
}

static void set_place(void *state, const struct cprof_context_place *place)
{
	struct bpf_tier *tier = state;
	struct cprof_context_place *now = &tier->skel->bss->place;
	now->how = CPROF_CONTEXT_NONE; /* never half of one and half of another */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	struct cprof_context_place next = *place;
	next.how = CPROF_CONTEXT_NONE;
	*now = next;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	now->how = place->how;
}

static void tell(void *state)
{
	const struct bpf_tier *tier = state;
	const struct cprof_wait_bpf_counts counts = sum_counts(tier);
	struct cprof_run_log *log = tier->intake->run->log;
	tier->intake->owned = counts.owned;
	tier->intake->agreed = counts.agreed;
	if (tier->intake->request->releases)
		cprof_run_log_note(log, CPROF_NOTE_DETAIL, "%" PRIu64 " releases seen",
				   (uint64_t)counts.releases);
	else
		cprof_run_log_note(log, CPROF_NOTE_DETAIL,
				   "%" PRIu64 " waits of %.3f s seen, %" PRIu64 " kept",
				   (uint64_t)counts.waits, (double)counts.delay_ns / 1e9,
				   (uint64_t)counts.kept);
}

static void each_row(void *state, void (*fn)(void *ctx, uint32_t *row), void *ctx)
{
	struct bpf_tier *tier = state;
	cprof_wait_faults_each_row(&tier->faults, fn, ctx);
}

const struct cprof_wait_tier cprof_wait_tier_bpf = {
	.name = "bpf",
	.exactly = "asleep until woken, every wait timed in the kernel",
	.tells_releases = true,
	.tells_wakes = true,
	.tells_all = true,
	.thins = true,
	.drain_ns = 20000000,
	.open = open_tier,
	.close = close_tier,
	.fds = fds,
	.drain = drain,
	.since = since,
	.each_row = each_row,
	.set_place = set_place,
	.tell = tell,
};
