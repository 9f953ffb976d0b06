/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_account.h"

#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/test.h"

#define MS 1000000ull

TEST(cpu_account_calls_it_short_only_where_that_is_no_accident)
{
	static const struct {
		const char *what;
		uint64_t used_ns, sampled_ns, period_ns;
		bool want;
	} rows[] = {
		{ "all of it", 1000 * MS, 1000 * MS, 10 * MS, false },
		{ "more than was used", 100 * MS, 200 * MS, 10 * MS, false },
		{ "a half", 1000 * MS, 500 * MS, 10 * MS, false },
		{ "less than a half", 1000 * MS, 490 * MS, 10 * MS, true },
		{ "nothing of much", 740 * MS, 0, 10 * MS, true },
		{ "nothing of little", 190 * MS, 0, 10 * MS, false },
		{ "nothing of few periods", 900 * MS, 0, 100 * MS, false },
		{ "nothing at all", 0, 0, 10 * MS, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_UINT(cprof_cpu_account_short(rows[i].used_ns, rows[i].sampled_ns,
						   rows[i].period_ns),
			   rows[i].want);
}

TEST(cpu_account_counts_what_a_process_works_and_knows_nothing_of_one_that_ended)
{
	struct cprof_target *self;
	CHECK(!cprof_target_open(getpid(), &self));
	struct cprof_cpu_account account;
	cprof_cpu_account_start(&account, &self, 1, true);
	uint64_t before = account.before_ns, user = before, system;
	while (user < before + 50 * MS)
		CHECK(cprof_target_cpu_time(self, &user, &system));
	cprof_cpu_account_stop(&account);
	CHECK(account.known);
	CHECK(account.used_ns >= 50 * MS);
	self->exited = true;
	cprof_cpu_account_stop(&account);
	CHECK(!account.known);
	cprof_target_close(self);
}
