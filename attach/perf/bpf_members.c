/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_members.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/perf/bpf_emit.h"
#include "base/cleanup.h"

#define PER_NAMESPACE 25    /* instructions */
#define INFO_AT       (-8)  /* struct bpf_pidns_info on the program's stack, and */
#define KEY_AT        (-16) /* struct key */

struct key {
	uint32_t namespace, tgid;
};

/* ---- programs ---- */

/* Is it in this namespace? Then say whether its id there is in the map, else go on behind. */
static void emit_namespace(struct cprof_bpf_emit *program,
			   const struct cprof_bpf_members_namespace *namespace, uint32_t number,
			   int map_fd, int programs_fd)
{
	cprof_bpf_emit_u64(program, BPF_REG_1, cprof_bpf_emit_dev(namespace->dev));
	cprof_bpf_emit_u64(program, BPF_REG_2, namespace->inode);
	cprof_bpf_emit_place(program, BPF_REG_3, INFO_AT);
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0,
		       sizeof(struct bpf_pidns_info));
	cprof_bpf_emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_ns_current_pid_tgid);
	cprof_bpf_emit(program, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 16,
		       0); /* another namespace */
	cprof_bpf_emit(program, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_10,
		       INFO_AT + (int)offsetof(struct bpf_pidns_info, tgid), 0);
	cprof_bpf_emit(program, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_1,
		       KEY_AT + (int)offsetof(struct key, tgid), 0);
	cprof_bpf_emit(program, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0,
		       KEY_AT + (int)offsetof(struct key, namespace), (int32_t)number);
	cprof_bpf_emit_map(program, BPF_REG_1, map_fd);
	cprof_bpf_emit_place(program, BPF_REG_2, KEY_AT);
	cprof_bpf_emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	cprof_bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 6, 0);
	cprof_bpf_emit_tail_call(program, programs_fd, CPROF_BPF_EMIT_CONTEXT);
	cprof_bpf_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
	cprof_bpf_emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Whom the stub calls from now on. */
static struct cprof_error *set_program(const struct cprof_bpf_members *members)
{
	CPROF_AUTO(free)
	struct bpf_insn *insns = calloc(members->n_namespaces * PER_NAMESPACE + 5, sizeof(*insns));
	CPROF_AUTO(close) int fd = -1;
	struct cprof_bpf_emit program = { .at = insns };
	if (!insns)
		return cprof_error_no_memory();
	/* The verifier wants the buffer written before it is passed on. */
	cprof_bpf_emit(&program, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, INFO_AT, 0);
	cprof_bpf_emit(&program, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0);
	for (size_t i = 0; i < members->n_namespaces; i++)
		emit_namespace(&program, &members->namespaces[i], (uint32_t)i, members->map_fd,
			       members->programs_fd);
	cprof_bpf_emit_return(&program, 0);
	struct cprof_error *err = cprof_bpf_emit_load(&program, "cprof_members", &fd);
	if (err)
		return err;
	return cprof_bpf_emit_set_slot(members->programs_fd, 0, fd);
}

static struct cprof_error *load_stub(struct cprof_bpf_members *members)
{
	struct bpf_insn insns[8];
	struct cprof_bpf_emit program = { .at = insns };
	cprof_bpf_emit_map(&program, BPF_REG_2, members->programs_fd);
	cprof_bpf_emit(&program, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 0);
	cprof_bpf_emit(&program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
	cprof_bpf_emit_return(&program, 0); /* nobody is a member */
	return cprof_bpf_emit_load(&program, "cprof_members", &members->filter_fd);
}

/* ---- maps ---- */

struct cprof_error *cprof_bpf_members_open(struct cprof_bpf_members *members)
{
	*members = (struct cprof_bpf_members){ .map_fd = -1, .programs_fd = -1, .filter_fd = -1 };
	members->namespaces = calloc(CPROF_BPF_MEMBERS_NAMESPACES, sizeof(*members->namespaces));
	if (!members->namespaces)
		return cprof_error_no_memory();
	struct cprof_error *err =
		cprof_bpf_emit_make_map(BPF_MAP_TYPE_HASH, sizeof(struct key), sizeof(uint32_t),
					CPROF_BPF_MEMBERS_MAX, &members->map_fd);
	if (!err)
		err = cprof_bpf_emit_make_map(BPF_MAP_TYPE_PROG_ARRAY, sizeof(uint32_t),
					      sizeof(uint32_t), CPROF_BPF_EMIT_SLOTS,
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
	return cprof_bpf_emit_call(command, &attr) == 0 ? 0 : errno;
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
