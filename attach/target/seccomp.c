/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/seccomp.h"

#include <errno.h>
#include <stdbool.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "base/cleanup.h"

#define GET_FILTER                                                                                 \
	0x420c /* PTRACE_SECCOMP_GET_FILTER, which glibc's header has and musl's has not */
#define FILTERS_MAX 1024u

struct machine {
	uint32_t a, x, memory[BPF_MEMWORDS];
	const uint32_t *data; /* struct seccomp_data as words */
};

static uint32_t alu(uint32_t op, uint32_t a, uint32_t b, bool *ret_bad)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		*ret_bad |= b == 0;
		return b ? a / b : 0;
	case BPF_OR:
		return a | b;
	case BPF_AND:
		return a & b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	case BPF_RSH:
		return b < 32 ? a >> b : 0;
	case BPF_NEG:
		return 0u - a;
	default:
		*ret_bad = true;
		return 0;
	}
}

static bool jumps(uint32_t op, uint32_t a, uint32_t b, bool *ret_bad)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JSET:
		return (a & b) != 0;
	default:
		*ret_bad = true;
		return false;
	}
}

/* BPF_LD and BPF_LDX: what is loaded. */
static uint32_t load(const struct machine *m, const struct sock_filter *insn, bool *ret_bad)
{
	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		return insn->k;
	case BPF_LEN:
		return sizeof(struct seccomp_data);
	case BPF_MEM:
		*ret_bad |= insn->k >= BPF_MEMWORDS;
		return insn->k < BPF_MEMWORDS ? m->memory[insn->k] : 0;
	case BPF_ABS:
		*ret_bad |= insn->k % 4 || insn->k >= sizeof(struct seccomp_data);
		return *ret_bad ? 0 : m->data[insn->k / 4];
	default:
		*ret_bad = true;
		return 0;
	}
}

uint32_t cprof_seccomp_run(const struct sock_filter *program, size_t n,
			   const struct cprof_seccomp_call *call, uint64_t ip)
{
	struct seccomp_data data = { .nr = (int)call->number,
				     .arch = AUDIT_ARCH_X86_64,
				     .instruction_pointer = ip };
	uint32_t words[sizeof(data) / 4];
	struct machine m = { .data = words };
	memcpy(data.args, call->args, sizeof(data.args));
	memcpy(words, &data, sizeof(words));

	/* Jumps go forwards only, so the program ends. */
	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *insn = &program[pc];
		uint32_t operand = BPF_SRC(insn->code) == BPF_X ? m.x : insn->k;
		bool bad = false;
		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			m.a = load(&m, insn, &bad);
			break;
		case BPF_LDX:
			m.x = load(&m, insn, &bad);
			break;
		case BPF_ST:
		case BPF_STX:
			bad = insn->k >= BPF_MEMWORDS;
			if (!bad)
				m.memory[insn->k] = BPF_CLASS(insn->code) == BPF_ST ? m.a : m.x;
			break;
		case BPF_ALU:
			m.a = alu(BPF_OP(insn->code), m.a, operand, &bad);
			break;
		case BPF_JMP:
			if (BPF_OP(insn->code) == BPF_JA)
				pc += insn->k;
			else
				pc += jumps(BPF_OP(insn->code), m.a, operand, &bad) ? insn->jt
										    : insn->jf;
			break;
		case BPF_RET:
			return BPF_RVAL(insn->code) == BPF_A ? m.a : insn->k;
		default: /* BPF_MISC */
			if (BPF_MISCOP(insn->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
		}
		if (bad)
			break;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

static bool is_harmless(uint32_t verdict)
{
	switch (verdict & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ERRNO:
		return true;
	default:
		return false;
	}
}

static long get_filter(pid_t tid, uintptr_t index, struct sock_filter *into)
{
	return ptrace((enum __ptrace_request)GET_FILTER, tid, (void *)index, into);
}

struct cprof_error *cprof_seccomp_check(pid_t tid, const struct cprof_seccomp_call *calls,
					size_t n_calls, uint64_t ip)
{
	for (uintptr_t index = 0; index < FILTERS_MAX; index++) {
		long n = get_filter(tid, index, NULL);
		if (n < 0 && errno == ENOENT)
			return NULL;
		CPROF_AUTO(free) struct sock_filter *program = NULL;
		if (n > 0)
			program = calloc((size_t)n, sizeof(*program));
		if (n <= 0 || !program || get_filter(tid, index, program) != n)
			return cprof_error_os(errno, "read the seccomp filters of thread %d",
					      (int)tid);
		for (size_t i = 0; i < n_calls; i++) {
			if (!is_harmless(cprof_seccomp_run(program, (size_t)n, &calls[i], ip)))
				return cprof_error_new(
					CPROF_ERR_UNSUPPORTED,
					"the seccomp filter of thread %d does not stand "
					"%s, which it would have to call for us",
					(int)tid, calls[i].name);
		}
	}
	return cprof_error_new(CPROF_ERR_UNSUPPORTED, "thread %d has too many seccomp filters",
			       (int)tid);
}
