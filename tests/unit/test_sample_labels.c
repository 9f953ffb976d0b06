/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/sample_labels.h"

#include <stdio.h>

#include "tests/unit/test.h"

enum { MANY = 100 }; /* more than a session once kept */

/* The labels of the one sample of a profile, in which every label is a text "kN" = "vN" or the number "bytes". */
static void check_labels(const struct cprof_profile *profile, bool with_bytes)
{
	bool seen[MANY] = { false }, bytes = false;
	CHECK_UINT(profile->n_samples, 1);
	const struct cprof_sample *sample = &profile->samples[0];
	CHECK_UINT(sample->n_labels, MANY + with_bytes);
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &profile->labels[sample->first_label + i];
		unsigned key, value;
		if (label->is_num) {
			CHECK_STR(cprof_profile_text(profile, label->key), "bytes");
			CHECK_UINT(label->num, 64);
			bytes = true;
			continue;
		}
		CHECK(sscanf(cprof_profile_text(profile, label->key), "k%u", &key) == 1);
		CHECK(sscanf(cprof_profile_text(profile, label->text), "v%u", &value) == 1);
		CHECK(key == value && key < MANY && !seen[key]);
		seen[key] = true;
	}
	CHECK(bytes == with_bytes);
}

static void check_set(const struct cprof_run *run, const struct cprof_builder_label *extra,
		      size_t n_extra)
{
	const struct cprof_builder_type type = { "space", "bytes" };
	const int64_t one = 1;
	struct cprof_sample_labels labels;
	struct cprof_builder *builder;
	struct cprof_profile *profile;
	uint32_t set, again;
	CHECK(!cprof_builder_new(&type, 1, &builder));
	cprof_sample_labels_init(&labels, builder, run);
	CHECK(!cprof_sample_labels_get(&labels, NULL, 0, extra, n_extra, &set));
	CHECK(!cprof_sample_labels_get(&labels, NULL, 0, extra, n_extra, &again));
	CHECK_UINT(set, again);
	CHECK(!cprof_builder_add(builder, NULL, 0, set, &one));
	CHECK(!cprof_builder_finish(builder, NULL, NULL, &profile));
	check_labels(profile, n_extra > 0);
	cprof_profile_free(profile);
	cprof_sample_labels_deinit(&labels);
	cprof_builder_free(builder);
}

TEST(sample_labels_keep_every_label_of_the_run_and_what_the_mode_adds)
{
	static char keys[MANY][8], values[MANY][8];
	struct cprof_run_label given[MANY];
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%u", i);
		snprintf(values[i], sizeof(values[i]), "v%u", i);
		given[i] = (struct cprof_run_label){ keys[i], values[i] };
	}
	const struct cprof_run run = { .n_targets = 1, .labels = given, .n_labels = MANY };
	const struct cprof_builder_label bytes = { .key = "bytes", .num = 64, .unit = "bytes" };
	check_set(&run, NULL, 0);
	check_set(&run, &bytes, 1);
}
