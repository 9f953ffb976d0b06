/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live_cells.h - text that fills so many columns of a terminal: made fit to be shown, cut, padded.
 *
 * How wide a character is says wcwidth(3), and so the locale; without UTF-8 what is not ASCII is shown as "?".
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_CELLS_H
#define CPROF_ATTACH_LIVE_LIVE_CELLS_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/buffer.h"

struct cprof_live_cells {
	struct cprof_buffer *out; /* borrowed */
	bool utf8;
	size_t left; /* columns that the line has yet */
};

/* Whatever somebody else wrote, in at most `columns`; cut in the middle, for what names differ in is their beginning or their end. */
void cprof_live_cells_name(struct cprof_live_cells *cells, const char *text, size_t columns);

/* Text of ours, cut at its end; `right`: blanks before it, else none. */
void cprof_live_cells_text(struct cprof_live_cells *cells, const char *text, size_t columns,
			   bool right);

/* Blanks to the end of the line. */
void cprof_live_cells_fill(struct cprof_live_cells *cells);

/* How many columns `text` takes. */
size_t cprof_live_cells_width(const char *text, bool utf8);

#endif
