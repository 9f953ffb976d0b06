/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/report.h - a report on a profile: prepare (value, total, filters, granularity), then write.
 *
 * What is written is a format's: a const struct cprof_format, of which the room convert/output has a file each. What the
 * formats share lives here: the value of a sample, header lines, units. Layouts and rounding are those of google/pprof to
 * the byte.
 */
#ifndef CPROF_CONVERT_REPORT_REPORT_H
#define CPROF_CONVERT_REPORT_REPORT_H

#include <stdio.h>

#include "convert/profile/measure.h"
#include "convert/report/config.h"
#include "convert/report/label_units.h"
#include "convert/report/source_place.h"
#include "convert/report/regex.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_report;

/* How a format wants the options bent before it starts. */
enum {
	CPROF_FORMAT_NO_TRIM = 1,   /* everything is shown, whatever -trim says */
	CPROF_FORMAT_ADDRESSES = 2, /* granularity addresses */
	CPROF_FORMAT_LINES = 4,     /* granularity lines */
	CPROF_FORMAT_INLINES = 8,   /* inlined functions, whatever -noinlines says */
	CPROF_FORMAT_NO_INLINES = 16,
	CPROF_FORMAT_ALL_NODES = 32, /* nodecount -1 means all, not 80 */
	CPROF_FORMAT_OBJECTS = 64,   /* same names in different files of the program stay apart */
	CPROF_FORMAT_GRAPH = 128,  /* drawn: nodes chosen by entropy, with tags; call_tree counts */
	CPROF_FORMAT_TREE = 256,   /* call_tree counts */
	CPROF_FORMAT_BINARY = 512, /* for programs, not for a terminal; see `suffix` */
	CPROF_FORMAT_INTEGERS = 1024,    /* values are printed whole, so the unit is chosen fine */
	CPROF_FORMAT_WHOLE_PATHS = 2048, /* source file names are shown untrimmed */
	CPROF_FORMAT_COMPARES =
		4096, /* of a comparison; both sides are kept apart, as by -diff_base */
	CPROF_FORMAT_ANY_STRING = 8192, /* it has a way to write any string; others get fit ones */
	CPROF_FORMAT_ALL_TYPES = 16384, /* it shows all of a sample's values: `totals` is set */
	CPROF_FORMAT_PLACES = 32768,    /* it tells where functions are: `places` is set */
	CPROF_FORMAT_TIMES = 65536,     /* it shows when samples were, where they say so */
	CPROF_FORMAT_SERIES = 131072,   /* several sources are a series in time, and not a sum */
};

struct cprof_format {
	const char *name; /* "top" */
	const char *arg;  /* what its parameter is called ("RE"), or NULL */
	const char *help;
	const char *suffix; /* of a file that holds it: "txt", "pb.gz" */
	unsigned flags;
	const char *graphviz; /* the text is a graph and is passed through `dot -T<this>` */
	const char *viewer;   /* then shown in: "web", "kcachegrind", ... ; NULL: written */
	struct cprof_error *(*write)(struct cprof_report *report, FILE *out);
};

struct cprof_report {
	struct cprof_profile *profile; /* borrowed; filtered and aggregated by prepare */
	const struct cprof_format *format;
	struct cprof_config config;          /* with the format's wishes applied */
	uint32_t type;                       /* the sample type shown */
	const char *type_name, *sample_unit; /* borrowed from the profile */
	const char *output_unit;             /* "minimum" until a unit has been chosen */
	double ratio;                        /* 1 / divide_by */
	int64_t total;
	int64_t *totals; /* owned: by type, as `total`; NULL without CPROF_FORMAT_ALL_TYPES */
	struct cprof_source_place
		*places;            /* owned: by function; NULL without CPROF_FORMAT_PLACES */
	struct cprof_regex *symbol; /* owned: the parameter of list, peek, ... or NULL */
	const char *symbol_text;
	struct cprof_label_units label_units; /* of the profile's numeric labels */
	struct cprof_buffer warnings;         /* owned: lines for people, as they came up */
};

/*
 * Prepare a report of `profile`, which is changed by it (pass a copy to keep it). `argument` is the format's
 * parameter or NULL. Errors: CPROF_ERR_USAGE for bad expressions and unknown types.
 */
struct cprof_error *cprof_report_new(struct cprof_profile *profile,
				     const struct cprof_format *format, const char *argument,
				     const struct cprof_config *config,
				     struct cprof_report **ret_report);
void cprof_report_free(struct cprof_report *report);

/*
 * Write it. Streams: memory does not grow with the length of the text. What a terminal would act on is written as
 * base/printable.h does, by all formats but those with CPROF_FORMAT_ANY_STRING.
 */
struct cprof_error *cprof_report_write(struct cprof_report *report, FILE *out);

/* What the formats share. */

static inline int64_t cprof_report_value(const struct cprof_report *report, uint32_t sample)
{
	return report->profile->values[(size_t)sample * report->profile->n_types + report->type];
}

/* The divisor of a mean: the first value, or 0 without -mean. */
static inline int64_t cprof_report_divisor(const struct cprof_report *report, uint32_t sample)
{
	return report->config.mean
		       ? report->profile->values[(size_t)sample * report->profile->n_types]
		       : 0;
}

/* A value as printed, in the report's unit; `text` has CPROF_MEASURE_LABEL_MAX bytes and is returned. */
const char *cprof_report_format(const struct cprof_report *report, int64_t value, char *text);

/* The same, padded on its left to so many characters, not bytes: a unit may be "µW". At most 100. */
const char *cprof_report_format_wide(const struct cprof_report *report, int64_t value,
				     unsigned columns, char *text);

/* A type name with "mean_" where that is asked for; appended. */
void cprof_report_type_label(const struct cprof_report *report, struct cprof_buffer *out);

/* The header lines on the profile, "File: ..." to "Duration: ...", each ended by a newline. */
void cprof_report_profile_labels(const struct cprof_report *report, struct cprof_buffer *out);

/* The program's name as a title: the last part of the first mapping's file; "" where unknown. */
const char *cprof_report_title(const struct cprof_report *report);

#endif
