/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_folded.c - folded: "root;caller;leaf VALUE", a line a stack, as flame graph tools read it.
 *
 * Stacks in the order of their first sample. Held are the stacks as four bytes a frame and a sum for each: no tree of them,
 * which has a node for nearly every frame where stacks share little.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/root_stacks.h"
#include "convert/report/report.h"

struct sum {
	uint32_t sample; /* the first with this stack */
	int64_t value, divisor;
};

struct folding {
	struct cprof_report *report;
	struct cprof_node_infos infos;
	struct cprof_root_stacks stacks;
	struct cprof_map64 of; /* hash of a stack -> sum + 1 */
	struct sum *sums;
	uint32_t n_sums, room;
	struct cprof_buffer names; /* as they are shown, info by info */
	size_t *name_at;           /* info i: names [name_at[i], name_at[i + 1]) */
};

static void deinit(struct folding *f)
{
	cprof_root_stacks_deinit(&f->stacks);
	cprof_node_infos_deinit(&f->infos);
	cprof_map64_deinit(&f->of);
	cprof_buffer_deinit(&f->names);
	free(f->name_at);
	free(f->sums);
}

static size_t n_frames(const struct folding *f, uint32_t sample)
{
	return f->stacks.start[sample + 1] - f->stacks.start[sample];
}

static const uint32_t *frames(const struct folding *f, uint32_t sample)
{
	return f->stacks.frames + f->stacks.start[sample];
}

static bool same_stack(const struct folding *f, uint32_t a, uint32_t b)
{
	size_t n = n_frames(f, a);
	return n == n_frames(f, b) &&
	       memcmp(frames(f, a), frames(f, b), n * sizeof(*f->stacks.frames)) == 0;
}

static struct cprof_error *find_sum(struct folding *f, uint32_t sample, struct sum **ret_sum)
{
	uint64_t hash = cprof_hash_mix(cprof_hash_secret(), n_frames(f, sample));
	for (size_t i = 0; i < n_frames(f, sample); i++)
		hash = cprof_hash_mix(hash, frames(f, sample)[i]);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&f->of, hash, NULL);
		if (!place)
			return cprof_error_no_memory();
		if (!*place) {
			struct cprof_error *err = cprof_profile_grow(&f->sums, f->n_sums, &f->room,
								     1, sizeof(*f->sums));
			if (err)
				return err;
			f->sums[f->n_sums] = (struct sum){ .sample = sample };
			*place = ++f->n_sums;
		}
		*ret_sum = &f->sums[*place - 1];
		if (same_stack(f, (*ret_sum)->sample, sample))
			return NULL;
	}
}

static struct cprof_error *add_up(struct folding *f)
{
	for (uint32_t i = 0; i < f->report->profile->n_samples; i++) {
		int64_t value = cprof_report_value(f->report, i);
		int64_t divisor = cprof_report_divisor(f->report, i);
		struct sum *sum;
		if ((!value && !divisor) || !n_frames(f, i))
			continue;
		struct cprof_error *err = find_sum(f, i, &sum);
		if (err)
			return err;
		sum->value = cprof_measure_add(sum->value, value);
		sum->divisor = cprof_measure_add(sum->divisor, divisor);
	}
	return NULL;
}

/* What separates frames and stacks is replaced. */
static struct cprof_error *make_names(struct folding *f)
{
	f->name_at = calloc((size_t)f->infos.n + 1, sizeof(*f->name_at));
	if (!f->name_at)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < f->infos.n; i++) {
		for (const char *at = cprof_node_infos_name(&f->infos, i); *at; at++) {
			char shown = *at == '\n' || *at == '\r' ? ' ' : *at;
			cprof_buffer_putc(&f->names, shown == ';' ? ':' : shown);
		}
		f->name_at[i + 1] = f->names.len;
	}
	return cprof_buffer_error(&f->names);
}

static struct cprof_error *put_sum(struct folding *f, const struct sum *sum,
				   struct cprof_buffer *line, FILE *out)
{
	int64_t value = sum->divisor ? sum->value / sum->divisor : sum->value;
	if (!value)
		return NULL;
	if (f->report->ratio > 0 && f->report->ratio != 1)
		value = cprof_measure_truncate((double)value * f->report->ratio);
	line->len = 0;
	size_t n = n_frames(f, sum->sample);
	for (size_t i = 0; i < n; i++) {
		uint32_t info = frames(f, sum->sample)[i];
		cprof_buffer_append(line, cprof_buffer_text(&f->names) + f->name_at[info],
				    f->name_at[info + 1] - f->name_at[info]);
		cprof_buffer_putc(line, i + 1 < n ? ';' : ' ');
	}
	cprof_buffer_printf(line, "%" PRId64 "\n", value);
	fwrite(cprof_buffer_text(line), 1, line->len, out);
	return cprof_buffer_error(line);
}

static struct cprof_error *fold(struct folding *f, FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	struct cprof_error *err = cprof_node_infos_init(&f->infos, f->report);
	if (!err)
		err = cprof_root_stacks_init(&f->stacks, &f->infos);
	if (!err)
		err = make_names(f);
	if (!err)
		err = add_up(f);
	for (uint32_t i = 0; !err && i < f->n_sums; i++)
		err = put_sum(f, &f->sums[i], &line, out);
	return err;
}

static struct cprof_error *write_folded(struct cprof_report *report, FILE *out)
{
	struct folding f = { .report = report };
	struct cprof_error *err = fold(&f, out);
	deinit(&f);
	return err;
}

const struct cprof_format cprof_format_folded = {
	.name = "folded",
	.help = "a line a stack: root;caller;leaf VALUE",
	.suffix = "folded",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_TREE,
	.write = write_folded,
};
