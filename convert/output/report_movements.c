/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_movements.c - movements: what changed between two profiles, as text and as JSON.
 */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/node_json.h"
#include "convert/output/movements.h"
#include "convert/report/report.h"

static int64_t difference(const int64_t *pair)
{
	return cprof_measure_subtract(pair[1], pair[0]);
}

/* "+1.20s", "-30ms", "0"; `text` has a byte more than a label. */
static const char *signed_text(const struct cprof_report *report, int64_t value, char *text)
{
	text[0] = '+';
	cprof_report_format(report, value, text + (value > 0));
	return text;
}

/* "+12.00%"; `text` has 34 bytes. */
static const char *share(const struct cprof_report *report, int64_t value, char *text)
{
	char part[32];
	cprof_measure_percentage(part, value, report->total);
	snprintf(text, 34, "%s%s",
		 value > 0   ? "+"
		 : value < 0 ? "-"
			     : "",
		 part + strspn(part, " "));
	return text;
}

static void put_row(struct cprof_report *report, struct cprof_movements *movements,
		    const struct cprof_movement *row, FILE *out)
{
	char flat[CPROF_MEASURE_LABEL_MAX + 1], cum[CPROF_MEASURE_LABEL_MAX + 1];
	char before[CPROF_MEASURE_LABEL_MAX], after[CPROF_MEASURE_LABEL_MAX];
	char flat_part[34], cum_part[34];
	const int64_t own = difference(row->flat), all = difference(row->cum);
	fprintf(out, "%11s %8s %6s %11s %8s %6s %10s %10s  %s\n", signed_text(report, own, flat),
		share(report, own, flat_part), cprof_movement_noise_word(row->flat_noise),
		signed_text(report, all, cum), share(report, all, cum_part),
		cprof_movement_noise_word(row->cum_noise),
		cprof_report_format(report, row->cum[0], before),
		cprof_report_format(report, row->cum[1], after),
		cprof_node_infos_name(&movements->infos, row->info));
}

static void put_head(struct cprof_report *report, const struct cprof_movements *movements,
		     FILE *out)
{
	char before[CPROF_MEASURE_LABEL_MAX], after[CPROF_MEASURE_LABEL_MAX];
	char moved[CPROF_MEASURE_LABEL_MAX + 1], part[34];
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	if (!report->config.compact_labels)
		cprof_report_profile_labels(report, &labels);
	fputs(cprof_buffer_text(&labels), out);
	if (!movements->n_changed) {
		fputs("Nothing changed: every entry has the same value on both sides\n", out);
		return;
	}
	fprintf(out, "%s before, %s after: %s (%s)\n",
		cprof_report_format(report, movements->total[0], before),
		cprof_report_format(report, movements->total[1], after),
		signed_text(report, difference(movements->total), moved),
		share(report, difference(movements->total), part));
	fprintf(out, "Showing %u of %u entries that changed%s\n", movements->n,
		movements->n_changed,
		movements->has_noise
			? "; sure: the counts differ by more than 1.96 sqrt(before + after), 95%"
			: "");
	fprintf(out, "%11s %8s %6s %11s %8s %6s %10s %10s\n", "flat", "flat%", "sure", "cum",
		"cum%", "sure", "before", "after");
}

static struct cprof_error *write_movements(struct cprof_report *report, FILE *out)
{
	struct cprof_movements movements;
	struct cprof_error *err = cprof_movements_init(&movements, report);
	if (!err) {
		put_head(report, &movements, out);
		for (uint32_t i = 0; i < movements.n; i++)
			put_row(report, &movements, &movements.rows[i], out);
	}
	cprof_movements_deinit(&movements);
	return err;
}

const struct cprof_format cprof_format_movements = {
	.name = "movements",
	.help = "what changed most against -diff_base: own value, with callees, and whether chance explains it",
	.suffix = "txt",
	.flags = CPROF_FORMAT_ALL_TYPES | CPROF_FORMAT_ALL_NODES | CPROF_FORMAT_COMPARES,
	.write = write_movements,
};

static void put_noise(FILE *out, const char *key, enum cprof_movement_noise noise)
{
	static const char *const words[] = { "null", "false", "true" };
	fprintf(out, ",\"%s\":%s", key, words[noise]);
}

static void put_json_row(struct cprof_report *report, struct cprof_movements *movements,
			 const struct cprof_movement *row, FILE *out)
{
	const struct cprof_node_info *info = &movements->infos.all[row->info];
	fputc('{', out);
	cprof_node_json_names(report->profile, cprof_node_infos_name(&movements->infos, row->info),
			      info, out);
	fprintf(out,
		",\"flat_before\":%" PRId64 ",\"flat_after\":%" PRId64 ",\"cum_before\":%" PRId64
		",\"cum_after\":%" PRId64,
		row->flat[0], row->flat[1], row->cum[0], row->cum[1]);
	put_noise(out, "flat_sure", row->flat_noise);
	put_noise(out, "cum_sure", row->cum_noise);
	fputc('}', out);
}

static struct cprof_error *write_json(struct cprof_report *report, FILE *out)
{
	struct cprof_movements movements;
	struct cprof_error *err = cprof_movements_init(&movements, report);
	if (!err) {
		cprof_node_json_head(report, "program", out);
		fprintf(out,
			",\"total\":%" PRId64 ",\"ratio\":%.17g,\"before\":%" PRId64
			",\"after\":%" PRId64 ",\"changed\":%u,\"noise\":%s,\"entries\":[",
			report->total, report->ratio, movements.total[0], movements.total[1],
			movements.n_changed, movements.has_noise ? "\"counts\"" : "null");
		for (uint32_t i = 0; i < movements.n; i++) {
			fputs(i ? ",\n" : "\n", out);
			put_json_row(report, &movements, &movements.rows[i], out);
		}
		fputs("]}\n", out);
	}
	cprof_movements_deinit(&movements);
	return err;
}

const struct cprof_format cprof_format_movements_json = {
	.name = "movements_json",
	.help = "the same as movements, for scripts",
	.suffix = "json",
	.flags = CPROF_FORMAT_ALL_TYPES | CPROF_FORMAT_ALL_NODES | CPROF_FORMAT_COMPARES |
		 CPROF_FORMAT_ANY_STRING,
	.write = write_json,
};
