/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/builder.h"

#include <stdio.h>

#include "convert/profile/profile.pb-c.h"
#include "cprof/pprof_write.h"
#include "tests/unit/test.h"

typedef Perftools__Profiles__Profile pb_profile;

static const struct cprof_builder_type cpu_types[] = { { "samples", "count" },
						       { "cpu", "nanoseconds" } };

static void ok(struct cprof_error *err)
{
	if (err)
		TEST_FAIL("%s", err->message);
}

static struct cprof_builder *cpu_builder(void)
{
	struct cprof_builder *builder;
	ok(cprof_builder_new(cpu_types, 2, &builder));
	uint32_t number;
	ok(cprof_builder_mapping(
		builder,
		&(struct cprof_builder_mapping){ 0x1000, 0x2000, 0x100, "/bin/app", "ab12" },
		&number));
	CHECK_UINT(number, 1);
	ok(cprof_builder_mapping(
		builder, &(struct cprof_builder_mapping){ 0x5000, 0x6000, 0, "/lib/c.so", NULL },
		&number));
	CHECK_UINT(number, 2);
	return builder;
}

static void add(struct cprof_builder *builder, const struct cprof_stack_frame *frames, size_t n,
		uint32_t labels, int64_t count)
{
	int64_t values[] = { count, count * 10000000 };
	ok(cprof_builder_add(builder, frames, n, labels, values));
}

/* Names every address "f<addr>"; 0x1010 has a function inlined into it. */
static struct cprof_error *name(void *ctx, const struct cprof_stack_frame *frame,
				const struct cprof_builder_line **ret_lines, size_t *ret_n)
{
	static struct cprof_builder_line lines[2];
	static char text[32];
	++*(int *)ctx;
	snprintf(text, sizeof(text), "f%" PRIx64, frame->addr);
	lines[0] = (struct cprof_builder_line){ .name = "inlined", .filename = "a.c", .line = 7 };
	lines[1] = (struct cprof_builder_line){ .name = text, .filename = "a.c", .line = 3 };
	*ret_lines = frame->addr == 0x1010 ? lines : lines + 1;
	*ret_n = frame->addr == 0x5005 ? 0 : frame->addr == 0x1010 ? 2 : 1;
	return NULL;
}

static pb_profile *encode(const struct cprof_profile *profile)
{
	struct cprof_buffer bytes = { 0 };
	ok(cprof_pprof_encode(profile, 0, &bytes));
	pb_profile *decoded = perftools__profiles__profile__unpack(NULL, bytes.len, bytes.data);
	CHECK(decoded);
	cprof_buffer_deinit(&bytes);
	return decoded;
}

static const struct cprof_stack_frame stack_a[] = { { 0x1010, 1 }, { 0x1020, 1 } };
static const struct cprof_stack_frame stack_b[] = { { 0x5005, 2 }, { 0x1020, 1 } };

TEST(builder_adds_equal_stacks_up_and_keeps_the_order_of_first_appearance)
{
	struct cprof_builder *builder = cpu_builder();
	add(builder, stack_b, 2, 0, 1);
	add(builder, stack_a, 2, 0, 2);
	add(builder, stack_b, 2, 0, 4);
	CHECK_UINT(cprof_builder_stacks(builder)->n_stacks, 2);
	CHECK_UINT(cprof_builder_stacks(builder)->n_frames, 3);

	struct cprof_profile *profile;
	ok(cprof_builder_finish(builder, NULL, NULL, &profile));
	pb_profile *got = encode(profile);
	CHECK_UINT(got->n_sample, 2);
	CHECK_UINT(got->sample[0]->value[0], 5);
	CHECK_UINT(got->sample[0]->value[1], 50000000);
	CHECK_UINT(got->sample[1]->value[0], 2);
	CHECK_UINT(got->location[got->sample[0]->location_id[0] - 1]->address, 0x5005);
	CHECK_UINT(got->location[got->sample[0]->location_id[1] - 1]->address, 0x1020);
	CHECK_STR(got->string_table[got->mapping[0]->filename], "/bin/app");
	CHECK_STR(got->string_table[got->mapping[0]->build_id], "ab12");
	CHECK_STR(got->string_table[got->sample_type[1]->unit], "nanoseconds");
	perftools__profiles__profile__free_unpacked(got, NULL);
	cprof_profile_free(profile);
	cprof_builder_free(builder);
}

TEST(builder_names_each_location_once_and_sets_a_mapping_flag_only_where_it_holds_for_all)
{
	struct cprof_builder *builder = cpu_builder();
	add(builder, stack_a, 2, 0, 1);
	add(builder, stack_b, 2, 0, 1);
	int calls = 0;
	struct cprof_profile *profile;
	ok(cprof_builder_finish(builder, name, &calls, &profile));
	CHECK_UINT(calls, 3);
	CHECK_UINT(profile->n_functions, 3);
	CHECK(profile->mappings[0].has_functions && profile->mappings[0].has_inline_frames);
	CHECK(!profile->mappings[1].has_functions && !profile->mappings[1].has_line_numbers);
	CHECK_UINT(profile->locations[0].n_lines, 2);
	const struct cprof_line *leaf = &profile->lines[profile->locations[0].first_line];
	CHECK_STR(cprof_profile_text(profile, profile->functions[leaf->function].name), "inlined");
	cprof_profile_free(profile);
	cprof_builder_free(builder);
}

/* All stacks become the one that is asked for first. */
static struct cprof_error *first_of_all(void *ctx, uint32_t stack, uint32_t *ret_stack)
{
	uint32_t *first = ctx;
	if (*first == UINT32_MAX)
		*first = stack;
	*ret_stack = *first;
	return NULL;
}

TEST(builder_makes_samples_one_that_are_given_one_stack)
{
	struct cprof_builder *builder = cpu_builder();
	uint32_t first = UINT32_MAX;
	add(builder, stack_b, 2, 0, 1);
	add(builder, stack_a, 2, 0, 2);
	ok(cprof_builder_restack(builder, first_of_all, &first));
	add(builder, stack_a, 2, 0, 4);
	add(builder, stack_b, 2, 0, 8);
	struct cprof_profile *profile;
	ok(cprof_builder_finish(builder, NULL, NULL, &profile));
	pb_profile *got = encode(profile);
	CHECK_UINT(got->n_sample, 2);
	CHECK_UINT(got->sample[0]->value[0], 11);
	CHECK_UINT(got->sample[1]->value[0], 4);
	perftools__profiles__profile__free_unpacked(got, NULL);
	cprof_profile_free(profile);
	cprof_builder_free(builder);
}

TEST(builder_takes_label_sets_as_equal_whatever_their_order)
{
	struct cprof_builder *builder = cpu_builder();
	struct cprof_builder_label one[] = { { .key = "thread", .str = "io" },
					     { .key = "tid", .num = 7 } };
	struct cprof_builder_label two[] = { one[1], one[0] };
	uint32_t a, b, c;
	ok(cprof_builder_labels(builder, one, 2, &a));
	ok(cprof_builder_labels(builder, two, 2, &b));
	ok(cprof_builder_labels(builder, one, 1, &c));
	CHECK_UINT(a, b);
	CHECK(a != c && a != 0 && c != 0);
	add(builder, stack_a, 2, a, 1);
	add(builder, stack_a, 2, 0, 1);

	struct cprof_profile *profile;
	ok(cprof_builder_finish(builder, NULL, NULL, &profile));
	pb_profile *got = encode(profile);
	CHECK_UINT(got->n_sample, 2);
	CHECK_UINT(got->sample[0]->n_label, 2);
	CHECK_STR(got->string_table[got->sample[0]->label[0]->str], "io");
	CHECK_UINT(got->sample[0]->label[1]->num, 7);
	perftools__profiles__profile__free_unpacked(got, NULL);
	cprof_profile_free(profile);
	cprof_builder_free(builder);
}

TEST(builder_leaves_out_samples_without_a_value_after_a_reset)
{
	struct cprof_builder *builder = cpu_builder();
	add(builder, stack_a, 2, 0, 1);
	cprof_builder_reset_values(builder);
	add(builder, stack_b, 2, 0, 3);
	struct cprof_profile *profile;
	ok(cprof_builder_finish(builder, NULL, NULL, &profile));
	CHECK_UINT(profile->n_samples, 1);
	CHECK_UINT(profile->values[0], 3);
	CHECK_UINT(profile->n_locations, 2);
	cprof_profile_free(profile);
	cprof_builder_free(builder);
}

TEST(builder_refuses_a_mapping_or_label_set_that_nobody_registered)
{
	struct cprof_builder *builder = cpu_builder();
	int64_t values[] = { 1, 1 };
	struct cprof_stack_frame stranger = { 0x9000, 3 };
	struct cprof_error *err = cprof_builder_add(builder, &stranger, 1, 0, values);
	CHECK(err && err->code == CPROF_ERR_BAD_DATA);
	cprof_error_free(err);
	err = cprof_builder_add(builder, stack_a, 2, 9, values);
	CHECK(err && err->code == CPROF_ERR_BAD_DATA);
	cprof_error_free(err);
	cprof_builder_free(builder);
}

TEST(builder_writes_the_same_bytes_for_the_same_samples)
{
	struct cprof_buffer bytes[2] = { { 0 }, { 0 } };
	for (int i = 0; i < 2; i++) {
		struct cprof_builder *builder = cpu_builder();
		for (uint64_t at = 0; at < 1000; at++) {
			struct cprof_stack_frame frames[] = { { 0x1000 + at % 91, 1 },
							      { 0x1100, 1 } };
			add(builder, frames, 2, 0, 1);
		}
		struct cprof_profile *profile;
		ok(cprof_builder_finish(builder, NULL, NULL, &profile));
		ok(cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &bytes[i]));
		cprof_profile_free(profile);
		cprof_builder_free(builder);
	}
	CHECK_UINT(bytes[0].len, bytes[1].len);
	CHECK(memcmp(bytes[0].data, bytes[1].data, bytes[0].len) == 0);
	cprof_buffer_deinit(&bytes[0]);
	cprof_buffer_deinit(&bytes[1]);
}
