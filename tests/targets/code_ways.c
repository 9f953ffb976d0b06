/* SPDX-License-Identifier: Apache-2.0 */
/*
 * code_ways - pools whose first instructions are come to in every way that there is, and whether each call did what it should.
 *
 * A pool take_X(n) is n bytes of a store; enter_X(n) does the same, but for the first two instructions, which it has itself. Reads
 * "calls" (each pool a thousand times in both ways, then "bad N": calls that went wrong since the start, and "done") and "quit".
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CALLS 1000
#define POOLS(X)                                                                                   \
	X(plain)                                                                                   \
	X(jump) X(near) X(condition) X(cold) X(address) X(pointer) X(table) X(loop) X(import)

#ifdef __x86_64__
#define HIDDEN __attribute__((visibility("hidden"), used))
char code_ways_store[4096] HIDDEN;
uint64_t code_ways_calls[16] HIDDEN;

/* push and mov give way to a jump, and the first half of what follows them, at middle_X, with them. */
#define POOL(name, number, more)                                                                   \
	"\t.globl take_" name "\n\t.type take_" name ",@function\n\t.p2align 4\n"                  \
	"take_" name ":\n\t.cfi_startproc\n\tpush %rbx\n\tmov %rdi,%rbx\n"                         \
	"middle_" name ":\n\tincq code_ways_calls+8*" number "(%rip)\n" more                       \
	"\tlea code_ways_store(%rip),%rax\n\tadd %rbx,%rax\n"                                      \
	"\tpop %rbx\n\tret\n\t.cfi_endproc\n\t.size take_" name ",.-take_" name "\n"

#define ENTER(name, section, text)                                                                 \
	"\t.section " section ",\"ax\",@progbits\n"                                                \
	"\t.globl enter_" name "\n\t.type enter_" name ",@function\n"                              \
	"enter_" name ":\n\t.cfi_startproc\n" text "\t.cfi_endproc\n"                              \
	"\t.size enter_" name ",.-enter_" name "\n\t.text\n"

#define BEGIN "\tpush %rbx\n\tmov %rdi,%rbx\n"

/* clang-format off */
__asm__("\t.text\n"
	POOL("plain", "0", "")
	ENTER("plain", ".text.far", "\tjmp take_plain\n")
	POOL("jump", "1", "")
	ENTER("jump", ".text.far", BEGIN "\tjmp middle_jump\n")
	POOL("near", "2", "")
	ENTER("near", ".text", BEGIN "\tjmp middle_near\n")
	POOL("condition", "3", "")
	ENTER("condition", ".text.far", BEGIN "\ttest %rsp,%rsp\n\tjnz middle_condition\n\tud2\n")
	POOL("cold", "4", "")
	ENTER("cold", ".text.unlikely", BEGIN "\tjmp middle_cold\n")
	POOL("address", "5", "")
	ENTER("address", ".text.far", BEGIN "\tlea middle_address(%rip),%r11\n\tnotrack jmp *%r11\n")
	POOL("pointer", "6", "")
	ENTER("pointer", ".text.far", BEGIN "\tnotrack jmp *pointer(%rip)\n")
	POOL("table", "7", "")
	ENTER("table", ".text.far", BEGIN "\tlea table(%rip),%r11\n\tmovslq 4(%r11),%rax\n\tadd %r11,%rax\n\tnotrack jmp *%rax\n")
	/* Goes back where more than a kilobyte is asked for, which nobody does. */
	POOL("loop", "8", "\tcmp $1024,%rbx\n\tja middle_loop\n")
	ENTER("loop", ".text.far", "\tjmp take_loop\n")
	/* enter_import is in lib/ways.c, another object, which knows nothing but the symbol of this one. */
	POOL("import", "9", "")
	"\t.section .data.rel.ro,\"aw\",@progbits\n\t.balign 8\npointer:\t.quad middle_pointer\n"
	"\t.section .rodata\n\t.balign 4\ntable:\t.long take_table-table,middle_table-table,take_table-table\n"
	"\t.text\n");
/* clang-format on */

#define DECLARE(name)                                                                              \
	char *take_##name(uint64_t n);                                                             \
	char *enter_##name(uint64_t n);
POOLS(DECLARE)

#define ROW(name) { take_##name, enter_##name },
static char *(*const pools[][2])(uint64_t n) = { POOLS(ROW) };

static uint64_t bad;

static void call_all(void)
{
	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
		const uint64_t before = code_ways_calls[i];
		for (uint64_t n = 0; n < CALLS; n++) {
			bad += pools[i][0](n) != code_ways_store + n;
			bad += pools[i][1](n) != code_ways_store + n;
		}
		bad += code_ways_calls[i] != before + 2 * CALLS;
	}
}
#else
static uint64_t bad;

static void call_all(void)
{
}
#endif

int main(void)
{
	char line[64];
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("pid %d\nready\n", (int)getpid());
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		call_all();
		printf("bad %llu\ndone\n", (unsigned long long)bad);
	}
	return bad != 0;
}
