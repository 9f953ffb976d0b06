/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "tests/unit/test.h"

#define NR         0
#define RET(value) BPF_STMT(BPF_RET | BPF_K, value)

static uint32_t run(const struct sock_filter *program, size_t n, int64_t number, uint64_t arg2)
{
	const struct cprof_seccomp_call call = { "x", number, { 0, 0, arg2 } };
	return cprof_seccomp_run(program, n, &call, 0x1234);
}

TEST(seccomp_runs_a_filter_that_looks_at_number_architecture_and_arguments)
{
	const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		RET(SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16 + 2 * 8), /* prot */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1),
		RET(SECCOMP_RET_TRAP),
		RET(SECCOMP_RET_ALLOW),
	};
	size_t n = sizeof(program) / sizeof(program[0]);
	CHECK_UINT(run(program, n, SYS_mmap, 3), SECCOMP_RET_ALLOW);
	CHECK_UINT(run(program, n, SYS_mmap, 5), SECCOMP_RET_TRAP);
	CHECK_UINT(run(program, n, SYS_read, 5), SECCOMP_RET_ALLOW);
}

TEST(seccomp_computes_as_the_kernel_does)
{
	const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_IMM, 40),         BPF_STMT(BPF_ST, 3),
		BPF_STMT(BPF_LDX | BPF_MEM, 3),         BPF_STMT(BPF_LD | BPF_IMM, 2),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 4),
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_IMM, 0),          BPF_STMT(BPF_MISC | BPF_TXA, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	CHECK_UINT(run(program, sizeof(program) / sizeof(program[0]), 1, 0), (40 + 2) * 16 / 3);
}

TEST(seccomp_takes_a_broken_filter_for_a_deadly_one)
{
	/* clang-format off */
	static const struct { const char *what; struct sock_filter program[3]; size_t n; } rows[] = {
		{ "empty", { { 0 } }, 0 },
		{ "no return", { BPF_STMT(BPF_LD | BPF_IMM, 1) }, 1 },
		{ "jumps out", { BPF_STMT(BPF_JMP | BPF_JA, 0x7fffffff), RET(SECCOMP_RET_ALLOW) }, 2 },
		{ "reads past the data", { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(SECCOMP_RET_ALLOW) }, 2 },
		{ "reads between words", { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(SECCOMP_RET_ALLOW) }, 2 },
		{ "divides by zero", { BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(SECCOMP_RET_ALLOW) }, 2 },
		{ "writes past the memory", { BPF_STMT(BPF_ST, 16), RET(SECCOMP_RET_ALLOW) }, 2 },
		{ "unknown operation", { BPF_STMT(BPF_ALU | 0xf0, 0), RET(SECCOMP_RET_ALLOW) }, 2 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (run(rows[i].program, rows[i].n, 1, 0) != SECCOMP_RET_KILL_PROCESS)
			TEST_FAIL("%s", rows[i].what);
	}
}
