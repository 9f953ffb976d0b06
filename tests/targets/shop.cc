/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/targets/shop.cc - a program in which every mode finds something: it works, allocates, keeps some, waits for a mutex,
 * and starts threads.
 */
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace shop
{

struct order {
	std::vector<char> lines;
};

static volatile uint64_t sink;
static std::mutex till;

__attribute__((noinline)) uint64_t price(uint64_t n)
{
	uint64_t x = n | 1;
	for (int i = 0; i < 40000; i++)
		x = x * 6364136223846793005u + 1;
	return x;
}

__attribute__((noinline)) void cook()
{
	for (uint64_t i = 0;; i++) {
		sink = sink + price(i);
		if (i % 50 == 0)
			usleep(20000);
	}
}

template <class T> __attribute__((noinline)) std::unique_ptr<T> fill(size_t n)
{
	auto made = std::make_unique<T>();
	made->lines.resize(n);
	return made;
}

__attribute__((noinline)) void take_orders()
{
	std::vector<std::unique_ptr<order>> kept;
	for (unsigned i = 0;; i++) {
		auto made = fill<order>(40960 + i % 7 * 10000);
		if (i % 50 == 0 && kept.size() < 400)
			kept.push_back(std::move(made));
		usleep(2000);
	}
}

__attribute__((noinline)) void pay()
{
	for (;;) {
		std::lock_guard<std::mutex> paying(till);
		usleep(4000);
	}
}

__attribute__((noinline)) void hire()
{
	for (;;) {
		std::thread helper([] { sink = sink + price(1); });
		helper.join();
		usleep(20000);
	}
}

void start(const char *name, void (*work)())
{
	std::thread thread(work);
	pthread_setname_np(thread.native_handle(), name);
	thread.detach();
}

} // namespace shop

int main()
{
	sigset_t told;
	sigemptyset(&told);
	sigaddset(&told, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &told, nullptr);
	shop::start("cook", shop::cook);
	shop::start("orders", shop::take_orders);
	shop::start("pay-1", shop::pay);
	shop::start("pay-2", shop::pay);
	shop::start("hire", shop::hire);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	int sig;
	sigwait(&told, &sig);
	_exit(0);
}
