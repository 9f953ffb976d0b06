/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_run_shared.h - one stream of CPU samples for many processes, who come and go while it runs.
 *
 * What it costs the machine does not grow with the processes: one event a CPU, filtered in the kernel to those that are wanted
 * (attach/perf/bpf_members.h), and each sample is walked and counted for the process that it is of. Everybody gets profiles of his own,
 * as if he had been sampled alone. Needs what the row "cpu" of perf_source.h needs. Changes nothing in a target and stops nobody.
 */
#ifndef CPROF_ATTACH_CPU_CPU_RUN_SHARED_H
#define CPROF_ATTACH_CPU_CPU_RUN_SHARED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/cpu/cpu_run.h"
#include "attach/run/snapshots.h"
#include "cprof/error.h"

enum cprof_cpu_shared_what {
	CPROF_CPU_SHARED_BEGIN, /* a profile so far, which is empty for a process that is new; it is wanted from now on */
	CPROF_CPU_SHARED_SO_FAR,
	CPROF_CPU_SHARED_END, /* told, not asked: one of those who began wants it no more */
};

/* What an ask (snapshots.h) begins with; what follows is the form's. */
struct cprof_cpu_shared_who {
	uint64_t start_ticks;
	pid_t pid;
	uint32_t what; /* enum cprof_cpu_shared_what */
};

struct cprof_cpu_shared {
	const struct cprof_cpu_request *request; /* of a clock */
	struct cprof_run_naming naming;
	struct cprof_thread_choice *threads; /* borrowed; as in run.h */
	struct cprof_run_request_labels request_labels;
	const char *command_line;     /* may be NULL */
	int stop_fd, ask_fd;          /* borrowed; as in window.h and snapshots.h */
	cprof_snapshot_form_fn *form; /* is given what follows an ask's beginning */
	void *form_ctx;

	/* As in window.h: the counts of all together. May be NULL. */
	void (*progress)(void *ctx, const struct cprof_window *window,
			 const struct cprof_counts *counts);
	void *progress_ctx;
	uint64_t progress_every_ns;
};

/* A clock, and a way of opening events that allows it. */
bool cprof_cpu_run_can_share(const struct cprof_cpu_request *request);

/*
 * Until stop_fd becomes readable. What concerns one process only is what its asks are answered with. Errors: USAGE (no such event, or no
 * clock), DENIED, UNSUPPORTED, OS, NO_MEMORY.
 */
struct cprof_error *cprof_cpu_run_shared(const struct cprof_cpu_shared *shared);

#endif
