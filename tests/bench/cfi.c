/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cfi N SEED FILE... - rules for the frames at N random addresses in the text of each FILE, by our reader of call frame information and by
 * elfutils' libdw: do they say the same?
 *
 * Prints a line for each file, "path SAME NONE OURS THEIRS DIFFERENT ours_ns theirs_ns", and before it one for each address where not both say the same
 * (OURS and THEIRS: one alone has rules; NONE: neither has any). Status 1: something differs. Registers that no rule tells about count as equal,
 * whatever libdw's defaults for them: it adds what the ABI says of registers, we leave them alone.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cprof/module.h"
#include "symbolize/unwind/cfi.h"
#include "symbolize/unwind/cfi_reader.h"
#include "tests/tools/random_address.h"

#define COLUMNS 17 /* x86-64: general registers and the return address */
#define STEPS   100000u

enum verdict { SAME, NONE, OURS, THEIRS, DIFFERENT, VERDICTS };

static const char *const verdicts[VERDICTS] = {
	[SAME] = "same",           [NONE] = "none",           [OURS] = "ours alone",
	[THEIRS] = "theirs alone", [DIFFERENT] = "different",
};

/* libdw's two places for call frame information of one file. */
struct library {
	int fd;
	Elf *elf;
	Dwarf *dwarf;
	Dwarf_CFI *eh, *debug;
};

static void library_open(struct library *library, const char *path)
{
	*library = (struct library){ .fd = open(path, O_RDONLY | O_CLOEXEC) };
	library->elf = elf_begin(library->fd, ELF_C_READ, NULL);
	library->dwarf = dwarf_begin_elf(library->elf, DWARF_C_READ, NULL);
	library->eh = dwarf_getcfi_elf(library->elf);
	library->debug = library->dwarf ? dwarf_getcfi(library->dwarf) : NULL;
}

static void library_close(struct library *library)
{
	dwarf_cfi_end(library->eh);
	dwarf_end(library->dwarf); /* and library->debug with it */
	elf_end(library->elf);
	close(library->fd);
}

static bool library_frame(const struct library *library, uint64_t addr, Dwarf_Frame **ret_frame)
{
	return (library->eh && dwarf_cfi_addrframe(library->eh, addr, ret_frame) == 0) ||
	       (library->debug && dwarf_cfi_addrframe(library->debug, addr, ret_frame) == 0);
}

/* ---- one rule ---- */

/* The operations, as far as they are the file's, are those that stand at their offsets in our bytes. */
static bool same_expr(const Dwarf_Op *ops, size_t n, struct cprof_cfi_expr expr)
{
	/* libdw's way to say that it is on the stack first. */
	if (n && ops[0].atom == DW_OP_call_frame_cfa) {
		ops++;
		n--;
	}
	if (n && ops[n - 1].atom == DW_OP_stack_value)
		n--;
	for (size_t i = 0; i < n; i++) {
		if (ops[i].offset >= expr.size || expr.bytes[ops[i].offset] != ops[i].atom)
			return false;
	}
	if (!n || !expr.size || ops[0].offset != 0)
		return false;
	/* Of what every expression in practice begins with the operands as well. */
	struct cprof_cfi_reader r = cprof_cfi_reader_of(expr.bytes + 1, expr.size - 1);
	return ops[0].atom < DW_OP_breg0 || ops[0].atom > DW_OP_breg31 ||
	       (int64_t)ops[0].number == cprof_cfi_sleb(&r);
}

static bool same_cfa(const Dwarf_Op *ops, size_t n, const struct cprof_cfi_rule *rule)
{
	if (rule->how == CPROF_CFI_IN_REG && n == 1 && ops[0].atom == DW_OP_bregx)
		return ops[0].number == rule->reg && (int64_t)ops[0].number2 == rule->offset;
	return rule->how == CPROF_CFI_IS_EXPR && same_expr(ops, n, rule->expr);
}

/* CFA, CFA + n, and either as a value. */
static bool same_offset(const Dwarf_Op *ops, size_t n, int64_t offset, bool is_value)
{
	const size_t last = n - (is_value ? 1 : 0);
	if (!n || ops[0].atom != DW_OP_call_frame_cfa ||
	    (is_value && ops[n - 1].atom != DW_OP_stack_value))
		return false;
	if (last == 1)
		return offset == 0;
	return last == 2 && ops[1].atom == DW_OP_plus_uconst && (int64_t)ops[1].number == offset;
}

static bool same_register(const Dwarf_Op *ops, size_t n, const struct cprof_cfi_rule *rule,
			  const Dwarf_Op *undefined, uint8_t reg)
{
	const uint8_t rsp = 7;
	switch (rule->how) {
	case CPROF_CFI_SAME:
		return n == 0 || (reg == rsp && same_offset(ops, n, 0, true));
	case CPROF_CFI_UNDEFINED:
		return n == 0 && ops == undefined;
	case CPROF_CFI_AT_CFA:
		return same_offset(ops, n, rule->offset, false);
	case CPROF_CFI_IS_CFA:
		return same_offset(ops, n, rule->offset, true);
	case CPROF_CFI_IN_REG:
		return n == 1 && ops[0].atom == DW_OP_regx && ops[0].number == rule->reg;
	default:
		return same_expr(ops, n, rule->expr) &&
		       (rule->how == CPROF_CFI_IS_EXPR) == (ops[n - 1].atom == DW_OP_stack_value);
	}
}

/* ---- one address ---- */

static bool same_row(Dwarf_Frame *frame, const struct cprof_cfi_row *row)
{
	Dwarf_Op *ops, memory[3];
	size_t n;
	bool signal;
	const int ra = dwarf_frame_info(frame, NULL, NULL, &signal);
	if (ra != row->ra_column || signal != row->signal ||
	    dwarf_frame_cfa(frame, &ops, &n) != 0 || !same_cfa(ops, n, &row->cfa))
		return false;
	for (uint8_t reg = 0; reg < COLUMNS; reg++) {
		if (dwarf_frame_register(frame, reg, memory, &ops, &n) != 0 ||
		    !same_register(ops, n, &row->regs[reg], memory, reg))
			return false;
	}
	return true;
}

struct times {
	uint64_t ours_ns, theirs_ns;
};

static enum verdict compare(struct cprof_cfi *cfi, const struct library *library, uint64_t addr,
			    struct times *times)
{
	struct cprof_cfi_fde fde;
	struct cprof_cfi_row row;
	Dwarf_Frame *frame = NULL;
	uint32_t steps = STEPS;
	const uint64_t start = cprof_clock_mono_ns();
	const bool ours =
		cprof_cfi_find(cfi, addr, &fde) && cprof_cfi_run(&fde, addr, &steps, &row);
	const uint64_t between = cprof_clock_mono_ns();
	const bool theirs = library_frame(library, addr, &frame);
	times->ours_ns += between - start;
	times->theirs_ns += cprof_clock_mono_ns() - between;
	enum verdict verdict = !ours && !theirs ? NONE : !theirs ? OURS : THEIRS;
	if (ours && theirs)
		verdict = same_row(frame, &row) ? SAME : DIFFERENT;
	free(frame);
	return verdict;
}

/* ---- one file ---- */

static bool fail(const char *path, struct cprof_error *err)
{
	if (!err)
		return false;
	fprintf(stderr, "cfi: %s: %s\n", path, err->message);
	cprof_error_free(err);
	return true;
}

/* How many addresses have other rules. */
static size_t compare_file(const char *path, size_t n)
{
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_cfi *cfi;
	struct library library;
	struct times times = { 0 };
	size_t counts[VERDICTS] = { 0 };
	cprof_modules_init(&modules);
	if (fail(path, cprof_modules_open(&modules, path, &module)) ||
	    fail(path, cprof_cfi_get(module, &cfi))) {
		cprof_modules_deinit(&modules);
		return 0;
	}
	library_open(&library, path);
	for (size_t i = 0; i < n; i++) {
		const uint64_t addr = random_address(module);
		const enum verdict verdict = compare(cfi, &library, addr, &times);
		counts[verdict]++;
		if (verdict != SAME && verdict != NONE)
			printf("  0x%" PRIx64 " %s\n", addr, verdicts[verdict]);
	}
	printf("%s %zu %zu %zu %zu %zu %.0f %.0f\n", path, counts[SAME], counts[NONE], counts[OURS],
	       counts[THEIRS], counts[DIFFERENT], (double)times.ours_ns / (double)n,
	       (double)times.theirs_ns / (double)n);
	library_close(&library);
	cprof_modules_deinit(&modules);
	return counts[OURS] + counts[THEIRS] + counts[DIFFERENT];
}

int main(int argc, char **argv)
{
	size_t differences = 0;
	if (argc < 4)
		return 2;
	const size_t n = strtoul(argv[1], NULL, 10);
	elf_version(EV_CURRENT);
	for (int i = 3; i < argc && n; i++) {
		srandom((unsigned)strtoul(argv[2], NULL, 10));
		differences += compare_file(argv[i], n);
	}
	return differences != 0;
}
