#include "base/arch.h"

#include <elf.h>

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
	.callee_saved = 1u << 3 | 1u << 6 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15,
	.code_addr_mask = UINT64_MAX,
	.perf_regs_mask = 0xff01ff,
	.n_perf_regs = 17,
	.perf_to_dwarf = { 0, 3, 2, 1, 4, 5, 6, 7, CPROF_ARCH_PC, 8, 9, 10, 11, 12, 13, 14, 15 },
};
