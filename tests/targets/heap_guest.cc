/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_guest - what a program may do while its allocator is being watched, all at once, and every result checked.
 *
 * Threads that come and go, forks, vforks and posix_spawns, exceptions out of operator new, signal handlers that
 * interrupt the allocator and allocate, longjmp, coroutines on small stacks, sleeping system calls. Usage: heap_guest
 * [SECONDS]. Ends on SIGTERM with exit status 0 and "all well", or says what went wrong.
 */
#include <atomic>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

extern char **environ;
static std::atomic<bool> stop;
static std::atomic<uint64_t> turns[8];
static std::atomic<int> failures;

static void bad(const char *what)
{
	failures++;
	fprintf(stderr, "heap_guest: %s\n", what);
}

static void churn(unsigned seed, int n)
{
	std::vector<char *> blocks;
	for (int i = 0; i < n; i++) {
		size_t bytes = 1 + (seed = seed * 1103515245u + 12345u) % 6000;
		char *block = new char[bytes];
		block[0] = block[bytes - 1] = (char)seed;
		blocks.push_back(block);
	}
	for (char *block : blocks)
		delete[] block;
}

static void *short_life(void *)
{
	churn(7, 20);
	return nullptr;
}

static void *thread_churn(void *)
{
	while (!stop) {
		pthread_t threads[4];
		for (pthread_t &thread : threads)
			if (pthread_create(&thread, nullptr, short_life, nullptr))
				bad("pthread_create");
		for (pthread_t &thread : threads)
			pthread_join(thread, nullptr);
		turns[0]++;
	}
	return nullptr;
}

static void *fork_churn(void *)
{
	while (!stop) {
		pid_t child = fork();
		if (child == 0) {
			/* Only what a child of a threaded process may do; glibc lets it allocate. */
			for (int i = 0; i < 300; i++)
				free(malloc(4000));
			_exit(7);
		}
		int status = 0;
		if (child < 0 || waitpid(child, &status, 0) != child || status != 7 << 8)
			bad("fork");
		if ((child = vfork()) == 0) {
			execl("/bin/true", "true", nullptr);
			_exit(9);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			bad("vfork and exec");
		char *const arguments[] = { (char *)"true", nullptr };
		if (posix_spawn(&child, "/bin/true", nullptr, nullptr, arguments, environ) ||
		    waitpid(child, &status, 0) != child || status != 0)
			bad("posix_spawn");
		turns[1]++;
	}
	return nullptr;
}

/* Not optimized away, and larger than any address space. */
static volatile size_t huge = (size_t)1 << 62;

static void *throw_churn(void *)
{
	while (!stop) {
		int caught = 0;
		for (int i = 0; i < 100; i++) {
			try {
				char *block = (char *)operator new(huge);
				operator delete(block);
			} catch (const std::bad_alloc &) {
				caught++;
			}
			if (operator new(huge, std::nothrow))
				bad("nothrow gave a block");
			char *kept = (char *)malloc(100);
			strcpy(kept, "kept");
			char *volatile same = kept; /* it stays valid where realloc fails */
			if (realloc(kept, huge) || strcmp(same, "kept") != 0)
				bad("a failed realloc");
			free(same);
		}
		if (caught != 100)
			bad("bad_alloc did not arrive");
		churn(3, 50);
		turns[2]++;
	}
	return nullptr;
}

static thread_local volatile sig_atomic_t in_alloc;
static std::atomic<uint64_t> handled;

/* It does not allocate where the interrupted code might: the C library's lock is not recursive. */
static void on_signal(int)
{
	handled++;
	if (!in_alloc)
		free(malloc(64));
}

static void *signal_churn(void *)
{
	struct sigaction action = {};
	action.sa_handler = on_signal;
	action.sa_flags = SA_RESTART;
	sigaction(SIGURG, &action, nullptr);
	pthread_t self = pthread_self();
	pthread_t sender;
	pthread_create(
		&sender, nullptr,
		[](void *to) -> void * {
			while (!stop) {
				pthread_kill(*(pthread_t *)to, SIGURG);
				usleep(50);
			}
			return nullptr;
		},
		&self);
	while (!stop) {
		in_alloc = 1;
		churn(5, 50);
		in_alloc = 0;
		for (volatile int i = 0; i < 1000; i = i + 1)
			;
		turns[3]++;
	}
	pthread_join(sender, nullptr);
	return nullptr;
}

static void *jump_churn(void *)
{
	while (!stop) {
		sigjmp_buf back;
		for (volatile int i = 0; i < 100; i = i + 1) {
			void *volatile block = nullptr;
			if (!sigsetjmp(back, i & 1)) {
				block = malloc(3000);
				siglongjmp(back, 1);
			}
			free(block);
		}
		turns[4]++;
	}
	return nullptr;
}

struct coroutine {
	ucontext_t main, own;
	bool last; /* it frees what it has and does not go on */
};

static void body(unsigned high, unsigned low)
{
	coroutine *self = (coroutine *)((uintptr_t)high << 32 | low);
	for (;;) {
		void *blocks[20];
		for (void *&block : blocks)
			block = malloc(5000);
		swapcontext(&self->own, &self->main);
		for (void *block : blocks)
			free(block);
		if (self->last)
			swapcontext(&self->own, &self->main);
	}
}

#ifndef __clang__ /* getcontext returns twice by its declaration; here it never does */
#pragma GCC diagnostic ignored "-Wclobbered"
#endif
/* Stacks of 16 KiB with an inaccessible page on either side: reading past one is the end. */
static void *coroutine_churn(void *)
{
	const size_t bytes = 16384, page = 4096;
	while (!stop) {
		std::vector<coroutine *> all;
		std::vector<char *> stacks;
		for (int i = 0; i < 8; i++) {
			char *stack = (char *)mmap(nullptr, bytes + 2 * page, PROT_NONE,
						   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			mprotect(stack + page, bytes, PROT_READ | PROT_WRITE);
			coroutine *one = new coroutine();
			getcontext(&one->own);
			one->own.uc_stack.ss_sp = stack + page;
			one->own.uc_stack.ss_size = bytes;
			makecontext(&one->own, (void (*)())body, 2,
				    (unsigned)((uintptr_t)one >> 32), (unsigned)(uintptr_t)one);
			all.push_back(one);
			stacks.push_back(stack);
		}
		for (int round = 0; round < 50; round++)
			for (coroutine *one : all)
				swapcontext(&one->main, &one->own);
		for (coroutine *one : all) {
			one->last = true;
			swapcontext(&one->main, &one->own);
			delete one;
		}
		for (char *stack : stacks)
			munmap(stack, bytes + 2 * page);
		turns[5]++;
	}
	return nullptr;
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Sleeps neither end early nor late, and reads do not fail, because somebody looked in. */
static void *sleep_churn(void *)
{
	int fds[2];
	if (pipe(fds))
		bad("pipe");
	while (!stop) {
		struct timespec ts = { 0, 20000000 };
		uint64_t start = now_ns();
		if (nanosleep(&ts, nullptr))
			bad("nanosleep was interrupted");
		if (now_ns() - start < 20000000)
			bad("nanosleep was short");
		pthread_t writer;
		pthread_create(
			&writer, nullptr,
			[](void *fd) -> void * {
				usleep(5000);
				if (write(*(int *)fd, "x", 1) != 1)
					bad("write");
				return nullptr;
			},
			&fds[1]);
		char c = 0;
		if (read(fds[0], &c, 1) != 1 || c != 'x')
			bad("read was interrupted");
		pthread_join(writer, nullptr);
		turns[6]++;
	}
	return nullptr;
}

int main(int argc, char **argv)
{
	static void *(*const works[])(void *) = { thread_churn, fork_churn, throw_churn,
						  signal_churn, jump_churn, coroutine_churn,
						  sleep_churn };
	const size_t n = sizeof(works) / sizeof(works[0]);
	pthread_t threads[n];
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &ends, nullptr);
	for (size_t i = 0; i < n; i++)
		pthread_create(&threads[i], nullptr, works[i], nullptr);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (argc > 1)
		alarm((unsigned)atoi(argv[1]));
	int signal_no;
	sigwait(&ends, &signal_no);
	stop = true;
	for (pthread_t thread : threads)
		pthread_join(thread, nullptr);
	for (size_t i = 0; i < n; i++)
		if (!turns[i])
			bad("something stood still");
	if (failures)
		return 1;
	puts("all well");
	return 0;
}
