/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_mapper - maps memory past its allocator in every way there is, and says what that was.
 *
 * "every" on its stdin maps 40 times in each way and unmaps half of it; "drop" unmaps the rest; "quit". Before "done" come lines
 * "truth FUNCTION calls bytes live_calls live_bytes". What malloc maps for large blocks, and for arenas of threads, is the
 * allocator's: of that it says nothing.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS 40
#define PAGE  4096u

#define STACK_BYTES ((size_t)5 << 20)

#define NOINLINE __attribute__((noinline))

static void *kept[16][CALLS];
static size_t sizes[16][CALLS];
static void *large[CALLS];

/* A call that is not the last thing the function does: its frame is in the stack. */
#define KEEP_FRAME(p) __asm__ volatile("" : "+r"(p))

static NOINLINE void *by_mmap(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	KEEP_FRAME(p);
	return p;
}

static NOINLINE void *by_syscall(size_t n)
{
	void *p = (void *)syscall(SYS_mmap, 0, n, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	KEEP_FRAME(p);
	return p;
}

static NOINLINE void *by_shared(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	KEEP_FRAME(p);
	return p;
}

static NOINLINE void *by_memfd(size_t n)
{
	int fd = memfd_create("pool", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)n))
		_exit(3);
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p;
}

/* Half of it can be used, the other half is an address only. */
static NOINLINE void *by_reserve(size_t n)
{
	char *p = mmap(NULL, 2 * n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || mprotect(p, n, PROT_READ | PROT_WRITE))
		_exit(3);
	return p;
}

/* Maps three times as much, and gives back the middle. */
static NOINLINE void *by_parts(size_t n)
{
	char *p = mmap(NULL, 3 * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || munmap(p + n, n))
		_exit(3);
	return p;
}

static NOINLINE void *by_mremap(size_t n)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p = mremap(p, PAGE, PAGE + n, MREMAP_MAYMOVE);
	KEEP_FRAME(p);
	return p;
}

static NOINLINE void *by_sbrk(size_t n)
{
	void *p = sbrk((intptr_t)n);
	KEEP_FRAME(p);
	return p;
}

static NOINLINE void *by_shmat(size_t n)
{
	int id = shmget(IPC_PRIVATE, n, IPC_CREAT | 0600);
	if (id < 0)
		_exit(3);
	void *p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL); /* goes with the last who has it */
	return p;
}

/* What is counted for one of them, when n is asked for; and how much of it stays. */
static const struct {
	const char *name;
	void *(*way)(size_t n);
	unsigned calls, times, lives; /* times n, and PAGE for each call but the first */
} ways[] = {
	{ "by_mmap", by_mmap, 1, 1, 1 },       { "by_syscall", by_syscall, 1, 1, 1 },
	{ "by_shared", by_shared, 1, 1, 1 },   { "by_memfd", by_memfd, 1, 1, 1 },
	{ "by_reserve", by_reserve, 1, 1, 1 }, { "by_parts", by_parts, 1, 3, 2 },
	{ "by_mremap", by_mremap, 2, 1, 1 },   { "by_sbrk", by_sbrk, 1, 1, 1 },
	{ "by_shmat", by_shmat, 1, 1, 1 },
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static size_t mapped(size_t way, size_t n)
{
	if (ways[way].way == by_parts)
		return 3 * n;
	if (ways[way].way == by_reserve)
		return 2 * n;
	return ways[way].way == by_mremap ? n + PAGE : n;
}

static int give_back(size_t way, char *p, size_t bytes)
{
	if (ways[way].way == by_sbrk)
		return sbrk(-(intptr_t)bytes) == (void *)-1;
	return ways[way].way == by_shmat ? shmdt(p) : munmap(p, bytes);
}

static void say(const char *name, size_t calls, size_t bytes, size_t live, size_t live_bytes)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "truth %s %zu %zu %zu %zu\n", name, calls, bytes, live,
			 live_bytes);
	if (write(1, text, (size_t)n) != n)
		_exit(3);
}

/* What lives of one that is known as a reservation only at the end is all that is known of it. */
static void one_way(size_t way)
{
	const int is_brk = ways[way].way == by_sbrk, is_reserve = ways[way].way == by_reserve;
	size_t calls = 0, bytes = 0, live = 0, live_bytes = 0;
	for (size_t i = 0; i < CALLS; i++) {
		const size_t n = PAGE * (1 + i % 7);
		const size_t extra = ways[way].calls > 1 ? PAGE : 0;
		char *p = ways[way].way(n);
		if (p == MAP_FAILED || !p)
			_exit(3);
		memset(p, 1, n);
		kept[way][i] = NULL;
		const int drop = i % 2;
		if (!drop || is_brk)
			calls += ways[way].calls, bytes += n * ways[way].times + 2 * extra;
		else if (!is_reserve)
			calls += ways[way].calls, bytes += n * ways[way].times + 2 * extra;
		if (drop) {
			if (give_back(way, p, mapped(way, n)))
				_exit(3);
			continue;
		}
		kept[way][i] = p;
		sizes[way][i] = mapped(way, n);
		live++;
		live_bytes += n * ways[way].lives + extra;
	}
	say(ways[way].name, calls, bytes, live, live_bytes);
}

/* ---- threads ---- */

static pthread_barrier_t barrier;

static void *wait_there(void *block)
{
	block = malloc(64); /* an arena of its own */
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	free(block);
	return NULL;
}

static pthread_t threads[4];

static NOINLINE void start_threads(void)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setguardsize(&attr, 0);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (size_t i = 0; i < 4; i++) {
		if (pthread_create(&threads[i], &attr, wait_there, NULL))
			_exit(3);
	}
	pthread_barrier_wait(&barrier);
	pthread_attr_destroy(&attr);
}

static NOINLINE void large_blocks(void)
{
	for (size_t i = 0; i < CALLS; i++) {
		large[i] = malloc(1u << 20);
		memset(large[i], 1, 64);
		if (i % 2) {
			large[i] = realloc(large[i], 3u << 20);
			free(large[i]);
			large[i] = NULL;
		}
	}
}

static void every(void)
{
	for (size_t way = 0; way < WAYS; way++)
		one_way(way);
	large_blocks();
	start_threads();
	say("start_threads", 4, 4 * STACK_BYTES, 4, 4 * STACK_BYTES);
}

static void drop(void)
{
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t way = 0; way < WAYS; way++) {
		for (size_t i = 0; i < CALLS; i++) {
			if (kept[way][i] && ways[way].way != by_sbrk)
				give_back(way, kept[way][i], sizes[way][i]);
		}
	}
	for (size_t i = 0; i < CALLS; i++)
		free(large[i]);
}

int main(void)
{
	static char line[64], output[64];
	setvbuf(stdout, output, _IOLBF, sizeof(output));
	setvbuf(stdin, NULL, _IONBF, 0);
	free(malloc(64)); /* the heap is there */
	pthread_barrier_init(&barrier, NULL, 5);
	printf("pid %d\nready\n", (int)getpid());
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "every\n") == 0)
			every();
		else if (strcmp(line, "drop\n") == 0)
			drop();
		else if (strcmp(line, "quit\n") == 0)
			return 0;
		printf("done\n");
	}
	return 0;
}
