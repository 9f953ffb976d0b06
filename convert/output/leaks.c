/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/leaks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/profile/heap_age.h"
#include "cprof/stack_table.h"

#define MOMENTS_MAX 4096u
#define MOMENT_MAX  (1ll << 52) /* milliseconds */
#define MOMENTS_MIN 3u          /* for a slope of a history that tells ages */
#define GROWS       (1.0 / 60)  /* bytes a second: less than a byte a minute is a rounding error */
#define CELLS_MAX   (1u << 26)  /* stacks times moments */

/* What the history's samples are known by. */
struct words {
	uint32_t space, samples; /* types */
};

struct gathering {
	struct cprof_leaks *leaks;
	const struct cprof_report *report;
	struct words words;
	struct cprof_map64 by_time;  /* milliseconds -> number of the moment + 1 */
	struct cprof_map64 by_stack; /* hash of the stack -> row + 1 */
	struct cprof_map64 by_pid;   /* -> process + 1 */
	uint32_t cap, cap_processes;
	bool *looked; /* owned: was there a moment of that process? by process and moment */
};

void cprof_leaks_deinit(struct cprof_leaks *leaks)
{
	for (uint32_t i = 0; i < leaks->n; i++) {
		free(leaks->rows[i].all);
		free(leaks->rows[i].aged);
	}
	free(leaks->whole.all);
	free(leaks->whole.aged);
	free(leaks->rows);
	free(leaks->moments);
	free(leaks->processes);
	cprof_root_stacks_deinit(&leaks->stacks);
	cprof_node_infos_deinit(&leaks->infos);
	*leaks = (struct cprof_leaks){ 0 };
}

/* ---- which samples, of which moment ---- */

static bool find_type(const struct cprof_profile *p, const char *name, uint32_t *ret)
{
	for (uint32_t i = 0; i < p->n_types; i++) {
		if (strcmp(cprof_profile_text(p, p->types[i].type), name) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static int64_t value_of(const struct gathering *g, uint32_t sample, uint32_t type)
{
	const struct cprof_profile *p = g->report->profile;
	return p->values[(size_t)sample * p->n_types + type];
}

static const struct cprof_label *find_label(const struct cprof_profile *p, uint32_t sample,
					    const char *key, bool is_num)
{
	const struct cprof_sample *s = &p->samples[sample];
	for (uint32_t i = 0; i < s->n_labels; i++) {
		const struct cprof_label *label = &p->labels[s->first_label + i];
		if (label->is_num == is_num && strcmp(cprof_profile_text(p, label->key), key) == 0)
			return label;
	}
	return NULL;
}

/* Of the history, and when; false: of something else. */
static bool is_moment(const struct gathering *g, uint32_t sample, int64_t *ret_ms)
{
	if (!value_of(g, sample, g->words.space) && !value_of(g, sample, g->words.samples))
		return false;
	const struct cprof_label *label =
		find_label(g->report->profile, sample, CPROF_HEAP_MOMENT, true);
	/* Later ones would not be told apart in a double. */
	if (!label || label->num < 0 || label->num > MOMENT_MAX)
		return false;
	*ret_ms = label->num;
	return true;
}

static struct cprof_error *no_history(void)
{
	return cprof_error_hint(
		cprof_error_new(
			CPROF_ERR_BAD_DATA,
			"nothing tells what was in use at several moments: the profile has no "
			"history"),
		"cprof-attach -p PID -mode heap -leaks -seconds 60 -o FILE records one; or give "
		"several heap profiles of the process: cprof -leaks FIRST SECOND THIRD");
}

static int compare_numbers(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int64_t pid_of(const struct gathering *g, uint32_t sample)
{
	const struct cprof_label *label = find_label(g->report->profile, sample, "pid", true);
	return label ? label->num : 0;
}

static struct cprof_error *note_process(struct gathering *g, uint32_t sample)
{
	struct cprof_leaks *leaks = g->leaks;
	const int64_t pid = pid_of(g, sample);
	uint64_t *place = cprof_map64_put(&g->by_pid, (uint64_t)pid, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (*place)
		return NULL;
	struct cprof_error *err =
		cprof_profile_grow(&leaks->processes, leaks->n_processes, &g->cap_processes, 1,
				   sizeof(*leaks->processes));
	if (err)
		return err;
	leaks->processes[leaks->n_processes++] = pid;
	*place = leaks->n_processes;
	return NULL;
}

static uint32_t process_of(const struct gathering *g, uint32_t sample)
{
	return (uint32_t)*cprof_map64_get(&g->by_pid, (uint64_t)pid_of(g, sample)) - 1;
}

static struct cprof_error *find_moments(struct gathering *g)
{
	struct cprof_leaks *leaks = g->leaks;
	const struct cprof_profile *p = g->report->profile;
	uint32_t room = 0;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		int64_t ms;
		bool new = false;
		if (!is_moment(g, i, &ms))
			continue;
		leaks->ages = leaks->ages || find_label(p, i, CPROF_HEAP_AGE, false);
		if (!cprof_map64_put(&g->by_time, (uint64_t)ms, &new))
			return cprof_error_no_memory();
		struct cprof_error *err = note_process(g, i);
		if (err)
			return err;
		if (!new)
			continue;
		if (leaks->n_moments == MOMENTS_MAX)
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "the history has more than %u moments", MOMENTS_MAX);
		err = cprof_profile_grow(&leaks->moments, leaks->n_moments, &room, 1,
					 sizeof(*leaks->moments));
		if (err)
			return err;
		leaks->moments[leaks->n_moments++] = (double)ms;
	}
	if (leaks->n_moments < 2)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_BAD_DATA,
					"the history is too short: %u moment%s, and nothing grows "
					"without two",
					leaks->n_moments, leaks->n_moments == 1 ? "" : "s"),
			"-seconds 60 or more");
	qsort(leaks->moments, leaks->n_moments, sizeof(*leaks->moments), compare_numbers);
	for (uint32_t i = 0; i < leaks->n_moments; i++) {
		*cprof_map64_get(&g->by_time, (uint64_t)(int64_t)leaks->moments[i]) = i + 1;
		leaks->moments[i] /= 1000;
	}
	for (uint32_t i = leaks->n_moments;
	     !leaks->ages && i-- > 0;) /* since the first, not 1970 */
		leaks->moments[i] -= leaks->moments[0];
	return NULL;
}

/* What is old, and from when on it counts. */
static struct cprof_error *choose_window(struct cprof_leaks *leaks)
{
	const double length = leaks->moments[leaks->n_moments - 1];
	if (!leaks->ages)
		return NULL;
	for (unsigned i = 0; i < CPROF_HEAP_AGES; i++) {
		const double from_s = (double)cprof_heap_ages[i].from_ns / 1e9;
		if (from_s <= length / 4)
			leaks->old_s = from_s;
	}
	while (leaks->first < leaks->n_moments && leaks->moments[leaks->first] < length / 2)
		leaks->first++;
	if (leaks->n_moments - leaks->first >= MOMENTS_MIN)
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_BAD_DATA,
				"the history is too short: %u moments in the second "
				"half of %g s, and a slope needs %u",
				leaks->n_moments - leaks->first, length, MOMENTS_MIN),
		"-seconds 60 or more");
}

/* ---- rows ---- */

static struct cprof_slope_point *new_points(const struct cprof_leaks *leaks)
{
	struct cprof_slope_point *points = calloc(leaks->n_moments, sizeof(*points));
	for (uint32_t i = 0; points && i < leaks->n_moments; i++)
		points[i].at = leaks->moments[i];
	return points;
}

static struct cprof_error *fill_row(const struct cprof_leaks *leaks, struct cprof_leak *row)
{
	row->all = new_points(leaks);
	row->aged = new_points(leaks);
	return row->all && row->aged ? NULL : cprof_error_no_memory();
}

static bool same_stack(const struct cprof_root_stacks *stacks, uint32_t a, uint32_t b)
{
	return cprof_stack_equal(
		stacks->frames + stacks->start[a], stacks->start[a + 1] - stacks->start[a],
		stacks->frames + stacks->start[b], stacks->start[b + 1] - stacks->start[b]);
}

/* The row of the sample's stack and process. Where two stacks have one hash, the next number is tried. */
static struct cprof_error *find_row(struct gathering *g, uint32_t sample, struct cprof_leak **ret)
{
	struct cprof_leaks *leaks = g->leaks;
	const struct cprof_root_stacks *stacks = &leaks->stacks;
	const uint32_t process = process_of(g, sample);
	uint64_t hash = cprof_hash_mix(
		process, cprof_stack_hash(stacks->frames + stacks->start[sample],
					  stacks->start[sample + 1] - stacks->start[sample]));
	uint64_t *place = cprof_map64_put(&g->by_stack, hash, NULL);
	while (place && *place &&
	       (leaks->rows[*place - 1].process != process ||
		!same_stack(stacks, leaks->rows[*place - 1].sample, sample)))
		place = cprof_map64_put(&g->by_stack, ++hash, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!*place) {
		if ((uint64_t)(leaks->n + 1) * leaks->n_moments > CELLS_MAX)
			return cprof_error_new(CPROF_ERR_UNSUPPORTED,
					       "%u stacks at %u moments are too many", leaks->n,
					       leaks->n_moments);
		struct cprof_error *err = cprof_profile_grow(&leaks->rows, leaks->n, &g->cap, 1,
							     sizeof(*leaks->rows));
		if (err)
			return err;
		leaks->rows[leaks->n] = (struct cprof_leak){ .process = process, .sample = sample };
		*place = ++leaks->n;
		err = fill_row(leaks, &leaks->rows[leaks->n - 1]);
		if (err)
			return err;
	}
	*ret = &leaks->rows[*place - 1];
	return NULL;
}

static bool is_old(const struct gathering *g, uint32_t sample)
{
	const struct cprof_profile *p = g->report->profile;
	const struct cprof_label *label = find_label(p, sample, CPROF_HEAP_AGE, false);
	if (!g->leaks->ages)
		return true;
	const unsigned age =
		label ? cprof_heap_age_find(cprof_profile_text(p, label->text)) : CPROF_HEAP_AGES;
	return age < CPROF_HEAP_AGES &&
	       (double)cprof_heap_ages[age].from_ns / 1e9 >= g->leaks->old_s;
}

static void count(struct cprof_leak *row, uint64_t moment, bool old, double bytes, double samples)
{
	row->all[moment].value += bytes;
	row->all[moment].samples += samples;
	if (old) {
		row->aged[moment].value += bytes;
		row->aged[moment].samples += samples;
	}
}

static struct cprof_error *gather(struct gathering *g)
{
	struct cprof_leaks *leaks = g->leaks;
	struct cprof_error *err = fill_row(leaks, &leaks->whole);
	if ((uint64_t)leaks->n_processes * leaks->n_moments > CELLS_MAX)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "%u processes are too many",
				       leaks->n_processes);
	g->looked = calloc((size_t)leaks->n_processes * leaks->n_moments, sizeof(*g->looked));
	if (!g->looked)
		return cprof_error_no_memory();
	for (uint32_t i = 0; !err && i < g->report->profile->n_samples; i++) {
		struct cprof_leak *row;
		int64_t ms;
		if (!is_moment(g, i, &ms))
			continue;
		err = find_row(g, i, &row);
		if (err)
			return err;
		const uint64_t moment = *cprof_map64_get(&g->by_time, (uint64_t)ms) - 1;
		g->looked[(size_t)row->process * leaks->n_moments + moment] = true;
		count(row, moment, is_old(g, i), (double)value_of(g, i, g->words.space),
		      fabs((double)value_of(g, i, g->words.samples)));
	}
	return err;
}

/* Two processes are never looked at in one moment: between two looks at one, all is as it was. */
static void fill_between(const struct gathering *g, struct cprof_leak *row)
{
	struct cprof_leaks *leaks = g->leaks;
	const bool *looked = &g->looked[(size_t)row->process * leaks->n_moments];
	for (uint32_t i = 0; i < leaks->n_moments; i++) {
		if (i && !looked[i]) {
			row->all[i].value = row->all[i - 1].value;
			row->all[i].samples = row->all[i - 1].samples;
			row->aged[i].value = row->aged[i - 1].value;
			row->aged[i].samples = row->aged[i - 1].samples;
		}
		leaks->whole.all[i].value += row->all[i].value;
		leaks->whole.all[i].samples += row->all[i].samples;
		leaks->whole.aged[i].value += row->aged[i].value;
		leaks->whole.aged[i].samples += row->aged[i].samples;
	}
}

/* ---- slopes ---- */

static void fit(const struct cprof_leaks *leaks, struct cprof_leak *row)
{
	const uint32_t last = leaks->n_moments - 1;
	cprof_slope_fit(row->aged + leaks->first, leaks->n_moments - leaks->first, !leaks->ages,
			&row->slope);
	row->inuse = row->all[last].value;
	row->old = row->aged[last].value;
	row->samples = row->aged[last].samples;
	row->sure = row->slope.low > 0 && (!leaks->ages || row->samples >= CPROF_LEAK_SURE_SAMPLES);
}

static int compare_rows(const void *a, const void *b)
{
	const struct cprof_leak *x = a, *y = b;
	const bool x_grows = x->slope.value > GROWS, y_grows = y->slope.value > GROWS;
	const double x_low = x->slope.low > 0 ? x->slope.low : 0;
	const double y_low = y->slope.low > 0 ? y->slope.low : 0;
	if (x_grows != y_grows)
		return x_grows ? -1 : 1;
	if (x_low != y_low)
		return x_low > y_low ? -1 : 1;
	/* A program that stood still for a while has much that is old at once; that says less than what comes bit by bit. */
	if (x->slope.steady != y->slope.steady)
		return x->slope.steady > y->slope.steady ? -1 : 1;
	if (x->slope.value != y->slope.value)
		return x->slope.value > y->slope.value ? -1 : 1;
	return (x->sample > y->sample) - (x->sample < y->sample);
}

static struct cprof_error *make(struct gathering *g)
{
	struct cprof_leaks *leaks = g->leaks;
	const struct cprof_profile *p = g->report->profile;
	if (!find_type(p, CPROF_HEAP_HISTORY_SPACE, &g->words.space) ||
	    !find_type(p, CPROF_HEAP_HISTORY_SAMPLES, &g->words.samples))
		return no_history();
	struct cprof_error *err = find_moments(g);
	if (!err)
		err = choose_window(leaks);
	if (!err)
		err = cprof_node_infos_init(&leaks->infos, g->report);
	if (!err)
		err = cprof_root_stacks_init(&leaks->stacks, &leaks->infos);
	if (!err)
		err = gather(g);
	if (err)
		return err;
	for (uint32_t i = 0; i < leaks->n; i++) {
		fill_between(g, &leaks->rows[i]);
		fit(leaks, &leaks->rows[i]);
		leaks->n_grow += leaks->rows[i].slope.value > GROWS;
		leaks->n_sure += leaks->rows[i].slope.value > GROWS && leaks->rows[i].sure;
	}
	fit(leaks, &leaks->whole);
	if (leaks->n)
		qsort(leaks->rows, leaks->n, sizeof(*leaks->rows), compare_rows);
	return NULL;
}

struct cprof_error *cprof_leaks_init(struct cprof_leaks *leaks, const struct cprof_report *report)
{
	*leaks = (struct cprof_leaks){ 0 };
	struct gathering g = { .leaks = leaks, .report = report };
	struct cprof_error *err = make(&g);
	cprof_map64_deinit(&g.by_time);
	cprof_map64_deinit(&g.by_stack);
	cprof_map64_deinit(&g.by_pid);
	free(g.looked);
	return err;
}
