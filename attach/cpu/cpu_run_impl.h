/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_run_impl.h - the inside of a CPU profile, for one that has a stream of samples of its own (cpu_run.c), for those
 * that share one (cpu_run_shared.c), and for samples that another mode adds up (cpu_run_feed.c).
 */
#ifndef CPROF_ATTACH_CPU_CPU_RUN_IMPL_H
#define CPROF_ATTACH_CPU_CPU_RUN_IMPL_H

#include "attach/context/contexts.h"
#include "attach/cpu/cpu_account.h"
#include "attach/cpu/cpu_idle.h"
#include "attach/cpu/cpu_pace.h"
#include "attach/cpu/cpu_run.h"
#include "attach/cpu/cpu_weight.h"
#include "attach/perf/perf_counter.h"
#include "attach/perf/perf_event_name.h"
#include "attach/perf/perf_source.h"
#include "attach/run/session.h"

struct cpu {
	const struct cprof_run *run;
	const struct cprof_cpu_request *request;
	struct cprof_perf_event_name event;
	struct cprof_other_switches switches; /* of the target, where there is one only */
	struct cprof_perf_source *source;
	struct cprof_session *session;
	struct cprof_contexts *contexts; /* owned; NULL: labels of requests are not wanted */
	struct cprof_cpu_account account;
	struct cprof_cpu_idle idle;
	int64_t period;                         /* nanoseconds of a clock */
	struct cprof_cpu_weight weight;         /* of its own events; and of one that is no clock */
	struct cprof_perf_counter counter;      /* how often that happened */
	const struct cprof_cpu_weight *weights; /* that count: these, or those of the stream */
	struct cprof_cpu_pace pace;
	uint64_t counted;    /* in the window */
	uint64_t lost_other; /* of the source, when mappings were last read because of it */
	uint64_t children_missed;
	uint64_t kept, left_out; /* by values: samples of threads that are chosen, and of others */
	uint64_t others;         /* 32-bit samples, which cannot be unwound */

	/* Read all rings: its own, or those that it has together with others. */
	struct cprof_error *(*drain)(struct cpu *cpu, uint64_t until_ns);
	struct cprof_cpu_shared_stream *stream; /* of these */

	/* Who adds samples up himself, in place of the session. NULL: nobody. */
	struct cprof_error *(*take)(struct cpu *cpu, const struct cprof_perf_record *record,
				    const struct cprof_session_stack *stack);
};

/* A record of `process`, which is one of this session. */
struct cprof_error *cpu_on_record(struct cpu *cpu, struct cprof_process *process,
				  const struct cprof_perf_record *record);

/* The window begins; what was mapped before is read. Then the window is over, for what is held against the samples. */
struct cprof_error *cpu_begin(struct cpu *cpu);
void cpu_stop_counting(struct cpu *cpu);

/* What is new in the processes that are sampled: where their threads have a context. */
struct cprof_error *cpu_look_for_contexts(struct cpu *cpu);

/* Notes in the run's log, of the window so far. */
void cpu_note_end(const struct cpu *cpu);

/* Of a clock. */
uint64_t cpu_period_now(const struct cpu *cpu);

#define CPU_CHILDREN_MAX 2048 /* processes that are followed; each costs some ten KiB */

/* The profile of what there is. Without the first a recording goes on: for a copy of its process. */
struct cprof_error *cpu_finish(struct cpu *cpu, struct cprof_profile **ret_profile);
struct cprof_error *cpu_finish_so_far(void *ctx, struct cprof_profile **ret_profile);

/* The attr and all else that is asked of the source. */
struct cprof_perf_source_request cpu_source_request(const struct cpu *cpu);
/* cpu->switches, if there is one target. Does not stop it. Errors: NO_MEMORY. */
struct cprof_error *cpu_find_switches(struct cpu *cpu);
struct cprof_error *cpu_prepare_session(struct cpu *cpu);

#endif
