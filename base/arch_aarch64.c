/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/arch.h"

#include <elf.h>
#include <string.h>

/* Arm ARM "BL", "BLR", "BLRAA, BLRAAZ, BLRAB, BLRABZ". */
static bool ends_in_call(const uint8_t *bytes, size_t n)
{
	uint32_t insn;
	if (n < sizeof(insn))
		return false;
	memcpy(&insn, bytes + n - sizeof(insn), sizeof(insn));
	return (insn & 0xfc000000) == 0x94000000 || (insn & 0xfffffc1f) == 0xd63f0000 ||
	       (insn & 0xfefff800) == 0xd63f0800;
}

/*
 * DWARF numbers: x0..x30, 31 sp; 32 is pc as DWARF for AArch64 numbers it. perf bits: x0..x29, LR, SP, PC.
 * User addresses have at most 52 bits; the bits above bit 55 and the authentication code below it are
 * cleared for code addresses (Linux Documentation/arch/arm64/pointer-authentication.rst: with 48-bit
 * addresses the code occupies bits 54:48).
 */
const struct cprof_arch cprof_arch_aarch64 = {
	.name = "aarch64",
	.elf_machine = EM_AARCH64,
	.n_regs = 33,
	.sp = 31,
	.fp = 29,
	.ra = 30,
	.ra_in_register = true,
	.red_zone_bytes = 0,
	.syscall_pc_reg = CPROF_ARCH_MAX_REGS,
	.callee_saved = 0x3ff80000u, /* x19..x29 */
	.code_addr_mask = (1ull << 48) - 1,
	.ends_in_call = ends_in_call,
	/* struct rt_sigframe: siginfo (128), ucontext with its mcontext at 176: fault_address, x0..x30, sp, pc. */
	.sigframe = {
		.sigreturns = {
			/* mov x8,#139; svc #0 */
			{ 8, { 0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4 } },
		},
		.reg_offset = { 312, 320, 328, 336, 344, 352, 360, 368, 376, 384, 392,
				400, 408, 416, 424, 432, 440, 448, 456, 464, 472, 480,
				488, 496, 504, 512, 520, 528, 536, 544, 552, 560 },
		.pc_offset = 568,
	},
	.perf_regs_mask = (1ull << 33) - 1,
	.n_perf_regs = 33,
	.perf_to_dwarf = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
			   11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
			   22, 23, 24, 25, 26, 27, 28, 29, 30, 31, CPROF_ARCH_PC },
};
