/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_untold.h - waits that may be a deadlock's, for all that can be seen: for locks that do not say who holds them.
 *
 * A deadlock is told where the words of the locks prove it. Rust's and Java's locks, rwlocks that readers hold, spin locks and
 * whatever goroutines wait for have no such words: of threads that have waited long for those it is said that nothing can be said.
 *
 * Owns which locks those are, by kind or by function, and whom to ask for them. Thread texts are thread_text.h's.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_UNTOLD_H
#define CPROF_ATTACH_THREADS_THREAD_UNTOLD_H

#include "attach/threads/thread.h"
#include "attach/threads/thread_names.h"
#include "cprof/buffer.h"

/*
 * A line for each kind of such locks that threads of `snapshot` have waited for, a second at least, appended to `out`; nothing where
 * there are none. Threads of a deadlock that is told, and those whose wait ends by itself, are left out. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_thread_untold_put(const struct cprof_thread_snapshot *snapshot,
					    struct cprof_thread_names *names,
					    struct cprof_buffer *out);

#endif
