/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PER_TARGET 13   /* instructions */
#define INFO_AT    (-8) /* struct bpf_pidns_info on the program's stack */

/* Their other parts (BPF_LD, BPF_IMM; BPF_ADD, BPF_K) are zeros. */
#define LOAD_U64   BPF_DW
#define ADD_NUMBER BPF_ALU64

struct program {
	struct bpf_insn *at;
	size_t n;
};

static void emit(struct program *program, uint8_t code, unsigned dst, unsigned src, int16_t off,
		 int32_t imm)
{
	program->at[program->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 0xfu, .src_reg = src & 0xfu, .off = off, .imm = imm
	};
}

static void emit_u64(struct program *program, unsigned dst, uint64_t value)
{
	emit(program, LOAD_U64, dst, 0, 0, (int32_t)(uint32_t)value);
	emit(program, 0, 0, 0, 0, (int32_t)(uint32_t)(value >> 32));
}

/* The kernel's own dev_t, which the helper compares with: 12 bits major, 20 bits minor. */
static uint64_t kernel_dev(uint64_t dev)
{
	return (uint64_t)major(dev) << 20 | minor(dev);
}

/* Is it this process? Then return 1, else go on behind. */
static void emit_target(struct program *program, const struct cprof_target *target)
{
	emit_u64(program, BPF_REG_1, kernel_dev(target->pidns_dev));
	emit_u64(program, BPF_REG_2, target->pidns_inode);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_10, 0, 0);
	emit(program, ADD_NUMBER, BPF_REG_3, 0, 0, INFO_AT);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, sizeof(struct bpf_pidns_info));
	emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_ns_current_pid_tgid);
	emit(program, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 4, 0); /* another namespace */
	emit(program, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_10,
	     INFO_AT + (int)offsetof(struct bpf_pidns_info, tgid), 0);
	emit(program, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 2, target->ns_pid);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_filter(struct program *program, struct cprof_target *const *targets, size_t n)
{
	/* The verifier wants the buffer written before it is passed on. */
	emit(program, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, INFO_AT, 0);
	for (size_t i = 0; i < n; i++)
		emit_target(program, targets[i]);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

struct cprof_error *cprof_bpf_filter_load(struct cprof_target *const *targets, size_t n,
					  int *ret_fd)
{
	CPROF_AUTO(free) struct bpf_insn *insns = calloc(n * PER_TARGET + 3, sizeof(*insns));
	if (!insns)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		if (!targets[i]->pidns_inode)
			return cprof_error_new(CPROF_ERR_DENIED,
					       "the PID namespace of %d cannot be seen",
					       (int)targets[i]->pid);
	}
	struct program program = { .at = insns };
	emit_filter(&program, targets, n);

	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_PERF_EVENT;
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.insn_cnt = (uint32_t)program.n;
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* the helper is open to all */
	memcpy(attr.prog_name, "cprof_filter", sizeof("cprof_filter"));
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return cprof_error_os(errno, "load a BPF filter");
	*ret_fd = fd; /* the kernel makes every BPF descriptor close-on-exec */
	return NULL;
}
