/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_tags.c - tags: each label key with its values and what they weigh.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/printable.h"
#include "convert/report/report.h"

struct tag {
	uint32_t key, value; /* strings */
	int64_t weight;
};

struct tags {
	struct cprof_profile *profile;
	struct tag *at;
	uint32_t n, room;
	struct cprof_map64 map; /* key << 32 | value -> tag + 1 */
};

static struct cprof_error *count(struct tags *tags, uint32_t key, uint32_t value, int64_t weight)
{
	uint64_t *place = cprof_map64_put(&tags->map, (uint64_t)key << 32 | value, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!*place) {
		struct cprof_error *err =
			cprof_profile_grow(&tags->at, tags->n, &tags->room, 1, sizeof(*tags->at));
		if (err)
			return err;
		tags->at[tags->n] = (struct tag){ key, value, 0 };
		*place = ++tags->n;
	}
	struct tag *tag = &tags->at[*place - 1];
	tag->weight = cprof_measure_add(tag->weight, weight);
	return NULL;
}

static struct cprof_error *collect(const struct cprof_report *report, struct tags *tags)
{
	struct cprof_profile *p = report->profile;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const struct cprof_sample *sample = &p->samples[i];
		for (uint32_t j = 0; j < sample->n_labels; j++) {
			const struct cprof_label *label = &p->labels[sample->first_label + j];
			uint32_t value = label->text;
			struct cprof_error *err = NULL;
			if (label->is_num) {
				char text[CPROF_MEASURE_LABEL_MAX];
				cprof_measure_label_text(
					text, label->num,
					cprof_label_units_get(&report->label_units, label->key),
					report->output_unit);
				err = cprof_profile_string(p, text, &value);
			}
			if (!err)
				err = count(tags, label->key, value, cprof_report_value(report, i));
			if (err)
				return err;
		}
	}
	return NULL;
}

/* By key; within it the heaviest first, then by value. */
static int compare_tags(const void *a, const void *b, void *profile)
{
	const struct tag *x = a, *y = b;
	int order = 0;
	if (x->key != y->key)
		order = strcmp(cprof_profile_text(profile, x->key),
			       cprof_profile_text(profile, y->key));
	if (order || x->key != y->key)
		return order;
	uint64_t m = (uint64_t)cprof_measure_abs(x->weight),
		 n = (uint64_t)cprof_measure_abs(y->weight);
	if (m != n)
		return m > n ? -1 : 1;
	return strcmp(cprof_profile_text(profile, x->value), cprof_profile_text(profile, y->value));
}

/* "1.12s (89.29%):" */
static void weigh(const struct cprof_report *report, int64_t weight, char *text)
{
	char value[CPROF_MEASURE_LABEL_MAX], part[32];
	snprintf(text, CPROF_MEASURE_LABEL_MAX + 40,
		 "%s (%s):", cprof_report_format(report, weight, value),
		 cprof_measure_percentage(part, weight, report->total));
}

/* The tags first..end have one key. Columns are as wide as their widest entry and one blank. */
static void put_key(const struct cprof_report *report, const struct tag *tags, uint32_t n,
		    FILE *out)
{
	const struct cprof_profile *p = report->profile;
	char text[CPROF_MEASURE_LABEL_MAX + 40], whole[CPROF_MEASURE_LABEL_MAX], part[32];
	const char *key = cprof_profile_text(p, tags[0].key);
	int64_t sum = 0;
	size_t widest = 0;
	for (uint32_t i = 0; i < n; i++) {
		sum = cprof_measure_add(sum, tags[i].weight);
		weigh(report, tags[i].weight, text);
		size_t width = cprof_utf8_count(text);
		widest = width > widest ? width : widest;
	}
	fprintf(out, " %s: Total %s", key, cprof_report_format(report, sum, whole));
	fprintf(out, " of %s (%s)\n", cprof_report_format(report, report->total, whole),
		cprof_measure_percentage(part, sum, report->total));
	for (uint32_t i = 0; i < n; i++) {
		weigh(report, tags[i].weight, text);
		fprintf(out, "%*s%*s %s\n", (int)cprof_utf8_count(key) + 2, "",
			cprof_utf8_width(text, widest + 1), text,
			cprof_profile_text(p, tags[i].value));
	}
	fputc('\n', out);
}

static struct cprof_error *write_tags(struct cprof_report *report, FILE *out)
{
	struct tags tags = { .profile = report->profile };
	struct cprof_error *err = collect(report, &tags);
	if (!err && tags.n)
		qsort_r(tags.at, tags.n, sizeof(*tags.at), compare_tags, report->profile);
	for (uint32_t i = 0, end; !err && i < tags.n; i = end) {
		for (end = i + 1; end < tags.n && tags.at[end].key == tags.at[i].key;)
			end++;
		put_key(report, tags.at + i, end - i, out);
	}
	free(tags.at);
	cprof_map64_deinit(&tags.map);
	return err;
}

const struct cprof_format cprof_format_tags = {
	.name = "tags",
	.help = "all label keys and values, with their weight",
	.suffix = "txt",
	.write = write_tags,
};

static struct cprof_error *write_comments(struct cprof_report *report, FILE *out)
{
	const struct cprof_profile *p = report->profile;
	for (uint32_t i = 0; i < p->n_comments; i++)
		fprintf(out, "%s\n", cprof_profile_text(p, p->comments[i]));
	return NULL;
}

const struct cprof_format cprof_format_comments = {
	.name = "comments",
	.help = "the profile's comments",
	.suffix = "txt",
	.write = write_comments,
};
