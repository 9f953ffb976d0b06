/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_emit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Their other parts (BPF_LD, BPF_IMM; BPF_ADD, BPF_K) are zeros. */
#define LOAD_U64   BPF_DW
#define ADD_NUMBER BPF_ALU64

int cprof_bpf_emit_call(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

void cprof_bpf_emit(struct cprof_bpf_emit *program, uint8_t code, unsigned dst, unsigned src,
		    int16_t off, int32_t imm)
{
	program->at[program->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 0xfu, .src_reg = src & 0xfu, .off = off, .imm = imm
	};
}

void cprof_bpf_emit_u64(struct cprof_bpf_emit *program, unsigned dst, uint64_t value)
{
	cprof_bpf_emit(program, LOAD_U64, dst, 0, 0, (int32_t)(uint32_t)value);
	cprof_bpf_emit(program, 0, 0, 0, 0, (int32_t)(uint32_t)(value >> 32));
}

void cprof_bpf_emit_map(struct cprof_bpf_emit *program, unsigned dst, int fd)
{
	cprof_bpf_emit(program, LOAD_U64, dst, BPF_PSEUDO_MAP_FD, 0, fd);
	cprof_bpf_emit(program, 0, 0, 0, 0, 0);
}

void cprof_bpf_emit_place(struct cprof_bpf_emit *program, unsigned dst, int place)
{
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_X, dst, BPF_REG_10, 0, 0);
	cprof_bpf_emit(program, ADD_NUMBER, dst, 0, 0, place);
}

void cprof_bpf_emit_return(struct cprof_bpf_emit *program, int32_t value)
{
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value);
	cprof_bpf_emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

void cprof_bpf_emit_tail_call(struct cprof_bpf_emit *program, int programs_fd, int32_t slot)
{
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0);
	cprof_bpf_emit_map(program, BPF_REG_2, programs_fd);
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, slot);
	cprof_bpf_emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
}

uint64_t cprof_bpf_emit_dev(uint64_t dev)
{
	return (uint64_t)major(dev) << 20 | minor(dev);
}

struct cprof_error *cprof_bpf_emit_load(const struct cprof_bpf_emit *program, const char *name,
					int *ret_fd)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_PERF_EVENT;
	attr.insns = (uint64_t)(uintptr_t)program->at;
	attr.insn_cnt = (uint32_t)program->n;
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* the helpers are open to all */
	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", name);
	const int fd = cprof_bpf_emit_call(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return cprof_error_os(errno, "load a BPF filter");
	*ret_fd = fd; /* the kernel makes every BPF descriptor close-on-exec */
	return NULL;
}

struct cprof_error *cprof_bpf_emit_make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t n,
					    int *ret_fd)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = n;
	memcpy(attr.map_name, "cprof_members", sizeof("cprof_members"));
	const int fd = cprof_bpf_emit_call(BPF_MAP_CREATE, &attr);
	if (fd < 0)
		return cprof_error_os(errno, "make a BPF map");
	*ret_fd = fd;
	return NULL;
}

struct cprof_error *cprof_bpf_emit_set_slot(int programs_fd, uint32_t slot, int program_fd)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)programs_fd;
	attr.key = (uint64_t)(uintptr_t)&slot;
	attr.value = (uint64_t)(uintptr_t)&program_fd;
	return cprof_bpf_emit_call(BPF_MAP_UPDATE_ELEM, &attr) == 0
		       ? NULL
		       : cprof_error_os(errno, "set a BPF filter");
}
