/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_registers - one thread that would notice if anything of it were changed behind its back.
 *
 * Holds known values in all general and vector registers over a long loop, again and again, and between the loops
 * looks at its signal mask, its alternate stack, its rounding mode and its sleeps; it allocates as well. Being the only
 * thread, it is the one that a profiler borrows. With the argument "busy" it does not sleep. Ends on SIGTERM with "all well", or says what was changed.
 */
#include <fenv.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;
static int failures;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void bad(const char *what)
{
	failures++;
	fprintf(stderr, "heap_registers: %s\n", what);
}

/* rbp, rsp and the loop counter are the compiler's and ours; the rest hold their own number times `seed`. */
static __attribute__((noinline)) void general(uint64_t seed)
{
	uint64_t out[8];
	__asm__ volatile("mov %[seed], %%r8\n\t"
			 "lea (%%r8,%%r8), %%r9\n\t"
			 "lea 3(%%r8), %%r10\n\t"
			 "lea 4(%%r8), %%r11\n\t"
			 "lea 5(%%r8), %%r12\n\t"
			 "lea 6(%%r8), %%r13\n\t"
			 "lea 7(%%r8), %%r14\n\t"
			 "lea 8(%%r8), %%r15\n\t"
			 "mov $300000, %%rcx\n"
			 "1: dec %%rcx\n\t"
			 "jnz 1b\n\t"
			 "mov %%r8, 0(%[out])\n\t"
			 "mov %%r9, 8(%[out])\n\t"
			 "mov %%r10, 16(%[out])\n\t"
			 "mov %%r11, 24(%[out])\n\t"
			 "mov %%r12, 32(%[out])\n\t"
			 "mov %%r13, 40(%[out])\n\t"
			 "mov %%r14, 48(%[out])\n\t"
			 "mov %%r15, 56(%[out])\n\t"
			 :
			 : [seed] "a"(seed), [out] "d"(out)
			 : "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
			   "cc");
	const uint64_t want[8] = { seed,     seed * 2, seed + 3, seed + 4,
				   seed + 5, seed + 6, seed + 7, seed + 8 };
	if (memcmp(out, want, sizeof(want)) != 0)
		bad("a general register was changed");
}

#define EACH(DO)                                                                                   \
	DO(0)                                                                                      \
	DO(1)                                                                                      \
	DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)

#define VECTORS(name, isa, mov, reg, bytes)                                                        \
	static __attribute__((noinline, target(isa))) void name(uint8_t seed)                      \
	{                                                                                          \
		uint8_t in[16 * bytes], out[16 * bytes];                                           \
		for (size_t i = 0; i < sizeof(in); i++)                                            \
			in[i] = (uint8_t)(seed + i * 7);                                           \
		__asm__ volatile(EACH(mov##_IN) "mov $300000, %%rcx\n"                             \
						"1: dec %%rcx\n\t"                                 \
						"jnz 1b\n\t" EACH(mov##_OUT)                       \
				 :                                                                 \
				 : [in] "a"(in), [out] "d"(out)                                    \
				 : "rcx", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",  \
				   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",       \
				   "xmm12", "xmm13", "xmm14", "xmm15");                            \
		if (memcmp(in, out, sizeof(in)) != 0)                                              \
			bad("a vector register was changed");                                      \
	}

#define SSE_IN(n)  "movdqu 16*" #n "(%[in]), %%xmm" #n "\n\t"
#define SSE_OUT(n) "movdqu %%xmm" #n ", 16*" #n "(%[out])\n\t"
#define AVX_IN(n)  "vmovdqu 32*" #n "(%[in]), %%ymm" #n "\n\t"
#define AVX_OUT(n) "vmovdqu %%ymm" #n ", 32*" #n "(%[out])\n\t"
VECTORS(sse, "sse2", SSE, xmm, 16)
VECTORS(avx, "avx", AVX, ymm, 32)

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *signal_stack;

static void surroundings(int busy)
{
	stack_t stack;
	sigset_t mask;
	if (sigaltstack(NULL, &stack) || stack.ss_sp != signal_stack || stack.ss_size != 65536 ||
	    stack.ss_flags != 0)
		bad("the alternate stack was changed");
	if (sigprocmask(SIG_SETMASK, NULL, &mask) || !sigismember(&mask, SIGUSR1) ||
	    sigismember(&mask, SIGUSR2) || sigismember(&mask, SIGTERM))
		bad("the signal mask was changed");
	if (fegetround() != FE_TOWARDZERO)
		bad("the rounding mode was changed");
	if (busy)
		return;
	struct timespec ts = { 0, 3000000 };
	uint64_t start = now_ns();
	if (nanosleep(&ts, NULL) && !stop)
		bad("a sleep was interrupted");
	else if (now_ns() - start < 3000000 && !stop)
		bad("a sleep was short");
}

int main(int argc, char **argv)
{
	(void)argv;
	sigset_t blocked;
	signal_stack = malloc(65536);
	stack_t stack = { .ss_sp = signal_stack, .ss_size = 65536 };
	sigaltstack(&stack, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	signal(SIGTERM, on_term);
	fesetround(FE_TOWARDZERO);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (uint64_t turn = 1; !stop; turn++) {
		general(turn * 0x123456789ull);
		sse((uint8_t)turn);
		if (__builtin_cpu_supports("avx"))
			avx((uint8_t)turn);
		surroundings(argc > 1);
		for (int i = 0; i < 200; i++)
			free(malloc(20000));
	}
	if (!failures)
		puts("all well");
	return failures != 0;
}
