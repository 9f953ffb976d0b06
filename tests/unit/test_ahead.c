#include "base/ahead.h"

#include <signal.h>
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

static void wait_for_it(struct cprof_ahead *ahead)
{
	while (cprof_ahead_busy(ahead))
		usleep(1000);
}

TEST(ahead_makes_pieces_in_a_child_and_leaves_out_what_cannot_be_made)
{
	struct cprof_ahead ahead = { 0 };
	char a = 'a', b = 'b';
	size_t n;
	struct cprof_ahead_piece *first = cprof_ahead_add(&ahead, fill, &a, 100000);
	struct cprof_ahead_piece *none = cprof_ahead_add(&ahead, give_up, &a, 10);
	struct cprof_ahead_piece *last = cprof_ahead_add(&ahead, fill, &b, 1);
	CHECK(first && none && last);
	CHECK(!cprof_ahead_piece_bytes(first, &n));
	cprof_ahead_start(&ahead);
	wait_for_it(&ahead);
	const uint8_t *bytes = cprof_ahead_piece_bytes(first, &n);
	CHECK_UINT(n, 100000);
	CHECK(bytes && bytes[0] == 'a' && bytes[99999] == 'a');
	CHECK(!cprof_ahead_piece_bytes(none, &n));
	CHECK(*cprof_ahead_piece_bytes(last, &n) == 'b');
	cprof_ahead_piece_free(first);
	cprof_ahead_piece_free(none);
	cprof_ahead_piece_free(last);
	CHECK(waitpid(-1, NULL, 0) < 0); /* no child is left */
}

TEST(ahead_that_crashes_or_is_stopped_leaves_pieces_unmade_and_can_start_again)
{
	struct cprof_ahead ahead = { 0 };
	char a = 'a';
	size_t n;
	cprof_ahead_fn *const bad[] = { crash, sleep_on };
	for (size_t i = 0; i < 2; i++) {
		struct cprof_ahead_piece *made = cprof_ahead_add(&ahead, fill, &a, 10);
		struct cprof_ahead_piece *piece = cprof_ahead_add(&ahead, bad[i], &a, 10);
		struct cprof_ahead_piece *after = cprof_ahead_add(&ahead, fill, &a, 10);
		cprof_ahead_start(&ahead);
		while (!cprof_ahead_piece_bytes(made, &n))
			usleep(1000);
		if (bad[i] == sleep_on)
			cprof_ahead_stop(&ahead);
		wait_for_it(&ahead);
		CHECK(!cprof_ahead_piece_bytes(piece, &n));
		CHECK(!cprof_ahead_piece_bytes(after, &n));
		cprof_ahead_piece_free(made);
		cprof_ahead_piece_free(piece);
		cprof_ahead_piece_free(after);
	}
	struct cprof_ahead_piece *piece = cprof_ahead_add(&ahead, fill, &a, 10);
	cprof_ahead_start(&ahead);
	wait_for_it(&ahead);
	CHECK(cprof_ahead_piece_bytes(piece, &n));
	cprof_ahead_piece_free(piece);
}

static volatile sig_atomic_t handled;

static void count(int signal_no)
{
	(void)signal_no;
	handled++;
}

TEST(ahead_s_child_hears_no_signals_and_takes_no_more_jobs_than_there_is_room_for)
{
	struct cprof_ahead ahead = { 0 };
	struct cprof_ahead_piece *pieces[CPROF_AHEAD_MAX];
	char a = 'a';
	size_t n;
	signal(SIGINT, count);
	for (size_t i = 0; i < CPROF_AHEAD_MAX; i++) {
		pieces[i] = cprof_ahead_add(&ahead, i ? sleep_on : fill, &a, 1);
		CHECK(pieces[i]);
	}
	CHECK(!cprof_ahead_add(&ahead, fill, &a, 1));
	cprof_ahead_start(&ahead);
	while (!cprof_ahead_piece_bytes(pieces[0], &n))
		usleep(1000);
	kill(ahead.child, SIGINT);
	kill(ahead.child, SIGTERM);
	usleep(20000);
	CHECK(cprof_ahead_busy(&ahead));
	cprof_ahead_stop(&ahead);
	wait_for_it(&ahead);
	CHECK_UINT(handled, 0);
	for (size_t i = 0; i < CPROF_AHEAD_MAX; i++)
		cprof_ahead_piece_free(pieces[i]);
}
