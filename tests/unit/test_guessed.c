/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "attach/run/guessed_frames.h"
#include "base/cleanup.h"
#include "convert/profile/guessed.h"
#include "test.h"

TEST(guessed_functions_are_comments)
{
	static const struct {
		const char *comment, *function;
	} rows[] = {
		{ "#guessed frame: main", "main" }, { "#guessed frame: a b", "a b" },
		{ "#guessed frame: ", "" },         { "#guessed frame", "" },
		{ "guessed frame: main", "" },      { "", "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *function = cprof_guessed_function(rows[i].comment);
		CHECK_STR(function ? function : "", rows[i].function);
	}
}

TEST(a_guessed_function_is_told_once_and_not_too_many_are)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	CHECK(!cprof_profile_new(&profile));
	CHECK(!cprof_profile_add_comment(profile, "cprof-attach"));
	for (int i = 0; i < 3; i++) {
		CHECK(!cprof_guessed_add(profile, "main"));
		CHECK(!cprof_guessed_add(profile, "mai"));
		CHECK(!cprof_guessed_add(profile, ""));
	}
	CHECK_UINT(profile->n_comments, 3);
	CHECK_STR(cprof_profile_text(profile, profile->comments[1]), "#guessed frame: main");
	for (int i = 0; i < 2 * CPROF_GUESSED_MAX; i++) {
		char name[32];
		snprintf(name, sizeof(name), "f%d", i);
		CHECK(!cprof_guessed_add(profile, name));
	}
	CHECK_UINT(profile->n_comments, 1 + CPROF_GUESSED_MAX);
}

TEST(guessed_frames_are_told_apart_by_mapping)
{
	struct cprof_guessed_frames guessed = { 0 };
	const struct cprof_stack_frame frame = { .addr = 0x1234, .mapping = 1 };
	CHECK(!cprof_guessed_frames_has(&guessed, &frame));
	cprof_guessed_frames_add(&guessed, &frame);
	CHECK(cprof_guessed_frames_has(&guessed, &frame));
	CHECK(!cprof_guessed_frames_has(&guessed, &(struct cprof_stack_frame){ 0x1234, 2 }));
	CHECK(!cprof_guessed_frames_has(&guessed, &(struct cprof_stack_frame){ 0x1235, 1 }));
	for (uint64_t i = 0; i < 2 * CPROF_GUESSED_FRAMES_MAX; i++)
		cprof_guessed_frames_add(&guessed, &(struct cprof_stack_frame){ i, 3 });
	CHECK_UINT(guessed.by_hash.len, CPROF_GUESSED_FRAMES_MAX);
	cprof_guessed_frames_deinit(&guessed);
}
