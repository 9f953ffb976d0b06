/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/printable_text.h - longer text by base/printable.h: into a buffer, to a stream, through a stream.
 */
#ifndef CPROF_BASE_PRINTABLE_TEXT_H
#define CPROF_BASE_PRINTABLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cprof/buffer.h"

/* Append it, made fit. `keep` lists control characters that are to stay: "" for a piece of a line, "\n\t" for lines. */
void cprof_printable_put(struct cprof_buffer *out, const char *text, size_t n, const char *keep);

/* Append a piece of a line. */
void cprof_printable_puts(struct cprof_buffer *out, const char *text);

/* Append the line "SUBJECT: TEXT". */
void cprof_printable_put_line(struct cprof_buffer *out, const char *subject, const char *text);

/*
 * What a program says to people, on `out`: lines, made fit. Says whether all was written; errno tells why not.
 * Everything that the two programs print, except for profiles and reports, goes through this.
 */
bool cprof_printable_write(FILE *out, const char *text, size_t n);
/*
 * A stream that passes lines on to `out`, made fit; fclose() it before `out`. NULL, with errno. A character that is not
 * whole when the stream is closed is written as bytes.
 */
FILE *cprof_printable_open(FILE *out);

void cprof_printable_printf(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
