/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_fp.h - find the frame pointer that /proc does not tell.
 *
 * /proc/PID/task/TID/syscall gives sp and pc only. Most frames are found from sp; but a function that keeps a frame
 * pointer (-O0, alloca, -fno-omit-frame-pointer) is found through it. Nobody below such a function has changed
 * the register, or its unwind information would have told where it was saved: so the value the register has is the
 * place where that function put its caller's, and beside it is the return address. The words of the stack that look
 * like that are few; the right one is the first from which the walk reaches the root.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_FP_H
#define CPROF_ATTACH_THREADS_THREAD_FP_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/run/session.h"
#include "attach/threads/thread_names.h"
#include "cprof/memory.h"

/* What the search asks; borrowed, all of it. */
struct cprof_thread_fp {
	struct cprof_session *session;     /* for walks */
	struct cprof_thread_names *names;  /* for where functions begin */
	const struct cprof_memory *memory; /* of the process or the core file: for its code */
};

/*
 * Where `stack`, the result of walking `sample`, ended for want of a frame pointer, try the candidates in
 * sample->stack. Then `stack` is the whole one if one of them is right, else what it was. Preferred is a candidate whose
 * return address follows a direct call of the very function in question. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_thread_fp_search(const struct cprof_thread_fp *fp,
					   const struct cprof_session_sample *sample,
					   struct cprof_session_stack *stack);

/*
 * What the bytes before a return address say: the length of a call instruction (x86-64) ending there, 0 if it is
 * none. `code` holds the `n` bytes (up to 7) before it. *ret_direct: it is a relative call, by *ret_offset.
 */
unsigned cprof_thread_fp_call_length(const uint8_t *code, unsigned n, bool *ret_direct,
				     int32_t *ret_offset);

#endif
