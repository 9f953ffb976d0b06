/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_words.h - in words, what a thread is at and for how long. For texts and labels alike.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_WORDS_H
#define CPROF_ATTACH_THREADS_THREAD_WORDS_H

#include <stdint.h>

#include "attach/threads/thread.h"
#include "cprof/buffer.h"

/* What a thread is at: "mutex", "epoll_wait", "running", "stopped", ... Static. */
const char *cprof_thread_words_reason(const struct cprof_thread *thread);

/* The same with the lock, who of `snapshot` holds it, and where in the kernel it sleeps; appended to `out`. */
void cprof_thread_words_put_reason(const struct cprof_thread_snapshot *snapshot,
				   const struct cprof_thread *thread, struct cprof_buffer *out);

/* "250ms", "12s", "5m12s", "3h4m". `buf` has room for 32 bytes; it is returned. */
const char *cprof_thread_words_duration(uint64_t ns, char *buf);

#endif
