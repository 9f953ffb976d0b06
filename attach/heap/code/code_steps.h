/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_steps.h - instructions of an object one by one, and whether addresses are beginnings of instructions.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_STEPS_H
#define CPROF_ATTACH_HEAP_CODE_CODE_STEPS_H

#include <Zydis/Zydis.h>

#include "attach/heap/code/code_object.h"
#include "attach/heap/code/code_table.h"

/* The instruction at `addr`; false where there is none. */
bool cprof_code_steps_decode(const struct cprof_code_object *object, const ZydisDecoder *decoder,
			     uint64_t addr, struct cprof_code_insn *ret_insn);

/*
 * Does the function at `addr` never come back? Only what needs no more than one look is seen: it has no return, and no jump that
 * leads out of it.
 */
bool cprof_code_steps_end(struct cprof_code_object *object, const ZydisDecoder *decoder,
			  uint64_t addr);

/*
 * Is what stands at `at`, in the middle of code, the distance of a branch or of a memory operand, or if `number` an immediate? False if instructions
 * decoded from the beginning of the function around say that it is a part of something else.
 */
bool cprof_code_steps_confirm(struct cprof_code_object *object, uint64_t at, bool number);

/* Does an instruction begin at `at`? The same way; true where nothing tells. */
bool cprof_code_steps_begins(struct cprof_code_object *object, uint64_t at);

/*
 * Are the `n` sorted addresses beginnings of instructions that do not overlap, and if something describes the function around, those that
 * are met when it is decoded from its beginning? NULL: yes;
 * else why not, a constant, and *ret_bad is the first of them; *ret_overlaps is true if something in the middle of an instruction
 * is jumped to. A jump over a lock prefix is common and does not count.
 */
const char *cprof_code_steps_check(struct cprof_code_object *object, const uint64_t *addrs,
				   size_t n, uint64_t *ret_bad, bool *ret_overlaps);

#endif
