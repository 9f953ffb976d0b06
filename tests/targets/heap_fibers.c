/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_fibers - stacks that come and go, and calls that never return or return much later.
 *
 * heap_fibers MODE:
 *   beside   coroutines of the main thread on bare mappings beside its thread-local storage, which go again in any order
 *   threads  short threads with stacks of many sizes, and coroutines on mappings of what they left
 *   jump     a timer's handler jumps out of a pool's function, a thousand times a second
 *   wait     a pool's function that waits, inside, until SIGUSR1
 *   preempt  fibers that a timer's handler switches in the middle of anything
 *   switch   a pool's function that lets another coroutine run
 *
 * Ends on SIGTERM with "all well" if all that was computed is right.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define FIBERS 16

static volatile sig_atomic_t stop, released;
static int failures;

static void bad(const char *what)
{
	failures++;
	printf("heap_fibers: %s\n", what);
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void ready(void)
{
	/* Nobody jumps out of this one. */
	struct sigaction action = { .sa_handler = on_term, .sa_flags = SA_RESTART };
	sigfillset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
}

/* ---- the pool ---- */

static char arena[1 << 20];
static size_t used;

/* Left by its own return only: that can be seen. */
__attribute__((noinline)) void *pool_take(size_t n)
{
	size_t at = used;
	used = at + n < sizeof(arena) - 4096 ? at + n : 0;
	return arena + at;
}

static volatile int inside;

__attribute__((noinline)) void *pool_wait(size_t n)
{
	inside = 1;
	while (!released)
		__asm__ volatile("pause");
	inside = 0;
	return arena + n % 1024;
}

static ucontext_t home, fiber[FIBERS];
static volatile int current;

__attribute__((noinline)) void *pool_switch(size_t n)
{
	swapcontext(&fiber[current], &home);
	return arena + n % 1024;
}

/* ---- coroutines ---- */

static char *stacks[FIBERS];
static int done[FIBERS];

static void work(size_t n)
{
	char *volatile block = malloc(n); /* the compiler would do without */
	memset(block, (int)n, 64);
	if (block[63] != (char)n)
		bad("a block is not what was written");
	free(block);
}

static void coroutine(int me)
{
	for (int turn = 0; turn < 10 + me; turn++) {
		for (size_t i = 0; i < 20; i++)
			work(3000 + i * 100);
		swapcontext(&fiber[me], &home);
	}
	done[me] = 1;
}

static void begin(int me, size_t bytes, void (*body)(int))
{
	stacks[me] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stacks[me] == MAP_FAILED)
		exit(2);
	getcontext(&fiber[me]);
	fiber[me].uc_stack.ss_sp = stacks[me];
	fiber[me].uc_stack.ss_size = bytes;
	fiber[me].uc_link = &home;
	makecontext(&fiber[me], (void (*)(void))body, 1, me);
	done[me] = 0;
}

static size_t stack_bytes(int me)
{
	return (size_t)(16 + me % 3 * 16) << 10;
}

/* Each is unmapped at once when it is done, in whatever order that is. */
static void round_of_coroutines(void)
{
	for (int i = 0; i < FIBERS; i++)
		begin(i, stack_bytes(i), coroutine);
	for (int left = FIBERS; left;) {
		for (int i = 0; i < FIBERS; i++) {
			if (done[i] || rand() % 4 == 0)
				continue;
			swapcontext(&home, &fiber[i]);
			if (done[i]) {
				munmap(stacks[i], stack_bytes(i));
				left--;
			}
		}
	}
}

static void beside(void)
{
	ready();
	while (!stop)
		round_of_coroutines();
}

/* ---- threads ---- */

static void *short_thread(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < 200; i++)
		work(2000 + i * 10);
	return NULL;
}

static void threads(void)
{
	ready();
	while (!stop) {
		pthread_t all[4];
		for (int i = 0; i < 4; i++) {
			pthread_attr_t attr;
			pthread_attr_init(&attr);
			pthread_attr_setstacksize(&attr, (size_t)(64 + rand() % 8 * 64) << 10);
			pthread_attr_setguardsize(&attr, (size_t)(1 + rand() % 3) << 12);
			if (pthread_create(&all[i], &attr, short_thread, NULL))
				exit(2);
			pthread_attr_destroy(&attr);
		}
		for (int i = 0; i < 4; i++)
			pthread_join(all[i], NULL);
		round_of_coroutines();
	}
}

/* ---- a jump out ---- */

static sigjmp_buf outside;
static volatile sig_atomic_t may_jump;
static volatile uint64_t jumps;

static void on_jump(int sig)
{
	(void)sig;
	if (!may_jump)
		return;
	jumps++;
	siglongjmp(outside, 1);
}

static void every(int microseconds, void (*handler)(int))
{
	struct itimerval timer = { { 0, microseconds }, { 0, microseconds } };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &timer, NULL);
}

static void jump(void)
{
	every(1000, on_jump);
	ready();
	while (!stop) {
		sigsetjmp(outside, 1);
		may_jump = 1;
		for (int i = 0; i < 1000 && !stop; i++) {
			if ((char *)pool_take(1000) < arena)
				bad("a block of the pool lies elsewhere");
		}
		may_jump = 0;
		work(5000);
	}
	if (!jumps)
		bad("nobody jumped");
}

/* ---- a call that lasts ---- */

static void on_usr1(int sig)
{
	(void)sig;
	released = 1;
}

static void *waiter(void *unused)
{
	(void)unused;
	if ((char *)pool_wait(100) != arena + 100)
		bad("the waiting call gave another block");
	puts("returned");
	fflush(stdout);
	return NULL;
}

static void *helper(void *unused)
{
	(void)unused;
	while (!inside && !stop)
		usleep(1000);
	puts("inside");
	fflush(stdout);
	return NULL;
}

/* The call is made when a byte arrives: then the profile is in place. */
static void wait_inside(void)
{
	char byte;
	pthread_t thread, other;
	signal(SIGUSR1, on_usr1);
	ready();
	if (read(0, &byte, 1) != 1)
		exit(2);
	pthread_create(&thread, NULL, waiter, NULL);
	pthread_create(&other, NULL, helper, NULL);
	while (!stop) {
		work(3000);
		usleep(1000);
	}
	pthread_join(thread, NULL);
	pthread_join(other, NULL);
}

/* ---- preempted ---- */

static uint64_t turns[FIBERS];
static volatile uint64_t switches;

/* Interrupted anywhere, its context stays on its stack until its turn comes again. */
static void on_tick(int sig)
{
	int me = current;
	(void)sig;
	switches++;
	swapcontext(&fiber[me], &home);
}

static void endless(int me)
{
	for (;;) {
		char *block = pool_take(64);
		block[0] = (char)me;
		for (volatile int i = 0; i < 100; i++)
			;
		turns[me]++;
	}
}

/* A thread on a stack of its own, which no fiber is. */
static void *sleeper(void *unused)
{
	(void)unused;
	while (!stop)
		usleep(10000);
	return NULL;
}

static void preempt(void)
{
	sigset_t all;
	pthread_t thread;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	pthread_create(&thread, NULL, sleeper, NULL);
	sigemptyset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < FIBERS; i++)
		begin(i, 64 << 10, endless);
	every(1000, on_tick);
	ready();
	while (!stop) {
		/* What is restored of the mask lets the signal come in the fiber only. */
		sigset_t tick;
		sigemptyset(&tick);
		sigaddset(&tick, SIGVTALRM);
		sigprocmask(SIG_BLOCK, &tick, NULL);
		sigdelset(&fiber[current].uc_sigmask, SIGVTALRM);
		swapcontext(&home, &fiber[current]);
		current = (current + 1) % FIBERS;
	}
	every(0, SIG_IGN);
	pthread_join(thread, NULL);
	if (switches < FIBERS)
		bad("fibers were not switched");
}

/* ---- a switch inside ---- */

static void switching(int me)
{
	for (;;) {
		if ((char *)pool_switch(100) != arena + 100)
			bad("a block of the pool lies elsewhere");
		turns[me]++;
	}
}

static void switch_inside(void)
{
	for (int i = 0; i < FIBERS; i++)
		begin(i, 64 << 10, switching);
	ready();
	while (!stop) {
		for (current = 0; current < FIBERS; current = current + 1)
			swapcontext(&home, &fiber[current]);
		work(3000);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
		{ "beside", beside },    { "threads", threads }, { "jump", jump },
		{ "wait", wait_inside }, { "preempt", preempt }, { "switch", switch_inside }
	};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (argc > 1 && strcmp(argv[1], modes[i].name) == 0) {
			modes[i].run();
			if (!failures)
				puts("all well");
			fflush(stdout);
			return failures != 0;
		}
	}
	return 2;
}
