/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/core_snapshot.h - the threads of a core file as a snapshot, as if they had been captured alive.
 *
 * Registers and stack bytes only; stacks, names and waits are thread_resolve.h's, as of a live process.
 */
#ifndef CPROF_ATTACH_THREADS_CORE_SNAPSHOT_H
#define CPROF_ATTACH_THREADS_CORE_SNAPSHOT_H

#include "attach/threads/core_file.h"
#include "attach/threads/thread.h"
#include "cprof/error.h"

/* All threads, each with up to `stack_bytes` of its stack as far as it was dumped. Errors: NO_MEMORY. */
struct cprof_error *cprof_core_snapshot_make(const struct cprof_core_file *core, size_t stack_bytes,
					     struct cprof_thread_snapshot *ret_snapshot);

#endif
