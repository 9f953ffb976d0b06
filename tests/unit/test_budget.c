/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/budget.h"
#include "tests/unit/test.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cprof/image.h"

#define MIB (1ull << 20)

/* A file of `bytes`, of which `written` take room. */
static int make_file(uint64_t bytes, uint64_t written)
{
	static const char piece[65536] = { 1 };
	int fd = memfd_create("budget", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	for (uint64_t at = 0; at < written; at += sizeof(piece))
		CHECK(pwrite(fd, piece, sizeof(piece), (off_t)at) == sizeof(piece));
	return fd;
}

static struct cprof_account *account_of(struct cprof_budget *budget, int fd, const char *name)
{
	struct cprof_account *account;
	CHECK(!cprof_budget_account(budget, fd, name, &account));
	return account;
}

TEST(budget_allows_a_file_what_it_weighs_and_not_what_it_claims)
{
	struct cprof_budget budget = { 0 };
	int small = make_file(512 * MIB, 0), large = make_file(32 * MIB, 32 * MIB);
	const struct cprof_account *hole = account_of(&budget, small, "hole");
	const struct cprof_account *full = account_of(&budget, large, "full");
	CHECK_UINT(cprof_budget_limit(&budget, hole, CPROF_BUDGET_HELD), 64 * MIB);
	CHECK_UINT(cprof_budget_limit(&budget, full, CPROF_BUDGET_HELD), 64 * MIB + 256 * MIB);
	CHECK_UINT(cprof_budget_limit(&budget, NULL, CPROF_BUDGET_HELD), 256 * MIB + 256 * MIB);
	budget.factor = 2;
	CHECK_UINT(cprof_budget_limit(&budget, hole, CPROF_BUDGET_HELD), 128 * MIB);
	close(small);
	close(large);
	cprof_budget_deinit(&budget);
}

TEST(budget_knows_a_file_again_however_often_it_is_opened)
{
	struct cprof_budget budget = { 0 };
	int fd = make_file(MIB, MIB), again = dup(fd), other = make_file(MIB, MIB);
	struct cprof_account *account = account_of(&budget, fd, "a");
	CHECK(account_of(&budget, again, "b") == account);
	CHECK(account_of(&budget, other, "c") != account);
	CHECK_STR(account->name, "a");
	CHECK_UINT(budget.disk, 2 * MIB);
	close(fd);
	close(again);
	close(other);
	cprof_budget_deinit(&budget);
}

TEST(budget_refuses_what_is_too_much_and_still_allows_what_is_not)
{
	struct cprof_budget budget = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	int fd = make_file(MIB, 0);
	struct cprof_account *account = account_of(&budget, fd, "file");
	CHECK(cprof_account_charge(account, CPROF_BUDGET_HELD, 60 * MIB));
	CHECK(!account->over && !budget.n_over);
	CHECK(!cprof_account_charge(account, CPROF_BUDGET_HELD, UINT64_MAX));
	CHECK(!cprof_account_charge(account, CPROF_BUDGET_HELD, 5 * MIB));
	CHECK(cprof_account_charge(account, CPROF_BUDGET_HELD, 4 * MIB));
	CHECK(account->over && !account->over_all);
	CHECK_UINT(budget.n_over, 1);
	cprof_account_describe(account, &text);
	CHECK_STR(cprof_buffer_text(&text),
		  "more than 67 MB of memory for a file that takes 0.0 MB on disk");
	close(fd);
	cprof_budget_deinit(&budget);
}

TEST(budget_of_all_files_ends_before_many_small_ones_are_a_large_one)
{
	struct cprof_budget budget = { 0 };
	unsigned allowed = 0;
	for (unsigned i = 0; i < 20; i++) {
		int fd = make_file(MIB, 0);
		allowed += cprof_account_charge(account_of(&budget, fd, "file"), CPROF_BUDGET_HELD,
						60 * MIB);
		/* Kept open: a closed one's inode number would be the next one's. */
	}
	CHECK_UINT(allowed, 4);
	CHECK_UINT(budget.n_over, 16);
	CHECK(budget.accounts[19]->over_all);
	cprof_budget_deinit(&budget);
}

TEST(budget_has_no_steps_left_for_small_things_once_they_are_spent)
{
	struct cprof_budget budget = { 0 };
	int fd = make_file(MIB, 0);
	struct cprof_account *account = account_of(&budget, fd, "file");
	CHECK(cprof_account_charge(account, CPROF_BUDGET_STEPS, 1000));
	CHECK(!cprof_account_charge(account, CPROF_BUDGET_STEPS, 1ull << 40));
	CHECK(!cprof_account_charge(account, CPROF_BUDGET_STEPS, 1));
	CHECK(cprof_account_charge(NULL, CPROF_BUDGET_STEPS, UINT64_MAX));
	close(fd);
	cprof_budget_deinit(&budget);
}

TEST(budget_ends_the_reading_of_a_file_that_is_all_holes)
{
	struct cprof_budget budget = { 0 };
	struct cprof_image *image;
	int fd = make_file(512 * MIB, MIB);
	CHECK(!cprof_image_open(fd, "holes", &budget, &image));
	CHECK(cprof_image_at(image, 0, 100));
	CHECK(!cprof_image_at(image, 0, image->size));
	CHECK(cprof_image_resident(image) <= 80 * MIB);
	CHECK(cprof_image_at(image, 0, 100));
	CHECK_UINT(budget.spent[CPROF_BUDGET_OPEN], 1);
	cprof_image_free(image);
	CHECK_UINT(budget.spent[CPROF_BUDGET_OPEN], 0);
	CHECK_UINT(budget.spent[CPROF_BUDGET_MAPPED], 0);
	close(fd);
	cprof_budget_deinit(&budget);
}

TEST(budget_counts_files_that_are_open_at_once)
{
	struct cprof_budget budget = { 0 };
	struct cprof_image *image;
	int fd = make_file(MIB, 0);
	struct cprof_account *account = account_of(&budget, fd, "file");
	CHECK(cprof_account_charge(account, CPROF_BUDGET_OPEN, 24000));
	struct cprof_error *err = cprof_image_open(fd, "one too many", &budget, &image);
	CHECK(err && err->code == CPROF_ERR_BAD_DATA);
	cprof_error_free(err);
	CHECK_UINT(budget.spent[CPROF_BUDGET_OPEN], 24000);
	close(fd);
	cprof_budget_deinit(&budget);
}

TEST(budget_gives_no_file_more_processor_time_than_its_share)
{
	struct cprof_budget budget = { 0 };
	int fd = make_file(MIB, 0), other = make_file(MIB, 0);
	struct cprof_account *account = account_of(&budget, fd, "slow");
	CHECK(cprof_account_charge(account, CPROF_BUDGET_STEPS, 1));
	CHECK(cprof_account_charge(account, CPROF_BUDGET_TIME, 20000000000ull));
	CHECK(!cprof_account_charge(account, CPROF_BUDGET_TIME, 1));
	CHECK(!cprof_account_charge(account, CPROF_BUDGET_STEPS, 1));
	CHECK(account->over && account->over_kind == CPROF_BUDGET_TIME);
	CHECK(cprof_account_charge(account_of(&budget, other, "other"), CPROF_BUDGET_STEPS, 1));
	close(fd);
	close(other);
	cprof_budget_deinit(&budget);
}
