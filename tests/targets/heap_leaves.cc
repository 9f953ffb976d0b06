/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_leaves - pools whose functions are left in every way there is, and return by every instruction there is.
 *
 * Coroutines that change stacks in the middle of an allocation, by swapcontext and by hand; exceptions, longjmp, pthread_exit and
 * pthread_cancel out of one; fork and signal handlers in one; recursion; returns by rep, bnd and ret imm16, by a tail call,
 * by a jump into another function's end. The program has a SIGTRAP handler of its own, for breakpoints and single steps.
 *
 * Commands on the standard input, one a line: a name of the table below, or "quit". Says "truth FUNCTION OBJECTS BYTES 0 0" for
 * what was taken by calls that returned, then "done". Ends with status 1 and a line on stderr if something went wrong.
 */
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <pthread.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline, optnone, used))
#else
#define NOINLINE __attribute__((noinline, noclone, noipa))
#endif
#define POOL extern "C" __attribute__((noinline)) void *
#define USER static NOINLINE void

extern "C" {
__attribute__((visibility("hidden"))) char arena[1 << 16];
}
static size_t used;

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "heap_leaves: %s\n", what);
	_exit(1);
}

static inline void *cut(size_t n)
{
	if (used + n > sizeof(arena))
		used = 0;
	used += n;
	return arena + used - n;
}

static void truth(const char *name, unsigned long objects, unsigned long bytes)
{
	printf("truth %s %lu %lu 0 0\n", name, objects, bytes);
}

/* What a caller does with a block; it keeps the call from being its last. */
static void *volatile last;

/* ---- coroutines: four that go on in turn, each in the middle of its allocation ---- */

#define COROUTINES 4
#define TURNS      50
static ucontext_t home, contexts[COROUTINES];
static void *hand_sp[COROUTINES], *hand_home;
static char stacks[2][COROUTINES][1 << 16];
static int running;

POOL pool_swap(size_t n)
{
	swapcontext(&contexts[running], &home);
	return cut(n);
}

USER by_swap(int self)
{
	for (;;)
		last = pool_swap((size_t)(100 + self));
}

/* Saves what a callee must keep on the stack that it leaves at *from, and goes on at `to`. */
extern "C" void change_stacks(void **from, void *to);
__asm__(".text\n.globl change_stacks\n.type change_stacks, @function\n"
	"change_stacks:\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	ret\n"
	".size change_stacks, .-change_stacks\n");

POOL pool_hand(size_t n)
{
	change_stacks(&hand_sp[running], hand_home);
	return cut(n);
}

USER by_hand(void)
{
	for (;;)
		last = pool_hand((size_t)(200 + running));
}

static void prepare_coroutines(void)
{
	for (int i = 0; i < COROUTINES; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stacks[0][i];
		contexts[i].uc_stack.ss_size = sizeof(stacks[0][i]);
		makecontext(&contexts[i], (void (*)(void))by_swap, 1, i);
		uint64_t *sp = (uint64_t *)(stacks[1][i] + sizeof(stacks[1][i]) - 64);
		sp[6] = (uint64_t)(uintptr_t)
			by_hand; /* above six registers; then as after a call */
		hand_sp[i] = sp;
	}
}

static void coroutines(void)
{
	unsigned long objects = 0, swapped = 0, handed = 0;
	for (int turn = 0; turn < TURNS; turn++) {
		for (running = 0; running < COROUTINES; running++) {
			swapcontext(&home, &contexts[running]);
			change_stacks(&hand_home, hand_sp[running]);
			if (!turn) /* the first allocation has only begun */
				continue;
			objects++;
			swapped += (unsigned long)(100 + running);
			handed += (unsigned long)(200 + running);
		}
	}
	truth("by_swap", objects, swapped);
	truth("by_hand", objects, handed);
}

/* ---- left otherwise ---- */

POOL pool_throw(size_t n)
{
	if (n > 1000)
		throw std::bad_alloc();
	return cut(n);
}

USER by_throw(size_t n, bool *caught)
{
	try {
		last = pool_throw(n);
	} catch (const std::bad_alloc &) {
		*caught = true;
	}
}

static void exceptions(void)
{
	for (int i = 0; i < 1000; i++) {
		bool caught = false;
		by_throw(5000, &caught);
		check(caught, "the exception did not arrive");
		by_throw(70, &caught);
	}
	truth("by_throw", 1000, 70000);
}

static jmp_buf on_error;

POOL pool_jump(size_t n)
{
	if (n > 1000)
		longjmp(on_error, 1);
	return cut(n);
}

USER by_jump(size_t n)
{
	last = pool_jump(n);
}

static void jumps(void)
{
	static volatile int i, jumped;
	jumped = 0;
	for (i = 0; i < 1000; i++) {
		if (setjmp(on_error) == 0) {
			by_jump(5000);
			check(false, "longjmp came back");
		}
		jumped++;
		by_jump(80);
	}
	check(jumped == 1000, "longjmp");
	truth("by_jump", 1000, 80000);
}

POOL pool_end(size_t n)
{
	if (n == 1)
		pthread_exit(NULL);
	if (n == 2) {
		for (;;)
			pause(); /* until it is cancelled */
	}
	return cut(n);
}

USER by_end(size_t n)
{
	last = pool_end(n);
}

static void *ends(void *arg)
{
	by_end(90);
	by_end((size_t)arg);
	return NULL;
}

static void threads(void)
{
	for (int i = 0; i < 20; i++) {
		pthread_t exits, cancelled;
		check(!pthread_create(&exits, NULL, ends, (void *)1), "pthread_create");
		check(!pthread_create(&cancelled, NULL, ends, (void *)2), "pthread_create");
		pthread_cancel(cancelled);
		pthread_join(exits, NULL);
		void *result;
		pthread_join(cancelled, &result);
		check(result == PTHREAD_CANCELED, "pthread_cancel");
		by_end(90);
	}
	truth("by_end", 60, 60 * 90);
}

/* ---- other things in the middle ---- */

POOL pool_fork(size_t n)
{
	const pid_t child = n == 110 ? fork() : -1;
	if (child == 0) {
		last = pool_throw(10);
		return arena;
	}
	int status = 0;
	if (child > 0)
		check(waitpid(child, &status, 0) == child && status == 0, "the forked child");
	return cut(n);
}

USER by_fork(size_t n, pid_t self)
{
	char *block = (char *)pool_fork(n);
	if (getpid() != self)
		_exit(block == arena ? 0 : 3);
	last = block;
}

static void forks(void)
{
	for (int i = 0; i < 20; i++) {
		by_fork(110, getpid());
		by_fork(111, getpid());
	}
	truth("by_fork", 40, 20 * 221);
}

POOL pool_signal(size_t n)
{
	if (n == 120)
		raise(SIGUSR1);
	return cut(n);
}

static void on_usr1(int signal_no)
{
	(void)signal_no;
	last = pool_signal(121); /* while the other one goes on: part of it */
}

USER by_signal(size_t n)
{
	last = pool_signal(n);
}

static void signals(void)
{
	for (int i = 0; i < 100; i++)
		by_signal(120);
	truth("by_signal", 100, 12000);
}

POOL pool_deep(size_t n, int depth)
{
	return depth ? (char *)pool_deep(n, depth - 1) + 1 : cut(n);
}

USER by_deep(void)
{
	last = pool_deep(130, 20);
}

static void recursion(void)
{
	for (int i = 0; i < 100; i++)
		by_deep();
	truth("by_deep", 100, 13000);
}

/* ---- forms of returning ---- */

extern "C" void *pool_rep(size_t n), *pool_bnd(size_t n), *pool_imm(size_t n),
	*pool_end_of_other(size_t n), *pool_other(size_t n), *pool_frees(size_t n);
__asm__(".text\n"
	".globl pool_rep\n.type pool_rep, @function\npool_rep: lea arena(%rip), %rax\n rep ret\n.size pool_rep, .-pool_rep\n"
	".globl pool_bnd\n.type pool_bnd, @function\npool_bnd: lea arena(%rip), %rax\n .byte 0xf2\n ret\n.size pool_bnd, .-pool_bnd\n"
	".globl pool_imm\n.type pool_imm, @function\npool_imm: lea arena(%rip), %rax\n ret $16\n.size pool_imm, .-pool_imm\n"
	".globl pool_other\n.type pool_other, @function\n"
	"pool_other: lea arena(%rip), %rax\nshared_end: inc %rax\n dec %rax\n ret\n.size pool_other, .-pool_other\n"
	".globl pool_end_of_other\n.type pool_end_of_other, @function\n"
	"pool_end_of_other: push %rbx\n pop %rbx\n lea arena(%rip), %rax\n jmp shared_end\n"
	".size pool_end_of_other, .-pool_end_of_other\n"
	/* three arguments of which two are on the stack, which it takes with it */
	".globl call_imm\n.type call_imm, @function\n"
	"call_imm: sub $8, %rsp\n push $7\n push $7\n call pool_imm\n add $8, %rsp\n ret\n.size call_imm, .-call_imm\n");
extern "C" void *call_imm(size_t n);

USER by_rep(void)
{
	last = pool_rep(140);
}
USER by_bnd(void)
{
	last = pool_bnd(150);
}
USER by_imm(void)
{
	last = call_imm(160);
}
USER by_end_of_other(void)
{
	last = pool_end_of_other(170);
}
USER by_other(void)
{
	last = pool_other(171); /* it is none of the pools */
}

static void forms(void)
{
	for (int i = 0; i < 100; i++) {
		by_rep();
		by_bnd();
		by_imm();
		by_end_of_other();
		by_other();
	}
	check(last == arena, "a result");
	truth("by_rep", 100, 14000);
	truth("by_bnd", 100, 15000);
	truth("call_imm", 100, 16000);
	truth("by_end_of_other", 100, 17000);
	truth("by_other", 0, 0);
}

POOL pool_tail(size_t n)
{
	return malloc(n);
}

POOL pool_clear(void *to, size_t n)
{
	return memset(to, 0, n);
}

POOL pool_table(size_t n, int kind)
{
	switch (kind) {
	case 0:
		return cut(n);
	case 1:
		last = NULL;
		return cut(n + 1);
	case 2:
		errno = 0;
		return cut(n + 2);
	case 3:
		used = 0;
		return cut(n + 3);
	case 4:
		used &= ~15ul;
		return cut(n + 4);
	case 5:
		used &= ~31ul;
		return cut(n + 5);
	case 6:
		errno = ENOMEM;
		return cut(n + 6);
	default:
		return NULL;
	}
}

USER by_tail(void)
{
	void *block = pool_tail(180);
	last = block;
	free(block);
}
USER by_clear(size_t n)
{
	last = pool_clear(arena, n);
}
USER by_table(int kind)
{
	last = pool_table(190, kind);
}

static void jumps_out(void)
{
	for (int i = 0; i < 100; i++) {
		by_tail();
		by_clear((size_t)(20 + i));
		by_table(i % 8); /* the last kind fails */
	}
	truth("by_tail", 100, 18000);
	truth("by_clear", 100, 100 * 20 + 99 * 50);
	truth("by_table", 100 - 12, (100 - 12) * 190);
}

/* ---- a SIGTRAP handler of its own ---- */

static volatile sig_atomic_t traps;

static void on_trap(int signal_no)
{
	(void)signal_no;
	traps++;
}

/* Single steps over the whole of it, entry and return. */
static NOINLINE void *step_through(size_t n)
{
	__asm__ volatile("pushf\n orq $0x100, (%%rsp)\n popf" ::: "cc", "memory");
	void *block = pool_rep(n);
	__asm__ volatile("pushf\n andq $~0x100, (%%rsp)\n popf" ::: "cc", "memory");
	return block;
}

static void own_traps(void)
{
	for (int i = 0; i < 100; i++) {
		const int before = traps;
		__asm__ volatile("int3");
		check(traps == before + 1, "a breakpoint of its own");
		last = step_through(200);
		check(last == arena && traps > before + 4, "single steps of its own");
	}
	truth("step_through", 100, 20000);
}

/* ---- a child that goes on with the same program ---- */

static pid_t child = -1;

static void a_child(void)
{
	child = fork();
	while (child == 0) {
		free(malloc(10));
		last = pool_rep(10);
		usleep(1000);
	}
	printf("child %d\n", (int)child);
}

static const struct {
	const char *name;
	void (*run)(void);
} commands[] = {
	{ "coroutines", coroutines }, { "exceptions", exceptions }, { "jumps", jumps },
	{ "threads", threads },       { "forks", forks },           { "signals", signals },
	{ "recursion", recursion },   { "forms", forms },           { "jumps_out", jumps_out },
	{ "own_traps", own_traps },   { "a_child", a_child },
};

int main()
{
	char line[64];
	signal(SIGUSR1, on_usr1);
	signal(SIGTRAP, on_trap);
	prepare_coroutines();
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		line[strcspn(line, "\n")] = 0;
		for (const auto &command : commands) {
			if (strcmp(command.name, line) == 0)
				command.run();
		}
		printf("done\n");
		fflush(stdout);
	}
	if (child > 0) {
		check(waitpid(child, NULL, WNOHANG) == 0, "the child has ended");
		kill(child, SIGKILL);
	}
	return 0;
}
