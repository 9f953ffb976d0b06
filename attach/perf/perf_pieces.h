/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_pieces.h - pieces of goroutines' stacks that a BPF program has copied for samples of C which they called.
 *
 * Owns the program (pieces.bpf.c), which is also the filter of the samples, and the pieces that were read and whose samples were
 * not yet. A piece belongs to the sample with the same stack pointer of the same moment.
 */
#ifndef CPROF_ATTACH_PERF_PERF_PIECES_H
#define CPROF_ATTACH_PERF_PERF_PIECES_H

#include "attach/perf/other_stack.h"
#include "attach/target/target.h"

struct cprof_perf_pieces;

/*
 * Load it for one process, for `rate_hz` samples a second. It calls whom `programs_fd` has (bpf_emit.h), borrowed; -1: nobody. cprof_perf_pieces_filter() is for PERF_EVENT_IOC_SET_BPF and stays ours.
 * Errors: DENIED, UNSUPPORTED (an old kernel, no BTF), NO_MEMORY.
 */
struct cprof_error *cprof_perf_pieces_open(const struct cprof_target *target,
					   const struct cprof_other_switches *switches,
					   double rate_hz, int programs_fd,
					   struct cprof_perf_pieces **ret_pieces);
void cprof_perf_pieces_close(struct cprof_perf_pieces *pieces);

int cprof_perf_pieces_filter(const struct cprof_perf_pieces *pieces);

/* Read what there is: after the ends of the samples' rings were, so that no sample in them is without its piece. */
void cprof_perf_pieces_take(struct cprof_perf_pieces *pieces);

/* What was copied for the sample of that time and stack pointer, as cprof_other_stack_add() wants it; NULL: nothing. Valid until the next take. */
const void *cprof_perf_pieces_find(const struct cprof_perf_pieces *pieces, uint64_t mono_ns,
				   uint64_t sp, size_t *ret_n);

/* Samples up to that time were handed out. */
void cprof_perf_pieces_drop(struct cprof_perf_pieces *pieces, uint64_t mono_ns);

#endif
