/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/answer.h - a report on the profile that has just been taken, as cprof makes it of a file.
 *
 * Three places: on stdout where a report was asked for, in the file where its name or -format says so, and on the
 * terminal of somebody who asked for nothing.
 */
#ifndef CPROF_ATTACH_CLI_ANSWER_H
#define CPROF_ATTACH_CLI_ANSWER_H

#include <stdio.h>

#include "attach/cli/cli_options.h"
#include "convert/report/report.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_answer {
	const struct cprof_format *report; /* on stdout; NULL: none */
	const char *argument;              /* of the report, or NULL */
	const struct cprof_format *file;   /* what is written; NULL: a compressed pprof file */
	bool plain_file;                   /* a pprof file that is not compressed */
	const char *path;                  /* of -o, borrowed; NULL: none */
	const char *suffix;                /* of a file's name that we choose: "pb.gz" */
};

/*
 * What the options ask for. Errors: USAGE: two reports, an expression that is none, a format that there is not; UNSUPPORTED: a
 * picture, and Graphviz is not installed.
 */
struct cprof_error *cprof_answer_choose(const struct cprof_attach_options *options,
					struct cprof_answer *ret_answer);

/* Print the report that was asked for. The profile stays as it is. Errors: NO_MEMORY, OS; what names cannot be found is in the text. */
struct cprof_error *cprof_answer_report(const struct cprof_answer *answer,
					const struct cprof_buffer *pprof, FILE *out);

/* The bytes of the file, of the pprof file's bytes; appended to `out`. */
struct cprof_error *cprof_answer_file(const struct cprof_answer *answer,
				      const struct cprof_buffer *pprof, struct cprof_buffer *out);

/* For a terminal: the ten heaviest rows of what `mode` is about. */
struct cprof_error *cprof_answer_top(const char *mode, const struct cprof_buffer *pprof, FILE *out);

#endif
