/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live_page.h - a live table as lines of text for a terminal of some size, or for a pipe. Draws nothing itself.
 *
 * From the top: what is profiled, how it is looked at, the heads of the columns, rows, and what keys there are or the whole
 * name of the marked row. On narrow terminals the pair of columns is shown that the rows are sorted by.
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_PAGE_H
#define CPROF_ATTACH_LIVE_LIVE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/live/live_model.h"
#include "attach/live/live_view.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

enum cprof_live_style {
	CPROF_LIVE_PLAIN,
	CPROF_LIVE_BOLD,
	CPROF_LIVE_REVERSE, /* the line is filled with blanks to its end */
};

struct cprof_live_look {
	size_t columns, lines;
	bool screen; /* a page of all these lines; else as many as rows need, without keys */
	bool utf8;
	uint64_t lost;       /* samples that were missed since the start, as far as is known */
	const char *title;   /* what is profiled; somebody else may have written it */
	const char *message; /* in the place of how it is looked at; NULL: none */
};

struct cprof_live_page {
	struct cprof_buffer text; /* owned; the lines, each with a zero byte at its end */
	struct cprof_live_line {
		size_t at; /* in text */
		enum cprof_live_style style;
	} * lines; /* owned */
	size_t n, cap;
};

/* How many rows a screen of so many lines has. */
size_t cprof_live_page_rows(size_t lines);

/* Into a page that is zeroed, or had another one. Errors: NO_MEMORY. */
struct cprof_error *cprof_live_page_paint(struct cprof_live_page *page,
					  const struct cprof_live_model *model,
					  const struct cprof_live_view *view,
					  const struct cprof_live_look *look);
void cprof_live_page_deinit(struct cprof_live_page *page);

/* Borrowed from the page. */
const char *cprof_live_page_line(const struct cprof_live_page *page, size_t line);

#endif
