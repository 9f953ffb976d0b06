/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/window.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/test.h"

#define MS 1000000ull

TEST(window_ends_when_its_time_is_over_and_not_before)
{
	struct cprof_window window = { .length_ns = 30 * MS, .stop_fd = -1 };
	cprof_window_start(&window);
	unsigned rounds = 0;
	while (cprof_window_wait(&window, NULL, 0, 10 * MS, NULL))
		rounds++;
	CHECK_UINT(window.end, CPROF_WINDOW_TIME);
	CHECK_UINT(cprof_window_elapsed_ns(&window), 30 * MS);
	CHECK(cprof_clock_mono_ns() >= window.start_mono_ns + 30 * MS);
	CHECK(rounds <= 10); /* none, where the machine lets us run after 30 ms only */
	CHECK(!cprof_window_wait(&window, NULL, 0, 10 * MS, NULL)); /* and stays over */
	cprof_window_deinit(&window);
}

TEST(window_ends_when_asked_to_and_hands_on_what_was_ready)
{
	int stop[2], own[2];
	CHECK(pipe(stop) == 0 && pipe(own) == 0);
	struct cprof_window window = { .stop_fd = stop[0] };
	struct pollfd fd = { .fd = own[0], .events = POLLIN };
	cprof_window_start(&window);
	CHECK(cprof_window_wait(&window, &fd, 1, MS, NULL));
	CHECK_UINT(fd.revents, 0);
	CHECK(write(own[1], "x", 1) == 1);
	CHECK(cprof_window_wait(&window, &fd, 1, 1000 * MS, NULL));
	CHECK_UINT(fd.revents, POLLIN);
	CHECK(write(stop[1], "x", 1) == 1);
	CHECK(!cprof_window_wait(&window, &fd, 1, 1000 * MS, NULL));
	CHECK_UINT(window.end, CPROF_WINDOW_STOPPED);
	cprof_window_deinit(&window);
}

/* A child that lives until the pipe is closed. */
static pid_t child_until(int gate[2])
{
	CHECK(pipe(gate) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		close(gate[1]);
		_exit(read(gate[0], &byte, 1) < 0);
	}
	close(gate[0]);
	return pid;
}

TEST(window_ends_with_the_last_target_even_if_somebody_else_noticed_first)
{
	for (int noticed = 0; noticed < 2; noticed++) {
		int gates[2][2];
		struct cprof_target *targets[2];
		pid_t pids[2];
		for (int i = 0; i < 2; i++) {
			pids[i] = child_until(gates[i]);
			CHECK(!cprof_target_open(pids[i], &targets[i]));
		}
		struct cprof_window window = { .stop_fd = -1, .targets = targets, .n_targets = 2 };
		cprof_window_start(&window);
		close(gates[1]
			   [1]); /* the second holds a copy of the first's gate, so it goes first */
		waitpid(pids[1], NULL, 0);
		CHECK(cprof_window_wait(&window, NULL, 0, 20 * MS, NULL));
		CHECK(targets[1]->exited && !targets[0]->exited);
		close(gates[0][1]);
		waitpid(pids[0], NULL, 0);
		if (noticed)
			CHECK(!cprof_target_alive(targets[0]));
		CHECK(!cprof_window_wait(&window, NULL, 0, 1000 * MS, NULL));
		CHECK_UINT(window.end, CPROF_WINDOW_EXITED);
		cprof_window_deinit(&window);
		cprof_target_close(targets[0]);
		cprof_target_close(targets[1]);
	}
}
