/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_layout.h - where in the kernel's task_struct the task iterator finds what it tells of a thread.
 *
 * The kernel's BTF knows, and takes 10 to 20 ms to be read: more than everything else that a snapshot of two hundred threads does. So the
 * few numbers are kept on disk for as long as this kernel runs. Source of truth: /sys/kernel/btf/vmlinux.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_LAYOUT_H
#define CPROF_ATTACH_THREADS_THREAD_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/threads/thread_iter_row.h"
#include "cprof/error.h"

#define CPROF_THREAD_LAYOUT_FIELDS 11

/* A member of task_struct that goes into the row as it is: its size, and where in the row. */
struct cprof_thread_layout_field {
	const char *path, *older_path; /* the kernel renamed some */
	uint8_t size;
	size_t row_offset;
};
extern const struct cprof_thread_layout_field
	cprof_thread_layout_fields[CPROF_THREAD_LAYOUT_FIELDS];

struct cprof_thread_layout {
	uint32_t hook; /* BTF number of bpf_iter_task() */
	uint32_t tgid, comm;
	uint32_t fields[CPROF_THREAD_LAYOUT_FIELDS];
};

/* From the kernel's BTF. Errors: UNSUPPORTED, which says what is missing. */
struct cprof_error *cprof_thread_layout_read(struct cprof_thread_layout *ret_layout);

/* What the cache `dir` has of this boot; false: nothing. */
bool cprof_thread_layout_load(const char *dir, struct cprof_thread_layout *ret_layout);

/* Best effort. */
void cprof_thread_layout_save(const char *dir, const struct cprof_thread_layout *layout);

#endif
