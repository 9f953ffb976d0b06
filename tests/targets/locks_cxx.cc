/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locks_cxx - the C++ library's ways to wait, all at once: for each a thread that waits in wait_NAME() for another that
 * holds or works for 5 ms at a time. Runs until SIGTERM.
 */
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

namespace {

using std::chrono::milliseconds;

void nap() { std::this_thread::sleep_for(milliseconds(5)); }
void breathe() { std::this_thread::sleep_for(milliseconds(1)); }

std::mutex mutex;
std::timed_mutex timed;
std::recursive_mutex recursive;
std::shared_mutex shared;
std::mutex condition_mutex;
std::condition_variable condition;
int served;

NOINLINE void wait_mutex() { std::lock_guard<std::mutex> guard(mutex); }
NOINLINE void wait_recursive() { std::lock_guard<std::recursive_mutex> guard(recursive); }
NOINLINE void wait_timed()
{
	if (timed.try_lock_for(std::chrono::seconds(100)))
		timed.unlock();
}
NOINLINE void wait_shared() { std::shared_lock<std::shared_mutex> guard(shared); }
NOINLINE void wait_condition()
{
	std::unique_lock<std::mutex> guard(condition_mutex);
	int seen = served;
	condition.wait(guard, [seen] { return served != seen; });
}
NOINLINE void wait_future()
{
	std::promise<int> promise;
	std::future<int> future = promise.get_future();
	std::thread worker([&promise] {
		nap();
		promise.set_value(1);
	});
	future.wait();
	worker.join();
}

template <typename Lock> [[noreturn]] void hold(Lock &lock)
{
	for (;;) {
		lock.lock();
		nap();
		lock.unlock();
		breathe();
	}
}

template <typename Wait> void forever(Wait wait)
{
	std::thread([wait] {
		for (;;) {
			wait();
			breathe();
		}
	}).detach();
}

} // namespace

int main()
{
	sigset_t ends;
	int signal_no;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, nullptr);

	std::thread([] { hold(mutex); }).detach();
	std::thread([] { hold(timed); }).detach();
	std::thread([] { hold(recursive); }).detach();
	std::thread([] { hold(shared); }).detach();
	std::thread([] {
		for (;;) {
			nap();
			std::lock_guard<std::mutex> guard(condition_mutex);
			served++;
			condition.notify_one();
		}
	}).detach();
	forever(wait_mutex);
	forever(wait_timed);
	forever(wait_recursive);
	forever(wait_shared);
	forever(wait_condition);
	forever(wait_future);

	std::printf("pid %d\nready\n", static_cast<int>(getpid()));
	std::fflush(stdout);
	sigwait(&ends, &signal_no);
	_exit(0);
}
