/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_source.h - the perf events of a run: opened in the best way that is permitted, and all their rings
 * read as one stream in the order of time.
 *
 * A way of opening is a const struct, one file each (perf_open_*.c), tried in the order of the table:
 *   cpu         an event per CPU and a BPF program that keeps our processes' samples: 2 descriptors a CPU
 *   thread-cpu  an inherited event per thread and CPU: no privilege on own processes, many descriptors
 *   thread      an event and a small ring per thread: fewest descriptors without privilege; new threads are
 *               picked up by looking for them
 */
#ifndef CPROF_ATTACH_PERF_PERF_SOURCE_H
#define CPROF_ATTACH_PERF_PERF_SOURCE_H

#include <poll.h>

#include "attach/perf/bpf_context.h"
#include "attach/perf/perf_event.h"
#include "attach/perf/perf_pieces.h"
#include "attach/perf/perf_record.h"
#include "attach/run/run_log.h"
#include "attach/target/target.h"
#include "cprof/hash.h"

struct cprof_perf_source_request {
	struct perf_event_attr
		attr; /* the event and its period; what is sampled with it is ours, but for PERF_SAMPLE_RAW */
	const char *name;   /* of the event, for messages */
	const char *filter; /* of a tracepoint: on its fields, by the kernel; NULL: none */
	uint64_t stack_bytes;
	double rate_hz;                /* per CPU, to choose the size of rings */
	bool kernel_frames;            /* where permitted */
	bool children;                 /* what targets start is sampled as well */
	const char *strategy;          /* "auto" or a row's name */
	struct cprof_target **targets; /* borrowed */
	size_t n_targets;
	const int *
		filter_fd; /* borrowed: whose samples are kept (bpf_members.h), whatever the targets; for the row "cpu" only. NULL: the targets' */
	const int *
		programs_fd; /* borrowed; goes with it: whom that filter calls (bpf_filter.h). NULL: nobody, where there is a filter_fd */
	bool contexts;       /* threads' contexts may be wanted: cprof_perf_source_set_place() */
	const struct cprof_other_switches *
		switches; /* borrowed; of the only target: samples get a piece of the stack from which it came, by row "cpu". NULL: none */
	struct cprof_run_log *log; /* borrowed; ways that failed, limits that were met */
};

struct cprof_perf_source {
	struct cprof_perf_source_request request;
	const struct cprof_perf_opener *opener;
	struct cprof_perf_layout layout;
	bool kernel_excluded; /* not permitted: time in the kernel is not sampled at all */

	struct cprof_perf_source_ring {
		struct cprof_perf_event_ring *event;  /* owned */
		bool samples;                         /* else only mappings, names, forks */
		const struct perf_event_header *next; /* oldest record of this round; NULL: none */
		uint64_t next_ns;
		int cpu; /* of a row that has a ring for each; else -1 */
		struct cprof_perf_source_context
			*context; /* owned; NULL: contexts are not copied here */
	} * rings;                /* owned */
	size_t n_rings, cap_rings, cap_poll;
	struct pollfd *poll; /* owned; one per ring, -1 where it is not worth waking up for */
	int *fds;            /* owned; events whose samples go to another one's ring */
	size_t n_fds, cap_fds;
	int programs_fd;                   /* owned; -1: the filter calls nobody */
	struct cprof_bpf_context *context; /* owned; NULL: no place is known yet */
	struct cprof_map64 followed;       /* thread ids that have events (thread-cpu, thread) */
	uint64_t unfollowed;               /* threads for which there was no descriptor */
	struct cprof_perf_pieces *pieces;  /* owned; NULL: none are copied */

	uint64_t last_ns;      /* of the newest record handed out */
	uint64_t lost_records; /* by LOST records of sample rings */
	uint64_t lost_before;  /* by the kernel's count, before the start */
	uint64_t lost_other;   /* records of other rings: mappings may be stale */
	uint64_t throttled;
};

struct cprof_perf_opener {
	const char *name;
	const char *summary;
	bool inherits;         /* children of the targets are sampled, too */
	bool clock_per_thread; /* a thread that works for less than a period is never sampled */
	bool live; /* events count from their opening on, so there may be samples from before the start */
	/* Open everything, disabled unless `live`. An error makes the next row be tried; what was opened is closed by the caller. */
	struct cprof_error *(*open)(struct cprof_perf_source *source);
	/* Look for new threads, about 10 times a second; NULL: they are there by themselves. */
	struct cprof_error *(*follow)(struct cprof_perf_source *source);
};

/* Open for `request` (copied), everything disabled unless the opener is `live`. Errors: DENIED, UNSUPPORTED, NO_TARGET, OS. */
struct cprof_error *cprof_perf_source_open(const struct cprof_perf_source_request *request,
					   struct cprof_perf_source **ret_source);
void cprof_perf_source_close(struct cprof_perf_source *source);

/* The start: what is lost counts from here on. Samples from before may still come out of rings. */
void cprof_perf_source_enable(struct cprof_perf_source *source);
void cprof_perf_source_disable(struct cprof_perf_source *source);

/* Another period for every event that was opened; threads that inherited theirs keep it. */
void cprof_perf_source_set_period(struct cprof_perf_source *source, uint64_t period);

/*
 * Hand out every record up to `until_ns` (UINT64_MAX: all), all rings merged in the order of time. LOST and
 * THROTTLE are counted here and not handed out. A ring whose bytes make no sense is emptied and noted. `record` is valid
 * during the call. Errors: whatever `fn` returned.
 */
typedef struct cprof_error *cprof_perf_source_fn(void *ctx, const struct cprof_perf_record *record);
struct cprof_error *cprof_perf_source_drain(struct cprof_perf_source *source, uint64_t until_ns,
					    cprof_perf_source_fn *fn, void *ctx);

/* Samples known to be lost so far, from LOST records and the kernel's own count. */
uint64_t cprof_perf_source_lost(const struct cprof_perf_source *source);

/*
 * Where the threads of `target` have their context (attach/context/contexts.h); NULL: nowhere any more. From then on their samples bear it
 * (perf_record.h). Errors: DENIED, UNSUPPORTED (not by this row, or not on this kernel), OS, NO_MEMORY.
 */
struct cprof_error *cprof_perf_source_set_place(struct cprof_perf_source *source,
						const struct cprof_target *target,
						const struct cprof_context_place *place);

/* ---- for the rows ---- */

extern const struct cprof_perf_opener cprof_perf_open_cpu;
extern const struct cprof_perf_opener cprof_perf_open_thread_cpu;
extern const struct cprof_perf_opener cprof_perf_open_thread;

/* The attr of a sampling event; with `side_band` also mappings, names and forks of its thread. */
struct perf_event_attr cprof_perf_source_attr(const struct cprof_perf_source *source,
					      bool side_band);

/*
 * Open for one (pid, cpu). Where the kernel refuses its own part (paranoid 2) the whole source falls back to
 * user code only; where it lacks PERF_FORMAT_LOST that is left out. -1 and errno.
 */
int cprof_perf_source_open_one(struct cprof_perf_source *source, struct perf_event_attr *attr,
			       pid_t pid, int cpu);

/* Map a ring on `fd`, which is taken also on error. */
struct cprof_error *cprof_perf_source_add_ring(struct cprof_perf_source *source, int fd,
					       size_t bytes, bool samples);

/* Keep an fd that writes into another's ring; taken also on error. */
struct cprof_error *cprof_perf_source_add_fd(struct cprof_perf_source *source, int fd);

/* Bytes for one of `n` sample rings. */
size_t cprof_perf_source_ring_bytes(const struct cprof_perf_source *source, size_t n);

#endif
