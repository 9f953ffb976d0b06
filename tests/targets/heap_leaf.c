/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_leaf - its own malloc and free touch two registers and no flag, and whoever calls them knows that.
 *
 * All other registers and the flags hold values over the calls, as gcc -fipa-ra, link time optimization and people who write
 * assembly arrange it. With the argument "bare" a thread without a thread pointer calls other_get and other_put in the same way.
 * Ends on SIGTERM with "all well", or says what was changed.
 */
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ITEM_BYTES 8192 /* enough for what the C library wants of us */
#define ITEMS      64

static volatile sig_atomic_t stop;
static volatile uint64_t bare_turns;
static volatile uint32_t bare_failures, bare_ended = 1;

char leaf_items[2][ITEMS][ITEM_BYTES] __attribute__((aligned(16)));
void *leaf_spare[2];

/* Take the first of a list, put back: rax and rdi are used. */
#define LEAF(get, put, list)                                                                       \
	__asm__(".pushsection .text\n.globl " get "\n.type " get ",@function\n" get ":\n"          \
		".cfi_startproc\n"                                                                 \
		"mov leaf_spare+" list "(%rip),%rax\n"                                             \
		"mov (%rax),%rdi\n"                                                                \
		"mov %rdi,leaf_spare+" list "(%rip)\n"                                             \
		"ret\n.cfi_endproc\n.size " get ",.-" get "\n"                                     \
		".globl " put "\n.type " put ",@function\n" put ":\n"                              \
		".cfi_startproc\n"                                                                 \
		"mov leaf_spare+" list "(%rip),%rax\n"                                             \
		"mov %rax,(%rdi)\n"                                                                \
		"mov %rdi,leaf_spare+" list "(%rip)\n"                                             \
		"ret\n.cfi_endproc\n.size " put ",.-" put "\n.popsection\n");
LEAF("malloc", "free", "0")
LEAF("other_get", "other_put", "8")

/*
 * Two calls with all registers in use; *out gets the general ones, then the flags by lahf and seto, after each. The second
 * call's argument is the first's result. rax and rdi are the functions' own.
 */
#define KEEP(name, get, put)                                                                       \
	static __attribute__((noinline)) void name(uint64_t seed, uint64_t *out)                   \
	{                                                                                          \
		__asm__ volatile(                                                                  \
			"sub $256,%%rsp\n\t"                                                       \
			"push %%rbx; push %%rbp; push %%rsi\n\t"                                   \
			"mov %%rcx,%%r8\n\t"                                                       \
			"lea 1(%%r8),%%r9; lea 2(%%r8),%%r10; lea 3(%%r8),%%r11\n\t"               \
			"lea 4(%%r8),%%r12; lea 5(%%r8),%%r13; lea 6(%%r8),%%r14\n\t"              \
			"lea 7(%%r8),%%r15; lea 8(%%r8),%%rbx; lea 9(%%r8),%%rbp\n\t"              \
			"lea 10(%%r8),%%rdx; lea 11(%%r8),%%rcx\n\t"                               \
			"mov $0x7f,%%al; mov $0xd5,%%ah; add $1,%%al; sahf\n\t"                    \
			"mov $32,%%edi\n\t"                                                        \
			"call " get "\n\t"                                                         \
			"mov %%rax,%%rdi\n\t"                                                      \
			"call " put "\n\t"                                                         \
			"lahf; seto %%al; movzwl %%ax,%%eax\n\t"                                   \
			"pop %%rsi\n\t"                                                            \
			"mov %%r8,(%%rsi); mov %%r9,8(%%rsi); mov %%r10,16(%%rsi)\n\t"             \
			"mov %%r11,24(%%rsi); mov %%r12,32(%%rsi); mov %%r13,40(%%rsi)\n\t"        \
			"mov %%r14,48(%%rsi); mov %%r15,56(%%rsi); mov %%rbx,64(%%rsi)\n\t"        \
			"mov %%rbp,72(%%rsi); mov %%rdx,80(%%rsi); mov %%rcx,88(%%rsi)\n\t"        \
			"mov %%rax,96(%%rsi)\n\t"                                                  \
			"pop %%rbp; pop %%rbx\n\t"                                                 \
			"add $256,%%rsp\n\t"                                                       \
			: "+c"(seed), "+S"(out)                                                    \
			:                                                                          \
			: "rax", "rdx", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",      \
			  "r15", "memory", "cc");                                                  \
	}
KEEP(keep_plain, "malloc", "free")
KEEP(keep_other, "other_get", "other_put")

/* The number of the first register that was changed, -1: none. The last are the flags: SF ZF AF PF CF of ah, OF of al. */
static int changed(uint64_t seed, const uint64_t *out)
{
	for (int i = 0; i < 12; i++) {
		if (out[i] != seed + (uint64_t)i)
			return i;
	}
	return (out[12] & 0xd501) == 0xd501 ? -1 : 12;
}

static void fill(int list)
{
	for (int i = 0; i < ITEMS; i++) {
		*(void **)leaf_items[list][i] = leaf_spare[list];
		leaf_spare[list] = leaf_items[list][i];
	}
}

/* Knows no C library: without a thread pointer there is none. Its end is told by the kernel, in bare_ended. */
static int bare(void *unused)
{
	uint64_t out[13];
	(void)unused;
	for (uint64_t seed = 0x1234567; !stop; seed += 0x1010101) {
		keep_other(seed, out);
		bare_failures += changed(seed, out) != -1;
		bare_turns++;
	}
	__asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
	return 0;
}

static void start_bare(void)
{
	static char stack[65536] __attribute__((aligned(4096)));
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_CHILD_CLEARTID;
	fill(1);
	if (clone(bare, stack + sizeof(stack), flags, NULL, NULL, NULL, &bare_ended) < 0) {
		perror("clone");
		_exit(2);
	}
	while (bare_turns < 2)
		usleep(100);
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

int main(int argc, char **argv)
{
	uint64_t out[13], turns = 0;
	int failures = 0;
	static char buffer[4096];
	fill(0);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	signal(SIGTERM, on_term);
	if (argc > 1 && strcmp(argv[1], "bare") == 0)
		start_bare();
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (uint64_t seed = 0x123456789abc; !stop; seed += 0x10101010101) {
		keep_plain(seed, out);
		int at = changed(seed, out);
		if (at >= 0 && failures++ < 3)
			printf("register %d is %lx\n", at, out[at]);
		if (++turns % 256 == 0)
			usleep(100);
	}
	while (bare_ended && argc > 1)
		usleep(1000);
	if (bare_failures)
		printf("the thread without a thread pointer saw %u changes\n", bare_failures);
	if (!failures && !bare_failures)
		puts("all well");
	fflush(stdout);
	return failures || bare_failures;
}
