/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/cfi.h - the call frame information of one ELF image: from an address to its row of rules.
 *
 * Owns .eh_frame, .eh_frame_hdr and .debug_frame of a module: finding the entry (FDE) that covers an
 * address, running its program up to that address, and evaluating expressions. What to do with the rules
 * (registers, memory, caching) is unwind.h's.
 *
 * All bytes are untrusted. Nothing recurses; an FDE's program and an expression each run under a budget.
 *
 * Sources: DWARF 5 "Call Frame Information" and "DWARF Expressions"; LSB Core "Exception Frames".
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_CFI_H
#define CPROF_SYMBOLIZE_UNWIND_CFI_H

#include "cprof/arch.h"
#include "cprof/error.h"
#include "cprof/module.h"

struct cprof_cfi;

/* A section as raw bytes; `bytes` is borrowed and may be NULL where there is none. */
struct cprof_cfi_section {
	const uint8_t *bytes;
	size_t size;
	uint64_t addr; /* as in the file */
	/* Where the bytes are a part of a file that is read piece by piece: they are zero until asked for. */
	struct cprof_image *image; /* borrowed; NULL: all bytes are there */
	uint64_t offset;           /* of bytes[0] in it */
};

/* What the entry that covers an address says; points into the section. */
struct cprof_cfi_fde {
	uint64_t start, end; /* file addresses [start, end) */
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra_column;
	bool signal;      /* augmentation 'S': the caller was interrupted, it did not call */
	uint8_t encoding; /* of addresses in the program */
	const uint8_t *cie_program, *cie_program_end;
	const uint8_t *program, *program_end;
	struct cprof_cfi_section section;
};

struct cprof_cfi_expr {
	const uint8_t *bytes; /* borrowed from the section */
	size_t size;
};

/* How the caller's value of a register (or the CFA itself) is found. */
enum cprof_cfi_how {
	CPROF_CFI_SAME, /* it is still in the register; also where the row says nothing */
	CPROF_CFI_UNDEFINED,
	CPROF_CFI_AT_CFA,  /* stored at CFA + offset */
	CPROF_CFI_IS_CFA,  /* is CFA + offset */
	CPROF_CFI_IN_REG,  /* is register `reg`; for the CFA: register + offset */
	CPROF_CFI_AT_EXPR, /* stored where the expression says */
	CPROF_CFI_IS_EXPR, /* is what the expression says */
};

struct cprof_cfi_rule {
	enum cprof_cfi_how how;
	uint8_t reg;
	int64_t offset;
	struct cprof_cfi_expr expr;
};

struct cprof_cfi_row {
	struct cprof_cfi_rule cfa; /* IN_REG or IS_EXPR */
	struct cprof_cfi_rule regs[CPROF_ARCH_MAX_REGS];
	uint8_t ra_column;
	bool signal;
};

/* The sections of `module`, found and remembered in module->unwind. Errors: NO_MEMORY. */
struct cprof_error *cprof_cfi_get(struct cprof_module *module, struct cprof_cfi **ret_cfi);

/* From bytes, for tests. `hdr` may be empty. Borrows the bytes until the free. */
struct cprof_error *cprof_cfi_new(struct cprof_cfi_section eh_frame, struct cprof_cfi_section hdr,
				  struct cprof_cfi_section debug_frame, struct cprof_cfi **ret_cfi);
void cprof_cfi_free(struct cprof_cfi *cfi);

/*
 * The entry that covers `file_addr`; false if there is none. By the table in .eh_frame_hdr where that
 * answers truly; otherwise, once per module and 20-60 ns per entry, by an index of our own.
 */
bool cprof_cfi_find(struct cprof_cfi *cfi, uint64_t file_addr, struct cprof_cfi_fde *ret_fde);

/* Heap bytes held (indices, decompressed sections). */
size_t cprof_cfi_bytes_held(const struct cprof_cfi *cfi);

/*
 * Run the program of `fde` up to `file_addr`. False if it is malformed, needs what no CPU of ours has, or
 * takes more than *steps instructions; what was used is taken off *steps.
 */
bool cprof_cfi_run(const struct cprof_cfi_fde *fde, uint64_t file_addr, uint32_t *steps,
		   struct cprof_cfi_row *ret_row);

/* Registers and memory as an expression sees them. */
struct cprof_cfi_machine {
	const struct cprof_regs *regs;
	uint8_t pc_column; /* the DWARF number that means regs->pc */
	bool (*read)(void *ctx, uint64_t addr, void *buf, size_t n);
	void *ctx;
};

/*
 * Evaluate `expr`, with `*push` on the stack first unless push is NULL. False if it is malformed, reads
 * what cannot be read, needs a register that is not known, or takes more than 256 steps.
 */
bool cprof_cfi_evaluate(struct cprof_cfi_expr expr, const uint64_t *push,
			const struct cprof_cfi_machine *machine, uint64_t *ret_value);

#endif
