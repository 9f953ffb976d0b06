/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/shorten.h - function names short enough to be drawn: without packages, namespaces, arguments.
 */
#ifndef CPROF_CONVERT_OUTPUT_SHORTEN_H
#define CPROF_CONVERT_OUTPUT_SHORTEN_H

#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_shortener;

struct cprof_error *cprof_shortener_new(struct cprof_shortener **ret_shortener);
void cprof_shortener_free(struct cprof_shortener *shortener);
static inline void cprof_auto_shortener(struct cprof_shortener **shortener)
{
	cprof_shortener_free(*shortener);
}

/* The short form of `name`, appended to `out`: the first of Go's, Java's and C++'s shapes that it has. */
void cprof_shortener_shorten(struct cprof_shortener *shortener, const char *name,
			     struct cprof_buffer *out);

/* All of `text`, or, of one that is longer than `most` bytes, beginning and end, cut where characters begin; appended to `out`. */
void cprof_shorten_middle(const char *text, size_t most, struct cprof_buffer *out);

#endif
