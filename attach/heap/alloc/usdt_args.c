/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/usdt_args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1024u

static const char bad_number[] = "an argument of its probe has a number that is none";
static const char bad_register[] = "an argument of its probe is in a register that is not known";
static const char bad_form[] = "an argument of its probe is of a form that is not known";

/* By size, the largest first; one byte of another than the lowest is not among them. */
static const char *const registers[CPROF_USDT_REGS][4] = {
	{ "rax", "eax", "ax", "al" },      { "rbx", "ebx", "bx", "bl" },
	{ "rcx", "ecx", "cx", "cl" },      { "rdx", "edx", "dx", "dl" },
	{ "rsi", "esi", "si", "sil" },     { "rdi", "edi", "di", "dil" },
	{ "rbp", "ebp", "bp", "bpl" },     { "rsp", "esp", "sp", "spl" },
	{ "r8", "r8d", "r8w", "r8b" },     { "r9", "r9d", "r9w", "r9b" },
	{ "r10", "r10d", "r10w", "r10b" }, { "r11", "r11d", "r11w", "r11b" },
	{ "r12", "r12d", "r12w", "r12b" }, { "r13", "r13d", "r13w", "r13b" },
	{ "r14", "r14d", "r14w", "r14b" }, { "r15", "r15d", "r15w", "r15b" },
};

/* ---- what stands at *at, which is moved behind it ---- */

static bool take(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal or 0x...; strtoll alone would take blanks and a second sign. */
static bool take_number(const char **at, int64_t *ret_value)
{
	const char *digits = *at + (**at == '-' || **at == '+');
	char *end;
	if (!is_digit(*digits))
		return false;
	errno = 0;
	*ret_value = (int64_t)strtoll(*at, &end, 0);
	if (errno == ERANGE && **at != '-') { /* a constant may be unsigned */
		errno = 0;
		*ret_value = (int64_t)strtoull(*at, &end, 0);
	}
	if (errno || end == *at)
		return false;
	*at = end;
	return true;
}

/* "%rdi"; `whole`: as in an address, 64 bits. */
static bool take_register(const char **at, bool whole, uint8_t *ret_register)
{
	if (!take(at, '%'))
		return false;
	const size_t len = strspn(*at, "abcdefghijklmnopqrstuvwxyz0123456789");
	for (uint8_t i = 0; i < CPROF_USDT_REGS; i++) {
		for (size_t size = 0; size < (whole ? 1 : 4); size++) {
			const char *name = registers[i][size];
			if (strlen(name) == len && memcmp(name, *at, len) == 0) {
				*at += len;
				*ret_register = i;
				return true;
			}
		}
	}
	return false;
}

/* "(%rax)", "(%rax,%rbx,4)", "(,%rbx,4)", behind what is added. */
static const char *take_address(const char **at, struct cprof_usdt_operand *operand)
{
	int64_t scale = 1;
	operand->kind = CPROF_USDT_MEMORY;
	if (!take(at, '('))
		return bad_form;
	if (**at == '%' && !take_register(at, true, &operand->base))
		return bad_register;
	if (take(at, ',')) {
		if (!take_register(at, true, &operand->index))
			return bad_register;
		if (take(at, ',') && !take_number(at, &scale))
			return bad_number;
	}
	if (scale != 1 && scale != 2 && scale != 4 && scale != 8)
		return bad_number;
	operand->scale = (uint8_t)scale;
	if (operand->base == CPROF_USDT_NO_REG && operand->index == CPROF_USDT_NO_REG)
		return bad_form;
	return take(at, ')') ? NULL : bad_form;
}

static const char *take_operand(const char **at, struct cprof_usdt_operand *operand)
{
	operand->base = operand->index = CPROF_USDT_NO_REG;
	operand->scale = 1;
	if (take(at, '$')) {
		operand->kind = CPROF_USDT_CONSTANT;
		return take_number(at, &operand->value) ? NULL : bad_number;
	}
	if (**at == '%') {
		operand->kind = CPROF_USDT_REGISTER;
		return take_register(at, false, &operand->base) ? NULL : bad_register;
	}
	if (**at != '(' && !take_number(at, &operand->value))
		return bad_form;
	return take_address(at, operand);
}

/* "8@", "-4@": how large it is, and whether it has a sign. */
static const char *take_size(const char **at, struct cprof_usdt_operand *operand)
{
	int64_t size;
	if (!take_number(at, &size) || !take(at, '@'))
		return bad_form;
	operand->is_signed = size < 0;
	const uint64_t bytes = size < 0 ? 0 - (uint64_t)size : (uint64_t)size;
	if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
		return "an argument of its probe is no integer of 1, 2, 4 or 8 bytes";
	operand->bytes = (uint8_t)bytes;
	return NULL;
}

const char *cprof_usdt_args_parse(const char *text,
				  struct cprof_usdt_operand ret_operands[CPROF_USDT_ARGS_MAX],
				  size_t *ret_n)
{
	struct cprof_usdt_operand operands[CPROF_USDT_ARGS_MAX] = { 0 };
	const char *at = text;
	size_t n = 0;
	if (strlen(text) > TEXT_MAX)
		return "the arguments of its probe are longer than any can be";
	for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
		if (n == CPROF_USDT_ARGS_MAX)
			return "its probe has more arguments than one can have";
		const char *why = take_size(&at, &operands[n]);
		if (!why)
			why = take_operand(&at, &operands[n]);
		if (why)
			return why;
		if (*at && *at != ' ')
			return bad_form;
		n++;
	}
	memcpy(ret_operands, operands, sizeof(operands));
	*ret_n = n;
	return NULL;
}
