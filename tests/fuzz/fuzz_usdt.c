/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a section .note.stapsdt, and what it says as the arguments of a probe: texts that end, operands that BPF can read. */
#include <stdlib.h>
#include <string.h>

#include "attach/heap/alloc/usdt_args.h"
#include "attach/heap/alloc/usdt_note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct cprof_usdt_operand *operand)
{
	if (operand->kind > CPROF_USDT_MEMORY ||
	    (operand->base >= CPROF_USDT_REGS && operand->base != CPROF_USDT_NO_REG) ||
	    (operand->index >= CPROF_USDT_REGS && operand->index != CPROF_USDT_NO_REG))
		abort();
	if ((operand->bytes != 1 && operand->bytes != 2 && operand->bytes != 4 &&
	     operand->bytes != 8) ||
	    operand->scale > 8)
		abort();
}

static void parse(const char *text)
{
	struct cprof_usdt_operand operands[CPROF_USDT_ARGS_MAX];
	size_t n;
	if (cprof_usdt_args_parse(text, operands, &n))
		return;
	if (n > CPROF_USDT_ARGS_MAX)
		abort();
	for (size_t i = 0; i < n; i++)
		check(&operands[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cprof_usdt_note note;
	char text[1200];
	size_t at = 0, before = 0;
	while (cprof_usdt_note_next(data, n, &at, &note)) {
		if (at <= before || at > n)
			abort();
		before = at;
		const uint8_t *end = (const uint8_t *)note.args + strlen(note.args);
		if (end >= data + n || strlen(note.provider) > n || strlen(note.name) > n)
			abort();
		parse(note.args);
	}
	/* And the whole of it as such a text. */
	n = n < sizeof(text) ? n : sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = 0;
	parse(text);
	return 0;
}
