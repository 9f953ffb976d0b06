/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A oneTBB arena between its parallel loops: idle workers sleep on a word with the values of a mutex.
 *
 * Prints "pid N", "ready"; ends at SIGTERM with "jobs N".
 */
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <thread>
#include <unistd.h>

static std::atomic<bool> over;
static std::atomic<unsigned> jobs;

static void loop(oneapi::tbb::task_arena &arena)
{
	arena.execute([] {
		oneapi::tbb::parallel_for(0, 64, [](int) {
			std::this_thread::sleep_for(std::chrono::microseconds(200));
		});
	});
	jobs++;
}

int main()
{
	std::signal(SIGTERM, [](int) { over = true; });
	oneapi::tbb::global_control threads(oneapi::tbb::global_control::max_allowed_parallelism,
					    6);
	oneapi::tbb::task_arena arena(6);
	loop(arena);
	std::printf("pid %d\nready\n", static_cast<int>(getpid()));
	std::fflush(stdout);
	while (!over) {
		loop(arena);
		std::this_thread::sleep_for(std::chrono::milliseconds(100));
	}
	std::printf("jobs %u\n", jobs.load());
	return 0;
}
