/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_code.h - what the code of the objects around says about the functions that are to be patched.
 *
 * Owns the objects that have such functions, opened and searched once for one plan, and the rules which ways into a function's
 * first bytes are no harm. The search itself is attach/heap/code's, which reads files only.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_CODE_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_CODE_H

#include "attach/heap/code/code_reach.h"
#include "attach/heap/inject/heap_hook.h"

/* A function's bytes from its beginning that are asked about: more than a jump and what makes room for it can take. */
#define CPROF_HEAP_CODE_BYTES 64u

struct cprof_heap_code;

/*
 * For the hooks from number `from` on that are PLANNED. 3 to 6 ms for a C library, then it costs nothing. Objects that cannot be
 * read are no error here: their functions may not be patched. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_code_new(const struct cprof_heap_hooks *hooks, size_t from,
					struct cprof_heap_code **ret_code);
void cprof_heap_code_free(struct cprof_heap_code *code);

/*
 * The object of `hook`, and the hook's address in it. *ret_why says why it could not be read, borrowed, and then the object is
 * NULL.
 */
struct cprof_code_object *cprof_heap_code_object(const struct cprof_heap_code *code,
						 const struct cprof_heap_hook *hook,
						 uint64_t *ret_addr, const char **ret_why);

/*
 * Do its callers or it itself go by more than the psABI promises? Its object calls or jumps to it directly, so that callers may
 * know which registers it leaves alone; or it looks at rax (variadic), r10 (closures), r11 or the flags as they were left. True as
 * well where that is not known.
 */
bool cprof_heap_code_is_called(const struct cprof_heap_code *code,
			       const struct cprof_heap_hook *hook);

/* As cprof_patch_plan() asks: `ctx` is one of these. */
struct cprof_heap_code_question {
	const struct cprof_heap_code *code;
	const struct cprof_heap_hook *hook;
	char why[320];           /* the answer */
	struct cprof_error *err; /* owned by the asker; NO_MEMORY, and then the answer is no */
};

const char *cprof_heap_code_why_not(void *ctx, uint64_t end);

/* Are `n` bytes at run-time `addr` of the hook's object the same in its file? Then nobody else has changed them. */
bool cprof_heap_code_is_original(const struct cprof_heap_code *code,
				 const struct cprof_heap_hook *hook, uint64_t addr,
				 const uint8_t *bytes, size_t n);

#endif
