/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prefetch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

static size_t fill(void *ctx, uint8_t *room, size_t cap)
{
	memset(room, *(const char *)ctx, cap);
	return cap;
}

static size_t give_up(void *ctx, uint8_t *room, size_t cap)
{
	(void)ctx, (void)room, (void)cap;
	return 0;
}

static size_t crash(void *ctx, uint8_t *room, size_t cap)
{
	(void)ctx, (void)room;
	signal(SIGABRT, SIG_DFL);
	abort();
	return cap;
}

static size_t sleep_on(void *ctx, uint8_t *room, size_t cap)
{
	(void)ctx, (void)room;
	pause();
	return cap;
}

static void wait_for_it(struct cprof_prefetch *prefetch)
{
	while (cprof_prefetch_busy(prefetch))
		usleep(1000);
}

TEST(prefetch_makes_pieces_in_a_child_and_leaves_out_what_cannot_be_made)
{
	struct cprof_prefetch prefetch = { 0 };
	char a = 'a', b = 'b';
	size_t n;
	struct cprof_prefetch_piece *first = cprof_prefetch_add(&prefetch, fill, &a, 100000);
	struct cprof_prefetch_piece *none = cprof_prefetch_add(&prefetch, give_up, &a, 10);
	struct cprof_prefetch_piece *last = cprof_prefetch_add(&prefetch, fill, &b, 1);
	CHECK(first && none && last);
	CHECK(!cprof_prefetch_piece_bytes(first, &n));
	cprof_prefetch_start(&prefetch);
	wait_for_it(&prefetch);
	const uint8_t *bytes = cprof_prefetch_piece_bytes(first, &n);
	CHECK_UINT(n, 100000);
	CHECK(bytes && bytes[0] == 'a' && bytes[99999] == 'a');
	CHECK(!cprof_prefetch_piece_bytes(none, &n));
	CHECK(*cprof_prefetch_piece_bytes(last, &n) == 'b');
	cprof_prefetch_piece_free(first);
	cprof_prefetch_piece_free(none);
	cprof_prefetch_piece_free(last);
	CHECK(waitpid(-1, NULL, 0) < 0); /* no child is left */
}

/* Which of three descriptors the child has. */
static size_t tell_open(void *ctx, uint8_t *room, size_t cap)
{
	const int *fds = ctx;
	(void)cap;
	for (int i = 0; i < 3; i++)
		room[i] = fcntl(fds[i], F_GETFD) >= 0;
	return 3;
}

TEST(prefetch_child_has_our_files_and_nothing_that_a_target_or_a_peer_waits_for)
{
	struct cprof_prefetch prefetch = { 0 };
	int fds[3];
	size_t n;
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	fds[2] = memfd_create("file", MFD_CLOEXEC);
	struct cprof_prefetch_piece *piece = cprof_prefetch_add(&prefetch, tell_open, fds, 3);
	CHECK(piece && fds[2] >= 0);
	cprof_prefetch_start(&prefetch);
	wait_for_it(&prefetch);
	const uint8_t *bytes = cprof_prefetch_piece_bytes(piece, &n);
	CHECK(bytes && !bytes[0] && !bytes[1] && bytes[2]);
	cprof_prefetch_piece_free(piece);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

TEST(prefetch_that_crashes_or_is_stopped_leaves_pieces_unmade_and_can_start_again)
{
	struct cprof_prefetch prefetch = { 0 };
	char a = 'a';
	size_t n;
	cprof_prefetch_fn *const bad[] = { crash, sleep_on };
	for (size_t i = 0; i < 2; i++) {
		struct cprof_prefetch_piece *made = cprof_prefetch_add(&prefetch, fill, &a, 10);
		struct cprof_prefetch_piece *piece = cprof_prefetch_add(&prefetch, bad[i], &a, 10);
		struct cprof_prefetch_piece *after = cprof_prefetch_add(&prefetch, fill, &a, 10);
		cprof_prefetch_start(&prefetch);
		while (!cprof_prefetch_piece_bytes(made, &n))
			usleep(1000);
		if (bad[i] == sleep_on)
			cprof_prefetch_stop(&prefetch);
		wait_for_it(&prefetch);
		CHECK(!cprof_prefetch_piece_bytes(piece, &n));
		CHECK(!cprof_prefetch_piece_bytes(after, &n));
		cprof_prefetch_piece_free(made);
		cprof_prefetch_piece_free(piece);
		cprof_prefetch_piece_free(after);
	}
	struct cprof_prefetch_piece *piece = cprof_prefetch_add(&prefetch, fill, &a, 10);
	cprof_prefetch_start(&prefetch);
	wait_for_it(&prefetch);
	CHECK(cprof_prefetch_piece_bytes(piece, &n));
	cprof_prefetch_piece_free(piece);
}

static volatile sig_atomic_t handled;

static void count(int signal_no)
{
	(void)signal_no;
	handled++;
}

TEST(prefetch_s_child_hears_no_signals_and_takes_no_more_jobs_than_there_is_room_for)
{
	struct cprof_prefetch prefetch = { 0 };
	struct cprof_prefetch_piece *pieces[CPROF_PREFETCH_MAX];
	char a = 'a';
	size_t n;
	signal(SIGINT, count);
	for (size_t i = 0; i < CPROF_PREFETCH_MAX; i++) {
		pieces[i] = cprof_prefetch_add(&prefetch, i ? sleep_on : fill, &a, 1);
		CHECK(pieces[i]);
	}
	CHECK(!cprof_prefetch_add(&prefetch, fill, &a, 1));
	cprof_prefetch_start(&prefetch);
	while (!cprof_prefetch_piece_bytes(pieces[0], &n))
		usleep(1000);
	kill(prefetch.child, SIGINT);
	kill(prefetch.child, SIGTERM);
	usleep(20000);
	CHECK(cprof_prefetch_busy(&prefetch));
	cprof_prefetch_stop(&prefetch);
	wait_for_it(&prefetch);
	CHECK_UINT(handled, 0);
	for (size_t i = 0; i < CPROF_PREFETCH_MAX; i++)
		cprof_prefetch_piece_free(pieces[i]);
}
