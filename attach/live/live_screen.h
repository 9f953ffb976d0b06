/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live_screen.h - the terminal that a live table is drawn on: its size, its keys, its signals, and giving it back.
 *
 * From open to close the terminal is ncurses's. Ctrl-Z gives it back for as long as we are stopped. What the signals that end the
 * program do is the caller's, who closes the screen on his way out.
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_SCREEN_H
#define CPROF_ATTACH_LIVE_LIVE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/live/live_page.h"
#include "cprof/error.h"

struct cprof_live_screen; /* of stdin and stdout */

/* Errors: UNSUPPORTED (no ncurses; a terminal that it does not know), OS. The terminal is as it was then. */
struct cprof_error *cprof_live_screen_open(struct cprof_live_screen **ret_screen);

/* The terminal as it was found; NULL is nothing. */
void cprof_live_screen_close(struct cprof_live_screen *screen);

void cprof_live_screen_size(const struct cprof_live_screen *screen, size_t *ret_columns,
			    size_t *ret_lines);
void cprof_live_screen_draw(struct cprof_live_screen *screen, const struct cprof_live_page *page);

/* Readable: cprof_live_screen_signals() has something to do. */
int cprof_live_screen_signals_fd(const struct cprof_live_screen *screen);

/* Another size, Ctrl-Z and what comes after it. False: the user wants it to end. Draw again after it. */
bool cprof_live_screen_signals(struct cprof_live_screen *screen);

/* The next key, as in live_view.h; -1: none yet. */
int cprof_live_screen_key(struct cprof_live_screen *screen);

#endif
