/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/page_time.c - the strip of time: how much of the value was when, in all and by state or thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/json.h"
#include "convert/report/time_label.h"
#include "convert/web/web_json.h"
#include "convert/web/web_page.h"

#define BUCKETS     240
#define MOST_SERIES 8 /* of a split; what is left is one more */

/* What the strip can be split by, as cprof-attach and others call it. */
static const char *const keys[] = { "state", "thread", "thread name" };

struct strip {
	struct cprof_report *report;
	struct cprof_time_label time;
	int64_t from, to; /* [from, to] */
	FILE *out;
};

struct series {
	uint32_t name; /* string; 0: all others */
	int64_t sum;
	int64_t values[BUCKETS];
};

/* False where no two samples differ. */
static bool find_range(struct strip *strip)
{
	const struct cprof_profile *p = strip->report->profile;
	int64_t ns;
	strip->from = INT64_MAX;
	strip->to = INT64_MIN;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		if (!cprof_time_label_get(p, strip->time, i, &ns))
			continue;
		strip->from = ns < strip->from ? ns : strip->from;
		strip->to = ns > strip->to ? ns : strip->to;
	}
	return strip->from < strip->to;
}

static size_t bucket_of(const struct strip *strip, int64_t ns)
{
	const double from = (double)strip->from, to = (double)strip->to;
	const double place = to > from ? ((double)ns - from) / (to - from) : 0;
	const size_t bucket = (size_t)(place * BUCKETS);
	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The text label of a key; 0: the sample has none. */
static uint32_t label_of(const struct cprof_profile *p, uint32_t sample, const char *key)
{
	const struct cprof_sample *s = &p->samples[sample];
	for (uint32_t i = 0; i < s->n_labels; i++) {
		const struct cprof_label *label = &p->labels[s->first_label + i];
		if (!label->is_num && strcmp(cprof_profile_text(p, label->key), key) == 0)
			return label->text;
	}
	return 0;
}

/* Add up samples; by = NULL: all in all[0]. Names come in the order in which they are met, the last place is for those that come late. */
static size_t add_up(const struct strip *strip, const char *by, struct series *all, size_t most)
{
	const struct cprof_profile *p = strip->report->profile;
	size_t n = by ? 0 : 1;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const uint32_t name = by ? label_of(p, i, by) : 0;
		int64_t ns;
		size_t at = 0;
		if (!cprof_time_label_get(p, strip->time, i, &ns))
			continue;
		while (at < n && all[at].name != name)
			at++;
		if (at == n && n < most)
			all[n++].name = name;
		else if (at == n)
			at = most - 1;
		int64_t *value = &all[at].values[bucket_of(strip, ns)];
		*value = cprof_measure_add(*value, cprof_report_value(strip->report, i));
		all[at].sum = cprof_measure_add(all[at].sum, cprof_report_value(strip->report, i));
	}
	return n;
}

static void put_values(const struct series *series, FILE *out)
{
	for (size_t i = 0; i < BUCKETS; i++)
		fprintf(out, "%s%" PRId64, i ? "," : "[", series->values[i]);
	fputc(']', out);
}

static int compare_sums(const void *a, const void *b)
{
	const struct series *x = a, *y = b;
	return x->sum != y->sum ? (x->sum > y->sum ? -1 : 1)
				: (x->name > y->name) - (x->name < y->name);
}

/* The heaviest, and the rest as one without a name. */
static void put_split(const struct strip *strip, const char *by, struct series *all, size_t n,
		      bool first)
{
	const struct cprof_profile *p = strip->report->profile;
	qsort(all, n, sizeof(*all), compare_sums);
	for (size_t i = MOST_SERIES + 1; i < n; i++) {
		for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
			int64_t *rest = &all[MOST_SERIES].values[bucket];
			*rest = cprof_measure_add(*rest, all[i].values[bucket]);
		}
	}
	fprintf(strip->out, "%s{\"by\":\"%s\",\"series\":[", first ? "" : ",", by);
	for (size_t i = 0; i < n && i <= MOST_SERIES; i++) {
		fputs(i ? ",\n{" : "\n{", strip->out);
		cprof_json_put_member(strip->out, "name",
				      i == MOST_SERIES ? "" : cprof_profile_text(p, all[i].name));
		fputs(",\"values\":", strip->out);
		put_values(&all[i], strip->out);
		fputc('}', strip->out);
	}
	fputs("]}", strip->out);
}

static struct cprof_error *put_strip(struct strip *strip)
{
	enum { MOST = 512 };
	bool first = true;
	CPROF_AUTO(free) struct series *all = calloc(MOST, sizeof(*all));
	if (!all)
		return cprof_error_no_memory();
	add_up(strip, NULL, all, MOST);
	fprintf(strip->out, ",\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"values\":", strip->from,
		strip->to);
	put_values(all, strip->out);
	fputs(",\"splits\":[", strip->out);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		memset(all, 0, MOST * sizeof(*all));
		const size_t n = add_up(strip, keys[i], all, MOST);
		if (n < 2)
			continue;
		put_split(strip, keys[i], all, n, first);
		first = false;
	}
	fputc(']', strip->out);
	return NULL;
}

static struct cprof_error *write_time(struct cprof_report *report, FILE *out)
{
	struct strip strip = { .report = report,
			       .time = cprof_time_label_find(report->profile),
			       .out = out };
	struct cprof_error *err = NULL;
	cprof_web_json_head(report, NULL, out);
	fputc(',', out);
	cprof_json_put_member(out, "key",
			      strip.time.key ? cprof_profile_text(report->profile, strip.time.key)
					     : "");
	if (strip.time.key && find_range(&strip))
		err = put_strip(&strip);
	fputs("}\n", out);
	return err;
}

const struct cprof_format cprof_web_time = {
	.name = "time",
	.help = "",
	.suffix = "json",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ANY_STRING,
	.write = write_time,
};
