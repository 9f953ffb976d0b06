/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/ledger.h"
#include "attach/wall/wall_idle.h"
#include "attach/wall/wall_parts.h"
#include "attach/wall/wall_reasons.h"
#include "attach/wall/wall_share.h"
#include "attach/wall/wall_spread.h"
#include "attach/wall/wall_tier.h"
#include "tests/unit/test.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define WEIGHTS_MAX 4

static const struct {
	const char *what;
	uint64_t total;
	double weights[WEIGHTS_MAX];
	size_t n;
	uint64_t want[WEIGHTS_MAX];
} shares[] = {
	{ "nothing to divide it by", 100, { 0 }, 0, { 0 } },
	{ "all weights are nothing", 100, { 0, 0 }, 2, { 0, 0 } },
	{ "one has all", 100, { 0, 3 }, 2, { 0, 100 } },
	{ "halves", 100, { 2, 2 }, 2, { 50, 50 } },
	{ "thirds: what is left goes to the first", 100, { 1, 1, 1 }, 3, { 34, 33, 33 } },
	{ "the largest remainder gets what is left", 10, { 1, 2, 3.9 }, 3, { 1, 3, 6 } },
	{ "what is no weight counts as none", 10, { -5, NAN, INFINITY, 1 }, 4, { 0, 0, 0, 10 } },
	{ "a weight of 0 gets nothing of what is left", 1, { 0, 1, 1 }, 3, { 0, 1, 0 } },
	{ "more than a double can count", UINT64_MAX, { 1 }, 1, { UINT64_MAX } },
};

TEST(wall_share_divides_a_total_so_that_the_parts_add_up_to_it)
{
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		uint64_t parts[WEIGHTS_MAX] = { 0 };
		CHECK(!cprof_wall_share(shares[i].total, shares[i].weights, shares[i].n, parts));
		for (size_t j = 0; j < shares[i].n; j++) {
			if (parts[j] != shares[i].want[j])
				printf("%s: part %zu\n", shares[i].what, j);
			CHECK_UINT(parts[j], shares[i].want[j]);
		}
	}
}

TEST(wall_share_adds_up_whatever_the_weights)
{
	double weights[1000];
	uint64_t parts[1000], seed = 1;
	for (uint64_t total = 1; total < UINT64_MAX / 7; total = total * 7 + 3) {
		uint64_t sum = 0;
		for (size_t i = 0; i < 1000; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			weights[i] = (double)(seed >> 40) / (double)(1 + (seed & 0xff));
		}
		CHECK(!cprof_wall_share(total, weights, 1000, parts));
		for (size_t i = 0; i < 1000; i++)
			sum += parts[i];
		CHECK_UINT(sum, total);
	}
}

TEST(wall_share_gives_estimates_the_whole_and_gaps_to_nobody)
{
	CHECK_UINT(cprof_wall_share_known(1000, 0, 1), 0);
	CHECK_UINT(cprof_wall_share_known(1000, NAN, 1), 0);
	CHECK_UINT(cprof_wall_share_known(1000, 400, 0), 400);
	CHECK_UINT(cprof_wall_share_known(1000, 950, 0), 1000);
	CHECK_UINT(cprof_wall_share_known(1000, 1500, 0), 1000);
	/* A hundred waits were to be kept: ten are no accident, sixty may be one. */
	CHECK_UINT(cprof_wall_share_known(1000000, 100000, 10000), 100000);
	CHECK_UINT(cprof_wall_share_known(1000000, 600000, 10000), 1000000);
}

/* ---- divided over time ---- */

#define STEPS  4
#define PIECES 4

struct got {
	uint64_t ns[STEPS][PIECES + 1]; /* the last one is nobody's */
};

static struct cprof_error *get(void *ctx, uint32_t step, uint32_t part, uint64_t ns)
{
	struct got *got = ctx;
	got->ns[step][part == CPROF_WALL_NOBODY ? PIECES : part] += ns;
	return NULL;
}

static const struct {
	const char *what;
	bool near;
	uint64_t needs[STEPS];
	struct cprof_wall_piece pieces[PIECES];
	size_t n;
	uint64_t known;
	struct got want;
} spreads[] = {
	{ "nobody was seen",
	  false,
	  { 10, 0, 5, 0 },
	  { { 0 } },
	  0,
	  0,
	  { { { [4] = 10 }, { 0 }, { [4] = 5 }, { 0 } } } },
	{ "each has its own step",
	  false,
	  { 10, 20, 0, 0 },
	  { { 0, 0, 10 }, { 1, 1, 20 } },
	  2,
	  30,
	  { { { 10 }, { 0, 20 } } } },
	{ "one that stands for more than its step gives to those that are empty",
	  false,
	  { 10, 10, 10, 10 },
	  { { 1, 0, 40 } },
	  1,
	  40,
	  { { { 10 }, { 10 }, { 10 }, { 10 } } } },
	{ "both sums are right: parts get 30 and 10, steps 10 each",
	  false,
	  { 10, 10, 10, 10 },
	  { { 0, 0, 30 }, { 3, 1, 10 } },
	  2,
	  40,
	  { { { 10 }, { 10 }, { 10 }, { 0, 10 } } } },
	{ "two share a step by weight",
	  false,
	  { 9, 0, 0, 0 },
	  { { 0, 0, 1 }, { 0, 1, 2 } },
	  2,
	  9,
	  { { { 3, 6 } } } },
	{ "what nothing is known of is nobody's, where it was",
	  false,
	  { 10, 10, 0, 0 },
	  { { 0, 0, 10 } },
	  1,
	  10,
	  { { { 10 }, { [4] = 10 } } } },
	{ "weights of nothing get nothing",
	  false,
	  { 10, 0, 0, 0 },
	  { { 0, 0, 0 }, { 0, 1, NAN } },
	  2,
	  0,
	  { { { [4] = 10 } } } },
	{ "a sample is of the time before it, and the last one of that after it",
	  true,
	  { 5, 7, 9, 11 },
	  { { 1, 0, 1 }, { 2, 1, 1 } },
	  2,
	  0,
	  { { { 5 }, { 7 }, { 0, 9 }, { 0, 11 } } } },
	{ "samples of one step share it",
	  true,
	  { 0, 9, 0, 0 },
	  { { 1, 0, 2 }, { 1, 1, 1 } },
	  2,
	  0,
	  { { { 0 }, { 6, 3 } } } },
	{ "no sample", true, { 0, 9, 0, 0 }, { { 0 } }, 0, 0, { { { 0 }, { [4] = 9 } } } },
};

TEST(wall_spread_fills_each_step_exactly)
{
	for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++) {
		struct got got = { 0 };
		CHECK(!(spreads[i].near
				? cprof_wall_spread_near(spreads[i].needs, STEPS, spreads[i].pieces,
							 spreads[i].n, get, &got)
				: cprof_wall_spread(spreads[i].needs, STEPS, spreads[i].pieces,
						    spreads[i].n, spreads[i].known, get, &got)));
		for (size_t at = 0; at < STEPS * (PIECES + 1); at++) {
			const size_t step = at / (PIECES + 1), part = at % (PIECES + 1);
			if (got.ns[step][part] != spreads[i].want.ns[step][part])
				printf("%s: step %zu, part %zu\n", spreads[i].what, step, part);
			CHECK_UINT(got.ns[step][part], spreads[i].want.ns[step][part]);
		}
	}
}

TEST(wall_spread_gives_each_part_its_share_and_each_step_its_own)
{
	uint64_t needs[STEPS], seed = 7;
	for (int round = 0; round < 500; round++) {
		struct cprof_wall_piece pieces[PIECES];
		struct got got = { 0 };
		uint64_t sum = 0;
		double weight = 0;
		for (uint32_t i = 0; i < STEPS; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			needs[i] = seed >> 60 ? (seed >> 33) % 1000000 : 0;
			sum += needs[i];
		}
		for (uint32_t i = 0; i < PIECES; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			pieces[i] = (struct cprof_wall_piece){ i, i,
							       (double)(1 + (seed >> 33) % 1000) };
			weight += pieces[i].weight;
		}
		CHECK(!cprof_wall_spread(needs, STEPS, pieces, PIECES, sum, get, &got));
		for (uint32_t i = 0; i < STEPS; i++) {
			uint64_t of_step = got.ns[i][PIECES], of_part = 0;
			for (uint32_t j = 0; j < PIECES; j++)
				of_step += got.ns[i][j];
			for (uint32_t j = 0; j < STEPS; j++)
				of_part += got.ns[j][i];
			CHECK_UINT(of_step, needs[i]);
			CHECK(fabs((double)of_part - (double)sum * pieces[i].weight / weight) <=
			      STEPS);
		}
	}
}

static struct cprof_ledger_account account_of(pid_t tid, const char *name, uint64_t each_ns,
					      bool ended)
{
	struct cprof_ledger_account account = { .tid = tid, .threads = 1, .ended = ended };
	strcpy(account.name, name);
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++)
		account.ns[i] = each_ns;
	return account;
}

static void put(struct cprof_ledger *ledger, pid_t tid, const char *name, uint64_t each_ns,
		bool ended)
{
	const struct cprof_ledger_account account = account_of(tid, name, each_ns, ended);
	CHECK(!cprof_ledger_add(ledger, &account));
}

TEST(ledger_keeps_an_account_of_each_thread_and_one_of_short_ones_of_a_name)
{
	struct cprof_ledger ledger = { 0 };
	put(&ledger, 1, "long", CPROF_LEDGER_SHORT_NS, true);
	put(&ledger, 2, "", 5, false);
	put(&ledger, 3, "job", 7, true);
	put(&ledger, 4, "job", 9, true);
	put(&ledger, 5, "other", 1, true);
	CHECK_UINT(ledger.n, 4);
	CHECK_UINT(cprof_ledger_find(&ledger, 1), 0);
	CHECK_UINT(cprof_ledger_find(&ledger, 3), cprof_ledger_find(&ledger, 4));
	CHECK_UINT(cprof_ledger_find(&ledger, 9), SIZE_MAX);
	const struct cprof_ledger_account *jobs = &ledger.accounts[cprof_ledger_find(&ledger, 3)];
	CHECK_UINT(jobs->tid, 0);
	CHECK_UINT(jobs->threads, 2);
	CHECK_UINT(cprof_ledger_life_ns(jobs), (uint64_t)CPROF_LEDGER_STATES * 16);
	CHECK(strcmp(jobs->name, "job") == 0);
	cprof_ledger_deinit(&ledger);
}

TEST(ledger_adds_to_a_thread_that_it_knows)
{
	struct cprof_ledger ledger = { 0 };
	put(&ledger, 1, "a", 5, false);
	put(&ledger, 1, "a", 6, true); /* an exec: the id goes on, its first owner has ended */
	CHECK_UINT(ledger.n, 1);
	CHECK_UINT(ledger.accounts[0].ns[CPROF_LEDGER_BLOCKED], 11);
	cprof_ledger_deinit(&ledger);
}

TEST(ledger_knows_when_the_time_of_a_thread_was_that_is_told_bit_by_bit)
{
	struct cprof_ledger ledger = { .timed = true, .times.step_ns = 1000000 };
	struct cprof_ledger_account bit = { .tid = 7, .threads = 1 };
	bit.ns[CPROF_LEDGER_ON_CPU] = 600000;
	for (uint64_t at = 0; at < 5; at++) {
		CHECK(!cprof_ledger_add(&ledger, &bit));
		CHECK(!cprof_ledger_when(&ledger, 7, at * 1000000, at * 1000000 + 600000, bit.ns));
		bit.threads = 0;
	}
	snprintf(bit.name, sizeof(bit.name), "late");
	bit.ended = true; /* short by itself, but it is one that is there already */
	CHECK(!cprof_ledger_add(&ledger, &bit));
	CHECK_UINT(ledger.n, 1);
	CHECK_UINT(ledger.accounts[0].tid, 7);
	CHECK_UINT(ledger.accounts[0].threads, 1);
	CHECK_UINT(ledger.accounts[0].ns[CPROF_LEDGER_ON_CPU], 6 * 600000);
	CHECK(ledger.accounts[0].ended && strcmp(ledger.accounts[0].name, "late") == 0);
	CHECK_UINT(ledger.times.n, 5);
	const uint64_t none[CPROF_LEDGER_STATES] = { 0 };
	CHECK(!cprof_ledger_when(&ledger, 7, 0, 1, none));   /* nothing */
	CHECK(!cprof_ledger_when(&ledger, 8, 0, 1, bit.ns)); /* nobody's */
	CHECK_UINT(ledger.times.n, 5);
	cprof_ledger_deinit(&ledger);
}

TEST(ledger_keeps_accounts_that_have_times_and_finds_them_again)
{
	struct cprof_ledger ledger = { .timed = true, .times.step_ns = 1000000 };
	struct cprof_map64 tids = { 0 };
	const struct {
		pid_t tid;
		const char *name;
		uint64_t at_ms;
		bool ended;
	} threads[] = {
		{ 1, "old", 0, false },  { 2, "worker", 50, false }, { 3, "short", 50, true },
		{ 4, "short", 0, true }, { 5, "gone", 0, true },
	};
	for (size_t i = 0; i < 5; i++) {
		const struct cprof_ledger_account account =
			account_of(threads[i].tid, threads[i].name, 1000, threads[i].ended);
		CHECK(!cprof_ledger_add(&ledger, &account));
		CHECK(!cprof_ledger_when(&ledger, threads[i].tid, threads[i].at_ms * 1000000,
					 threads[i].at_ms * 1000000 + 5000, account.ns));
	}
	CHECK_UINT(ledger.n, 4); /* those that were short share one */
	CHECK(!cprof_time_spans_keep(&ledger.times, 20000000, NULL, NULL));
	CHECK(cprof_map64_put(&tids, 3, NULL) != NULL); /* of 4 nothing else is known */
	CHECK(!cprof_ledger_keep(&ledger, &tids));
	CHECK_UINT(ledger.n, 2);
	CHECK_UINT(cprof_ledger_find(&ledger, 2), 0);
	CHECK_UINT(cprof_ledger_find(&ledger, 3), 1);
	CHECK(cprof_ledger_find(&ledger, 1) == SIZE_MAX &&
	      cprof_ledger_find(&ledger, 4) == SIZE_MAX);
	const struct cprof_ledger_account again = account_of(6, "short", 1000, true);
	CHECK(!cprof_ledger_add(&ledger, &again));
	CHECK_UINT(cprof_ledger_find(&ledger, 6), 1);
	for (size_t i = 0; i < ledger.times.n; i++)
		CHECK(ledger.times.spans[i].key < ledger.n);
	cprof_map64_deinit(&tids);
	cprof_ledger_deinit(&ledger);
}

TEST(ledger_says_who_never_ran)
{
	struct cprof_ledger_account account = account_of(1, "", 0, false);
	account.ns[CPROF_LEDGER_BLOCKED] = 5;
	CHECK(cprof_ledger_never_ran(&account));
	account.runs = 1;
	CHECK(!cprof_ledger_never_ran(&account));
	account.runs = 0;
	account.ns[CPROF_LEDGER_ON_CPU] = 1;
	CHECK(!cprof_ledger_never_ran(&account));
}

TEST(wall_parts_adds_what_is_alike)
{
	struct cprof_wall_parts parts = { 0 };
	struct cprof_wall_part part = { .tid = 1, .stack = 7, .weight = 2, .count = 1 };
	size_t at;
	CHECK(!cprof_wall_parts_add(&parts, &part, &at));
	CHECK(!cprof_wall_parts_add(&parts, &part, &at));
	part.what = CPROF_WALL_BLOCKED;
	CHECK(!cprof_wall_parts_add(&parts, &part, &at));
	part.reason = 3;
	CHECK(!cprof_wall_parts_add(&parts, &part, &at));
	part.request = 1;
	CHECK(!cprof_wall_parts_add(&parts, &part, &at));
	CHECK_UINT(parts.n, 4);
	CHECK_UINT(at, 3);
	CHECK(parts.parts[0].weight == 4 && parts.parts[0].count == 2);
	cprof_wall_parts_deinit(&parts);
}

TEST(wall_idle_counts_threads_of_one_place_and_keeps_the_name_that_all_bear)
{
	struct cprof_wall_idle idle = { 0 };
	struct cprof_wall_part here = { .stack = 1, .reason = 2 }, there = { .stack = 2 };
	CHECK(!cprof_wall_idle_add(&idle, &here, "pool", 10));
	CHECK(!cprof_wall_idle_add(&idle, &here, "pool", 10));
	CHECK(!cprof_wall_idle_add(&idle, &there, "a", 10));
	CHECK(!cprof_wall_idle_add(&idle, &there, "b", 10));
	CHECK_UINT(idle.n, 2);
	CHECK_UINT(idle.places[0].threads, 2);
	CHECK_UINT(idle.places[0].ns, 20);
	CHECK(strcmp(idle.places[0].name, "pool") == 0);
	CHECK(strcmp(idle.places[1].name, "") == 0);
	cprof_wall_idle_deinit(&idle);
}

static uint32_t add_reason(struct cprof_wall_reasons *reasons, int32_t syscall,
			   struct cprof_wait_verdict verdict, const char *lock)
{
	const struct cprof_wait_row row = { .syscall = syscall };
	struct cprof_wait_shown wait = { .row = &row, .verdict = verdict };
	uint32_t number = 0;
	if (lock)
		wait.labels[wait.n_labels++] =
			(struct cprof_builder_label){ .key = "lock", .str = lock };
	CHECK(!cprof_wall_reasons_add(reasons, &wait, &number));
	return number;
}

TEST(wall_reasons_tells_idle_from_held_up)
{
	static const struct {
		int32_t syscall;
		struct cprof_wait_verdict verdict;
		bool idles;
	} cases[] = {
		{ SYS_futex, { CPROF_WAIT_MUTEX, true }, false },
		{ SYS_futex, { CPROF_WAIT_CONDVAR, false }, true },
		{ SYS_futex, { CPROF_WAIT_JOIN, true }, true },
		{ SYS_futex, { CPROF_WAIT_SEMAPHORE, true }, false },
		{ SYS_futex, { CPROF_WAIT_SEMAPHORE, false }, true },
		{ SYS_read, { CPROF_WAIT_IO, false }, true },
		{ SYS_read, { CPROF_WAIT_DISK, false }, false },
		{ CPROF_WAIT_NO_SYSCALL, { CPROF_WAIT_PAGE_FAULT, false }, false },
	};
	struct cprof_wall_reasons reasons = { 0 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint32_t number =
			add_reason(&reasons, cases[i].syscall, cases[i].verdict, NULL);
		CHECK_UINT(number, i + 1);
		CHECK(reasons.reasons[number].idles == cases[i].idles);
	}
	CHECK_UINT(add_reason(&reasons, SYS_futex, cases[0].verdict, NULL), 1);
	CHECK_UINT(add_reason(&reasons, SYS_futex, cases[0].verdict, "0x1"), 9);
	struct cprof_builder_label labels[CPROF_WAIT_PROFILE_LABELS_MAX];
	CHECK_UINT(cprof_wall_reason_labels(&reasons.reasons[9], false, labels), 3);
	CHECK_UINT(cprof_wall_reason_labels(&reasons.reasons[9], true, labels), 2);
	cprof_wall_reasons_deinit(&reasons);
}

TEST(wall_reason_frame_says_what_a_thread_waits_in)
{
	char text[40];
	cprof_wall_reason_frame(SYS_futex, "futex", text, sizeof(text));
	CHECK(strcmp(text, "[futex]") == 0);
	cprof_wall_reason_frame(CPROF_WAIT_NO_SYSCALL, NULL, text, sizeof(text));
	CHECK(strcmp(text, "[page fault]") == 0);
	cprof_wall_reason_frame(333, NULL, text, sizeof(text));
	CHECK(strcmp(text, "[system call 333]") == 0);
}

TEST(wall_tier_is_found_by_its_name)
{
	const struct cprof_wall_tier *tier;
	CHECK(!cprof_wall_tier_find("auto", &tier) && !tier);
	CHECK(!cprof_wall_tier_find("proc", &tier) && !tier->samples && tier->looks);
	struct cprof_error *err = cprof_wall_tier_find("prof", &tier);
	CHECK(err && err->code == CPROF_ERR_USAGE);
	cprof_error_free(err);
}
