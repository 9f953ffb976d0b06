/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/arch.h"

#include <elf.h>

/*
 * Intel SDM "CALL": E8 rel32, or FF /2 with any addressing form. Prefixes stand in front and do not matter
 * here. Data that looks like a call passes too; a return address that follows none does not.
 */
static bool ends_in_call(const uint8_t *bytes, size_t n)
{
	if (n >= 5 && bytes[n - 5] == 0xe8)
		return true;
	for (size_t len = 2; len <= 7 && len <= n; len++) {
		const uint8_t *op = bytes + n - len;
		if (op[0] != 0xff || (op[1] >> 3 & 7) != 2)
			continue;
		unsigned mod = op[1] >> 6, rm = op[1] & 7;
		bool sib = mod != 3 && rm == 4;
		size_t want = sib ? 3 : 2;
		if (mod == 1)
			want += 1;
		else if (mod == 2 ||
			 (mod == 0 && (rm == 5 || (sib && len > 2 && (op[2] & 7) == 5))))
			want += 4;
		if (want == len)
			return true;
	}
	return false;
}

/*
 * DWARF numbers: rax rdx rcx rbx rsi rdi rbp rsp r8..r15, 16 the return address column.
 * perf bits: AX BX CX DX SI DI BP SP IP FLAGS CS SS DS ES FS GS R8..R15. DS and ES cannot be asked for
 * in 64-bit mode (perf_reg_validate), so the mask leaves out all segments and the flags.
 */
const struct cprof_arch cprof_arch_x86_64 = {
	.name = "x86_64",
	.elf_machine = EM_X86_64,
	.n_regs = 17,
	.sp = 7,
	.fp = 6,
	.ra = 16,
	.ra_in_register = false,
	.red_zone_bytes = 128,
	.syscall_pc_reg = 2, /* Intel SDM "SYSCALL": rcx */
	.callee_saved = 1u << 3 | 1u << 6 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15,
	.code_addr_mask = UINT64_MAX,
	.ends_in_call = ends_in_call,
	/* struct rt_sigframe behind its first word: ucontext with gregs at 40, in the order of struct sigcontext. */
	.sigframe = {
		.sigreturns = {
			{ 9, { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 } }, /* mov $15,%rax; syscall */
			{ 7, { 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05 } },		/* mov $15,%eax; syscall */
		},
		.reg_offset = { 144, 136, 152, 128, 112, 104, 120, 160, 40, 48, 56, 64, 72, 80, 88, 96 },
		.pc_offset = 168,
	},
	.perf_regs_mask = 0xff01ff,
	.n_perf_regs = 17,
	.perf_to_dwarf = { 0, 3, 2, 1, 4, 5, 6, 7, CPROF_ARCH_PC, 8, 9, 10, 11, 12, 13, 14, 15 },
};
