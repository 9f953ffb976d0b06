/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/usdt_args.h - where a USDT probe's arguments are when the thread comes past it: "8@%rdi -4@-20(%rbp) 8@$5". Pure.
 *
 * Compiled for BPF too, which reads them: integers of fixed sizes only. Source of truth: SystemTap's wiki, "UserSpaceProbeImplementation";
 * operands are the assembler's (GNU as, "i386-Memory"). Whoever wrote the file wrote this text: it is not to be trusted.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_USDT_ARGS_H
#define CPROF_ATTACH_HEAP_ALLOC_USDT_ARGS_H

#include <stddef.h>
#include <stdint.h>

/* Registers, by number: rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15. */
#define CPROF_USDT_REGS   16
#define CPROF_USDT_NO_REG 0xff

#define CPROF_USDT_CONSTANT 0 /* `value` */
#define CPROF_USDT_REGISTER 1 /* `base` */
#define CPROF_USDT_MEMORY   2 /* what is at base + index * scale + value */

struct cprof_usdt_operand {
	uint8_t kind;
	uint8_t bytes;     /* 1, 2, 4 or 8 */
	uint8_t is_signed; /* 1: extended by its sign */
	uint8_t base, index, scale;
	uint8_t pad[2];
	int64_t value;
};

#define CPROF_USDT_ARGS_MAX 12

/* Of otel_memory's probes (usdt_find.h). */
#define CPROF_USDT_SITES_MAX 128 /* a probe is wherever its macro was inlined */
#define CPROF_USDT_ARGS      3   /* ptr, size, weighted_bytes */

/*
 * `*ret_n` operands, at most CPROF_USDT_ARGS_MAX. Returns NULL, or why it cannot be told where they are, a static text; then nothing is
 * written.
 */
const char *cprof_usdt_args_parse(const char *text,
				  struct cprof_usdt_operand ret_operands[CPROF_USDT_ARGS_MAX],
				  size_t *ret_n);

#endif
