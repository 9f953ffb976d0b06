/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/arch.h"

static const struct cprof_arch *const archs[] = { &cprof_arch_x86_64, &cprof_arch_aarch64 };

const struct cprof_arch *cprof_arch_host(void)
{
#if defined(__x86_64__)
	return &cprof_arch_x86_64;
#elif defined(__aarch64__)
	return &cprof_arch_aarch64;
#else
	return NULL;
#endif
}

const struct cprof_arch *cprof_arch_by_machine(uint16_t elf_machine)
{
	for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		if (archs[i]->elf_machine == elf_machine)
			return archs[i];
	}
	return NULL;
}

void cprof_arch_regs_from_perf(const struct cprof_arch *arch, const uint64_t *values,
			       struct cprof_regs *ret_regs)
{
	*ret_regs = (struct cprof_regs){ 0 };
	for (size_t i = 0; i < arch->n_perf_regs; i++) {
		uint8_t dwarf = arch->perf_to_dwarf[i];
		if (dwarf == CPROF_ARCH_PC) {
			ret_regs->pc = values[i];
		} else if (dwarf != CPROF_ARCH_SKIP) {
			ret_regs->r[dwarf] = values[i];
			ret_regs->valid |= 1ull << dwarf;
		}
	}
}
