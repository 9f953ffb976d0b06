/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_text.h - a resolved snapshot as text: what Go's goroutine?debug=2 is for goroutines.
 *
 *     thread 24101 "worker-0" [mutex 0x5586e1fba0c0 held by 24103 "worker-2", 5m12s, S, cpu 1, 0.52s CPU]:
 *     pthread_mutex_lock(...)
 *     	/usr/lib/x86_64-linux-gnu/libc.so.6 +0x11b
 *     transfer(...)
 *     	bank.c:49 +0x2b
 *
 * A file:line or, without debug information, the module stands behind a tab; +0x2b is the distance from the start of the
 * function. Inlined functions have none. With `go_words` the header is one that readers of Go's dumps
 * understand: "goroutine 24101 [mutex, 5 minutes]:".
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_TEXT_H
#define CPROF_ATTACH_THREADS_THREAD_TEXT_H

#include <stdbool.h>

#include "attach/threads/thread.h"
#include "attach/threads/thread_names.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_thread_text_options {
	bool group;    /* identical stacks once, with all the threads that have it */
	bool go_words; /* headers as of goroutines */
};

/* All threads, then the deadlocks. `out` is appended to. Errors: NO_MEMORY. */
struct cprof_error *cprof_thread_text_write(const struct cprof_thread_snapshot *snapshot,
					    struct cprof_thread_names *names,
					    const struct cprof_thread_text_options *options,
					    struct cprof_buffer *out);

/* One thread of it, with its stack. */
struct cprof_error *cprof_thread_text_thread(const struct cprof_thread_snapshot *snapshot,
					     size_t at, struct cprof_thread_names *names,
					     struct cprof_buffer *out);

/* The deadlocks alone, a paragraph each without stacks: for people, and the profile's comments. */
void cprof_thread_text_deadlocks(const struct cprof_thread_snapshot *snapshot,
				 struct cprof_buffer *out);

#endif
