/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_members.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PER_NAMESPACE 20    /* instructions */
#define INFO_AT       (-8)  /* struct bpf_pidns_info on the program's stack, and */
#define KEY_AT        (-16) /* struct key */

/* Their other parts (BPF_LD, BPF_IMM; BPF_ADD, BPF_K) are zeros. */
#define LOAD_U64   BPF_DW
#define ADD_NUMBER BPF_ALU64

struct key {
	uint32_t namespace, tgid;
};

struct program {
	struct bpf_insn *at;
	size_t n;
};

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* ---- programs ---- */

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

static void emit_map(struct program *program, unsigned dst, int fd)
{
	emit(program, LOAD_U64, dst, BPF_PSEUDO_MAP_FD, 0, fd);
	emit(program, 0, 0, 0, 0, 0);
}

static void emit_place(struct program *program, unsigned dst, int place)
{
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, dst, BPF_REG_10, 0, 0);
	emit(program, ADD_NUMBER, dst, 0, 0, place);
}

static void emit_return(struct program *program, int32_t value)
{
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The kernel's own dev_t, which the helper compares with: 12 bits major, 20 bits minor. */
static uint64_t kernel_dev(uint64_t dev)
{
	return (uint64_t)major(dev) << 20 | minor(dev);
}

/* Is it in this namespace? Then say whether its id there is in the map, else go on behind. */
static void emit_namespace(struct program *program,
			   const struct cprof_bpf_members_namespace *namespace, uint32_t number,
			   int map_fd)
{
	emit_u64(program, BPF_REG_1, kernel_dev(namespace->dev));
	emit_u64(program, BPF_REG_2, namespace->inode);
	emit_place(program, BPF_REG_3, INFO_AT);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, sizeof(struct bpf_pidns_info));
	emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_ns_current_pid_tgid);
	emit(program, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 11, 0); /* another namespace */
	emit(program, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_10,
	     INFO_AT + (int)offsetof(struct bpf_pidns_info, tgid), 0);
	emit(program, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_1,
	     KEY_AT + (int)offsetof(struct key, tgid), 0);
	emit(program, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0,
	     KEY_AT + (int)offsetof(struct key, namespace), (int32_t)number);
	emit_map(program, BPF_REG_1, map_fd);
	emit_place(program, BPF_REG_2, KEY_AT);
	emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 1, 0);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static struct cprof_error *load(const struct program *program, int *ret_fd)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_PERF_EVENT;
	attr.insns = (uint64_t)(uintptr_t)program->at;
	attr.insn_cnt = (uint32_t)program->n;
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* the helpers are open to all */
	memcpy(attr.prog_name, "cprof_members", sizeof("cprof_members"));
	const int fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return cprof_error_os(errno, "load a BPF filter");
	*ret_fd = fd; /* the kernel makes every BPF descriptor close-on-exec */
	return NULL;
}

/* Whom the stub calls from now on. */
static struct cprof_error *set_program(const struct cprof_bpf_members *members)
{
	CPROF_AUTO(free)
	struct bpf_insn *insns = calloc(members->n_namespaces * PER_NAMESPACE + 4, sizeof(*insns));
	CPROF_AUTO(close) int fd = -1;
	struct program program = { .at = insns };
	union bpf_attr attr;
	uint32_t first = 0;
	if (!insns)
		return cprof_error_no_memory();
	/* The verifier wants the buffer written before it is passed on. */
	emit(&program, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, INFO_AT, 0);
	for (size_t i = 0; i < members->n_namespaces; i++)
		emit_namespace(&program, &members->namespaces[i], (uint32_t)i, members->map_fd);
	emit_return(&program, 0);
	struct cprof_error *err = load(&program, &fd);
	if (err)
		return err;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)members->programs_fd;
	attr.key = (uint64_t)(uintptr_t)&first;
	attr.value = (uint64_t)(uintptr_t)&fd;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr) == 0 ? NULL
						    : cprof_error_os(errno, "set a BPF filter");
}

static struct cprof_error *load_stub(struct cprof_bpf_members *members)
{
	struct bpf_insn insns[8];
	struct program program = { .at = insns };
	emit_map(&program, BPF_REG_2, members->programs_fd);
	emit(&program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 0);
	emit(&program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
	emit_return(&program, 0); /* nobody is a member */
	return load(&program, &members->filter_fd);
}

/* ---- maps ---- */

static struct cprof_error *make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t n,
				    int *ret_fd)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = n;
	memcpy(attr.map_name, "cprof_members", sizeof("cprof_members"));
	const int fd = bpf(BPF_MAP_CREATE, &attr);
	if (fd < 0)
		return cprof_error_os(errno, "make a BPF map");
	*ret_fd = fd;
	return NULL;
}

struct cprof_error *cprof_bpf_members_open(struct cprof_bpf_members *members)
{
	*members = (struct cprof_bpf_members){ .map_fd = -1, .programs_fd = -1, .filter_fd = -1 };
	members->namespaces = calloc(CPROF_BPF_MEMBERS_NAMESPACES, sizeof(*members->namespaces));
	if (!members->namespaces)
		return cprof_error_no_memory();
	struct cprof_error *err = make_map(BPF_MAP_TYPE_HASH, sizeof(struct key), sizeof(uint32_t),
					   CPROF_BPF_MEMBERS_MAX, &members->map_fd);
	if (!err)
		err = make_map(BPF_MAP_TYPE_PROG_ARRAY, sizeof(uint32_t), sizeof(uint32_t), 1,
			       &members->programs_fd);
	return err ? err : load_stub(members);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void cprof_bpf_members_close(struct cprof_bpf_members *members)
{
	close_one(&members->map_fd);
	close_one(&members->programs_fd);
	close_one(&members->filter_fd);
	free(members->namespaces);
	members->namespaces = NULL;
}

/* ---- members ---- */

static bool find_namespace(const struct cprof_bpf_members *members,
			   const struct cprof_target *target, uint32_t *ret_number)
{
	for (size_t i = 0; i < members->n_namespaces; i++) {
		if (members->namespaces[i].dev != target->pidns_dev ||
		    members->namespaces[i].inode != target->pidns_inode)
			continue;
		*ret_number = (uint32_t)i;
		return true;
	}
	return false;
}

static struct cprof_error *add_namespace(struct cprof_bpf_members *members,
					 const struct cprof_target *target, uint32_t *ret_number)
{
	if (!target->pidns_inode)
		return cprof_error_new(CPROF_ERR_DENIED, "the PID namespace of %d cannot be seen",
				       (int)target->pid);
	if (members->n_namespaces == CPROF_BPF_MEMBERS_NAMESPACES)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "processes of more than %d PID namespaces",
				       CPROF_BPF_MEMBERS_NAMESPACES);
	*ret_number = (uint32_t)members->n_namespaces;
	members->namespaces[members->n_namespaces++] =
		(struct cprof_bpf_members_namespace){ target->pidns_dev, target->pidns_inode };
	struct cprof_error *err = set_program(members);
	members->n_namespaces -= err != NULL;
	return err;
}

static int change(const struct cprof_bpf_members *members, int command, uint32_t number,
		  pid_t ns_pid)
{
	const struct key key = { number, (uint32_t)ns_pid };
	const uint32_t one = 1;
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)members->map_fd;
	attr.key = (uint64_t)(uintptr_t)&key;
	if (command == BPF_MAP_UPDATE_ELEM)
		attr.value = (uint64_t)(uintptr_t)&one;
	return bpf(command, &attr) == 0 ? 0 : errno;
}

struct cprof_error *cprof_bpf_members_add(struct cprof_bpf_members *members,
					  const struct cprof_target *target)
{
	uint32_t number;
	struct cprof_error *err = NULL;
	if (!find_namespace(members, target, &number))
		err = add_namespace(members, target, &number);
	if (err)
		return err;
	const int why = change(members, BPF_MAP_UPDATE_ELEM, number, target->ns_pid);
	return why ? cprof_error_os(why, "add process %d to a BPF map", (int)target->pid) : NULL;
}

void cprof_bpf_members_remove(struct cprof_bpf_members *members, const struct cprof_target *target)
{
	uint32_t number;
	if (find_namespace(members, target, &number))
		change(members, BPF_MAP_DELETE_ELEM, number, target->ns_pid);
}
