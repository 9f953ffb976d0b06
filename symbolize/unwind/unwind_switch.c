/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_switch.h"

#include <dwarf.h>
#include <elf.h>
#include <string.h>

#define CODE_MAX                                                                                   \
	CPROF_SWITCH_CODE_MAX /* bytes, of which the last may lie past the end of the code */
#define CODE_MIN  16
#define CODE_STEP 8

#define RETURN_BYTES 8 /* of take_return(), without a pop */

#define KEPT_CODE 96 /* bytes behind a call for the time, to the function's end */

enum { RBP = 6, RSP = 7, R12 = 12 };

struct code {
	uint8_t bytes[KEPT_CODE];
	size_t n, at;
};

static bool fetch(const struct cprof_memory *memory, uint64_t pc, size_t max, struct code *code)
{
	code->at = 0;
	for (code->n = max; code->n >= CODE_MIN; code->n -= CODE_STEP) {
		if (memory->read(memory->ctx, pc, code->bytes, code->n))
			return true;
	}
	return false;
}

/* The next instruction begins with these bytes, and `more` follow that may be any. */
static bool take(struct code *code, const char *bytes, size_t n, size_t more)
{
	if (n + more > code->n - code->at || memcmp(code->bytes + code->at, bytes, n) != 0)
		return false;
	code->at += n + more;
	return true;
}

/* An instruction of two bytes before its ModRM byte, with a register and a word at rsp + *ret_offset, less than 64. */
static bool take_stack_word(struct code *code, const char *opcode, uint8_t reg, uint8_t *ret_offset)
{
	const char at_sp[] = { opcode[0], opcode[1], (char)(reg << 3 | 4), 0x24 };
	const char above_sp[] = { opcode[0], opcode[1], (char)(0x40 | reg << 3 | 4), 0x24 };
	*ret_offset = 0;
	if (take(code, at_sp, sizeof(at_sp), 0))
		return true;
	if (!take(code, above_sp, sizeof(above_sp), 1))
		return false;
	*ret_offset = code->bytes[code->at - 1];
	return *ret_offset < 64;
}

/* mov %rsi,%rsp; mov %eax,n(%rsp); perhaps pop %rbp; ret */
static bool take_return(struct code *code, bool *ret_pops)
{
	if (!take(code, "\x48\x89\xf4", 3, 0) || !take(code, "\x89\x44\x24", 3, 1))
		return false;
	*ret_pops = take(code, "\x5d", 1, 0);
	return take(code, "\xc3", 1, 0);
}

/* A number of the instruction taken last, `back` bytes before its end. */
static uint64_t taken_number(const struct code *code, size_t back)
{
	int32_t number;
	memcpy(&number, code->bytes + code->at - back, sizeof(number));
	return (uint64_t)(int64_t)number;
}

/* Where the thread keeps what it runs may be read first, into rcx: from a word beside the code, or as a number. */
static void take_own(struct code *code, struct cprof_switch_site *site)
{
	if (take(code, "\x48\x8b\x0d", 3, 4)) {
		site->own_in_memory = true;
		site->own = site->ret + code->at + taken_number(code, 4);
	} else if (take(code, "\x48\xc7\xc1", 3, 4)) {
		site->own = taken_number(code, 4);
	}
}

/* What the thread is running, in its own storage: at a place that is known, or that was read before. */
static bool take_set_own(struct code *code, struct cprof_switch_site *site)
{
	if (!take(code, "\x64\x48\x89\x3c\x25", 5, 4))
		return take(code, "\x64\x48\x89\x39", 4, 0);
	site->own = taken_number(code, 4);
	return true;
}

/* The way back to a goroutine's stack: rsp = (goroutine->stack.hi) - (its depth). */
static bool take_goroutine(struct code *code, struct cprof_switch_site *site, bool *ret_pops)
{
	code->at = 0;
	take_own(code, site);
	if (!take_stack_word(code, "\x48\x8b", 7, &site->owner) ||
	    !take(code, "\x48\x8b\x77", 3, 1))
		return false;
	site->high = code->bytes[code->at - 1];
	return site->high < 32 && take_stack_word(code, "\x48\x2b", 6, &site->depth) &&
	       take_set_own(code, site) && take_return(code, ret_pops);
}

static void put(struct cprof_unwind_switch *to, uint8_t op)
{
	to->expr[to->n++] = op;
}

/* The word at rsp + `offset`, which is less than 64: one byte holds it. */
static void put_stack_word(struct cprof_unwind_switch *to, uint8_t offset)
{
	put(to, DW_OP_breg7);
	put(to, offset);
	put(to, DW_OP_deref);
}

static bool from_goroutine(struct code *code, struct cprof_unwind_switch *to, bool *ret_pops)
{
	struct cprof_switch_site site = { .ret = 0 };
	if (!take_goroutine(code, &site, ret_pops))
		return false;
	put_stack_word(to, site.owner);
	put(to, (uint8_t)(DW_OP_lit0 + site.high));
	put(to, DW_OP_plus);
	put(to, DW_OP_deref);
	put_stack_word(to, site.depth);
	put(to, DW_OP_minus);
	return true;
}

/* From the thread's own stack: rsp = what was kept. */
static bool from_thread(struct code *code, struct cprof_unwind_switch *to, bool *ret_pops)
{
	uint8_t kept;
	code->at = 0;
	if (!take_stack_word(code, "\x48\x8b", 6, &kept) || !take_return(code, ret_pops))
		return false;
	put_stack_word(to, kept);
	return true;
}

/*
 * From a goroutine's stack, in Go that C has called (cgocallback): the frame pointer is still that of the frame on C's stack, and
 * the function that was called has kept it right below its return address.
 */
static bool from_callback(struct code *code, struct cprof_unwind_switch *to, bool *ret_pops)
{
	struct cprof_switch_site own = { .ret = 0 };
	code->at = 0;
	if (!take(code, "\x48\x8d\x44\x24", 4, 1) || !take(code, "\x48\x29\xe0", 3, 0))
		return false;
	take_own(code, &own);
	if ((!take(code, "\x64\x48\x8b\x34\x25", 5, 4) && !take(code, "\x64\x48\x8b\x31", 4, 0)) ||
	    !take(code, "\x48\x89\xe7\x48\x01\xc7", 6, 0))
		return false;
	put(to, DW_OP_breg7);
	put(to, -16 & 0x7f);
	put(to, DW_OP_deref);
	*ret_pops = true;
	return true;
}

bool cprof_unwind_switch_rule(const struct cprof_arch *arch, const struct cprof_memory *memory,
			      uint64_t pc, struct cprof_unwind_switch *ret_switch,
			      struct cprof_unwind_rule *ret_rule)
{
	struct code code;
	struct cprof_unwind_switch found = { .n = 0 };
	bool pops = false;
	if (arch->elf_machine != EM_X86_64 || !fetch(memory, pc, CODE_MAX, &code) ||
	    (!from_goroutine(&code, &found, &pops) && !from_thread(&code, &found, &pops) &&
	     !from_callback(&code, &found, &pops)))
		return false;
	put(&found, (uint8_t)(DW_OP_lit0 + (pops ? 16 : 8)));
	put(&found, DW_OP_plus);
	*ret_switch = found;
	memset(ret_rule, 0, sizeof(*ret_rule)); /* padding too: rules are compared as bytes */
	ret_rule->cfa = CPROF_CFA_EXPR;
	ret_rule->doubted = ret_rule->switches = true;
	ret_rule->ra = (struct cprof_unwind_place){ .from = CPROF_FROM_CFA, .offset = -8 };
	ret_rule->ra.reg = arch->ra;
	if (pops)
		ret_rule->places[ret_rule->n_places++] = (struct cprof_unwind_place){
			.reg = RBP, .from = CPROF_FROM_CFA, .offset = -16
		};
	return true;
}

/* Where in the code these bytes are, from `at` on; SIZE_MAX: nowhere. */
static size_t find_bytes(const struct code *code, size_t at, const char *bytes, size_t n)
{
	const uint8_t *found =
		at < code->n ? memmem(code->bytes + at, code->n - at, bytes, n) : NULL;
	return found ? (size_t)(found - code->bytes) : SIZE_MAX;
}

/* add $n,%rsp; perhaps pop %rbp; ret. How much that takes off the stack, the return address left out. */
static bool take_frame_end(struct code *code, uint8_t *ret_bytes)
{
	if (!take(code, "\x48\x83\xc4", 3, 1))
		return false;
	*ret_bytes = code->bytes[code->at - 1];
	if (take(code, "\x5d", 1, 0))
		*ret_bytes += 8;
	return *ret_bytes >= 8 && *ret_bytes < 64 && *ret_bytes % 8 == 0 &&
	       take(code, "\xc3", 1, 0);
}

bool cprof_unwind_switch_kept_rule(const struct cprof_arch *arch, const struct cprof_memory *memory,
				   uint64_t pc, struct cprof_unwind_rule *ret_rule)
{
	static const char back[] = "\x4c\x89\xe4"; /* mov %r12,%rsp */
	static const char end[] = "\x48\x83\xc4";  /* add $n,%rsp */
	struct code code;
	uint8_t bytes;
	if (arch->elf_machine != EM_X86_64 || !fetch(memory, pc, KEPT_CODE, &code))
		return false;
	const size_t at = find_bytes(&code, 0, back, sizeof(back) - 1);
	code.at = at == SIZE_MAX ? SIZE_MAX : find_bytes(&code, at, end, sizeof(end) - 1);
	if (code.at == SIZE_MAX || !take_frame_end(&code, &bytes))
		return false;
	memset(ret_rule, 0, sizeof(*ret_rule)); /* padding too: rules are compared as bytes */
	ret_rule->cfa = CPROF_CFA_REG;
	ret_rule->cfa_reg = R12;
	ret_rule->offset = bytes + 8;
	ret_rule->doubted = ret_rule->switches = true;
	ret_rule->ra = (struct cprof_unwind_place){ .from = CPROF_FROM_CFA, .offset = -8 };
	ret_rule->ra.reg = arch->ra;
	ret_rule->places[ret_rule->n_places++] =
		(struct cprof_unwind_place){ .reg = RBP, .from = CPROF_FROM_CFA, .offset = -16 };
	return true;
}

static bool reads_as(const struct cprof_memory *memory, uint64_t addr, const char *want, size_t n)
{
	uint8_t bytes[16];
	return n <= sizeof(bytes) && memory->read(memory->ctx, addr, bytes, n) &&
	       memcmp(bytes, want, n) == 0;
}

bool cprof_unwind_switch_is_root(const struct cprof_arch *arch, const struct cprof_memory *memory,
				 uint64_t pc)
{
	/* Before mcall's call, with Go's closure in rdx: push %rax; mov (%rdx),%r12; call *%r12. Up to Go 1.16 it is in rdi. */
	static const char with_r12[] = "\x50\x4c\x8b\x22\x41\xff\xd4",
			  with_rdi[] = "\x50\x48\x89\xfa\x48\x8b\x3f\xff\xd7";
	/* Behind clone's: mov $111,%edi; mov $SYS_exit,%eax; syscall */
	static const char exit_111[] = "\xbf\x6f\x00\x00\x00\xb8\x3c\x00\x00\x00\x0f\x05";
	if (arch->elf_machine != EM_X86_64)
		return false;
	if (reads_as(memory, pc, exit_111, sizeof(exit_111) - 1))
		return true;
	const bool is_mcall =
		reads_as(memory, pc - (sizeof(with_r12) - 1), with_r12, sizeof(with_r12) - 1) ||
		reads_as(memory, pc - (sizeof(with_rdi) - 1), with_rdi, sizeof(with_rdi) - 1);
	/* And behind it, where it must not come: pop %rax, after a nop perhaps. */
	return is_mcall && (reads_as(memory, pc, "\x58", 1) || reads_as(memory, pc, "\x90\x58", 2));
}

/* The way back ends at `end`: is it one to a goroutine's stack, and where does it begin? */
static bool ends_site(const uint8_t *bytes, size_t n, size_t end, uint64_t addr,
		      struct cprof_switch_site *ret_site)
{
	/* The longest is whole: what a call returns to may be left out of a shorter one. */
	for (size_t back = end < CODE_MAX ? end : CODE_MAX; back > 0; back--) {
		const size_t start = end - back;
		struct cprof_switch_site site = { .ret = addr + start };
		struct code code = { .n = n - start < CODE_MAX ? n - start : CODE_MAX };
		bool pops;
		memcpy(code.bytes, bytes + start, code.n);
		if (!take_goroutine(&code, &site, &pops) || code.at != back + RETURN_BYTES + pops)
			continue;
		/* They lie above the return address, in the frame that called. */
		site.owner += 8;
		site.depth += 8;
		*ret_site = site;
		return true;
	}
	return false;
}

size_t cprof_unwind_switch_sites(const uint8_t *code, size_t n, uint64_t addr,
				 struct cprof_switch_site *sites, size_t max)
{
	static const uint8_t end[] = { 0x48, 0x89, 0xf4, 0x89, 0x44, 0x24 }; /* take_return() */
	size_t found = 0;
	const uint8_t *at = code;
	while (found < max && (at = memmem(at, n - (size_t)(at - code), end, sizeof(end)))) {
		found += ends_site(code, n, (size_t)(at - code), addr, &sites[found]);
		at++;
	}
	return found;
}
