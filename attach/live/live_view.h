/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live_view.h - how somebody looks at a live table: which rows, in which order, which one is marked; and what keys do to that.
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_VIEW_H
#define CPROF_ATTACH_LIVE_LIVE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/live/live_model.h"
#include "cprof/error.h"

#define CPROF_LIVE_SEARCH_MAX 64

/* Keys that are no character; a character is itself, a byte of it after the other. */
enum {
	CPROF_LIVE_KEY_UP = 0x100,
	CPROF_LIVE_KEY_DOWN,
	CPROF_LIVE_KEY_PAGE_UP,
	CPROF_LIVE_KEY_PAGE_DOWN,
	CPROF_LIVE_KEY_HOME,
	CPROF_LIVE_KEY_END,
	CPROF_LIVE_KEY_BACKSPACE,
	CPROF_LIVE_KEY_ENTER = '\n',
	CPROF_LIVE_KEY_ESCAPE = 0x1b,
};

/* What a key asks for that the view cannot do by itself. */
enum cprof_live_wish {
	CPROF_LIVE_WISH_NONE,
	CPROF_LIVE_WISH_QUIT,
	CPROF_LIVE_WISH_SAVE,
};

struct cprof_live_view {
	enum cprof_live_group group;
	bool kernel;
	size_t type;
	enum cprof_live_column column;      /* the largest first */
	bool frozen;                        /* no window ends meanwhile */
	bool help;                          /* the keys are shown in the place of rows */
	bool searching;                     /* keys are letters of what is searched for */
	char search[CPROF_LIVE_SEARCH_MAX]; /* what names have to contain; "": anything */
	uint64_t marked;                    /* the key of a row; 0: none */
	size_t first;                       /* the row that stands at the top */
	bool typed;                         /* somebody has chosen the sample type */

	const struct cprof_live_row **rows; /* owned; borrowed from the model, until that changes */
	size_t n_rows, cap;
};

/* As one looks at `mode` first. */
void cprof_live_view_init(struct cprof_live_view *view, const char *mode);
void cprof_live_view_deinit(struct cprof_live_view *view);

/* Choose and sort the rows anew: the model or the view has changed. Errors: NO_MEMORY. */
struct cprof_error *cprof_live_view_refresh(struct cprof_live_view *view,
					    const struct cprof_live_model *model);

/* A key, while `page` rows are to be seen. Refresh afterwards. */
enum cprof_live_wish cprof_live_view_key(struct cprof_live_view *view,
					 const struct cprof_live_model *model, int key,
					 size_t page);

/* The marked row's place among the rows; n_rows: there is none. */
size_t cprof_live_view_marked(const struct cprof_live_view *view);

/* What the keys do, a line each. */
extern const char *const cprof_live_view_keys[];
extern const size_t cprof_live_view_n_keys;

#endif
