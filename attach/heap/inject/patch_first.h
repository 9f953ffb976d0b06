/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/patch_first.h - may a function's first instruction stay where it is, in front of our jump? Pure, no process.
 *
 * Whoever puts a uprobe on a function owns its first byte: the kernel writes a breakpoint over it, executes the
 * instruction as it is in the file, goes on behind it, and in the end puts the file's byte back. A jump behind the
 * first instruction gets along with that. But then the stub runs after that instruction, which is executed once more
 * when the call goes on, so only one may stay that can be told to have done nothing: it writes no memory and at most a
 * register that neither it nor the stub reads, or it moves the stack pointer, which is moved back.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_PATCH_FIRST_H
#define CPROF_ATTACH_HEAP_INJECT_PATCH_FIRST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"

struct cprof_patch_first {
	uint8_t length;
	uint8_t undo_len; /* 0: there is nothing to take back */
	uint8_t undo[CPROF_SHIM_UNDO_BYTES];
};

/*
 * `code` holds the `n` bytes of the function. `arguments`: bit i is set if the stub, or what it calls in the function's
 * place, wants to know argument i (0 is rdi, 5 is r9). False: it cannot stay.
 */
bool cprof_patch_first(const uint8_t *code, size_t n, uint8_t arguments,
		       struct cprof_patch_first *ret_first);

#endif
