/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_table.h - where a jump through a table leads to: the switch of a C program.
 *
 * Knows the two forms that gcc and clang write: distances of four bytes from the table's beginning, which an instruction
 * before loaded the address of, and addresses of eight bytes at a fixed place. How many there are is told by the comparison
 * before.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_TABLE_H
#define CPROF_ATTACH_HEAP_CODE_CODE_TABLE_H

#include <Zydis/Zydis.h>

#include "attach/heap/code/code_object.h"

#define CPROF_CODE_TABLE_MEMORY 16 /* instructions before the jump that are looked at */

struct cprof_code_insn {
	uint64_t addr;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* The last instructions on the way to the jump; the jump itself is the last of them. */
struct cprof_code_past {
	struct cprof_code_insn last[CPROF_CODE_TABLE_MEMORY];
	size_t n; /* counts on; number i is last[i % CPROF_CODE_TABLE_MEMORY] */
};

struct cprof_code_table {
	uint64_t addr;
	bool absolute; /* addresses of 8 bytes; else distances of 4 from `addr` */
	uint32_t n;    /* so many entries there are, as the comparison says */
};

/* False: the jump is of no such form. */
bool cprof_code_table_find(const struct cprof_code_object *object,
			   const struct cprof_code_past *past, struct cprof_code_table *ret_table);

/* The place that entry `i` leads to; false if it is not in the file or leads to no code. */
bool cprof_code_table_entry(const struct cprof_code_object *object,
			    const struct cprof_code_table *table, uint32_t i, uint64_t *ret_addr);

#endif
