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

#include "attach/run/session.h"
#include "attach/threads/thread.h"

struct cprof_thread_resolver;

/*
 * Where `stack`, the result of walking `sample`, ended for want of a frame pointer, try the candidates in
 * sample->stack. On success thread->regs has the frame pointer, fp_searched is set and `stack` is the whole one; else both
 * are as they were. Preferred is a candidate whose return address follows a direct call of the very function in question.
 */
struct cprof_error *cprof_thread_fp_search(struct cprof_thread_resolver *resolver,
					   struct cprof_thread *thread,
					   struct cprof_session_sample *sample,
					   struct cprof_session_stack *stack);

/*
 * What the bytes before a return address say: the length of a call instruction (x86-64) ending there, 0 if it is
 * none. `code` holds the `n` bytes (up to 7) before it. *ret_direct: it is a relative call, by *ret_offset.
 */
unsigned cprof_thread_fp_call_length(const uint8_t *code, unsigned n, bool *ret_direct,
				     int32_t *ret_offset);

#endif
