/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/timed_samples.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "convert/report/time_label.h"
#include "cprof/hash.h"

struct maker {
	struct cprof_timed_samples *timed;
	const struct cprof_report *report;
	struct cprof_time_label label;
	struct cprof_map64
		threads; /* hash -> index + 1; unequal ones go on to the hash of the hash */
	uint32_t cap_threads;
};

/* ---- threads ---- */

static struct cprof_timed_thread thread_of(const struct cprof_profile *p,
					   const struct cprof_sample *sample)
{
	struct cprof_timed_thread thread = { 0 };
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &p->labels[sample->first_label + i];
		const char *key = cprof_profile_text(p, label->key);
		if (!label->is_num &&
		    (strcmp(key, "thread") == 0 || strcmp(key, "thread name") == 0))
			thread.name = label->text;
		else if (label->is_num &&
			 (strcmp(key, "tid") == 0 || strcmp(key, "thread id") == 0))
			thread.tid = label->num;
		else if (label->is_num &&
			 (strcmp(key, "pid") == 0 || strcmp(key, "process_id") == 0))
			thread.pid = label->num;
	}
	return thread;
}

static struct cprof_error *find_thread(struct maker *m, const struct cprof_timed_thread *thread,
				       uint32_t *ret)
{
	struct cprof_timed_samples *timed = m->timed;
	uint64_t hash = cprof_hash_mix((uint64_t)thread->tid, (uint64_t)thread->pid);
	for (hash = cprof_hash_mix(hash, thread->name);; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&m->threads, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			if (!CPROF_ARRAY_ROOM(timed->threads, timed->n_threads, m->cap_threads, 1))
				return cprof_error_no_memory();
			timed->threads[timed->n_threads++] = *thread;
			*place = timed->n_threads;
		}
		const struct cprof_timed_thread *known = &timed->threads[*place - 1];
		if (known->tid == thread->tid && known->pid == thread->pid &&
		    known->name == thread->name) {
			*ret = (uint32_t)*place - 1;
			return NULL;
		}
	}
}

/* ---- samples ---- */

static struct cprof_error *gather(struct maker *m)
{
	struct cprof_timed_samples *timed = m->timed;
	const struct cprof_profile *p = m->report->profile;
	struct cprof_error *err = NULL;
	timed->origin_ns = m->label.is_relative ? 0 : INT64_MAX;
	for (uint32_t i = 0; !err && i < p->n_samples; i++) {
		struct cprof_timed_sample sample = { .sample = i };
		if (cprof_report_value(m->report, i) <= 0)
			continue;
		if (!cprof_time_label_get(p, m->label, i, &sample.time_ns)) {
			timed->n_without++;
			continue;
		}
		if (sample.time_ns < timed->origin_ns)
			timed->origin_ns = sample.time_ns;
		const struct cprof_timed_thread thread = thread_of(p, &p->samples[i]);
		err = find_thread(m, &thread, &sample.thread);
		timed->all[timed->n++] = sample;
	}
	for (uint32_t i = 0; i < timed->n; i++) {
		if (__builtin_sub_overflow(timed->all[i].time_ns, timed->origin_ns,
					   &timed->all[i].time_ns))
			timed->all[i].time_ns = INT64_MAX;
	}
	return err;
}

static int compare_times(const void *a, const void *b)
{
	const struct cprof_timed_sample *x = a, *y = b;
	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int compare_threads(const void *a, const void *b)
{
	const struct cprof_timed_sample *x = a, *y = b;
	if (x->thread != y->thread)
		return x->thread < y->thread ? -1 : 1;
	return compare_times(a, b);
}

/* Of samples that are sorted by time alone. */
static int64_t find_width(const struct cprof_timed_samples *timed)
{
	int64_t width = INT64_MAX;
	for (uint32_t i = 1; i < timed->n; i++) {
		const int64_t step = timed->all[i].time_ns - timed->all[i - 1].time_ns;
		width = step > 0 && step < width ? step : width;
	}
	return width;
}

/* What of the profile is one time only: a sample's own length. */
static int64_t whole_width(const struct cprof_report *report)
{
	const struct cprof_profile *p = report->profile;
	return p->duration_ns > 0 ? p->duration_ns : p->period > 0 ? p->period : 1;
}

/* ---- lay-out ---- */

static bool is_time(const struct cprof_report *report)
{
	return cprof_measure_compatible(report->sample_unit, "nanoseconds");
}

static double length_of(const struct cprof_report *report, uint32_t sample)
{
	const int64_t value = cprof_report_value(report, sample);
	return is_time(report)
		       ? cprof_measure_scale(value, report->sample_unit, "nanoseconds").value
		       : (double)value;
}

/* [first, end) are those of one thread and one time. */
static void lay_out(const struct cprof_report *report, struct cprof_timed_samples *timed,
		    uint32_t first, uint32_t end)
{
	const double width = (double)timed->width_ns;
	double sum = 0, at = (double)timed->all[first].time_ns;
	for (uint32_t i = first; i < end; i++)
		sum += length_of(report, timed->all[i].sample);
	const double factor = is_time(report) && sum <= width ? 1 : width / sum;
	for (uint32_t i = first; i < end; i++) {
		timed->all[i].begin_ns = at;
		at += factor * length_of(report, timed->all[i].sample);
		timed->all[i].end_ns = at;
	}
}

static void lay_out_all(const struct cprof_report *report, struct cprof_timed_samples *timed)
{
	for (uint32_t first = 0, end; first < timed->n; first = end) {
		const struct cprof_timed_sample *begin = &timed->all[first];
		for (end = first + 1; end < timed->n && timed->all[end].thread == begin->thread &&
				      timed->all[end].time_ns == begin->time_ns;)
			end++;
		lay_out(report, timed, first, end);
	}
	for (uint32_t i = timed->n; i-- > 0;) {
		struct cprof_timed_thread *thread = &timed->threads[timed->all[i].thread];
		thread->first = i;
		thread->n++;
	}
}

struct cprof_error *cprof_timed_samples_init(struct cprof_timed_samples *timed,
					     const struct cprof_report *report)
{
	struct maker m = { .timed = timed,
			   .report = report,
			   .label = cprof_time_label_find(report->profile) };
	*timed = (struct cprof_timed_samples){ 0 };
	timed->all = calloc((size_t)report->profile->n_samples + 1, sizeof(*timed->all));
	struct cprof_error *err = timed->all ? gather(&m) : cprof_error_no_memory();
	cprof_map64_deinit(&m.threads);
	if (err)
		return err;
	qsort(timed->all, timed->n, sizeof(*timed->all), compare_times);
	timed->width_ns = find_width(timed);
	if (timed->width_ns == INT64_MAX)
		timed->width_ns = whole_width(report);
	qsort(timed->all, timed->n, sizeof(*timed->all), compare_threads);
	lay_out_all(report, timed);
	return NULL;
}

void cprof_timed_samples_deinit(struct cprof_timed_samples *timed)
{
	free(timed->all);
	free(timed->threads);
	*timed = (struct cprof_timed_samples){ 0 };
}

void cprof_timed_samples_thread_name(const struct cprof_profile *profile,
				     const struct cprof_timed_thread *thread,
				     struct cprof_buffer *out)
{
	cprof_buffer_puts(out, thread->name ? cprof_profile_text(profile, thread->name) : "thread");
	if (thread->tid)
		cprof_buffer_printf(out, " %" PRId64, thread->tid);
}
