/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe_program.h - the BPF program of the heap mode's uprobes (heap.bpf.c): loaded, told, asked.
 *
 * Owns the program, its maps and the ring that brings its samples. Where it is attached is heap_uprobe.h's.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_PROGRAM_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_PROGRAM_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/heap_sample.h"
#include "attach/heap/alloc/heap_sizes.h"
#include "attach/heap/uprobe/heap_bpf.h"
#include "attach/heap/uprobe/heap_uprobe_link.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct heap_bpf;

struct cprof_heap_uprobe_program {
	struct heap_bpf *skel;    /* owned; NULL: not loaded */
	struct ring_buffer *ring; /* owned */
	uint64_t period;
	struct cprof_heap_sizes sizes; /* of the calls that are counted; as it is loaded */

	/* What it is told; kept here because another way of attaching means loading it anew. */
	struct cprof_heap_bpf_hook hooks[CPROF_HEAP_BPF_HOOKS];
	struct cprof_heap_bpf_site sites[CPROF_HEAP_BPF_SITES];
	struct cprof_heap_bpf_range ranges[CPROF_HEAP_BPF_RANGES];

	/* During a poll. */
	cprof_heap_sample_fn *fn;
	void *ctx;
	struct cprof_error *err; /* owned */
	size_t n_samples;
};

/*
 * Load it for being attached in that way, with program->period and ->sizes, and in the place of one that was loaded for another. It does
 * not count until it is enabled. Errors: DENIED (the hint names the capabilities), UNSUPPORTED, OS.
 */
struct cprof_error *cprof_heap_uprobe_program_open(struct cprof_heap_uprobe_program *program,
						   const struct cprof_heap_uprobe_way *way);
void cprof_heap_uprobe_program_close(struct cprof_heap_uprobe_program *program);

/* What the kernel says if we may have no uprobes: DENIED with a hint; other errors of it are UNSUPPORTED. Takes `err`. */
struct cprof_error *cprof_heap_uprobe_program_not_permitted(struct cprof_error *err);

/* Its descriptor, for attaching. */
int cprof_heap_uprobe_program_fd(const struct cprof_heap_uprobe_program *program);

/* program->hooks and ->ranges have changed. */
void cprof_heap_uprobe_program_tell(struct cprof_heap_uprobe_program *program);

/* These as cprof_heap_uprobe_*(). */
void cprof_heap_uprobe_program_enable(struct cprof_heap_uprobe_program *program, bool on);
void cprof_heap_uprobe_program_set_period(struct cprof_heap_uprobe_program *program,
					  uint64_t period);
struct cprof_error *cprof_heap_uprobe_program_poll(struct cprof_heap_uprobe_program *program,
						   cprof_heap_sample_fn *fn, void *ctx,
						   size_t *ret_samples);
struct cprof_error *cprof_heap_uprobe_program_live(const struct cprof_heap_uprobe_program *program,
						   struct cprof_map64 *ids);
/* Sampled calls that have begun and of which neither end nor loss is known. */
uint64_t cprof_heap_uprobe_program_open_calls(const struct cprof_heap_uprobe_program *program);
const struct cprof_heap_bpf_counts *
cprof_heap_uprobe_program_counts(const struct cprof_heap_uprobe_program *program);

#endif
