/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_filter.h"

#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>

#include "attach/perf/bpf_emit.h"
#include "base/cleanup.h"

#define PER_TARGET 18   /* instructions */
#define INFO_AT    (-8) /* struct bpf_pidns_info on the program's stack */

/* Is it this process? Then return 1, else go on behind. */
static void emit_target(struct cprof_bpf_emit *program, const struct cprof_target *target,
			int programs_fd)
{
	const int16_t call = programs_fd >= 0 ? 5 : 0; /* instructions */
	cprof_bpf_emit_u64(program, BPF_REG_1, cprof_bpf_emit_dev(target->pidns_dev));
	cprof_bpf_emit_u64(program, BPF_REG_2, target->pidns_inode);
	cprof_bpf_emit_place(program, BPF_REG_3, INFO_AT);
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0,
		       sizeof(struct bpf_pidns_info));
	cprof_bpf_emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_ns_current_pid_tgid);
	cprof_bpf_emit(program, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 4 + call,
		       0); /* another namespace */
	cprof_bpf_emit(program, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_10,
		       INFO_AT + (int)offsetof(struct bpf_pidns_info, tgid), 0);
	cprof_bpf_emit(program, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 2 + call, target->ns_pid);
	if (call)
		cprof_bpf_emit_tail_call(program, programs_fd, CPROF_BPF_EMIT_CONTEXT);
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
	cprof_bpf_emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_filter(struct cprof_bpf_emit *program, struct cprof_target *const *targets,
			size_t n, int programs_fd)
{
	/* The verifier wants the buffer written before it is passed on. */
	cprof_bpf_emit(program, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, INFO_AT, 0);
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0);
	for (size_t i = 0; i < n; i++)
		emit_target(program, targets[i], programs_fd);
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	cprof_bpf_emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

struct cprof_error *cprof_bpf_filter_load(struct cprof_target *const *targets, size_t n,
					  int programs_fd, int *ret_fd)
{
	CPROF_AUTO(free) struct bpf_insn *insns = calloc(n * PER_TARGET + 4, sizeof(*insns));
	if (!insns)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		if (!targets[i]->pidns_inode)
			return cprof_error_new(CPROF_ERR_DENIED,
					       "the PID namespace of %d cannot be seen",
					       (int)targets[i]->pid);
	}
	struct cprof_bpf_emit program = { .at = insns };
	emit_filter(&program, targets, n, programs_fd);
	return cprof_bpf_emit_load(&program, "cprof_filter", ret_fd);
}
