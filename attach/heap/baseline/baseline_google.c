/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google's tcmalloc: what it holds is estimated by the blocks that it samples (google_samples.h). Its spans and caches are not read.
 */
#include <math.h>
#include <stdlib.h>

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/baseline_spread.h"
#include "attach/heap/baseline/baseline_teller.h"
#include "attach/heap/baseline/google_samples.h"

struct finding {
	struct cprof_baseline_memory *memory;
	struct cprof_google google;
};

struct reading {
	struct cprof_baseline_teller teller;
	uint64_t n;
	double variance_objects, variance_bytes;
};

static bool find_in(void *ctx, uint64_t start, uint64_t end)
{
	struct finding *finding = ctx;
	cprof_google_find(finding->memory, start, end, &finding->google);
	return false; /* the better one may come yet */
}

static struct cprof_error *find(const struct cprof_baseline_target *target, void **ret_place)
{
	struct finding finding = { .memory = target->memory, .google = { .maps = target->maps } };
	bool found;
	struct cprof_error *err = cprof_baseline_each_data(target->maps, target->modules, 4096,
							   find_in, &finding, &found);
	if (err || !finding.google.first)
		return err;
	struct cprof_google *place = malloc(sizeof(*place));
	if (!place)
		return cprof_error_no_memory();
	*place = finding.google;
	*ret_place = place;
	return NULL;
}

static struct cprof_error *on_sample(void *ctx, const struct cprof_google_sample *sample)
{
	struct reading *reading = ctx;
	struct cprof_baseline_account *account = reading->teller.account;
	if (!sample->lives)
		return NULL;
	const double weight = (double)sample->weight / ((double)sample->requested + 1);
	struct cprof_baseline_sampled sampled = {
		.addr = sample->record,
		.bytes = sample->bytes,
		.born = sample->handle ^ sample->born_ns,
		.age = cprof_baseline_age(sample->born_ns),
		.weight = weight,
	};
	uint32_t row;
	struct cprof_error *err = cprof_baseline_teller_row(&reading->teller, sample->bytes, NULL,
							    sample->bytes, sample->bytes, &row);
	if (!err)
		err = cprof_baseline_stacks_number(&account->stacks, sample->addrs, sample->n,
						   &sampled.stack);
	if (err)
		return err;
	const double variance = weight > 1 ? weight * (weight - 1) : 0;
	reading->n++;
	reading->variance_objects += variance;
	reading->variance_bytes += variance * (double)sample->bytes * (double)sample->bytes;
	return cprof_baseline_account_estimated(account, row, &sampled);
}

/* Weights come from the target's memory: their sum may be more than any number of bytes. */
static uint64_t error_of(double variance)
{
	return (uint64_t)fmin(2 * sqrt(variance), 0x1p62);
}

static struct cprof_error *tell_error(struct reading *reading, uint64_t broken)
{
	struct cprof_baseline_totals *totals = cprof_baseline_teller_totals(&reading->teller);
	totals->error_objects = error_of(reading->variance_objects);
	totals->error_bytes = error_of(reading->variance_bytes);
	totals->resyncs += broken;
	return cprof_baseline_account_untold(
		reading->teller.account, reading->teller.allocator,
		"what is in use is estimated, by %llu blocks that it has sampled; its free "
		"memory and its own are in \"other anonymous memory\"",
		(unsigned long long)reading->n);
}

static struct cprof_error *read_all(const struct cprof_baseline_target *target, void *place,
				    struct cprof_baseline_account *account)
{
	struct reading reading = { 0 };
	uint64_t broken = 0;
	struct cprof_error *err = cprof_baseline_teller_init(&reading.teller, target->memory,
							     account, cprof_baseline_google.name);
	if (!err)
		err = cprof_google_samples_each(target->memory, place, on_sample, &reading,
						&broken);
	if (!err)
		err = tell_error(&reading, broken);
	cprof_baseline_teller_deinit(&reading.teller);
	return err;
}

const struct cprof_baseline_source cprof_baseline_google = {
	.name = "tcmalloc (Google)",
	.find = find,
	.read = read_all,
};
