/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/printable.h - text that somebody else wrote, made fit for a terminal, a log and a file that must be UTF-8.
 *
 * Names of programs, threads, functions and files, a server's answer, labels: whoever wrote them may have put in what a
 * terminal acts on. All of it goes through here. What is not fit is written as a reader can see it: \n, \t, \x1b for a
 * byte (control characters, bytes that are no UTF-8), \u202e for a character (C1 controls, line separators, and those
 * that turn the direction of writing: what Unicode calls bidirectional formatting characters, UAX #9).
 * A backslash stays as it is, so that clean text is never changed.
 *
 * Errors are made with this, so it knows nothing of buffers; base/printable_text.h does.
 */
#ifndef CPROF_BASE_PRINTABLE_H
#define CPROF_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the UTF-8 sequence at `at` has, of `n` there are; 0 where it is none (RFC 3629, "UTF-8 definition"). */
size_t cprof_utf8_length(const char *at, size_t n);

/* How many characters a text has; a byte that is no part of one is one. */
size_t cprof_utf8_count(const char *text);

/* What printf() wants for a width that text is padded to `columns` characters: it counts bytes. */
int cprof_utf8_width(const char *text, size_t columns);

/* Is all of it fit as one piece of a line? */
bool cprof_printable_is(const char *text, size_t n);

/* How many bytes are fit from the start on. `keep` lists control characters that are fit here: "", or "\n\t" for lines. */
size_t cprof_printable_span(const char *text, size_t n, const char *keep);

/* Bytes that cprof_printable_show() may write, with the zero byte. */
#define CPROF_PRINTABLE_MAX 8

/* What is not fit at `at`, as people can see it. Returns how many of the `n` bytes that was, at least 1. */
size_t cprof_printable_show(const char *at, size_t n, char shown[CPROF_PRINTABLE_MAX]);

/*
 * `text` itself where it is fit as a piece of a line; else a copy in its place, and `text` is freed. Takes a text from
 * malloc() and gives one back, the caller's. Never fails: without memory for a copy, what is not fit turns into "?".
 * NULL gives NULL.
 */
char *cprof_printable_take(char *text);

/* The same for a text that may go on in lines of its own, which are indented by two spaces: nobody can begin one afresh. */
char *cprof_printable_take_lines(char *text);

#endif
