/* SPDX-License-Identifier: Apache-2.0 */
/* The profiles that the web view holds: how many, of what size, and what is known of them. */
#include "base/cleanup.h"
#include "convert/web/recordings.h"
#include "test.h"

/* A profile with `n` samples, each with a label of its own key. */
static struct cprof_profile *make_profile(unsigned n)
{
	struct cprof_profile *profile = NULL;
	CHECK(!cprof_profile_new(&profile));
	CHECK(!cprof_profile_add_type(profile, "samples", "count"));
	for (unsigned i = 0; i < n; i++) {
		char key[32];
		const int64_t value = 1;
		struct cprof_label label = { .is_num = true, .num = i };
		snprintf(key, sizeof(key), "key %u", i);
		CHECK(!cprof_profile_string(profile, key, &label.key));
		CHECK(!cprof_profile_add_sample(profile, NULL, 0, &label, 1, &value));
	}
	return profile;
}

static unsigned add(struct cprof_web_recordings *recordings, unsigned n_samples, bool stays)
{
	unsigned number = 0;
	struct cprof_error *err = cprof_web_recordings_add(recordings, make_profile(n_samples),
							   "one", stays, &number);
	cprof_error_free(err);
	return number;
}

TEST(web_recordings_drop_the_oldest_of_those_that_came_later_for_a_new_one)
{
	struct cprof_web_recordings recordings = { 0 };
	add(&recordings, 10, true);
	for (unsigned i = 2; i <= 20; i++)
		CHECK_UINT(add(&recordings, 10, false), i);
	CHECK_UINT(recordings.n, CPROF_WEB_RECORDINGS_MAX);
	CHECK_UINT(recordings.at[0].number, 1);
	CHECK_UINT(recordings.at[1].number, 6);
	cprof_web_recordings_deinit(&recordings);
}

TEST(web_recordings_hold_so_many_bytes_beside_those_that_stay)
{
	struct cprof_web_recordings recordings = { 0 };
	add(&recordings, 10000, true);
	add(&recordings, 1000, false);
	recordings.most_bytes = 3 * recordings.at[1].bytes;
	CHECK(recordings.most_bytes < recordings.at[0].bytes);
	for (unsigned i = 3; i <= 10; i++)
		CHECK_UINT(add(&recordings, 1000, false), i);
	CHECK_UINT(recordings.n, 4);
	CHECK_UINT(recordings.at[0].number, 1);
	CHECK_UINT(recordings.at[1].number, 8);
	CHECK_UINT(add(&recordings, 10000, false), 0); /* refused, and nothing is dropped for it */
	CHECK_UINT(recordings.n, 4);
	cprof_web_recordings_deinit(&recordings);
}

TEST(web_recordings_know_the_keys_of_labels_and_whether_one_tells_the_time)
{
	struct cprof_web_recordings recordings = { 0 };
	add(&recordings, 3, true);
	add(&recordings, CPROF_WEB_KEYS_MAX + 50, false);
	CHECK_UINT(recordings.at[0].n_keys, 3);
	CHECK_STR(cprof_profile_text(recordings.at[0].profile, recordings.at[0].keys[2]), "key 2");
	CHECK(!recordings.at[0].is_timed);
	CHECK_UINT(recordings.at[1].n_keys, CPROF_WEB_KEYS_MAX);
	cprof_web_recordings_deinit(&recordings);
}
