/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/arch.h - every fact that differs between CPUs, in one place: a const table per CPU.
 *
 * To add a CPU: write arch_<name>.c, list it in arch.c, and nothing else should need to know. Code
 * that must read ptrace or signal frames of the CPU it runs on belongs in attach/ or symbolize/, but
 * takes numbers from here.
 *
 * Sources: System V psABI "DWARF Register Number Mapping" (x86-64), "DWARF for the Arm 64-bit
 * Architecture" (AArch64), include/uapi/asm/perf_regs.h of each CPU.
 */
#ifndef CPROF_ARCH_H
#define CPROF_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Registers are indexed by their DWARF number; the program counter is kept apart. */
#define CPROF_ARCH_MAX_REGS 33

struct cprof_regs {
	uint64_t pc;
	uint64_t r[CPROF_ARCH_MAX_REGS]; /* by DWARF number */
	uint64_t valid;                  /* bit n: r[n] is known */
};

#define CPROF_ARCH_SIGRETURN_MAX 12
#define CPROF_ARCH_SIGRETURNS    3

/*
 * What the kernel puts on the stack for a signal handler, seen from the code that the handler returns to:
 * offsets from the stack pointer there.
 */
struct cprof_arch_sigframe {
	struct {
		uint8_t n;
		uint8_t bytes[CPROF_ARCH_SIGRETURN_MAX];
	} sigreturns[CPROF_ARCH_SIGRETURNS];      /* the code that ends a handler; n 0: no more */
	uint16_t reg_offset[CPROF_ARCH_MAX_REGS]; /* by DWARF number; 0: not there */
	uint16_t pc_offset;
};

struct cprof_arch {
	const char *name;
	uint16_t elf_machine; /* EM_* */
	uint8_t n_regs;       /* DWARF numbers 0 .. n_regs-1 are tracked */
	uint8_t sp;           /* DWARF numbers */
	uint8_t fp;
	uint8_t ra;             /* DWARF return address column; may be a pseudo register (x86-64) */
	bool ra_in_register;    /* a leaf's return address is in `ra` itself (AArch64's x30) */
	uint8_t red_zone_bytes; /* below sp, still live (x86-64: 128) */
	/* A register that has the address of the next instruction during a system call; CPROF_ARCH_MAX_REGS: none. */
	uint8_t syscall_pc_reg;
	uint64_t callee_saved; /* bit n: survives a call by the ABI */

	/* Clears what is no part of an address: pointer authentication, top-byte tags. */
	uint64_t code_addr_mask;

	/* Is the last instruction in these `n` bytes (CPROF_ARCH_CALL_MAX, less at the start of a mapping) a call? */
	bool (*ends_in_call)(const uint8_t *bytes, size_t n);

	struct cprof_arch_sigframe sigframe;

	/*
	 * PERF_SAMPLE_REGS_USER: the mask to ask for, and for each bit of it, lowest first, the DWARF
	 * number that it fills. CPROF_ARCH_PC and CPROF_ARCH_SKIP are not DWARF numbers.
	 */
	uint64_t perf_regs_mask;
	uint8_t n_perf_regs;
	uint8_t perf_to_dwarf[64];
};

#define CPROF_ARCH_CALL_MAX 8 /* no call instruction is longer */

#define CPROF_ARCH_PC   0xfe
#define CPROF_ARCH_SKIP 0xff

extern const struct cprof_arch cprof_arch_x86_64;
extern const struct cprof_arch cprof_arch_aarch64;

/* The CPU this program was compiled for; NULL where it has no table. */
const struct cprof_arch *cprof_arch_host(void);

/* By ELF e_machine; NULL if unknown. */
const struct cprof_arch *cprof_arch_by_machine(uint16_t elf_machine);

/* Registers from the u64 array of a perf sample (arch->n_perf_regs of them). */
void cprof_arch_regs_from_perf(const struct cprof_arch *arch, const uint64_t *values,
			       struct cprof_regs *ret_regs);

#ifdef __cplusplus
}
#endif

#endif
