/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_reasons.h - why threads were off their CPUs: the labels of waits, each distinct set once, and the frame that
 * stands for it at the inner end of a stack.
 */
#ifndef CPROF_ATTACH_WALL_WALL_REASONS_H
#define CPROF_ATTACH_WALL_WALL_REASONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/waits/wait_profile.h"
#include "cprof/builder.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_wall_reason {
	const char *kind;         /* static: "mutex" */
	const char *call;         /* static: "futex"; NULL: none with a name */
	char lock[32], owner[96]; /* as the block mode's labels; "" */
	int32_t syscall;
	bool idles; /* a thread that does nothing else has no work, and is not held up */
};

struct cprof_wall_reasons {
	struct cprof_wall_reason *reasons; /* owned; [0] is none */
	size_t n, cap;
	struct cprof_map64 by_hash;
};

/* A zeroed struct is empty. */
void cprof_wall_reasons_deinit(struct cprof_wall_reasons *reasons);

/* The number of a wait's reason, from 1 on. Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_reasons_add(struct cprof_wall_reasons *reasons,
					   const struct cprof_wait_shown *wait,
					   uint32_t *ret_number);

/* Its labels, which point into it. As many as CPROF_WAIT_PROFILE_LABELS_MAX at most. */
size_t cprof_wall_reason_labels(const struct cprof_wall_reason *reason, bool place_only,
				struct cprof_builder_label *ret_labels);

/* "[futex]", "[page fault]", "[system call 333]". */
void cprof_wall_reason_frame(int32_t syscall, const char *call, char *ret_text, size_t n);

#endif
