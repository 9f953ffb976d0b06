/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_pages.h - the two kinds of mappings that the target gets: made, filled, named and taken away.
 *
 * Owns what of ours is in the target's address space (shim_proto.h says what is in it), the system calls that one of its
 * threads makes for that (remote.h). Where the mappings are to lie and which stubs
 * the code mappings hold is heap_plan.h's. Everything that takes a cprof_ptrace wants the target's threads to stand still.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_PAGES_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/heap_sizes.h"
#include "attach/heap/inject/heap_lasting.h"
#include "attach/heap/inject/heap_size.h"
#include "attach/heap/inject/heap_threads.h"
#include "attach/heap/shim/shim_proto.h"
#include "attach/target/ptrace.h"
#include "attach/target/remote.h"
#include "attach/target/seccomp.h"
#include "attach/target/target.h"
#include "cprof/error.h"
#include "cprof/maps.h"

#define CPROF_HEAP_IMAGES_MAX 4

/* One code mapping; all entry points it serves are within 2 GiB. */
struct cprof_heap_image {
	uint64_t addr;
	struct cprof_shim_image
		*copy; /* owned; as it is (to be) in the target, the code behind it */
	bool mapped;
	bool unsure; /* a call that maps or unmaps it was not seen to its end */
};

struct cprof_heap_pages {
	struct cprof_target *target; /* borrowed */
	struct cprof_maps *maps;     /* borrowed */
	struct cprof_heap_image images[CPROF_HEAP_IMAGES_MAX];
	uint32_t n_images;
	uint64_t image_bytes;        /* of each code mapping */
	uint64_t data, data_bytes;   /* data: address of struct cprof_shim_data */
	struct cprof_heap_size size; /* what of it may be used */
	struct cprof_head_room room; /* of the target, when that was settled */
	bool data_mapped, data_unsure;
	uint64_t nonce;  /* this run's: what the data begins with as long as it is ours */
	uint64_t period; /* mean bytes between two samples, in the beginning */
	struct cprof_heap_sizes sizes; /* of the calls that are counted */
	struct cprof_heap_lasting
		lasting; /* what the shim may read besides the stacks of threads */
};

void cprof_heap_pages_init(struct cprof_heap_pages *pages, struct cprof_target *target,
			   struct cprof_maps *maps);
/* Gives memory back; does not touch the target. */
void cprof_heap_pages_deinit(struct cprof_heap_pages *pages);

#define CPROF_HEAP_PAGES_CALLS_MAX (3 * CPROF_HEAP_IMAGES_MAX + 6)

/*
 * The system calls that a thread is going to make for us, to be asked about beforehand (remote_permit.h): those that map
 * and unmap, or only those that unmap. Returns how many are written to `calls`. Does not look at the target.
 */
size_t cprof_heap_pages_calls(const struct cprof_heap_pages *pages, bool map,
			      struct cprof_seccomp_call calls[CPROF_HEAP_PAGES_CALLS_MAX]);

/*
 * Map the images and the data, and write the images; where memory is limited (pages->size.touch), touch what can be touched
 * of the data. On error what was mapped is marked so (image->mapped, pages->data_mapped), for cprof_heap_pages_unmap(), and what a
 * thread that has not come back may map yet. Errors: OS (EEXIST: the place was taken meanwhile), DENIED (the target's limits).
 */
struct cprof_error *cprof_heap_pages_map(struct cprof_heap_pages *pages, struct cprof_ptrace *trace,
					 struct cprof_remote *remote);

/* What the shim finds in the data: quantiles, a slot for each thread that stands, control. */
struct cprof_error *cprof_heap_pages_fill(const struct cprof_heap_pages *pages,
					  const struct cprof_ptrace *trace);

/* What is known of a thread's stack, into its slot. */
void cprof_heap_pages_enter_stack(struct cprof_shim_slot *slot,
				  const struct cprof_heap_stack *stack);

/* pages->lasting.ranges, which have grown. Does not stop the target. */
void cprof_heap_pages_tell_lasting(const struct cprof_heap_pages *pages);

/* The images once more: stubs in use are as they were, and nothing leads to the new ones yet. */
struct cprof_error *cprof_heap_pages_rewrite(const struct cprof_heap_pages *pages,
					     const struct cprof_ptrace *trace);

/* Nothing leads to the images any more, and another run may install its own beside them. */
struct cprof_error *cprof_heap_pages_retire(const struct cprof_heap_pages *pages,
					    const struct cprof_ptrace *trace);

/* What cannot be unmapped stays marked as mapped. */
void cprof_heap_pages_unmap(struct cprof_heap_pages *pages, struct cprof_remote *remote);

/* Is anything marked as mapped? */
bool cprof_heap_pages_any(const struct cprof_heap_pages *pages);

/* The target runs another program now, or another thing lies where we were. pages->maps must be fresh. */
bool cprof_heap_pages_gone(const struct cprof_heap_pages *pages);

/* What is gone, or where another thing lies, is marked as mapped no more. pages->maps must be fresh. */
void cprof_heap_pages_look(struct cprof_heap_pages *pages);

/* From now on nothing is sampled: what stays of the shim costs a subtraction a call. Does not stop the target. */
void cprof_heap_pages_put_to_sleep(const struct cprof_heap_pages *pages);

/* Bytes at `addr` of the mappings; false if the target or the mapping is gone. Does not stop the target. */
bool cprof_heap_pages_read(const struct cprof_heap_pages *pages, uint64_t addr, void *buf,
			   size_t n);
bool cprof_heap_pages_write(const struct cprof_heap_pages *pages, uint64_t addr, const void *buf,
			    size_t n);

#endif
