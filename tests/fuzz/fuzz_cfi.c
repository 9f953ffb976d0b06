/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile call frame information: one byte each for the sizes of .eh_frame_hdr and .debug_frame (in 16 bytes),
 * then those sections, then .eh_frame. Every address that an entry could mean is looked up and run.
 */
#include <stdlib.h>

#include "symbolize/unwind/cfi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_word(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	memcpy(buf, &addr, n);
	return addr % 3 != 0;
}

static struct cprof_cfi_section take(const uint8_t **data, size_t *size, size_t want, uint64_t addr)
{
	size_t n = want < *size ? want : *size;
	struct cprof_cfi_section section = { .bytes = *data, .size = n, .addr = addr };
	*data += n;
	*size -= n;
	return section;
}

static void evaluate(const struct cprof_cfi_rule *rule)
{
	struct cprof_regs regs = { .pc = 0x1000, .valid = 0xffff };
	const struct cprof_cfi_machine machine = { &regs, 16, read_word, NULL };
	uint64_t value, cfa = 0x7000;
	if (rule->expr.bytes)
		cprof_cfi_evaluate(rule->expr, &cfa, &machine, &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_cfi *cfi;
	if (size < 2)
		return 0;
	size_t hdr_size = data[0] * 16u, debug_size = data[1] * 16u;
	data += 2;
	size -= 2;
	struct cprof_cfi_section hdr = take(&data, &size, hdr_size, 0x2000);
	struct cprof_cfi_section debug = take(&data, &size, debug_size, 0);
	struct cprof_cfi_section eh = take(&data, &size, size, 0x1000);
	struct cprof_error *err = cprof_cfi_new(eh, hdr, debug, &cfi);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	for (uint64_t addr = 0; addr < 0x4000; addr += 97) {
		struct cprof_cfi_fde fde;
		struct cprof_cfi_row row;
		uint32_t steps = 5000;
		if (!cprof_cfi_find(cfi, addr, &fde))
			continue;
		if (addr < fde.start || addr >= fde.end)
			abort();
		if (!cprof_cfi_run(&fde, addr, &steps, &row))
			continue;
		evaluate(&row.cfa);
		for (size_t i = 0; i < CPROF_ARCH_MAX_REGS; i++)
			evaluate(&row.regs[i]);
	}
	cprof_cfi_free(cfi);
	return 0;
}
