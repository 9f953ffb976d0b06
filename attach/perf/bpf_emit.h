/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/bpf_emit.h - BPF programs of a few instructions, put together by hand: filters of samples.
 *
 * They need no compiler's object, no BTF and no GPL-compatible licence. Sources: include/uapi/linux/bpf.h, bpf-helpers(7).
 */
#ifndef CPROF_ATTACH_PERF_BPF_EMIT_H
#define CPROF_ATTACH_PERF_BPF_EMIT_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

struct cprof_bpf_emit {
	struct bpf_insn *at; /* borrowed; the caller has counted how many there are */
	size_t n;
};

/* In arrays of programs that filters of samples call: who reads contexts (bpf_context.h). */
#define CPROF_BPF_EMIT_CONTEXT 1
#define CPROF_BPF_EMIT_SLOTS   2

void cprof_bpf_emit(struct cprof_bpf_emit *program, uint8_t code, unsigned dst, unsigned src,
		    int16_t off, int32_t imm);
void cprof_bpf_emit_u64(struct cprof_bpf_emit *program, unsigned dst, uint64_t value); /* 2 */
void cprof_bpf_emit_map(struct cprof_bpf_emit *program, unsigned dst, int fd);         /* 2 */
void cprof_bpf_emit_place(struct cprof_bpf_emit *program, unsigned dst, int place);    /* 2 */
void cprof_bpf_emit_return(struct cprof_bpf_emit *program, int32_t value);             /* 2 */

/* Go on in the program at `slot`, with the context that register 6 has; if there is none, go on here. 5 instructions. */
void cprof_bpf_emit_tail_call(struct cprof_bpf_emit *program, int programs_fd, int32_t slot);

/* The kernel's own dev_t, which the helper compares with: 12 bits major, 20 bits minor. */
uint64_t cprof_bpf_emit_dev(uint64_t dev);

/* A program for perf events called `name`. Errors: DENIED, OS. */
struct cprof_error *cprof_bpf_emit_load(const struct cprof_bpf_emit *program, const char *name,
					int *ret_fd);

/* bpf(2). */
int cprof_bpf_emit_call(int command, union bpf_attr *attr);

/* A map. `value` bytes. Errors: DENIED, OS. */
struct cprof_error *cprof_bpf_emit_make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t n,
					    int *ret_fd);

/* Who is called at `slot` from now on. Errors: OS. */
struct cprof_error *cprof_bpf_emit_set_slot(int programs_fd, uint32_t slot, int program_fd);

#endif
