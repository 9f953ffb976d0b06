/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "convert/profile/process_comment.h"
#include "test.h"

TEST(a_comment_says_whose_profile_it_is)
{
	static const struct {
		const char *comment, *comm;
		int64_t pid;
		const char *service;
	} rows[] = {
		{ "process: hot 42", "hot", 42, "" },
		{ "process: my app 7", "my app", 7, "" },
		{ "process: hot 42, service shop", "hot", 42, "shop" },
		{ "process: hot 42, service my shop 2", "hot", 42, "my shop 2" },
		{ "process: a b 42, service x 1, service y", "a b", 42, "x 1, service y" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct cprof_process_comment process;
		CHECK(cprof_process_comment_parse(rows[i].comment, &process));
		CHECK_UINT(process.n_comm, strlen(rows[i].comm));
		CHECK(memcmp(process.comm, rows[i].comm, process.n_comm) == 0);
		CHECK_UINT((uint64_t)process.pid, (uint64_t)rows[i].pid);
		CHECK_STR(process.service ? process.service : "", rows[i].service);
	}
}

TEST(other_comments_are_about_no_process)
{
	static const char *const rows[] = {
		"",       "process: ",    "process:  7",      "process: 7",
		"hot 42", "process: hot", "process: hot 42x", "process: hot 99999999999999999999",
	};
	struct cprof_process_comment process;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		CHECK(!cprof_process_comment_parse(rows[i], &process));
}

TEST(the_first_comment_about_a_process_counts)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_process_comment process;
	CHECK(!cprof_profile_new(&profile));
	CHECK(!cprof_process_comment_find(profile, &process));
	CHECK(!cprof_profile_add_comment(profile, "command: process: no 1"));
	CHECK(!cprof_profile_add_comment(profile, "process: one 1, service s"));
	CHECK(!cprof_profile_add_comment(profile, "process: two 2"));
	CHECK(cprof_process_comment_find(profile, &process));
	CHECK_UINT((uint64_t)process.pid, 1);
}
