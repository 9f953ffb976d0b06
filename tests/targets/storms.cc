/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storms - what programs do that profilers forget: each line "STORM K" on stdin is answered by what it comes to, a number
 * that depends on nothing but STORM and K. For tests/chaos: the answers must be the same whoever profiles it meanwhile.
 *
 * Usage: storms [THREADS]; prints its pid and "ready". THREADS workers allocate all the while, and look at what they wrote.
 * Ends with the end of stdin: status 0, or 1 where a worker found something wrong.
 */
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <pthread.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

namespace
{

char **arguments;

uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9fb21c651e98df25ull;
	return h ^ h >> 29;
}

/* A block with a content that tells whose it is. */
struct Block {
	unsigned char *bytes;
	size_t n;
	uint64_t seed;

	Block(size_t size, uint64_t s)
	    : bytes(static_cast<unsigned char *>(malloc(size))), n(size), seed(s)
	{
		for (size_t i = 0; i < n; i++)
			bytes[i] = static_cast<unsigned char>(mix(seed, i));
	}
	Block(const Block &) = delete;
	Block &operator=(const Block &) = delete;
	~Block()
	{
		free(bytes);
	}
	bool good() const
	{
		for (size_t i = 0; i < n; i++) {
			if (bytes[i] != static_cast<unsigned char>(mix(seed, i)))
				return false;
		}
		return true;
	}
	void grow(size_t size)
	{
		bytes = static_cast<unsigned char *>(realloc(bytes, size));
		for (size_t i = n; i < size; i++)
			bytes[i] = static_cast<unsigned char>(mix(seed, i));
		n = size;
	}
};

uint64_t churn(uint64_t k, unsigned turns)
{
	std::unique_ptr<Block> kept[16];
	uint64_t h = k;
	for (unsigned i = 0; i < turns; i++) {
		h = mix(h, i);
		std::unique_ptr<Block> &at = kept[h % 16];
		if (at && !at->good())
			return 0;
		if (at && h % 3 == 0)
			at->grow(at->n + h % 2000);
		else
			at.reset(new Block(1 + (h >> 8) % (i % 50 == 0 ? 40000 : 600), h));
		h = mix(h, at->n);
	}
	return h;
}

/* ---- workers ---- */

volatile bool over;
volatile bool wrong;

void *work(void *arg)
{
	for (uint64_t k = reinterpret_cast<uintptr_t>(arg); !over; k += 1000) {
		if (!churn(k, 200))
			wrong = true;
		usleep(500);
	}
	return nullptr;
}

/* ---- fibers: plain mmapped stacks without guards, unmapped as soon as they have ended ---- */

struct Fiber {
	ucontext_t context, *back;
	uint64_t k, result;
};

__thread Fiber *current;

__attribute__((noinline)) void pause_fiber()
{
	Fiber *fiber = current;
	swapcontext(&fiber->context, fiber->back);
}

void run_fiber()
{
	Fiber *fiber = current;
	uint64_t h = fiber->k;
	for (int i = 0; i < 6; i++) {
		h = mix(h, churn(h, 12));
		std::string text(static_cast<size_t>(h % 300), 'x');
		pause_fiber();
		h = mix(h, text.size());
	}
	fiber->result = h;
}

uint64_t fibers(uint64_t k)
{
	const size_t bytes = 32768;
	volatile uint64_t h = k;
	ucontext_t scheduler;
	Fiber all[12];
	void *stacks[12];
	for (unsigned i = 0; i < 12; i++) {
		stacks[i] = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		all[i].k = mix(k, i);
		all[i].back = &scheduler;
		getcontext(&all[i].context);
		all[i].context.uc_stack.ss_sp = stacks[i];
		all[i].context.uc_stack.ss_size = bytes;
		all[i].context.uc_link = &scheduler;
		makecontext(&all[i].context, run_fiber, 0);
	}
	for (int turn = 0; turn < 7; turn++) {
		for (unsigned i = 0; i < 12; i++) {
			current = &all[i];
			swapcontext(&scheduler, &all[i].context);
		}
	}
	for (unsigned i = 0; i < 12; i++) {
		h = mix(h, all[i].result);
		munmap(stacks[i], bytes);
	}
	return h;
}

/* ---- ways out of a function ---- */

jmp_buf out;

__attribute__((noinline)) void dive(uint64_t h, int depth)
{
	volatile char room[200];
	room[h % 200] = static_cast<char>(depth);
	free(malloc(1 + h % 5000));
	if (depth < 0)
		return;
	if (depth == 0)
		longjmp(out, 1);
	dive(mix(h, static_cast<uint64_t>(depth)), depth - 1);
	room[0]++;
}

uint64_t jumps(uint64_t k)
{
	volatile uint64_t h = k;
	for (volatile int i = 0; i < 300; i = i + 1) {
		if (setjmp(out) == 0)
			dive(h, static_cast<int>(h % 40));
		h = mix(h, static_cast<uint64_t>(i));
	}
	return h;
}

__attribute__((noinline)) uint64_t toss(uint64_t h, int depth)
{
	Block block(1 + h % 900, h);
	if (depth == 0) {
		if (h % 7 == 0)
			throw std::bad_alloc();
		throw std::runtime_error(std::string(static_cast<size_t>(h % 100), 'e'));
	}
	uint64_t under = toss(mix(h, static_cast<uint64_t>(depth)), depth - 1);
	return block.good() ? under : 0;
}

uint64_t throws(uint64_t k)
{
	uint64_t h = k;
	for (int i = 0; i < 150; i++) {
		try {
			h = toss(h, static_cast<int>(h % 20));
		} catch (const std::bad_alloc &) {
			h = mix(h, 1);
		} catch (const std::exception &e) {
			h = mix(h, strlen(e.what()));
		}
	}
	return h;
}

uint64_t deep(uint64_t k, int depth)
{
	volatile char room[500];
	room[k % 500] = 1;
	if (depth == 0)
		return churn(k, 100);
	uint64_t h = mix(deep(mix(k, 3), depth - 1), static_cast<uint64_t>(room[k % 500]));
	free(malloc(h % 700));
	return h;
}

/* ---- processes and threads ---- */

uint64_t forks(uint64_t k)
{
	uint64_t h = k;
	for (uint64_t i = 0; i < 4; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(static_cast<int>(churn(mix(k, i), 300) & 0x7f));
		int status = -1;
		while (waitpid(pid, &status, 0) < 0)
			;
		h = mix(h, static_cast<uint64_t>(status));
	}
	return h;
}

uint64_t vforks(uint64_t k)
{
	uint64_t h = k;
	for (int i = 0; i < 3; i++) {
		char text[] = "exit 7", shell[] = "sh", option[] = "-c";
		char *argv[] = { shell, option, text, nullptr };
		pid_t pid;
		int status = -1;
		if (posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, environ) != 0)
			return 0;
		while (waitpid(pid, &status, 0) < 0)
			;
		h = mix(h, static_cast<uint64_t>(status));
	}
	return h;
}

void *run_thread(void *arg)
{
	uint64_t *h = static_cast<uint64_t *>(arg);
	*h = churn(*h, 60);
	return nullptr;
}

uint64_t threads(uint64_t k)
{
	uint64_t h = k, results[24];
	for (int turn = 0; turn < 3; turn++) {
		pthread_t all[24];
		for (uint64_t i = 0; i < 24; i++) {
			results[i] = mix(h, i);
			if (pthread_create(&all[i], nullptr, run_thread, &results[i]) != 0)
				return 0;
		}
		for (unsigned i = 0; i < 24; i++) {
			pthread_join(all[i], nullptr);
			h = mix(h, results[i]);
		}
	}
	return h;
}

/* ---- signals: a handler on a stack of its own, every half millisecond ---- */

volatile uint64_t ticks;

void tick(int)
{
	volatile char room[2000];
	room[ticks % 2000] = 1;
	ticks = ticks + static_cast<uint64_t>(room[ticks % 2000]);
}

uint64_t signals(uint64_t k)
{
	static char stack[65536];
	const stack_t other = { stack, 0, sizeof(stack) };
	const struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
	sigaltstack(&other, nullptr);
	setitimer(ITIMER_REAL, &often, nullptr);
	uint64_t h = deep(churn(k, 2000), 50);
	setitimer(ITIMER_REAL, &never, nullptr);
	return h;
}

/* ---- code and memory that come and go ---- */

uint64_t loads(uint64_t k)
{
	std::string path = arguments[0];
	path = path.substr(0, path.rfind('/')) + "/libplugin.so";
	uint64_t h = k;
	for (int i = 0; i < 5; i++) {
		void *plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
		if (!plugin)
			return 0;
		h = mix(h, churn(h, 40));
		dlclose(plugin);
	}
	return h;
}

uint64_t maps(uint64_t k)
{
	uint64_t h = k;
	for (int i = 0; i < 200; i++) {
		size_t bytes = 4096 * (1 + h % 64);
		char *at = static_cast<char *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		if (at == MAP_FAILED)
			return 0;
		at[h % bytes] = static_cast<char>(h);
		h = mix(h, static_cast<unsigned char>(at[h % bytes]));
		if (h % 2)
			mprotect(at, bytes, PROT_READ);
		munmap(at, bytes);
	}
	return mix(h, churn(h, 50));
}

/* Beyond what malloc keeps: the heap grows by sbrk and is given back. */
uint64_t grows(uint64_t k)
{
	uint64_t h = k;
	std::vector<std::unique_ptr<Block>> all;
	for (uint64_t i = 0; i < 40; i++)
		all.emplace_back(new Block(30000 + mix(k, i) % 60000, mix(k, i)));
	for (auto &block : all)
		h = mix(h, block->good());
	all.clear();
	void *aligned = nullptr;
	if (posix_memalign(&aligned, 4096, 100000) != 0)
		return 0;
	h = mix(h, reinterpret_cast<uintptr_t>(aligned) % 4096);
	free(aligned);
	return h;
}

/* ---- the same program afresh ---- */

[[noreturn]] void again(uint64_t k)
{
	char number[32], option[] = "-answer";
	snprintf(number, sizeof(number), "%llu", static_cast<unsigned long long>(k));
	char *argv[] = { arguments[0], option, number, nullptr };
	execv("/proc/self/exe", argv);
	_exit(3);
}

const struct {
	const char *name;
	uint64_t (*run)(uint64_t k);
} storms[] = {
	{ "churn", [](uint64_t k) { return churn(k, 3000); } },
	{ "fibers", fibers },
	{ "jumps", jumps },
	{ "throws", throws },
	{ "deep", [](uint64_t k) { return deep(k, 400); } },
	{ "forks", forks },
	{ "vforks", vforks },
	{ "threads", threads },
	{ "signals", signals },
	{ "loads", loads },
	{ "maps", maps },
	{ "grows", grows },
};

void answer(uint64_t h)
{
	printf("%016llx\n", static_cast<unsigned long long>(h));
	fflush(stdout);
}

void obey(const char *line)
{
	char name[32];
	unsigned long long k;
	if (sscanf(line, "%31s %llu", name, &k) != 2)
		return;
	if (strcmp(name, "execs") == 0)
		again(churn(k, 500));
	for (const auto &storm : storms) {
		if (strcmp(storm.name, name) == 0)
			answer(storm.run(k));
	}
}

} // namespace

/* All that changes what signals do, so that nothing does later. The first thread makes the C library take two for itself. */
void settle()
{
	struct sigaction action = {};
	action.sa_handler = tick;
	action.sa_flags = SA_ONSTACK | SA_RESTART;
	sigaction(SIGALRM, &action, nullptr);
	pthread_t thread;
	uint64_t h = 1;
	if (pthread_create(&thread, nullptr, run_thread, &h) == 0) {
		pthread_cancel(thread);
		pthread_join(thread, nullptr);
	}
}

int main(int argc, char **argv)
{
	char line[100];
	settle();
	arguments = argv;
	/* Lines must not wait in a buffer when an exec comes. */
	setvbuf(stdin, nullptr, _IONBF, 0);
	long workers = 0;
	if (argc > 2 && strcmp(argv[1], "-answer") == 0)
		answer(strtoull(argv[2], nullptr, 10));
	else
		workers = argc > 1 ? atol(argv[1]) : 0, printf("pid %d\nready\n", getpid());
	fflush(stdout);
	std::vector<pthread_t> all(static_cast<size_t>(workers));
	for (size_t i = 0; i < all.size(); i++)
		pthread_create(&all[i], nullptr, work, reinterpret_cast<void *>(i + 1));
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	over = true;
	for (pthread_t thread : all)
		pthread_join(thread, nullptr);
	return wrong ? 1 : 0;
}
